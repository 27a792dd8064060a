"""The kill map's front end: two settings, two maps that fill in, and the curves of a cell."""

import asyncio
import re

import pytest

import lab
from lab import LabError, RunStore
from lab.analysis import maps
from lab.plots import heat_maps
from lab.widgets import KillMap

SMALL = {"hidden": (6, 4), "batch_size": 50, "epochs": 2}
VARY = {"first_bias": [-1000, 0], "learning_rate": [0.001, 0.01, 0.1]}


def trained(front):
    """Presses Train and waits for the end, as a notebook's cell does."""

    async def script():
        front.train.click()
        await asyncio.wait_for(front.finished(), 60)
        return front

    return asyncio.run(script())


@pytest.fixture
def front(tiny, tmp_path):
    return KillMap(VARY, "relu", 2, tiny, RunStore(tmp_path), **SMALL)


@pytest.mark.slow
def test_the_maps_say_what_the_runs_recorded(front, tiny, tmp_path):
    trained(front)
    found = lab.kill_map(VARY, 2, tiny, tmp_path, **SMALL)
    for measure, grid in front.grids.items():
        wanted = found.table(measure).to_numpy()[::-1].ravel()  # Rows grow upwards.
        spread = found.table(measure, spread=True).to_numpy()[::-1].ravel()
        assert grid.marks == [f"{value:.0f}" for value in wanted]
        assert (grid.columns, len(grid.names)) == (3, 6)
        assert grid.column_names == ["0.001", "0.01", "0.1"]
        assert grid.row_names == ["0", "-1000"]
        assert grid.corner == "first bias ↑  learning rate →"
        assert grid.names[1] == (
            f"first bias 0, learning rate 0.01: {wanted[1]:.1f} ± {spread[1]:.1f} %"
        )
    assert front.grids["dead"].marks[3:] == ["100"] * 3
    dead = front.frame[maps.MAPPED["dead"]].tolist()
    assert dead[3:] == ["100.0 ± 0.0 %"] * 3
    assert "Finished: all 12 runs are kept" in front.status.value


@pytest.mark.slow
def test_more_is_darker_in_both_maps(front):
    trained(front)
    dead, accuracy = front.grids["dead"], front.grids["accuracy"]
    assert set(dead.colours[3:]) == {heat_maps.BAD}  # All dead.
    for grid in (dead, accuracy):
        most = grid.marks.index(max(grid.marks, key=float))
        least = grid.marks.index(min(grid.marks, key=float))
        green = [int(grid.colours[place][3:5], 16) for place in (most, least)]
        assert green[0] < green[1]  # White is 0 %.


def test_before_any_training_the_cells_are_empty_and_a_sentence_says_what_will_be_trained(front):
    for grid in front.grids.values():
        assert grid.marks == [""] * 6
        assert set(grid.colours) == {"#eeeeee"}
        assert grid.row_names == ["0", "-1000"]
        assert grid.names[5] == "first bias -1000, learning rate 0.1: not trained yet"
    said = "2 × 3 cells: every first bias with every learning rate, 12 networks of 2 epochs."
    assert f"{said} Press Train." in front.status.value
    assert (front.picture.value, front.table.value) == ("", "")
    front.column_values.value = "0.001, 0.5"
    assert front.grids["dead"].column_names == ["0.001", "0.5"]
    assert "2 × 2 cells" in front.status.value
    front.column_values.value = "0.1, much"
    assert "learning_rate must be a number" in front.status.value


@pytest.mark.slow
def test_what_is_recorded_of_other_settings_is_shown_before_the_training(front):
    trained(front)
    full = front.grids["dead"].marks
    front.column_values.value = "0.001, 0.5"
    assert [bool(mark) for mark in front.grids["dead"].marks] == [True, False] * 2
    assert "8 networks of 2 epochs, 4 of them recorded. Press Train." in front.status.value
    front.grids["dead"].picked = 1
    assert front.picture.value == ""
    front.column_values.value = "0.001, 0.01, 0.1"
    assert len(front.grids["dead"].marks) == len(full)
    assert "svg" in front.picture.value


def test_a_map_that_began_outside_of_every_loop_ends_with_its_runs(tiny, tmp_path):
    front = KillMap(VARY, "relu", 1, tiny, RunStore(tmp_path), **SMALL)
    front.start()
    assert len(asyncio.run(asyncio.wait_for(front.finished(), 60))) == 6
    assert front.grids["dead"].marks[3:] == ["100"] * 3
    front.grids["accuracy"].picked = 5
    assert "did not work" not in front.status.value


