"""`watch`: counts the dead units of any PyTorch module while the user's own loop trains it."""

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lab.errors import InputError, RunError
from lab.experiment import MOST_EPOCHS
from lab.outside.probe import Probe
from lab.outside.recorder import Recorder
from lab.outside.recording import described, record_of
from lab.store import RunStore

if TYPE_CHECKING:
    from lab.outside.torch_observer import TorchObserver

OUTSIDE = "step() must be called within the block of `with lab.watch(module, probe=x) as census:`."


def watch(
    module: Any,
    probe: Any,
    *,
    layers: Sequence[str] | None = None,
    every: int = 1,
    batch_size: int | None = None,
    keep_weights: str = "last",
    store: str | Path | RunStore | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> "Watching":
    """Takes the lab's census of a PyTorch module after every epoch of the user's own training.

    Within the loop that trains::

        with lab.watch(module, probe=x_probe) as census:
            for epoch in range(10):
                train_one_epoch(module)
                census.step()
        census.layers()

    Without any training, once: `lab.watch(module, probe=x_probe).once().layers()`.

    It sees each activation function that a `forward` calls, as a module or as a function, and
    observes it in eval mode. It changes nothing: the training has the same bits without it. Units
    are counted by the gate f'(z) of the very function that is called. What cannot be seen, such as
    functions within an LSTM, is listed in `unseen` and not counted.

    A unit is a channel (axis 1) if its z comes from a convolution, also through a normalisation,
    pooling or addition; otherwise it lies along the last axis. Calls of one function on what comes
    from the same weights are one layer: a unit of it is dead if its gate is 0 in all of them.

    Args:
        module: A `torch.nn.Module`, on any device.
        probe: The inputs on which units are observed: a tensor or array, a list of them for several
            arguments, or a dict for arguments by name; with labels, a tuple (x, y).
        layers: The names of the layers to observe; by default all.
        every: After how many steps it observes; then each epoch of its tables is as many.
        batch_size: How many inputs are observed at once; by default as many as fit well.
        keep_weights: last, every or none: which epochs' weights are kept.
        store: Where to record; by default a temporary folder that goes with the process.
        seed: A number that distinguishes runs of one network, and pairs them with others; by
            default one drawn by chance.
        name: What to call the probe in tables and figures.

    Returns:
        The census: a context for the training loop, and its tables.

    Raises:
        InputError: If PyTorch is missing; if it is not a module; if the probe is empty, of
            different lengths, or holds NaN; or if another choice is not possible.
    """
    observer = _observer_module()
    observer.check_module(module)
    return Watching(
        module,
        _TorchProbe(observer.arrays_of(probe)),
        layers=layers,
        every=every,
        batch_size=batch_size,
        keep_weights=keep_weights,
        store=store,
        seed=seed,
        name=name,
    )


class Watching(Recorder):
    """The census of a PyTorch module, which `lab.watch` begins: a context for a training loop."""

    def __init__(self, module: Any, probe: Probe, **choices: Any) -> None:
        """Keeps the module and the choices; nothing else happens before the `with` block.

        Args:
            module: A `torch.nn.Module`.
            probe: The inputs on which units are observed.
            **choices: As for `watch`.
        """
        super().__init__(probe, **choices)
        self._module = module
        self._steps, self._since = 0, 0.0

    def __enter__(self) -> Self:
        """Observes the network before its first step: epoch 0.

        Raises:
            InputError: If the census cannot be taken; the training has not begun then.
        """
        self._begin()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Ends the record; of a training that an error ended, it is kept as interrupted."""
        with self._telling():
            if error is None:
                self._end()
            else:
                self._close()

    def step(
        self,
        *,
        train_loss: Any = np.nan,
        train_accuracy: Any = np.nan,
        validation_loss: Any = np.nan,
        validation_accuracy: Any = np.nan,
    ) -> None:
        """Observes the network after an epoch.

        An error here never ends the training: it is shown once, as a warning.

        Args:
            train_loss: The epoch's loss, if it is to be in the tables and figures.
            train_accuracy: The share classified right, from 0 to 1. With labels in the probe it is
                the share of the probe instead.
            validation_loss: The loss on other data.
            validation_accuracy: The share of other data classified right.
        """
        self._steps += 1
        if self._steps % self._every:
            return
        with self._telling():
            numbers = {
                "train_loss": float(train_loss),
                "train_accuracy": float(train_accuracy),
                "validation_loss": float(validation_loss),
                "validation_accuracy": float(validation_accuracy),
            }
            self._observe(numbers)

    def once(self) -> Self:
        """Takes the census of the module as it is, without any training, and returns itself.

        Raises:
            InputError: If the census cannot be taken.
        """
        with self:
            return self

    @property
    def _nothing_yet(self) -> str:
        return "Nothing was observed yet: enter the census, as in `with lab.watch(…) as census:`."

    @functools.cached_property
    def _observer(self) -> "TorchObserver":
        observer = _observer_module().TorchObserver
        made: TorchObserver = observer(self._module, self.probe, self._layers, self._batch)
        return made

    def _begin(self) -> None:
        """Opens the record of a training, and observes the network before it."""
        self.__dict__.pop("_observer", None)
        module, observer = _observer_module(), self._observer
        record = record_of(
            type(self._module).__name__,
            described(module.described(self._module)),
            observer.layout,
            observer.unseen,
            self.probe,
            seed=self._seed,
            known={"keep_weights": self._keep, "epochs": 1},
            every=self._every,
            name=self._name,
            computed_on=module.conditions(self._module),
        )
        self._steps = 0
        self._open(record)
        self._since = time.perf_counter()

    def _observe(self, numbers: dict[str, float]) -> None:
        """Takes an epoch into the record, whose settings say how many there were so far."""
        writer = self._writer
        if writer is None:
            raise RunError(OUTSIDE)
        settings = writer.record.settings
        settings = settings.model_copy(update={"epochs": min(self._steps, MOST_EPOCHS)})
        writer.record = writer.record.model_copy(update={"settings": settings})
        self._record(numbers, time.perf_counter() - self._since)
        self._since = time.perf_counter()


class _TorchProbe(Probe):
    """Inputs for a PyTorch module, whose images have their channels first."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of one input, with the channels last as the lab has it."""
        shape = super().shape
        return (*shape[1:], shape[0]) if shape and len(shape) == 3 else shape


def _observer_module() -> Any:
    """Imports what needs PyTorch.

    Raises:
        InputError: If it is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"lab.watch needs PyTorch ({error}): pip install 'activation-lab[torch]'."
        ) from error
    from lab.outside import torch_observer

    return torch_observer
