"""Surgery on a trained network: take neurons out, or wake the dead ones, and see what it changes.

cut = ablate(run)  # by default the neurons that are dead on every training image
print(cut.sentence)
removal_curve(run)  # test accuracy against neurons removed, in three orders
merge(run)  # leave one of each group of clones
revive(run)  # wake them, train on, and compare with the untouched twin
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lab.analysis.redundancy import check_threshold
from lab.census import clones, units
from lab.errors import InputError, RunError, check_whole, unknown
from lab.experiment import LARGEST_SEED, Dataset, IndexArray, RunConfig, split, task_dataset
from lab.layout import FloatArray, Weights, mlp
from lab.network import forward
from lab.runs import Run, one_run
from lab.training import EpochEnd, State, first_state, train

if TYPE_CHECKING:
    import keras
    import pandas as pd

Removed = tuple[IndexArray, ...]
BLOCK = 6_000
ORDERS = ("dead first", "at random", "least active first")
TREATMENTS = ("reset", "leaky")
OTHER_SEED = 1_000_003  # The reset units' new weights come from another seed than the first.


@dataclass(frozen=True, eq=False)
class Ablation:
    """A trained network without some of its neurons, and what that changed.

    Attributes:
        run: The run.
        removed: For each hidden layer, which units were taken out.
        weights: The weights of the narrower network.
        images: The number of training images on which the two networks were compared.
        changed: Training images to which it gives another class.
        largest_change: The largest difference of any class's score (logit) on them.
        largest_score: The largest |score| of the whole network, to judge the difference by.
        accuracy_before: Test accuracy of the whole network.
        accuracy: Test accuracy without the units.
    """

    run: Run
    removed: Removed
    weights: Weights
    images: int
    changed: int
    largest_change: float
    largest_score: float
    accuracy_before: float
    accuracy: float

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units that are left in each hidden layer: the effective widths."""
        return self.weights.layout.widths

    @property
    def parameters(self) -> int:
        """Numbers in the kernels and biases that are left."""
        return self.weights.layout.parameters

    @property
    def sentence(self) -> str:
        """What was taken out and what that changed, in words."""
        gone = " and ".join(
            f"{len(of_layer)} of {width} in layer {number}"
            for number, (of_layer, width) in enumerate(
                zip(self.removed, self.run.layout.widths, strict=True), start=1
            )
        )
        return (
            f"Without {gone}, {self.parameters:,} of {self.run.layout.parameters:,} parameters are "
            f"left. Of {self.images:,} training images {self.changed:,} get another class; no "
            f"score changes by more than {self.largest_change:.2g}, of at most "
            f"{self.largest_score:.3g}. Test accuracy: {100 * self.accuracy_before:.2f} % before, "
            f"{100 * self.accuracy:.2f} % after."
        )

    def model(self) -> "keras.Model":
        """Returns the narrower network as a plain Keras model.

        Raises:
            RunError: If a layer has no unit left.
        """
        from lab.network import build_model

        if 0 in self.hidden:
            empty = self.hidden.index(0) + 1
            raise RunError(f"Layer {empty} has no unit left, so there is no such Keras model.")
        model = build_model(self.run.config.model_copy(update={"hidden": self.hidden}))
        model.set_weights(list(self.weights))
        return model


def ablate(
    run: Run,
    units: Mapping[int, Iterable[int]] | None = None,
    dataset: Dataset | None = None,
) -> Ablation:
    """Takes units out of a trained network and compares it with the whole one.

    The next layer's bias takes over a unit's mean over the training images: 0 for a dead ReLU unit,
    -α for an ELU unit stuck at -α. Removing such a unit changes only the last bits, because sums of
    fewer numbers round differently.

    Args:
        run: A run that kept its weights.
        units: For each hidden layer, from 1, the units to take out, from 0. By default those that
            are dead on all training images.
        dataset: What the run was trained on; by default it is loaded by its name.

    Returns:
        The narrower network, and what changed: classes, scores, parameters and test accuracy.

    Raises:
        InputError: If `units` is not such a mapping.
        RunError: If there is no such layer or unit, if the run kept no weights, or if its network
            is not the textbook's.
    """
    one_run(run)
    removed = _dead(run) if units is None else _chosen(run, units)
    network = _Network(run, dataset)
    return _compared(network, removed, network.without(removed, network.weights))


