"""A verdict tells the difference, and what it cannot tell, in a sentence with its numbers."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from lab import stats
from lab.runs import measure
from lab.stats.verdict import _decimals

LOWER = [-0.1, -0.2, -0.3, -0.1, -0.2, -0.3]  # Mean -0.2, sd 0.08944, t(5) 2.5706: ± 0.0939.
MIXED = [0.1, -0.2, 0.3, -0.1, 0.2, 0.0]


def test_a_difference_is_written_in_points_with_its_interval(one, study):
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


def test_what_cannot_be_told_apart_says_how_many_seeds_it_takes(one, study):
    verdict = one(study(relu=[0] * 6, elu=MIXED))
    assert not verdict.distinguishable
    sd = np.std(MIXED, ddof=1)
    needed = next(n for n in range(6, 999) if stats.t_test_power(0.1 / sd, n) >= 0.8)
    assert verdict.sentence == (
        "ELU α=1's test accuracy is not distinguishable from ReLU's with n = 6 (mean difference "
        f"0.05 points, 95 % interval −0.15 to 0.25); about {needed} seeds would show 0.1 points."
    )


def test_a_verdict_says_what_so_many_seeds_would_have_shown(one, study):
    """With a spread of 0.0126 points, 6 seeds show 0.1 points with a power of nearly 1."""
    verdict = one(study(relu=[0] * 6, elu=[0.01, -0.01, 0.01, -0.01, 0.02, -0.01]))
    assert verdict.sentence.endswith(
        "; a true difference of 0.1 points would show in 4 of 5 such studies."
    )


def test_fewer_than_six_seeds_get_no_verdict_however_clear_they_look(one, study):
    verdict = one(study(relu=[0] * 5, elu=[-5.1, -5, -5, -5, -5]))
    assert verdict.excludes_zero
    assert not verdict.distinguishable
    assert verdict.sentence == (
        "ELU α=1 against ReLU, test accuracy: too few seeds for a verdict "
        "(n = 5; at least 6 are needed)."
    )


def test_a_diverged_run_leaves_no_verdict_and_its_seed_is_named(one, record, study):
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


def test_a_value_that_is_not_finite_is_no_divergence(one, record, study):
    runs = [record("elu", 0, math.inf), *study(relu=[0] * 6)]
    assert "because ELU α=1 has no finite test accuracy with seed 0." in one(runs).sentence


def test_equal_values_and_a_constant_difference_have_sentences_of_their_own(study):
    same, constant = stats.verdicts(study(relu=[0] * 6, leaky_relu=[0] * 6, elu=[-0.5] * 6))
    assert not same.distinguishable
    assert same.sentence == (
        "With 6 paired seeds Leaky ReLU α=0.01's test accuracy is the same as ReLU's for every "
        "seed."
    )
    assert constant.paired.p == 2 / 64  # No spread to go by: the sign-flip test decides.
    assert constant.p_holm == 4 / 64
    assert not constant.distinguishable


def test_a_difference_below_the_worth_is_called_small(one, study):
    verdict = one(study(relu=[0] * 6, elu=[0.05, 0.06, 0.05, 0.06, 0.06, 0.06]))
    assert verdict.sentence == (
        "With 6 paired seeds ELU α=1's test accuracy is 0.06 points above ReLU's (95 % interval "
        "0.05 to 0.06), though less than 0.1 points is hardly worth seeing."
    )


def test_an_interval_that_excludes_0_never_reads_0(one, study):
    # Mean 0.1495, sd sqrt(0.02): 0.1495 - 2.5706 * sqrt(0.02 / 6) = 0.0011.
    elu = [0.1495 + above for above in (-0.2, -0.1, 0, 0, 0.1, 0.2)]
    verdict = one(study(relu=[0] * 6, elu=elu))
    assert verdict.amount(verdict.paired.low) == "0.001"


def test_the_first_digit_of_a_number_needs_so_many_decimals():
    sizes = (0.0, 1e-12, 0.004, 0.05, 0.9, 1.0, 7.0, 250.0, float("nan"))
    assert [_decimals(size) for size in sizes] == [8, 8, 3, 2, 1, 0, 0, 0, 8]


def test_a_verdict_says_that_10000_seeds_would_not_do(one, study):
    verdict = one(study(relu=[0] * 6, elu=[9, -9, 9, -9, 9, -9]))
    assert verdict.sentence.endswith("; more than 10,000 seeds would be needed to show 0.1 points.")


@pytest.mark.parametrize(
    ("further", "some"),
    [
        (1, "1 seed that only one of them has (6)."),
        (10, "10 seeds that only one of them has (6, 7, 8, 9, 10, 11, 12, 13, 14, 15)."),
        (11, "11 seeds that only one of them has (6, 7, 8, 9, 10, 11, 12, 13, 14, 15, …)."),
    ],
)
def test_of_the_seeds_left_out_ten_are_named(one, study, further, some):
    verdict = one(study(relu=[0] * 6, elu=[*LOWER, *[0] * further]))
    assert verdict.sentence.endswith(f" Left out: {some}")


def test_a_loss_has_no_unit_and_one_point_no_plural(one, study):
    alike = study(relu=[0] * 6, elu=MIXED)
    loss = one(alike, "validation_loss")  # The same in all these runs.
    assert loss.sentence.endswith("validation loss is the same as ReLU's for every seed.")
    spread = dataclasses.replace(loss, paired=one(alike).paired)
    assert "(mean difference 0.05, 95 % interval −0.15 to 0.25)" in spread.sentence
    assert spread.sentence.endswith(" seeds would show 0.01.")
    dead = dataclasses.replace(spread, measure=measure("dead"))
    assert dead.sentence.endswith("a true difference of 1 point would show in 4 of 5 such studies.")


def test_the_two_are_told_apart_up_to_a_corrected_p_of_5_percent(one, study):
    verdict = one(study(relu=[0] * 6, elu=LOWER))
    at, above = (dataclasses.replace(verdict, p_holm=p) for p in (0.05, 0.0501))
    assert at.distinguishable
    assert not above.distinguishable
    several = dataclasses.replace(verdict, comparisons=2)
    assert "; it holds after Holm's correction for 2 comparisons)" in several.sentence
    assert len({verdict, dataclasses.replace(verdict)}) == 2


@pytest.mark.parametrize(("shift", "excludes"), [(0.0, False), (1e-9, True), (-1e-9, False)])
def test_an_interval_that_ends_at_0_does_not_exclude_it(one, study, shift, excludes):
    verdict = one(study(relu=[0] * 6, elu=MIXED))
    for low, high in ((shift, 1.0), (-1.0, -shift)):
        ends = SimpleNamespace(low=low, high=high)
        assert dataclasses.replace(verdict, paired=ends).excludes_zero == excludes
