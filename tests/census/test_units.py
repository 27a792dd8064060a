"""Measures of units: on hand-built summaries, and against NumPy on the raw activations."""

import dataclasses

import numpy as np
import pytest
from made import reduced_by_numpy

from lab.activations import registry
from lab.census import units
from lab.census.units import UnitSummaries

MEASURES = ("dead", "nearly_dead", "always_negative", "saturated", "dormant", "constant")


def build(count=1, images=100, sup_gate=1.0, **values):
    """Summaries of healthy units on 100 images but for the values given."""
    healthy = {
        "nonfinite": 0,
        "max_z": 2.0,
        "min_z": -2.0,
        "mean": 0.5,
        "mean_abs": 0.5,
        "sd": 1.0,
        "zeros": 50,
        "mean_gate": 0.5,
        "max_gate": 1.0,
        "shut": 50,
    }
    kinds = {"nonfinite": np.int32, "zeros": np.int32, "shut": np.int32}
    return UnitSummaries(
        images=images,
        sup_gate=sup_gate,
        **{
            name: np.broadcast_to(np.asarray(values.get(name, value)), count).astype(
                kinds.get(name, np.float32)
            )
            for name, value in healthy.items()
        },
    )


def blocks_of(z, a, gate, sup_gate, sizes):
    """The sums and maxima of blocks of images, as `summarise` takes them."""
    edges = np.cumsum(sizes)[:-1]
    blocks = zip(*(np.split(values, edges) for values in (z, a, gate)), strict=True)
    found = [reduced_by_numpy(*block, 0.001 * sup_gate) for block in blocks]
    return np.array([[block[name] for name in units.REDUCTIONS] for block in found], np.float64)


def observe(z, name="relu", sizes=None):
    """Pre-activations of shape (images, units) to activations, gates and `summarise`'s answer."""
    activation = registry.get(name)
    a, gate = (f(z, activation.default) for f in (activation.function, activation.derivative))
    blocks = blocks_of(z, a, gate, 1.0, sizes or [len(z)])
    return a, gate, units.summarise(blocks, len(z), 1.0)


def test_a_unit_is_dead_if_its_gate_is_zero_on_every_image():
    layer = build(4, max_gate=[0.0, 1e-38, 1.0, 0.0], nonfinite=[0, 0, 0, 1])
    assert units.dead(layer).tolist() == [True, False, False, False]


def test_a_unit_is_nearly_dead_up_to_a_thousandth_of_the_steepest_gate():
    gates = np.array([0.0, 0.001, 0.0011, 1.0], np.float64)
    assert units.nearly_dead(build(4, max_gate=gates), 0.00101).tolist() == [
        True,
        True,
        False,
        False,
    ]
    assert units.nearly_dead(build(4, max_gate=gates * 0.99)).tolist() == [True, True, False, False]
    steep = build(4, max_gate=gates * 4.9, sup_gate=5.0)
    assert units.nearly_dead(steep).tolist() == [True, True, False, False]


def test_an_always_negative_leaky_unit_is_neither_dead_nor_nearly_dead():
    layer = build(max_z=-1.0, max_gate=0.01, shut=0, zeros=0)
    assert units.always_negative(layer).tolist() == [True]
    assert units.dead(layer).tolist() == [False]
    assert units.nearly_dead(layer).tolist() == [False]
    assert units.nearly_dead(layer, 0.0101).tolist() == [True]


def test_a_pre_activation_of_exactly_zero_is_not_above_zero():
    layer = build(3, max_z=[0.0, 1e-30, -0.0])
    assert units.always_negative(layer).tolist() == [True, False, True]


def test_the_standard_deviation_of_a_layer_does_not_overflow():
    layer = build(2, mean=[0.0, 0.0], sd=[3e38, 3e38])
    with np.errstate(all="raise"):
        assert units.activation_sd(layer) == pytest.approx(3e38)


def test_a_unit_is_saturated_if_shut_on_99_of_100_images():
    assert units.saturated(build(3, shut=[100, 99, 98])).tolist() == [True, True, False]
    assert units.saturated(build(2, images=1000, shut=[990, 989])).tolist() == [True, False]


def test_the_share_of_images_with_an_open_gate_is_that_of_those_not_shut():
    shut, nonfinite = np.array([0, 25, 100, 5], np.int32), np.array([0, 0, 0, 1], np.int32)
    layer = build(4, shut=shut, nonfinite=nonfinite)
    np.testing.assert_array_equal(units.open_share(layer), [1, 0.75, 0, np.nan])
    assert np.isnan(units.open_share(build(4, shut=shut, sup_gate=np.nan))).all()


