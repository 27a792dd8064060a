"""Pictures of functions and of recorded runs, each on one pair of Matplotlib axes.

Every function takes `ax=None`, draws on it or on axes of its own, and returns the axes. Nothing
here trains, and nothing calls `pyplot`. An activation function keeps its colour and line style in
every picture; thin lines are seeds, thick lines their mean. To save a picture: `ax.figure.savefig`.
"""

from lab.config import words_of
from lab.plots.accuracy import accuracy_against_dead, removal
from lab.plots.canvas import (
    Limits,
    Values,
    axes,
    beside,
    fixed_figure,
    png,
    style,
    svg,
    whole_epochs,
)
from lab.plots.depth import by_depth, layers_over_epochs
from lab.plots.epoch_curves import (
    axis_label,
    curves,
    dead_neurons,
    learning_curves,
    survival,
)
from lab.plots.forest_plot import forest
from lab.plots.function_curves import GATE, broken, function_pair, functions, with_derivative
from lab.plots.heat_maps import heat_map, map_colour
from lab.plots.learning_rates import over_rates
from lab.plots.looks import MARKERS, labels, looks_of, marker
from lab.plots.neuron_lives import LIFE_COLOURS, LIFE_MARKERS, flows, life_legend, life_map

__all__ = [
    "GATE",
    "LIFE_COLOURS",
    "LIFE_MARKERS",
    "MARKERS",
    "Limits",
    "Values",
    "accuracy_against_dead",
    "axes",
    "axis_label",
    "beside",
    "broken",
    "by_depth",
    "curves",
    "dead_neurons",
    "fixed_figure",
    "flows",
    "forest",
    "function_pair",
    "functions",
    "heat_map",
    "labels",
    "layers_over_epochs",
    "learning_curves",
    "life_legend",
    "life_map",
    "looks_of",
    "map_colour",
    "marker",
    "over_rates",
    "png",
    "removal",
    "style",
    "survival",
    "svg",
    "whole_epochs",
    "with_derivative",
    "words_of",
]
