"""`Census`: a Keras callback that counts the dead units of any network while `fit` trains it."""

import contextlib
import functools
import json
import re
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from lab.errors import InputError, RunError
from lab.layout import Layout
from lab.outside.observer import Observer
from lab.outside.probe import Probe
from lab.outside.recorder import Recorder
from lab.outside.recording import OPTIMIZERS, described, main_function, record_of
from lab.outside.sites import LAYERS, layers_of
from lab.runs import Run
from lab.store import RunStore
from lab.system import check_backend

NOT_SOURCE = (
    *("name", "dtype", "module", "registered_name", "build_config", "seed", "layers", "layer"),
    *("input_layers", "output_layers", "shared_object_id"),
)


class Census(Recorder):
    """Takes the lab's census of a Keras model after every epoch of its training.

    ::

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
            seed: A number that distinguishes runs of one network, and pairs them with others; by
                default one drawn by chance.
            name: What to call the probe in tables and figures; by default as the model.

        Raises:
            InputError: If the probe is empty, of different lengths, or holds NaN; or if another
                choice is not possible.
        """
        super().__init__(
            Probe(probe),
            layers=layers,
            every=every,
            batch_size=batch_size,
            keep_weights=keep_weights,
            store=store,
            seed=seed,
            name=name,
        )
        self._model: Any = None
        self._params: dict[str, Any] = {}
        self._by_fit = False

    @classmethod
    def of(cls, model: Any, probe: Any, **choices: Any) -> "Census":
        """Takes the census of a model once, as it is, without any training.

        Args:
            model: A built Keras model.
            probe: As for `Census`.
            **choices: As for `Census`.

        Raises:
            InputError: As for `Census`; and if it is not a Keras model, is not built, does not take
                the probe, or has no activation function that can be seen.
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
        if self._writer and self._by_fit and not _is_in_fit(self._model):
            self._close()  # It was interrupted.
        return super().run

    # What Keras calls, in the order of its calls.

    def set_params(self, params: dict[str, Any]) -> None:
        """Takes what `fit` was called with."""
        self._params = params or {}

    def set_model(self, model: Any) -> None:
        """Takes the model that is trained.

        Raises:
            InputError: If it is not a Keras model, is not built, or has another backend.
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
                self._record(_numbers(logs or {}), time.perf_counter() - self._began)

    def on_train_end(self, logs: Any = None) -> None:
        """Ends the record."""
        with self._telling():
            self._end()

    def __getattr__(self, name: str) -> Any:
        """Does nothing in all other calls of Keras, such as at each batch."""
        if name.startswith("on_"):
            return _nothing
        raise AttributeError(f"Census has no attribute {name!r}")

    @property
    def _nothing_yet(self) -> str:
        return "Nothing was observed yet: give the census to fit, as a callback."

    @functools.cached_property
    def _observer(self) -> Observer:
        if self._model is None:
            raise RunError(self._nothing_yet)
        return Observer(self._model, self.probe, self._layers, self._batch)

    def _begin(self) -> None:
        """Opens the record of a training, and observes the network before it."""
        self._close()
        self._epochs_seen, self._began = 0, time.perf_counter()
        self._by_fit = _is_in_fit(self._model)
        self.__dict__.pop("_observer", None)
        observer = self._observer
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
        self._open(record)


def _is_in_fit(model: Any) -> bool:
    """Tells whether a model is being trained: after an interrupt Keras calls no callback."""
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
    """Returns what distinguishes a network: its layers' settings and its arrays' shapes.

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
    """Leaves out names that Keras numbers from model to model, and what is recorded elsewhere."""
    if not isinstance(settings, dict):
        return settings
    return {
        name: _without_names(value) for name, value in settings.items() if name not in NOT_SOURCE
    }


def _known(model: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings of a training, as far as Keras knows them."""
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


def _numbers(logs: dict[str, Any]) -> dict[str, float]:
    """Returns what `fit` reports, under the record's names."""
    return {
        "train_loss": _number(logs, "loss"),
        "train_accuracy": _accuracy(logs, ""),
        "validation_loss": _number(logs, "val_loss"),
        "validation_accuracy": _accuracy(logs, "val_"),
    }


def _number(logs: dict[str, Any], name: str) -> float:
    return float(logs.get(name, np.nan))


def _accuracy(logs: dict[str, Any], before: str) -> float:
    """Returns the accuracy among what `fit` reports, whatever Keras calls it."""
    for name, value in logs.items():
        plain = name.removeprefix("val_")
        if name.startswith("val_") == bool(before) and plain.endswith(("accuracy", "acc")):
            return float(value)
    return float("nan")
