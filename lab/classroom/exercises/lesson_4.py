"""Checks of the exercises of lesson 4: each gives a hint, never the answer."""

from typing import Any

import numpy as np

from lab.census import units
from lab.classroom.answers import WrongAnswerError
from lab.classroom.exercises.shared import (
    changed,
    dead_by_layer,
    exercise,
    one_run_of,
    runs_of,
    wrong_if,
)
from lab.experiment import load_dataset
from lab.runs import Runs


@exercise(
    "4.1",
    "A bias moves z on every image by the same amount: low enough, and none is above 0. In "
    "training it is mostly not the bias that kills: see lesson 5.",
)
def _exactly_a_hundred_dead(model: Any) -> None:
    """The answer is the Keras model."""
    wrong_if(not hasattr(model, "layers"), "The answer must be the Keras model.")
    pixels = load_dataset("mnist-5k").x_train
    images = pixels.reshape(len(pixels), -1) / np.float32(255)
    dead = []
    for layer in model.layers[1:3]:
        kernel, bias = layer.get_weights()
        z = images @ kernel + bias
        dead.append(int((z <= 0).all(axis=0).sum()))
        images = np.maximum(z, 0)
    if dead[0] == 100:
        return
    wrong_if(
        dead[0] < 100 <= dead[1],
        f"In layer 2, {dead[1]} neurons are dead. The exercise asks for layer 1, "
        f"which has {dead[0]}.",
    )
    wrong_if(
        dead[0] == 0,
        "No neuron of layer 1 is dead. What can you do to a bias, so that z is never above 0?",
    )
    wrong_if(dead[0] == 512, "All 512 neurons are dead. Change 100 of the biases, not all.")
    raise WrongAnswerError(f"{dead[0]} neurons of layer 1 are dead. The exercise asks for 100.")


@exercise(
    "4.2",
    "Adam's first steps are about as large as the learning rate: large ones push a neuron "
    "below zero on every image. Is the limit the same with 512 neurons in a layer?",
)
def _largest_harmless_rate(answer: Any) -> None:
    """The answer holds the runs that were tried: at least two, which bracket the rate."""
    wrong_if(
        answer is None,
        "`rates` must be a list of numbers in square brackets, such as [0.001, 0.1].",
    )
    runs = sorted(runs_of(answer), key=lambda run: run.config.learning_rate)
    wrong_if(
        len(Runs(runs).groups(("learning_rate",))) > 1,
        "Only the learning rate may differ between the runs.",
    )
    wrong_if(
        any(run.config.activation != "relu" for run in runs), "Train networks of ReLU neurons."
    )
    shares = {
        run.config.learning_rate: dead_by_layer(run)[0] / run.layout.widths[0] for run in runs
    }
    harmless = [rate for rate, share in shares.items() if share < 0.05]
    deadly = [rate for rate, share in shares.items() if share >= 0.05]
    wrong_if(not deadly, "No rate that you tried kills 5 % of layer 1: try larger ones.")
    wrong_if(not harmless, "Every rate that you tried kills 5 % of layer 1: try smaller ones.")
    best, next_one = max(harmless), min([r for r in deadly if r > max(harmless)], default=0.0)
    wrong_if(not next_one, "Try larger rates, until 5 % of layer 1 die.")
    wrong_if(
        next_one > 2.001 * best,
        f"{best:g} is harmless and {next_one:g} kills, but what is between them? Bring them "
        f"within a factor of 2.",
    )


@exercise(
    "4.3",
    "Its z is below zero on every image, but its gate is not 0 there: gradients reach its "
    "weights, and it can learn. For ReLU the two words mean the same.",
)
def _always_negative_and_not_dead(run: Any, layer: int, unit: int) -> None:
    run = one_run_of(run)
    run.check_unit(layer, unit)
    last = run.last_summaries(layer)
    wrong_if(
        not units.always_negative(last)[unit],
        f"The largest z of this neuron is {last.max_z[unit]:.3g}: it is not always negative.",
    )
    wrong_if(
        bool(units.dead(last)[unit]),
        f"This neuron is dead: with {run.config.title} the gate is shut where z is negative. "
        f"Which function leaves it open?",
    )


@exercise(
    "4.4",
    "Does your change open the gate, or lift z above zero? Find one of the other kind.",
)
def _saved_by_one_change(answer: Any, lost: Any) -> None:
    run, before = one_run_of(answer), one_run_of(lost)
    settings = changed(run.config, before.config)
    wrong_if(not settings, "You have changed nothing.")
    wrong_if(
        "first_bias" in settings,
        "Leave the first bias at −1: save the network in spite of it.",
    )
    wrong_if(
        len(settings) > 1,
        f"You have changed {', '.join(settings)}. Change one thing only: what the three networks "
        f"have in common is in `common`.",
    )
    shares = [n / width for n, width in zip(dead_by_layer(run), run.layout.widths, strict=True)]
    wrong_if(
        max(shares) > 0.1,
        f"Of its layers {' / '.join(f'{share:.0%}' for share in shares)} are dead: more than "
        f"10 %. Which function cannot die at all?",
    )
