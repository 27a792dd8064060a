"""Paired differences: their interval, their p-values, and how many seeds a difference needs."""

import bisect
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.errors import InputError
from lab.runs import Better

LEVEL = 0.05
FEWEST_SEEDS = 6
MOST_SEEDS = 10_000
SIGN_FLIPS = 2**14
SAME = 1e-12
ROUNDING = 1e-9
NEGLIGIBLE = 1e-12


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
        """The standard deviation of the differences; 0 where they differ only by rounding."""
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
        """How often random signs give a mean at least this far from 0, two-sided.

        Exact for up to 14 pairs, else by 16,384 draws with a fixed seed. It assumes nothing but
        that differences are symmetric about 0, and cannot be below 2 / 2^n.
        """
        from scipy import stats

        if not self.n or math.isnan(self.mean):
            return math.nan
        if self.n == 1:
            return 1.0  # SciPy refuses a test with a single answer.
        found = stats.permutation_test(
            (self.differences,),
            lambda d, axis: d.mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=SIGN_FLIPS,
            batch=max(1, 10**7 // self.n),
            rng=np.random.default_rng(0),
        )
        # Ties count as extreme, and rounding must not break them, as it does SciPy's own p-value.
        tolerance = ROUNDING * float(np.abs(self.differences).max())
        extreme = np.abs(found.null_distribution) >= abs(self.mean) - tolerance
        if 2**self.n <= SIGN_FLIPS:
            return float(extreme.mean())
        return float((extreme.sum() + 1) / (extreme.size + 1))

    @property
    def probability_of_improvement(self) -> float:
        """The chance that a random run is better than one of the baseline; ties count half.

        Mann and Whitney's U over all n² pairs (Agarwal et al. 2021). For a measure where neither is
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
        """Pearson's correlation over the seeds: the gain from pairing. NaN where it is undefined.

        With correlation r and similar spreads, pairs need 1 - r times as many seeds as unpaired
        runs.
        """
        spreads = [
            np.ptp(side) if self.n > 2 else math.nan for side in (self.values, self.baseline)
        ]
        if not all(spread > 0 for spread in spreads):
            return math.nan
        return float(np.corrcoef(self.values, self.baseline)[0, 1])

    def seeds_for(self, difference: float, power: float = 0.8) -> int | None:
        """Returns how many seeds would show a difference, if the spread is what these pairs show.

        The smallest number, at least 6, with which a paired t-test at 5 % (one comparison,
        two-sided) finds a true mean difference of this size with this probability, by the
        noncentral t distribution. The spread of few pairs is itself uncertain: take it as a guide.

        Args:
            difference: The difference to detect, in the unit of the values; its sign does not
                matter.
            power: The probability to see it, between 0.05 and 1.

        Returns:
            The number; None if it is over 10,000, or if the spread is unknown, because there are
            fewer than two pairs or a value is not finite.

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
    if better not in ("larger", "smaller", "neither"):
        raise InputError(f"better must be larger, smaller or neither, not {better!r}.")
    try:
        sides = [np.asarray(side, np.float64) for side in (values, baseline)]
    except (TypeError, ValueError):
        raise InputError("values and baseline must be lists of numbers.") from None
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

    The square of the noncentral t of the test is a noncentral F, which is known everywhere.

    Args:
        effect: The true mean difference in standard deviations of the differences, at least 0.
        n: How many pairs.
    """
    from scipy.special import ncfdtr, stdtrit

    limit = float(stdtrit(n - 1, 1 - LEVEL / 2))
    noncentrality = n * effect**2
    if noncentrality < NEGLIGIBLE:  # There SciPy's series fails with two pairs.
        return LEVEL
    power = 1 - float(ncfdtr(1, n - 1, noncentrality, limit**2))
    return 1.0 if math.isnan(power) else power  # The series fails only beyond 1,200.


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
