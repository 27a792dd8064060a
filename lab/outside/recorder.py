"""What every census of a network trained elsewhere has: its choices, its record, its tables."""

import contextlib
import functools
import reprlib
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lab.census import units
from lab.errors import InputError, LabError, RunError, check_whole, reason_of
from lab.experiment import LARGEST_SEED, MOST_EPOCHS
from lab.layout import Layout, Weights
from lab.outside.observer import Activations, Observation
from lab.outside.probe import Probe
from lab.runs import Record, Run, Runs
from lab.store import RunStore, RunWriter
from lab.training import EpochEnd, RunEnd, State

if TYPE_CHECKING:
    import pandas as pd

KEPT = ("last", "every", "none")
NUMBERS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


class Observes(Protocol):
    """What observes one network on one probe, whenever it is asked."""

    unseen: dict[str, str]
    layout: Layout

    def observe(self) -> Observation:
        """Takes the census."""

    def activations(self) -> Iterator[tuple[Activations, ...]]:
        """Yields, batch by batch, what every layer sends on: (inputs, positions, units)."""

    def weights(self) -> Weights:
        """Returns the network's arrays as they are now."""


class Recorder:
    """Records what an observer sees, epoch by epoch, and returns its tables.

    Attributes:
        probe: What the network is observed on.
    """

    def __init__(
        self,
        probe: Probe,
        *,
        layers: Sequence[str] | None = None,
        every: int = 1,
        batch_size: int | None = None,
        keep_weights: str = "last",
        store: str | Path | RunStore | None = None,
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        """Checks and keeps the choices; `Census` says what each means.

        Raises:
            InputError: If a choice is not possible.
        """
        check_whole("every", every, 1, MOST_EPOCHS)
        if batch_size is not None:
            check_whole("batch_size", batch_size, 1, 1_000_000)
        if keep_weights not in KEPT:
            raise InputError(f"keep_weights must be {', '.join(KEPT)}, not {keep_weights!r}.")
        if seed is not None:
            check_whole("seed", seed, 0, LARGEST_SEED)
        if name is not None and (not isinstance(name, str) or not 0 < len(name) <= 200):
            raise InputError(
                f"name must be a text of at most 200 characters, not {reprlib.repr(name)}."
            )
        self.probe = probe
        self._layers, self._every, self._batch = _names(layers), every, batch_size
        self._keep, self._seed, self._name = keep_weights, seed, name
        self._store = store if isinstance(store, RunStore | None) else RunStore(store)
        self._runs: list[Path] = []
        self._writer: RunWriter | None = None
        self._failed = False
        self._last: Observation
        self._closing: Callable[[], Any]

    @property
    def run(self) -> Run:
        """What was recorded, as a run like any other; of several trainings, the last.

        Raises:
            RunError: If nothing was observed yet.
        """
        if not self._runs:
            raise RunError(self._nothing_yet)
        if self._writer:
            self._writer.flush()
        return RunStore(self._runs[-1].parent)[self._runs[-1].name]

    @property
    def unseen(self) -> dict[str, str]:
        """The layers whose activation function cannot be seen, each with the reason."""
        return self._observer.unseen

    def layers(self) -> "pd.DataFrame":
        """One row for each epoch and layer: all shares and means; see `lab.Runs.layers`."""
        return Runs([self.run]).layers()

    def units(self) -> "pd.DataFrame":
        """One row for each epoch, layer and unit; see `lab.Runs.units`."""
        return Runs([self.run]).units()

    def lives(self) -> "pd.DataFrame":
        """One row for each unit: when it died and came back; see `lab.Runs.lives`."""
        return Runs([self.run]).lives()

    @property
    def observer(self) -> Observes:
        """What observes the network as it is now.

        Raises:
            RunError: If there is no network yet.
        """
        return self._observer

    @property
    def _observer(self) -> Observes:
        raise NotImplementedError

    @property
    def _nothing_yet(self) -> str:
        """What to say where nothing was observed yet."""
        raise NotImplementedError

    def _open(self, record: Record) -> None:
        """Opens the record of a training, and observes the network before it."""
        store = self._store or RunStore(_temporary_folder())
        self._failed = False
        self._writer = store.writer_outside(record)
        self._closing = weakref.finalize(self, self._writer.close)
        self._runs.append(self._writer.folder)
        try:
            self._record({}, 0.0)
            self._writer.flush()
        except BaseException:
            self._runs.pop()
            self._close()
            raise

    def _record(self, numbers: dict[str, float], seconds: float) -> None:
        """Observes the network and takes the epoch into the record.

        Args:
            numbers: What is known of `NUMBERS`; what the observer finds on a probe with labels
                goes before.
            seconds: How long the training of the epoch took.
        """
        writer = self._writer
        if writer is None or self._failed:
            return
        found = self._last = self._observer.observe()
        epoch = len(writer.record.epochs) + writer.waiting
        known: dict[str, Any] = dict.fromkeys(NUMBERS, np.nan) | numbers
        if self.probe.labels is not None or not np.isnan(found.accuracy):
            known |= {"train_loss": found.loss, "train_accuracy": found.accuracy}
        writer.add(
            EpochEnd(
                run=0,
                epoch=epoch,
                **known,
                train_seconds=seconds,
                validation_seconds=0.0,
                census_seconds=found.seconds,
                layers=found.layers,
                state=State(epoch, self._observer.weights(), ()),
            )
        )

    def _end(self) -> None:
        """Ends the record: what is dead on the probe is what is known."""
        writer = self._writer
        try:
            if writer and not self._failed:
                diverged = not _is_finite(writer.state.weights if writer.state else None)
                confirmed = tuple(units.dead(layer) for layer in self._last.layers)
                writer.end(RunEnd(0, diverged, np.nan, np.nan, confirmed))
        finally:
            self._close()

    def _close(self) -> None:
        """Frees the record; one that has not ended is kept as interrupted."""
        if self._writer:
            self._writer = None
            self._closing()

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Tells once what failed in a census; the user's training goes on."""
        try:
            yield
        except Exception as error:
            if not self._failed:
                words = str(error) if isinstance(error, LabError) else reason_of(error)
                warnings.warn(
                    f"The census stopped, and the training goes on: {words}", stacklevel=4
                )
            self._failed = True
        except BaseException:  # The user stops the training.
            self._close()
            raise


@functools.cache
def _temporary() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="lab-census-", ignore_cleanup_errors=True)


def _temporary_folder() -> Path:
    """Returns the folder of this process for censuses that name no store."""
    return Path(_temporary().name) / "runs"


def _names(layers: Any) -> list[str] | None:
    if layers is None:
        return None
    names = [layers] if isinstance(layers, str) else list(layers)
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"layers must be names of layers, such as ['dense'], not {layers!r}.")
    return names


def _is_finite(weights: Weights | None) -> bool:
    return weights is None or all(np.isfinite(array).all() for array in weights)
