"""What reaches each layer in training: gates, gradients and updates, by depth and over epochs.

reached = flow([RunConfig(activation=name, hidden=(32,) * 8) for name in ("relu", "sigmoid")])
reached.table, reached.by_depth(), reached.over_epochs("gradient_norm")
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.census import units
from lab.errors import InputError, unknown
from lab.experiment import Dataset, RunConfig, fitted, load_dataset, split, task_in
from lab.figures import CaptionedFigure, of_analyses
from lab.layout import Weights
from lab.network import (
    Numbers,
    gradients_of,
    learning_rates,
    numbers_of,
    recipe_of,
    update,
)
from lab.studies import with_progress
from lab.system import in_own_thread, load_tensorflow
from lab.training import EpochEnd, batch_order, pulled_to, train

if TYPE_CHECKING:
    import pandas as pd

REACHED = {
    "mean_gate": of_analyses.LINEAR,
    "gradient_norm": "gradient norm",
    "update_ratio": "update / weights",
}


@dataclass(frozen=True, eq=False)
class Flow:
    """What reached each layer of some networks, at every epoch.

    Attributes:
        configs: The networks.
        table: A row for each network, epoch and layer: `network` (its place in `configs`),
            `activation`, `seed`, `epoch`, `layer` (from 1; the last is the output layer), and

            - `mean_gate`: the layer's mean of f'(z) on the probe set; NaN for the output layer;
            - `gradient_norm`: Euclidean norm of the gradient of the loss by the layer's kernel, on
              the batch that the next training step takes; NaN if no single kernel leads into it;
            - `update_ratio`: the norm of what that step adds to the kernel, divided by the kernel's
              norm.
    """

    configs: tuple[RunConfig, ...]
    table: "pd.DataFrame"

    def by_depth(self, name: str = "gradients-by-depth") -> CaptionedFigure:
        """Draws the three measures by layer: thin untrained, thick after the last epoch."""
        measures = {title: self._means(measure) for measure, title in REACHED.items()}
        return of_analyses.by_depth(measures, self._settings(), name)

    def over_epochs(
        self, measure: str = "gradient_norm", name: str = "gradients-over-epochs"
    ) -> CaptionedFigure:
        """Draws a measure over the epochs, a panel for each kind of network, a line for each layer.

        Raises:
            InputError: If there is no such measure.
        """
        if measure not in REACHED:
            raise unknown("measure", measure, REACHED)
        values = self._means(measure)
        return of_analyses.over_epochs(REACHED[measure], values, self._settings(), name)

    def _kinds(self) -> dict[RunConfig, list[int]]:
        """The places in `configs` of each kind of network, whatever the seed."""
        kinds: dict[RunConfig, list[int]] = {}
        for number, config in enumerate(self.configs):
            kinds.setdefault(config.model_copy(update={"seed": 0}), []).append(number)
        return kinds

    def _means(self, measure: str) -> dict[RunConfig, NDArray[np.float64]]:
        """Means over seeds of each kind, (epochs, layers); layers without it are left out."""
        return {kind: self._mean(numbers, measure) for kind, numbers in self._kinds().items()}

    def _mean(self, numbers: Sequence[int], measure: str) -> NDArray[np.float64]:
        rows = self.table[self.table.network.isin(numbers)]
        means = rows.pivot_table(measure, "epoch", "layer", dropna=False).to_numpy(float)
        return means[:, ~np.isnan(means[0])]

    def _settings(self) -> str:
        config, seeds = self.configs[0], len({config.seed for config in self.configs})
        network_size = config.size
        kinds = {(c.size, c.learning_rate, c.initializer) for c in self.configs}
        same = f"network {network_size}, {config.initializer}, {config.optimizer}, learning rate "
        said = f"{same}{config.learning_rate:g}, " if len(kinds) == 1 else ""
        return (
            f"{said}untrained and after {config.epochs} epochs, "
            f"{f'means of {seeds} seeds' if seeds > 1 else 'one seed'}"
        )


def flow(configs: RunConfig | Iterable[RunConfig], dataset: str | Dataset = "auto") -> Flow:
    """Trains networks and looks at what reaches each layer, before training and at every epoch.

    It uses no store: a record keeps no history of the optimiser, so even recorded runs are trained
    again.

    Args:
        configs: A network, or several.
        dataset: A name for `load_dataset`, or a data set.

    Returns:
        What reached each layer: `.table`, `.by_depth()` and `.over_epochs(measure)`.

    Raises:
        InputError: If there is no network, or if one does not fit the data set.
        DatasetMissingError: If the data set is not available.
    """
    import pandas as pd

    listed = isinstance(configs, Iterable) and not isinstance(configs, RunConfig | str)
    chosen: Any = tuple(configs) if listed else (configs,)
    if not chosen:
        raise InputError("configs must hold at least one network, and it is empty.")
    for config in chosen:
        if not isinstance(config, RunConfig):
            raise InputError(
                f"configs must be lab.RunConfig(…), or a list of them, not {config!r}."
            )
        if config.shrinks_or_perturbs:
            raise InputError(
                f"shrink and perturb must be left out, not {config.shrink:g} and "
                f"{config.perturb:g}: they change the weights between the steps that are measured."
            )
    data = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    chosen = tuple(fitted(config, data) for config in chosen)
    for config in chosen:
        split(data, config)
    rows = [
        row
        for event in with_progress(train(chosen, data), chosen, data)
        if isinstance(event, EpochEnd)
        for row in _rows(event, chosen[event.run], data)
    ]
    table = pd.DataFrame(rows).sort_values(["network", "epoch", "layer"], ignore_index=True)
    return Flow(chosen, table)


def _rows(event: EpochEnd, config: RunConfig, dataset: Dataset) -> Iterator[dict[str, Any]]:
    gates = [float(units.LAYER_MEASURES["mean_gate"](layer)) for layer in event.layers]
    weights = event.state.weights
    gradients = _next_gradients(event, config, dataset)
    updates = _next_update(event, config, dataset, gradients)
    for layer in (*weights.layout.layers, len(gates) + 1):
        yield {
            "network": event.run,
            "activation": config.title,
            "seed": config.seed,
            "epoch": event.epoch,
            "layer": layer,
            "mean_gate": gates[layer - 1] if layer <= len(gates) else np.nan,
            "gradient_norm": gradients.norm(layer),
            "update_ratio": updates.norm(layer) / weights.norm(layer),
        }


def _next_gradients(event: EpochEnd, config: RunConfig, dataset: Dataset) -> Weights:
    """Gradients on the first batch of the next epoch."""
    task = task_in(dataset, config, event.epoch + 1)
    order = batch_order(config, event.epoch + 1, task.train)
    batch = order[: config.batch_size]
    images, labels = task.seen(dataset.x_train[batch]), task.labels[batch]
    steps = event.epoch * -(-len(order) // config.batch_size)
    return gradients_of(config, event.state.weights, images, labels, steps)


@in_own_thread
def _next_update(
    event: EpochEnd, config: RunConfig, dataset: Dataset, gradients: Weights
) -> Weights:
    """What the next step of the run's optimiser adds to each array."""
    tf = load_tensorflow()
    steps = -(-len(task_in(dataset, config, event.epoch + 1).train) // config.batch_size)
    done = event.epoch * steps
    (rate,) = learning_rates(config, done, done + 1, steps)
    before, names = event.state.weights, [array.name for array in gradients.layout.trained]
    with tf.device("CPU:0"):
        after = [tf.Variable(before.named[name]) for name in names]
        slots = [tf.Variable(array) for array in event.state.slots]
        slopes = [tf.constant(gradients.named[name]) for name in names]
        number, numbers = tf.constant(done + 1, tf.float32), Numbers(*numbers_of(config))
        pull = [tf.constant(array) for array in pulled_to(config)]
        update(recipe_of(config), after, slots, slopes, number, rate, numbers, pull)
    moved = {n: a.numpy() - before.named[n] for n, a in zip(names, after, strict=True)}
    return gradients.with_arrays(moved)  # What is not trained has gradients of 0.
