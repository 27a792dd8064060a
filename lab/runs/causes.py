"""Why a unit is dead: the cause that the record shows, and the story of a neuron in words.

The pre-activation of a unit is z = b + w·h: its bias, plus its weights times its inputs. When a
unit dies, its largest z falls. The record shows how far its bias fell; w·h did the rest. In layer
1, h are the images, which never change, so its weights did the rest. In a deeper layer h moves,
too; if the run kept the weights of both epochs, they bound their part. (Where a function's gate
closes on the right, as tanh's does, the smallest z rises instead.) Between the two epochs, the fall
is exactly the sum of both parts.
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lab import activations
from lab.census import BoolArray, lives, units
from lab.errors import LabError
from lab.layout import Site
from lab.runs.run import Run
from lab.words import number

if TYPE_CHECKING:
    import pandas as pd

# In a silent layer, each unit's standard deviation is at most this share of its mean |a|.
SILENT = 1e-6

RESETS = (
    "(In this run units or all weights were changed between steps, too; the record does not say "
    "which units were reset.)"
)
NONFINITE, BORN_DEAD, SILENT_BELOW = "non-finite", "born dead", "layer below silent"
BIAS, WEIGHTS, INPUTS, EITHER = "bias", "weights", "inputs", "weights or inputs"
UNKNOWN = "unknown"
CAUSES = {
    NONFINITE: "a value of it is NaN or infinite on some image of the probe",
    BORN_DEAD: "dead from the untrained network on, without a break",
    SILENT_BELOW: "in the epoch of its death the layer below began to give the same for all images",
    BIAS: "more than half of the way to its death was the fall of its bias",
    WEIGHTS: "in layer 1: at least half of that way was the turn of its weights against the images",
    INPUTS: "beyond layer 1: at least half of that way was not the bias, and of this the change of "
    "its weights can account for less than half: what the layer below gives it moved",
    EITHER: "beyond layer 1: at least half of that way was not the bias, but its weights, or what "
    "the layer below gives them, or both",
    UNKNOWN: "the run recorded no biases that would show it, or no single layer leads into it",
}


@dataclass(frozen=True)
class Cause:
    """Why a unit is dead, or that it is non-finite.

    Attributes:
        name: One of `CAUSES`.
        since: The epoch since which the unit is in this state.
        edge_before: One epoch before, the largest z, or the smallest where the gate is shut on the
            right; NaN where bias and weights cannot be separated.
        edge_after: The same at `since`.
        by_bias: How far the bias went that way; the rest of the way is the weights'.
    """

    name: str
    since: int
    edge_before: float = np.nan
    edge_after: float = np.nan
    by_bias: float = np.nan


def find(run: Run, layer: int, epoch: int | None = None) -> dict[int, Cause]:
    """Finds why units of a hidden layer are dead at an epoch, by what the run recorded.

    The epoch in which a unit died is compared with the one before. Dead means dead on the probe;
    at the end of a run, units that another training image wakes are left out.

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
    return _CauseFinder(run, layer).at(epoch)


def table(run: Run, layer: int, epoch: int | None = None) -> "pd.DataFrame":
    """Returns what `find` finds, a row for each unit: the fields of its `Cause`, and `by_weights`.

    `by_weights` is the rest of the way from `edge_before` to `edge_after`, without `by_bias`.

    Args:
        run: As for `find`.
        layer: As for `find`.
        epoch: As for `find`.

    Raises:
        RunError: As `find` does.
    """
    import pandas as pd

    found = find(run, layer, epoch)
    fields = list(Cause.__dataclass_fields__)
    rows = pd.DataFrame(map(vars, found.values()), index=list(found), columns=fields)
    way = (rows.edge_after - rows.edge_before).abs()
    return rows.assign(by_weights=way - rows.by_bias).rename_axis("unit")


