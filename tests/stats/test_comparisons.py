"""Comparisons: which runs are paired with which, against which baseline."""

import pytest

from lab import Runs, RunStore, stats
from lab.errors import InputError

LOWER = [-0.1, -0.2, -0.3, -0.1, -0.2, -0.3]  # Mean -0.2, sd 0.08944, t(5) 2.5706: ± 0.0939.
MIXED = [0.1, -0.2, 0.3, -0.1, 0.2, 0.0]


def test_seeds_that_only_one_has_are_left_out_and_counted(one, record, study):
    runs = [*study(relu=[0] * 7, elu=LOWER), record("relu", 20, None, status="interrupted")]
    verdict = one(runs)
    assert (verdict.paired.n, verdict.left_out) == (6, (6,))
    assert verdict.sentence.endswith(". Left out: 1 seed that only one of them has (6).")
    assert stats.table([verdict]).left_out.tolist() == [1]


def test_seeds_in_any_order_are_paired_by_their_number(one, study):
    runs = study(relu=[0] * 6, elu=LOWER)
    assert one(runs[::-1]).paired.differences == pytest.approx(LOWER)


def test_the_correction_can_take_back_what_one_interval_says(one, study):
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


def test_the_baseline_can_be_named_with_its_parameter(study, record):
    runs = [*study(relu=[0] * 6, elu=LOWER), *(record("elu=0.5", s, 0.97) for s in range(6))]
    found = stats.verdicts(runs, baseline="elu=0.5")
    assert [(v.name, v.baseline) for v in found] == [
        ("ReLU", "ELU α=0.5"),
        ("ELU α=1", "ELU α=0.5"),
    ]
    with pytest.raises(InputError, match=r"Unknown baseline 'elu=2'\. Did you mean 'elu=1'\?"):
        stats.verdicts(runs, baseline="elu=2")
    with pytest.raises(InputError, match="Unknown baseline 'elu=half'"):
        stats.verdicts(runs, baseline="elu=half")


def test_a_baseline_without_a_parameter_is_found_by_its_name(study):
    runs = study(relu=[0] * 6, elu=LOWER, tanh=MIXED)
    found = stats.verdicts(runs, baseline="tanh")
    assert [(v.name, v.baseline) for v in found] == [("ReLU", "tanh"), ("ELU α=1", "tanh")]


def test_without_relu_the_first_is_the_baseline_and_one_alone_has_no_verdict(one, study):
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


def test_a_layer_beyond_the_only_one_is_refused(record):
    with pytest.raises(InputError, match="layer must be 1 in these runs, not 2"):
        stats.verdicts([record("relu", 0, 0.9, hidden=(8,))], "dead_fraction", 2)


def test_groups_are_compared_by_their_names_whatever_they_differ_in(record):
    plain = [record("relu", seed, 0.9) for seed in range(6)]
    slow = [record("relu", 5 - seed, 0.9 + LOWER[5 - seed], 0.1) for seed in range(6)]
    leak = [record("leaky_relu", seed, 0.9 + MIXED[seed]) for seed in range(6)]
    groups = {"a smaller rate": plain, "nothing": slow, "a leak": leak}
    first, second = stats.between(groups, "nothing")
    assert (first.name, first.baseline, second.name) == ("a smaller rate", "nothing", "a leak")
    assert first.paired.differences == pytest.approx([-100 * d for d in LOWER])
    assert first.where == "mnist"
    assert (first.comparisons, first.p_holm) == (2, pytest.approx(2 * first.paired.p))
    assert first.sentence.startswith(
        "With 6 paired seeds a smaller rate's test accuracy is 20.0 points above nothing's"
    )


def test_groups_that_cannot_be_compared_are_refused(record):
    plain = [record("relu", seed, 0.9) for seed in range(6)]
    with pytest.raises(InputError, match=r"Unknown baseline 'none'\. Choose from: a, b"):
        stats.between({"a": plain, "b": plain}, "none")
    with pytest.raises(InputError, match="and 'b' holds none"):
        stats.between({"a": plain, "b": []}, "a")
    with pytest.raises(InputError, match="each seed once, and 'b' has one several times"):
        stats.between({"a": plain, "b": [*plain, record("elu", 3, 0.5)]}, "a")
    other = RunStore("notebooks/recorded/remedies").runs[:1]
    with pytest.raises(InputError, match="have one data set to be compared"):
        stats.between({"a": plain, "b": other}, "a")
