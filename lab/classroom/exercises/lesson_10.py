"""Checks of the exercises of lesson 10: each gives a hint, never the answer."""

from typing import Any

import numpy as np

from lab import stats
from lab.classroom.answers import called, matches
from lab.classroom.exercises.shared import changed, exercise, runs_of, wrong_if
from lab.runs import Runs, first_and_last

FEWEST_POINTS = 20
# What makes other tasks, and how long they are.
OF_TASKS = ("tasks", "task_epochs", "epochs", "batch_size", "train_size")


@exercise(
    "10.1",
    "A weight that the task does not need goes back to where it began. Where would l2, without "
    "_init, draw it?",
)
def _pull(pull: Any) -> None:
    """The penalty is the strength times the sum of the squared distances."""
    weights, first = (
        np.array([[1.0, -2.0, 0.5], [4.0, 0.0, 1.5]]),
        np.array([[0.5, -1, 2], [1] * 3]),
    )
    strength, away = 0.02, weights - first
    right = float(strength * (away**2).sum())
    mistakes = {
        "The strength is missing.": (away**2).sum(),
        "This is the pull toward 0, which is l2. Take the distance from the first weights.": (
            strength * (weights**2).sum()
        ),
        "This uses only the first weights.": strength * (first**2).sum(),
        "Square each distance before you sum: else one up and one down cancel.": (
            strength * away.sum()
        ),
        "You took the absolute distance. Take its square.": strength * np.abs(away).sum(),
        "You took the mean. Take the sum.": strength * (away**2).mean(),
        "You took the root of the sum. Leave it out.": strength * np.sqrt((away**2).sum()),
        "You squared the strength, too.": strength**2 * (away**2).sum(),
        "You added the weights. Subtract the first ones.": (
            strength * ((weights + first) ** 2).sum()
        ),
        "You give a number for each weight. Sum them.": strength * away**2,
    }
    matches(called(pull, weights, first, strength), right, mistakes)


@exercise(
    "10.2",
    "A neuron can be silent by this rule and not be dead. And an ELU neuron far below 0 gives "
    "nearly -1 for every image: is it silent?",
)
def _silent(silent: Any) -> None:
    """Neuron 0 is dead, 1 and 5 are nearly silent, 3 gives -1 on every image, 6 gives little."""
    a = np.zeros((4, 7))
    a[1, 1], a[3, 2], a[:, 3], a[:, 4], a[0, 5], a[:, 6] = 0.42, 8.0, -1.0, 4.0, 0.2, 0.3
    threshold, size = 0.1, np.abs(a).mean(axis=0)
    right = size <= threshold * size.mean()
    mistakes = {
        "You find those that give nearly 0 on every image. Take the mean over the images.": (
            (np.abs(a) <= threshold * size.mean()).all(axis=0)
        ),
        "You compare with the threshold itself. It is a share of the layer's mean.": (
            size <= threshold
        ),
        "An activation can be below 0, as ELU's is. Take its size, |a|.": (
            a.mean(axis=0) <= threshold * a.mean()
        ),
        "Compare with the mean of the layer, and not with its largest or its sum.": (
            size <= threshold * size.max()
        ),
        "You took the mean over the neurons. Take it over the images: see `axis`.": (
            np.abs(a).mean(axis=1) <= threshold * size.mean()
        ),
        "You ask for each image. The rule is about a neuron's mean over the images.": (
            np.abs(a) <= threshold * size.mean()
        ),
        "These are the neurons that are not silent.": ~right,
        "You count. The exercise asks which neurons are silent.": right.sum(),
        "These are the numbers of the neurons. Give true or false for each.": np.flatnonzero(right),
    }
    matches(called(silent, a, threshold), right, mistakes)


@exercise(
    "10.3",
    "Its weights grow, and it goes on learning: so growth alone is not enough. It does not say "
    "that growth does no harm in another network.",
)
def _grows_and_learns(runs: Any, way: Any) -> None:
    """The answer is the label of runs whose first layer doubles its norm, and that do not fall."""
    recorded = Runs(runs_of(runs))
    names = dict.fromkeys(run.record.label or "" for run in recorded)
    name = str(way).strip()
    wrong_if(name not in names, f"There is no such way. Choose from: {'; '.join(names)}.")
    chosen = recorded.where(label=name)
    before, after = _means(chosen, "weight_norm").mean(axis=0)
    wrong_if(
        after < 2 * before,
        f"Its weights do not double: {before:.1f} → {after:.1f} in layer 1. So it does not speak "
        f"against the claim.",
    )
    first, last = 100 * _means(chosen, "online_accuracy").T
    fall = stats.paired(last, first)
    wrong_if(
        fall.high < 0,
        f"Its weights grow, and it learns worse, by {-fall.mean:.1f} points on average (from "
        f"{-fall.high:.1f} to {-fall.low:.1f}). That agrees with the claim.",
    )


def _means(runs: Runs, name: str) -> Any:
    return np.array([first_and_last(run, name) for run in runs])


@exercise(
    "10.4",
    "With these tasks ReLU loses much more than ELU, and only ReLU has neurons that die. That "
    "fits; to test it, give ReLU's neurons back: does ReDo help here?",
)
def _where_dying_matters(answer: Any, lesson: Any) -> None:
    """`lesson` holds the recorded runs: its ReLU without a remedy has the settings to compare."""
    runs, before = Runs(runs_of(answer)), Runs(runs_of(lesson)).where(label="ReLU")[0]
    relu, elu = (runs.where(activation=name) for name in ("relu", "elu"))
    wrong_if(not relu or not elu, "Train both functions: ('relu', 'elu').")
    wrong_if(
        len({run.record.dataset_digest for run in [*runs, before]}) > 1,
        "Train on mnist-5k, as the lesson did.",
    )
    for run in runs:
        others = set(changed(run.config, before.config)) - {"activation", "seed", *OF_TASKS}
        wrong_if(
            bool(others),
            f"You changed {', '.join(sorted(others))}. Change the tasks and how long they are; "
            f"`common` holds the rest.",
        )
    wrong_if(
        any(run.config.tasks in ("none", "permuted") for run in runs),
        "Choose other tasks than the lesson's: see `tasks` above.",
    )
    wrong_if(
        len(runs.groups(("seed", "activation", "parameter"))) > 1,
        "ReLU and ELU must learn the same tasks.",
    )
    more = _fall(relu) - _fall(elu)
    wrong_if(
        not more >= FEWEST_POINTS,
        f"ReLU loses {more:.1f} points more than ELU. The exercise asks for {FEWEST_POINTS}."
        if more > 0
        else "Here ReLU does not lose more than ELU.",
    )


def _fall(runs: Runs) -> float:
    first, last = _means(runs, "online_accuracy").mean(axis=0)
    return float(100 * (first - last))