class _CauseFinder:
    """All that the record shows of a layer, collected for one question."""

    def __init__(self, run: Run, layer: int) -> None:
        self.run, self.layer = run, layer
        self.summaries = run.layer(layer)
        self.site = run.layout.sites[layer - 1]
        self.below = self.site.below
        self._kernels: dict[int, NDArray[np.float64]] = {}
        self.lived = lives.follow(self.summaries)

    def at(self, epoch: int) -> dict[int, Cause]:
        """Returns the cause for each unit that is dead or non-finite at an epoch."""
        return {unit: self.of(unit, epoch) for unit in self.explained(epoch).tolist()}

    def explained(self, epoch: int) -> NDArray[np.intp]:
        """Returns the units that are dead, on all images where that is known, or non-finite."""
        dead, finite = self.lived.dead[epoch], self.lived.finite[epoch]
        if epoch == self.run.last_epoch and self.run.record.confirmed is not None:
            dead = dead & self.run.confirmed(self.layer)
        return np.flatnonzero(dead | ~finite)

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
        if self._silent_below[since] and not self._silent_below[since - 1]:
            return Cause(SILENT_BELOW, since)
        return self._compared(unit, since)

    @functools.cached_property
    def _silent_below(self) -> BoolArray:
        """At which epochs each unit of the layer below gives the same for all images."""
        if not self.below:
            return np.zeros(len(self.lived.dead), np.bool_)
        below = self.run.layer(self.below)
        return np.asarray((below.finite & (below.sd <= SILENT * below.mean_abs)).all(axis=1))

    def _compared(self, unit: int, since: int) -> Cause:
        sign, edge = self._edge(unit, since)
        if not sign:  # A bias moves all z alike: it cannot spread them.
            return Cause(WEIGHTS if self.below == 0 else EITHER, since)
        before, after = float(edge[since - 1]), float(edge[since])
        by_bias = sign * float(self._biases[since, unit] - self._biases[since - 1, unit])
        if not np.isfinite([by_bias, before]).all():
            return Cause(UNKNOWN, since)
        way = sign * (after - before)
        name = BIAS if by_bias > way / 2 else self._not_the_bias(unit, since, way - by_bias)
        return Cause(name, since, before, after, by_bias)

    def _not_the_bias(self, unit: int, since: int, rest: float) -> str:
        if self.below == 0:
            return WEIGHTS
        return INPUTS if self._most_by_weights(unit, since) < rest / 2 else EITHER

    def _most_by_weights(self, unit: int, since: int) -> float:
        """Bounds how far the change of a unit's weights in an epoch can have moved any of its z.

        On every image |Δw·h| is at most the sum of |Δw| times the largest |h| of each input. In a
        convolution, and after one, a unit has as many weights on an input as it sees positions.
        """
        if not self.below or not {since - 1, since} <= set(self.run.kept_epochs):
            return np.inf
        largest = self._largest_inputs(since)
        before, after = (self._kernel(epoch)[..., unit] for epoch in (since - 1, since))
        changes = np.abs(after - before).reshape(-1, len(largest)).sum(axis=0)
        return float(changes @ largest)

    def _kernel(self, epoch: int) -> NDArray[np.float64]:
        if epoch not in self._kernels:
            self._kernels[epoch] = self.run.weights(epoch).kernel(self.layer).astype(np.float64)
        return self._kernels[epoch]

    def _largest_inputs(self, epoch: int) -> NDArray[np.float64]:
        """The largest |f(z)| of each unit of the layer below, over all z that it had."""
        below = self.run.layer(self.below or 0)
        if len({site.function for site in self.run.layout.sites}) > 1:  # Not all are the run's f.
            return np.full(below.min_z.shape[1], np.inf)
        z = np.linspace(below.min_z[epoch], below.max_z[epoch], 65, dtype=np.float64)
        try:
            a = self.run.config.f(z)
        except LabError:  # A user's own function that is not registered here.
            return np.full(z.shape[1], np.inf)
        return np.asarray(np.abs(a).max(axis=0))

    @functools.cached_property
    def _biases(self) -> NDArray[np.float32]:
        return self.run.biases(self.layer)

    def _edge(self, unit: int, epoch: int) -> tuple[int, NDArray[np.float32]]:
        """Returns which z decides, and where it went: down (-1), up (1), or both ways (0).

        A gate that was open is above all z of the dead unit, or below them, or in a gap of them.
        """
        largest, smallest = self.summaries.max_z[:, unit], self.summaries.min_z[:, unit]
        low, high = float(smallest[epoch]), float(largest[epoch])
        at_or_above, at_or_below = self._open
        open_above, open_below = at_or_above >= low, at_or_below <= high
        if open_above != open_below:
            return (-1, largest) if open_above else (1, smallest)
        return (-1, largest) if high <= 0 else (int(low > 0), smallest)

    @functools.cached_property
    def _open(self) -> tuple[float, float]:
        """The highest z at or above which the layer met an open gate; the lowest, at or below."""
        alive = self.lived.finite & ~self.lived.dead
        return (
            float(self.summaries.min_z[alive].max(initial=-np.inf)),
            float(self.summaries.max_z[alive].min(initial=np.inf)),
        )