@pytest.mark.slow
def test_a_picked_cell_shows_its_own_curves(front):
    trained(front)
    front.grids["accuracy"].picked = 2
    assert front.grids["dead"].picked == 2
    words = re.search('aria-label="([^"]*)"', front.picture.value)[1]
    assert "dead hidden neurons, %, first bias 0, learning rate 0.1: " in words
    (cell,) = [front.found.cell(0, 0.1)]
    ends = [100 * run.record.epochs[-1].validation_accuracy for run in cell]
    lines = [
        line.get_ydata()[-1] for line in front.figure.axes[1].lines if len(line.get_xdata()) > 1
    ]
    assert lines[:2] == pytest.approx(ends)
    front.figure.canvas.draw()
    title, legend = front.figure.get_suptitle(), front.figure.legends[0].get_window_extent()
    assert title == "first bias 0, learning rate 0.1"
    assert not front.figure._suptitle.get_window_extent().overlaps(legend)


@pytest.mark.slow
def test_what_is_recorded_is_shown_at_once_and_the_line_of_python_makes_it(front, tiny, tmp_path):
    trained(front)
    store = RunStore(tmp_path)
    before = len(store.runs)
    again = trained(KillMap(VARY, "relu", 2, tiny, store, **SMALL))
    assert again.grids["dead"].marks == front.grids["dead"].marks
    assert len(store.runs) == before
    line = re.search("<code>(.*)</code>", front.code.value)[1].replace("&#x27;", "'")
    call = line.replace("'tiny'", "tiny").removesuffix(")") + ", store=store)"
    found = eval(call, {"lab": lab, "tiny": tiny, "store": store})
    assert len(found.runs) == 12
    assert len(store.runs) == before


@pytest.mark.slow
def test_a_diverged_cell_is_marked_and_named(tiny, tmp_path):
    vary = {"learning_rate": [0.01, 1000.0], "first_bias": [0, 1]}
    settings = SMALL | {"optimizer": "sgd", "hidden": (4,) * 6}
    front = trained(KillMap(vary, "leaky_relu", 1, tiny, RunStore(tmp_path), **settings))
    assert front.grids["dead"].marks[:2] == ["!", "!"]
    assert front.grids["accuracy"].names[0] == "learning rate 1000, first bias 0: diverged"
    assert front.grids["accuracy"].colours[0] == "#999999"


@pytest.mark.slow
def test_another_setting_brings_values_of_its_own(front):
    front.rows.value = "hidden"
    assert front.row_values.value == "64, 64-64, 64-64-64-64, 64-64-64-64-64-64-64-64"
    front.row_values.value = "3, 3x2"
    trained(front)
    assert front.grids["dead"].row_names == ["3-2", "3"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("row_values", "0"), "first_bias must have from 2 to 32 values for a map, not 1."),
        (("row_values", "0, much"), "first_bias must be a number"),
        (("column_values", ""), "learning_rate must have from 2 to 32 values for a map, not 0."),
        (("columns", "first_bias"), "Rows and columns must be two different settings."),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_trained(front, tmp_path, change, words):
    getattr(front, change[0]).value = change[1]
    front.train.click()
    assert words in front.status.value
    assert not front.busy
    assert not list(tmp_path.iterdir())


def test_a_map_that_cannot_be_is_refused_where_it_is_made(tiny):
    with pytest.raises(LabError, match="vary must name two settings, not 1"):
        KillMap({"first_bias": [0, 1]}, dataset=tiny)
    with pytest.raises(LabError, match="Unknown activation 'rellu'"):
        KillMap(activation="rellu", dataset=tiny)


def test_a_third_map_shows_clones_or_a_rank_once_the_networks_are_trained(tiny, tmp_path):
    vary = {"first_bias": [-1000, 0], "learning_rate": [0.01, 0.1]}
    front = KillMap(vary, "relu", 1, tiny, RunStore(tmp_path), **SMALL)
    assert list(front.grids) == ["dead", "accuracy"]
    front.third.value = "effective_rank_fraction"
    grid = front.grids["effective_rank_fraction"]
    assert grid.marks == [""] * 4
    trained(front)
    wanted = front.found.table("effective_rank_fraction").to_numpy()[::-1].ravel()
    assert grid.marks == [f"{value:.0f}" for value in wanted]
    assert (wanted[:2] > 0).all()
    assert wanted[2:].tolist() == [0, 0]  # All are dead.
    assert grid.label == "effective rank, % of hidden neurons"
    assert "Finished: all 4 runs are kept" in front.status.value
    front.third.value = "clones_fraction"
    assert front.grids["clones_fraction"] is grid
    assert "clones, % of hidden neurons" in front.frame
    assert "Finished: all 4 runs are kept" in front.status.value
    grid.picked = 2
    assert front.grids["dead"].picked == 2
    front.column_values.value = "0.01, 0.5"  # A part is recorded.
    assert front.grids["dead"].marks[0]
    assert grid.marks == [""] * 4
    assert "2 of them recorded. Press Train." in front.status.value
    front.third.index = 0
    assert list(front.grids) == ["dead", "accuracy"]
    assert "clones, % of hidden neurons" not in front.frame
