"""Checks of the exercises of lesson 6: each gives a hint, never the answer."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from lab.analysis import probes, surgery
from lab.census import units
from lab.classroom.answers import called, matches
from lab.classroom.exercises.shared import elu_minus_relu, exercise, one_run_of, wrong_if


@exercise(
    "6.1",
    "A gradient passes where the gate is not 0, whatever the function: so this count needs no"
    " other rule. A count of signs does.",
)
def _dead_share_from_gates(share: Any) -> None:
    gates = np.array([[0, 0.5, 0, 0.01, 0], [0, 0, 0, 0.01, 1], [0, 0, 0, 0.01, 0.0]])
    mistakes = {
        "You count the shut gates of all images. Count neurons that no image opens.": (
            (gates == 0).mean()
        ),
        "You count neurons that some image leaves shut. Ask whether all images do.": (
            (gates == 0).any(axis=0).mean()
        ),
        "You ask for each image. Ask for each neuron: see `axis`.": (
            (gates == 0).all(axis=1).mean()
        ),
        "This is the share of the living.": 0.6,
        "This is their number. The exercise asks for their share of all neurons.": 2.0,
    }
    matches(called(share, gates), 0.4, mistakes)


@exercise(
    "6.2",
    "With fewer images some living neuron still looks dead. Is it the same number for layer 1?",
)
def _images_until_the_truth(run: Any, images: Any) -> None:
    """The exercise asks for layer 2, and for the order in which probes grow."""
    opened = probes.first_open(one_run_of(run), 2)
    all_images = one_run_of(run).record.train_images
    alive = opened[opened <= all_images]
    mistakes = {
        "You took the dead neurons, too: no image ever opens their gates.": int(opened.max()),
        "After this many images the first neuron is known to live. Go on to the last.": (
            int(alive.min())
        ),
        "Half of the living neurons are known by then. Go on to the last.": float(np.median(alive)),
        "This is the mean. One neuron that waits longer still looks dead.": float(alive.mean()),
        "These are all training images. Fewer are enough.": all_images,
    }
    matches(images, int(alive.max()), mistakes, tolerance=0.0001)


@exercise(
    "6.3",
    "With three seeds t is 4.3, and with very many 1.96: so few seeds make a wide interval. "
    "Does it hold 0?",
)
def _interval_of_three_seeds(recorded: Any, half: Any) -> None:
    """The answer is the half width in points; `recorded` are the runs on full MNIST."""
    differences = elu_minus_relu(recorded, 0.005)
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    t = float(student_t.ppf(0.975, len(differences) - 1))
    mistakes = {
        "1.96 is for very many seeds. With three of them the t distribution has 2 degrees of "
        "freedom.": 1.96 * error,
        "This is the standard error alone. Multiply it by t.": error,
        "Divide the standard deviation by the square root of the number of seeds.": (
            t * error * math.sqrt(len(differences))
        ),
        "Divide by n − 1 in the standard deviation: `std(ddof=1)`.": (
            t * error * math.sqrt((len(differences) - 1) / len(differences))
        ),
        "You have 3 degrees of freedom. They are one less than the seeds.": (
            float(student_t.ppf(0.975, len(differences))) * error
        ),
        "95 % leave 2.5 % on each side: use 0.975.": float(student_t.ppf(0.95, 2)) * error,
        "This is the whole width. The exercise asks for the part on one side, the ± of the mean.": (
            2 * t * error
        ),
        "One point is one percent: multiply by 100.": t * error / 100,
    }
    matches(half, t * error, mistakes, tolerance=0.01)


@exercise(
    "6.4",
    "A neuron that always sends 0 adds nothing above it. Is there also a living one without "
    "which no image gets another class?",
)
def _taken_out_unnoticed(run: Any, units_out: Any) -> None:
    """The answer lists units of layer 1: as many as are dead, and no image gets another class."""
    run = one_run_of(run)
    wrong_if(
        isinstance(units_out, Mapping),
        "The answer must be neurons of layer 1 only, a list of their numbers.",
    )
    dead = int(run.confirmed(1).sum())
    cut = surgery.ablate(run, {1: units_out})
    out = len(cut.removed[0])
    wrong_if(
        cut.changed > 0,
        f"Without these {out} neurons {cut.changed:,} of {cut.images:,} training images get "
        f"another class. Which neurons send nothing at all?",
    )
    wrong_if(
        out < dead,
        f"No image gets another class: good. But you took {out} out, and {dead} can go.",
    )


@exercise(
    "6.5",
    "Its gate opens seldom, but it opens: a gradient comes, and it can learn. A rule with a "
    "threshold cannot tell this from death.",
)
def _the_neuron_that_the_rules_quarrel_about(run: Any, unit: Any) -> None:
    """The answer is the living unit of layer 1 that gives 0 most often."""
    layer = one_run_of(run).last_summaries(1)
    dead, zeros = units.dead(layer), layer.zeros / layer.images

    def mistake(number: int) -> str:
        if dead[number]:
            return f"Neuron {number} is dead by the lab's rule, too: no image opens its gate."
        seldom = f"Neuron {number} gives 0 on {100 * zeros[number]:.0f} % of its values."
        return f"{seldom} Another one that lives does so more often."

    mistakes = {mistake(number): number for number in range(len(dead))}
    matches(unit, int(np.where(dead, -1, zeros).argmax()), mistakes)