def test_a_unit_is_dormant_relative_to_its_layers_mean():
    layer = build(4, mean_abs=[0.0, 0.024, 0.026, 3.95])  # The layer's mean is 1.
    assert units.dormant(layer).tolist() == [True, True, False, False]
    assert units.dormant(layer, 0.0).tolist() == [True, False, False, False]
    assert units.dormant(layer, 0.1).tolist() == [True, True, True, False]


def test_in_a_layer_whose_mean_is_zero_all_units_are_dormant():
    silent = build(3, mean_abs=0.0, sd=0.0)
    assert units.dormant(silent).tolist() == [True] * 3
    assert units.dormant(silent, 0.0).tolist() == [True] * 3
    assert units.constant(silent).tolist() == [True] * 3


def test_a_unit_stuck_at_minus_one_is_constant_but_lively_by_dormancy():
    layer = build(2, mean=[-1.0, 0.5], mean_abs=[1.0, 1.0], sd=[0.0, 1.0])
    assert units.constant(layer).tolist() == [True, False]
    assert units.dormant(layer).tolist() == [False, False]


def test_a_unit_is_constant_relative_to_its_layers_mean_sd():
    layer = build(4, sd=[0.0, 0.049, 0.051, 7.9])  # The layer's mean is 2.
    assert units.constant(layer).tolist() == [True, True, False, False]
    assert units.constant(layer, 0.1).tolist() == [True, True, True, False]


@pytest.mark.parametrize("name", MEASURES)
def test_a_non_finite_unit_has_no_other_state_and_makes_its_layers_fraction_nan(name):
    low = {"max_gate": 0, "mean_abs": 0, "sd": 0, "max_z": 0}
    layer = build(2, **low, shut=100, nonfinite=[0, 3])
    found = units.UNIT_MEASURES[name](layer)
    assert (found.tolist(), found.dtype) == ([True, False], np.bool_)
    assert np.isnan(units.LAYER_MEASURES[f"{name}_fraction"](layer))


def test_non_finite_units_are_counted_and_all_other_numbers_of_their_layer_are_nan():
    nan = np.nan
    layer = build(4, nonfinite=[0, 1, 0, 100], mean=[1, nan, 1, nan], sd=[1, nan, 1, nan])
    assert units.nonfinite(layer).tolist() == [False, True, False, True]
    found = {name: measure(layer) for name, measure in units.LAYER_MEASURES.items()}
    assert found.pop("nonfinite_fraction") == 0.5
    assert len(found) == len(units.LAYER_MEASURES) - 1
    assert all(np.isnan(value) for value in found.values()), found


def test_a_healthy_layer_has_a_fraction_of_zero_and_not_nan():
    layer = build(5)
    assert {name: float(units.LAYER_MEASURES[f"{name}_fraction"](layer)) for name in MEASURES} == (
        dict.fromkeys(MEASURES, 0.0)
    )
    assert units.LAYER_MEASURES["nonfinite_fraction"](layer) == 0


def test_layer_averages_are_those_worked_out_by_hand():
    layer = build(
        4, zeros=[100, 50, 0, 10], mean_gate=[0, 0.5, 1, 0.9], mean=[0, 2, 4, 2], sd=[1, 1, 1, 3]
    )
    assert units.zero_fraction(layer) == pytest.approx(0.4)
    assert units.mean_gate(layer) == pytest.approx(0.6)
    assert units.activation_mean(layer) == pytest.approx(2)
    # Variance within units (1 + 1 + 1 + 9) / 4 = 3, between them (4 + 0 + 4 + 0) / 4 = 2.
    assert units.activation_sd(layer) == pytest.approx(5**0.5)


def test_the_listed_measures_are_the_tables_columns():
    """In this order; new ones stand after them."""
    of_layers = (
        *(f"{name}_fraction" for name in MEASURES),
        "zero_fraction",
        "nonfinite_fraction",
        "mean_gate",
        "activation_mean",
        "activation_sd",
    )
    assert tuple(units.UNIT_MEASURES)[: len(MEASURES)] == MEASURES
    assert tuple(name for name in units.LAYER_MEASURES if name in of_layers) == of_layers