def _compared(network: "_Network", removed: Removed, weights: Weights) -> Ablation:
    whole, narrow = network.train_scores, network.scores(weights, network.parts.train)
    return Ablation(
        run=network.run,
        removed=removed,
        weights=weights,
        images=len(whole),
        changed=int((whole.argmax(axis=1) != narrow.argmax(axis=1)).sum()),
        largest_change=float(np.abs(whole - narrow).max()),
        largest_score=float(np.abs(whole).max()),
        accuracy_before=network.test_accuracy(network.weights),
        accuracy=network.test_accuracy(weights),
    )


def merge(
    run: Run, dataset: Dataset | None = None, threshold: float = clones.THRESHOLD
) -> Ablation:
    """Keeps the first unit of each group of clones, which takes over the effect of the others.

    The straight line that gives another clone's activation from its own, by least squares on the
    probe set, says what to add to its outgoing weights and to the next layer's bias. Merging exact
    clones changes only the last bits.

    Args:
        run: A run that kept its weights.
        dataset: What the run was trained on; by default it is loaded by its name.
        threshold: The |correlation| on the probe set above which two units are joined.

    Returns:
        The narrower network, and what changed, as for `ablate`.

    Raises:
        InputError: If the threshold is not between 0 and 1.
        RunError: If the run kept no weights, or if its network is not the textbook's.
    """
    check_threshold(threshold)
    network = _Network(one_run(run), dataset)
    weights, removed = network.merged(threshold)
    return _compared(network, removed, network.without(removed, weights))


def removal_curve(
    run: Run, dataset: Dataset | None = None, steps: int = 20, seed: int = 0
) -> "pd.DataFrame":
    """Takes ever more units out, in three orders, and measures test accuracy.

    The orders: those that are dead on all training images first, then the others at random; all at
    random; the least active (mean |a| over the training images, of all hidden layers) first.

    Args:
        run: A run that kept its weights.
        dataset: What the run was trained on; by default it is loaded by its name.
        steps: The number of equal steps that take all units out; fewer if there are fewer units.
        seed: For the random orders.

    Returns:
        A row for each order and step: `order`, `removed`, `share`, `test_accuracy`.

    Raises:
        InputError: If `steps` is not from 1 to 1,000, or `seed` is not a seed.
        RunError: If the run kept no weights, or its network is not the textbook's.
    """
    import pandas as pd

    check_whole("steps", steps, 1, 1_000)
    check_whole("seed", seed, 0, LARGEST_SEED)
    network = _Network(one_run(run), dataset)
    total = sum(run.layout.widths)
    rows = []
    for order, ranking in zip(ORDERS, _rankings(network, seed), strict=True):
        for count in np.unique(np.linspace(0, total, steps + 1).astype(int)):
            removed = _by_layer(ranking[:count], run.layout.widths)
            accuracy = network.test_accuracy(network.without(removed, network.weights))
            rows.append((order, int(count), count / total, accuracy))
    return pd.DataFrame(rows, columns=["order", "removed", "share", "test_accuracy"])


