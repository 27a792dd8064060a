"""Heat maps write a number in each cell, or why there is none."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from lab import plots
from lab.plots import heat_maps, palette


def test_a_heat_map_tells_no_run_from_a_diverged_one():
    mean = pd.DataFrame([[97.0, np.nan], [np.nan, 0.0]])
    empty = np.array([[False, True], [False, False]])
    ax = plots.heat_map(mean, mean * np.nan, "", Figure().subplots(), empty)
    assert [text.get_text() for text in ax.texts] == ["97.0", "no run", "diverged", "0.0"]


@pytest.mark.parametrize(("fewer", "channel"), [(True, 0), (False, 2)])
def test_more_is_darker_red_if_it_is_bad_and_blue_if_it_is_good(fewer, channel):
    mean = pd.DataFrame([[3.0, 97.0]])
    ax = plots.heat_map(mean, mean * np.nan, "", Figure().subplots(), fewer_is_better=fewer)
    (image,) = ax.images
    little, much = image.cmap(image.norm(image.get_array()))[0, :, :3]
    assert little.mean() > 0.9
    assert much.mean() < 0.5
    assert much.argmax() == channel
    assert [text.get_color() for text in ax.texts] == [palette.INK, palette.PAPER]


def test_an_outline_goes_around_the_cells_and_not_between_them():
    mean = pd.DataFrame([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    ax = plots.heat_map(mean, mean * np.nan, "", Figure().subplots())
    heat_maps.outline(ax, np.array([[True, True, False], [False, False, False]]))
    (lines,) = ax.collections
    edges = {tuple(map(tuple, segment.tolist())) for segment in lines.get_segments()}
    top, bottom = ({((x, y), (x + 1, y)) for x in (-0.5, 0.5)} for y in (-0.5, 0.5))
    assert edges == top | bottom | {((x, -0.5), (x, 0.5)) for x in (-0.5, 1.5)}
