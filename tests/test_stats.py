"""Verdicts: worked out by hand, from tables in books, and checked by simulation at known truth."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lab import RunConfig, Runs, RunStore, measures, stats
from lab.errors import InputError

ZEROS = np.zeros(1000)
TEST_ACCURACY = measures.measure("test_accuracy")
few_values = arrays.arrays(float, st.integers(2, 12), elements=st.integers(-20, 20))


# Pairs


def test_a_paired_example_worked_out_by_hand():
    found = stats.paired([3, 5, 4, 6], [2, 3, 1, 2])
    assert found.differences.tolist() == [1, 2, 3, 4]
    assert (found.n, found.mean) == (4, 2.5)
    assert found.sd == pytest.approx(math.sqrt(5 / 3))
    half = 3.182446305 * math.sqrt(5 / 3) / 2  # The quantile of t(3) is from a table.
    assert (found.low, found.high) == pytest.approx((2.5 - half, 2.5 + half))
    root = math.sqrt(5)  # t = 2.5 / (sd / 2) = sqrt(15); t(3) has a closed form in t / sqrt(3).
    assert found.p == pytest.approx(1 - 2 / math.pi * (math.atan(root) + root / 6))
    assert found.p_sign_flip == 2 / 2**4
    assert found.probability_of_improvement == (3.5 + 4 + 4 + 4) / 16
    assert found.correlation == pytest.approx(1 / math.sqrt(5 * 2))


@given(few_values, st.data())
def test_interval_and_p_are_those_of_the_paired_t_test(values, data):
    baseline = data.draw(arrays.arrays(float, len(values), elements=st.integers(-20, 20)))
    found = stats.paired(values, baseline)
    if np.ptp(found.differences) == 0:
        assert (found.low, found.high) == (found.mean, found.mean)
        assert found.p == found.p_sign_flip
        return
    other = scipy.stats.ttest_rel(values, baseline)
    interval = other.confidence_interval(0.95)
    np.testing.assert_allclose([found.low, found.high], interval, atol=1e-9)
    assert found.p == pytest.approx(other.pvalue)
    assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 2, 3, 4, 5], 0.0625),  # Two of 32: nothing is more extreme.
        ([1, 1, 1, 1, 1, 1], 2 / 64),
        ([3, 1, -2], 0.75),  # 6 of 8 signs give a sum of at least 2, or at most -2.
        ([0, 0, 0, 0, 0, 0], 1),
        ([1], 1),
    ],
)
def test_sign_flips_are_counted_exactly_where_they_are_few(differences, p):
    found = stats.paired(differences, ZEROS[: len(differences)])
    assert found.p_sign_flip == pytest.approx(p)


def test_many_sign_flips_are_drawn_alike_every_time_and_near_the_sign_test():
    values = [1] * 15 + [-1] * 5
    sign_test = 2 * sum(math.comb(20, k) for k in range(15, 21)) / 2**20
    first, second = (stats.paired(values, ZEROS[:20]).p_sign_flip for _ in range(2))
    assert first == second
    assert abs(first - sign_test) < 4 * math.sqrt(sign_test / stats.SIGN_FLIPS)


@given(few_values)
def test_the_probability_of_improvement_counts_all_pairs(values):
    baseline = values[::-1] // 2
    wins = [(a > b) + 0.5 * (a == b) for a, b in itertools.product(values, baseline)]
    found = {b: stats.paired(values, baseline, b) for b in ("larger", "smaller", "neither")}
    shares = {name: one.probability_of_improvement for name, one in found.items()}
    assert shares["larger"] == shares["neither"] == pytest.approx(np.mean(wins))
    assert shares["smaller"] == pytest.approx(1 - np.mean(wins))


def test_correlation_is_unknown_where_a_side_never_changes_or_two_points_make_a_line():
    assert stats.paired([1, 2, 3], [1, 3, 2]).correlation == pytest.approx(0.5)
    assert math.isnan(stats.paired([1, 2, 3], [4, 4, 4]).correlation)
    assert math.isnan(stats.paired([1, 2], [1, 3]).correlation)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_makes_every_number_unknown(bad):
    found = stats.paired([1, 2, bad, 4, 5, 6], ZEROS[:6])
    assert found.n == 6
    names = ("mean", "low", "high", "p", "p_sign_flip", "probability_of_improvement", "sd")
    assert all(math.isnan(getattr(found, name)) for name in names)
    assert found.seeds_for(1) is None


def test_no_pair_and_one_pair_have_no_interval():
    for n in (0, 1):
        found = stats.paired(ZEROS[:n], ZEROS[:n])
        assert math.isnan(found.low)
        assert math.isnan(found.p)
        assert found.seeds_for(1) is None


def test_differences_that_differ_by_rounding_alone_have_no_spread():
    baseline = np.array([0.3, 0.7, 1.1, 9.3, 97.0, 97.1, 97.3])
    found = stats.paired(baseline + 0.1, baseline)
    assert np.ptp(found.differences) > 0
    assert found.sd == 0
    assert found.low == found.high == pytest.approx(0.1)
    assert found.p == pytest.approx(2 / 2**7)


@pytest.mark.parametrize(
    ("effect", "seeds"),
    [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10), (10, 6)],  # As G*Power 3 has them, but 6.
)
def test_the_number_of_seeds_is_that_of_published_programs(effect, seeds):
    assert stats.paired([-1, 0, 1], ZEROS[:3]).seeds_for(-effect) == seeds


def test_more_than_10000_seeds_are_no_number():
    found = stats.paired([-1, 0, 1], ZEROS[:3])
    assert found.seeds_for(0.02) is None
    assert 3000 < found.seeds_for(0.05) < 3300  # (1.96 + 0.84)² / 0.05² = 3,140


def test_no_spread_needs_the_fewest_seeds():
    assert stats.paired([1, 1, 1], ZEROS[:3]).seeds_for(0.1) == 6


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: stats.paired([1, 2], [1]), r"two lists of the same length, .* \(2,\) and \(1,\)"),
        (lambda: stats.paired([[1]], [[2]]), "two lists of the same length"),
        (lambda: stats.paired([1, 2], [2, 4]).seeds_for(0), "difference must be .* not 0"),
        (lambda: stats.paired([1, 2], [2, 4]).seeds_for(np.nan), "difference must be .* not nan"),
        (lambda: stats.paired([1, 2], [2, 4]).seeds_for(1, 1), "power must be between 0.05 and 1"),
    ],
)
def test_bad_numbers_are_answered_with_a_sentence(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_holm_on_the_textbook_example():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.9, 0.8]) == [1, 1]
    assert stats.holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.001, 0.5))
def test_holm_rejects_what_stepping_down_rejects(p_values, level):
    rejected = set()
    for step, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[place] * (len(p_values) - step) > level:
            break
        rejected.add(place)
    assert {i for i, p in enumerate(stats.holm(p_values)) if p <= level} == rejected


# Simulations at known truth


def share(events):
    """A share, and three and a half of its Monte-Carlo standard errors."""
    events = np.array(events)
    return events.mean(), 3.5 * max(events.std(), 0.01) / math.sqrt(len(events))


def coverage(draw, n, studies=4000):
    rng = np.random.default_rng(n)
    found = [stats.paired(draw(rng, n), ZEROS[:n]) for _ in range(studies)]
    return share([one.low <= 0 <= one.high for one in found])


@pytest.mark.parametrize("n", [6, 10])
def test_intervals_of_normal_differences_hold_the_truth_in_95_of_100_studies(n):
    held, error = coverage(lambda rng, n: rng.normal(size=n), n)
    assert abs(held - 0.95) < error


@pytest.mark.parametrize(("n", "known"), [(6, 0.889), (10, 0.904)])
def test_intervals_of_very_skewed_differences_hold_it_less_often(n, known):
    held, error = coverage(lambda rng, n: rng.exponential(size=n) - 1, n)
    assert abs(held - known) < error  # As the docstring of the module says it.


def test_intervals_of_differences_with_heavy_tails_hold_it_more_often():
    held, error = coverage(lambda rng, n: rng.standard_t(3, size=n), 6)
    assert abs(held - 0.961) < error


def test_a_true_difference_is_found_in_80_of_100_studies_of_the_size_that_was_named():
    n = stats.paired([-1, 0, 1], ZEROS[:3]).seeds_for(0.5)
    rng = np.random.default_rng(2)
    p = [stats.paired(rng.normal(0.5, 1, n), ZEROS[:n]).p for _ in range(4000)]
    found, error = share(np.array(p) <= 0.05)
    assert abs(found - 0.8) < error


@pytest.mark.parametrize("n", [6, 10])
def test_of_four_comparisons_without_a_difference_one_in_20_studies_is_wrong_at_most(n):
    rng, configs = np.random.default_rng(3), [RunConfig(activation=f"elu={i}") for i in range(1, 6)]
    alone, together = [], []
    for _ in range(1500):
        seeds = rng.normal(size=n)
        runs = seeds + rng.normal(size=(5, n))
        family = stats.corrected(
            stats.Verdict(
                config, configs[4], "", TEST_ACCURACY, tuple(range(n)), stats.paired(own, runs[4])
            )
            for config, own in zip(configs[:4], runs[:4], strict=True)
        )
        alone.append(any(verdict.excludes_zero for verdict in family))
        together.append(any(verdict.distinguishable for verdict in family))
    wrong, error = share(together)
    assert 0.02 < wrong < 0.05 + error
    assert share(alone)[0] > 0.1  # What the correction is for.


# Verdicts on runs


@pytest.fixture(scope="module")
def template():
    return RunStore("notebooks/recorded").runs.where(activation="relu")[0]


@pytest.fixture
def record(template):
    """Makes a run of one activation function and seed, with the numbers that are given."""

    def make(activation, seed, accuracy, rate=0.001, status="finished", validation=0.9, **settings):
        config = RunConfig(activation=activation, seed=seed, learning_rate=rate, **settings)
        last = template.record.epochs[-1].model_copy(update={"validation_accuracy": validation})
        update = {
            "run_id": f"{activation}-{seed}-{rate}-{settings}",
            "settings": config,
            "status": status,
            "test_accuracy": accuracy,
            "epochs": (*template.record.epochs[:-1], last),
        }
        return dataclasses.replace(template, record=template.record.model_copy(update=update))

    return make


@pytest.fixture
def study(record):
    """Makes the runs of functions whose accuracies lie so many points above 97 % and a trend."""

    def make(**points):
        return Runs(
            [
                record(name, seed, 0.97 + 0.001 * seed + above / 100)
                for name, differences in points.items()
                for seed, above in enumerate(differences)
            ]
        )

    return make


def one(runs, *arguments, **options):
    (verdict,) = stats.verdicts(runs, *arguments, **options)
    return verdict


LOWER = [-0.1, -0.2, -0.3, -0.1, -0.2, -0.3]  # Mean -0.2, sd 0.08944, t(5) 2.5706: ± 0.0939.
MIXED = [0.1, -0.2, 0.3, -0.1, 0.2, 0.0]


def test_a_difference_is_told_in_points_with_its_interval(study):
    verdict = one(study(relu=[0] * 6, elu=LOWER))
    assert verdict.distinguishable
    assert verdict.seeds == tuple(range(6))
    assert verdict.paired.differences == pytest.approx(LOWER)
    assert (verdict.name, verdict.baseline, verdict.where) == (
        *("ELU α=1", "ReLU"),
        "mnist, learning rate 0.001",
    )
    assert verdict.sentence == (
        "With 6 paired seeds ELU α=1's test accuracy is 0.20 points below ReLU's "
        "(95 % interval −0.29 to −0.11)."
    )


def test_what_cannot_be_told_apart_says_how_many_seeds_it_takes(study):
    verdict = one(study(relu=[0] * 6, elu=MIXED))
    assert not verdict.distinguishable
    sd = np.std(MIXED, ddof=1)
    needed = next(n for n in range(6, 999) if stats.t_test_power(0.1 / sd, n) >= 0.8)
    assert verdict.sentence == (
        "ELU α=1's test accuracy is not distinguishable from ReLU's with n = 6 (mean difference "
        f"0.05 points, 95 % interval −0.15 to 0.25); about {needed} seeds would show 0.1 points."
    )


def test_fewer_than_six_seeds_get_no_verdict_however_clear_they_look(study):
    verdict = one(study(relu=[0] * 5, elu=[-5.1, -5, -5, -5, -5]))
    assert verdict.excludes_zero
    assert not verdict.distinguishable
    assert verdict.sentence == (
        "ELU α=1 against ReLU, test accuracy: too few seeds for a verdict "
        "(n = 5; at least 6 are needed)."
    )


def test_a_diverged_run_leaves_no_verdict_and_its_seed_is_named(record, study):
    good = study(relu=[0] * 7, elu=[-5, -5.1, -5, -5.2, -5, -5, -5])
    runs = [run for run in good if (run.config.activation, run.config.seed) != ("elu", 3)]
    verdict = one([*runs, record("elu", 3, 0.1, status="diverged")])
    assert not verdict.distinguishable
    assert math.isnan(verdict.paired.mean)
    assert math.isnan(verdict.p_holm)
    assert verdict.sentence == (
        "ELU α=1 against ReLU, test accuracy: no verdict, because ELU α=1 diverged with seed 3."
    )
    assert np.isnan(
        stats.table([verdict]).iloc[0][["mean", "low", "high", "p"]].astype(float)
    ).all()


def test_a_value_that_is_not_finite_is_told_from_divergence(record, study):
    runs = [record("elu", 0, math.inf), *study(relu=[0] * 6)]
    assert "because ELU α=1 has no finite test accuracy with seed 0." in one(runs).sentence


def test_seeds_that_only_one_has_are_left_out_and_counted(record, study):
    runs = [*study(relu=[0] * 7, elu=LOWER), record("relu", 20, None, status="interrupted")]
    verdict = one(runs)
    assert (verdict.paired.n, verdict.left_out) == (6, (6,))
    assert verdict.sentence.endswith(". Left out: 1 seed that only one of them has (6).")
    assert stats.table([verdict]).left_out.tolist() == [1]


def test_seeds_in_any_order_are_paired_by_their_number(study):
    runs = study(relu=[0] * 6, elu=LOWER)
    assert one(runs[::-1]).paired.differences == pytest.approx(LOWER)


def test_the_same_values_and_a_constant_difference_are_told_as_they_are(study):
    same, constant = stats.verdicts(study(relu=[0] * 6, leaky_relu=[0] * 6, elu=[-0.5] * 6))
    assert not same.distinguishable
    assert same.sentence == (
        "With 6 paired seeds Leaky ReLU α=0.01's test accuracy is the same as ReLU's for every "
        "seed."
    )
    assert constant.paired.p == 2 / 64  # No spread to go by: the sign-flip test decides.
    assert constant.p_holm == 4 / 64
    assert not constant.distinguishable


def test_the_correction_can_take_back_what_one_interval_says(study):
    border = [-0.1, -0.5, 0.0, -0.4, -0.3, -0.1]
    alone = one(study(relu=[0] * 6, elu=border))
    assert alone.distinguishable
    family = stats.verdicts(study(relu=[0] * 6, leaky_relu=MIXED, elu=border, tanh=MIXED))
    elu = family[1]
    assert [verdict.comparisons for verdict in family] == [3, 3, 3]
    assert elu.p_holm == pytest.approx(3 * alone.paired.p)
    assert elu.excludes_zero
    assert not elu.distinguishable
    assert elu.sentence.endswith(
        ": alone it would be, but not as one of 3 comparisons "
        f"(Holm's p = {3 * alone.paired.p:.2g})."
    )


def test_a_difference_below_the_worth_is_called_small(study):
    verdict = one(study(relu=[0] * 6, elu=[0.05, 0.06, 0.05, 0.06, 0.06, 0.06]))
    assert verdict.sentence == (
        "With 6 paired seeds ELU α=1's test accuracy is 0.06 points above ReLU's (95 % interval "
        "0.05 to 0.06), though less than 0.1 points is hardly worth seeing."
    )


def test_an_interval_that_excludes_0_never_reads_0(study):
    # Mean 0.1495, sd sqrt(0.02): 0.1495 - 2.5706 * sqrt(0.02 / 6) = 0.0011.
    elu = [0.1495 + above for above in (-0.2, -0.1, 0, 0, 0.1, 0.2)]
    verdict = one(study(relu=[0] * 6, elu=elu))
    assert verdict.amount(verdict.paired.low) == "0.001"


def test_the_baseline_can_be_named_with_its_parameter(study, record):
    runs = [*study(relu=[0] * 6, elu=LOWER), *(record("elu=0.5", s, 0.97) for s in range(6))]
    found = stats.verdicts(runs, baseline="elu=0.5")
    assert [(v.name, v.baseline) for v in found] == [
        ("ReLU", "ELU α=0.5"),
        ("ELU α=1", "ELU α=0.5"),
    ]
    with pytest.raises(InputError, match=r"Unknown baseline 'elu=2'\. Did you mean 'elu=1'\?"):
        stats.verdicts(runs, baseline="elu=2")


def test_without_relu_the_first_is_the_baseline_and_one_alone_has_no_verdict(study):
    assert one(study(tanh=[0] * 6, elu=LOWER)).baseline == "ELU α=1"
    assert stats.verdicts(study(relu=[0] * 6)) == []
    assert stats.verdicts([]) == []


def test_runs_of_other_settings_are_never_paired(record, study):
    others = [record("elu", seed, 0.5, batch_size=64) for seed in range(6)]
    runs = Runs([*study(relu=[0] * 6), *others])
    assert stats.verdicts(runs) == []
    both = stats.verdicts([*runs, *(record("relu", s, 0.5, batch_size=64) for s in range(6))])
    assert [verdict.where for verdict in both] == ["mnist, learning rate 0.001, batch size 64"]


def test_a_layers_measure_leaves_networks_without_the_layer_out():
    runs = RunStore("notebooks/recorded").runs
    found = stats.verdicts(runs, "dead_fraction", 5)
    assert [verdict.name for verdict in found] == ["Sigmoid"]
    with pytest.raises(InputError, match="layer must be from 1 to 6 in these runs, not 7"):
        stats.verdicts(runs, "dead_fraction", 7)


def test_the_tables_hold_every_number_and_every_seed(study):
    found = stats.verdicts(study(relu=[0] * 6, elu=LOWER, tanh=MIXED))
    table, seeds = stats.table(found), stats.by_seed(found)
    assert table.activation.tolist() == ["ELU α=1", "tanh"]
    assert table["mean"].tolist() == pytest.approx([-0.2, 0.05])
    assert table.p_holm.tolist() == pytest.approx(stats.holm(table.p.tolist()))
    assert table.p_sign_flip[0] == 2 / 64
    assert table.distinguishable.tolist() == [True, False]
    assert table.sentence.tolist() == [verdict.sentence for verdict in found]
    assert seeds.groupby("activation").difference.mean().tolist() == pytest.approx([-0.2, 0.05])
    np.testing.assert_allclose(seeds.value - seeds.baseline_value, seeds.difference)
    assert seeds.seed.tolist() == [*range(6)] * 2
    assert list(stats.table([])) == list(stats.COLUMNS)
    assert stats.by_seed([]).empty


# Learning rates


@pytest.fixture
def ladder(record):
    """ReLU is best at 0.01 on validation, at 0.1 on the test set; ELU's 0.1 diverged once."""
    validation = {"relu": (0.90, 0.95, 0.94), "elu": (0.90, 0.91, 0.99)}
    test = {"relu": (0.90, 0.93, 0.99), "elu": (0.90, 0.94, 0.99)}
    return Runs(
        [
            record(
                *(name, seed, test[name][place] + 0.001 * seed * place, rate),
                "diverged" if (name, seed, rate) == ("elu", 1, 0.1) else "finished",
                validation[name][place],
            )
            for name in ("relu", "elu")
            for seed in range(6)
            for place, rate in enumerate((0.001, 0.01, 0.1))
        ]
    )


