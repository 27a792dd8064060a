"""Test accuracy stands against the share of neurons taken out, a curve for each order."""

import pandas as pd
from matplotlib.lines import Line2D

from lab import plots


def test_each_order_is_a_curve_with_a_look_of_its_own():
    orders = ("dead first", "at random", "least active first")
    curve = pd.DataFrame(
        [(order, share, 0.9 - share / 2) for order in orders for share in (0.0, 0.5)],
        columns=["order", "share", "test_accuracy"],
    )
    lines: list[Line2D] = plots.removal(curve).get_lines()
    assert [line.get_label() for line in lines] == list(orders)
    for line in lines:
        assert line.get_xydata().tolist() == [[0, 90], [50, 65]]
    assert len({line.get_color() for line in lines}) == 3
    assert len({line.get_linestyle() for line in lines}) == 3
