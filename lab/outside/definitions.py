"""What public tools call dead, counted on one network beside the lab's own count.

Each definition is one function of the sums of a layer's activations, with its source. It
follows the tool's code where that is public, and its documentation where it is not.
"""

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.census import units
from lab.errors import InputError
from lab.layout import Site
from lab.outside.observer import Activations
from lab.outside.recorder import Observes, Recorder
from lab.outside.recording import lab_name

if TYPE_CHECKING:
    import pandas as pd

FIRST_INPUTS = 2000
Sums = NDArray[np.float64]
Counts = NDArray[np.int64]
Found = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Activity:
    """Sums of a layer's activations a over all inputs and positions; by unit: shape (units,).

    Attributes:
        values: How many values each unit has.
        sum: Their sum.
        sum_abs: Sum of |a|.
        first_abs: Sum of |a| on the first 2,000 inputs.
        zeros: How often a = 0.
        tiny: How often |a| < 1e-7.
        above: How often a > 0.
        near_zero: How often a <= 0.05.
        lowest: How often |a| < 0.25.
        to_ten: How often |a| <= 10.
    """

    values: int
    sum: Sums
    sum_abs: Sums
    first_abs: Sums
    zeros: Counts
    tiny: Counts
    above: Counts
    near_zero: Counts
    lowest: Counts
    to_ten: Counts

    @classmethod
    def of(cls, a: Activations, before: int = 0) -> "Activity":
        """Adds up one batch.

        Args:
            a: Activations of shape (inputs, positions, units).
            before: How many inputs came in batches before.
        """
        size = np.abs(a)
        return cls(
            values=a.shape[0] * a.shape[1],
            sum=_total(a),
            sum_abs=_total(size),
            first_abs=_total(size[: max(0, FIRST_INPUTS - before)]),
            zeros=_number(a == 0),
            tiny=_number(size < 1e-7),
            above=_number(a > 0),
            near_zero=_number(a <= 0.05),
            lowest=_number(size < 0.25),
            to_ten=_number(size <= 10),
        )

    def __add__(self, other: "Activity") -> "Activity":
        """Adds the next batch."""
        parts = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return Activity(**parts)

    @property
    def all_values(self) -> int:
        """How many values all units have together."""
        return self.values * len(self.sum)


def keras_contrib(layer: Activity) -> Found:
    """Units whose activations over all inputs, and places of a channel, sum to 0.

    The tool looks at layers with weights and `activation="relu"` only, and in training mode; here
    it is given the network in inference mode.

    Source: keras-contrib, `callbacks/dead_relu_detector.py`, `DeadReluDetector.on_epoch_end`.
    """
    return _units(layer.sum == 0)


def fastai_near_zero(layer: Activity) -> Found:
    """Values a <= 0.05, also those far below 0.

    The tool looks at one training batch at a time, at the layers that it is given.

    Source: fastai 2, `callback/hook.py`, `ActivationStats.hook`: `near_zero`.
    """
    return int(layer.near_zero.sum()), layer.all_values


def fastai_histogram(layer: Activity) -> Found:
    """Values |a| < 0.25, of those up to 10: the lowest of 40 bins from 0 to 10.

    Source: fastai's course of 2022, `miniai/activations.py`: `append_stats` and `get_min`, drawn by
    `ActivationStats.dead_chart`.
    """
    return int(layer.lowest.sum()), int(layer.to_ten.sum())


def sagemaker(layer: Activity) -> Found:
    """ReLU units with a > 0 on less than 1 % of their values: `threshold_inactivity`.

    The rule's code is not public, and its page does not say whether a channel counts as one: here
    it does.

    Source: Amazon SageMaker, Debugger built-in rules, DeadRelu.
    """
    return _units(layer.above < 0.01 * layer.values)


def sagemaker_layer(layer: Activity) -> Found:
    """The layer, if more than 50 % of its units are inactive: `threshold_layer`.

    Source: as for `sagemaker`.
    """
    inactive, of = sagemaker(layer)
    return int(inactive > 0.5 * of), 1


def redo(layer: Activity, tau: float) -> Found:
    """Units whose mean |a| is at most τ times the layer's mean of it: τ-dormant.

    Source: Sokar et al. 2023, The dormant neuron phenomenon in deep reinforcement learning,
    definition 3.1; Dopamine, `labs/redo/weight_recyclers.py`, `estimate_neuron_score`.
    """
    mean = layer.sum_abs / layer.values
    return _units(mean / (mean.mean() + 1e-9) <= tau)


def redo_0(layer: Activity) -> Found:
    """Units that are dormant with τ = 0: see `redo`."""
    return redo(layer, 0.0)


def redo_0_025(layer: Activity) -> Found:
    """Units that are dormant with τ = 0.025: see `redo`."""
    return redo(layer, 0.025)


def redo_0_1(layer: Activity) -> Found:
    """Units that are dormant with τ = 0.1: see `redo`."""
    return redo(layer, 0.1)


def dohare(layer: Activity) -> Found:
    """Units with a = 0 on the first 2,000 inputs, and places of a channel.

    Source: Dohare et al. 2024, Loss of plasticity in deep continual learning, Nature 632; their
    code, `lop/permuted_mnist/online_expr.py`.
    """
    return _units(layer.first_abs == 0)