def revive(
    run: Run,
    how: Literal["reset", "leaky"] = "reset",
    epochs: int = 5,
    dataset: Dataset | None = None,
) -> "pd.DataFrame":
    """Wakes the units that are dead on all training images, trains on, and compares with a twin.

    `reset` gives a dead unit new incoming weights from the run's distribution, the first bias, and
    outgoing weights of 0, so that the network's output does not change at first (Sokar et al.
    2023). `leaky` replaces the activation function by Leaky ReLU, α = 0.01. The twin trains on
    unchanged. Both get a fresh optimiser and the same batches.

    Args:
        run: A run that kept its weights.
        how: The treatment.
        epochs: For how many epochs both train on.
        dataset: What the run was trained on; by default it is loaded by its name.

    Returns:
        A row for each network (`untouched`, `revived`) and epoch: `validation_accuracy`, and for
        each hidden layer the share of units dead on the probe, `dead_1`, `dead_2`, …

    Raises:
        InputError: If there is no such treatment.
        RunError: If the run kept no weights, has not ended, or, for `reset`, does not have the
            textbook's network, or if it learns tasks, or has prelu or crelu.
    """
    import pandas as pd

    if how not in TREATMENTS:
        raise unknown("treatment", how, TREATMENTS)
    if one_run(run).config.tasks != "none":
        raise RunError(
            f"Run {run.run_id} learns tasks one after the other, and its dead units can be woken "
            f"only where it learns one: choose a run whose tasks is none."
        )
    if run.config.shapes_network:
        raise RunError(
            f"Run {run.run_id} has {run.config.title}, which decides which weights a network has: "
            f"its dead units cannot be woken. Choose a run with another activation function."
        )
    twin = RunConfig(**run.config.model_dump() | {"epochs": epochs})
    leaky = {"activation": "leaky_relu", "parameter": 0.01, "source_sha256": None}
    treated = twin if how == "reset" else RunConfig(**twin.model_dump() | leaky)
    if how == "reset":
        _check_textbook(run)
    weights = run.weights()
    changed = _reset(run, weights) if how == "reset" else weights
    states = {0: _start(twin, weights), 1: _start(treated, changed)}
    rows = []
    for event in train((twin, treated), run.trained_on(dataset), states):
        if isinstance(event, EpochEnd):
            dead = [float(units.fraction(layer, units.dead(layer))) for layer in event.layers]
            name = ("untouched", "revived")[event.run]
            rows.append((name, event.epoch, event.validation_accuracy, *dead))
    columns = ["network", "epoch", "validation_accuracy", *(f"dead_{n}" for n in run.layers)]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values(["network", "epoch"], ascending=[False, True], ignore_index=True)


def _check_textbook(run: Run) -> None:
    if not run.config.is_textbook:
        raise RunError(
            f"Run {run.run_id} has the network {run.config.size} with {run.config.title}; neurons "
            f"can be taken out or reset only in an mlp without normalization, with the input_scale "
            f"unit and with a function other than prelu and crelu."
        )


class _Network:
    """A trained network in NumPy, with what its units do on the training images."""

    def __init__(self, run: Run, dataset: Dataset | None) -> None:
        _check_textbook(run)
        self.run, self.weights = run, run.weights()
        images = run.trained_on(dataset)
        self.parts = split(images, run.config)
        self.images = task_dataset(images, run.config, run.last_kept_epoch)

    def scores(self, weights: Weights, which: IndexArray) -> FloatArray:
        """The class scores (logits) of some training images, shape (images, 10)."""
        return _scores(self.run.config, weights, self.images.x_train[which])

    @functools.cached_property
    def train_scores(self) -> FloatArray:
        """The class scores of the whole network on the training images."""
        return self.scores(self.weights, self.parts.train)

    @functools.cached_property
    def means(self) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
        """For each hidden layer the units' means of a and of |a| over the training images."""
        config, x = self.run.config, self.images.x_train
        sums = [np.zeros((2, width)) for width in self.run.layout.widths]
        for block in _blocks(self.parts.train):
            for total, z in zip(sums, forward(config, self.weights, x[block]), strict=False):
                a = config.f(z)
                total += (a.sum(axis=0, dtype=np.float64), np.abs(a).sum(axis=0, dtype=np.float64))
        return tuple((mean, size) for mean, size in (t / len(self.parts.train) for t in sums))

    def merged(self, threshold: float) -> tuple[Weights, Removed]:
        """Returns the weights with one unit for each group of clones, and the units to take out."""
        arrays = [array.astype(np.float64) for array in self.weights]
        removed = []
        probe = self.images.x_train[self.parts.probe]
        hidden = list(forward(self.run.config, self.weights, probe))[:-1]
        for z, kernel, bias in zip(hidden, arrays[2::2], arrays[3::2], strict=True):
            first, slope, offset = clones.lines(self.run.config.f(z), threshold)
            gone = np.flatnonzero(first != np.arange(len(first)))
            bias += offset[gone] @ kernel[gone]
            np.add.at(kernel, first[gone], slope[gone, None] * kernel[gone])
            kernel[gone] = 0.0
            removed.append(gone)
        together = tuple(array.astype(np.float32) for array in arrays)
        return Weights(self.weights.layout, together), tuple(removed)

    def without(self, removed: Removed, weights: Weights) -> Weights:
        """Those weights without these units of each hidden layer."""
        layers = self.run.layout.layers
        kernels, biases = (
            [of(layer).astype(np.float64) for layer in (*layers, len(layers) + 1)]
            for of in (weights.kernel, weights.bias)
        )
        for below, (gone, (mean, _)) in enumerate(zip(removed, self.means, strict=True)):
            biases[below + 1] += mean[gone] @ kernels[below + 1][gone]
            kernels[below] = np.delete(kernels[below], gone, axis=1)
            biases[below] = np.delete(biases[below], gone)
            kernels[below + 1] = np.delete(kernels[below + 1], gone, axis=0)
        config = self.run.config
        widths = tuple(len(bias) for bias in biases[:-1])
        narrow = mlp(widths, config.image_shape, config.classes)
        pairs = zip(kernels, biases, strict=True)
        return Weights(narrow, tuple(a.astype(np.float32) for pair in pairs for a in pair))

    def test_accuracy(self, weights: Weights) -> float:
        """The share of the test images that are classified right."""
        scores = _scores(self.run.config, weights, self.images.x_test)
        return float((scores.argmax(axis=1) == self.images.y_test).mean())


