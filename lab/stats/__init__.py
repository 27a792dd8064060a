"""Verdicts: paired differences between activation functions, what they can tell and what not.

Runs of one seed share their first weights and the order of their batches, so they are compared in
pairs, and the seed is the sampling unit. The t interval of the paired difference decides. In 20,000
simulated studies with 6 or 10 seeds it held the truth in 95 % where differences were normal, in
96 % with heavy tails (t with 3 degrees of freedom), and in 89 and 90 % where they were as skewed as
an exponential distribution.

verdicts = stats.verdicts(runs, "test_accuracy")
verdicts[0].sentence, stats.table(verdicts), plots.forest(verdicts)
"""

from lab.stats.comparisons import between, corrected, verdicts
from lab.stats.groups import at_rate, places
from lab.stats.pairs import (
    FEWEST_SEEDS,
    LEVEL,
    MOST_SEEDS,
    SIGN_FLIPS,
    Paired,
    holm,
    paired,
    t_test_power,
)
from lab.stats.rates import RATE_COLUMNS, at_best_rates, best_rates
from lab.stats.verdict import Verdict
from lab.stats.verdict_tables import COLUMNS, by_seed, table

__all__ = [
    "COLUMNS",
    "FEWEST_SEEDS",
    "LEVEL",
    "MOST_SEEDS",
    "RATE_COLUMNS",
    "SIGN_FLIPS",
    "Paired",
    "Verdict",
    "at_best_rates",
    "at_rate",
    "best_rates",
    "between",
    "by_seed",
    "corrected",
    "holm",
    "paired",
    "places",
    "t_test_power",
    "table",
    "verdicts",
]
