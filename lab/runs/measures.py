"""Measures: one number of a recorded run at its end, with its words, its unit and its worth."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lab.census import clones, units
from lab.errors import InputError, unknown
from lab.experiment import Dataset
from lab.runs.run import Run, data_of

if TYPE_CHECKING:
    import pandas as pd

Better = Literal["larger", "smaller", "neither"]
CURVES = {
    "train_loss": "training loss",
    "train_accuracy": "training accuracy, %",
    "validation_loss": "validation loss",
    "validation_accuracy": "validation accuracy, %",
}
BY_TASK = {
    "online_accuracy": "accuracy while learning, %",
    "end_accuracy": "accuracy at the task's end, %",
}
REDUNDANCY = {
    "clones_fraction": "share of clones",
    "effective_rank_fraction": "effective rank, as a share of the neurons",
    "stable_rank_fraction": "stable rank, as a share of the neurons",
}
TESTED = {"test_accuracy": "test accuracy, %", "test_loss": "test loss"}
OF_THE_NETWORK = (*TESTED, *CURVES, "dead", *REDUNDANCY)
OF_A_LAYER = ("dead_confirmed_fraction", *units.LAYER_MEASURES)
NAMES = (*OF_THE_NETWORK, *OF_A_LAYER)
FEWER_IS_BETTER = ("dead", "clones", "nearly_dead", "saturated", "dormant", "constant", "nonfinite")


@dataclass(frozen=True)
class Measure:
    """One number of a recorded run at its end.

    Attributes:
        name: Its name in the tables, such as `test_accuracy`.
        label: Its name in a sentence, such as `test accuracy`.
        unit: The unit of a difference: `points` (of a percentage), or nothing.
        scale: What the recorded number is multiplied with to be shown: 100 for shares.
        better: Which of two values is the better one; `neither` where neither is.
        worth: The smallest difference that is worth seeing, as it is shown.
        of: Takes the number from a run, as it is recorded.
    """

    name: str
    label: str
    unit: str
    scale: float
    better: Better
    worth: float
    of: Callable[[Run], float]

    def printed(self, run: Run) -> float:
        """Returns the number of a run that has ended, as it is shown; NaN if the run diverged."""
        return np.nan if run.diverged else self.scale * self.of(run)

    def mean(self, runs: Iterable[Run]) -> float:
        """Returns the mean over runs that have ended, as it is shown; NaN if one diverged."""
        return float(np.mean([self.printed(run) for run in runs]))

    @property
    def axis(self) -> str:
        """Its name on an axis, such as `test accuracy, %`."""
        return f"{self.label}, %" if self.unit else self.label


def measure(name: str, layer: int | None = None, dataset: Dataset | None = None) -> Measure:
    """Returns a measure by its name.

    Args:
        name: One of `NAMES`: test, validation and training losses and accuracies; `dead`, the
            share of all hidden units that are dead on all training images; those of
            `REDUNDANCY`, which `Runs.redundancy` measures on the last kept weights, summed over the
            layers and divided by the number of all hidden units; and for one layer
            `dead_confirmed_fraction`, the share that is dead, and all of `units.LAYER_MEASURES`,
            on the probe.
        layer: The hidden layer, from 1, of a layer's measure; nothing for the others.
        dataset: What the runs were trained on, for those of `REDUNDANCY`; by default it is loaded
            by its name.

    Raises:
        InputError: If there is no such measure, or if it needs a layer and gets none, or gets one
            and needs none.
    """
    if name not in NAMES:
        raise unknown("measure", name, NAMES)
    if name in OF_THE_NETWORK:
        if layer is not None:
            raise InputError(
                f"layer must be left out for {name}, a measure of the whole network, not {layer!r}."
            )
        return _redundant(name, dataset) if name in REDUNDANCY else _of_network(name)
    if not isinstance(layer, int | np.integer) or isinstance(layer, bool) or layer < 1:
        got = "it is missing" if layer is None else f"not {layer!r}"
        raise InputError(f"layer must be the number of a hidden layer, from 1, for {name}: {got}.")
    return _of_layer(name, int(layer))


def _of_network(name: str) -> Measure:
    if name == "dead":
        return _share(name, "share of dead neurons", "smaller", dead_share)
    label = {**TESTED, **CURVES}[name].removesuffix(", %")

    def of(run: Run) -> float:
        value = getattr(run.record if name in TESTED else run.record.epochs[-1], name)
        return np.nan if value is None else value

    if name.endswith("accuracy"):
        return Measure(name, label, "points", 100.0, "larger", 0.1, of)
    return Measure(name, label, "", 1.0, "smaller", 0.01, of)


def _redundant(name: str, dataset: Dataset | None) -> Measure:
    data, counted = data_of(dataset), name.removesuffix("_fraction")

    def of(run: Run) -> float:
        layers = run.redundancy(data(run))
        return float(sum(layer[counted] for layer in layers) / sum(run.layout.widths))

    return _share(name, REDUNDANCY[name], _better(name), of)


def _better(share: str) -> Better:
    return "smaller" if share.removesuffix("_fraction") in FEWER_IS_BETTER else "neither"


def _of_layer(name: str, layer: int) -> Measure:
    if name == "dead_confirmed_fraction":
        label = f"share of dead neurons in layer {layer}"
        return _share(name, label, "smaller", lambda run: run.confirmed_fraction(layer))
    words, where = layer_words(name), f"in layer {layer} (on the probe)"

    def of(run: Run) -> float:
        return float(recorded(run, name, layer)[-1])

    if not name.endswith("_fraction"):
        return Measure(name, f"{words} {where}", "", 1.0, "neither", 0.01, of)
    noun = {"zero_fraction": "activations"}.get(name, "neurons")
    return _share(name, f"share of {words} {noun} {where}", _better(name), of)


def _share(name: str, label: str, better: Better, of: Callable[[Run], float]) -> Measure:
    return Measure(name, label, "points", 100.0, better, 1.0, of)


def layer_words(name: str) -> str:
    """Returns a layer's measure in words: `dead_fraction` as `dead`."""
    return name.removesuffix("_fraction").replace("_", " ")