def test_each_listed_fraction_is_of_its_own_measure():
    layer = build(
        20,
        max_gate=[0.0] * 1 + [0.0005] * 1 + [1.0] * 18,
        max_z=[-1.0] * 3 + [1.0] * 17,
        shut=[100] * 4 + [0] * 16,
        mean_abs=[0.0] * 5 + [1.0] * 15,
        sd=[0.0] * 6 + [1.0] * 14,
    )
    found = [units.LAYER_MEASURES[f"{name}_fraction"](layer) for name in MEASURES]
    assert found == pytest.approx([1 / 20, 2 / 20, 3 / 20, 4 / 20, 5 / 20, 6 / 20])


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu"])
def test_summaries_joined_over_blocks_are_those_of_the_raw_activations(name):
    rng = np.random.default_rng(5)
    z = (rng.normal(size=(700, 12)) * 3 + np.linspace(-14, 5, 12)).astype(np.float32)
    a, gate, found = observe(z, name, sizes=[300, 300, 99, 1])
    wide, gates = a.astype(np.float64), np.abs(gate.astype(np.float64))
    assert (found.images, found.sup_gate) == (700, 1.0)
    assert found.nonfinite.tolist() == [0] * 12
    np.testing.assert_array_equal(found.zeros, (a == 0).sum(axis=0))
    np.testing.assert_array_equal(found.shut, (gates <= 0.001).sum(axis=0))
    np.testing.assert_array_equal(found.max_z, z.max(axis=0))
    np.testing.assert_array_equal(found.min_z, z.min(axis=0))
    np.testing.assert_allclose(found.max_gate, gates.max(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.mean, wide.mean(axis=0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.mean_abs, np.abs(wide).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.sd, wide.std(axis=0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.mean_gate, gate.mean(axis=0, dtype=np.float64), rtol=1e-5)
    assert all(getattr(found, array).shape == (12,) for array in units.ARRAYS)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu"])
def test_measures_are_those_of_the_raw_activations(name):
    rng = np.random.default_rng(6)
    z = (rng.normal(size=(400, 30)) * 2 + np.linspace(-16, 4, 30)).astype(np.float32)
    z[:, 3] = -40.0
    a, gate, found = observe(z, name, sizes=[150, 250])
    wide, gates = a.astype(np.float64), np.abs(gate.astype(np.float64))
    size, spread = np.abs(wide).mean(axis=0), wide.std(axis=0)
    expected = {
        "dead": (gates == 0).all(axis=0),
        "nearly_dead": (gates <= 0.001).all(axis=0),
        "always_negative": (z <= 0).all(axis=0),
        "saturated": (gates <= 0.001).mean(axis=0) >= 0.99,
        "dormant": size <= 0.025 * size.mean(),
        "constant": spread <= 0.025 * spread.mean(),
    }
    for measure, mask in expected.items():
        np.testing.assert_array_equal(units.UNIT_MEASURES[measure](found), mask, measure)
        fraction = units.LAYER_MEASURES[f"{measure}_fraction"](found)
        assert fraction == pytest.approx(mask.mean()), measure
    assert expected["always_negative"].sum() > 5
    assert expected["dead"].sum() == (expected["always_negative"].sum() if name == "relu" else 0)
    assert units.zero_fraction(found) == pytest.approx((a == 0).mean())
    assert units.mean_gate(found) == pytest.approx(gate.mean(dtype=np.float64), rel=1e-5)
    assert units.activation_mean(found) == pytest.approx(wide.mean(), rel=1e-5)
    assert units.activation_sd(found) == pytest.approx(wide.std(), rel=1e-5)


def test_a_tiny_variance_beside_minus_one_is_measured():
    """The spread is 1/100,000 of the value: in float32 the sums would lose it."""
    a = -1 + 1e-5 * np.where(np.arange(10_000) % 2, 1.0, -1.0)[:, None]
    blocks = blocks_of(a - 10, a, np.zeros_like(a), 1.0, [2500] * 4)
    found = units.summarise(blocks, 10_000, 1.0)
    assert found.mean[0] == -1
    assert found.sd[0] == pytest.approx(1e-5, rel=1e-3)


def test_the_spread_of_tiny_values_is_no_rounding():
    a = 1e-6 * (1 + 0.5 * np.where(np.arange(10_000) % 2, 1.0, -1.0))[:, None]
    blocks = blocks_of(a, a, np.zeros_like(a), 1.0, [2500] * 4)
    assert units.summarise(blocks, 10_000, 1.0).sd[0] == pytest.approx(5e-7)


def test_a_spread_lost_to_rounding_reads_zero_and_not_nan():
    a = np.full((1000, 3), [0.1, -1.0, 0.7])
    found = units.summarise(blocks_of(a, a, a, 1.0, [1000]), 1000, 1.0)
    assert (found.sd < 1e-7).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_unit_with_a_non_finite_value_in_any_block_has_nan_summaries(value):
    z = np.linspace(-1, 1, 60).reshape(20, 3)
    z[13, 1] = value
    with np.errstate(invalid="ignore"):
        _, _, found = observe(z, sizes=[10, 10])
    assert found.nonfinite.tolist() == [0, 1, 0]
    for name in ("max_z", "min_z", "mean", "mean_abs", "sd", "mean_gate", "max_gate"):
        assert np.isnan(getattr(found, name)).tolist() == [False, True, False], name
    assert not any(measure(found)[1] for measure in units.UNIT_MEASURES.values())


def test_a_column_of_nan_whose_maximum_was_dropped_is_not_dead():
    """Compiled, a maximum over NaN gives the lowest number instead."""
    lowest = float(np.finfo(np.float32).min)
    block = np.array([[100.0, 0, 0, np.nan, np.nan, np.nan, np.nan, lowest, lowest, lowest]])
    found = units.summarise(block[:, :, None], 100, 1.0)
    assert found.nonfinite.tolist() == [100]
    assert not any(measure(found)[0] for measure in units.UNIT_MEASURES.values())


def test_summaries_are_float32_and_counts_are_whole_numbers():
    _, _, found = observe(np.linspace(-1, 1, 20).reshape(10, 2))
    kinds = {name: getattr(found, name).dtype.name for name in units.ARRAYS}
    assert kinds == {
        "nonfinite": "int32",
        "max_z": "float32",
        "min_z": "float32",
        "mean": "float32",
        "mean_abs": "float32",
        "sd": "float32",
        "zeros": "int32",
        "mean_gate": "float32",
        "max_gate": "float32",
        "shut": "int32",
    }


def test_measures_take_all_epochs_of_a_run_at_once():
    """Each epoch is judged by its own layer mean, and is NaN or not by its own units."""
    epochs = [
        build(3, mean_abs=[0.02, 1, 1], sd=[1, 1, 0], max_gate=[0, 0, 1], mean=[0, 3, 0]),
        build(3, mean_abs=[0.02, 0.02, 0.02], nonfinite=[0, 0, 7], max_z=-1.0),
        build(3, mean_abs=[9, 9, 0.3], max_z=[-1, 1, 1], zeros=[0, 0, 100]),
    ]
    arrays = {name: np.stack([getattr(one, name) for one in epochs]) for name in units.ARRAYS}
    whole = UnitSummaries(images=100, sup_gate=1.0, **arrays)
    for name, measure in units.UNIT_MEASURES.items():
        expected = np.stack([measure(one) for one in epochs])
        np.testing.assert_array_equal(measure(whole), expected, name)
    for name, measure in units.LAYER_MEASURES.items():
        found = np.asarray(measure(whole))
        assert found.shape == (3,), name
        np.testing.assert_array_equal(np.isnan(found), [False, name != "nonfinite_fraction", False])
        np.testing.assert_allclose(found, [measure(one) for one in epochs], err_msg=name)
    assert units.dormant(whole)[0].tolist() == [False, False, False]
    assert units.dormant(whole, 0.05)[2].tolist() == [False, False, True]
    assert units.fraction(whole, units.dead(whole))[0] == pytest.approx(2 / 3)


def test_summaries_are_frozen_and_compared_by_identity():
    assert len({build(), build()}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        build().images = 3


def test_units_that_never_change_have_no_spread_however_their_sums_are_rounded():
    """Sums of 10,000 equal values, added one by one in blocks, as a compiled loop may."""
    values = np.random.default_rng(0).uniform(-3, 3, 300).astype(np.float32).astype(np.float64)
    values[150:] *= 1000
    blocks = np.zeros((13, 10, 300))
    for block in blocks:
        images = 800 if block is not blocks[-1] else 400
        for row, power in ((3, values), (4, abs(values)), (5, values**2)):
            block[row] = np.add.accumulate(np.tile(power, (images, 1)))[-1]
    layer = units.summarise(blocks, 10_000, 1.0)
    assert (layer.sd == 0).all()
    assert units.constant(layer).all()
