"""Verdicts: paired differences between activation functions, what they can tell and what not.

Runs of one seed share their first weights and the order of their batches, so they are compared in
pairs, and the seed is the sampling unit. The t interval of the paired difference decides. In 20,000
simulated studies with 6 or 10 seeds it held the truth in 95 % where differences were normal, in
96 % with heavy tails (t with 3 degrees of freedom), and in 89 and 90 % where they were as skewed as
an exponential distribution.

verdicts = stats.verdicts(runs, "test_accuracy")
verdicts[0].sentence, stats.table(verdicts), plots.forest(verdicts)
"""

import bisect
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab import measures
from lab.config import RunConfig
from lab.errors import InputError, unknown
from lab.measures import Better, Measure
from lab.runs import Run
from lab.tables import Runs, counted, differences, each

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05
FEWEST_SEEDS = 6
MOST_SEEDS = 10_000
SIGN_FLIPS = 2**14
SAME = 1e-12


@dataclass(frozen=True, eq=False)
class Paired:
    """Paired differences of one measure, and what they tell; make it with `paired`.

    A pair with a value that is not finite makes every number NaN: nothing is left out silently.

    Attributes:
        values: The measure of every seed, shape (n,).
        baseline: The baseline's, of the same seeds.
        better: Which of two values is the better one.
    """

    values: NDArray[np.float64]
    baseline: NDArray[np.float64]
    better: Better

    @property
    def n(self) -> int:
        """How many pairs there are."""
        return len(self.values)

    @property
    def differences(self) -> NDArray[np.float64]:
        """Value minus baseline of every seed, shape (n,)."""
        return self.values - self.baseline

    @property
    def mean(self) -> float:
        """The mean difference; NaN without pairs."""
        return float(self.differences.mean()) if self.n else math.nan

    @functools.cached_property
    def sd(self) -> float:
        """The standard deviation of the differences; 0 where they differ by rounding alone."""
        if self.n < 2:
            return math.nan
        sd = float(self.differences.std(ddof=1))
        rounding = SAME * max(np.abs(self.values).max(), np.abs(self.baseline).max())
        return 0.0 if sd <= rounding else sd

    @property
    def low(self) -> float:
        """The lower end of the 95 % t interval of the mean difference."""
        return self._t_test[0]

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return self._t_test[1]

    @property
    def p(self) -> float:
        """The p-value of the paired t-test, two-sided: below 0.05 where the interval excludes 0.

        Where all differences are the same, the t-test knows no spread, and this is `p_sign_flip`.
        """
        return self._t_test[2]

    @functools.cached_property
    def _t_test(self) -> tuple[float, float, float]:
        from scipy.special import stdtr, stdtrit  # Student's t and its quantiles.

        if math.isnan(self.sd):
            return math.nan, math.nan, math.nan
        if self.sd == 0:
            return self.mean, self.mean, self.p_sign_flip
        error, freedom = self.sd / math.sqrt(self.n), self.n - 1
        reach = float(stdtrit(freedom, 1 - LEVEL / 2)) * error
        p = 2 * float(stdtr(freedom, -abs(self.mean) / error))
        return self.mean - reach, self.mean + reach, p

    @functools.cached_property
    def p_sign_flip(self) -> float:
        """How often signs by chance give a mean at least so far from 0, two-sided.

        Exact for up to 14 pairs, else by 16,384 draws with a fixed seed. It assumes nothing but
        that differences are symmetric about 0, and cannot be below 2 / 2^n.
        """
        from scipy import stats

        if not self.n or math.isnan(self.mean):
            return math.nan
        if self.n == 1:
            return 1.0  # SciPy refuses what has but one answer.
        found = stats.permutation_test(
            (self.differences,),
            lambda d, axis: d.mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=SIGN_FLIPS,
            batch=max(1, 10**7 // self.n),
            rng=np.random.default_rng(0),
        )
        return float(found.pvalue)

    @property
    def probability_of_improvement(self) -> float:
        """The chance that a random run is better than a random run of the baseline, ties half.

        Mann and Whitney's U over all n² pairs (Agarwal et al. 2021). Of a measure where neither is
        better: the chance of a larger value.
        """
        from scipy import stats

        if not self.n or math.isnan(self.mean):
            return math.nan
        u = stats.mannwhitneyu(self.values, self.baseline, method="asymptotic").statistic
        larger = float(u) / self.n**2
        return 1 - larger if self.better == "smaller" else larger

    @property
    def correlation(self) -> float:
        """Pearson's correlation over the seeds: what pairing buys. NaN where it is undefined.

        With correlation r and like spreads, pairs need 1 - r times the seeds that runs of
        different seeds would need.
        """
        spreads = [
            np.ptp(side) if self.n > 2 else math.nan for side in (self.values, self.baseline)
        ]
        if not all(spread > 0 for spread in spreads):
            return math.nan
        return float(np.corrcoef(self.values, self.baseline)[0, 1])

    def seeds_for(self, difference: float, power: float = 0.8) -> int | None:
        """Returns how many seeds would show a difference, if the spread is what these pairs show.

        The fewest, but at least 6, whose paired t-test at 5 % (one comparison, two-sided) finds a
        true mean difference of this size with this probability, by the noncentral t distribution.
        The spread of few pairs is itself uncertain: take it as a guide.

        Args:
            difference: The difference to be seen, as the values are given; its sign is no matter.
            power: The probability to see it, between 0.05 and 1.

        Returns:
            The number; nothing if it is more than 10,000, or if fewer than two pairs, or a value
            that is not finite, leave the spread unknown.

        Raises:
            InputError: If the difference is 0 or not finite, or the power not between the limits.
        """
        if not (math.isfinite(difference) and difference):
            raise InputError(f"difference must be a number other than 0, not {difference!r}.")
        if not LEVEL < power < 1:
            raise InputError(f"power must be between {LEVEL} and 1, both excluded, not {power!r}.")
        if math.isnan(self.sd):
            return None
        if self.sd == 0:
            return FEWEST_SEEDS
        sizes = range(FEWEST_SEEDS, MOST_SEEDS + 1)
        effect = abs(difference) / self.sd
        place = bisect.bisect_left(sizes, power, key=lambda n: t_test_power(effect, n))
        return sizes[place] if place < len(sizes) else None


def paired(values: ArrayLike, baseline: ArrayLike, better: Better = "larger") -> Paired:
    """Compares a measure of several seeds with a baseline's of the same seeds.

    Args:
        values: The measure of every seed, shape (n,).
        baseline: The baseline's, in the same order of seeds.
        better: Which of two values is the better one: `larger`, `smaller` or `neither`.

    Raises:
        InputError: If the two are not lists of numbers of the same length.

    >>> found = paired([3, 5, 4, 6], [2, 3, 1, 2])
    >>> found.mean, round(found.low, 3), round(found.high, 3)
    (2.5, 0.446, 4.554)
    """
    sides = [np.asarray(side, np.float64) for side in (values, baseline)]
    if sides[0].ndim != 1 or sides[0].shape != sides[1].shape:
        shapes = " and ".join(str(side.shape) for side in sides)
        raise InputError(
            f"values and baseline must be two lists of the same length, a number for each seed, "
            f"not arrays of shape {shapes}."
        )
    first, second = (np.where(np.isfinite(side), side, np.nan) for side in sides)
    return Paired(first, second, better)


def t_test_power(effect: float, n: int) -> float:
    """Returns the probability that a paired t-test at 5 %, two-sided, finds an effect.

    Args:
        effect: The true mean difference in standard deviations of the differences, at least 0.
        n: How many pairs.
    """
    from scipy import stats

    limit, shift = stats.t.ppf(1 - LEVEL / 2, n - 1), effect * math.sqrt(n)
    above, below = stats.nct.sf(limit, n - 1, shift), stats.nct.cdf(-limit, n - 1, shift)
    return float(above + below)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for their number (Holm 1979).

    If no difference is real, the smallest of them is below 0.05 in at most 1 of 20 studies.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1.0)
    return [float(value) for value in corrected]


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the seeds say of one activation function against the baseline, by one measure.

    Attributes:
        config: The settings of the activation function's runs, of one seed.
        against: The same of the baseline.
        where: What else was set: the data set, the learning rate, and what tells this comparison
            from the others.
        measure: What is compared.
        seeds: The seeds that both have, in order.
        paired: The measure of these seeds, as it is shown, and the differences.
        left_out: The seeds that only one of them has.
        problem: Which runs diverged or have no finite value, in words; empty if none.
        p_holm: The t-test's p-value after Holm's correction; NaN where there is no verdict.
        comparisons: How many comparisons it is corrected for.
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

    @property
    def name(self) -> str:
        """The activation function, with its parameter."""
        return self.config.title

    @property
    def baseline(self) -> str:
        """The baseline, with its parameter."""
        return self.against.title

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
        digits = _digits(self)
        return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


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
        size = _with_unit(verdict, abs(found.mean))
        side = "above" if found.mean > 0 else "below"
        holds = ""
        if verdict.comparisons > 1:
            holds = f"; it holds after Holm's correction for {verdict.comparisons} comparisons"
        small = abs(found.mean) < verdict.measure.worth
        note = f", though less than {_worth(verdict)} is hardly worth seeing" if small else ""
        return f"{start} {size} {side} {verdict.baseline}'s ({interval}{holds}){note}"
    start = f"{name}'s {label} is not distinguishable from {verdict.baseline}'s with n = {found.n}"
    mean = f"mean difference {_with_unit(verdict, found.mean)}, {interval}"
    if verdict.excludes_zero:
        return (
            f"{start} ({mean}): alone it would be, but not as one of {verdict.comparisons} "
            f"comparisons (Holm's p = {verdict.p_holm:.2g})"
        )
    return f"{start} ({mean}); {_seeds_in_words(verdict)}"


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
    """Two digits of half the interval or of the worth, the fewer; no end reads 0 in error."""
    low, high = verdict.paired.low, verdict.paired.high
    digits = min(_decimals((high - low) / 20), _decimals(verdict.measure.worth / 10))
    if verdict.excludes_zero:
        digits = max(digits, _decimals(min(abs(low), abs(high))))
    return digits


