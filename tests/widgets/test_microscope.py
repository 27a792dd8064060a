"""The microscope: its grid, its list, its story, and a sentence for what does not exist."""

import asyncio

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex

import lab
from lab import RunStore, words
from lab.census.lives import STATES, states
from lab.errors import InputError
from lab.plots.palette import by_theme
from lab.runs import causes
from lab.widgets import Microscope
from lab.widgets.microscope import REST_SECONDS, _coloured, _fit


@pytest.fixture(scope="module")
def store(tiny, tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("microscope") / "runs")
    settings = {"hidden": (12, 8), "epochs": 3, "learning_rate": 0.3, "batch_size": 50}
    lab.compare("relu", 1, tiny, store, keep_weights="every", **settings)
    lab.compare("elu", 1, tiny, store, **settings)
    return store


@pytest.fixture(scope="module")
def relu(store):
    return store.runs.where(activation="relu")[0]


def said(front):
    return front.status.value


def test_the_grid_shows_every_neuron_as_it_is_at_the_epoch(relu, tiny):
    microscope = Microscope(relu, layer=1, dataset=tiny)
    known = states(relu.layer(1))
    assert (known == STATES.index("dead")).any()
    for epoch in (3, 1, 0, 2):
        microscope.epoch.value = epoch
        names = [f"neuron {unit} ({STATES[s]})" for unit, s in enumerate(known[epoch])]
        assert microscope.grid.names == names
        crossed = [mark == "×" for mark in microscope.grid.marks]
        assert crossed == relu.lives(1).dead[epoch].tolist()
        assert [name for name, _ in microscope.neuron.options] == [n[7:] for n in names]
        died = relu.lives(1).died[epoch].sum()
        assert (f"{died} died" if epoch else "Untrained.") in microscope.legend.value
    black = [colour == by_theme("#000000") for colour in microscope.grid.colours]
    assert black == relu.lives(1).dead[2].tolist()


def test_it_begins_with_a_dead_neuron_if_there_is_one(relu, tiny):
    dead = np.flatnonzero(relu.lives(1).dead[3])
    microscope = Microscope(relu, dataset=tiny)
    assert microscope.neuron.value == microscope.grid.picked == dead[0]
    assert "Dead: no training image pushes it above zero" in microscope.story.value


def test_grid_and_list_pick_the_same_neuron_and_tell_its_story(relu, tiny):
    microscope = Microscope(relu, dataset=tiny)
    microscope.grid.picked = 7
    assert microscope.neuron.value == 7
    assert causes.story(relu, 1, 7) in microscope.picture.value.split(">")[0].replace("&#x27;", "'")
    microscope.neuron.value = 4
    assert microscope.grid.picked == 4
    assert causes.story(relu, 1, 4) in microscope.story.value.replace("&#x27;", "'")
    microscope.layer.value = 2
    assert len(microscope.grid.names) == 8
    assert "of layer 2." in microscope.story.value
    assert said(microscope) == '<div role="status"></div>'


def test_a_measure_colours_the_cells_on_one_scale_for_all_epochs(relu, tiny):
    microscope = Microscope(relu, dataset=tiny)
    microscope.measure.value = "largest pre-activation"
    highs = relu.layer(1).max_z
    assert microscope.grid.names[2].endswith(f"largest pre-activation {highs[3, 2]:.3g}")
    seen = []
    for epoch in range(4):
        microscope.epoch.value = epoch
        greens = (int(colour[3:5], 16) for colour in microscope.grid.colours)
        seen += zip(highs[epoch], greens, strict=True)
    greens = [green for _, green in sorted(seen)]
    assert greens == sorted(greens)
    assert len(set(greens)) > 10


def test_what_does_not_exist_is_said_and_nothing_changes(relu, tiny):
    microscope = Microscope(relu, unit=3, dataset=tiny)
    for wrong, sentence in (
        ({"layer": 3}, "layer must be from 1 to 2 in run"),
        ({"unit": 12}, "unit must be from 0 to 11 in layer 1 of run"),
        ({"epoch": 4}, "epoch must be from 0 to 3 in run"),
    ):
        microscope.look_at(**wrong)
        assert sentence in said(microscope)
        assert (microscope.layer.value, microscope.neuron.value, microscope.epoch.value) == (
            1,
            3,
            3,
        )
    microscope.grid.picked = 99
    assert "unit must be from 0 to 11" in said(microscope)
    assert microscope.grid.picked == 3
    assert "layer must be from 1 to 2" in said(Microscope(relu, layer=9, dataset=tiny))
    assert "There is no run to look at." in said(Microscope([]))


