"""Units that are alive and add little, in recorded runs: clones and ranks beside the dead.

table(lab.compare(keep_weights="every"))  # a row for each run, kept epoch and hidden layer
groups(run, layer=2)  # which units are clones of one another
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.census import clones, units
from lab.errors import InputError
from lab.experiment import Dataset
from lab.runs import Run, Runs, one_run

if TYPE_CHECKING:
    import pandas as pd


def table(runs: Run | Iterable[Run], dataset: Dataset | None = None) -> "pd.DataFrame":
    """Measures how much of each hidden layer is of use, on the probe set.

    Args:
        runs: A run that kept its weights, or several.
        dataset: What they were trained on; by default it is loaded by its name.

    Returns:
        A row for each run, epoch whose weights are kept, and hidden layer: `run_id`, `activation`,
        `seed`, `epoch`, `layer` (from 1), `units`, `dead` (units), `clones` (units that could be
        taken away so that one of each group of clones is left), `effective_rank`, `stable_rank`.
        Where a layer gave values that are not finite, the last three are NaN.
        See `lab.census.clones` for what these are.

    Raises:
        RunError: If a run kept no weights, or if the data set is another one.
    """
    import pandas as pd

    chosen = [runs] if isinstance(runs, Run) else Runs(runs)
    return pd.DataFrame([row for run in chosen for row in _rows(run, run.trained_on(dataset))])


def groups(
    run: Run,
    layer: int = 1,
    dataset: Dataset | None = None,
    epoch: int | None = None,
    threshold: float = clones.THRESHOLD,
) -> list[list[int]]:
    """Lists the groups of clones of a layer, largest first.

    Args:
        run: A run that kept its weights.
        layer: The hidden layer, from 1.
        dataset: What it was trained on; by default it is loaded by its name.
        epoch: The epoch at whose end; by default the last whose weights are kept.
        threshold: The |correlation| on the probe set above which two units are joined.

    Returns:
        The units of each group that has two or more, from 0.

    Raises:
        InputError: If the threshold is not between 0 and 1.
        RunError: As for `table`, or if there is no such layer.
    """
    check_threshold(threshold)
    values = activations(one_run(run), layer, run.trained_on(dataset), epoch)
    numbers = clones.groups(values, threshold)
    found = [np.flatnonzero(numbers == number).tolist() for number in np.unique(numbers)]
    return sorted((group for group in found if len(group) > 1), key=len, reverse=True)


def activations(
    run: Run, layer: int, dataset: Dataset, epoch: int | None = None
) -> NDArray[np.float32]:
    """Returns a layer's activations on the probe set, as `Run.pre_activations` shapes them."""
    when = run.last_kept_epoch if epoch is None else epoch
    return _activated(run, layer, when, run.pre_activations(dataset, layer, epoch))


def _activated(run: Run, layer: int, epoch: int, z: NDArray[np.float32]) -> NDArray[np.float32]:
    if not run.config.learns_slopes:
        return run.config.f(z)
    return run.config.function.function(z, run.slopes(layer)[epoch])


def check_threshold(threshold: float) -> None:
    """Checks the |correlation| above which units are clones.

    Raises:
        InputError: If it is not a number from 0 up to, but not including, 1.
    """
    if not isinstance(threshold, int | float) or not 0 <= threshold < 1:
        told = f"threshold must be a number of at least 0 and below 1, not {threshold!r}."
        raise InputError(told)


def _rows(run: Run, dataset: Dataset) -> Iterator[dict[str, Any]]:
    run.weights()  # It says so if the run kept none.
    dead = {layer: units.dead(run.layer(layer)).sum(axis=1) for layer in run.layers}
    for epoch in run.kept_epochs:
        for layer, z in zip(run.layers, run.each_pre_activations(dataset, epoch), strict=True):
            values = _activated(run, layer, epoch, z)
            yield {
                "run_id": run.run_id,
                "activation": run.config.activation,
                "seed": run.config.seed,
                "epoch": epoch,
                "layer": layer,
                "units": values.shape[-1],
                "dead": int(dead[layer][epoch]),
                **clones.measures(values),
            }
