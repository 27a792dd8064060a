"""Curves over the number of images: every size is on the line, and no two marks touch."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lab import plots


@pytest.mark.parametrize(
    ("sizes", "marked"),
    [
        ([10, 100, 1000], [0, 1, 2]),
        ([10, 30, 100, 300, 1000, 3000, 3200], [0, 1, 2, 3, 4, 6]),
        ([10, 11, 12, 13, 14], [1, 4]),
        ([7], [0]),
    ],
)
def test_marks_do_not_touch_and_the_last_size_has_one(sizes, marked):
    table = pd.DataFrame({"images": sizes, "dead_fraction": np.linspace(0.5, 0.1, len(sizes))})
    ax = plots.probe_sizes({1: table})
    (line,) = ax.lines
    assert line.get_xdata().tolist() == sizes
    assert line.get_markevery() == marked
    ax.figure.canvas.draw()
    across = ax.transData.transform([(size, 0) for size in np.array(sizes)[marked]])[:, 0]
    widths = line.get_markersize() * ax.figure.dpi / 72
    assert all(right - left > widths for left, right in itertools.pairwise(across))
