"""What a unit does on the probe set: its summaries, and the measures derived from them.

Every measure is defined here, as a function of a layer's `UnitSummaries`; `UNIT_MEASURES` and
`LAYER_MEASURES` list them for the tables.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
Counts = NDArray[np.int32]
Floats = NDArray[np.float32]
Values = NDArray[np.float64]

NEARLY = 0.001
SATURATED_SHARE = 0.99
DORMANT_TAU = 0.025
CONSTANT_TAU = 0.025


@dataclass(frozen=True, eq=False)
class UnitSummaries:
    """What each unit of one hidden layer did on the probe set.

    z is a unit's pre-activation, a = f(z) its activation and f'(z) its gate, found by automatic
    differentiation of the trained function in float32. Arrays have shape (units,), or
    (epochs, units) for a whole run. The values of a unit that is non-finite on some image are NaN.

    Attributes:
        images: Number of probe images; for a convolution, whose units are channels, of images ×
            positions, which count as images below.
        sup_gate: sup |f'| of the activation function; NaN where f' is not bounded.
        nonfinite: Images on which z, a or the gate is NaN or infinite.
        max_z: Largest z.
        min_z: Smallest z.
        mean: Mean of a.
        mean_abs: Mean of |a|.
        sd: Standard deviation of a over the images.
        zeros: Images on which a = 0.
        mean_gate: Mean of f'(z).
        max_gate: Largest |f'(z)|.
        shut: Images on which |f'(z)| <= 0.001 · sup |f'|.
    """

    images: int
    sup_gate: float
    nonfinite: Counts
    max_z: Floats
    min_z: Floats
    mean: Floats
    mean_abs: Floats
    sd: Floats
    zeros: Counts
    mean_gate: Floats
    max_gate: Floats
    shut: Counts

    @property
    def finite(self) -> BoolArray:
        """Units whose every value is a finite number; only they can be dead or alive."""
        return np.equal(self.nonfinite, 0)


COUNTS = ("nonfinite", "zeros", "shut")
SUMS = ("sum", "sum_abs", "sum_square", "sum_gate")
SUMMED = (*COUNTS, *SUMS)
GREATEST = ("max_z", "max_minus_z", "max_gate")
REDUCTIONS = (*SUMMED, *GREATEST)
ARRAYS = {
    f.name: np.dtype(np.int32 if f.name in COUNTS else np.float32)
    for f in fields(UnitSummaries)
    if f.name not in ("images", "sup_gate")
}


def summarise(blocks: Values, images: int, sup_gate: float) -> UnitSummaries:
    """Joins one layer's blocks of probe images into every unit's summaries.

    Args:
        blocks: float64 of shape (blocks, 10, units), with a row for each of `REDUCTIONS`: how often
            the unit is non-finite, a = 0, the gate is shut; sums of a, |a|, a² and the gate; the
            largest z, -z and |gate|.
        images: Number of values of each unit in all blocks.
        sup_gate: sup |f'| of the activation function.

    Returns:
        The summaries, each of shape (units,).
    """
    summed = len(SUMMED)
    sums = dict(zip(SUMMED, blocks[:, :summed].sum(axis=0), strict=True))
    largest = dict(zip(GREATEST, blocks[:, summed:].max(axis=0), strict=True))
    counts = {name: sums[name].astype(np.int32) for name in COUNTS}
    mean, mean_square = sums["sum"] / images, sums["sum_square"] / images
    with np.errstate(invalid="ignore"):  # Infinity less infinity: a non-finite unit.
        variance = mean_square - mean**2
        rounding = images * np.finfo(np.float64).eps * mean_square
        sd = np.sqrt(np.where(variance <= rounding, 0.0, variance))
    floats = {
        "max_z": largest["max_z"],
        "min_z": -largest["max_minus_z"],
        "mean": mean,
        "mean_abs": sums["sum_abs"] / images,
        "sd": sd,
        "mean_gate": sums["sum_gate"] / images,
        "max_gate": largest["max_gate"],
    }
    known: dict[str, Any] = {
        name: np.where(counts["nonfinite"] > 0, np.nan, values).astype(np.float32)
        for name, values in floats.items()
    }
    return UnitSummaries(images, sup_gate, **counts, **known)


def dead(units: UnitSummaries) -> BoolArray:
    """Units whose gate is 0 on every probe image: no gradient passes, whatever the image.

    The gate is f'(z), with z what enters the activation function: with a normalisation, the
    normalised value. A channel of a convolution has a gate at every position of every image.
    """
    return units.finite & np.equal(units.max_gate, 0)


def nearly_dead(units: UnitSummaries, epsilon: float = NEARLY) -> BoolArray:
    """Units whose gate never exceeds epsilon · sup |f'|; comparable across activations."""
    return units.finite & (units.max_gate <= epsilon * units.sup_gate)


