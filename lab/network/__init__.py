"""Networks as plain Keras, their first weights, every forward pass, and the compiled programs.

No other wing knows that a layer is dense: `lab.layout` names the weights and activation sites.
"""

from lab.network import programs
from lab.network.forward_pass import forward
from lab.network.initial_weights import first_kernel, first_weights
from lab.network.keras_model import build_model
from lab.network.networks import TEXTBOOK, Network, add, network_of
from lab.network.optimizers import UPDATES, adam
from lab.network.programs import generator_seeds, gradients_of, program, rates
from lab.network.templates import Template, layout_of, template

__all__ = [
    "TEXTBOOK",
    "UPDATES",
    "Network",
    "Template",
    "adam",
    "add",
    "build_model",
    "first_kernel",
    "first_weights",
    "forward",
    "generator_seeds",
    "gradients_of",
    "layout_of",
    "network_of",
    "program",
    "programs",
    "rates",
    "template",
]
