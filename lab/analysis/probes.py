"""How many images it takes to know a dead neuron: the apparent dead fraction by the probe's size.

A neuron looks dead as long as no image looked at opens its gate. With more images, fewer neurons
look dead; all training images together tell the truth.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lab import plots
from lab.errors import InputError, is_whole
from lab.experiment import Dataset, RunConfig, split, stratified_order, task_dataset
from lab.figures import CaptionedFigure, of_analyses
from lab.network import programs
from lab.runs import Run, one_run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Results by settings and digests, so that a front end shown again does not wait again.
_known: dict[tuple[RunConfig, str, str, int], list[NDArray[np.intp]]] = {}
SIZES = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


def first_open(run: Run, layer: int = 1, dataset: Dataset | None = None) -> NDArray[np.intp]:
    """Returns for every unit how many images it takes until one opens its gate.

    It looks at all training images, in the order in which probes grow: each prefix is stratified by
    class.

    Args:
        run: A run that kept its weights.
        layer: The hidden layer, from 1.
        dataset: What the run was trained on; by default it is loaded by its name.

    Returns:
        Shape (units,): 1 if the first image opens it; the number of training images plus 1 if none
        does.

    Raises:
        RunError: If there is no such layer, if the run kept no weights, or if the data set is
            another one.
    """
    one_run(run).check_unit(layer, 0)
    weights = run.weights()
    images = run.trained_on(dataset)
    digest = hashlib.sha256(b"".join(array.tobytes() for array in weights)).hexdigest()
    key = run.config, digest, images.digest, run.last_kept_epoch
    if key not in _known:
        train = split(images, run.config).train
        order = train[stratified_order(images.y_train[train])]
        seen = task_dataset(images, run.config, run.last_kept_epoch).x_train
        _known[key] = programs.first_open(run.config, weights, seen, order)
    return 1 + _known[key][layer - 1]


def by_size(
    run: Run, layer: int = 1, dataset: Dataset | None = None, sizes: Sequence[int] = SIZES
) -> "pd.DataFrame":
    """Returns the share of units that look dead on ever more images.

    Args:
        run: A run that kept its weights.
        layer: The hidden layer, from 1.
        dataset: What the run was trained on; by default it is loaded by its name.
        sizes: Numbers of images; those above the number of training images are left out, and that
            number is added.

    Returns:
        A row for each size: `images`, `dead_fraction`, and `wrong`, the number of units that look
        dead but are opened by another training image.

    Raises:
        InputError: If a size is not a whole number of at least 1.
        RunError: As for `first_open`.
    """
    import pandas as pd

    if not isinstance(sizes, Sequence):
        raise InputError(f"sizes must be a list of numbers of images, not {sizes!r}.")
    for size in sizes:
        if not is_whole(size) or size < 1:
            raise InputError(f"sizes must be whole numbers of at least 1, not {size!r}.")
    found = first_open(run, layer, dataset)
    total = run.record.train_images
    chosen = sorted({size for size in sizes if size < total} | {total})
    truth = int((found > total).sum())
    dead = [int((found > size).sum()) for size in chosen]
    return pd.DataFrame(
        {
            "images": chosen,
            "dead_fraction": np.array(dead) / len(found),
            "wrong": np.array(dead) - truth,
        }
    )


def draw(run: Run, dataset: Dataset | None = None, ax: "Axes | None" = None) -> "Axes":
    """Draws for each hidden layer the share of units that look dead, by the number of images.

    Args:
        run: A run that kept its weights.
        dataset: What the run was trained on; by default it is loaded by its name.
        ax: Where to draw.

    Raises:
        RunError: As for `first_open`.
    """
    return plots.probe_sizes(_tables(run, dataset), ax)


def picture(run: Run, dataset: Dataset | None = None) -> CaptionedFigure:
    """Draws the share of neurons that look dead by the number of images, with its words.

    Args:
        run: A run that kept its weights.
        dataset: What the run was trained on; by default it is loaded by its name.

    Raises:
        RunError: As for `first_open`.
    """
    return of_analyses.probe_sizes(_tables(run, dataset), run.title)


def _tables(run: Run, dataset: Dataset | None) -> "dict[int, pd.DataFrame]":
    return {layer: by_size(run, layer, dataset) for layer in run.layers}
