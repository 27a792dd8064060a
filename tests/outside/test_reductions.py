"""What is kept of a batch: as NumPy counts and sums it, and as the lab's own trainer does."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from made import mostly_slow, reduced_by_numpy

from lab.census import units
from lab.network import tiles
from lab.outside.reductions import reduced, reduced_of_relu
from lab.system import compiled

SHUT = 0.25
by_tensorflow = functools.cache(compiled)


def values(count, width, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(count, width)).astype(np.float32)
    return z, np.maximum(z, 0), np.round(rng.normal(size=(count, width)), 1).astype(np.float32)


@pytest.mark.parametrize("count", mostly_slow([1, 7, 127, 128, 129, 1000], 1, 127, 1000))
def test_they_are_what_numpy_counts_and_sums(count):
    arrays = values(count, 5)
    found = by_tensorflow(reduced)(*arrays, np.float32(SHUT))
    assert set(found) == set(units.REDUCTIONS)
    for name, wanted in reduced_by_numpy(*arrays, SHUT).items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-6, atol=1e-5, err_msg=name)


def test_they_are_what_the_trainer_keeps():
    z, a, _ = values(1000, 3)
    every = np.ones(1000, bool)
    own = compiled(lambda z, a: tiles.reduced(z, a, tf.nn.sigmoid, every, SHUT))(z, a)
    found = by_tensorflow(reduced)(z, a, tf.nn.sigmoid(z), np.float32(SHUT))
    for name, wanted in zip(units.REDUCTIONS, own, strict=True):
        np.testing.assert_allclose(found[name], wanted, rtol=1e-6, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("place", [3, 999])
def test_one_value_that_is_not_finite_is_counted_in_its_unit(number, which, place):
    arrays = values(1000, 3)
    arrays[which][place, 1] = number
    found = by_tensorflow(reduced)(*arrays, np.float32(SHUT))
    assert found["nonfinite"].numpy().tolist() == [0, 1, 0]


def test_values_whose_sum_overflows_are_finite():
    z = np.full((500, 2), 3e38, np.float32)
    found = by_tensorflow(reduced)(z, z, np.ones_like(z), np.float32(SHUT))
    assert found["nonfinite"].numpy().tolist() == [0, 0]


def test_a_unit_stuck_at_minus_1_has_its_small_deviation():
    """float32 sums of squares would lose it: 1e-4 squared is below the last bit of 1."""
    a = np.full((1280, 2), -1, np.float32)
    a[::2, 1] += np.float32(1e-4)
    blocks = by_tensorflow(reduced)(a, a, np.ones_like(a), np.float32(SHUT))
    stacked = np.array([[blocks[name] for name in units.REDUCTIONS]])
    sd = units.summarise(stacked, 1280, 1.0).sd
    np.testing.assert_allclose(sd, a.std(axis=0, dtype=np.float64), rtol=1e-3)
    assert sd[0] == 0


def by_differentiation(z):
    """What `reduced` gives for TensorFlow's ReLU and the gate that it differentiates itself."""
    z = tf.constant(z)
    with tf.GradientTape() as tape:
        tape.watch(z)
        a = tf.nn.relu(z)
    return by_tensorflow(reduced)(z, a, tape.gradient(a, z), np.float32(units.NEARLY))


@pytest.mark.parametrize("count", mostly_slow([1, 127, 128, 1000], 127, 1000))
def test_what_z_alone_tells_of_relu_is_what_its_differentiation_tells(count):
    z = np.random.default_rng(1).normal(size=(count, 6)).astype(np.float32)
    z[:, 0], z[:, 1], z[:, 2], z[0, 3] = -1, 0, 1e-30, 1e-45
    z[:, 4] = -np.abs(z[:, 4])
    z[-1, 4] = 1e-20  # It opens on the last value alone.
    found, wanted = by_tensorflow(reduced_of_relu)(z), by_differentiation(z)
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-6, err_msg=name)
        if name in (*units.COUNTS, "max_z", "max_minus_z", "max_gate", "sum_gate"):
            np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 3, 999])
def test_one_z_of_relu_that_is_not_finite_is_counted_in_its_unit(number, place):
    z = values(1000, 3)[0]
    z[place, 1] = number
    assert by_tensorflow(reduced_of_relu)(z)["nonfinite"].numpy().tolist() == [0, 1, 0]