def plasticity_demo(layer: Activity) -> Found:
    """Units with |a| < 1e-7 on more than 95 % of their values.

    Source: Joudaki, loss-of-plasticity, `src/utils/metrics.py`, `measure_dead_neurons`.
    """
    return _units(layer.tiny > 0.95 * layer.values)


def zeros(layer: Activity) -> Found:
    """Values a = 0: what many scripts call dead. It is sparsity.

    Source: none; `zero_fraction` of the lab's tables.
    """
    return int(layer.zeros.sum()), layer.all_values


class Definition(NamedTuple):
    """One definition of dead.

    Attributes:
        name: Its name in the table.
        counts: What it counts: units, values or layers.
        function: Returns how many are dead, and of how many.
        source: Where it is defined.
        is_for_relu: Whether the tool applies it only to ReLU.
    """

    name: str
    counts: str
    function: Callable[[Activity], Found]
    source: str
    is_for_relu: bool = False


LAB = "the lab"
SOURCE = "gate f'(z) = 0 on every input"
_REDO = "Sokar et al. 2023; Dopamine, weight_recyclers.py"
_SAGEMAKER = "SageMaker Debugger, rule DeadRelu"
DEFINITIONS = (
    Definition("keras-contrib", "units", keras_contrib, "DeadReluDetector", is_for_relu=True),
    Definition(
        "Dohare et al., 2,000 inputs", "units", dohare, "Dohare et al. 2024; online_expr.py"
    ),
    Definition("ReDo, τ = 0", "units", redo_0, _REDO),
    Definition("ReDo, τ = 0.025", "units", redo_0_025, _REDO),
    Definition("ReDo, τ = 0.1", "units", redo_0_1, _REDO),
    Definition("SageMaker, a > 0 on < 1 %", "units", sagemaker, _SAGEMAKER, is_for_relu=True),
    Definition("a ≈ 0 on > 95 %", "units", plasticity_demo, "loss-of-plasticity, metrics.py"),
    Definition("SageMaker, layer", "layers", sagemaker_layer, _SAGEMAKER, is_for_relu=True),
    Definition("share of zeros", "values", zeros, "many scripts"),
    Definition("fastai, a ≤ 0.05", "values", fastai_near_zero, "fastai, ActivationStats"),
    Definition("fastai's course, |a| < 0.25", "values", fastai_histogram, "miniai, dead_chart"),
)


def definitions(census: Recorder) -> "pd.DataFrame":
    """Counts what is dead in one network on one probe, by every public definition and the lab's.

    ::

        census = lab.Census.of(model, x)
        lab.definitions(census)

    The network is taken as it is now, in inference mode, batch by batch.

    Args:
        census: A `lab.Census` that was given to `fit`, `lab.Census.of(model, x)`, or what
            `lab.watch` gives.

    Returns:
        A row for each layer and definition, with the columns layer, definition, counts (units,
        values or layers), count, of, share and source. Where a tool looks only at ReLU and the
        layer has another function, count and share are missing.

    Raises:
        InputError: If it is not a census.
        RunError: If the census has no network yet.
    """
    import pandas as pd

    if not isinstance(census, Recorder):
        raise InputError(
            f"census must be a lab.Census, such as lab.Census.of(model, x), not a "
            f"{type(census).__name__}."
        )
    observer = census.observer
    dead = [units.dead(layer) for layer in observer.observe().layers]
    sites = zip(observer.layout.sites, _activities(observer), dead, strict=True)
    table = pd.DataFrame([row for site in sites for row in _rows(*site)])
    return table.astype({"count": "Int64"})


def _activities(observer: Observes) -> list[Activity]:
    """Adds up the activations of every layer, batch by batch."""
    before, batches = 0, []
    for batch in observer.activations():
        batches.append([Activity.of(a, before) for a in batch])
        before += len(batch[0])
    return [functools.reduce(operator.add, layer) for layer in zip(*batches, strict=True)]


def _rows(site: Site, layer: Activity, dead: Any) -> list[dict[str, Any]]:
    is_relu = lab_name(site.function or "") == "relu"
    rows = [_row(site, LAB, "units", *_units(dead), SOURCE)]
    for one in DEFINITIONS:
        count, of = one.function(layer)
        applies = is_relu or not one.is_for_relu
        rows.append(_row(site, one.name, one.counts, count if applies else None, of, one.source))
    return rows


def _row(
    site: Site, name: str, counts: str, count: int | None, of: int, source: str
) -> dict[str, Any]:
    share = np.nan if count is None else count / of
    return {
        "layer": site.name,
        "definition": name,
        "counts": counts,
        "count": count,
        "of": of,
        "share": share,
        "source": source,
    }


def _units(flags: Any) -> Found:
    return int(flags.sum()), len(flags)


def _total(values: Activations) -> Sums:
    return np.asarray(values.sum(axis=(0, 1), dtype=np.float64))


def _number(flags: NDArray[np.bool_]) -> Counts:
    return np.asarray(np.count_nonzero(flags, axis=(0, 1)))
