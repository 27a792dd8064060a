"""Functions are drawn with their values, and jumps as gaps."""

import numpy as np
import pytest

import lab
from lab import plots
from lab.errors import InputError


def test_functions_are_drawn_with_their_values_label_and_look(look):
    ax = plots.functions(["relu", "elu=0.5"])
    relu, elu = ax.get_lines()
    z = relu.get_xdata()
    assert (z[0], z[-1], len(z)) == (-4, 4, 801)
    np.testing.assert_array_equal(relu.get_ydata(), np.maximum(z, 0))
    np.testing.assert_allclose(elu.get_ydata()[z < 0], 0.5 * (np.exp(z[z < 0]) - 1), rtol=1e-12)
    assert [line.get_label() for line in (relu, elu)] == ["ReLU", "ELU α=0.5"]
    assert [(line.get_color(), line.get_linestyle()) for line in (relu, elu)] == [
        look("relu"),
        look("elu"),
    ]


def test_a_derivative_that_jumps_is_drawn_with_a_gap_and_no_slope():
    (line,) = plots.functions(["relu"], derivative=True).get_lines()
    z, gate = line.get_data()
    assert set(gate[np.isfinite(gate)]) == {0.0, 1.0}
    assert np.isnan(gate).sum() == 1
    assert abs(z[np.isnan(gate)][0]) <= 0.01


def test_a_steep_function_is_drawn_whole():
    (line,) = plots.functions(["leaky_relu=-20"]).get_lines()
    assert np.isfinite(line.get_ydata()).all()
    (gate,) = plots.functions(["leaky_relu=-20"], derivative=True).get_lines()
    assert np.isnan(gate.get_ydata()).sum() == 1


def test_a_function_with_its_derivative_is_drawn_thick_and_thin():
    value, gate = plots.with_derivative("tanh").get_lines()
    z = value.get_xdata()
    np.testing.assert_allclose(value.get_ydata(), np.tanh(z))
    np.testing.assert_allclose(gate.get_ydata(), 1 - np.tanh(z) ** 2, atol=1e-12)
    assert value.get_linewidth() > 2 * gate.get_linewidth()


def test_an_unknown_function_is_refused_by_its_name():
    with pytest.raises(InputError, match="Did you mean 'relu'"):
        plots.functions(["rellu"])


def test_functions_reach_as_far_as_nearly_all_pre_activations():
    z = np.concatenate([np.linspace(-20, 20, 1000), [np.inf, np.nan, 1e30]])
    left, right = plots.function_pair(["relu"], z).axes[:2]
    assert left.lines[0].get_xdata()[[0, -1]].tolist() == [-20, 20]
    assert right.lines[0].get_xdata()[-1] == 20
    assert plots.function_pair(["relu"], np.array([np.nan])).axes[0].lines[0].get_xdata()[-1] == 4


@pytest.mark.parametrize("count", [0, 1, 4, 5, 14])
def test_the_legend_of_a_pair_lies_above_the_axes_and_the_bars(count):
    figure = plots.function_pair(list(lab.activations.names())[:count], np.zeros(3))
    figure.canvas.draw()
    axes = [ax for ax in figure.axes if ax.lines or ax.patches]
    assert all(ax.get_legend() is None for ax in axes)
    (legend,) = figure.legends
    assert len(legend.get_texts()) == count
    box = legend.get_window_extent()
    assert box.y1 <= figure.bbox.y1 + 1
    if count:
        assert box.y0 >= max(ax.bbox.y1 for ax in axes)
    heights = {round(ax.bbox.height / figure.dpi, 3) for ax in figure.axes}
    assert heights == {round(4 * (0.97 - 0.14), 3)}


def test_a_pair_reaches_as_far_as_asked():
    left, right = plots.function_pair(["relu"], np.linspace(-9, 9, 100), reach=12.2).axes[:2]
    assert left.lines[0].get_xdata()[[0, -1]].tolist() == [-13, 13]
    assert right.lines[0].get_xdata()[-1] == 13
