"""Checks of the exercises of lesson 8: each gives a hint, never the answer."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from lab import stats
from lab.classroom.answers import called, matches
from lab.classroom.exercises.shared import changed, exercise, runs_of, wrong_if
from lab.runs import Runs, measures

NO_REMEDY = "no remedy"
# Settings that another change brings with it.
COME_ALONG = {"optimizer": ("momentum", "nesterov", "weight_decay"), "input_scale": ("pixels",)}


@exercise(
    "8.1",
    "The others die all the same. Does warm-up save some with each of the six seeds?",
)
def _saved_of_a_hundred(runs: Any, saved: Any) -> None:
    """The exercise asks for the neurons of both layers, over all seeds together."""
    recorded = Runs(runs_of(runs))
    without, with_it = (recorded.where(label=name) for name in (NO_REMEDY, "warm-up"))
    dead = measures.measure("dead")
    before, after = dead.mean(without), dead.mean(with_it)
    layers = [100 * (1 - _mean(with_it, n) / _mean(without, n)) for n in (1, 2)]
    pairs = zip(without, with_it, strict=True)
    each = [100 * (1 - dead.printed(two) / dead.printed(one)) for one, two in pairs]
    mistakes = {
        "This is the difference in points. Of 100 neurons that die without a remedy, how many "
        "live?": before - after,
        "So many of them die all the same. The exercise asks for those that are saved.": (
            100 * after / before
        ),
        "This is a share of 1. The exercise asks for how many of 100.": 1 - after / before,
        "You divide by those that die with warm-up. Divide by those that die without it.": (
            100 * (before / after - 1)
        ),
        "This is layer 1 alone. Take all neurons.": layers[0],
        "This is layer 2 alone. Take all neurons.": layers[1],
        "You took the mean of six shares, as if every seed had as many dead. Take the means "
        "first.": float(np.mean(each)),
    }
    matches(saved, 100 * (1 - after / before), mistakes, rounding=0.5)


def _mean(runs: Runs, layer: int) -> float:
    return float(np.mean([run.confirmed_fraction(layer) for run in runs]))


@exercise(
    "8.2",
    "Now z has mean 0 for each neuron: so on some image it is above 0, and ReLU's gate is "
    "open, whatever the bias was.",
)
def _normalised(normalised: Any) -> None:
    """A small number below the root, as Keras has it, changes nothing that the check sees."""
    z = np.array([[-30.0, 1.0, -7.0], [-10.0, 3.0, -7.5], [-20.0, 5.0, -9.5], [-40.0, 3.0, -8.0]])
    spread = z.std(axis=0)
    mistakes = {
        "You took mean and spread over the neurons. Take them over the images: see `axis`.": (
            (z - z.mean(axis=1, keepdims=True)) / z.std(axis=1, keepdims=True)
        ),
        "You took one mean and one spread for all. Each neuron has its own.": (
            (z - z.mean()) / z.std()
        ),
        "The mean is right. Divide by the standard deviation, too.": z - z.mean(axis=0),
        "The spread is right. Subtract the mean first.": z / spread,
        "You divide by the variance. Take its root.": (z - z.mean(axis=0)) / spread**2,
        "You multiply by the standard deviation. Divide by it.": (z - z.mean(axis=0)) * spread,
        "You applied ReLU, too. The exercise asks for z before it.": (
            np.maximum((z - z.mean(axis=0)) / spread, 0)
        ),
    }
    found = called(normalised, z)
    samples = (z - z.mean(axis=0)) / z.std(axis=0, ddof=1)
    if np.shape(found) == z.shape and np.allclose(np.asarray(found, float), samples, rtol=0.002):
        return  # With n − 1, as statistics has it: as good a spread.
    matches(found, (z - z.mean(axis=0)) / spread, mistakes, tolerance=0.002, rounding=0.002)


@exercise(
    "8.3",
    "It saves neurons, and as far as the study can tell it does not read better: this refutes"
    " the claim. It does not say that the accuracies are equal.",
)
def _saves_and_is_not_better(verdicts: Any, remedy: Any) -> None:
    """The answer is the name of a remedy; `verdicts` are on both measures."""
    listed = list(verdicts) if isinstance(verdicts, Iterable) else []
    wrong_if(
        not listed or not all(isinstance(one, stats.Verdict) for one in listed),
        "The first answer must be the verdicts of the lesson, `verdicts`.",
    )
    of = {(v.measure.name, v.name): v for v in listed}
    names = dict.fromkeys(v.name for v in listed)
    name = str(remedy).strip().lower()
    wrong_if(name == NO_REMEDY, "No remedy is what the others are compared with.")
    wrong_if(name not in names, f"There is no such remedy. Choose from: {', '.join(names)}.")
    saved, better = of["dead", name], of["test_accuracy", name]
    wrong_if(
        not saved.distinguishable or saved.paired.mean > 0,
        f"The study does not show that it saves neurons: {saved.amount(saved.paired.mean)} "
        f"points, from {saved.amount(saved.paired.low)} to {saved.amount(saved.paired.high)}, "
        f"Holm's p {saved.p_holm:.2g}.",
    )
    wrong_if(
        better.distinguishable and better.paired.mean > 0,
        "It saves neurons, and its accuracy is better. That agrees with the claim.",
    )


@exercise(
    "8.4",
    "Does it keep z near 0, make the steps small, or keep the gate open? For a verdict train "
    "six seeds.",
)
def _a_remedy_of_ones_own(answer: Any, lesson: Any) -> None:
    """`lesson` holds the recorded runs: those without a remedy tell the settings."""
    runs, without = Runs(runs_of(answer)), Runs(runs_of(lesson)).where(label=NO_REMEDY)
    before = without[0].config
    wrong_if(
        any(run.record.dataset != without[0].record.dataset for run in runs),
        "Train on mnist-5k, as the study did.",
    )
    for run in runs:
        names = changed(run.config, before)
        along = [other for name in names for other in COME_ALONG.get(name, ())]
        _check_change([name for name in names if name not in ("seed", *along)], run.config)
    wrong_if(len(runs.groups()) > 1, "These runs differ in more than their seed. Try one remedy.")
    wrong_if(
        len({run.config.seed for run in runs}) < 3, "One seed says little: train with three seeds."
    )
    dead, reads = (measures.measure(name).mean(runs) for name in ("dead", "test_accuracy"))
    wrong_if(
        not dead <= 5,
        f"With it {dead:.1f} % of the neurons are dead, on average. The exercise allows 5 %. "
        f"What keeps z near 0, or the steps small?",
    )
    wrong_if(
        not reads >= 85,
        f"It saves neurons, but the networks read {reads:.1f} % of the test images. The exercise "
        f"asks for 85 % at least.",
    )


def _check_change(names: list[str], config: Any) -> None:
    wrong_if(not names, "You have changed nothing. Which other setting could save neurons?")
    wrong_if("activation" in names, "Keep ReLU: a leak is in the study already.")
    wrong_if(
        "learning_rate" in names,
        "Keep the learning rate 0.02: the study has tried a smaller one.",
    )
    wrong_if(
        len(names) > 1,
        f"You have changed {', '.join(names)}. Change one thing only: what the study has in "
        f"common is in `common`.",
    )
    tried = {"normalization": "batch", "optimizer": "adamw", "warmup": config.warmup}
    (name,) = names
    wrong_if(
        tried.get(name) == getattr(config, name),
        "The study has tried this remedy. Find another one.",
    )
