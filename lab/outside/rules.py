"""What counts as wrong in a layer: one rule for each kind of finding, with the limit's reason.

The limits were chosen on networks that `tests/benchmarks/diagnose.py` makes, half of them
sabotaged, and tried on others that were held back.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "non-finite",
    "dead",
    "nearly dead",
    "saturated",
    "constant",
    "dormant",
    "exploding gradient",
    "vanishing gradient",
]

CONFIDENCE = 0.95
FEWEST_INPUTS = 59  # What holds on all of 59 inputs fails on fewer than 5 %, at 95 % confidence.
STILL = (
    1e-3  # A unit whose sd is a thousandth of its mean |a| is constant, whatever its layer does.
)


@dataclass(frozen=True)
class Rule:
    """What makes a layer wrong in one way.

    Attributes:
        limit: From here on it is wrong.
        words: The same in words.
        why: The reason for this limit.
        means: What it means.
        causes: What causes it most often.
        advice: What to try.
        evidence: Where the lab shows it: a file of the project.
    """

    limit: float
    words: str
    why: str
    means: str
    causes: str
    advice: str
    evidence: str


RULES: dict[Kind, Rule] = {
    "non-finite": Rule(
        0.0,
        "one value or weight",
        "One value that is NaN or infinite spreads to every layer above.",
        "values or weights are NaN or infinite",
        "the training diverged: the learning rate was too high, or the loss took the logarithm of "
        "0 or divided by it",
        "Train again with a tenth of the learning rate or with clipped gradients, and check the "
        "training inputs and labels for NaN.",
        "tests/faults/README.md",
    ),
    "dead": Rule(
        1 / 3,
        "a third of the units",
        "Of a hundred networks that train well, one or two have a third of a layer dead.",
        "the gate f'(z) is 0 for every input, so no gradient reaches the weights",
        "a learning rate too high in the first epochs, or biases far below zero",
        "Lower the learning rate or warm it up, begin with biases of 0, put a batch normalisation "
        "before the function, or use Leaky ReLU or ELU. If the accuracy is what you need, a "
        "smaller layer does as well.",
        "notebooks/04_dying_relu.ipynb",
    ),
    "nearly dead": Rule(
        1 / 3,
        "a third of the units",
        "As for dead units: these learn a thousand times slower than they could.",
        "the gate f'(z) never exceeds a thousandth of its largest",
        "pre-activations far from zero: biases or weights too large, or a learning rate too high",
        "Lower the learning rate, begin with smaller weights and biases of 0, or put a batch "
        "normalisation before the function.",
        "notebooks/04_dying_relu.ipynb",
    ),
    "saturated": Rule(
        2 / 3,
        "two thirds of the values",
        "In networks that train well up to half of the values lie where the function is flat.",
        "the function is flat where most pre-activations lie, and its value there is not 0",
        "weights or inputs too large for a function that is bounded",
        "Scale the inputs to about −1 to 1, begin with smaller weights (Glorot's), lower the "
        "learning rate, or put a batch or layer normalisation before the function.",
        "notebooks/01_activation_functions.ipynb",
    ),
    "constant": Rule(
        1 / 3,
        "a third of the units",
        "A unit that gives the same for every input acts as a bias of the next layer.",
        "units whose gate is open give the same value for every input",
        "weights near 0 (a first value of 0, or too much weight decay), or an input that does not "
        "vary",
        "Begin with random weights (He's or Glorot's), lower the weight decay, and check that the "
        "inputs differ.",
        "notebooks/05_microscope.ipynb",
    ),
    "dormant": Rule(
        1 / 3,
        "a third of the units",
        "In networks that train well more than a quarter of a layer is seldom dormant.",
        "the mean |a| of units is at most 0.025 of their layer's mean, though their gates open",
        "weights that shrank or were pruned, or units that fire only on few inputs",
        "Lower the weight decay, or reset these units (ReDo); a smaller layer may do as well.",
        "notebooks/06_mistakes_about_dying_relu.ipynb",
    ),
    "exploding gradient": Rule(
        1e3,
        "1,000 times",
        "In networks that train well the gradient grows by less than 20 times on its way back.",
        "it grows on its way back through the layers",
        "first weights too large for this depth",
        "Begin with He's or Glorot's weights, clip the gradients, lower the learning rate, or add "
        "normalisation or skip connections.",
        "figures/results.md",
    ),
    "vanishing gradient": Rule(
        1e-3,
        "a thousandth",
        "In networks that train well the gradient shrinks to no less than half on its way back.",
        "it shrinks on its way back through the layers",
        "gates or weights too small at this depth, such as many layers of sigmoid",
        "Use ReLU, Leaky ReLU or ELU, begin with larger weights (He's), or add batch "
        "normalisation or skip connections.",
        "figures/results.md",
    ),
}