def _decimals(size: float) -> int:
    """The decimals that show the first digit of a number; 8 of 0, and of what is unknown."""
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


def corrected(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Returns the verdicts with Holm's correction over all of them that can be decided."""
    verdicts = list(verdicts)
    decidable = [verdict for verdict in verdicts if verdict.decidable]
    p_values = dict(
        zip(map(id, decidable), holm([verdict.paired.p for verdict in decidable]), strict=True)
    )
    return [
        replace(one, p_holm=p_values.get(id(one), math.nan), comparisons=max(1, len(decidable)))
        for one in verdicts
    ]


def verdicts(
    runs: Iterable[Run],
    measure: str = "test_accuracy",
    layer: int | None = None,
    baseline: str | None = None,
    best_rate: bool = False,
) -> list[Verdict]:
    """Compares every activation function with the baseline, wherever all other settings agree.

    Runs that have not ended are left out. Holm's correction is over all comparisons returned.

    Args:
        runs: Recorded runs.
        measure: One of `measures.NAMES`.
        layer: The hidden layer, from 1, of a layer's measure; networks without it are left out.
        baseline: The activation function to compare with, such as `relu` or `leaky_relu=0.1`; by
            default ReLU where it is among the runs, else the first. Where it is missing,
            nothing is compared.
        best_rate: Whether to compare each activation function at its own best learning rate,
            chosen by `best_rates`, in place of all at the same.

    Raises:
        InputError: If there is no such measure, layer or baseline.
    """
    wanted = measures.measure(measure, layer)
    ended = _with_layer(Runs(list(runs)).ended().in_order(), layer)
    if best_rate:
        ended = at_best_rates(ended)
    groups = ended.comparisons(*(["learning_rate"] if best_rate else []))
    known = dict(each(ended, lambda run: (run.run_id, wanted.shown(run))))
    where = places(groups, _rates if best_rate else at_rate)
    _check_baseline(ended, baseline)
    found = [
        verdict
        for group, place in zip(groups, where, strict=True)
        for verdict in _compare(group, place, wanted, known, baseline)
    ]
    return corrected(found)


def _with_layer(runs: Runs, layer: int | None) -> Runs:
    if layer is None or not len(runs):
        return runs
    kept = Runs([run for run in runs if layer in run.layers])
    if not len(kept):
        most = max(len(run.layers) for run in runs)
        limits = f"from 1 to {most}" if most > 1 else "1"
        raise InputError(f"layer must be {limits} in these runs, not {layer}.")
    return kept


def at_rate(runs: Runs) -> str:
    """Returns the learning rate of some runs in words."""
    return f"learning rate {runs[0].config.learning_rate:g}"


def _rates(runs: Runs) -> str:
    """Says which is the best learning rate of each activation function."""
    groups = _by_activation(runs)
    each_one = ", ".join(f"{g[0].config.title}: {g[0].config.learning_rate:g}" for g in groups)
    return f"each at its best learning rate ({each_one})"


def places(groups: Sequence[Runs], rate_words: Callable[[Runs], str] | None = None) -> list[str]:
    """Says for each group where it was made: data set, learning rate, and what tells it apart.

    Args:
        groups: Comparisons, or several of them put together.
        rate_words: Says the learning rate, such as `at_rate`; by default it is not said.
    """
    firsts = [group[0] for group in groups]
    others = differences([run.config for run in firsts])
    rates = [[rate_words(group)] if rate_words else [] for group in groups]
    others = [[words for words in found if not words.startswith("lr ")] for found in others]
    return [
        ", ".join([run.record.dataset, *rate, *other])
        for run, rate, other in zip(firsts, rates, others, strict=True)
    ]


def _compare(
    runs: Runs, where: str, measure: Measure, known: Mapping[str, float], baseline: str | None
) -> list[Verdict]:
    """Compares every activation function of a comparison with the baseline, if that is there."""
    groups = _by_activation(Runs([run for run in runs if run.run_id in known]))
    chosen = _baseline(groups, baseline)
    if chosen is None:
        return []
    return [
        _verdict(group, chosen, where, measure, known) for group in groups if group is not chosen
    ]


def _by_activation(runs: Runs) -> list[Runs]:
    return runs.groups(("seed", "learning_rate"))


def _baseline(groups: Sequence[Runs], wanted: str | None) -> Runs | None:
    fitting = [group for group in groups if _is(group[0].config, wanted or "relu")]
    return next(iter(fitting), None if wanted or not groups else groups[0])


def _is(config: RunConfig, choice: str) -> bool:
    """Tells whether an activation function is the one of a choice such as `leaky_relu=0.1`."""
    name, _, parameter = choice.partition("=")
    if config.activation != name.strip():
        return False
    try:
        return not parameter or float(parameter) == config.parameter
    except ValueError:
        return False


def _check_baseline(runs: Runs, wanted: str | None) -> None:
    if wanted is None or any(_is(run.config, wanted) for run in runs):
        return
    choices = dict.fromkeys(_choice(run.config) for run in runs)
    raise unknown("baseline", wanted, choices)


def _choice(config: RunConfig) -> str:
    """Returns an activation function as a user names it: `leaky_relu=0.1`."""
    return config.activation + ("" if config.parameter is None else f"={config.parameter:g}")


def _verdict(
    group: Runs, baseline: Runs, where: str, measure: Measure, known: Mapping[str, float]
) -> Verdict:
    own, other = ({run.config.seed: run for run in side} for side in (group, baseline))
    seeds = sorted(own.keys() & other.keys())
    pairs = [own[seed] for seed in seeds], [other[seed] for seed in seeds]
    values = [[known[run.run_id] for run in side] for side in pairs]
    return Verdict(
        config=group[0].config,
        against=baseline[0].config,
        where=where,
        measure=measure,
        seeds=tuple(seeds),
        paired=paired(values[0], values[1], measure.better),
        left_out=tuple(sorted(own.keys() ^ other.keys())),
        problem=" and ".join(_problems([*pairs[0], *pairs[1]], known, measure)),
    )


def _problems(runs: Sequence[Run], known: Mapping[str, float], measure: Measure) -> list[str]:
    """Says of each activation function with which seeds it diverged or has no finite value."""
    problems = []
    for group in _by_activation(Runs([r for r in runs if not math.isfinite(known[r.run_id])])):
        diverged = Runs([run for run in group if run.status == "diverged"])
        valueless = Runs([run for run in group if run.status != "diverged"])
        title = group[0].config.title
        if len(diverged):
            problems.append(f"{title} diverged with {diverged.seed_words()}")
        if len(valueless):
            problems.append(f"{title} has no finite {measure.label} with {valueless.seed_words()}")
    return problems


def table(verdicts: Iterable[Verdict]) -> "pd.DataFrame":
    """Returns the verdicts as a table, one row each.

    Columns: `activation`, `baseline`, `where`, `measure`; `n` (pairs), `left_out` (seeds that only
    one of them has); the difference as it is shown (percentages in points): `mean`, `low` and
    `high` (95 % t interval); `p` (t-test), `p_holm` (corrected), `p_sign_flip`; and
    `probability_of_improvement`, `correlation`, `worth` (the smallest difference worth seeing) and
    `seeds_for_worth` (how many seeds would show it; NaN if over 10,000 or unknown), `comparisons`,
    `distinguishable`, and the verdict as a `sentence`. NaN where a run diverged.
    """
    import pandas as pd

    return pd.DataFrame([_row(verdict) for verdict in verdicts], columns=list(COLUMNS))


COLUMNS = (
    *("activation", "baseline", "where", "measure", "n", "left_out", "mean", "low", "high"),
    *("p", "p_holm", "p_sign_flip", "probability_of_improvement", "correlation", "worth"),
    *("seeds_for_worth", "comparisons", "distinguishable", "sentence"),
)


def _row(verdict: Verdict) -> dict[str, Any]:
    found = verdict.paired
    same = ("n", "mean", "low", "high", "p", "p_sign_flip")
    return {
        "activation": verdict.name,
        "baseline": verdict.baseline,
        "where": verdict.where,
        "measure": verdict.measure.label,
        "left_out": len(verdict.left_out),
        "p_holm": verdict.p_holm,
        **{name: getattr(found, name) for name in same},
        "probability_of_improvement": found.probability_of_improvement,
        "correlation": found.correlation,
        "worth": verdict.measure.worth,
        "seeds_for_worth": found.seeds_for(verdict.measure.worth) or math.nan,
        "comparisons": verdict.comparisons,
        "distinguishable": verdict.distinguishable,
        "sentence": verdict.sentence,
    }


def by_seed(verdicts: Iterable[Verdict]) -> "pd.DataFrame":
    """Returns every seed's difference, one row for each verdict and seed.

    Columns: `activation`, `baseline`, `where`, `measure`, `seed`, and as they are shown `value`,
    `baseline_value` and `difference`; NaN where a run diverged.
    """
    import pandas as pd

    columns = ["activation", "baseline", "where", "measure", "seed"]
    rows = [
        (v.name, v.baseline, v.where, v.measure.label, seed, value, other, difference)
        for v in verdicts
        for seed, value, other, difference in zip(
            v.seeds, v.paired.values, v.paired.baseline, v.paired.differences, strict=True
        )
    ]
    return pd.DataFrame(rows, columns=[*columns, "value", "baseline_value", "difference"])


def best_rates(runs: Iterable[Run]) -> "pd.DataFrame":
    """Chooses for each activation function the learning rate, on validation alone.

    The best is the one with the highest mean validation accuracy over its seeds at the last epoch;
    of equal ones the lowest. A rate with a run that diverged is never the best. One row for each
    activation function, data set and further settings, with the columns `activation`, `where`,
    `learning_rate` (NaN if a run diverged at every rate), `validation_accuracy` and
    `test_accuracy` (means at that rate, in %), `seeds` (how many there), `rates` (how many were
    tried), `diverged` (at how many of them a run diverged), and `note`: what to be careful with,
    such as a best rate at the edge of those that were tried.

    Args:
        runs: Recorded runs; those that have not ended are left out.
    """
    import pandas as pd

    ladders = _ladders(runs)
    where = places(ladders)
    rows = [
        _rate_row(choice, place)
        for ladder, place in zip(ladders, where, strict=True)
        for choice in _choices(ladder)
    ]
    return pd.DataFrame(rows, columns=list(RATE_COLUMNS))


RATE_COLUMNS = (
    *("activation", "where", "learning_rate", "validation_accuracy", "test_accuracy"),
    *("seeds", "rates", "diverged", "note"),
)


def at_best_rates(runs: Iterable[Run]) -> Runs:
    """Returns the runs of each activation function at its best learning rate; see `best_rates`."""
    choices = [choice for ladder in _ladders(runs) for choice in _choices(ladder)]
    return Runs([run for choice in choices for run in choice.best or ()])


@dataclass(frozen=True, eq=False)
class _Choice:
    """The learning rates of one activation function, in order, and the best if there is one."""

    rates: Sequence[Runs]
    best: Runs | None

    @property
    def tried(self) -> list[float]:
        return [rate[0].config.learning_rate for rate in self.rates]


def _ladders(runs: Iterable[Run]) -> list[Runs]:
    return Runs(list(runs)).ended().in_order().comparisons("learning_rate")


def _choices(ladder: Runs) -> list[_Choice]:
    return [_choice_of(group) for group in _by_activation(ladder)]


def _choice_of(group: Runs) -> _Choice:
    rates = sorted(group.groups(), key=lambda rate: rate[0].config.learning_rate)
    scores = [_mean(rate, "validation_accuracy") for rate in rates]
    best = max(scores, key=lambda score: -math.inf if math.isnan(score) else score)
    return _Choice(rates, None if math.isnan(best) else rates[scores.index(best)])


def _mean(runs: Runs, name: str) -> float:
    """The mean of a measure over runs, as it is shown; NaN if one of them diverged."""
    return float(np.mean([measures.measure(name).shown(run) for run in runs]))


def _rate_row(choice: _Choice, where: str) -> dict[str, Any]:
    best = choice.best
    return {
        "activation": choice.rates[0][0].config.title,
        "where": where,
        "learning_rate": best[0].config.learning_rate if best else math.nan,
        "validation_accuracy": _mean(best, "validation_accuracy") if best else math.nan,
        "test_accuracy": _mean(best, "test_accuracy") if best else math.nan,
        "seeds": len(best) if best else 0,
        "rates": len(choice.rates),
        "diverged": sum(any(r.status == "diverged" for r in rate) for rate in choice.rates),
        "note": _note(choice),
    }


def _note(choice: _Choice) -> str:
    tried = choice.tried
    if choice.best is None:
        return "a run diverged at every learning rate tried: try lower ones"
    if len(tried) == 1:
        return "only one learning rate was tried"
    best = choice.best[0].config.learning_rate
    if best == tried[0]:
        return "the lowest learning rate tried: try lower ones"
    if best == tried[-1]:
        return "the highest learning rate tried: try higher ones"
    return ""
