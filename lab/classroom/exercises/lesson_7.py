"""Checks of the exercises of lesson 7: each gives a hint, never the answer."""

import math
from typing import Any

import numpy as np

from lab import stats
from lab.classroom.answers import called, matches
from lab.classroom.exercises.shared import accuracy_by_seed, exercise, runs_of, wrong_if
from lab.runs import Runs


@exercise(
    "7.1",
    "First weights that are good for the one are good for the other, and subtracting takes "
    "these ups and downs away. What is the ratio for ELU?",
)
def _width_without_pairs(runs: Any, times: Any) -> None:
    """The exercise asks for Leaky ReLU and ReLU; the answer is a ratio of two spreads."""
    accuracy = accuracy_by_seed(Runs(runs_of(runs)))
    relu, leaky, elu = (accuracy[name] for name in ("relu", "leaky_relu", "elu"))
    apart, pairs = math.sqrt(relu.var() + leaky.var()), float((leaky - relu).std())
    mistakes = {
        "This is how many times as wide the interval with pairs is. The exercise asks for "
        "the other way round: without pairs, divided by with pairs.": pairs / apart,
        "This is the ratio of the variances. The width goes with their square root.": (
            (apart / pairs) ** 2
        ),
        "Add the variances s₁² and s₂², and then take the root: standard deviations do not add.": (
            (relu.std() + leaky.std()) / pairs
        ),
        "This has the spread of ReLU alone. Without pairs the ups and downs of both count.": (
            relu.std() / pairs
        ),
        "This has the spread of Leaky ReLU alone. Without pairs the ups and downs of both "
        "count.": leaky.std() / pairs,
        "This is ELU's. The exercise asks for Leaky ReLU's.": (
            math.sqrt(relu.var() + elu.var()) / (elu - relu).std()
        ),
        "This is the spread without pairs. Divide it by the spread in pairs.": apart,
        "This is the spread in pairs. Divide the spread without pairs by it.": pairs,
    }
    matches(times, apart / pairs, mistakes, tolerance=0.01)


@exercise(
    "7.2",
    "The stop matters: what comes after the first that does not hold, does not hold either.",
)
def _holding_after_holm(holding: Any) -> None:
    """Of the second list, 6 · 0.004 and 5 · 0.009 are below 0.05, and 4 · 0.014 is not."""
    for p_values, right in (([0.03, 0.2], 0), ([0.009, 0.016, 0.004, 0.04, 0.014, 0.02], 2)):
        p = np.array(p_values)
        in_turn = np.sort(p) * np.arange(len(p), 0, -1) <= 0.05
        mistakes = {
            "You count the p-values without a correction. Multiply before you compare.": (
                p <= 0.05
            ).sum(),
            "You multiply each by the number of all. After each that holds, Holm multiplies by one "
            "less.": (p * len(p) <= 0.05).sum(),
            "You go on after one that is above 0.05. Stop there.": in_turn.sum(),
            "You multiply in the order of the list. First sort it, the smallest in front.": (
                (p * np.arange(len(p), 0, -1) <= 0.05).sum()
            ),
            "These are the ones that do not hold.": len(p) - right,
        }
        found = called(holding, list(p_values))
        wrong_if(
            np.shape(found) == np.shape(p),
            "You give a value for each comparison. The exercise asks for the number that hold.",
        )
        matches(found, right, mistakes)


@exercise(
    "7.3",
    "All differences inside the interval agree with the study, and 0 is only one of them.",
)
def _agrees_just_as_well(verdict: Any, points: Any) -> None:
    """The answer is a difference inside the interval of a verdict that does not exclude 0."""
    wrong_if(
        not isinstance(verdict, stats.Verdict) or verdict.excludes_zero,
        "The first answer must be the verdict on Leaky ReLU, `leaky`.",
    )
    value = float(points)
    low, high = (verdict.amount(end) for end in (verdict.paired.low, verdict.paired.high))
    wrong_if(value == 0, "0 is what the claim says. Name another difference.")
    wrong_if(
        not verdict.paired.low <= value <= verdict.paired.high,
        f"The interval goes from {low} to {high}. A difference outside does not agree with it.",
    )


@exercise(
    "7.4",
    "It has enough seeds for a verdict: read `stats.verdicts(mine)`. Is the difference worth "
    "seeing, by what you wrote down before?",
)
def _a_study_of_ones_own(answer: Any, lesson: Any) -> None:
    """`lesson` holds the runs of the lesson: at least one run of the answer must be new."""
    runs, known = runs_of(answer), {run.run_id for run in runs_of(lesson)}
    wrong_if(
        all(run.run_id in known for run in runs),
        "These are the runs of the lesson. Ask something that it has not answered.",
    )
    found = stats.verdicts(runs)
    wrong_if(
        not found,
        "There is nothing to compare: train at least two activation functions with the same "
        "settings.",
    )
    wrong_if(
        any(verdict.problem for verdict in found),
        "; ".join(verdict.problem for verdict in found if verdict.problem)
        + ": a lower learning rate may help.",
    )
    fewest = min(verdict.paired.n for verdict in found)
    wrong_if(
        fewest < stats.FEWEST_SEEDS,
        f"{fewest} seeds in pairs are too few for a verdict. How many are the fewest?",
    )
