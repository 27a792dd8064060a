"""Pictures of functions and of recorded runs, each on one pair of Matplotlib axes.

Every function takes `ax=None`, draws on it or on new axes, and returns the axes. Nothing here
trains, and nothing calls `pyplot`. An activation function keeps its colour and line style in every
picture; thin lines are seeds, thick lines their mean. To save a picture: `ax.figure.savefig`.
"""

from lab.plots import one_neuron
from lab.plots.depth import by_depth, layers_over_epochs
from lab.plots.epoch_curves import (
    REDUNDANCY_CURVES,
    curves,
    dead_neurons,
    learning_curves,
    over_tasks,
    redundancy,
    renew,
    survival,
)
from lab.plots.forest_plot import forest
from lab.plots.function_curves import function_pair, functions, with_derivative
from lab.plots.heat_maps import heat_map
from lab.plots.learning_rates import over_rates
from lab.plots.neuron_lives import flows, life_map
from lab.plots.neurons_removed import removal
from lab.plots.probe_sizes import probe_sizes

__all__ = [
    "REDUNDANCY_CURVES",
    "by_depth",
    "curves",
    "dead_neurons",
    "flows",
    "forest",
    "function_pair",
    "functions",
    "heat_map",
    "layers_over_epochs",
    "learning_curves",
    "life_map",
    "one_neuron",
    "over_rates",
    "over_tasks",
    "probe_sizes",
    "redundancy",
    "removal",
    "renew",
    "survival",
    "with_derivative",
]
