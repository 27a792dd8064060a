"""Continual backprop (Dohare et al., Nature 2024): mature units with a low utility are replaced.

Each layer has three arrays, as `Layout.replacement` names them:

- `utility`: how much each unit gives to the next layer: a running mean, with decay 0.99, of
  mean |a| on the batch times the sum of the unit's outgoing |weights|;
- `age`: how many steps each unit has been there;
- `due`: the steps that all mature units have done together since a unit was replaced. A share of
  the mature units, the replacement rate, is due to be replaced in each step, so one unit whenever
  that count has come to one divided by the rate.

Counts are whole numbers below 2**24, which float32 holds exactly.
"""

import numpy as np
from numpy.typing import NDArray

from lab.layout import FloatArray
from lab.network import UTILITY_DECAY


def mature_steps(age: FloatArray, steps: int, maturity: int) -> int:
    """Returns how many of the last steps all units of a layer together were mature in.

    >>> mature_steps(np.array([3, 10]), steps=4, maturity=8)
    2

    Args:
        age: The units' ages after these steps.
        steps: How many steps.
        maturity: The age from which on, exclusive, a unit may be replaced.
    """
    return int(np.clip(age - maturity, 0, steps).sum())


def next_step(age: FloatArray, due: int, rate: float, maturity: int, most: int) -> int:
    """Returns after how many steps the next unit of a layer is to be replaced.

    >>> next_step(np.array([8, 20]), due=0, rate=0.2, maturity=10, most=100)
    4

    Args:
        age: The units' ages now.
        due: The layer's count now.
        rate: The replacement rate.
        maturity: As for `mature_steps`.
        most: What to return if it is later.
    """
    mature_from = np.sort(np.maximum(maturity + 1 - age, 1))
    count = due + np.cumsum(np.searchsorted(mature_from, np.arange(1, most + 1), side="right"))
    reached = count >= one_unit(rate)
    return int(reached.argmax()) + 1 if reached.any() else most


def one_unit(rate: float) -> int:
    """Returns at what count one unit is due: 1 / rate, rounded."""
    return round(1 / rate)


def of_least_use(
    utility: FloatArray, age: FloatArray, maturity: int, count: int
) -> NDArray[np.bool_]:
    """Chooses the mature units of a layer with the lowest utility.

    Utilities are compared as if each had begun with the unit's first value: divided by
    1 - 0.99^age, as the authors' code does.

    Args:
        utility: The units' utilities.
        age: Their ages.
        maturity: As for `mature_steps`.
        count: How many units, at most.

    Returns:
        Which units, shape (units,).
    """
    mature = np.flatnonzero(age > maturity)
    corrected = utility[mature] / (1 - UTILITY_DECAY ** age[mature].astype(np.float64))
    chosen = np.zeros(len(age), np.bool_)
    chosen[mature[np.argsort(corrected, kind="stable")[:count]]] = True
    return chosen
