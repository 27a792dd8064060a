"""Units that are alive and add little: clones of other units, and the rank of a layer.

Activations are those of a layer on the probe set, of shape (values, units), or
(images, height, width, units) for a convolution, whose values are the positions of all images.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.95  # The |correlation| above which two units are clones of one another.
MEASURES = ("clones", "effective_rank", "stable_rank")  # How many units a layer could spare.
CONSTANT = 1e-6  # A unit whose deviation is a smaller share of its largest value does not vary.


@dataclass(frozen=True, eq=False)
class Moments:
    """All that clones and ranks need of a layer's activations; it takes most of their time.

    Attributes:
        values: How many values each unit gave.
        means: Their means, shape (units,).
        largest: Their largest absolute values, shape (units,).
        products: The sums of the products of their deviations from the means, (units, units).
    """

    values: int
    means: NDArray[np.float64]
    largest: NDArray[np.float64]
    products: NDArray[np.float64]

    @classmethod
    @np.errstate(invalid="ignore")  # `measures` returns NaN then.
    def of(cls, activations: NDArray[np.floating]) -> "Moments":
        """Computes them from the activations of a layer."""
        values = _flat(activations)
        largest = np.maximum(values.max(axis=0, initial=0.0), -values.min(axis=0, initial=0.0))
        means = values.mean(axis=0)
        values -= means
        return cls(len(values), means, largest, values.T @ values)

    @functools.cached_property
    def correlations(self) -> NDArray[np.float64]:
        """The correlation of every unit with every other; see `correlations`."""
        deviations = np.sqrt(np.diag(self.products))
        varies = deviations > CONSTANT * self.largest * np.sqrt(self.values)
        scale = np.where(varies, deviations, np.inf)
        return np.asarray(self.products / scale / scale[:, None], np.float64)

    @property
    def singular_values(self) -> NDArray[np.float64]:
        """The singular values of the activations; see `singular_values`."""
        gram = self.products + self.values * np.outer(self.means, self.means)
        squares = np.linalg.eigvalsh(gram)
        return np.sqrt(np.where(squares > 1e-14 * squares.max(initial=0.0), squares, 0.0))

    @functools.cached_property
    def measures(self) -> dict[str, float]:
        """Its clones and ranks; see `measures`."""
        if not np.isfinite(self.products).all():
            return dict.fromkeys(MEASURES, np.nan)
        spectrum = self.singular_values
        spared = redundant(joined(self.correlations))
        values = (spared, effective_rank(spectrum), stable_rank(spectrum))
        return dict(zip(MEASURES, values, strict=True))


def groups(activations: NDArray[np.floating], threshold: float = THRESHOLD) -> NDArray[np.intp]:
    """Finds the groups of units whose activations rise and fall together, or one against the other.

    Two units with |correlation| above the threshold are in one group, and so are units that a chain
    of such pairs joins. A unit that does not vary, such as a dead one, has no correlation and is
    alone.

    Args:
        activations: What the units give, finite.
        threshold: The |correlation| above which two units are joined.

    Returns:
        For each unit the number of its group, shape (units,).
    """
    return joined(correlations(activations), threshold)


def correlations(activations: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the correlation of every unit with every other, shape (units, units).

    It is 0 with a unit that does not vary, such as a dead one.

    Args:
        activations: What the units give, finite.
    """
    return Moments.of(activations).correlations


def joined(found: NDArray[np.float64], threshold: float = THRESHOLD) -> NDArray[np.intp]:
    """Joins units by their correlations; see `groups`.

    Args:
        found: What `correlations` returns.
        threshold: The |correlation| above which two units are joined.
    """
    from scipy.sparse.csgraph import connected_components

    pairs = np.abs(found) > threshold
    return np.asarray(connected_components(pairs, directed=False)[1], np.intp)


def lines(
    activations: NDArray[np.floating], threshold: float = THRESHOLD
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Returns for every unit the first unit of its group, and the line that predicts it from that.

    Args:
        activations: What the units give, finite.
        threshold: The |correlation| above which two units are joined.

    Returns:
        The first unit of its group, and the slope and offset of the line (least squares), each of
        shape (units,); a unit that is alone has itself, 1 and 0.
    """
    numbers, values = groups(activations, threshold), _flat(activations)
    first = np.unique(numbers, return_index=True)[1][numbers]
    means = values.mean(axis=0)
    centred = values - means
    squares = (centred[:, first] ** 2).sum(axis=0)
    cloned = first != np.arange(len(first))
    products = (centred * centred[:, first]).sum(axis=0)
    slope = np.where(cloned, products / np.where(cloned, squares, 1.0), 1.0)
    return first, slope, np.where(cloned, means - slope * means[first], 0.0)


def redundant(numbers: NDArray[np.intp]) -> int:
    """Returns how many units could be taken away so that one of each of `groups` is left."""
    return len(numbers) - len(np.unique(numbers))


def singular_values(activations: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the singular values of a layer's activations, shape (units,).

    They come from the Gram matrix, which is small; what is below 1e-7 of the largest is noise, and
    is 0 here.
    """
    return Moments.of(activations).singular_values


def effective_rank(values: NDArray[np.float64]) -> float:
    """Returns the exponential of the entropy of singular values, as shares of their sum.

    It is r if r singular values are equal and the others 0, and 0 if all are 0. Source: Roy &
    Vetterli 2007, The Effective Rank.
    """
    if not values.any():
        return 0.0
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def stable_rank(values: NDArray[np.float64]) -> float:
    """Returns the sum of the squares of singular values, divided by the largest of the squares.

    Source: Rudelson & Vershynin 2007, Sampling from Large Matrices. (Some papers on the loss of
    plasticity call another number by this name: how many singular values make up 99 % of the sum.)
    """
    squares = values**2
    return float(squares.sum() / squares.max()) if squares.any() else 0.0


def measures(activations: NDArray[np.floating]) -> dict[str, float]:
    """Counts the clones of a layer, and measures its ranks.

    Args:
        activations: What its units give.

    Returns:
        The value of each of `MEASURES`: how many units could be taken away so that one of each
        group of clones is left; the effective rank; the stable rank. NaN where an activation is
        not finite.
    """
    return Moments.of(activations).measures


def _flat(activations: NDArray[np.floating]) -> NDArray[np.float64]:
    return activations.reshape(-1, activations.shape[-1]).astype(np.float64)
