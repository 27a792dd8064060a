"""Colours of what is no function are told from those of functions, on paper and in the dark."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lab.activations import OKABE_ITO
from lab.plots import heat_maps, palette
from lab.plots.neuron_lives import LIFE_COLOURS

OTHERS = [palette.VIOLET, palette.BROWN, palette.PLUM, heat_maps.BAD, heat_maps.GOOD]
FUNCTIONS = [colour for name, colour in OKABE_ITO.items() if name != "black"]


def luminance(colour):
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def contrast(one, other):
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [*OTHERS, *palette.shades(8)])
def test_what_is_no_function_has_no_colour_near_a_functions(colour):
    far = [np.abs(np.subtract(to_rgb(colour), to_rgb(own))).sum() for own in FUNCTIONS]
    assert min(far) > 0.3


@pytest.mark.parametrize("colour", [palette.VIOLET, palette.BROWN, palette.PLUM])
def test_a_colour_that_stays_in_the_dark_is_seen_on_both(colour):
    assert palette.in_the_dark(colour) == colour
    for page in (palette.PAPER, palette.in_the_dark(palette.PAPER)):
        assert contrast(colour, page) >= 3


@pytest.mark.parametrize("grey", [palette.INK, palette.GREY])
def test_greys_are_as_good_to_read_in_the_dark(grey):
    assert contrast(palette.in_the_dark(grey), palette.in_the_dark(palette.PAPER)) >= 4.5


def test_the_states_of_neurons_are_told_apart():
    for one, other in itertools.combinations(LIFE_COLOURS, 2):
        assert np.abs(np.subtract(to_rgb(one), to_rgb(other))).sum() > 0.3


def test_the_greys_of_an_svg_follow_the_page_and_its_colours_do_not():
    svg = '<path style="fill: none; stroke: #dddddd"/><path style="stroke: #0072b2"/>'
    assert palette.follow_theme(svg) == (
        '<path style="fill: none; stroke: #dddddd; stroke: light-dark(#dddddd, #2e2e2e)"/>'
        '<path style="stroke: #0072b2"/>'
    )
