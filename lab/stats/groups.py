"""Groups of runs that are compared, and where they were made, in words."""

from collections.abc import Callable, Sequence

from lab.experiment import differences
from lab.runs import Runs


def by_activation(runs: Runs) -> list[Runs]:
    """Returns the runs in groups of one activation function, whatever their seed and rate."""
    return runs.groups(("seed", "learning_rate"))


def places(groups: Sequence[Runs], rate_words: Callable[[Runs], str] | None = None) -> list[str]:
    """Says for each group where it was made: data set, learning rate, and what differs.

    Args:
        groups: Comparisons, or several of them put together.
        rate_words: Says the learning rate, such as `at_rate`; by default it is not said.
    """
    firsts = [group[0] for group in groups]
    others = differences([run.config for run in firsts], "learning_rate")
    rates = [[rate_words(group)] if rate_words else [] for group in groups]
    return [
        ", ".join([run.record.dataset, *rate, *other])
        for run, rate, other in zip(firsts, rates, others, strict=True)
    ]


def at_rate(runs: Runs) -> str:
    """Returns the learning rate of some runs in words."""
    return f"learning rate {runs[0].config.learning_rate:g}"


def at_each_rate(runs: Runs) -> str:
    """Says which is the best learning rate of each activation function."""
    groups = by_activation(runs)
    each_one = ", ".join(f"{g[0].config.title}: {g[0].config.learning_rate:g}" for g in groups)
    return f"each at its best learning rate ({each_one})"
