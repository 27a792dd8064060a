"""The trainer: many runs side by side, each the same to the bit as if it were alone.

It is an iterator of events. A caller shows, keeps or ignores them, and stops pulling to stop the
training.
"""

from lab.training.events import EpochEnd, Event, Phase, Progress, RunEnd, State
from lab.training.trainer import batch_order, first_state, prepare, pulled_to, train

__all__ = [
    "EpochEnd",
    "Event",
    "Phase",
    "Progress",
    "RunEnd",
    "State",
    "batch_order",
    "first_state",
    "prepare",
    "pulled_to",
    "train",
]
