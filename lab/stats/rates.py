"""The best learning rate of each activation function, chosen only on validation images."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.runs import Run, Runs, measure
from lab.stats.groups import by_activation, places

if TYPE_CHECKING:
    import pandas as pd


VALIDATION, TEST = map(measure, ("validation_accuracy", "test_accuracy"))
RATE_COLUMNS = (
    *("activation", "where", "learning_rate", "validation_accuracy", "test_accuracy"),
    *("seeds", "rates", "diverged", "note"),
)


def best_rates(runs: Iterable[Run]) -> "pd.DataFrame":
    """Chooses for each activation function the learning rate, only on validation images.

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
    return Runs(runs).ended().in_order().comparisons("learning_rate")


def _choices(ladder: Runs) -> list[_Choice]:
    return [_choice_of(group) for group in by_activation(ladder)]


def _choice_of(group: Runs) -> _Choice:
    rates = sorted(group.groups(), key=lambda rate: rate[0].config.learning_rate)
    scores = [VALIDATION.mean(rate) for rate in rates]
    best = max(scores, key=lambda score: -math.inf if math.isnan(score) else score)
    return _Choice(rates, None if math.isnan(best) else rates[scores.index(best)])


def _rate_row(choice: _Choice, where: str) -> dict[str, Any]:
    best = choice.best
    return {
        "activation": choice.rates[0][0].config.title,
        "where": where,
        "learning_rate": best[0].config.learning_rate if best else math.nan,
        "validation_accuracy": VALIDATION.mean(best) if best else math.nan,
        "test_accuracy": TEST.mean(best) if best else math.nan,
        "seeds": len(best) if best else 0,
        "rates": len(choice.rates),
        "diverged": sum(any(r.diverged for r in rate) for rate in choice.rates),
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
