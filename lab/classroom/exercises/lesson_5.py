"""Checks of the exercises of lesson 5: each gives a hint, never the answer."""

from typing import Any

import numpy as np

from lab.classroom.answers import WrongAnswerError, called, matches
from lab.classroom.exercises.shared import exercise, one_run_of, wrong_if
from lab.runs import causes


@exercise(
    "5.1",
    "A ReLU neuron is dead if this number is not above 0. Try your function on the images and"
    " the weights of the lesson.",
)
def _largest_pre_activation(largest: Any) -> None:
    rng = np.random.default_rng(5)
    x, w, b = rng.random((6, 3)), rng.normal(size=(3, 4)), np.array([-9.0, 0.5, -1.0, 2.0])
    z = x @ w + b
    mistakes = {
        "The bias is missing.": (x @ w).max(axis=0),
        "You have one number per image. The exercise asks for one for each neuron: see `axis`.": (
            z.max(axis=1)
        ),
        "You applied ReLU: a largest z below 0 is what tells a dead neuron.": (
            np.maximum(z, 0).max(axis=0)
        ),
        "This is the mean. One image above 0 is enough to keep a neuron alive.": z.mean(axis=0),
        "This is the smallest z.": z.min(axis=0),
        "You have subtracted the bias.": (x @ w - b).max(axis=0),
    }
    matches(called(largest, x, w, b), z.max(axis=0), mistakes)


@exercise(
    "5.2",
    "Compare it with the fall of the largest z in the neuron's story: the weights did the rest.",
)
def _fall_by_bias(run: Any, unit: int, fall: Any) -> None:
    cause = causes.find(one_run_of(run), 1).get(unit)
    if cause is None or np.isnan(cause.by_bias):
        raise WrongAnswerError(f"The record does not show how neuron {unit} of layer 1 died.")
    whole = cause.edge_before - cause.edge_after
    last = float(run.weights()[1][unit])
    first = float(run.weights(cause.since - 1)[1][unit])
    mistakes = {
        "Mind the sign: a fall is what it was before, minus what it is after.": -cause.by_bias,
        "This is the fall of the largest z. The exercise asks for the part of the bias.": whole,
        "This is the part of the weights. The exercise asks for the part of the bias.": whole
        - cause.by_bias,
        "You went on to the last epoch. Stop at the epoch of its death.": first - last,
    }
    matches(fall, cause.by_bias, mistakes, tolerance=0.01, rounding=0.0051)


@exercise(
    "5.3",
    "Its inputs are the neurons of layer 1, and they went on learning: so its z could rise "
    "above 0 again. Layer 1 of this network has no such neuron: the images never change.",
)
def _died_and_came_back(run: Any, unit: int, died: int, revived: int) -> None:
    lived = one_run_of(run).lives(2)
    run.check_unit(2, unit)
    wrong_if(died >= revived, "First it dies, then it comes back: look at the two epochs.")
    wrong_if(
        not lived.dead[:, unit].any(),
        f"Neuron {unit} of layer 2 was never dead. Did you take layer 1?",
    )
    wrong_if(
        not lived.revived[:, unit].any(), f"Neuron {unit} of layer 2 never came back. Keep looking."
    )
    run.check_epoch(revived)
    wrong_if(not lived.died[died, unit], f"It did not die in epoch {died}. Move the epoch.")
    wrong_if(not lived.revived[revived, unit], f"It did not come back in epoch {revived}.")


@exercise(
    "5.4",
    "Dead is a word about the images that were looked at. If this one were a training image, "
    "a gradient would reach the weights again. Does your drawing look like a digit?",
)
def _an_image_that_wakes(run: Any, unit: int, image: Any) -> None:
    wrong_if(
        not one_run_of(run).lives(1).dead[-1, unit],
        f"Neuron {unit} of layer 1 is not dead: it needs no waking.",
    )
    pixels = np.asarray(image, np.float64)
    wrong_if(
        pixels.size != 784, f"An image has 28 × 28 pixels; yours has the shape {pixels.shape}."
    )
    wrong_if(
        not bool((pixels >= 0).all() and (pixels <= 1).all()),
        f"Your pixels go from {pixels.min():.3g} to {pixels.max():.3g}. A pixel is from 0 to 1.",
    )
    weights, biases = run.weights()[:2]
    z = float(pixels.ravel() @ weights[:, unit] + biases[unit])
    wrong_if(
        z <= 0,
        f"With your image z = {z:.3g}: the neuron sleeps on. Which pixels push z up, and which "
        f"down? Look at its incoming weights.",
    )
