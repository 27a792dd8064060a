"""What a run's folder holds: `run.json` and files of arrays, read as if a stranger wrote them.

::

    run.json                      all that is known of the run; every file it names exists
    units-e0010.safetensors       every unit's summaries and bias of some epochs, by layer; if it
                                  learns tasks the norms of each layer's kernel,
                                  its clones and ranks
    weights-e0010.safetensors     kernels and biases at the end of an epoch
    confirmed-e0010.safetensors   which units are dead on all training images
    resume-e0007.safetensors      only while unfinished: weights and the optimiser's arrays

JSON and safetensors only: nothing here runs code that it reads.
"""

import contextlib
import hashlib
import json
import math
import operator
import stat
import textwrap
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import (
    AfterValidator,
    FailFast,
    Field,
    ValidationError,
    model_validator,
)
from safetensors import SafetensorError
from safetensors.numpy import load

from lab.activations import OwnActivation, Source, Strict, printable
from lab.census import clones, units
from lab.errors import RunError
from lab.experiment import MOST_EPOCHS, RunConfig
from lab.layout import MOST_WEIGHTS, Array, Layout, mlp

FORMAT = 1
RECORD, LOCK = "run.json", "lock"
RUN_ID = r"[a-z0-9_]+-seed[0-9]+-[0-9a-f]{8}(\.[0-9]+)?"
ARRAY_FILE = r"(units|weights|resume|confirmed)-e[0-9]{4,5}\.safetensors"
LARGEST_RECORD = 16 * 2**20
OF_TASKS = ("weight_norm", "update_norm", *clones.MEASURES)  # Of a layer, if it learns tasks.
MOST_VALUES = 300_000  # 10,000 epochs with all their files have some 200,000.
MOST_KEYS = 100
HEADER_ROOM = 2048  # For each layer; the names and shapes of its arrays take half of it.
LARGEST_ARRAYS = 3 * 4 * MOST_WEIGHTS  # Weights with Adam's m and v, or seconds of summaries.
Status = Literal["running", "finished", "interrupted", "diverged"]
ENDED = ("finished", "diverged")


def _share(value: float | None) -> float | None:
    if value is not None and not (math.isnan(value) or 0 <= value <= 1):
        raise ValueError(f"a share must be from 0 to 1, not {value}")
    return value


