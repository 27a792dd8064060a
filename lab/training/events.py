"""The trainer's events: what it is about to do, its progress, and the record of every epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lab.census import BoolArray, UnitSummaries
from lab.layout import Weights

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Phase:
    """What the trainer is about to do that takes seconds, such as 'compiling'."""

    text: str


@dataclass(frozen=True)
class Progress:
    """How far a run is within an epoch.

    Attributes:
        run: Position of the run in `configs`.
        epoch: The epoch that is being trained, from 1.
        share: Share of the epoch that is done.
        loss: Mean training loss of the epoch so far.
        accuracy: Training accuracy of the epoch so far.
    """

    run: int
    epoch: int
    share: float
    loss: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class State:
    """All that a run needs to go on after an epoch, exactly as if it had not been stopped.

    Attributes:
        epoch: The last finished epoch; 0 is the untrained network.
        weights: All arrays of the network, float32.
        slots: The optimiser's arrays, in the order of `Layout.slots`.
        replacement: The arrays of continual backprop, in the order of `Layout.replacement`; empty
            if the run has none.
    """

    epoch: int
    weights: Weights
    slots: tuple[FloatArray, ...]
    replacement: tuple[FloatArray, ...] = ()


@dataclass(frozen=True, eq=False)
class EpochEnd:
    """The full record of a finished epoch.

    Attributes:
        run: Position of the run in `configs`.
        epoch: The finished epoch; 0 is the untrained network.
        train_loss: Running mean over the epoch's steps, as Keras prints it; of epoch 0, the loss
            on the probe set.
        train_accuracy: As `train_loss`.
        validation_loss: Loss on the validation images at the epoch's end.
        validation_accuracy: Accuracy on them.
        train_seconds: Time that the training steps took on one core.
        validation_seconds: Time that the validation took on one core.
        census_seconds: Time that the census of the units took on one core.
        layers: Every unit's summaries on the probe set, one entry for each hidden layer.
        state: What a run needs to go on from here.
        by_layer: For a run that learns tasks, further numbers of each hidden layer, under the
            names that `Run.task_numbers` explains.
    """

    run: int
    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    train_seconds: float
    validation_seconds: float
    census_seconds: float
    layers: tuple[UnitSummaries, ...]
    state: State
    by_layer: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RunEnd:
    """The end of a run.

    Attributes:
        run: Position of the run in `configs`.
        diverged: Whether a weight became NaN or infinite, which ends the training with that epoch,
            or whether the loss on the validation or test images did at the end.
        test_loss: Loss on the test images.
        test_accuracy: Accuracy on them.
        confirmed: For each hidden layer the units, shape (units,), that are dead on every
            training image, not only on the probe set.
    """

    run: int
    diverged: bool
    test_loss: float
    test_accuracy: float
    confirmed: tuple[BoolArray, ...]


Event = Phase | Progress | EpochEnd | RunEnd
