"""Checks of the exercises of lesson 1: each gives a hint, never the answer."""

from typing import Any

import numpy as np

from lab import activations
from lab.classroom.answers import called, matches
from lab.classroom.exercises.shared import exercise, wrong_if


@exercise(
    "1.1",
    "f is a straight line on each side of 0, and the gate is its slope: 1 on the right, α on "
    "the left. Slide α to 1 in the playground: what becomes of the gate?",
)
def _gate_of_leaky_relu(gate: Any) -> None:
    z = np.array([-3.0, -0.5, 0.25, 2.0])
    for alpha in (0.01, 0.3):
        leaky = f"leaky_relu={alpha}"
        mistakes = {
            "This is f(z). The gate is its slope f'(z).": activations.activate(leaky, z),
            "Your gate is 0 on the left: this is ReLU's. A leak lets something through.": z > 0,
            "Your two sides are swapped: where z is positive, the slope is 1.": np.where(
                z > 0, alpha, 1
            ),
            "Your slope on the left is always 0.01. Use α.": activations.gate("leaky_relu", z),
            "A slope is not negative here: f rises on both sides.": np.where(z > 0, 1, -alpha),
        }
        matches(called(gate, z, alpha), activations.gate(leaky, z), mistakes)


@exercise(
    "1.2",
    "Gates multiply: less than a millionth of a millionth is left. After twenty of ReLU's "
    "open gates all of it would be.",
)
def _gradient_after_twenty_sigmoids(left: Any) -> None:
    mistakes = {
        "A gate multiplies the gradient; after twenty gates, multiply twenty times.": 20 * 0.25,
        "You used sigmoid's value at 0. The gate is its slope there.": 0.5**20,
        "You used six gates. The exercise has twenty.": 0.25**6,
        "Each gate is a factor: multiply, do not divide by their number.": 0.25 / 20,
        "This is left after one gate. The gradient passes twenty.": 0.25,
        "Sigmoid's gate is not 1 anywhere. What is the largest it can be?": 1,
        "You are one gate short, or one too far: count them again.": 0.25**19,
    }
    matches(left, 0.25**20, mistakes)


@exercise(
    "1.3",
    "Where a is below 0, a = α · exp(z) − α, and the slope α · exp(z) is a + α. Does ReLU's "
    "gate follow from its output, too?",
)
def _gate_of_elu_from_its_output(gate: Any) -> None:
    a = np.array([-0.75, -0.2, 0.5, 2.0])
    for alpha in (1.0, 2.0):
        mistakes = {
            "You have a, not z: solve f(z) = a for exp(z).": (
                np.where(a > 0, 1, alpha * np.exp(a))
            ),
            "On the left you give a itself. At a = 0 the slope must be α.": np.where(a > 0, 1, a),
            "This is right for α = 1 only.": np.where(a > 0, 1, a + 1),
            "On the right the slope of ELU is 1.": a + alpha,
        }
        matches(called(gate, a, alpha), np.where(a > 0, 1, a + alpha), mistakes)


@exercise(
    "1.4",
    "Where a function falls, its gate is below 0, and the gradient is turned around. Which "
    "functions of the playground never fall?",
)
def _an_activation_function_can_fall(name: str, low: float, high: float) -> None:
    at_low, at_high = activations.activate(name, [low, high])
    wrong_if(low >= high, "The first z must be the smaller one.")
    wrong_if(
        at_low == at_high,
        f"{name} is flat from {low:g} to {high:g}: it does not fall. "
        f"Look in the playground for a gate below 0.",
    )
    wrong_if(
        at_low < at_high,
        f"From z = {low:g} to {high:g}, {name} rises. Look in the playground for a gate below 0.",
    )
