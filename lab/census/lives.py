"""Life histories: at which epochs each unit of a hidden layer was dead, died and revived."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.census import units
from lab.census.units import BoolArray, UnitSummaries, Values
from lab.words import shortened

STATES = ("alive", "always negative", "nearly dead", "dead", "non-finite")
# What a change of state, from one epoch to the next, is called.
TURNS = {
    ("alive", "dead"): "died in",
    ("dead", "alive"): "revived in",
    ("alive", "non-finite"): "non-finite from",
    ("dead", "non-finite"): "non-finite from",
    ("non-finite", "alive"): "finite again from",
    ("non-finite", "dead"): "died in",
}
MOST_TURNS = 10  # A longer story leaves out those in the middle.


@dataclass(frozen=True, eq=False)
class Lives:
    """The life histories of a hidden layer's units over the epochs 0 (untrained) to T.

    Arrays have shape (epochs, units). Dead means dead on the probe set. Up to every epoch, dead =
    born dead + died - revived - lost.

    Attributes:
        dead: Units that are dead at the end of an epoch.
        finite: Units whose values are all finite; others are neither dead nor alive.
    """

    dead: BoolArray
    finite: BoolArray

    @property
    def born_dead(self) -> BoolArray:
        """Units that are dead untrained, shape (units,)."""
        return np.asarray(self.dead[0])

    @property
    def died(self) -> BoolArray:
        """Units that are dead after an epoch, and were not before it."""
        return self.dead & ~self._dead_before

    @property
    def revived(self) -> BoolArray:
        """Units that are alive after an epoch, and were dead before it."""
        return self._dead_before & ~self.dead & self.finite

    @property
    def lost(self) -> BoolArray:
        """Units that are non-finite after an epoch, and were dead before it."""
        return self._dead_before & ~self.finite

    @property
    def _dead_before(self) -> BoolArray:
        """What was dead at the epoch before; a unit born dead did not die in epoch 0."""
        return np.concatenate([self.dead[:1], self.dead[:-1]])

    @property
    def dead_since(self) -> NDArray[np.intp]:
        """The epoch since which a unit has been dead without a break; -1 where it is not dead."""
        epochs = np.arange(len(self.dead))[:, None]
        last_not_dead = np.maximum.accumulate(np.where(self.dead, -1, epochs), axis=0)
        return np.where(self.dead, last_not_dead + 1, -1)

    @property
    def dead_for_good(self) -> BoolArray:
        """Units that are dead from an epoch on to the last one."""
        return np.asarray(np.logical_and.accumulate(self.dead[::-1], axis=0)[::-1])

    @property
    def never_dead(self) -> BoolArray:
        """Units that were not dead at any epoch so far."""
        return ~np.logical_or.accumulate(self.dead, axis=0)

    @property
    def survival(self) -> Values:
        """The survival curve, shape (epochs,): the share of units that were never dead so far.

        NaN from the first epoch with a non-finite unit in the layer.
        """
        known = np.logical_and.accumulate(self.finite.all(axis=1))
        return np.where(known, self.never_dead.mean(axis=1), np.nan)

    def story(self, unit: int, epoch: int, called: Callable[[int], str] = "epoch {}".format) -> str:
        """Describes a unit's life to an epoch: `alive before training, died in epoch 3`.

        Args:
            unit: The unit, from 0.
            epoch: The last epoch of the story.
            called: Returns what an epoch is called.
        """
        dead, finite = self.dead[: epoch + 1, unit], self.finite[: epoch + 1, unit]
        states = np.where(finite, np.where(dead, "dead", "alive"), "non-finite").tolist()
        first = "born dead" if dead[0] else f"{states[0]} before training"
        changes = enumerate(itertools.pairwise(states), start=1)
        turns = [f"{TURNS[turn]} {called(at)}" for at, turn in changes if turn in TURNS]
        return ", ".join([first, *shortened(turns, MOST_TURNS, "change")])


def follow(layer: UnitSummaries) -> Lives:
    """Returns the life histories of a layer whose summaries have the shape (epochs, units)."""
    return Lives(units.dead(layer), layer.finite)


def states(layer: UnitSummaries) -> NDArray[np.int8]:
    """Returns every unit's state as a position in `STATES`, in the shape of the summaries.

    A unit is in the last state that fits it: a dead one is always negative and nearly dead, too.
    """
    found = np.zeros(layer.max_z.shape, np.int8)
    marks = (units.always_negative, units.nearly_dead, units.dead, units.nonfinite)
    for state, mark in enumerate(marks, start=1):
        found[mark(layer)] = state
    return found
