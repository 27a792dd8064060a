"""What is kept of each unit is what NumPy counts, sums and finds."""

import numpy as np
import pytest

from lab.census import units
from lab.network import tiles
from lab.system import compiled, load_tensorflow

SHUT = np.float32(0.01)


def reduced(z: np.ndarray, count: int, slope: float = 0.01) -> dict:
    """Returns the reductions of Leaky ReLU's z, with SHUT as the largest |gate| of a shut gate."""
    tf = load_tensorflow()

    def complete(z: object, a: object) -> tuple:
        return z, a, tf.where(z > 0, tf.ones_like(z), slope * tf.ones_like(z))

    reduce = compiled(lambda z, a, counted: tiles.reduced((z, a), complete, counted, SHUT))
    a, counted = np.where(z > 0, z, np.float32(slope) * z), np.arange(len(z)) < count
    found = reduce(*map(tf.constant, (z, a, counted)))
    assert (found.dtype, found.shape) == (tf.float64, (10, z.shape[-1]))
    return dict(zip(units.REDUCTIONS, found.numpy(), strict=True))


def by_leaky_relu(z: np.ndarray, slope: float = 0.01) -> dict:
    wide = z.astype(np.float64).reshape(-1, z.shape[-1])
    a = np.where(z > 0, z, np.float32(slope) * z).astype(np.float64).reshape(wide.shape)
    return by_numpy(wide, a, np.where(wide > 0, 1, float(np.float32(slope))))


def by_numpy(z: np.ndarray, a: np.ndarray, gate: np.ndarray) -> dict:
    """Counts, sums and finds the largest of float64 values of shape (values, units)."""
    return {
        "nonfinite": (~np.isfinite(z) | ~np.isfinite(a) | ~np.isfinite(gate)).sum(axis=0),
        "zeros": (a == 0).sum(axis=0),
        "shut": (abs(gate) <= SHUT).sum(axis=0),
        "sum": a.sum(axis=0),
        "sum_abs": abs(a).sum(axis=0),
        "sum_square": (a**2).sum(axis=0),
        "sum_gate": gate.sum(axis=0),
        "max_z": z.max(axis=0),
        "max_minus_z": -z.min(axis=0),
        "max_gate": abs(gate).max(axis=0),
    }


def test_values_are_reduced_as_numpy_does_it() -> None:
    tf = load_tensorflow()
    rng = np.random.default_rng(1)
    z = rng.normal(size=(200, 5)).astype(np.float32)
    a = np.where(z > 0, z, np.float32([0, 0, -0.1, 0.1, 0]) * z)
    gate = rng.choice(np.float32([-2, -0.01, 0.01, 0.5]), z.shape)
    z[3, 1], a[5, 2], gate[7, 3], z[9, 3] = np.nan, np.inf, -np.inf, -np.inf
    z[:, 4], a[:, 4], gate[:, 4] = np.nan, 0, 0  # All of these are in all counts.
    filled = [np.resize(values, (250, 5)) for values in (z, a, gate)]
    counted = np.arange(250) < 200
    reduce = compiled(lambda *given: tiles.reduced(given, lambda *tile: tile, counted, SHUT))
    found = dict(zip(units.REDUCTIONS, reduce(*map(tf.constant, filled)).numpy(), strict=True))
    assert found["nonfinite"].tolist() == [0, 1, 1, 2, 200]
    finite = [0]  # Of others only the counts have a meaning.
    for name, values in by_numpy(*(values.astype(np.float64) for values in (z, a, gate))).items():
        which = slice(None) if name in units.COUNTS else finite
        np.testing.assert_allclose(found[name][which], values[which], 1e-12, err_msg=name)


@pytest.mark.parametrize("count", [1, 125, 993, 1000, 7001])
@pytest.mark.parametrize("shape", [(3,), (100,), (1001,), (2, 3, 4)])
def test_units_of_any_number_are_reduced_over_images_and_positions(count, shape) -> None:
    """Rows join several images where one has few values; the last rows and tile are filled up."""
    z = np.random.default_rng(2).normal(size=(count, *shape)).astype(np.float32)
    found = reduced(z, count)
    for name, values in by_leaky_relu(z).items():
        np.testing.assert_allclose(found[name], values, 1e-12, 1e-10, err_msg=name)


@pytest.mark.parametrize("filling", [np.nan, np.inf, 9, -9, 0])
def test_what_fills_a_block_does_not_count(filling) -> None:
    z = np.random.default_rng(3).normal(size=(125, 2, 3)).astype(np.float32)
    z[118:] = filling
    found = reduced(z, 118)
    for name, values in by_leaky_relu(z[:118]).items():
        np.testing.assert_allclose(found[name], values, 1e-12, 1e-10, err_msg=name)


def test_sums_are_of_double_precision() -> None:
    noise = np.random.default_rng(4).normal(scale=1e-4, size=(1000, 2))
    z = (1 + noise).astype(np.float32)
    found, exact = reduced(z, 1000), z.astype(np.float64)
    np.testing.assert_allclose(found["sum"], exact.sum(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found["sum_abs"], exact.sum(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found["sum_square"], (exact**2).sum(axis=0), rtol=1e-14)


def test_blocks_are_joined_and_no_images_change_nothing() -> None:
    tf = load_tensorflow()
    one, other = np.random.default_rng(5).normal(size=(2, 10, 3))
    found = tiles.join(tf.constant(one), tf.constant(other)).numpy()
    np.testing.assert_array_equal(found[:7], one[:7] + other[:7])
    np.testing.assert_array_equal(found[7:], np.maximum(one[7:], other[7:]))
    same = tiles.join(tiles.nothing(3), tf.constant(one)).numpy()
    np.testing.assert_array_equal(same, one)
