"""A run of a network trained outside the lab is one like any other, and marked."""

import keras
import numpy as np
import pandas as pd
import pytest
from made import make_dataset
from zoo import numbers, of

from lab import Census, RunStore, compare, report, stats
from lab.errors import RunError
from lab.figures import of_runs
from lab.outside.recording import lab_name
from lab.runs import causes
from lab.studies.verify import verify
from lab.widgets import Compare, Microscope

pytestmark = pytest.mark.slow
layers = keras.layers
X = numbers(60, 5, 5)
Y = (X.sum(axis=(1, 2)) > 0).astype(np.int32)


def trained(activation, store, seed=None, **choices):
    keras.utils.set_random_seed(seed or 0)
    hidden = layers.Dense(6, activation, name="hidden")
    model = of([layers.Flatten(), hidden, layers.Dense(2, "softmax")], (5, 5))
    model.name = "mine"
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    census = Census((X, Y), store=store, seed=seed, **choices)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[census])
    return census.run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two runs of the lab; twelve from outside, with six seeds; and one with a seed by chance."""
    place = tmp_path_factory.mktemp("outside") / "runs"
    compare(("relu", "elu"), 1, make_dataset(300, 100), place, hidden=(6,), epochs=2)
    for activation in ("relu", "elu"):
        for seed in range(6):
            trained(activation, place, seed)
    trained("relu", place, keep_weights="none")
    return place


@pytest.fixture
def runs(place):
    return RunStore(place).runs


def outside(runs):
    return [run for run in runs if run.record.outside]


def test_it_is_marked_wherever_its_title_or_its_data_are_named(runs, lab_main, place):
    (run, *_) = outside(runs)
    assert run.title == "mine, trained outside the lab"
    assert set(runs.epochs().dataset) == {"tiny", "mine, outside the lab"}
    _, text, _ = lab_main("table", "runs", "--store", place)
    assert text.count("mine, outside the lab") == 13


def test_its_tables_are_those_of_any_run(runs):
    found = outside(runs)
    layers_, epochs = runs.layers(), runs.epochs()
    for run in found:
        assert layers_.query("run_id == @run.run_id").epoch.tolist() == [0, 1, 2]
        own = epochs.query("run_id == @run.run_id and split == 'train'")
        np.testing.assert_array_equal(own.loss, [e.train_loss for e in run.record.epochs])
    assert len(runs.lives().query("dataset == 'mine, outside the lab'")) == 13 * 6


def test_runs_of_one_seed_are_paired_although_their_layers_name_another_function(runs):
    (verdict,) = [one for one in stats.verdicts(runs, measure="dead") if "outside" in one.where]
    assert verdict.paired.n == 6
    assert verdict.name == "ELU α=1"


def test_another_architecture_is_another_network(tmp_path):
    def network_of(*hidden):
        return Census.of(of([*hidden, layers.Dense(2)]), numbers(9, 6)).run.config.network_sha256

    one = network_of(layers.Dense(4, "relu"), layers.Dense(4, "relu"))
    assert one == network_of(layers.Dense(4, "tanh"), layers.Dense(4, "tanh"))
    assert one == network_of(layers.Dense(4, "relu", name="a"), layers.Dense(4, "relu", name="b"))
    others = {
        network_of(layers.Dense(4, "relu"), layers.Dense(4, "tanh")),
        network_of(layers.Dense(4, "relu"), layers.Dropout(0.5), layers.Dense(4, "relu")),
        network_of(layers.Dense(4, "relu", use_bias=False), layers.Dense(4, "relu")),
        network_of(layers.Dense(5, "relu"), layers.Dense(4, "relu")),
    }
    assert len(others | {one}) == 5


def test_figures_of_it_are_drawn(runs):
    some = type(runs)(outside(runs)[:2])
    for draw in (of_runs.learning_curves, of_runs.dead_neurons, of_runs.life_maps):
        assert "outside the lab" in draw(some).alt


def test_the_report_and_the_front_ends_show_it(runs, place, tmp_path):
    report.write_report(runs, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "mine, outside the lab" in text
    Compare(RunStore(place))
    without = next(run for run in outside(runs) if not run.kept_epochs)
    for run in (outside(runs)[0], without):
        words = "".join(part.value for part in _texts(Microscope(run)))
        assert "Traceback" not in words


def _texts(widget):
    if isinstance(getattr(widget, "value", None), str):
        yield widget
    for child in getattr(widget, "children", ()):
        yield from _texts(child)


def test_what_needs_the_lab_to_train_or_build_it_is_refused_in_one_sentence(runs, lab_main, place):
    run = outside(runs)[1]
    start = f"Run {run.run_id} was trained outside the lab"
    for ask in (lambda: verify(run), run.model, run.trained_on):
        with pytest.raises(RunError) as refused:
            ask()
        assert str(refused.value).startswith(start)
        assert "\n" not in str(refused.value)
    code, text, errors = lab_main("verify", run.run_id, "--store", place)
    assert (code, text) == (2, "")
    assert errors == f"Error: {start}: the lab cannot train it again.\n"


def test_a_seed_by_chance_is_not_taken_for_a_known_one(runs):
    known = [run.knows("seed") for run in outside(runs)]
    assert sorted(known) == [False] + [True] * 12
    assert pd.notna(runs.epochs().learning_rate).all()


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("relu", "relu"),
        ("swish", "silu"),
        ("leakyrelu=0.1", "leaky_relu=0.1"),
        ("leaky_relu", "leaky_relu=0.2"),
        ("relu=0.1", None),
        ("prelu", None),
        ("my_own", None),
    ],
)
def test_a_function_has_the_name_of_the_lab_if_it_is_the_same(called, name):
    assert lab_name(called) == name


def test_the_story_of_a_neuron_speaks_of_the_probe_and_of_its_own_function():
    one, two = (layers.Dense(2, name, kernel_initializer="zeros") for name in ("relu", "relu6"))
    model = of([one, two, layers.Dense(1)])
    one.bias.assign([-1, 0.5])
    two.bias.assign([7, -1])
    run = Census.of(model, numbers(9, 6)).run
    stories = [[causes.story(run, layer, unit) for unit in (0, 1)] for layer in (1, 2)]
    above_zero = (
        "Dead: no input of the probe pushes it above zero: its largest pre-activation is −1."
    )
    assert stories[0][0].startswith(above_zero)
    assert stories[0][1].startswith("Alive: its gate is open on 100 % of the probe of 9 inputs;")
    assert stories[1][0].startswith(
        "Dead: no input of the probe opens its gate: its pre-activations lie between 7 and 7,"
    )
    assert stories[1][1].startswith(above_zero)
    assert "neurons.look(run, 1, 0).neuron(0)" in Microscope(run).code.value
