"""Pictures are drawn on the axes that are given, whole at once, and need nothing heavy."""

import io
import itertools
import subprocess
import sys

import pytest
import tensorflow as tf
from made_runs import write_runs
from matplotlib.figure import Figure
from matplotlib.text import Text

import lab
from lab import Runs, plots, stats
from lab.activations import registry
from lab.figures import of_runs, of_studies

LONG = "a_function_whose_name_has_forty_letters_"


def test_a_plot_draws_on_the_axes_it_is_given_and_returns_them(runs):
    ax = Figure().subplots()
    assert plots.learning_curves(runs, ax=ax) is ax
    assert plots.dead_neurons(runs, 1, ax=ax) is ax
    assert plots.life_map(runs[0], 1, ax=ax) is ax
    assert plots.functions(ax=ax) is ax


def test_plots_need_neither_tensorflow_nor_pyplot(runs):
    script = (
        "import sys\nfrom lab import RunStore, plots\n"
        f"runs = RunStore({str(runs[0].folder.parent)!r}).runs\n"
        "plots.learning_curves(runs).figure.savefig(sys.stdout.buffer, format='svg')\n"
        "plots.functions(['gelu', 'mish'])\n"
        "assert not {'tensorflow', 'matplotlib.pyplot'} & set(sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert b"<svg" in ended.stdout


@pytest.fixture(scope="session")
def trained(tiny, tmp_path_factory):
    """A function with the longest name that is allowed; runs with it and with parameters."""
    own = lab.register(LONG, lambda z: tf.nn.relu(z))
    place = tmp_path_factory.mktemp("long") / "runs"
    settings = {"hidden": (12, 8), "epochs": 3, "batch_size": 50}
    functions = ["relu", "leaky_relu=0.25", LONG]
    runs = Runs(
        run
        for rate in (0.3, 0.01)
        for run in write_runs(functions, 2, tiny, place, learning_rate=rate, **settings)
    )
    del registry._REGISTRY[LONG]
    return own, runs


@pytest.fixture
def long_named(trained):
    own, runs = trained
    registry.add(own)  # Each test forgets it.
    return runs


DRAWN = {
    "learning_curves": lambda runs: plots.learning_curves(runs).figure,
    "training_loss": lambda runs: plots.learning_curves(runs, "train_loss").figure,
    "dead_neurons": lambda runs: plots.dead_neurons(runs, 1).figure,
    "survival": lambda runs: plots.survival(runs, 1).figure,
    "functions": lambda runs: plots.functions([run.config.activation for run in runs[::2]]).figure,
    "with_derivative": lambda runs: plots.with_derivative(runs[-1].config.activation).figure,
    "over_rates": lambda runs: plots.over_rates(runs).figure,
    "dead_and_accuracy": lambda runs: of_studies.dead_and_accuracy(runs).figure,
    "forest": lambda runs: plots.forest(stats.verdicts(runs)).figure,
    "life_map": lambda runs: plots.life_map(runs[-1], 1).figure,
    "flows": lambda runs: plots.flows(runs[-1], 1).figure,
    "rate_maps": lambda runs: of_studies.rate_maps(runs).figure,
    "learning_rates": lambda runs: of_studies.learning_rates(runs).figure,
    "race": lambda runs: race(runs),
}


def race(runs):
    return of_runs.race_figure(of_runs._racers(Runs(runs[:6]), 3))


def cut_texts(figure):
    """The texts of a figure that do not lie in it whole, after it was drawn a single time."""
    figure.savefig(io.BytesIO(), format="png")
    texts = set(figure.findobj(Text)) - set(_ticks_out_of_view(figure))
    whole = figure.bbox.padded(1)
    shown = [text for text in texts if text.get_text() and text.get_visible()]
    corners = [(text.get_text(), text.get_window_extent().get_points()) for text in shown]
    return [name for name, points in corners if not all(whole.contains(*p) for p in points)]


def _ticks_out_of_view(figure):
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        ticks = {*axis.get_major_ticks(), *axis.get_minor_ticks()} - set(axis._update_ticks())
        yield from (label for tick in ticks for label in (tick.label1, tick.label2))


@pytest.mark.parametrize("kind", DRAWN)
def test_every_text_is_whole_when_a_picture_is_saved_for_the_first_time(long_named, kind):
    assert cut_texts(DRAWN[kind](long_named)) == []


@pytest.mark.parametrize("kind", ["learning_curves", "dead_neurons", "race"])
def test_the_names_of_curves_do_not_overlap(long_named, kind):
    figure = DRAWN[kind](long_named)
    figure.savefig(io.BytesIO(), format="png")
    for ax in figure.axes:
        boxes = [text.get_window_extent().padded(-1) for text in ax.texts]
        assert not any(one.overlaps(two) for one, two in itertools.combinations(boxes, 2))
