"""Checks of the exercises of lesson 2: each gives a hint, never the answer."""

from typing import Any

import numpy as np

from lab.classroom.answers import called, matches
from lab.classroom.exercises.shared import exercise, one_run_of, wrong_if
from lab.runs import Run


@exercise(
    "2.1",
    "More than nine in ten of these numbers lie between the pixels and the first layer. How "
    "many would one layer of 150 neurons have, in place of the two?",
)
def _parameters_of_a_network(count: Any) -> None:
    mistakes = {
        "You have counted the weights. Each neuron also has a bias.": 83_900,
        "The last layer, with its ten neurons, is missing.": 83_550,
        "This is the network of the lesson. Yours has layers of 100 and 50.": 669_706,
        "An image has 28 × 28 pixels, not 28.": 28 * 100 + 100 + 5050 + 510,
    }
    matches(count, 84_060, mistakes)


@exercise(
    "2.2",
    "One image with z above 0 is enough to keep a neuron alive, so you ask all images. Try "
    "your function on the z of the lesson.",
)
def _dead_neurons_by_hand(dead: Any) -> None:
    z = np.array(
        [[-1.0, 2.0, 0.0, -9.0, 0.0], [-2.0, -1.0, 0.0, 1.0, -0.5], [-0.1, -3.0, 0.0, -9.0, -4.0]]
    )
    right = np.array([True, False, True, False, True])
    mistakes = {
        "You ask about some image, or the mean. Ask whether all images leave the neuron shut.": (
            (z <= 0).any(axis=0)
        ),
        "You have one answer per image. The exercise asks for one for each neuron: see `axis`.": (
            (z <= 0).all(axis=1)
        ),
        "Is z = 0 above 0? A neuron whose z is exactly 0 lets nothing through.": (z < 0).all(
            axis=0
        ),
        "The mean of z can be negative while one image lies above 0.": z.mean(axis=0) < 0,
        "These are the living neurons.": ~right,
        "You count the dead neurons. The exercise asks for True or False for each neuron.": 3,
    }
    found = called(dead, z)
    matches(found, right, mistakes)


@exercise(
    "2.3",
    "375 steps in each of ten epochs. How many are they with batches of 32?",
)
def _steps_of_the_textbook(steps: Any) -> None:
    mistakes = {
        "These are the steps of one epoch. The textbook takes ten.": 375,
        "A fifth of the 60,000 images is kept for validation: nothing is learnt from them.": 4690,
        "One step takes a whole batch of 128 images.": 480_000,
    }
    matches(steps, 3750, mistakes)


@exercise(
    "2.4",
    "Most parameters lie between the pixels and the first layer, so its width decides. How "
    "few are enough for 85 %?",
)
def _a_small_network(answer: Any) -> None:
    run = one_run_of(answer)
    _on("mnist-5k", run)
    numbers = run.layout.parameters
    wrong_if(
        numbers > 12_000,
        f"Your network has {numbers:,} parameters, more than 12,000. Most of them lie between the "
        f"pixels and the first layer.",
    )
    accuracy = run.record.test_accuracy
    wrong_if(accuracy is None, "Your run has not ended: train it to the end.")
    wrong_if(
        float(accuracy or 0) < 0.85,
        f"It reads {accuracy:.1%} of the test images, fewer than 85 %. Try another learning rate, "
        f"or more epochs.",
    )


def _on(dataset: str, run: Run) -> None:
    found = run.record.dataset
    wrong_if(
        found != dataset, f"Your network learnt from {found}. The exercise asks for {dataset}."
    )
