"""Heat maps write a number in each cell, or why there is none."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lab import plots


def test_a_heat_map_tells_no_run_from_a_diverged_one():
    mean = pd.DataFrame([[97.0, np.nan], [np.nan, 0.0]])
    empty = np.array([[False, True], [False, False]])
    ax = plots.heat_map(mean, mean * np.nan, "", Figure().subplots(), empty)
    assert [text.get_text() for text in ax.texts] == ["97.0", "no run", "diverged", "0.0"]


def test_what_is_good_is_bright_and_written_in_black():
    mean = pd.DataFrame([[97.0, 3.0]])
    for fewer, good in ((False, 0), (True, 1)):
        ax = plots.heat_map(mean, mean * np.nan, "", Figure().subplots(), fewer_is_better=fewer)
        assert ax.texts[good].get_color() == "black"
        assert ax.texts[1 - good].get_color() == "white"
        (image,) = ax.images
        shades = image.cmap(image.norm(image.get_array()))[0, :, :3].mean(axis=1)
        assert shades[good] > shades[1 - good]
