"""Networks as plain Keras, their first weights, every forward pass, and the compiled programs.

No other wing knows that a layer is dense: `lab.layout` names the weights and activation sites.
"""

from lab.network import programs
from lab.network.forward_pass import activated, activations, forward
from lab.network.initial_weights import first_kernel, first_weights
from lab.network.keras_model import build_model
from lab.network.networks import Network, add, network_of, own, own_names
from lab.network.optimizers import (
    Numbers,
    adam,
    learning_rates,
    numbers_of,
    recipe_of,
    update,
)
from lab.network.own_networks import register_network, register_network_source
from lab.network.programs import (
    UTILITY_DECAY,
    generator_seeds,
    gradients_of,
    program,
)
from lab.network.templates import Template, layout_of, source_of_site, template

__all__ = [
    "UTILITY_DECAY",
    "Network",
    "Numbers",
    "Template",
    "activated",
    "activations",
    "adam",
    "add",
    "build_model",
    "first_kernel",
    "first_weights",
    "forward",
    "generator_seeds",
    "gradients_of",
    "layout_of",
    "learning_rates",
    "network_of",
    "numbers_of",
    "own",
    "own_names",
    "program",
    "programs",
    "recipe_of",
    "register_network",
    "register_network_source",
    "source_of_site",
    "template",
    "update",
]
