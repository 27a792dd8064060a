"""Paired differences: worked out by hand, from tables in books, and by SciPy's tests."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lab import stats
from lab.errors import InputError

ZEROS = np.zeros(1000)
few_values = arrays.arrays(float, st.integers(2, 12), elements=st.integers(-20, 20))


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
        ([1] * 14, 2 / 2**14),
        ([1], 1),
    ],
)
def test_sign_flips_are_counted_exactly_where_they_are_few(differences, p):
    found = stats.paired(differences, ZEROS[: len(differences)])
    assert found.p_sign_flip == pytest.approx(p)


def test_where_no_draw_is_as_extreme_the_pairs_themselves_still_count():
    """Of 2^40 signs two give so large a mean; 16,384 draws meet neither: 1 of 16,385."""
    assert stats.paired(np.ones(40), np.zeros(40)).p_sign_flip == 1 / (2**14 + 1)


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


def test_the_number_of_seeds_is_known_up_to_10000_and_for_any_power():
    found = stats.paired([-1, 0, 1], ZEROS[:3])
    limit = scipy.optimize.brentq(lambda e: stats.t_test_power(e, 10_000) - 0.8, 0.02, 0.04)
    assert found.seeds_for(limit * (1 + 1e-9)) == 10_000
    assert found.seeds_for(limit * (1 - 1e-9)) is None
    assert found.seeds_for(0.5, 0.9) == 44  # As G*Power 3 has it.


def test_pairs_are_frozen_and_compared_by_identity():
    assert len({stats.paired([1], [2]) for _ in range(2)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.paired([1], [2]).better = "smaller"


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
        (lambda: stats.paired([1, 2], [2, 4]).seeds_for(1, 1.5), "excluded, not 1.5"),
        (lambda: stats.paired([1, 2], [2, 4]).seeds_for(1, 0.05), "excluded, not 0.05"),
    ],
)
def test_bad_numbers_are_answered_with_a_sentence(call, words):
    with pytest.raises(InputError, match=words):
        call()


GAUSS = np.polynomial.legendre.leggauss(400)


def power_by_integration(effect, n):
    """The power by integrating over the spread, whose square is a chi-square by its freedom.

    Given the spread s, the test finds the effect where |Z + shift| > limit · s.
    """
    freedom, shift = n - 1, effect * np.sqrt(n)
    limit = scipy.stats.t.ppf(0.975, freedom)
    ends = [np.sqrt(scipy.stats.chi2.ppf(q, freedom) / freedom) for q in (1e-14, 1 - 1e-14)]
    nodes, weights = GAUSS
    s = ends[0] + (nodes + 1) / 2 * (ends[1] - ends[0])
    density = 2 * freedom * s * scipy.stats.chi2.pdf(freedom * s**2, freedom)
    above = scipy.stats.norm.sf(limit * s - shift) + scipy.stats.norm.cdf(-limit * s - shift)
    return float(weights @ (density * above)) * (ends[1] - ends[0]) / 2


@pytest.mark.parametrize("effect", [0, 0.1, 0.5, 1, 1.5, 2.3, 3.7, 5, 8, 11.9, 40])
def test_the_power_is_that_of_another_computation(effect):
    for n in (2, 3, 4, 6, 10, 17, 36, 39, 200):
        found = stats.t_test_power(effect, n)
        assert found == pytest.approx(power_by_integration(effect, n), abs=1e-6), n


def test_the_power_of_large_effects_is_that_of_another_computation():
    effects = np.linspace(4, 50, 40)
    for effect, n in itertools.product(effects, (2, 3, 4, 5, 8, 20, 58)):
        wanted = power_by_integration(effect, n)
        assert stats.t_test_power(effect, n) == pytest.approx(wanted, abs=1e-6), (effect, n)


def test_no_effect_is_found_in_one_study_of_twenty():
    assert stats.t_test_power(0, 7) == pytest.approx(0.05)


@given(st.floats(0, 50), st.integers(2, 500))
@example(2.9e-123, 2)
@example(1e-8, 2)
@example(17.0, 8)
@example(5.31, 58)
def test_the_power_is_a_probability_everywhere(effect, n):
    assert 0.05 - 1e-6 <= stats.t_test_power(effect, n) <= 1


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


@pytest.mark.parametrize(
    ("tenths", "p"),
    [
        ([-4, -8, 7, 17, -7, 8, -4], 0.78125),
        ([-12, 18, -8, -15, 3, -1, -3, 9], 0.8125),
        ([-14, 8, 7, 1, 5, 6, -14, -15], 0.6015625),
    ],
)
def test_ties_of_signs_count_although_percentages_are_rounded(tenths, p):
    # p by counting in whole numbers.
    signs = itertools.product((-1, 1), repeat=len(tenths))
    sums = [abs(sum(s * t for s, t in zip(row, tenths, strict=True))) for row in signs]
    assert sum(value >= abs(sum(tenths)) for value in sums) / len(sums) == p
    baseline = [100 * (900 / 1000) for _ in tenths]
    values = [100 * ((900 + t) / 1000) for t in tenths]
    assert stats.paired(values, baseline).p_sign_flip == p


def test_a_side_that_is_none_and_values_that_are_no_numbers_are_refused():
    with pytest.raises(InputError, match="better must be larger, smaller or neither, not 'high"):
        stats.paired([1.0], [2.0], "higher")
    with pytest.raises(InputError, match="values and baseline must be lists of numbers"):
        stats.paired(["a"], ["b"])
