"""Units that are alive and add little, in recorded runs: clones and ranks beside the dead.

table(lab.compare(keep_weights="every"))  # a row for each run, kept epoch and hidden layer
groups(run, layer=2)  # which units are clones of one another
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from lab.census import clones
from lab.errors import InputError
from lab.experiment import Dataset
from lab.runs import Run, Runs, one_run

if TYPE_CHECKING:
    import pandas as pd


def table(runs: Run | Iterable[Run], dataset: Dataset | None = None) -> "pd.DataFrame":
    """Counts the clones of each hidden layer and measures its ranks: `Runs.redundancy` of any runs.

    Args:
        runs: A run that kept its weights, or several.
        dataset: What they were trained on; by default it is loaded by its name.

    Returns:
        A row for each run, kept epoch and hidden layer, with the columns of `Runs.redundancy`.

    Raises:
        RunError: If a run kept no weights, or if the data set is another one.
    """
    return Runs([runs] if isinstance(runs, Run) else runs).redundancy(dataset)


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
    values = one_run(run).activations(run.trained_on(dataset), layer, epoch)
    numbers = clones.groups(values, threshold)
    found = [np.flatnonzero(numbers == number).tolist() for number in np.unique(numbers)]
    return sorted((group for group in found if len(group) > 1), key=len, reverse=True)


def check_threshold(threshold: float) -> None:
    """Checks the |correlation| above which units are clones.

    Raises:
        InputError: If it is not a number from 0 up to, but not including, 1.
    """
    if not isinstance(threshold, int | float) or not 0 <= threshold < 1:
        limits = "a number of at least 0 and below 1"
        raise InputError(f"threshold must be {limits}, not {threshold!r}.")
