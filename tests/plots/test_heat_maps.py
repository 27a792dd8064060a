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