Text = Annotated[str, Field(max_length=200), AfterValidator(printable)]
Epoch = Annotated[int, Field(ge=0, le=MOST_EPOCHS)]
Images = Annotated[int, Field(ge=1, le=10**9)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Arrays = dict[str, NDArray[Any]]


class EpochNumbers(Strict):
    """The numbers of one finished epoch; `training.EpochEnd` says what they mean."""

    epoch: Epoch
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    train_seconds: float
    validation_seconds: float
    census_seconds: float


class ArrayFile(Strict):
    """A file of arrays that a record names: its epochs, and its content's SHA-256."""

    name: str = Field(pattern=f"^{ARRAY_FILE}$")
    first: Epoch
    last: Epoch
    sha256: Digest


class Outside(Strict):
    """The record of a network that was trained outside the lab, which cannot train it again.

    Attributes:
        model: What the network is, in one line.
        every: How many of its epochs lie between two that are recorded.
        unknown: The settings that nobody recorded; they have the lab's defaults.
        unseen: The layers whose activation function could not be seen, each with the reason.
    """

    model: Text
    every: Annotated[int, Field(ge=1)] = 1
    unknown: tuple[Text, ...] = ()
    unseen: tuple[Text, ...] = ()


class Record(Strict):
    """All that is known of a run, as `run.json` holds it. Every file it names exists.

    NaN and infinity are written as the strings "NaN", "Infinity" and "-Infinity".
    """

    format: Literal[1] = 1
    run_id: str = Field(pattern=f"^{RUN_ID}$")
    settings: RunConfig
    own_activation: OwnActivation | None = None
    own_network: Source | None = Field(None, exclude_if=lambda source: source is None)
    network: Layout | None = Field(None, exclude_if=lambda layout: layout is None)
    outside: Outside | None = Field(None, exclude_if=lambda outside: outside is None)
    dataset: Text
    dataset_digest: Digest
    train_images: Images
    validation_images: Images
    test_images: Images
    probe_images: Images
    created: Text
    versions: dict[Text, Text]
    processor: Text
    threads_per_operation: Annotated[int, Field(ge=0, le=100_000)]
    environment: dict[Text, Text] = Field(default={}, exclude_if=operator.not_)
    status: Status = "running"
    label: Text | None = None
    epochs: Annotated[tuple[EpochNumbers, ...], FailFast()] = ()
    test_loss: float | None = None
    test_accuracy: Annotated[float | None, AfterValidator(_share)] = None
    units: Annotated[tuple[ArrayFile, ...], FailFast()] = ()
    weights: Annotated[tuple[ArrayFile, ...], FailFast()] = ()
    confirmed: ArrayFile | None = None
    resume: ArrayFile | None = None

    @property
    def ended(self) -> bool:
        """Whether it was trained to its end, or diverged."""
        return self.status in ENDED

    @property
    def diverged(self) -> bool:
        """Whether a weight or a loss became NaN or infinite."""
        return self.status == "diverged"

    @property
    def layout(self) -> Layout:
        """What its network is made of."""
        config = self.settings
        return self.network or mlp(config.hidden, config.image_shape, config.classes)

    @property
    def files(self) -> tuple[ArrayFile, ...]:
        """All files of arrays that it names."""
        named = (*self.units, *self.weights, self.confirmed, self.resume)
        return tuple(file for file in named if file)

    @model_validator(mode="after")
    def _check_together(self) -> "Record":
        results = (self.test_loss, self.test_accuracy, self.confirmed)
        if self.ended and None in results:
            raise ValueError(f"a run that is {self.status} must hold its results")
        if self.ended and self.resume:
            raise ValueError(f"a run that is {self.status} has nothing to go on from")
        own = self.own_activation and hashlib.sha256(self.own_activation.source.encode())
        if self.settings.source_sha256 != (own.hexdigest() if own else None):
            raise ValueError("the source of its activation function is not the recorded one")
        source = self.own_network and hashlib.sha256(self.own_network.encode()).hexdigest()
        if self.settings.network_sha256 != source:
            raise ValueError("the source of its network is not the recorded one")
        if (self.network is None) != self.settings.is_textbook:
            raise ValueError("what its network is made of must be recorded, unless it is an mlp")
        if self.layout.parameters > MOST_WEIGHTS:
            raise ValueError(f"its network has more than {MOST_WEIGHTS:,} weights")
        if len(self.epochs) > self.settings.epochs + 1:
            raise ValueError("it has more epochs than its settings")
        self._check_files()
        return self

    def _check_files(self) -> None:
        """Checks that each file is of its kind and of epochs that exist, in order."""
        single = {"weights": self.weights, "confirmed": (self.confirmed,), "resume": (self.resume,)}
        for kind, files in {"units": self.units, **single}.items():
            last = -1
            for file in filter(None, files):
                if file.name != f"{kind}-e{file.last:04d}.safetensors":
                    raise ValueError(f"{kind} names {file.name} for epoch {file.last}")
                if not last < file.first <= file.last < len(self.epochs):
                    raise ValueError(
                        f"{file.name} names epochs that it does not have, or not in order"
                    )
                if kind in single and file.first != file.last:
                    raise ValueError(f"{file.name} must be of one epoch")
                last = file.last


def read_record(folder: Path) -> Record:
    """Reads and checks a run's `run.json`, which may have been written by anyone.

    Raises:
        RunError: If it is not the record of a run, with the reason.
    """
    if folder.is_symlink():
        raise RunError(f"{folder.name} is a symbolic link, not a folder.")
    with _opened(folder / RECORD, LARGEST_RECORD) as file:
        content = file.read()
    try:
        raw = _strict_json(content)
        _check_version(raw)
        record = _judged(Record.model_validate(raw))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        reason = textwrap.shorten(first["msg"].removeprefix("Value error, "), 300)
        raise RunError(f"{RECORD} has a wrong {place or 'structure'}: {reason}") from None
    except RunError:
        raise
    except (ValueError, RecursionError) as error:
        raise RunError(f"{RECORD} is not strict JSON: {error}.") from None
    if record.run_id != folder.name:
        raise RunError(f"{RECORD} names the run {record.run_id}, its folder {folder.name}.")
    epochs = list(range(len(record.epochs)))
    starts = [0, *(file.last + 1 for file in record.units)]
    in_turn = [*(file.first for file in record.units), len(epochs)] == starts
    if not epochs or [e.epoch for e in record.epochs] != epochs or not in_turn:
        raise RunError(f"{RECORD} does not hold the epochs 0, 1, 2, … in order, with their units.")
    return record


def _judged(record: Record) -> Record:
    """Marks a run as diverged if its last losses are not finite, whatever it says."""
    if record.status != "finished" or not record.epochs or record.outside:
        return record
    finite = np.isfinite([record.epochs[-1].validation_loss, record.test_loss or 0.0]).all()
    return record if finite else record.model_copy(update={"status": "diverged"})


def _check_version(raw: Any) -> None:
    version = raw.get("format") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise RunError(
            f"{RECORD} has the format {str(version)[:20]}, and this lab reads the formats up to "
            f"{FORMAT}: a newer version of the lab wrote it. Update the lab to read it."
        )


def _strict_json(content: bytes) -> Any:
    if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES:,} values")
    return json.loads(
        content.decode(),
        object_pairs_hook=_without_duplicates,
        parse_constant=_finite,
        parse_float=_finite,
    )


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(f"{text} is not a finite number")
    return float(text)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MOST_KEYS:
        raise ValueError(f"an object has more than {MOST_KEYS} keys")
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key appears twice")
    return dict(pairs)


