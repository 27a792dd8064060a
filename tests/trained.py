"""What the tests of the trainer share: small settings, and what is taken from its events."""

import hashlib
from collections.abc import Iterable

import numpy as np

from lab import RunConfig
from lab.census.units import ARRAYS
from lab.training.events import EpochEnd, Event, RunEnd

TRIO = ("relu", "leaky_relu=0.1", "elu=0.5")


# Ten steps an epoch with a last batch of 15 images: ten epochs are a hundred steps.
SMALL = {"hidden": (16, 12), "batch_size": 25, "epochs": 10}


def epoch_ends(events: Iterable[Event], run: int = 0) -> list[EpochEnd]:
    return [e for e in events if isinstance(e, EpochEnd) and e.run == run]


def run_end(events: Iterable[Event], run: int = 0) -> RunEnd:
    (end,) = [e for e in events if isinstance(e, RunEnd) and e.run == run]
    return end


def digest(ends: Iterable[EpochEnd]) -> str:
    """A hash of every bit that a run records, but the seconds."""
    content = hashlib.sha256()
    for end in ends:
        numbers = (end.train_loss, end.train_accuracy, end.validation_loss, end.validation_accuracy)
        content.update(np.array(numbers).tobytes())
        for layer in end.layers:
            content.update(b"".join(getattr(layer, name).tobytes() for name in ARRAYS))
        content.update(b"".join(a.tobytes() for a in (*end.state.weights, *end.state.slots)))
    return content.hexdigest()


def scaled(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / 255


def many_shapes() -> list[RunConfig]:
    return [
        RunConfig(activation="elu", hidden=(5,), epochs=4, batch_size=7),
        RunConfig(activation="relu", hidden=(16, 12), epochs=4, batch_size=25, seed=1),
        RunConfig(activation="relu", hidden=(30, 3, 8), epochs=4, optimizer="sgd", batch_size=25),
    ]