def always_negative(units: UnitSummaries) -> BoolArray:
    """Units whose pre-activation is never above 0: dead for ReLU, but not for Leaky ReLU or ELU."""
    return units.finite & (units.max_z <= 0)


def saturated(units: UnitSummaries) -> BoolArray:
    """Units whose gate is at most 0.001 · sup |f'| on 99 % of the probe images or more."""
    return units.finite & (units.shut >= SATURATED_SHARE * units.images)


def dormant(units: UnitSummaries, tau: float = DORMANT_TAU) -> BoolArray:
    """Units whose mean |a| is at most tau times their layer's mean (Sokar et al. 2023).

    Misleading for ELU and sigmoid: a unit stuck at -1 counts as lively. See `constant`.
    """
    return units.finite & (units.mean_abs <= tau * _layer_mean(units.mean_abs))


def constant(units: UnitSummaries, tau: float = CONSTANT_TAU) -> BoolArray:
    """Units whose standard deviation is at most tau times their layer's mean of it."""
    return units.finite & (units.sd <= tau * _layer_mean(units.sd))


def open_share(units: UnitSummaries) -> Values:
    """Share of the probe images on which each unit's gate is open: more than 0.001 · sup |f'|.

    NaN for a unit that is non-finite, and where f' is not bounded.
    """
    known = units.finite & applies(units, "shut")
    return np.where(known, 1 - units.shut / units.images, np.nan)


def applies(units: UnitSummaries, name: str) -> bool:
    """Tells whether a measure has a meaning: those that compare with sup |f'| may have none."""
    return name not in RELATIVE or not np.isnan(units.sup_gate)


def nonfinite(units: UnitSummaries) -> BoolArray:
    """Units with a NaN or infinite value on some probe image: neither dead nor alive."""
    return ~units.finite


def zero_fraction(units: UnitSummaries) -> Values:
    """Share of (unit, image) pairs with a = 0: sparsity, not death."""
    return _over_layer(units, units.zeros / units.images)


def mean_gate(units: UnitSummaries) -> Values:
    """Mean of f'(z) over units and images: how much gradient the layer lets through."""
    return _over_layer(units, units.mean_gate)


def activation_mean(units: UnitSummaries) -> Values:
    """Mean of a over units and images."""
    return _over_layer(units, units.mean)


def activation_sd(units: UnitSummaries) -> Values:
    """Standard deviation of a over units and images together."""
    between = units.mean - _layer_mean(units.mean)
    within = np.square(units.sd, dtype=np.float64)
    return np.sqrt(_over_layer(units, within + between**2))


def fraction(units: UnitSummaries, mask: BoolArray) -> Values:
    """Share of the layer's units in the mask; NaN once a unit of the layer is non-finite."""
    return _over_layer(units, mask)


def _layer_mean(values: Floats) -> Values:
    return np.asarray(values.mean(axis=-1, keepdims=True, dtype=np.float64))


def _over_layer(units: UnitSummaries, values: NDArray[Any]) -> Values:
    means = values.mean(axis=-1, dtype=np.float64)
    return np.asarray(np.where(units.finite.all(axis=-1), means, np.nan))


def _measured_fraction(units: UnitSummaries, name: str) -> Values:
    shares = fraction(units, UNIT_MEASURES[name](units))
    return shares if applies(units, name) else np.full_like(shares, np.nan)


RELATIVE = ("nearly_dead", "saturated", "shut")
UNIT_MEASURES: dict[str, Callable[[UnitSummaries], BoolArray]] = {
    "dead": dead,
    "nearly_dead": nearly_dead,
    "always_negative": always_negative,
    "saturated": saturated,
    "dormant": dormant,
    "constant": constant,
}
LAYER_MEASURES: dict[str, Callable[[UnitSummaries], Values]] = {
    **{
        f"{name}_fraction": functools.partial(_measured_fraction, name=name)
        for name in UNIT_MEASURES
    },
    "zero_fraction": zero_fraction,
    "nonfinite_fraction": lambda units: nonfinite(units).mean(axis=-1),
    "mean_gate": mean_gate,
    "activation_mean": activation_mean,
    "activation_sd": activation_sd,
}