def read_content(folder: Path, record: Record, file: ArrayFile) -> bytes:
    """Reads a file that a record names after checking its size and its SHA-256.

    Raises:
        RunError: If the file is missing, too large or changed.
    """
    with _opened(folder / file.name, most_bytes(record.layout, record.settings, file)) as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
            raise RunError(
                f"{file.name} was changed or damaged: its SHA-256 is not the recorded one."
            )
        content.seek(0)
        return content.read()


def read_arrays(folder: Path, record: Record, file: ArrayFile) -> Arrays:
    """Reads the arrays of a file that a record names, as `read_content` does.

    Raises:
        RunError: If the file is missing, too large, changed or not in the format.
    """
    content = read_content(folder, record, file)
    try:
        return load(content)
    except MemoryError:
        raise RunError(f"{file.name} does not fit into the memory.") from None
    except (SafetensorError, KeyError, ValueError) as error:
        raise RunError(f"{file.name} is not a safetensors file: {error}.") from None


def array_of(
    arrays: Arrays, name: str, shape: tuple[int, ...], dtype: DTypeLike = np.float32
) -> NDArray[Any]:
    """Returns an array by its name.

    Raises:
        RunError: If it is missing, or not of the shape and type wanted.
    """
    if name not in arrays:
        raise RunError(f"The array {name} is missing.")
    if arrays[name].shape != shape or arrays[name].dtype != dtype:
        found = f"{arrays[name].dtype} of shape {arrays[name].shape}"
        wanted = f"{np.dtype(dtype)} of shape {shape}"
        raise RunError(f"The array {name} must be {wanted}, not {found}.")
    return arrays[name]


def arrays_of(arrays: Arrays, wanted: Iterable[Array]) -> tuple[NDArray[np.float32], ...]:
    """Returns arrays by their names, as `array_of` does."""
    return tuple(array_of(arrays, array.name, array.shape) for array in wanted)


@contextlib.contextmanager
def _opened(path: Path, most: int) -> Iterator[BufferedReader]:
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise RunError(f"{path.name} is not a plain file.")
        if found.st_size > most:
            raise RunError(f"{path.name} has {found.st_size:,} bytes, more than {most:,}.")
        with path.open("rb") as content:
            yield content
    except OSError as error:
        raise RunError(f"{path.name} cannot be read: {error.strerror}.") from None
    except MemoryError:
        raise RunError(f"{path.name} does not fit into the memory.") from None


def most_bytes(layout: Layout, settings: RunConfig, file: ArrayFile) -> int:
    """Returns how large a file of arrays of its kind can be."""
    kind = file.name.partition("-")[0]
    of_units = layout.replacement if settings.replacement_rate else []
    slots = [*layout.slots(settings.optimizer), *of_units] if kind == "resume" else []
    learned = sum(site.units for site in layout.sites if site.slope)
    by_unit = sum(layout.widths) * (len(units.ARRAYS) + 1) + learned
    each_epoch = {
        "units": 4 * (by_unit + len(OF_TASKS) * len(layout.sites)),
        "confirmed": sum(layout.widths),
    }.get(kind, 4 * sum(math.prod(array.shape) for array in (*layout.arrays, *slots)))
    much = each_epoch * (file.last - file.first + 1)
    return HEADER_ROOM * max(len(layout.sites) + 1, len(layout.arrays) // 2) + min(
        much, LARGEST_ARRAYS
    )