def recorded(run: Run, name: str, layer: int = 1) -> NDArray[Any]:
    """Returns a measure of a run at every epoch: one of `CURVES` or of `units.LAYER_MEASURES`.

    The epoch in which it diverged has no accuracy, so that no mean includes it.
    """
    if name in CURVES:
        values = np.array([getattr(epoch, name) for epoch in run.record.epochs], np.float64)
        if run.diverged and name.endswith("accuracy"):
            values[-1] = np.nan
        return values
    return units.LAYER_MEASURES[name](run.layer(layer))


def by_task(run: Run, name: str, layer: int = 1) -> NDArray[Any]:
    """Returns a measure of a run for each task that it has finished.

    Args:
        run: A run that learns tasks.
        name: One of

            - `online_accuracy`: on the training images, while the task is learned: the mean over
              all its steps;
            - `end_accuracy`: on the task's validation images at its end; for shuffled labels, which
              say nothing of other images, on the training images in its last epoch;
            - of a layer, at the task's end: `weight_norm`, `clones` (units),
              `effective_rank`, `stable_rank`, and all of `units.LAYER_MEASURES`;
            - `update_ratio`: the norm of what an epoch adds to the layer's kernel, divided by the
              kernel's norm before it; the mean over the task's epochs.
        layer: The hidden layer of a layer's measure, from 1.

    Returns:
        Shape (tasks + 1,): first of the untrained network, shown the first task, then of each task.

    Raises:
        InputError: If there is no such measure, or if the run learns no tasks.
        RunError: If there is no such layer, or its arrays cannot be read.
    """
    check_tasks(run)
    at_the_end = ("weight_norm", *clones.MEASURES)
    names = (*BY_TASK, *at_the_end, "update_ratio", *units.LAYER_MEASURES)
    if name not in names:
        raise unknown("measure", name, names)
    epochs = run.config.task_epochs
    if name == "online_accuracy":
        return _means_by_task(recorded(run, "train_accuracy"), epochs)
    if name == "end_accuracy":
        labels = run.config.tasks == "shuffled_labels"
        return recorded(run, "train_accuracy" if labels else "validation_accuracy")[::epochs]
    if name in at_the_end:
        return run.task_numbers(layer)[name][::epochs]
    if name == "update_ratio":
        norms = run.task_numbers(layer)
        ratios = norms["update_norm"][1:] / norms["weight_norm"][:-1]
        return _means_by_task(np.concatenate([[0.0], ratios]), epochs)
    return recorded(run, name, layer)[::epochs]


def check_tasks(run: Run) -> None:
    """Checks that a run learns tasks.

    Raises:
        InputError: If it does not.
    """
    if run.config.tasks == "none":
        raise InputError(f"Run {run.run_id} learns no tasks: lab.continual trains runs that do.")


def first_and_last(run: Run, name: str, layer: int = 1) -> tuple[float, float]:
    """Returns the mean of a measure over the first tasks of a run, and that over its last.

    The first and the last are a tenth of its tasks each, at least one: `Run.few_tasks`.

    Args:
        run: As for `by_task`.
        name: As for `by_task`.
        layer: As for `by_task`.

    Raises:
        InputError: As `by_task` does.
        RunError: As `by_task` does.
    """
    tasks, few = by_task(run, name, layer)[1:], run.few_tasks
    return float(tasks[:few].mean()), float(tasks[-few:].mean())


def _means_by_task(values: NDArray[Any], epochs: int) -> NDArray[Any]:
    """Returns the first of some values, one for each epoch, and their mean in each whole task."""
    whole = (len(values) - 1) // epochs
    means = values[1 : 1 + whole * epochs].reshape(whole, epochs).mean(axis=1)
    return np.concatenate([values[:1], means])


def dead_share(run: Run) -> float:
    """Returns the share of all hidden units that are dead on all training images."""
    return float(np.average(run.confirmed_fractions(), weights=run.layout.widths))


def by_seed(
    groups: Mapping[str, Iterable[Run]], name: str, layer: int | None = None
) -> "pd.DataFrame":
    """Returns a measure as it is shown: a row for each seed, a column for each group of runs.

    Args:
        groups: Runs by the name of their column, such as `runs.by_activation()`. A seed that one
            of them lacks is NaN there.
        name: The measure.
        layer: Its hidden layer, as for `measure`.

    Raises:
        InputError: If a group has two runs of one seed, or as `measure` does.
    """
    import pandas as pd

    shown = measure(name, layer)
    columns = {}
    for title, runs in groups.items():
        pairs = [(run.config.seed, shown.printed(run)) for run in runs]
        columns[title] = pd.Series(dict(pairs), dtype=float)
        if len(columns[title]) < len(pairs):
            raise InputError(f"{title} must have one run for each seed: choose by runs.where(…).")
    return pd.DataFrame(columns).rename_axis("seed")


def means(groups: Mapping[str, Iterable[Run]], columns: Mapping[str, Measure]) -> "pd.DataFrame":
    """Returns means over runs: a row for each group, a column for each measure as it is shown.

    Args:
        groups: Runs by the name of their row, such as `runs.by_activation()`.
        columns: Measures by the name of their column.
    """
    import pandas as pd

    rows = {
        title: {name: shown.mean(runs) for name, shown in columns.items()}
        for title, runs in groups.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")
