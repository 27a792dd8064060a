"""Units that are alive and add little: clones of other units, and the rank of a layer.

Activations are those of a layer on the probe set, of shape (values, units), or
(images, height, width, units) for a convolution, whose values are the positions of all images.
"""

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.95  # The |correlation| above which two units are clones of one another.
MEASURES = ("clones", "effective_rank", "stable_rank")
CONSTANT = 1e-6  # A unit whose deviation is a smaller share of its largest value does not vary.


def groups(activations: NDArray[np.floating], threshold: float = THRESHOLD) -> NDArray[np.intp]:
    """Finds the groups of units whose activations rise and fall together, or one against the other.

    Two units with |correlation| above the threshold are of one group, and so are units that a chain
    of such pairs joins. A unit that does not vary, such as a dead one, has no correlation and is
    alone.

    Args:
        activations: What the units give, finite.
        threshold: The |correlation| above which two units are joined.

    Returns:
        For each unit the number of its group, shape (units,).
    """
    from scipy.sparse.csgraph import connected_components

    values = _flat(activations)
    centred = values - values.mean(axis=0)
    deviation = np.sqrt((centred**2).mean(axis=0))
    varies = deviation > CONSTANT * np.abs(values).max(axis=0, initial=0.0)
    scaled = np.where(varies, centred / np.where(varies, deviation, 1.0), 0.0)
    joined = np.abs(scaled.T @ scaled) / max(len(values), 1) > threshold
    return np.asarray(connected_components(joined, directed=False)[1], np.intp)


def lines(
    activations: NDArray[np.floating], threshold: float = THRESHOLD
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Finds for every unit the first of its group, and its activation as a straight line of that.

    Args:
        activations: What the units give, finite.
        threshold: The |correlation| above which two units are joined.

    Returns:
        Of each unit the first unit of its group, the slope and the offset, by least squares, each
        of shape (units,); a unit alone has itself, 1 and 0.
    """
    numbers, values = groups(activations, threshold), _flat(activations)
    first = np.unique(numbers, return_index=True)[1][numbers]
    means = values.mean(axis=0)
    centred = values - means
    squares = (centred[:, first] ** 2).sum(axis=0)
    joined = first != np.arange(len(first))
    products = (centred * centred[:, first]).sum(axis=0)
    slope = np.where(joined, products / np.where(joined, squares, 1.0), 1.0)
    return first, slope, np.where(joined, means - slope * means[first], 0.0)


def redundant(numbers: NDArray[np.intp]) -> int:
    """Returns how many units could be taken away so that one of each of `groups` is left."""
    return len(numbers) - len(np.unique(numbers))


def measures(activations: NDArray[np.floating]) -> dict[str, float]:
    """Returns a layer's `clones`, `effective_rank` and `stable_rank`; NaN if a value is not finite.

    `clones` are the units that could be taken away so that one of each group is left.
    """
    if not np.isfinite(activations).all():
        return dict.fromkeys(MEASURES, np.nan)
    spectrum = singular_values(activations)
    numbers = (redundant(groups(activations)), effective_rank(spectrum), stable_rank(spectrum))
    return dict(zip(MEASURES, numbers, strict=True))


def singular_values(activations: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the singular values of a layer's activations, shape (units,).

    They come from the Gram matrix, which is small; what is below 1e-7 of the largest is noise, and
    is 0 here.
    """
    values = _flat(activations)
    squares = np.linalg.eigvalsh(values.T @ values)
    return np.sqrt(np.where(squares > 1e-14 * squares.max(initial=0.0), squares, 0.0))


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


def _flat(activations: NDArray[np.floating]) -> NDArray[np.float64]:
    return activations.reshape(-1, activations.shape[-1]).astype(np.float64)
