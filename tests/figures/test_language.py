"""One language of pictures: a look belongs to one function, and letters have three sizes."""

import numpy as np
import pandas as pd
import pytest
from made_runs import write_runs
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.text import Text

import lab
from lab import activations
from lab.figures import of_analyses, of_runs, of_studies
from lab.plots import canvas
from lab.plots.styles import styles_of

SETTINGS = {"hidden": (6, 5), "epochs": 2, "batch_size": 30}
NAMES = ("relu", "leaky_relu", "elu", "relu6")
COLOURS = {colour.lower() for name, colour in activations.OKABE_ITO.items() if name != "black"}


@pytest.fixture(scope="module")
def pictures(tiny, tmp_path_factory):
    """Every figure of runs of four functions, two of which have one colour."""
    store = lab.RunStore(tmp_path_factory.mktemp("language") / "runs")
    for rate in (0.3, 0.001):
        write_runs(NAMES, 2, tiny, store, learning_rate=rate, **SETTINGS)
    return [picture for picture in of_runs.pictures(store.runs) if picture.name != "functions"]


def lines(figure):
    """The lines of a figure that are drawn as lines: their colours and dashes."""
    found = [line for line in figure.findobj(Line2D) if line.get_linestyle() != "None"]
    return {(to_hex(line.get_color()), line._unscaled_dash_pattern) for line in found}


def look(style):
    line = Line2D([], [], color=style.colour, ls=style.line)
    return to_hex(line.get_color()), line._unscaled_dash_pattern


def looks(names):
    return {look(style) for style in styles_of([lab.RunConfig(activation=n) for n in names])}


def test_no_two_functions_share_colour_and_line():
    assert len(looks(activations.names())) == len(activations.names())


def test_in_every_figure_of_runs_lines_in_colours_of_functions_are_those_of_its_functions(pictures):
    known = looks(NAMES)
    for picture in pictures:
        coloured = {pair for pair in lines(picture.figure) if pair[0] in COLOURS}
        assert coloured <= known, picture.name


def test_the_ink_of_a_function_is_no_line_of_anything_else(pictures):
    taken = {pair for pair in looks(activations.names()) if pair[0] == "#000000"}
    assert len(taken) == 2
    for picture in pictures:
        assert not lines(picture.figure) & taken, picture.name


def test_each_panel_of_the_functions_shows_one_in_its_own_look():
    axes = of_runs.functions().figure.axes
    for name, ax in zip(activations.names(), axes, strict=False):
        assert (to_hex(ax.lines[0].get_color()), ax.lines[0]._unscaled_dash_pattern) in looks(
            [name]
        )


def analyses():
    orders = ("dead first", "at random", "least active first")
    removed = pd.DataFrame([(o, s, s) for o in orders for s in (0.1, 0.2)])
    removed.columns = ["order", "share", "test_accuracy"]
    sizes = pd.DataFrame({"images": [10, 100], "dead_fraction": [0.2, 0.1]})
    config = lab.RunConfig(activation="relu", hidden=(4,) * 6)
    over = of_analyses.over_epochs("gradient norm", {config: np.ones((3, 6))}, "settings", "over")
    few = of_analyses.probe_sizes(dict.fromkeys((1, 2, 3), sizes), "a run")
    return [of_analyses.removal(removed, "a run"), few, over]


@pytest.mark.parametrize("picture", analyses(), ids=lambda picture: picture.name)
def test_layers_and_orders_wear_no_function_colour(picture):
    assert not {colour for colour, _ in lines(picture.figure)} & COLOURS


def test_depth_shows_each_function_in_its_own_line_before_and_after():
    configs = [lab.RunConfig(activation=name, hidden=(4, 4)) for name in NAMES]
    values = {config: np.ones((2, 2)) * place for place, config in enumerate(configs, start=1)}
    figure = of_analyses.by_depth({"a": values, "b": values}, "settings", "depth").figure
    coloured = {pair for pair in lines(figure) if pair[0] in COLOURS}
    assert coloured == looks(NAMES)


def test_all_figures_are_as_wide_and_write_in_three_sizes(pictures):
    for picture in [*pictures, *analyses(), of_runs.functions()]:
        assert picture.figure.get_figwidth() == pytest.approx(canvas.WIDTH), picture.name
        words = [text for text in picture.figure.findobj(Text) if text.get_text()]
        sizes = {text.get_fontsize() for text in words}
        assert sizes <= {canvas.TITLE, canvas.TEXT, canvas.CAPTION}, picture.name
        caption = picture.figure._supxlabel
        assert caption is None or caption.get_fontsize() == canvas.CAPTION


def test_the_headline_shows_dead_neurons_and_accuracy_over_the_rates(pictures):
    (picture,) = (p for p in pictures if p.name == "tiny-dead-and-accuracy")
    dead, accuracy = picture.figure.axes
    for ax in (dead, accuracy):
        means = [line for line in ax.lines if line.get_markersize() == 8]
        assert [len(line.get_xdata()) for line in means] == [2] * len(NAMES)
    assert of_studies.LADDER.split(".")[0] in picture.figure.get_supxlabel()