def test_an_epoch_without_weights_is_said_with_how_to_keep_them(store, tiny):
    elu = store.runs.where(activation="elu")[0]
    microscope = Microscope(store, dataset=tiny)
    microscope.run.value = elu
    assert said(microscope) == '<div role="status"></div>'
    microscope.epoch.value = 1
    assert "keeps no weights of epoch 1, but of: 3" in said(microscope)
    assert "keep_weights=" in said(microscope)
    assert "not kept" in microscope.table.value
    microscope.epoch.value = 3
    assert f"{elu.weights(3)[1][microscope.neuron.value]:.4g}" in microscope.table.value


def test_a_data_set_that_cannot_be_loaded_is_said_once_found_out(relu, monkeypatch):
    tries = []

    def fail(name):
        tries.append(name)
        raise InputError(f"No {name} here: put it into a folder.")

    monkeypatch.setattr("lab.widgets.microscope.load_recorded", fail)
    microscope = Microscope(relu)
    for unit in range(3):
        microscope.look_at(unit=unit, epoch=3 - unit)
        assert "images cannot be shown. No tiny here: put it into a folder." in said(microscope)
    assert tries == ["tiny"]


def test_the_line_of_python_does_the_same(relu, tiny):
    from lab.runs import neurons

    microscope = Microscope(relu, layer=2, unit=5, epoch=2, dataset=tiny)
    line = microscope.code.value.partition("<code>")[2].partition("</code>")[0]
    neuron = eval(line, {"neurons": neurons, "run": relu, "dataset": tiny})
    assert (neuron.layer, neuron.unit, neuron.epoch) == (2, 5, 2)
    assert neuron.story in microscope.story.value.replace("&#x27;", "'")


def test_a_neuron_stays_chosen_when_only_the_epoch_changes(relu, tiny):
    microscope = Microscope(relu, 2, 5, 3, tiny)
    microscope.look_at(epoch=1)
    assert (microscope.layer.value, microscope.neuron.value, microscope.epoch.value) == (2, 5, 1)
    microscope.look_at(unit=2)
    assert (microscope.layer.value, microscope.neuron.value, microscope.epoch.value) == (2, 2, 1)


@pytest.mark.parametrize("wrong", ["foo", 5, ["relu"]])
def test_what_is_no_run_is_one_sentence(wrong):
    with pytest.raises(InputError, match="runs must be recorded runs or a store, such as"):
        Microscope(wrong)


def test_the_list_of_runs_keeps_their_order_and_names_what_tells_them_apart(tiny, tmp_path):
    settings = {"hidden": (4,), "epochs": 1, "batch_size": 50}
    deep = lab.compare("relu", 1, tiny, tmp_path / "a", first_bias=-1.0, **settings)[0]
    usual = lab.compare("relu", 1, tiny, tmp_path / "a", **settings)[0]
    again = lab.compare("relu", 1, tiny, tmp_path / "b", **settings)[0]
    for runs in ([deep, usual], [usual, deep]):
        microscope = Microscope(runs, dataset=tiny)
        assert microscope.run.value == runs[0]
        assert [name for name, _ in microscope.run.options] == [
            f"ReLU, tiny, learning rate 0.001, seed 0, first bias {run.config.first_bias:g}"
            for run in runs
        ]
    twins = Microscope([usual, again], dataset=tiny).run.options
    assert twins[0][0] == f"ReLU, tiny, learning rate 0.001, seed 0 ({usual.run_id})"


def test_a_measure_has_a_scale_with_its_ends_and_what_is_not_finite_is_grey(relu, tiny):
    microscope = Microscope(relu, dataset=tiny)
    assert " or less" not in microscope.legend.value
    microscope.measure.value = "mean gate"
    low, high = np.percentile(relu.layer(1).mean_gate, [2, 98])
    assert f"{words.number(low)} or less" in microscope.legend.value
    assert f"{words.number(high)} or more" in microscope.legend.value
    colours = _coloured(np.array([0.0, np.nan, np.inf, 1.0]), (0.0, 1.0))
    assert colours == [to_hex(colormaps["cividis"](0)), "#999999", "#999999", "#fee838"]


