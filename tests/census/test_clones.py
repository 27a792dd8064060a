"""Clones and ranks: planted ones are found, and matrices of known spectrum give their ranks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.census.clones import (
    correlations,
    effective_rank,
    groups,
    lines,
    measures,
    redundant,
    singular_values,
    stable_rank,
)

RNG = np.random.default_rng(3)


def noise(units, values=400):
    return RNG.normal(size=(values, units))


def with_spectrum(*singular_values, values=50):
    """A matrix with these singular values, and turned at random on both sides."""
    count = len(singular_values)
    left = np.linalg.qr(RNG.normal(size=(values, count)))[0]
    right = np.linalg.qr(RNG.normal(size=(count, count)))[0]
    return left @ np.diag(singular_values) @ right


def as_sets(numbers):
    return {frozenset(np.flatnonzero(numbers == one).tolist()) for one in np.unique(numbers)}


def test_planted_clones_are_found_and_no_others():
    a = noise(6)
    a[:, 3] = 2 * a[:, 1] + 5  # A line of another unit.
    a[:, 4] = -a[:, 1]  # Its opposite.
    assert as_sets(groups(a)) == {*map(frozenset, ([0], [1, 3, 4], [2], [5]))}
    assert redundant(groups(a)) == 2


def test_a_chain_of_pairs_is_one_group():
    a = noise(3, 4000)
    a[:, 1] = a[:, 0] + 0.25 * a[:, 1]  # Correlation 0.97 with the first.
    a[:, 2] = a[:, 1] + 0.25 * a[:, 2]  # 0.97 with the second, 0.94 with the first.
    correlations = np.corrcoef(a.T)
    assert correlations[0, 1] > 0.95 < correlations[1, 2]
    assert correlations[0, 2] < 0.95
    assert as_sets(groups(a)) == {frozenset([0, 1, 2])}


def test_the_threshold_decides():
    a = noise(2, 4000)
    a[:, 1] = a[:, 0] + 0.5 * a[:, 1]
    assert np.corrcoef(a.T)[0, 1] == pytest.approx(0.894, abs=0.02)
    assert redundant(groups(a)) == 0
    assert redundant(groups(a, 0.85)) == 1


def test_units_that_do_not_vary_are_no_clones_of_one_another():
    a = noise(4).astype(np.float32)
    a[:, 0] = a[:, 1] = 0.0  # Two dead ReLU units.
    a[:, 2] = -1.0 + 1e-8 * a[:, 3]  # An ELU unit stuck at -1, but for rounding.
    assert redundant(groups(a)) == 0
    a = a.astype(np.float64)
    a[:, 0], a[:, 1] = -1 + 1e-8 * a[:, 3], -1 + 2e-8 * a[:, 3]  # Rounding, as in a sum of many.
    assert redundant(groups(a)) == 0


def test_a_channel_is_a_unit_whatever_the_number_of_positions():
    a = RNG.normal(size=(7, 5, 5, 3))
    a[..., 2] = 3 * a[..., 0]
    assert as_sets(groups(a)) == {frozenset([0, 2]), frozenset([1])}
    assert effective_rank(singular_values(a)) == pytest.approx(
        effective_rank(singular_values(a.reshape(-1, 3)))
    )


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_as_many_are_redundant_as_were_copied(sizes):
    a = noise(len(sizes), 300)
    copied = np.concatenate([np.repeat(a[:, [i]], size, axis=1) for i, size in enumerate(sizes)], 1)
    order = RNG.permutation(copied.shape[1])
    assert redundant(groups(copied[:, order])) == sum(sizes) - len(sizes)


def test_lines_give_each_clone_from_the_first_of_its_group():
    a = noise(4)
    a[:, 2] = -2 * a[:, 0] + 3
    first, slope, offset = lines(a)
    assert first.tolist() == [0, 1, 0, 3]
    np.testing.assert_allclose(slope, [1, 1, -2, 1])
    np.testing.assert_allclose(offset, [0, 0, 3, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("spectrum", "effective", "stable"),
    [
        ((1, 1, 1, 1), 4, 4),
        ((5, 0, 0, 0), 1, 1),
        ((3, 3, 0, 0), 2, 2),
        # Shares 1/2, 1/4, 1/4: entropy 1.5 ln 2. Squares 4, 1, 1: 6 / 4.
        ((2, 1, 1), 2**1.5, 1.5),
    ],
)
def test_ranks_of_a_known_spectrum(spectrum, effective, stable):
    matrix = with_spectrum(*spectrum)
    assert effective_rank(singular_values(matrix)) == pytest.approx(effective, rel=1e-6)
    assert stable_rank(singular_values(matrix)) == pytest.approx(stable, rel=1e-6)
    scaled = (1000 * matrix).astype(np.float32)
    assert effective_rank(singular_values(scaled)) == pytest.approx(effective, rel=1e-3)


def test_a_layer_that_gives_nothing_has_rank_0():
    assert effective_rank(singular_values(np.zeros((9, 4), np.float32))) == 0
    assert stable_rank(singular_values(np.zeros((9, 4), np.float32))) == 0
    assert redundant(groups(np.zeros((9, 4), np.float32))) == 0


def test_correlations_are_those_of_numpy_and_none_with_a_unit_that_does_not_vary():
    a = noise(5) + 100
    a[:, 2] = a[:, 0] - 3 * a[:, 1]
    expected = np.corrcoef(a.T)
    np.testing.assert_allclose(correlations(a), expected, atol=1e-9)
    a[:, 4] = 7.0
    assert correlations(a)[4].tolist() == [0] * 5
    np.testing.assert_allclose(correlations(a)[:4, :4], expected[:4, :4], atol=1e-9)


def test_the_measures_of_a_layer_are_its_clones_and_its_ranks():
    a = np.maximum(noise(6), 0) + 2
    a[:, 5] = 3 - a[:, 1]
    spectrum = np.linalg.svd(a, compute_uv=False)
    shares = spectrum[spectrum > 1e-7 * spectrum[0]] / spectrum.sum()
    found = measures(a)
    assert found["clones"] == 1
    assert found["effective_rank"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert found["stable_rank"] == pytest.approx((spectrum**2).sum() / spectrum[0] ** 2)
    a[3, 3] = np.inf
    assert all(np.isnan(value) for value in measures(a).values())