def story(run: Run, layer: int, unit: int, epoch: int | None = None) -> str:
    """Tells in a few sentences what a unit does at an epoch, why, and how it got there.

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
    finder = _CauseFinder(run, layer)
    explained = unit in finder.explained(epoch)
    sentences = (
        _state_words(run, layer, unit, epoch),
        _cause_words(run, finder.site, finder.of(unit, epoch)) if explained else "",
        f"Its life: {finder.lived.story(unit, epoch, run.config.epoch_words)}.",
        RESETS if run.config.resets_weights else "",
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
    open_share = float(units.open_share(summaries)[epoch, unit])
    probe = _probe_words(run)
    positions = run.layout.sites[layer - 1].positions
    places = f"the {positions:,} positions of " if positions > 1 else ""
    opened = f"its gate is open on {number(100 * open_share)} % of {places}{probe}; "
    opened = "" if np.isnan(open_share) else opened  # Where f' is not bounded.
    return {
        "alive": f"Alive: {opened}its largest pre-activation is {number(high)}.",
        "always negative": f"Always negative, but not dead: no image of {probe} pushes it above "
        f"zero (its largest pre-activation is {number(high)}), but its gate still lets up to "
        f"{number(gate)} of the gradient through.",
        "nearly dead": f"Nearly dead: its gate lets at most {number(gate)} of the gradient through "
        f"on any image of {probe}; its pre-activations lie between {number(low)} and "
        f"{number(high)}.",
        "non-finite": f"Neither dead nor alive: on {summaries.nonfinite[epoch, unit]:,} of "
        f"{probe} it has a value that is not a finite number.",
    }[state]


def _dead_words(run: Run, layer: int, unit: int, epoch: int, low: float, high: float) -> str:
    record = run.record
    on_probe, images = f"On the probe of {record.probe_images:,} images", "no image of the probe"
    of_all = "no input of the probe" if record.outside else "no training image"
    at_zero = high <= 0 and _closes_at_zero(run, layer)
    between = (
        f"its largest pre-activation is {number(high)}"
        if at_zero
        else f"its pre-activations lie between {number(low)} and {number(high)}, where the "
        f"slope is 0 in single precision"
    )
    if epoch == run.last_epoch and record.confirmed is not None:
        if not run.confirmed(layer)[unit]:
            return (
                f"Alive, though no image of the probe shows it. {on_probe} {between}, but some "
                f"other training image opens its gate."
            )
        images = of_all
    elif record.probe_images == record.train_images:
        images = of_all
    opens = "pushes it above zero" if at_zero else "opens its gate"
    if record.probe_images == record.train_images:
        return f"Dead: {images} {opens}: {between}."
    return f"Dead: {images} {opens}. {on_probe} {between}."


def _closes_at_zero(run: Run, layer: int) -> bool:
    """Tells whether no gradient passes below zero, and some above; no record shows just where."""
    z, function = np.array([-1e-6, 1e-6], np.float32), run.layout.sites[layer - 1].function
    try:
        below, above = activations.gate(function, z) if function else run.config.gate(z)
    except LabError:  # A user's own function that is not registered here.
        return False
    return bool(below == 0 != above)


def _probe_words(run: Run) -> str:
    images, all_images = run.record.probe_images, run.record.train_images
    if run.record.outside:
        return f"the probe of {images:,} inputs"
    if images == all_images:
        return f"all {images:,} training images"
    return f"the probe of {images:,} images"


def _cause_words(run: Run, site: Site, cause: Cause) -> str:
    when = run.config.epoch_words(cause.since)
    if cause.name == NONFINITE:
        return f"It has been so since {when}: training diverged."
    if cause.name == BORN_DEAD:
        return "It was born so: dead with its first weights and bias, and never alive since."
    if cause.name == SILENT_BELOW:
        return (
            f"It died in {when}, when layer {site.below} below it went silent: each "
            f"of its neurons gives the same for every image."
        )
    if cause.name == UNKNOWN:
        why = (
            "no single kernel and bias lead straight into it."
            if site.bias is None
            else "the run did not record the biases around this epoch. Train it again to know."
        )
        unknown = "whether by its bias or its weights is not known"
        return f"It died in {when}; {unknown}: {why}"
    return _way_words(site, cause, when)


def _way_words(site: Site, cause: Cause, when: str) -> str:
    given = f"what layer {site.below} gives " if site.below else "what the layers below give "
    on_images = site.below == 0
    if np.isnan(cause.by_bias):
        grew = "its weights" if on_images else f"its weights, or {given}them,"
        return (
            f"It died in {when}: {grew} grew, and spread its "
            f"pre-activations so far that none met an open gate."
        )
    way = cause.edge_after - cause.edge_before
    which, went = ("largest", "fell") if way < 0 else ("smallest", "rose")
    verdict = {
        BIAS: "it was its bias",
        WEIGHTS: "it was its weights",
        INPUTS: f"{given}it moved: the change of its own weights is too small for this",
        EITHER: f"it was its weights, or {given}them, or both",
    }[cause.name]
    rest = "the weights on the images" if on_images else f"the weights and {given}them"
    return (
        f"In {when} it died: its {which} pre-activation {went} from "
        f"{number(cause.edge_before)} to {number(cause.edge_after)}, by {number(abs(way))}: "
        f"{number(cause.by_bias)} of it by the bias, {number(abs(way) - cause.by_bias)} by "
        f"{rest}. So {verdict}."
    )