def _blocks(images: IndexArray) -> list[IndexArray]:
    return [images[first : first + BLOCK] for first in range(0, len(images), BLOCK)]


def _scores(config: RunConfig, weights: Weights, images: Any) -> FloatArray:
    blocks = [images[block] for block in _blocks(np.arange(len(images)))]
    return np.concatenate([list(forward(config, weights, block))[-1] for block in blocks])


def _dead(run: Run) -> Removed:
    return tuple(np.flatnonzero(run.confirmed(number)) for number in run.layers)


def _chosen(run: Run, chosen: Mapping[int, Iterable[int]]) -> Removed:
    if not isinstance(chosen, Mapping) or not all(np.iterable(of) for of in chosen.values()):
        raise InputError(
            f"units must name the units of each layer, such as {{1: [0, 5]}}, not {chosen!r}."
        )
    lists = {layer: list(of_layer) for layer, of_layer in chosen.items()}
    for layer, of_layer in lists.items():
        for unit in (0, *of_layer):
            run.check_unit(layer, unit)
    return tuple(np.unique(np.array(lists.get(n, []), dtype=np.intp)) for n in run.layers)


def _rankings(network: _Network, seed: int) -> tuple[IndexArray, ...]:
    """The units of all hidden layers, numbered consecutively, in each of the orders."""
    shuffled = np.random.default_rng(seed).permutation(sum(network.run.layout.widths))
    dead = np.concatenate([network.run.confirmed(number) for number in network.run.layers])
    size = np.concatenate([size for _, size in network.means])
    dead_first = shuffled[np.argsort(~dead[shuffled], kind="stable")]
    return dead_first, shuffled, np.argsort(size, kind="stable")


def _by_layer(numbers: IndexArray, hidden: Sequence[int]) -> Removed:
    ends = np.cumsum(hidden)
    layers = zip(ends - hidden, ends, strict=True)
    return tuple(np.sort(numbers[(numbers >= a) & (numbers < b)] - a) for a, b in layers)


def _reset(run: Run, weights: Weights) -> Weights:
    """Gives the dead units new incoming weights, the first bias, and outgoing weights of 0."""
    seed = (run.config.seed + OTHER_SEED) % (LARGEST_SEED + 1)
    other = run.config.model_copy(update={"seed": seed})
    dead = [run.confirmed(number) for number in run.layers]
    return weights.with_reset(dead, first_state(other).weights)


def _start(config: RunConfig, weights: Weights) -> State:
    return dataclasses.replace(first_state(config), weights=weights)