@pytest.mark.parametrize(
    ("neurons", "columns", "size"),
    [
        (8, 8, 48),
        (16, 8, 48),
        (5, 5, 48),
        (64, 16, 32),
        (128, 16, 32),
        (512, 32, 16),
        (999, 32, 16),
    ],
)
def test_cells_are_as_large_as_there_is_room_for(neurons, columns, size):
    assert _fit(neurons) == (columns, size)
    assert columns * size <= 512


def test_a_button_leads_from_a_neuron_to_its_clones_in_turn(with_clones, two_kinds):
    microscope = Microscope(with_clones(), unit=0, dataset=two_kinds)
    assert "Its clone: 2 (correlation 1.00)." in microscope.story.value
    assert microscope.clone.description == "Go to its clone 2"
    assert microscope.clone.layout.display is None
    microscope.clone.click()
    assert microscope.neuron.value == microscope.grid.picked == 2
    assert "Neuron 2 of layer 1." in microscope.story.value
    assert microscope.clone.description == "Go to its clone 0"


def test_of_many_clones_the_strongest_are_named(by_hand, two_kinds):
    kernel = np.zeros((784, 8), np.float32)
    kernel[0] = np.arange(1, 9)
    run = by_hand(two_kinds, [[kernel, np.zeros(8), np.eye(8, 10), np.zeros(10)]] * 2)
    microscope = Microscope(run, unit=3, dataset=two_kinds)
    assert microscope.story.value.count("(correlation 1.00)") == 5
    assert "and 2 more." in microscope.story.value
    seen = []
    for _ in range(8):
        seen.append(microscope.neuron.value)
        microscope.clone.click()
    assert seen == [3, 4, 5, 6, 7, 0, 1, 2]


def test_a_neuron_without_clones_says_so(with_clones, by_hand, two_kinds):
    microscope = Microscope(with_clones(), unit=1, dataset=two_kinds)
    assert "It gives the same on every image of the probe: it has no clones." in (
        microscope.story.value
    )
    assert microscope.clone.layout.display == "none"
    kernel = np.zeros((784, 2), np.float32)
    kernel[0] = 1, -100
    alone = by_hand(two_kinds, [[kernel, np.zeros(2), np.eye(2, 10), np.zeros(10)]] * 2)
    assert "No other neuron is its clone." in Microscope(alone, 1, 0, None, two_kinds).story.value


def test_the_layer_s_clones_and_ranks_stand_beside_its_dead(with_clones, two_kinds):
    run = with_clones()
    microscope = Microscope(run, dataset=two_kinds)
    (found,) = run.redundancy(two_kinds)
    assert "1 of 3 neurons could be taken away as clones of others." in microscope.spare.value
    ranks = [words.number(found[name]) for name in ("effective_rank", "stable_rank")]
    assert f"Effective rank {ranks[0]}, stable rank {ranks[1]}, of at most 3." in (
        microscope.spare.value
    )


def test_without_the_weights_nothing_is_said_of_clones(store, tiny):
    elu = store.runs.where(activation="elu")[0]
    microscope = Microscope(elu, epoch=1, dataset=tiny)
    assert "clone" not in microscope.spare.value + microscope.story.value
    assert microscope.clone.layout.display == "none"


def test_while_the_epochs_pass_clones_wait_until_one_is_chosen(relu, tiny):
    async def scrub():
        microscope = Microscope(relu, dataset=tiny)
        for epoch in (2, 1, 0):
            microscope.epoch.value = epoch
            assert "Effective rank" not in microscope.spare.value
        await asyncio.sleep(2 * REST_SECONDS)
        assert "Effective rank" in microscope.spare.value
        assert not microscope._view(relu.run_id, 1, 1).knows_clones  # It was passed by.
        microscope.neuron.value = 3  # What is known is said at once.
        assert "Effective rank" in microscope.spare.value
        microscope.epoch.value = 2
        microscope.close()  # Nothing is drawn after it.

    asyncio.run(scrub())