def test_the_best_rate_is_chosen_on_validation_and_never_one_that_diverged(ladder):
    table = stats.best_rates(ladder)
    assert table.activation.tolist() == ["ReLU", "ELU α=1"]
    assert table.learning_rate.tolist() == [0.01, 0.01]
    assert table.validation_accuracy.tolist() == pytest.approx([95, 91])
    assert table.test_accuracy.tolist() == pytest.approx([93.25, 94.25])
    assert table.diverged.tolist() == [0, 1]
    assert table.rates.tolist() == [3, 3]
    assert table.note.tolist() == ["", ""]


def test_each_function_can_be_compared_at_its_own_best_rate(ladder):
    runs = [run for run in ladder if run.config.learning_rate < 0.1]
    slow = [r for r in runs if (r.config.activation, r.config.learning_rate) != ("elu", 0.01)]
    verdict = one(slow, best_rate=True)
    assert verdict.where == "mnist, each at its best learning rate (ReLU: 0.01, ELU α=1: 0.001)"
    expected = [-3 - 0.1 * seed for seed in range(6)]
    assert verdict.paired.differences == pytest.approx(expected)
    chosen = stats.at_best_rates(slow)
    assert {(r.config.activation, r.config.learning_rate) for r in chosen} == {
        *(("relu", 0.01), ("elu", 0.001))
    }


@pytest.mark.parametrize(
    ("rates", "note"),
    [
        ((0.01, 0.1), "the lowest learning rate tried: try lower ones"),
        ((0.001, 0.01), "the highest learning rate tried: try higher ones"),
        ((0.01,), "only one learning rate was tried"),
    ],
)
def test_a_best_rate_at_the_edge_is_told(ladder, rates, note):
    runs = [run for run in ladder if run.config.learning_rate in rates]
    assert stats.best_rates(runs).note.tolist() == [note] * 2


def test_a_function_that_diverged_at_every_rate_has_no_best_one(record, study):
    runs = [*study(relu=[0] * 6), record("elu", 0, 0.1, status="diverged")]
    row = stats.best_rates(runs).set_index("activation").loc["ELU α=1"]
    assert math.isnan(row.learning_rate)
    assert row.note == "a run diverged at every learning rate tried: try lower ones"
    assert stats.verdicts(runs, best_rate=True) == []
    assert stats.best_rates([]).empty
