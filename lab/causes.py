"""Why a unit is dead: the cause that the record shows, and the story of a neuron in words.

The pre-activation of a unit is z = b + w·h: its bias, and its weights on what it is given. When a
unit dies, its largest z falls; how much of that its bias fell is known, and the rest is the work
of w·h. (Where a function's gate closes on the right, as tanh's does, it is the smallest z that
rises.) Between the two epochs that are compared, the fall is exactly the sum of both.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab import lives
from lab.runs import Run
from lab.units import BoolArray

# Of a layer that is silent, each unit's standard deviation is at most this share of its mean |a|.
SILENT = 1e-6

NONFINITE, BORN_DEAD, SILENT_BELOW = "non-finite", "born dead", "layer below silent"
BIAS, WEIGHTS, UNKNOWN = "bias", "weights", "unknown"
CAUSES = {
    NONFINITE: "a value of it is NaN or infinite on some image of the probe",
    BORN_DEAD: "dead from the untrained network on, without a break",
    SILENT_BELOW: "when it died, every unit of the layer below gave the same for all images",
    BIAS: "more than half of the way to its death was the fall of its bias",
    WEIGHTS: "at least half of that way was the turn of its weights against what they are given",
    UNKNOWN: "the run keeps no weights that would show it",
}


@dataclass(frozen=True)
class Cause:
    """Why a unit is dead, or that it is non-finite.

    Attributes:
        name: One of `CAUSES`.
        since: The epoch since which the unit is in this state.
        before: The last epoch before it that could be compared, with the unit alive; -1: none.
        after: The first epoch since then that could be compared; -1: none.
        edge_before: At `before` the largest z, or the smallest where the gate is shut on the right.
        edge_after: The same at `after`.
        by_bias: How far the bias went that way; the rest of the way is the weights'.
    """

    name: str
    since: int
    before: int = -1
    after: int = -1
    edge_before: float = np.nan
    edge_after: float = np.nan
    by_bias: float = np.nan


def find(run: Run, layer: int, epoch: int | None = None) -> dict[int, Cause]:
    """Finds why units of a hidden layer are dead at an epoch, by what the run recorded.

    The bias and the weights are told apart where the run keeps the weights of an epoch at which
    the unit was dead. They are compared with those of the last epoch before its death that the
    run keeps, or of the untrained network, whose biases the settings tell.

    Args:
        run: The run.
        layer: The hidden layer, from 1.
        epoch: The epoch; by default the last.

    Returns:
        The cause for each unit that is dead or non-finite.

    Raises:
        RunError: If there is no such layer or epoch, or if the arrays cannot be read.
    """
    epoch = run.last_epoch if epoch is None else epoch
    run.check_epoch(epoch)
    return _Inquest(run, layer).at(epoch)


class _Inquest:
    """What is known of a layer, brought together for one inquiry."""

    def __init__(self, run: Run, layer: int) -> None:
        self.run, self.layer = run, layer
        self.summaries = run.layer(layer)
        self.lived = lives.follow(self.summaries)
        self.bias = functools.cache(self._bias)

    def at(self, epoch: int) -> dict[int, Cause]:
        """Returns the cause for each unit that is dead or non-finite at an epoch."""
        since = self.lived.dead_since[epoch]
        explained = np.flatnonzero((since >= 0) | ~self.lived.finite[epoch]).tolist()
        return {unit: self.of(unit, epoch) for unit in explained}

    def of(self, unit: int, epoch: int) -> Cause:
        """Returns the cause for one unit that is dead or non-finite at an epoch."""
        if not self.lived.finite[epoch, unit]:
            return Cause(NONFINITE, self._broken_since(unit, epoch))
        return self._of_dead(unit, epoch)

    def _broken_since(self, unit: int, epoch: int) -> int:
        finite = np.flatnonzero(self.lived.finite[: epoch + 1, unit])
        return int(finite[-1]) + 1 if len(finite) else 0

    def _of_dead(self, unit: int, epoch: int) -> Cause:
        since = int(self.lived.dead_since[epoch, unit])
        if since == 0:
            return Cause(BORN_DEAD, since)
        if self._silent_below[since]:
            return Cause(SILENT_BELOW, since)
        alive = self.lived.finite[:, unit] & ~self.lived.dead[:, unit]
        before = [e for e in {0, *self.run.kept_epochs} if e < since and alive[e]]
        after = [e for e in self.run.kept_epochs if since <= e <= epoch]
        if not before or not after:
            return Cause(UNKNOWN, since)
        return self._compared(unit, since, max(before), min(after))

    @functools.cached_property
    def _silent_below(self) -> BoolArray:
        """At which epochs each unit of the layer below gives the same for all images."""
        if self.layer == 1:
            return np.zeros(len(self.lived.dead), np.bool_)
        below = self.run.layer(self.layer - 1)
        return np.asarray((below.finite & (below.sd <= SILENT * below.mean_abs)).all(axis=1))

    def _compared(self, unit: int, since: int, before: int, after: int) -> Cause:
        sign, edge = self._edge(unit, after)
        if not sign:
            return Cause(WEIGHTS, since, before, after)
        way = sign * float(edge[after] - edge[before])
        by_bias = sign * float(self.bias(after)[unit] - self.bias(before)[unit])
        name = BIAS if by_bias > way - by_bias else WEIGHTS
        return Cause(name, since, before, after, float(edge[before]), float(edge[after]), by_bias)

    def _edge(self, unit: int, epoch: int) -> tuple[int, NDArray[np.float32]]:
        """Returns which z decides, and where it went: down (-1), up (1), or both ways (0)."""
        largest, smallest = self.summaries.max_z[:, unit], self.summaries.min_z[:, unit]
        if largest[epoch] <= 0:
            return -1, largest
        return int(smallest[epoch] > 0), smallest

    def _bias(self, epoch: int) -> NDArray[np.float32]:
        if epoch == 0:
            width = self.run.config.hidden[self.layer - 1]
            return np.full(width, self.run.config.first_bias, np.float32)
        return self.run.weights(epoch)[2 * self.layer - 1]


def story(run: Run, layer: int, unit: int, epoch: int | None = None) -> str:
    """Tells in a few sentences what a unit does at an epoch, why, and how it came there.

    Args:
        run: The run.
        layer: The hidden layer, from 1.
        unit: The unit in it, from 0.
        epoch: The epoch; by default the last.

    Raises:
        RunError: If there is no such layer, unit or epoch, or if the arrays cannot be read.
    """
    run.check_unit(layer, unit)
    epoch = run.last_epoch if epoch is None else epoch
    run.check_epoch(epoch)
    inquest = _Inquest(run, layer)
    lived = inquest.lived
    explained = lived.dead[epoch, unit] or not lived.finite[epoch, unit]
    sentences = (
        _state_words(run, layer, unit, epoch),
        _cause_words(run, layer, inquest.of(unit, epoch)) if explained else "",
        f"Its life: {lived.story(unit, epoch)}.",
    )
    return " ".join(filter(None, sentences))


def _state_words(run: Run, layer: int, unit: int, epoch: int) -> str:
    summaries = run.layer(layer)
    state = lives.STATES[lives.states(summaries)[epoch, unit]]
    low, high, gate = (
        float(values[epoch, unit])
        for values in (summaries.min_z, summaries.max_z, summaries.max_gate)
    )
    if state == "dead":  # Only then is it worth reading what was confirmed.
        return _dead_words(run, layer, unit, epoch, low, high)
    open_share = 1 - float(summaries.shut[epoch, unit]) / summaries.images
    probe = _probe_words(run)
    return {
        "alive": f"Alive: its gate is open on {number(100 * open_share)} % of {probe}; its largest "
        f"pre-activation is {number(high)}.",
        "always negative": f"Always negative, but not dead: no image of {probe} pushes it above "
        f"zero (its largest pre-activation is {number(high)}), but its gate still lets up to "
        f"{number(gate)} of the gradient through.",
        "nearly dead": f"Nearly dead: its gate lets at most {number(gate)} of the gradient through "
        f"on any image of {probe}; its pre-activations lie between {number(low)} and "
        f"{number(high)}.",
        "non-finite": f"Neither dead nor alive: on {summaries.nonfinite[epoch, unit]:,} images of "
        f"{probe} it has a value that is not a finite number.",
    }[state]


def _dead_words(run: Run, layer: int, unit: int, epoch: int, low: float, high: float) -> str:
    record, images = run.record, "no training image"
    on_probe = ""
    if record.probe_images < record.train_images:
        on_probe = f"on the probe of {record.probe_images:,} images "
        known = epoch == run.last_epoch and record.confirmed is not None
        if not known:
            images = "no image of the probe"
        elif not run.confirmed(layer)[unit]:
            return (
                f"Dead on the probe of {record.probe_images:,} images (largest pre-activation "
                f"{number(high)}), but not dead: some other training image opens its gate."
            )
    if high <= 0:
        return (
            f"Dead: {images} pushes it above zero: {on_probe}the largest pre-activation is "
            f"{number(high)}."
        )
    return (
        f"Dead: {images} opens its gate: {on_probe}the pre-activations lie between {number(low)} "
        f"and {number(high)}, where the slope rounds to 0."
    )


def _probe_words(run: Run) -> str:
    images, all_images = run.record.probe_images, run.record.train_images
    return (
        f"all {images:,} training images"
        if images == all_images
        else (f"the probe of {images:,} images")
    )


def _cause_words(run: Run, layer: int, cause: Cause) -> str:
    if cause.name == NONFINITE:
        return f"It has been so since epoch {cause.since}: training diverged."
    if cause.name == BORN_DEAD:
        return "It was born so: dead with its first weights, and never alive since."
    if cause.name == SILENT_BELOW:
        return (
            f"It died in epoch {cause.since}, when layer {layer - 1} below it went silent: all of "
            f"its neurons gave the same for every image."
        )
    if cause.name == UNKNOWN:
        return (
            f"It died in epoch {cause.since}; whether by its bias or its weights is not known, as "
            f"the run keeps no weights that would tell. Train with keep_weights='every' to know."
        )
    return _way_words(layer, cause)


def _way_words(layer: int, cause: Cause) -> str:
    given = "the images" if layer == 1 else f"what layer {layer - 1} gives it"
    between = f"Between epochs {cause.before} and {cause.after} "
    if np.isnan(cause.by_bias):
        return f"{between}its weights grew until no image met an open gate."
    falling = cause.edge_after <= 0
    way = abs(cause.edge_after - cause.edge_before)
    by_weights = way - cause.by_bias
    which, went, driven = ("largest", "fell", "down") if falling else ("smallest", "rose", "up")
    verdict = (
        f"its bias was driven {driven}"
        if cause.name == BIAS
        else f"its weights turned against {given}"
    )
    return (
        f"{between}its {which} pre-activation {went} from {number(cause.edge_before)} to "
        f"{number(cause.edge_after)}, by {number(way)}: {number(cause.by_bias)} of it by the bias, "
        f"{number(by_weights)} by the weights on {given}. So {verdict}."
    )


def number(value: float) -> str:
    """Writes a number for prose, to three digits and with a true minus sign."""
    return f"{value:.3g}".replace("-", "−")
