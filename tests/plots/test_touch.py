"""Pictures say which of their artists is which curve, and what it shows."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from lab import RunConfig, plots
from lab.plots import canvas, touch

RELU, ELU = RunConfig(activation="relu"), RunConfig(activation="elu")
SEEDS = {RELU: [np.array([0.1, 0.5, 0.9]), np.array([0.3, 0.7, np.nan])], ELU: [np.array([0.2])]}


@pytest.fixture
def figure():
    figure = canvas.fixed_figure((10, 5), left=0.1, right=0.6, bottom=0.2, top=0.9)
    plots.curves(SEEDS, "validation_accuracy", ax=figure.subplots())
    return figure


def test_a_panel_says_where_it_is_and_what_its_axes_show(figure):
    (panel,) = touch.panels(figure)
    assert panel["box"] == pytest.approx([0.1, 0.1, 0.5, 0.7])
    (ax,) = figure.axes
    assert (panel["x"], panel["y"]) == (list(ax.get_xlim()), list(ax.get_ylim()))
    assert (panel["log"], panel["title"]) == (False, "validation accuracy, %")
    loss = plots.curves({ELU: [np.array([2.0, 0.1])]}, "train_loss")
    assert touch.panels(loss.figure)[0]["log"]


def test_every_seed_and_every_mean_is_there_with_its_values_as_drawn(figure):
    curves = touch.panels(figure)[0]["curves"]
    told = [(c["group"], c["mean"], c["values"]) for c in curves]
    assert told == [
        ("ReLU", False, [10, 50, 90]),
        ("ReLU", False, [30, 70, None]),
        ("ReLU", True, [20, 60, None]),
        ("ELU α=1", False, [20]),
        ("ELU α=1", True, [20]),
    ]
    assert curves[0]["colour"] == "#0072b2"


def test_the_svg_marks_curves_and_names_and_a_saved_file_does_not(figure):
    svg = canvas.svg(figure, "words")
    assert [len(re.findall(f'data-{kind}="ReLU"', svg)) for kind in ("run", "mean", "name")] == [
        *(2, 1, 2)
    ]
    saved = io.StringIO()
    figure.savefig(saved, format="svg")
    assert "ReLU" not in "".join(re.findall("<g [^>]*>", saved.getvalue()))


def test_the_names_of_a_live_figure_are_marked_and_a_name_is_escaped(figure):
    pair = plots.function_pair(["relu"])
    svg = canvas.svg(pair, "words")
    assert svg.count('data-name="ReLU"') == 2
    assert touch.panels(pair) == []
    touch.mark(touch.RUN, '<b>"x"', figure.axes[0].lines[0])
    root = ElementTree.fromstring(canvas.svg(figure, "words"))
    assert '<b>"x"' in [part.get("data-run") for part in root.iter()]


def test_a_part_of_a_panel_is_shown_with_ticks_in_it():
    figure = canvas.fixed_figure((10, 5), left=0.1, right=0.6)
    loss = plots.curves({ELU: [np.array([2.0, 0.1, 0.11])]}, "train_loss", ax=figure.subplots())
    before = loss.get_xlim(), loss.get_ylim()
    touch.zoom(figure, "validation accuracy, %", (0, 1), (0, 1))
    assert (loss.get_xlim(), loss.get_ylim()) == before
    touch.zoom(figure, "training loss", (0.5, 2.5), (0.09, 0.12))
    assert (touch.panels(figure)[0]["x"], touch.panels(figure)[0]["y"]) == (
        [0.5, 2.5],
        [0.09, 0.12],
    )
    assert sum(0.09 <= tick <= 0.12 for tick in loss.get_yticks()) >= 3
