"""What the runs of a report show: their comparisons as tables and figures."""

from collections.abc import Callable, Sequence
from typing import Any

from lab import figures, stats
from lab.figures import of_studies
from lab.runs import Runs
from lab.stats import Verdict

MOST_COMPARISONS, MOST_LADDERS = 8, 2
COMPARED = ("test_accuracy", "dead")
LADDERS = {
    "Dead neurons and accuracy": of_studies.dead_and_accuracy,
    "What the learning rate does": of_studies.learning_rates,
}
Tell = Callable[[str], object]


def findings(runs: Runs, tell: Tell = str) -> dict[str, Any]:
    """Returns what the template shows of some readable runs: each comparison, and what is left out.

    Args:
        runs: The runs.
        tell: Called with the current step, in words.
    """
    ended = runs.ended()
    comparisons = ended.comparisons()
    titled = list(zip(stats.places(comparisons, stats.at_rate), comparisons, strict=True))
    shown = sorted(titled, key=lambda pair: _weight(pair[1]), reverse=True)[:MOST_COMPARISONS]
    # For all comparisons: the correction for their number must not depend on what is shown.
    verdicts = [verdict for measure in COMPARED for verdict in stats.verdicts(ended, measure)]
    found = []
    for title, comparison in (pair for pair in titled if pair in shown):
        tell(f"Drawing {title}")
        found.append(_finding(title, comparison, [v for v in verdicts if v.where == title]))
    tell("Drawing what the learning rate does")
    ladders = figures.ladders(ended)
    ranked = sorted(
        zip(stats.places(ladders), ladders, strict=True),
        key=lambda pair: len(pair[1]),
        reverse=True,
    )
    return {
        "comparisons": found,
        "fewest_seeds": stats.FEWEST_SEEDS,
        "left_out": [pair[0] for pair in titled if pair not in shown],
        "ladders": [
            (f"{title}, {place}", draw(ladder))
            for place, ladder in ranked[:MOST_LADDERS]
            for title, draw in LADDERS.items()
        ],
        "unended": [run for run in runs if not run.ended],
        "diverged": [run for run in runs if run.diverged],
    }


def _finding(title: str, runs: Runs, verdicts: list[Verdict]) -> dict[str, Any]:
    record, seeds = runs[0].record, {run.config.seed for run in runs}
    too_few = _too_few(verdicts)
    results = runs.results().drop(columns=["dataset", "learning rate"])
    pictures = {
        "Learning curves": figures.learning_curves(runs),
        "Dead neurons": figures.dead_neurons(runs),
    }
    if runs.learning_tasks():
        pictures = {"Over the tasks": figures.over_tasks(runs), **pictures}
    on_accuracy = [verdict for verdict in verdicts if verdict.measure.name == COMPARED[0]]
    if any(verdict.paired.n > 1 for verdict in on_accuracy):
        forest = of_studies.forest(runs, verdicts=on_accuracy)
        pictures = {"Differences in test accuracy": forest, **pictures}
    return {
        "title": title,
        "too_few": too_few,
        "sentences": [] if too_few else [verdict.sentence for verdict in verdicts],
        "columns": list(results.columns),
        "rows": results.to_numpy().tolist(),
        "caption": (
            f"{title}: {'means over ' if len(seeds) > 1 else ''}{runs.seed_words()}; dead on all "
            f"{record.train_images:,} training images, nearly dead on a probe of "
            f"{record.probe_images:,}"
        ),
        "pictures": pictures,
    }


def _too_few(verdicts: Sequence[Verdict]) -> str:
    """Returns how many seeds there are if they are too few for any verdict, else None."""
    pairs = [verdict.paired.n for verdict in verdicts]
    if not pairs or max(pairs) >= stats.FEWEST_SEEDS or any(v.problem for v in verdicts):
        return ""
    return f"{max(pairs)}" if min(pairs) == max(pairs) else f"{min(pairs)} to {max(pairs)}"


def _weight(runs: Runs) -> tuple[int, int]:
    """How much a comparison can tell: its seeds, then its runs."""
    return len({run.config.seed for run in runs}), len(runs)
