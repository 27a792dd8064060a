"""Verdicts as tables: a row for each verdict, or for each of its seeds."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lab.stats.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd


COLUMNS = (
    *("activation", "baseline", "where", "measure", "n", "left_out", "mean", "low", "high"),
    *("p", "p_holm", "p_sign_flip", "probability_of_improvement", "correlation", "worth"),
    *("seeds_for_worth", "comparisons", "distinguishable", "sentence"),
)


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

    Columns: `activation`, `baseline`, `where`, `measure`, `seed`, and as printed `value`,
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
