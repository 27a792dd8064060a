"""One recorded run: its numbers, its units, its weights. Only `Run.model` needs TensorFlow."""

import dataclasses
import functools
import inspect
import itertools
import math
import os
import reprlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import numpy as np
from numpy.typing import NDArray

from lab import activations
from lab.census import UnitSummaries, clones, lives, units
from lab.errors import InputError, RunError, is_whole
from lab.experiment import Dataset, RunConfig, load_recorded, task_in
from lab.layout import Layout, Weights
from lab.network import activated, build_model, forward, network_of
from lab.runs.record import (
    LOCK,
    OF_TASKS,
    ArrayFile,
    Arrays,
    EpochNumbers,
    Record,
    Status,
    array_of,
    arrays_of,
    read_arrays,
    read_record,
)

if TYPE_CHECKING:
    import keras

# A file in place of a lock would outlive its holder. Older versions lack this option.
_CHOICES = inspect.signature(filelock.BaseFileLock.__init__).parameters
NO_FILE_INSTEAD: dict[str, Any] = (
    {"fallback_to_soft": False} if "fallback_to_soft" in _CHOICES else {}
)


@dataclass(frozen=True)
class Run:
    """One recorded run.

    Attributes:
        folder: Where it is kept.
        record: All that is known of it, but the arrays.
    """

    folder: Path
    record: Record

    @property
    def run_id(self) -> str:
        """Its readable, content-addressed name, such as `relu-seed0-3f2a1c9b`."""
        return self.record.run_id

    @property
    def config(self) -> RunConfig:
        """Its settings."""
        return self.record.settings

    @property
    def status(self) -> Status:
        """`running`, `finished`, `interrupted` or `diverged`.

        A run that has not ended is running while a process holds its lock, and else interrupted.
        """
        if self.ended:
            return self.record.status
        return "running" if _is_locked(self.folder) else "interrupted"

    @property
    def ended(self) -> bool:
        """Whether it finished or diverged."""
        return self.record.ended

    @property
    def diverged(self) -> bool:
        """Whether a weight or a loss became NaN or infinite."""
        return self.record.diverged

    @property
    def divergence(self) -> str:
        """When it diverged, and the layer where that began, in words; empty if it did not.

        If the user's own function overflows, z passes that point on its way to infinity.
        """
        if not self.diverged:
            return ""
        try:
            return f"Diverged in epoch {self.last_epoch}: {self._first_broken()}"
        except RunError:
            return f"Diverged in epoch {self.last_epoch}; where it began cannot be read."

    def _first_broken(self) -> str:
        """Says which layer was the first with a non-finite unit; of one epoch, the lowest."""
        broken = np.array([units.nonfinite(self.layer(n)).any(axis=1) for n in self.layers])
        if not broken.any():
            return "only the output layer went non-finite."
        epoch = int(broken.any(axis=0).argmax())
        layer = 1 + int(broken[:, epoch].argmax())
        when = "" if epoch == self.last_epoch else f", in epoch {epoch}"
        first = f"layer {layer} was the first whose neurons went non-finite{when}."
        own = self.record.own_activation
        if own is None or own.overflows is None:
            return first
        where = activations.beyond(own.overflows)
        return f"{first} Its function overflowed: in float32 value or slope is not finite {where}."

    @property
    def few_tasks(self) -> int:
        """How many tasks its first and its last ones are: a tenth of all, at least one.

        Where tasks show data sets in turn, they are whole rounds of these.
        """
        tasks, turn = self.config.task_count, max(1, len(self.config.members))
        return min(tasks, turn * math.ceil(max(1, tasks // 10) / turn))

    @property
    def last_epoch(self) -> int:
        """The last finished epoch; 0 is the untrained network."""
        return self.record.epochs[-1].epoch

    @property
    def last_kept_epoch(self) -> int:
        """The last epoch whose weights are kept; the last finished one if none is."""
        return max(self.kept_epochs, default=self.last_epoch)

    @property
    def seconds(self) -> float:
        """Time that training, validation and census took on one core."""
        return sum(
            e.train_seconds + e.validation_seconds + e.census_seconds for e in self.record.epochs
        )

    @property
    def title(self) -> str:
        """What it is, for a figure: activation function, data set, learning rate and seed."""
        config = self.config
        if outside := self.record.outside:
            return f"{outside.model}, trained outside the lab"
        return (
            f"{config.title}, {self.record.dataset}, learning rate {config.learning_rate:g}, "
            f"seed {config.seed}"
        )

    def knows(self, setting: str) -> bool:
        """Tells whether a setting is known: of a network trained outside the lab, not all are."""
        return self.record.outside is None or setting not in self.record.outside.unknown

    @property
    def sup_gate(self) -> float:
        """Sup |f'| of its activation function; NaN where f' is not bounded."""
        if own := self.record.own_activation:
            return own.sup_gate
        return activations.get(self.config.activation).largest_gate(self.config.parameter)

    def layer_words(self, number: int) -> str:
        """Returns what to call a hidden layer, from 1: `layer 2`, or `layer 2 · conv_2`."""
        name = self.layout.sites[number - 1].name
        return f"layer {number}" + ("" if name == f"dense_{number}" else f" · {name}")

    @property
    def layers(self) -> range:
        """The numbers of its hidden layers, from 1."""
        return self.layout.layers

    @property
    def layout(self) -> Layout:
        """What its network is made of."""
        return self.record.layout

    @functools.cached_property
    def _unit_files(self) -> list[Arrays]:
        return [self._read(file) for file in self.record.units]

    def layer(self, number: int) -> UnitSummaries:
        """Returns what every unit of a hidden layer did, arrays of shape (epochs, units).

        Args:
            number: The hidden layer, from 1.

        Raises:
            RunError: If there is no such layer, or its arrays cannot be read.
        """
        width = self._width(number)
        arrays = {name: self._unit_array(number, width, name) for name in units.ARRAYS}
        site = self.layout.sites[number - 1]
        images = self.record.probe_images * site.positions
        sup_gate = self.sup_gate if site.sup_gate is None else site.sup_gate
        return UnitSummaries(images, sup_gate, **arrays)

    def _width(self, number: int) -> int:
        _check("layer", number, self.layers, f"in run {self.run_id}")
        return self.layout.widths[number - 1]

    def _unit_array(self, number: int, width: int, name: str) -> NDArray[Any]:
        parts = [
            array_of(
                arrays,
                f"layer{number}.{name}",
                (file.last - file.first + 1, width),
                units.ARRAYS[name],
            )
            for file, arrays in zip(self.record.units, self._unit_files, strict=True)
        ]
        return np.concatenate(parts)

    def biases(self, number: int) -> NDArray[np.float32]:
        """Returns the biases of a hidden layer after every epoch, shape (epochs, units).

        NaN where the run did not record them: those of the untrained network are always known; runs
        of earlier versions have others only in the weights that they kept. NaN also for a layer
        without the biases of one single layer.

        Args:
            number: The hidden layer, from 1.

        Raises:
            RunError: If there is no such layer, or its arrays cannot be read.
        """
        biases = np.full((self.last_epoch + 1, self._width(number)), np.nan, np.float32)
        if self.layout.sites[number - 1].bias is None:
            return biases
        biases[0] = self.config.first_bias
        for epoch in self.kept_epochs:
            biases[epoch] = self.weights(epoch).bias(number)
        name = f"layer{number}.bias"
        for file, arrays in zip(self.record.units, self._unit_files, strict=True):
            if name in arrays:
                here = biases[file.first : file.last + 1]
                here[:] = array_of(arrays, name, here.shape)
        return biases

    def slopes(self, number: int) -> NDArray[np.float32]:
        """Returns the slopes that a hidden layer's units learned, shape (epochs, units).

        Args:
            number: The hidden layer, from 1.

        Raises:
            RunError: If there is no such layer, if its activation function learns no slopes, or if
                its arrays cannot be read.
        """
        shape = (self.last_epoch + 1, self._width(number))
        if self.layout.sites[number - 1].slope is None:
            raise RunError(f"{self.config.title} learns no slopes: only prelu does.")
        slopes = np.empty(shape, np.float32)
        for file, arrays in zip(self.record.units, self._unit_files, strict=True):
            here = slopes[file.first : file.last + 1]
            here[:] = array_of(arrays, f"layer{number}.slope", here.shape)
        return slopes

    def task_numbers(self, number: int) -> dict[str, NDArray[np.float32]]:
        """Returns what only runs that learn tasks record of a hidden layer.

        Args:
            number: The hidden layer, from 1.

        Returns:
            After every epoch, shape (epochs,): `weight_norm`, the Euclidean norm of the kernel
            behind the layer; `update_norm`, that of what the epoch has added to it. After the last
            epoch of every task, else NaN: `clones`, how many units could be taken away so that one
            of each group of clones is left; `effective_rank` and `stable_rank` of the layer's
            activations; all three on the probe set, as the task shows it, as `lab.census.clones`
            explains. NaN, too, where the run did not record them.

        Raises:
            RunError: If there is no such layer, or its arrays cannot be read.
        """
        self._width(number)
        found = {}
        for kind in OF_TASKS:
            values = np.full(self.last_epoch + 1, np.nan, np.float32)
            for file, arrays in zip(self.record.units, self._unit_files, strict=True):
                here = values[file.first : file.last + 1]
                if (name := f"layer{number}.{kind}") in arrays:
                    here[:] = array_of(arrays, name, here.shape)
            found[kind] = values
        return found

    def lives(self, number: int) -> lives.Lives:
        """Returns the life histories of a hidden layer's units, on the probe set.

        Args:
            number: The hidden layer, from 1.

        Raises:
            RunError: If there is no such layer, or its arrays cannot be read.
        """
        return lives.follow(self.layer(number))

    def last_summaries(self, number: int) -> UnitSummaries:
        """Returns a layer's summaries at the last epoch, arrays of shape (units,).

        Args:
            number: The hidden layer, from 1.

        Raises:
            RunError: If there is no such layer, or its arrays cannot be read.
        """
        layer = self.layer(number)
        last = {name: getattr(layer, name)[-1] for name in units.ARRAYS}
        return dataclasses.replace(layer, **last)

    def confirmed(self, number: int) -> units.BoolArray:
        """Returns which units of a layer, shape (units,), are dead on all training images.

        Args:
            number: The hidden layer, from 1.

        Raises:
            RunError: If the run has not ended, so that this is not known.
        """
        if self.record.confirmed is None:
            raise RunError(f"Run {self.run_id} has not ended: its dead units are not confirmed.")
        arrays = self._read(self.record.confirmed)
        return array_of(arrays, f"layer{number}.confirmed", (self._width(number),), np.bool_)

    def confirmed_fraction(self, number: int) -> float:
        """Returns the share of a layer's units that are dead on all training images.

        NaN before the run has ended, and where a unit of the layer is non-finite.

        Args:
            number: The hidden layer, from 1.

        Raises:
            RunError: If there is no such layer, or its arrays cannot be read.
        """
        self._width(number)
        if self.record.confirmed is None:
            return np.nan
        return float(units.fraction(self.last_summaries(number), self.confirmed(number)))

    def confirmed_fractions(self) -> list[float]:
        """Returns `confirmed_fraction` of each hidden layer."""
        return [self.confirmed_fraction(number) for number in self.layers]

    @property
    def kept_epochs(self) -> list[int]:
        """The epochs whose weights it keeps, in order."""
        return sorted({file.last for file in self._weight_files})  # Twice, if it can resume.

    @property
    def _weight_files(self) -> list[ArrayFile]:
        return [*self.record.weights, *([self.record.resume] if self.record.resume else [])]

    def check_epoch(self, epoch: int) -> None:
        """Checks that an epoch is recorded.

        Raises:
            RunError: If it is not.
        """
        _check("epoch", epoch, range(self.last_epoch + 1), f"in run {self.run_id}")

    def check_unit(self, layer: int, unit: int) -> None:
        """Checks that the run has this hidden layer, and the layer this unit.

        Raises:
            RunError: If there are not.
        """
        where = f"in layer {layer} of run {self.run_id}"
        _check("unit", unit, range(self._width(layer)), where)

    def weights(self, epoch: int | None = None) -> Weights:
        """Returns the network's arrays, by name; as a sequence, in the order of Keras.

        Those of the textbook's network are kernel and bias of every layer in order.

        Args:
            epoch: The epoch at whose end they are wanted; by default the last that was kept.

        Raises:
            RunError: If the run did not keep the weights of that epoch.
        """
        if epoch is None:
            epoch = self.last_kept_epoch
        for file in self._weight_files:
            if file.last == epoch:
                arrays = self._read(file)
                return Weights(self.layout, arrays_of(arrays, self.layout.arrays))
        self.check_epoch(epoch)
        kept = ", ".join(map(str, self.kept_epochs))
        which = f"of epoch {epoch}, but of: {kept}" if kept else "at all"
        raise RunError(
            f"Run {self.run_id} keeps no weights {which}. "
            f"A run trained with keep_weights='every' keeps those of every epoch."
        )

    def pre_activations(
        self, dataset: Dataset, layer: int, epoch: int | None = None
    ) -> NDArray[np.float32]:
        """Returns a layer's pre-activations z on the probe set as the epoch's task shows it.

        float32 of shape (images, units), or (images, height, width, units) for a convolution. The
        kept weights give z, with NumPy for the textbook's network, so the last bits may differ
        from those that the run saw.

        Args:
            dataset: The data set that the run was trained on.
            layer: The hidden layer, from 1.
            epoch: The epoch at whose end they are wanted; by default the last that was kept.

        Raises:
            RunError: If there is no such layer, if the run did not keep the weights of that
                epoch, or if the data set is another one.
        """
        self._width(layer)
        return next(itertools.islice(self.each_pre_activations(dataset, epoch), layer - 1, None))

    def each_pre_activations(
        self, dataset: Dataset, epoch: int | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """Computes the pre-activations of one hidden layer after the other; see `pre_activations`.

        Args:
            dataset: The data set that the run was trained on.
            epoch: The epoch at whose end they are wanted; by default the last that was kept.

        Raises:
            RunError: If the run did not keep the weights of that epoch, or if the data set is
                another one.
        """
        self.trained_on(dataset)
        weights = self.weights(epoch)
        task = task_in(dataset, self.config, self.last_kept_epoch if epoch is None else epoch)
        probe = task.seen(dataset.x_train[task.parts.probe])
        return itertools.islice(forward(self.config, weights, probe), len(self.layers))

    def activations(
        self, dataset: Dataset, layer: int, epoch: int | None = None
    ) -> NDArray[np.float32]:
        """Returns a layer's activations on the probe set; see `pre_activations`.

        Args:
            dataset: The data set that the run was trained on.
            layer: The hidden layer, from 1.
            epoch: The epoch at whose end they are wanted; by default the last that was kept.

        Returns:
            float32, of the shape of the pre-activations.

        Raises:
            RunError: As for `pre_activations`.
        """
        z = self.pre_activations(dataset, layer, epoch)
        return self.activated(layer, self.last_kept_epoch if epoch is None else epoch, z)

    def activated(self, layer: int, epoch: int, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the activations of a layer's pre-activations, with the slopes of that epoch."""
        return activated(self.config, self.weights(epoch), layer, z)

    def redundancy(
        self, dataset: Dataset | None = None, epoch: int | None = None
    ) -> list[dict[str, float]]:
        """Measures how many units of each hidden layer are clones, and the layer's ranks.

        They are computed once from the kept weights, on the probe set as the epoch's task shows it.

        Args:
            dataset: The data set that the run was trained on; by default it is loaded by its name.
            epoch: The epoch at whose end they are wanted; by default the last that was kept.

        Returns:
            For each hidden layer what `clones.measures` gives.

        Raises:
            RunError: If the run did not keep the weights of that epoch, or if the data set is
                another one.
            DatasetMissingError: If the data set is not given and not available.
        """
        when = self.last_kept_epoch if epoch is None else epoch
        if when not in self._redundancies:
            self.weights(when)  # Refuses before a data set is loaded.
            layers = zip(
                self.layers,
                self.each_pre_activations(self.trained_on(dataset), when),
                strict=True,
            )
            self._redundancies[when] = [
                clones.measures(self.activated(layer, when, z)) for layer, z in layers
            ]
        return self._redundancies[when]

    @functools.cached_property
    def _redundancies(self) -> dict[int, list[dict[str, float]]]:
        return {}

    def trained_on(self, dataset: Dataset | None = None) -> Dataset:
        """Returns the data set that the run was trained on: the one that is given, checked.

        Args:
            dataset: The data set; by default it is loaded by its name.

        Raises:
            InputError: If it is no data set.
            RunError: If it is another one.
            DatasetMissingError: If it is not given and not available.
        """
        if self.record.outside and dataset is None:
            raise RunError(
                f"Run {self.run_id} was trained outside the lab, which does not keep its inputs."
            )
        found = load_recorded(self.record.dataset) if dataset is None else dataset
        if not isinstance(found, Dataset):
            raise InputError(f"dataset must be a loaded data set, not {reprlib.repr(found)}.")
        if found.digest != self.record.dataset_digest:
            raise RunError(f"Run {self.run_id} was trained on other images than {found.name}.")
        return found

    def resume_arrays(self) -> tuple[tuple[NDArray[np.float32], ...], ...]:
        """Returns the arrays of an unfinished run beside its weights, as `training.State` has them.

        First the optimiser's, then those of continual backprop.
        """
        if self.record.resume is None:
            raise RunError(f"Run {self.run_id} is finished and keeps no optimiser state.")
        arrays = self._read(self.record.resume)
        replacement = self.layout.replacement if self.config.replacement_rate else []
        groups = (self.layout.slots(self.config.optimizer), replacement)
        return tuple(arrays_of(arrays, group) for group in groups)

    def model(self, epoch: int | None = None) -> "keras.Model":
        """Returns the trained network as a plain, compiled Keras model.

        Args:
            epoch: The epoch at whose end it is wanted; by default the last that was kept.

        Raises:
            RunError: If the run did not keep the weights of that epoch, if its network was trained
                outside the lab, or if its activation function is a user's own that is not
                registered here: the message has its source.
        """
        if self.record.outside:
            raise RunError(
                f"Run {self.run_id} was trained outside the lab, which cannot "
                f"build it: run.weights() has the arrays that it keeps."
            )
        weights = self.weights(epoch)
        self._check_registered()
        steps = -(-self.record.train_images // self.config.batch_size)
        model = build_model(self.config, steps)
        model.set_weights(list(weights))
        return model

    def _check_registered(self) -> None:
        own = self.record.own_activation
        sources = (own.source if own else None, self.record.own_network)
        for known, source in zip((_function_of, network_of), sources, strict=True):
            try:
                known(self.config)
            except InputError as error:
                recorded = f" Its recorded source:\n{source}" if source else ""
                raise RunError(f"{error}{recorded}") from None

    def is_whole(self) -> bool:
        """Tells whether its arrays can be read: every layer's units, and the weights it names."""
        try:
            self.check_whole()
        except RunError:
            return False
        return True

    def check_whole(self) -> None:
        """Checks that its arrays can be read: every layer's units, and the weights it names.

        Raises:
            RunError: If not, with the reason.
        """
        self.confirmed_fractions()
        for epoch in self.kept_epochs:
            self.weights(epoch)
        for number in self.layers:
            self.layer(number)
            self.task_numbers(number)

    def size(self) -> int:
        """Returns the bytes that the run takes on disk.

        Raises:
            RunError: If its folder cannot be read.
        """
        try:
            return sum(map(_size, list(self.folder.iterdir())))
        except OSError as error:
            raise RunError(f"Run {self.run_id} cannot be read: {error.strerror}.") from None

    def _read(self, file: ArrayFile) -> Arrays:
        return read_arrays(self.folder, self.record, file)


def data_of(dataset: Dataset | None = None) -> Callable[[Run], Dataset]:
    """Returns what finds the data set of one run after the other, and loads it once.

    Args:
        dataset: The data set of all of them; by default each is loaded by its name.
    """
    load = functools.lru_cache(maxsize=1)(load_recorded)

    def of(run: Run) -> Dataset:
        given = dataset is not None or run.record.outside
        return run.trained_on(dataset if given else load(run.record.dataset))

    return of


def have_the_same_bits(one: Run, other: Run) -> bool:
    """Tells whether two runs have the same numbers and unit summaries, bit for bit.

    What only runs that learn tasks record counts where both did so: earlier versions recorded less.
    """
    if _bits(one) != _bits(other):
        return False
    pairs = (pair for number in one.layers for pair in task_numbers_of_both(one, other, number))
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


def task_numbers_of_both(
    one: Run, other: Run, number: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yields what two runs recorded of a layer, as `Run.task_numbers`, where both did so.

    Args:
        one: A run.
        other: A run of the same network.
        number: The hidden layer, from 1.
    """
    ours, theirs = one.task_numbers(number), other.task_numbers(number)
    for name, values in ours.items():
        if not (np.isnan(values).all() or np.isnan(theirs[name]).all()):
            yield values, theirs[name]


def _bits(run: Run) -> list[bytes]:
    """Returns what was measured in a run as bytes, so that NaN is equal to NaN."""
    names = [name for name in EpochNumbers.model_fields if not name.endswith("_seconds")]
    epochs = [[getattr(epoch, name) for name in names] for epoch in run.record.epochs]
    ends = [run.record.test_loss, run.record.test_accuracy]
    arrays = [getattr(run.layer(n), name) for n in run.layers for name in units.ARRAYS]
    confirmed = [run.confirmed(n) for n in run.layers if run.record.confirmed]
    numbers = [np.array(values, np.float64) for values in (epochs, ends)]
    return [array.tobytes() for array in (*numbers, *arrays, *confirmed)]


def one_run(run: Any) -> Run:
    """Checks that something is a run, and returns it.

    Raises:
        InputError: If it is something else, such as the runs that `lab.compare` gives.
    """
    if not isinstance(run, Run):
        raise InputError(f"run must be one recorded run, such as runs[0], not {reprlib.repr(run)}.")
    return run


def _function_of(config: RunConfig) -> activations.Activation:
    return config.function


def _check(name: str, value: Any, allowed: range, where: str) -> None:
    if not is_whole(value) or value not in allowed:
        limits = f"from {allowed[0]} to {allowed[-1]}"
        raise RunError(f"{name} must be {limits} {where}, not {value!r}.")


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0  # Its writer has removed it just now.


def lock_of(folder: Path, timeout: float) -> filelock.BaseFileLock:
    """Returns the lock of a run, as the operating system has it: free when its holder ends."""
    return filelock.FileLock(folder / LOCK, timeout=timeout, **NO_FILE_INSTEAD)


def _is_locked(folder: Path) -> bool:
    if not os.path.exists(folder / LOCK):  # Path.exists raises without permission.
        return False
    try:
        with lock_of(folder, timeout=0):
            return False
    except filelock.Timeout:
        return True
    except (OSError, NotImplementedError):
        return False


def iterate(folders: Sequence[Path]) -> Iterator[tuple[Path, Run | RunError]]:
    """Yields each folder with its run, or with the reason why it cannot be read."""
    for folder in folders:
        try:
            yield folder, Run(folder, read_record(folder))
        except RunError as error:
            yield folder, error
