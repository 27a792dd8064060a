"""Simulated studies at known truth: how often intervals and verdicts are right."""

import math

import numpy as np
import pytest

from lab import RunConfig, stats
from lab.runs import measures

ZEROS = np.zeros(1000)
TEST_ACCURACY = measures.measure("test_accuracy")


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
