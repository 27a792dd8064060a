"""Kill maps of small networks whose dead units are known beforehand."""

import re

import numpy as np
import pytest

import lab
from lab import LabError, RunStore
from lab.analysis.maps import SettingsMap

SMALL = {"batch_size": 50, "epochs": 1}


@pytest.fixture
def killed(tiny, tmp_path):
    """At a first bias of -1000 no image opens a gate; at 0 the network is a healthy one."""
    vary = {"hidden": [(4,), (4, 4)], "first_bias": [-1000, 0]}
    return lab.kill_map(vary, seeds=2, dataset=tiny, store=tmp_path, **SMALL)


def test_a_map_has_a_row_and_a_column_for_each_value(killed, tmp_path):
    dead = killed.table("dead")
    assert dead.index.tolist() == ["4", "4-4"]
    assert dead.columns.tolist() == ["-1000", "0"]
    assert (dead.index.name, dead.columns.name) == ("hidden", "first_bias")
    assert dead["-1000"].tolist() == [100, 100]
    assert len(killed.runs) == len(RunStore(tmp_path).runs) == 8


def test_the_cells_are_means_over_seeds_of_what_the_runs_recorded(killed):
    for measure, of_run in (
        ("accuracy", lambda run: run.record.epochs[-1].validation_accuracy),
        ("dead", lambda run: np.mean([run.confirmed(n) for n in run.layers])),
    ):
        values = [100 * of_run(run) for run in killed.cell((4, 4), 0)]
        assert len(values) == 2
        found = killed.table(measure).loc["4-4", "0"]
        around = killed.table(measure, spread=True).loc["4-4", "0"]
        assert found == pytest.approx(sum(values) / 2)
        assert around == pytest.approx(abs(values[0] - values[1]) / 2**0.5)


@pytest.mark.slow
def test_the_share_is_of_units_and_not_of_layers(tiny, tmp_path):
    vary = {"hidden": [(2, 8), (8, 2)], "first_bias": [0, -1]}
    found = lab.kill_map(vary, 1, tiny, tmp_path, **SMALL)
    (run,) = found.cell((2, 8), -1)
    dead = [run.confirmed(number).sum() for number in run.layers]
    assert found.table().loc["2-8", "-1"] == pytest.approx(100 * sum(dead) / 10)


def test_with_one_seed_there_is_no_spread(killed):
    alone = SettingsMap(killed.rows, killed.columns, killed.runs.where(seed=0))
    assert alone.table(spread=True).isna().all(axis=None)


@pytest.mark.slow
def test_a_diverged_run_leaves_its_cell_empty_and_the_picture_says_so(tiny, tmp_path):
    vary = {"learning_rate": [0.01, 1000.0], "first_bias": [0, 1]}
    settings = SMALL | {"optimizer": "sgd", "activation": "leaky_relu", "hidden": (4,) * 6}
    found = lab.kill_map(vary, 1, tiny, tmp_path, **settings)
    assert found.table("accuracy").isna().loc["1000"].all()
    texts = [t.get_text() for ax in found.picture().figure.axes for t in ax.texts]
    assert texts.count("diverged") == 4
    assert not found.table("accuracy").isna().loc["0.01"].any()


def test_the_picture_writes_every_cell_and_its_words_say_the_same(killed):
    picture = killed.picture()
    dead, accuracy = picture.figure.axes
    assert dead.get_title(loc="left") == "dead hidden neurons, %"
    assert (dead.get_xlabel(), dead.get_ylabel()) == ("first bias", "hidden")
    assert dead.texts[0].get_text() == "100.0\n± 0.0"
    assert len(accuracy.texts) == 4
    assert dead.get_ylim() == (-0.5, 1.5)  # The second row is above the first.
    assert dead.images[0].cmap(1.0) != accuracy.images[0].cmap(1.0)  # Not one colour twice.
    found = killed.table().loc["4", "0"]
    words = f"dead hidden neurons, %, for first bias -1000, 0: hidden 4: 100.0, {found:.1f}; "
    assert words in picture.alt
    assert "means of 2 seeds" in picture.alt


