"""`Census`: a Keras callback that counts the dead units of any network while `fit` trains it."""

import contextlib
import functools
import json
import re
import reprlib
import sys
import tempfile
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.census import units
from lab.errors import InputError, LabError, RunError, check_whole, reason_of
from lab.layout import Layout, Weights
from lab.outside.observer import Observation, Observer
from lab.outside.probe import Probe
from lab.outside.recording import OPTIMIZERS, described, main_function, record_of
from lab.outside.sites import LAYERS, layers_of
from lab.runs import Run, Runs
from lab.store import RunStore, RunWriter
from lab.system import check_backend
from lab.training import EpochEnd, RunEnd, State

if TYPE_CHECKING:
    import pandas as pd

KEPT = ("last", "every", "none")
NOT_SOURCE = (
    *("name", "dtype", "module", "registered_name", "build_config", "seed", "layers", "layer"),
    *("input_layers", "output_layers", "shared_object_id"),
)


class Census:
    """Takes the lab's census of a Keras model after every epoch of its training.

        census = lab.Census(probe=x_probe)
        model.fit(x, y, epochs=10, callbacks=[census])
        census.layers()

    It observes in inference mode and changes nothing: the training has the same bits without it.
    Units are counted by the gate f'(z) of the very function that the model calls. What cannot be
    seen, such as functions within a recurrent layer, is listed in `unseen` and not counted.

    With labels in the probe, the losses and accuracies under `train` are those on the probe after
    the epoch; without, they are what `fit` reports.
    """

    def __init__(
        self,
        probe: Any,
        *,
        layers: Sequence[str] | None = None,
        every: int = 1,
        batch_size: int | None = None,
        keep_weights: str = "last",
        store: str | Path | RunStore | None = None,
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        """Checks the probe and keeps the choices; nothing else happens before `fit`.

        Args:
            probe: The inputs on which units are observed: an array, a list or dict of arrays for a
                model of several inputs, or a `tf.data.Dataset`; with labels, a tuple (x, y).
            layers: The names of the layers to observe; by default all.
            every: After how many epochs it observes; then each epoch of its tables is as many.
            batch_size: How many inputs are observed at once; by default as many as fit well.
            keep_weights: last, every or none: which epochs' weights are kept.
            store: Where to record; by default a temporary folder that goes with the process.
            seed: A number that tells runs of one network apart, and pairs them with others; by
                default one drawn by chance.
            name: What to call the probe in tables and figures; by default as the model.

        Raises:
            InputError: If the probe is empty, of different lengths, or holds NaN; or if another
                choice is not possible.
        """
        self.probe = Probe(probe)
        check_whole("every", every, 1, 10_000)
        if batch_size is not None:
            check_whole("batch_size", batch_size, 1, 1_000_000)
        if keep_weights not in KEPT:
            raise InputError(f"keep_weights must be {', '.join(KEPT)}, not {keep_weights!r}.")
        if seed is not None:
            check_whole("seed", seed, 0, 2**32 - 1)
        if name is not None and (not isinstance(name, str) or not 0 < len(name) <= 200):
            raise InputError(
                f"name must be a text of at most 200 characters, not {reprlib.repr(name)}."
            )
        self._layers, self._every, self._batch = _names(layers), every, batch_size
        self._keep, self._seed, self._name = keep_weights, seed, name
        self._store = store if isinstance(store, RunStore | None) else RunStore(store)
        self._model: Any = None
        self._params: dict[str, Any] = {}
        self._runs: list[Path] = []
        self._writer: RunWriter | None = None
        self._failed = self._by_fit = False
        self._last: Observation
        self._closing: Callable[[], Any]

    @classmethod
    def of(cls, model: Any, probe: Any, **choices: Any) -> "Census":
        """Takes the census of a model once, as it is, without any training.

        Args:
            model: A built Keras model.
            probe: As for `Census`.
            **choices: As for `Census`.

        Raises:
            InputError: As for `Census`; and if the model is none, is not built, does not take the
                probe, or has no activation function that can be seen.
        """
        census = cls(probe, **choices)
        census.set_model(model)
        census._begin()
        census._end()
        return census

    @property
    def run(self) -> Run:
        """What was recorded, as a run like any other; of several trainings, the last.

        Raises:
            RunError: If nothing was observed yet.
        """
        if not self._runs:
            raise RunError("Nothing was observed yet: give the census to fit, as a callback.")
        if self._writer and self._by_fit and not _is_in_fit(self._model):
            self._close()  # It was interrupted.
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

    # What Keras calls, in the order of its calls.

    def set_params(self, params: dict[str, Any]) -> None:
        """Takes what `fit` was called with."""
        self._params = params or {}

    def set_model(self, model: Any) -> None:
        """Takes the model that is trained.

        Raises:
            InputError: If it is no Keras model, is not built, or of another backend.
        """
        check_backend()
        _check_model(model)
        self._model = model

    def on_train_begin(self, logs: Any = None) -> None:
        """Observes the network before its first step: epoch 0.

        Raises:
            InputError: If the census cannot be taken; the training has not begun then.
        """
        self._begin()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes when the epoch began."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Observes the network after an epoch."""
        self._epochs_seen += 1
        if self._epochs_seen % self._every == 0:
            with self._telling():
                self._record(dict(logs or {}), time.perf_counter() - self._began)

    def on_train_end(self, logs: Any = None) -> None:
        """Ends the record."""
        with self._telling():
            self._end()

    def __getattr__(self, name: str) -> Any:
        """Does nothing in all other calls of Keras, such as at each batch."""
        if name.startswith("on_"):
            return _nothing
        raise AttributeError(f"Census has no attribute {name!r}")

    @functools.cached_property
    def _observer(self) -> Observer:
        if self._model is None:
            raise RunError("Nothing was observed yet: give the census to fit, as a callback.")
        return Observer(self._model, self.probe, self._layers, self._batch)

    def _begin(self) -> None:
        """Opens the record of a training, and observes the network before it."""
        self._close()
        self._failed, self._epochs_seen, self._began = False, 0, time.perf_counter()
        self._by_fit = _is_in_fit(self._model)
        self.__dict__.pop("_observer", None)
        observer, store = self._observer, self._store or RunStore(_temporary_folder())
        known, source = _known(self._model, self._params), _source(self._model, observer.layout)
        record = record_of(
            re.sub(r"_\d+$", "", str(self._model.name)),  # Keras counts its models.
            source,
            observer.layout,
            observer.unseen,
            self.probe,
            seed=self._seed,
            known=known | {"keep_weights": self._keep},
            every=self._every,
            name=self._name,
        )
        self._writer = store.writer_outside(record)
        self._closing = weakref.finalize(self, self._writer.close)
        self._runs.append(self._writer.folder)
        self._record({}, 0.0)
        self._writer.flush()

    def _record(self, logs: dict[str, Any], seconds: float) -> None:
        """Observes the network and takes the epoch into the record."""
        writer = self._writer
        if writer is None or self._failed:
            return
        found = self._last = self._observer.observe()
        epoch = len(writer.record.epochs) + writer.waiting
        state = State(epoch, self._observer.weights(), ())
        on_probe = self.probe.labels is not None or not np.isnan(found.accuracy)
        writer.add(
            EpochEnd(
                run=0,
                epoch=epoch,
                train_loss=found.loss if on_probe else _number(logs, "loss"),
                train_accuracy=found.accuracy if on_probe else _accuracy(logs, ""),
                validation_loss=_number(logs, "val_loss"),
                validation_accuracy=_accuracy(logs, "val_"),
                train_seconds=seconds,
                validation_seconds=0.0,
                census_seconds=found.seconds,
                layers=found.layers,
                state=state,
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
        """Frees the record; one that has not ended is interrupted."""
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
                    f"The census stopped, and the training goes on: {words}", stacklevel=3
                )
            self._failed = True
        except BaseException:  # The user stops the training.
            self._close()
            raise


def _is_in_fit(model: Any) -> bool:
    """Tells whether a model is being trained: Keras tells no callback of an interrupt."""
    for frame in sys._current_frames().values():
        inner: FrameType | None = frame
        while inner:
            if inner.f_code.co_name == "fit" and inner.f_locals.get("self") is model:
                return True
            inner = inner.f_back
    return False


def _nothing(*given: Any, **named: Any) -> None:
    """Does nothing."""


_nothing._is_default = True  # type: ignore[attr-defined]  # So Keras need not wait for it.


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


def _check_model(model: Any) -> None:
    import keras

    if not isinstance(model, keras.Model):
        raise InputError(f"The model must be a Keras model, not a {type(model).__name__}.")
    if not model.built:
        raise InputError(
            f"The model {model.name!r} must be built: call it once on some inputs, or "
            f"model.build(shape)."
        )


def _source(model: Any, layout: Layout) -> str:
    """Returns what tells a network from others: its layers' settings and its arrays' shapes.

    The activation function that most of its units have is a setting of the run, as in the lab's own
    networks: networks that differ in it alone are compared.
    """
    main = main_function(layout)
    exchanged = {site.name for site in layout.sites if site.function == main}
    lines = [type(model).__name__]
    lines += [_described(layer, layer.name in exchanged) for layer in layers_of(model)]
    lines += [f"{variable.name} {tuple(variable.shape)}" for variable in model.weights]
    return described("\n".join(lines))


def _described(layer: Any, is_exchanged: bool) -> str:
    """Returns a layer's kind and settings, without an activation function that is exchanged."""
    kind = type(layer).__name__
    if is_exchanged and kind in (*LAYERS, "Activation"):
        return "Activation"
    try:
        with warnings.catch_warnings(action="ignore"):  # Keras warns of a lambda.
            settings = _without_names(layer.get_config())
    except Exception:  # A layer of the user's own need not tell its settings.
        return kind
    if is_exchanged:
        settings.pop("activation", None)
    return f"{kind} {json.dumps(settings, default=str, sort_keys=True)}"


def _without_names(settings: Any) -> Any:
    """Leaves out what Keras counts up from model to model, and what stands elsewhere."""
    if not isinstance(settings, dict):
        return settings
    return {
        name: _without_names(value) for name, value in settings.items() if name not in NOT_SOURCE
    }


def _known(model: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings of a training that Keras tells."""
    known: dict[str, Any] = {}
    if epochs := params.get("epochs"):
        known["epochs"] = int(epochs)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return known
    with contextlib.suppress(Exception):  # A schedule of the user's own.
        rate = float(f"{float(np.asarray(optimizer.learning_rate)):.7g}")  # It is a float32.
        if 1e-12 <= rate <= 1000:
            known["learning_rate"] = rate
    kind = OPTIMIZERS.get(type(optimizer).__name__.lower())
    if kind:
        known["optimizer"] = kind
    return known


def _number(logs: dict[str, Any], name: str) -> float:
    return float(logs.get(name, np.nan))


def _accuracy(logs: dict[str, Any], before: str) -> float:
    """Returns the accuracy among what `fit` reports, whatever Keras calls it."""
    for name, value in logs.items():
        plain = name.removeprefix("val_")
        if name.startswith("val_") == bool(before) and plain.endswith(("accuracy", "acc")):
            return float(value)
    return float("nan")


def _is_finite(weights: Weights | None) -> bool:
    return weights is None or all(np.isfinite(array).all() for array in weights)
