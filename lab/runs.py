"""Recorded runs and their tidy tables. Nothing here needs TensorFlow, but `Run.model`."""

import dataclasses
import functools
import hashlib
import itertools
import json
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, overload

import filelock
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from lab import activations, units
from lab.config import RunConfig
from lab.errors import RunError
from lab.units import UnitSummaries

if TYPE_CHECKING:
    import keras
    import pandas as pd

RECORD, LOCK = "run.json", "lock"
LARGEST_RECORD = 16 * 2**20
HEADER_ROOM = 2**20

Status = Literal["running", "finished", "interrupted", "diverged"]
Text = Annotated[str, Field(max_length=200)]
Epoch = Annotated[int, Field(ge=0, le=10_000)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Arrays = dict[str, NDArray[Any]]


class _Strict(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", ser_json_inf_nan="strings"
    )


class EpochNumbers(_Strict):
    """The numbers of one finished epoch; `training.EpochEnd` says what they mean."""

    epoch: Epoch
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    train_seconds: float
    validation_seconds: float
    census_seconds: float


class ArrayFile(_Strict):
    """A file of arrays that a record names: its epochs, and its content's SHA-256."""

    name: str = Field(pattern=r"^(units|weights|resume|confirmed)-e[0-9]{4,5}\.safetensors$")
    first: Epoch
    last: Epoch
    sha256: Digest


class Record(_Strict):
    """All that is known of a run, as `run.json` holds it. What it names, exists.

    NaN and infinity are written as the strings "NaN", "Infinity" and "-Infinity".
    """

    format: Literal[1] = 1
    run_id: str = Field(pattern=r"^[a-z0-9_]+-seed[0-9]+-[0-9a-f]{8}(\.[0-9]+)?$")
    settings: RunConfig
    dataset: Text
    dataset_digest: Digest
    train_images: Annotated[int, Field(ge=1)]
    validation_images: Annotated[int, Field(ge=1)]
    test_images: Annotated[int, Field(ge=1)]
    probe_images: Annotated[int, Field(ge=1)]
    created: Text
    versions: dict[Text, Text]
    processor: Text
    threads_per_operation: int
    status: Status = "running"
    label: Text | None = None
    epochs: tuple[EpochNumbers, ...] = ()
    test_loss: float | None = None
    test_accuracy: float | None = None
    units: tuple[ArrayFile, ...] = ()
    weights: tuple[ArrayFile, ...] = ()
    confirmed: ArrayFile | None = None
    resume: ArrayFile | None = None


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

        A run that claims to be running while no process holds its lock was interrupted.
        """
        if self.record.status == "running" and not _is_locked(self.folder / LOCK):
            return "interrupted"
        return self.record.status

    @property
    def last_epoch(self) -> int:
        """The last finished epoch; 0 is the untrained network."""
        return self.record.epochs[-1].epoch

    @property
    def seconds(self) -> float:
        """Time that training, validation and census took on one core."""
        return sum(
            e.train_seconds + e.validation_seconds + e.census_seconds for e in self.record.epochs
        )

    @property
    def layers(self) -> range:
        """The numbers of its hidden layers, from 1."""
        return range(1, len(self.config.hidden) + 1)

    @functools.cached_property
    def _unit_arrays(self) -> Arrays:
        files = [self._read(file) for file in self.record.units]
        names = [f"layer{n}.{name}" for n in self.layers for name in units.ARRAYS]
        return {name: np.concatenate([_take(file, name) for file in files]) for name in names}

    def layer(self, number: int) -> UnitSummaries:
        """Returns what every unit of a hidden layer did, arrays of shape (epochs, units).

        Args:
            number: The hidden layer, from 1.

        Raises:
            RunError: If there is no such layer, or its arrays cannot be read.
        """
        if number not in self.layers:
            raise RunError(
                f"layer must be from 1 to {len(self.layers)} in run {self.run_id}, not {number}."
            )
        arrays = {name: self._unit_arrays[f"layer{number}.{name}"] for name in units.ARRAYS}
        shape = (len(self.record.epochs), self.config.hidden[number - 1])
        for name, array in arrays.items():
            if array.shape != shape:
                raise RunError(f"{name} of run {self.run_id} has shape {array.shape}, not {shape}.")
        activation = activations.get(self.config.activation)
        sup_gate = activation.largest_gate(self.config.parameter)
        return UnitSummaries(self.record.probe_images, sup_gate, **arrays)

    def last_summaries(self, number: int) -> UnitSummaries:
        """Returns a layer's summaries at the last epoch, arrays of shape (units,)."""
        layer = self.layer(number)
        last = {name: getattr(layer, name)[-1] for name in units.ARRAYS}
        return dataclasses.replace(layer, **last)

    def confirmed(self, number: int) -> units.BoolArray:
        """Returns which units of a layer, shape (units,), are dead on all training images.

        Raises:
            RunError: If the run has not ended, so that this is not known.
        """
        if self.record.confirmed is None:
            raise RunError(f"Run {self.run_id} has not ended: its dead units are not confirmed.")
        return _take(self._read(self.record.confirmed), f"layer{number}.confirmed")

    def confirmed_fractions(self) -> list[float]:
        """Returns for each hidden layer the share of units dead on all training images.

        NaN before the run has ended, and where a unit of the layer is non-finite.
        """
        if self.record.confirmed is None:
            return [np.nan] * len(self.layers)
        return [
            float(units.fraction(self.last_summaries(n), self.confirmed(n))) for n in self.layers
        ]

    def weights(self, epoch: int | None = None) -> list[NDArray[np.float32]]:
        """Returns kernel and bias of every layer in turn, the order of Keras's Sequential.

        Args:
            epoch: The epoch at whose end they are wanted; by default the last one.

        Raises:
            RunError: If the run did not keep the weights of that epoch.
        """
        epoch = self.last_epoch if epoch is None else epoch
        files = [*self.record.weights, *([self.record.resume] if self.record.resume else [])]
        for file in files:
            if file.last == epoch:
                arrays = self._read(file)
                return [_take(arrays, name, shape) for name, shape in weight_shapes(self.config)]
        kept = ", ".join(str(file.last) for file in files) or "none"
        raise RunError(
            f"Run {self.run_id} holds no weights of epoch {epoch}, only of: {kept}. "
            f"Train with keep_weights='every' to keep them all."
        )

    def resume_slots(self) -> list[NDArray[np.float32]]:
        """Returns the optimiser's arrays of an unfinished run, as `training.State` has them."""
        if self.record.resume is None:
            raise RunError(f"Run {self.run_id} is finished and keeps no optimiser state.")
        arrays = self._read(self.record.resume)
        return [_take(arrays, name, shape) for name, shape in slot_shapes(self.config)]

    def model(self, epoch: int | None = None) -> "keras.Sequential":
        """Returns the trained network as a plain, compiled Keras model.

        Args:
            epoch: The epoch at whose end it is wanted; by default the last one.

        Raises:
            RunError: If the run did not keep the weights of that epoch.
        """
        from lab.network import build_mlp

        weights = self.weights(epoch)
        model = build_mlp(self.config)
        model.set_weights(weights)
        return model

    def size(self) -> int:
        """Returns the bytes that the run takes on disk."""
        return sum(path.stat().st_size for path in self.folder.iterdir())

    def _read(self, file: ArrayFile) -> Arrays:
        return read_arrays(self.folder / file.name, file.sha256, _most_bytes(self.config, file))


def weight_shapes(config: RunConfig) -> list[tuple[str, tuple[int, ...]]]:
    """Returns name and shape of every kernel and bias, in the order of Keras's Sequential."""
    sizes = itertools.pairwise(config.layer_sizes)
    layers = enumerate(sizes, start=1)
    return [
        pair
        for number, (inputs, outputs) in layers
        for pair in (
            (f"layer{number}.kernel", (inputs, outputs)),
            (f"layer{number}.bias", (outputs,)),
        )
    ]


def slot_shapes(config: RunConfig) -> list[tuple[str, tuple[int, ...]]]:
    """Returns name and shape of every array of the optimiser: Adam's m and v, SGD's velocity."""
    slots = ("m", "v") if config.optimizer == "adam" else ("velocity",)
    return [(f"{slot}.{name}", shape) for slot in slots for name, shape in weight_shapes(config)]


def _take(arrays: Arrays, name: str, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    if name not in arrays:
        raise RunError(f"The array {name} is missing.")
    if shape is not None and (arrays[name].shape != shape or arrays[name].dtype != np.float32):
        found = f"{arrays[name].dtype} of shape {arrays[name].shape}"
        raise RunError(f"The array {name} must be float32 of shape {shape}, not {found}.")
    return arrays[name]


def _most_bytes(config: RunConfig, file: ArrayFile) -> int:
    """Returns how large a file of arrays can be if it holds what it should."""
    summaries = sum(config.hidden) * (4 * len(units.ARRAYS) * (file.last - file.first + 1) + 1)
    return HEADER_ROOM + max(summaries, 3 * 4 * config.weights)


def read_record(folder: Path) -> Record:
    """Reads and checks a run's `run.json`, which may have been written by anyone.

    Raises:
        RunError: If it is not the record of a run, with the reason.
    """
    if folder.is_symlink():
        raise RunError(f"{folder.name} is a symbolic link, not a folder.")
    content = _read_bytes(folder / RECORD, LARGEST_RECORD)
    try:
        record = Record.model_validate(json.loads(content, object_pairs_hook=_without_duplicates))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunError(f"{RECORD} has a wrong {place or 'structure'}: {first['msg']}.") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{RECORD} is not strict JSON: {error}.") from None
    if record.run_id != folder.name:
        raise RunError(f"{RECORD} names the run {record.run_id}, its folder {folder.name}.")
    if [numbers.epoch for numbers in record.epochs] != list(range(len(record.epochs))):
        raise RunError(f"{RECORD} does not hold the epochs 0, 1, 2, … in turn.")
    if not record.epochs:
        raise RunError(f"{RECORD} holds no finished epoch.")
    return record


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def read_arrays(path: Path, sha256: str, most_bytes: int) -> Arrays:
    """Reads a safetensors file after checking its size and its SHA-256.

    Raises:
        RunError: If the file is missing, too large, changed or not in the format.
    """
    content = _read_bytes(path, most_bytes)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RunError(f"{path.name} was changed or damaged: its SHA-256 is not the recorded one.")
    try:
        return load(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise RunError(f"{path.name} is not a safetensors file: {error}.") from None


def _read_bytes(path: Path, most: int) -> bytes:
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise RunError(f"{path.name} is not a plain file.")
        if found.st_size > most:
            raise RunError(f"{path.name} has {found.st_size:,} bytes, more than {most:,}.")
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path.name} cannot be read: {error.strerror}.") from None


def _is_locked(path: Path) -> bool:
    lock = filelock.FileLock(path, timeout=0)
    if not path.exists():
        return False
    try:
        with lock:
            return False
    except filelock.Timeout:
        return True
    except OSError:
        return False


class Runs(Sequence[Run]):
    """Recorded runs, in order, and their tidy tables as pandas DataFrames.

    Every table starts with the columns `run_id`, `activation`, `parameter` (NaN if it has none),
    `seed`, `dataset` and `learning_rate`.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        """Holds the runs given."""
        self._runs = tuple(runs)

    def __len__(self) -> int:
        """Returns the number of runs."""
        return len(self._runs)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> "Runs": ...
    def __getitem__(self, index: int | slice) -> "Run | Runs":
        """Returns one run by its position, or several as `Runs`."""
        return Runs(self._runs[index]) if isinstance(index, slice) else self._runs[index]

    def __repr__(self) -> str:
        """Lists the runs' ids."""
        return f"Runs({', '.join(run.run_id for run in self)})"

    def _repr_html_(self) -> str:
        """Shows the table of runs in a notebook; pandas escapes what it shows."""
        return str(self.runs()._repr_html_())  # type: ignore[operator]

    def summary(self) -> "pd.DataFrame":
        """One row for each group of runs that differ in their seed alone.

        Columns: `activation` (label and parameter), `dataset`, `learning_rate`, `runs` (how
        many), `diverged` (how many of them), and over those that finished without diverging:
        `test_loss` and `test_accuracy` (means), `every_test_accuracy` (in the order of seeds),
        `dead_confirmed` and `nearly_dead` (at the last epoch, one mean for each hidden layer),
        `seconds` (mean time on one core).
        """
        import pandas as pd

        groups: dict[Any, list[Run]] = {}
        for run in self:
            key = (run.record.dataset_digest, run.config.model_copy(update={"seed": 0}))
            groups.setdefault(key, []).append(run)
        return pd.DataFrame([_summary_row(runs) for runs in groups.values()])

    def runs(self) -> "pd.DataFrame":
        """One row for each run.

        Further columns: `epochs` (finished ones), `status`, `test_loss`, `test_accuracy` (NaN
        before the end), `train_seconds` (training, validation and census on one core), `label`.
        """
        return self._table(_run_rows)

    def epochs(self) -> "pd.DataFrame":
        """One row for each run, epoch and split.

        Further columns: `epoch` (0: untrained), `split` (`train` or `validation`), `loss`,
        `accuracy`. Training values are the running means over the epoch, as Keras prints them;
        those of epoch 0 are measured on the probe set.
        """
        return self._table(_epoch_rows)

    def layers(self) -> "pd.DataFrame":
        """One row for each run, epoch and hidden layer.

        Further columns: `epoch`, `layer` (from 1), `units` (how many), the measures of
        `lab.units.LAYER_MEASURES`, after `dead_fraction` also `dead_confirmed_fraction` (share of
        units dead on all training images; known at a run's last epoch only, else NaN), and
        `probe_size`, the number of images on which the units were observed.
        """
        return self._table(_layer_rows)

    def units(self) -> "pd.DataFrame":
        """One row for each run, epoch, hidden layer and unit.

        Further columns: `epoch`, `layer`, `unit` (from 0), the summaries of
        `lab.units.UnitSummaries`, and true or false for each of `lab.units.UNIT_MEASURES`.
        """
        return self._table(_unit_rows)

    def _table(self, rows: "Callable[[Run], Mapping[str, Any]]") -> "pd.DataFrame":
        import pandas as pd

        tables = [pd.DataFrame(_identity(run) | dict(rows(run))) for run in self]
        if not tables:
            return pd.DataFrame(columns=list(IDENTITY))
        return pd.concat(tables, ignore_index=True)


IDENTITY = ("run_id", "activation", "parameter", "seed", "dataset", "learning_rate")


def _identity(run: Run) -> dict[str, Any]:
    config = run.config
    parameter = np.nan if config.parameter is None else config.parameter
    values = (run.run_id, config.activation, parameter, config.seed)
    return dict(zip(IDENTITY, (*values, run.record.dataset, config.learning_rate), strict=True))


def _summary_row(runs: list[Run]) -> dict[str, Any]:
    first = runs[0]
    ended = sorted((r for r in runs if r.status == "finished"), key=lambda run: run.config.seed)
    last = [[run.last_summaries(number) for number in run.layers] for run in ended]
    nearly = [[float(units.fraction(u, units.nearly_dead(u))) for u in run] for run in last]
    return {
        "activation": first.config.title,
        "dataset": first.record.dataset,
        "learning_rate": first.config.learning_rate,
        "runs": len(runs),
        "diverged": sum(run.status == "diverged" for run in runs),
        "test_loss": _mean([run.record.test_loss for run in ended]),
        "test_accuracy": _mean([run.record.test_accuracy for run in ended]),
        "every_test_accuracy": tuple(run.record.test_accuracy for run in ended),
        "dead_confirmed": _means([run.confirmed_fractions() for run in ended]),
        "nearly_dead": _means(nearly),
        "seconds": _mean([run.seconds for run in ended]),
    }


def _mean(values: Sequence[Any]) -> float:
    return float(np.mean(values)) if values else np.nan


def _means(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(_mean(column) for column in zip(*rows, strict=True))


def _run_rows(run: Run) -> Mapping[str, Any]:
    record = run.record
    return {
        "epochs": [run.last_epoch],
        "status": run.status,
        "test_loss": np.nan if record.test_loss is None else record.test_loss,
        "test_accuracy": np.nan if record.test_accuracy is None else record.test_accuracy,
        "train_seconds": run.seconds,
        "label": record.label,
    }


def _epoch_rows(run: Run) -> Mapping[str, Any]:
    epochs = run.record.epochs
    return {
        "epoch": [e.epoch for e in epochs for _ in range(2)],
        "split": ["train", "validation"] * len(epochs),
        "loss": [loss for e in epochs for loss in (e.train_loss, e.validation_loss)],
        "accuracy": [a for e in epochs for a in (e.train_accuracy, e.validation_accuracy)],
    }


def _layer_rows(run: Run) -> Mapping[str, Any]:
    layers = [run.layer(number) for number in run.layers]
    epochs = len(run.record.epochs)

    def column(values: list[Any]) -> NDArray[Any]:
        return np.stack(values, axis=1).ravel()

    measures = {
        name: column([measure(layer) for layer in layers])
        for name, measure in units.LAYER_MEASURES.items()
    }
    confirmed = np.full((epochs, len(layers)), np.nan)
    confirmed[-1] = run.confirmed_fractions()
    return {
        "epoch": np.repeat(np.arange(epochs), len(layers)),
        "layer": np.tile(np.array(run.layers), epochs),
        "units": np.tile(np.array(run.config.hidden), epochs),
        "dead_fraction": measures.pop("dead_fraction"),
        "dead_confirmed_fraction": confirmed.ravel(),
        **measures,
        "probe_size": run.record.probe_images,
    }


def _unit_rows(run: Run) -> Mapping[str, Any]:
    layers = [run.layer(number) for number in run.layers]
    epochs, hidden = len(run.record.epochs), run.config.hidden

    def column(values: list[Any]) -> NDArray[Any]:
        return np.concatenate(values, axis=1).ravel()

    return {
        "epoch": np.repeat(np.arange(epochs), sum(hidden)),
        "layer": np.tile(np.repeat(np.array(run.layers), hidden), epochs),
        "unit": np.tile(np.concatenate([np.arange(n) for n in hidden]), epochs),
        **{name: column([getattr(layer, name) for layer in layers]) for name in units.ARRAYS},
        **{
            name: column([measure(layer) for layer in layers])
            for name, measure in units.UNIT_MEASURES.items()
        },
    }


def iterate(folders: Sequence[Path]) -> Iterator[tuple[Path, Run | RunError]]:
    """Yields each folder with its run, or with the reason why it cannot be read."""
    for folder in folders:
        try:
            yield folder, Run(folder, read_record(folder))
        except RunError as error:
            yield folder, error
