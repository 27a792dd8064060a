"""A verdict: what the seeds say of one activation function against another, in one sentence."""

import math
from dataclasses import dataclass

from lab.experiment import RunConfig
from lab.runs import Measure
from lab.stats.pairs import FEWEST_SEEDS, LEVEL, MOST_SEEDS, Paired
from lab.words import counted, fixed


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the seeds say of one activation function against the baseline, by one measure.

    Attributes:
        config: The settings of the activation function's runs, of one seed.
        against: The same of the baseline.
        where: What else was set: the data set, the learning rate, and in what this comparison
            differs from the others.
        measure: What is compared.
        seeds: The seeds that both have, in order.
        paired: The measure of these seeds, as it is shown, and the differences.
        left_out: The seeds that only one of them has.
        problem: Which runs diverged or have no finite value, in words; empty if none.
        p_holm: The t-test's p-value after Holm's correction; NaN where there is no verdict.
        comparisons: How many comparisons it is corrected for.
        names: What to call the two, where it is not their activation functions that differ.
    """

    config: RunConfig
    against: RunConfig
    where: str
    measure: Measure
    seeds: tuple[int, ...]
    paired: Paired
    left_out: tuple[int, ...] = ()
    problem: str = ""
    p_holm: float = math.nan
    comparisons: int = 1
    names: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """The activation function, with its parameter; or the name of its group."""
        return self.names[0] if self.names else self.config.title

    @property
    def baseline(self) -> str:
        """The baseline, with its parameter; or the name of its group."""
        return self.names[1] if self.names else self.against.title

    @property
    def decidable(self) -> bool:
        """Whether there can be a verdict: at least 6 pairs, and nothing diverged."""
        return self.paired.n >= FEWEST_SEEDS and not self.problem

    @property
    def excludes_zero(self) -> bool:
        """Whether the 95 % t interval of the difference excludes 0."""
        return self.paired.low > 0 or self.paired.high < 0

    @property
    def distinguishable(self) -> bool:
        """Whether the two can be told apart: the interval excludes 0, after Holm's correction."""
        return self.decidable and self.excludes_zero and self.p_holm <= LEVEL

    @property
    def sentence(self) -> str:
        """The verdict in plain words."""
        words = _undecided(self) if not self.decidable else _decided(self)
        return f"{words}.{_left_out(self)}"

    def amount(self, value: float) -> str:
        """Returns a difference as text, with its sign and with digits that fit the interval."""
        return fixed(value, _digits(self))


def _undecided(verdict: Verdict) -> str:
    about = f"{verdict.name} against {verdict.baseline}, {verdict.measure.label}"
    if verdict.problem:
        return f"{about}: no verdict, because {verdict.problem}"
    return (
        f"{about}: too few seeds for a verdict (n = {verdict.paired.n}; "
        f"at least {FEWEST_SEEDS} are needed)"
    )


def _decided(verdict: Verdict) -> str:
    found, name, label = verdict.paired, verdict.name, verdict.measure.label
    start = f"With {found.n} paired seeds {name}'s {label} is"
    if not found.differences.any():
        return f"{start} the same as {verdict.baseline}'s for every seed"
    interval = f"95 % interval {verdict.amount(found.low)} to {verdict.amount(found.high)}"
    if verdict.distinguishable:
        return f"{start} {_told_apart(verdict, interval)}"
    start = f"{name}'s {label} is not distinguishable from {verdict.baseline}'s with n = {found.n}"
    mean = f"mean difference {_with_unit(verdict, found.mean)}, {interval}"
    if verdict.excludes_zero:
        return (
            f"{start} ({mean}): alone it would be, but not as one of {verdict.comparisons} "
            f"comparisons (Holm's p = {verdict.p_holm:.2g})"
        )
    return f"{start} ({mean}); {_seeds_in_words(verdict)}"


def _told_apart(verdict: Verdict, interval: str) -> str:
    mean = verdict.paired.mean
    size = _with_unit(verdict, abs(mean))
    side = "above" if mean > 0 else "below"
    holds = ""
    if verdict.comparisons > 1:
        holds = f"; it holds after Holm's correction for {verdict.comparisons} comparisons"
    small = abs(mean) < verdict.measure.worth
    note = f", though less than {_worth(verdict)} is hardly worth seeing" if small else ""
    return f"{size} {side} {verdict.baseline}'s ({interval}{holds}){note}"


def _seeds_in_words(verdict: Verdict) -> str:
    worth = _worth(verdict)
    needed = verdict.paired.seeds_for(verdict.measure.worth)
    if needed is None:
        return f"more than {MOST_SEEDS:,} seeds would be needed to show {worth}"
    if needed <= verdict.paired.n:
        return f"a true difference of {worth} would show in 4 of 5 such studies"
    return f"about {needed:,} seeds would show {worth}"


def _worth(verdict: Verdict) -> str:
    worth, unit = verdict.measure.worth, verdict.measure.unit
    return f"{worth:g} {unit.removesuffix('s') if worth == 1 else unit}".strip()


def _with_unit(verdict: Verdict, value: float) -> str:
    return f"{verdict.amount(value)} {verdict.measure.unit}".strip()


def _digits(verdict: Verdict) -> int:
    """Returns the decimals for two digits of half the interval, or of the worth if fewer.

    Where the interval excludes 0, enough digits are printed that neither end is printed as 0.
    """
    low, high = verdict.paired.low, verdict.paired.high
    digits = min(_decimals((high - low) / 20), _decimals(verdict.measure.worth / 10))
    if verdict.excludes_zero:
        digits = max(digits, _decimals(min(abs(low), abs(high))))
    return digits


def _decimals(size: float) -> int:
    """The decimals that show the first digit of a number; 8 for 0 and for an unknown number."""
    return min(8, max(0, -math.floor(math.log10(size)))) if size > 0 else 8


def _left_out(verdict: Verdict) -> str:
    if not verdict.left_out:
        return ""
    some = ", ".join(map(str, verdict.left_out[:10])) + (
        ", …" if len(verdict.left_out) > 10 else ""
    )
    return (
        f" Left out: {counted(len(verdict.left_out), 'seed')} that only one of them has ({some})."
    )