def test_a_second_map_trains_nothing(killed, tiny, tmp_path, capsys):
    vary = {"hidden": [(4,), (4, 4)], "first_bias": [-1000, 0]}
    lab.kill_map(vary, seeds=2, dataset=tiny, store=tmp_path, **SMALL)
    assert "8 of 8 runs are recorded already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("vary", "settings", "words"),
    [
        ({"first_bias": [0, 1]}, {}, "vary must name two settings, not 1."),
        ({"first_bias": [0, 1], "hiden": [1, 2]}, {}, "Unknown setting of a map 'hiden'. Did you"),
        ({"first_bias": [0, 1], "seed": [1, 2]}, {}, "Unknown setting of a map 'seed'."),
        (
            {"first_bias": [0], "batch_size": [1, 2]},
            {},
            "first_bias must have from 2 to 32 values for a map, not 1.",
        ),
        ({"first_bias": [0] * 33, "batch_size": [1, 2]}, {}, "from 2 to 32 values"),
        ({"first_bias": "01", "batch_size": [1, 2]}, {}, "first_bias must be a list of values"),
        (
            {"first_bias": 3, "batch_size": [1, 2]},
            {},
            "first_bias must be a list of values, not 3.",
        ),
        (
            {"first_bias": [0, 1], "batch_size": [1, 2]},
            {"first_bias": 2},
            "first_bias must be varied or fixed, not both.",
        ),
        ([], {}, "vary must name two settings with their values, such as {'learning_rate'"),
        (None, {}, "vary must name two settings with their values"),
        ({"first_bias": [0, 0.0], "batch_size": [1, 2]}, {}, "at least two different values"),
        ({"first_bias": [0, 1e9], "batch_size": [1, 2]}, {}, "first_bias must be a number from"),
        ({"first_bias": [0, 1], "batch_size": [1, 301]}, {}, "batch_size must be at most 240"),
    ],
)
def test_a_map_that_cannot_be_is_refused_before_any_training(tiny, tmp_path, vary, settings, words):
    with pytest.raises(LabError, match=re.escape(words)):
        lab.kill_map(vary, 1, tiny, tmp_path / "store", **settings)
    assert not (tmp_path / "store").exists()


def test_a_cell_or_a_measure_that_is_not_there_is_named(killed):
    with pytest.raises(LabError, match="first_bias must be one of -1000, 0 in this map, not 3"):
        killed.cell((4,), 3)
    with pytest.raises(LabError, match=r"Unknown measure 'death'. Did you mean 'dead'\?"):
        killed.table("death")


@pytest.mark.slow
def test_the_command_prints_both_maps_and_saves_the_picture(lab_main, tmp_path):
    command = ["kill-map", "--dataset", "mnist-5k", "--epochs", "1", "--out", tmp_path / "out"]
    code, out, _ = lab_main(*command, "--vary", "hidden=4,4x4", "--vary", "first_bias=-1000,0")
    assert code == 0
    assert "4-4" in out
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".svg", ".png", ".txt"}


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        (["hidden", "first_bias=0,1"], "vary must be NAME=VALUE,VALUE,…, not 'hidden'."),
        (["hidden=4,8", "hidden=4,8"], "vary must name each setting once, and hidden comes twice."),
        (["hidden=4,8"], "vary must name two settings, not 1."),
        (["hidden=4,8", "first_bias=,"], "first_bias must have from 2 to 32 values for a map"),
    ],
)
def test_the_command_refuses_what_it_cannot_read(lab_main, vary, words):
    flags = [part for text in vary for part in ("--vary", text)]
    code, _, err = lab_main("kill-map", "--dataset", "mnist-5k", *flags)
    assert code == 2
    assert words in err


def test_clones_and_ranks_are_shares_of_all_hidden_units(killed, tiny):
    runs = killed.cell((4, 4), 0)
    found = {name: [] for name in ("clones", "effective_rank", "stable_rank")}
    for run in runs:
        for name, seeds in found.items():
            layers = run.redundancy(tiny)
            seeds.append(100 * (layers[0][name] + layers[1][name]) / 8)
    assert all(seeds[0] > 0 for name, seeds in found.items() if name != "clones")
    for name, seeds in found.items():
        table = killed.table(f"{name}_fraction")
        assert table.loc["4-4", "0"] == pytest.approx(np.mean(seeds))
        assert table.loc["4-4", "-1000"] == 0  # All are dead.


def test_a_picture_can_show_any_measures_and_outlines_where_most_are_dead(killed):
    shown = ("clones_fraction", "effective_rank_fraction", "dead")
    picture = killed.picture(mapped=shown)
    titles = [ax.get_title(loc="left") for ax in picture.figure.axes if ax.images]
    assert titles == [
        "clones, % of hidden neurons",
        "effective rank, % of hidden neurons",
        "dead hidden neurons, %",
    ]
    edges = [len(ax.collections[0].get_segments()) for ax in picture.figure.axes if ax.images]
    assert edges == [6] * 3  # Around the two cells of the first bias -1000.
    assert picture.alt.startswith("3 maps.")
    assert "clones and ranks: of the last weights, on the probe set." in picture.alt
    assert "clones" not in killed.picture().alt
    with pytest.raises(LabError, match=r"Unknown measure 'clones'\. Choose from: dead, accur"):
        killed.picture(mapped=("clones",))


@pytest.mark.slow
def test_runs_without_weights_have_no_map_of_clones(tiny, tmp_path):
    vary = {"first_bias": [-1, 0], "batch_size": [30, 50]}
    settings = {"hidden": (3,), "epochs": 1, "keep_weights": "none"}
    found = lab.kill_map(vary, 1, tiny, tmp_path, **settings)
    assert not found.table("dead").isna().any(axis=None)
    with pytest.raises(LabError, match="keeps no weights"):
        found.table("clones_fraction")
