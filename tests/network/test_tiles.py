"""What is kept of each unit is what NumPy counts, sums and finds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from made import reduced_by_numpy

from lab.census import units
from lab.network import tiles
from lab.system import compiled, load_tensorflow

SHUT, SLOPE = np.float32(0.01), np.float32(0.01)


def reduced(z: np.ndarray, a: np.ndarray, gate_of: Callable[[Any], Any], count: int) -> dict:
    """Returns the reductions by name; the first images count."""
    tf = load_tensorflow()
    reduce = compiled(lambda z, a, real: tiles.reduced(z, a, gate_of, real, SHUT))
    found = reduce(*map(tf.constant, (z, a, np.arange(len(z)) < count)))
    assert (found.dtype, found.shape) == (tf.float64, (10, z.shape[-1]))
    return dict(zip(units.REDUCTIONS, found.numpy(), strict=True))


def of_leaky_relu(z: np.ndarray, count: int) -> tuple[dict, dict]:
    """Returns the reductions of Leaky ReLU, as found and as NumPy has them."""
    tf = load_tensorflow()
    a = np.where(z > 0, z, SLOPE * z)
    found = reduced(z, a, lambda z: tf.where(z > 0, tf.ones_like(z), SLOPE), count)
    wide, a = (values[:count].reshape(-1, z.shape[-1]) for values in (z, a))
    return found, reduced_by_numpy(wide, a, np.where(wide > 0, 1, SLOPE), SHUT)


def test_values_are_reduced_as_numpy_does_it() -> None:
    """Unit 0 is finite; z, a or the gate of the others is not, on some images or all."""
    tf = load_tensorflow()
    rng = np.random.default_rng(1)
    z = rng.normal(size=(250, 5)).astype(np.float32)
    a = np.where(z > 0, z, np.float32([0, 0, -0.1, 0.1, 0]) * z)
    z[3, 1], a[5, 2], z[7, 3], z[9, 3] = np.nan, np.inf, 7, -np.inf
    z[:, 4], a[:, 4] = np.nan, 0

    def gate(z: Any, where: Any) -> Any:
        steep = where(z > 1, np.float32(-2), where(z > 0, np.float32(0.5), np.float32(-0.01)))
        return where(z == 7, np.float32(-np.inf), where(z != z, np.float32(0), steep))

    found = reduced(z, a, lambda z: gate(z, tf.where), 200)
    assert found["nonfinite"].tolist() == [0, 1, 1, 2, 200]
    wanted = reduced_by_numpy(z[:200], a[:200], gate(z, np.where)[:200], SHUT)
    for name, values in wanted.items():
        which = slice(None) if name in units.COUNTS else slice(1)
        np.testing.assert_allclose(found[name][which], values[which], 1e-12, err_msg=name)


@pytest.mark.parametrize("count", [1, 125, 993, 1000, 7001])
@pytest.mark.parametrize("shape", [(1,), (3,), (100,), (1001,), (2, 3, 4), (8, 8, 16)])
def test_units_of_any_number_are_reduced_over_images_and_positions(count, shape) -> None:
    """Rows join several images where one has few values; the last rows and tile are filled up."""
    z = np.random.default_rng(2).normal(size=(count, *shape)).astype(np.float32)
    found, wanted = of_leaky_relu(z, count)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, 1e-12, 1e-10, err_msg=name)


@pytest.mark.parametrize("width", [1, 999, 1001])
def test_of_a_unit_that_is_always_dead_or_never_finite_every_image_is_counted(width) -> None:
    tf = load_tensorflow()
    z = np.full((7001, width), -1, np.float32)
    found = reduced(z, 0 * z, tf.zeros_like, 7001)
    assert [set(found[name]) for name in units.COUNTS] == [{0}, {7001}, {7001}]
    found = reduced(z, np.full_like(z, np.nan), tf.zeros_like, 7001)
    assert [set(found[name]) for name in units.COUNTS] == [{7001}, {0}, {7001}]


@pytest.mark.parametrize("filling", [np.nan, np.inf, 9, -9, 0])
def test_what_fills_a_block_does_not_count(filling) -> None:
    z = np.random.default_rng(3).normal(size=(125, 2, 3)).astype(np.float32)
    z[118:] = filling
    found, wanted = of_leaky_relu(z, 118)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, 1e-12, 1e-10, err_msg=name)


def test_sums_are_of_double_precision() -> None:
    noise = np.random.default_rng(4).normal(scale=1e-4, size=(1000, 2))
    z = (1 + noise).astype(np.float32)
    found, wanted = of_leaky_relu(z, 1000)
    for name in units.SUMS:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-14)


def test_blocks_are_joined_and_no_images_change_nothing() -> None:
    tf = load_tensorflow()
    one, other = np.random.default_rng(5).normal(size=(2, 10, 3))
    found = tiles.join(tf.constant(one), tf.constant(other)).numpy()
    np.testing.assert_array_equal(found[:7], one[:7] + other[:7])
    np.testing.assert_array_equal(found[7:], np.maximum(one[7:], other[7:]))
    same = tiles.join(tiles.nothing(3), tf.constant(one)).numpy()
    np.testing.assert_array_equal(same, one)
    ones = np.ones((125, 3), np.float32)
    found = reduced(ones, ones, tf.ones_like, 0)
    np.testing.assert_array_equal(list(found.values()), tiles.nothing(3))
