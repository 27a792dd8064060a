"""`lab census` and `lab diagnose`: what they print of a saved model, and what they refuse."""

import json
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from lab import Diagnosis, RunStore


@pytest.fixture
def saved(tmp_path):
    """A saved model with 2 of 5 units dead, and an LSTM that cannot be seen; and its inputs."""
    layers = keras.layers
    hidden = layers.Dense(5, "relu", bias_initializer="ones", name="hidden")
    last = layers.LSTM(2, name="last")
    model = keras.Sequential([keras.Input((3, 4)), hidden, last], name="mine")
    hidden.set_weights([np.zeros((4, 5)), np.array([1, -1, 1, 0, 1])])
    model.save(tmp_path / "mine.keras")
    np.savez(tmp_path / "inputs.npz", x=np.ones((7, 3, 4), np.float32))
    return tmp_path


def test_the_table_counts_the_units_of_each_layer_and_says_what_is_not_seen(lab_main, saved):
    code, text, errors = lab_main("census", saved / "mine.keras", "--data", saved / "inputs.npz")
    assert code == 0
    (row,) = (line.split() for line in text.splitlines() if line.split()[:1] == ["hidden"])
    assert row == ["hidden", "relu", "5", "2", "2", "2", "40.0"]
    assert "mine, on 7 inputs" in text
    assert "Not seen: last: its activation functions act within a loop over time." in text
    assert "nan" not in (text + errors).lower()


@pytest.mark.slow
def test_the_command_says_nothing_but_its_table(saved):
    command = [sys.executable, "-m", "lab", "census", "mine.keras", "--data", "inputs.npz"]
    done = subprocess.run(command, cwd=saved, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "hidden" in done.stdout


def test_with_a_store_the_census_is_a_run_of_it(lab_main, saved):
    place = saved / "runs"
    arguments = ("census", saved / "mine.keras", "--data", saved / "inputs.npz", "--store", place)
    code, text, _ = lab_main(*arguments)
    (run,) = RunStore(place)
    assert code == 0
    assert f"Kept as {run.run_id}." in text
    assert run.confirmed(1).tolist() == [False, True, False, True, False]
    code, text, _ = lab_main("table", "layers", "--store", place)
    assert (code, run.run_id in text) == (0, True)


def test_units_that_are_not_finite_are_neither_dead_nor_alive(lab_main, tmp_path):
    layers = keras.layers
    hidden, last = layers.Dense(3, "relu", name="hidden"), layers.Dense(1)
    model = keras.Sequential([keras.Input((1,)), hidden, last])
    hidden.set_weights([np.array([[np.inf, 1, -1]]), np.zeros(3)])
    model.save(tmp_path / "m.keras")
    np.savez(tmp_path / "d.npz", x=np.ones((4, 1)))
    code, text, _ = lab_main("census", tmp_path / "m.keras", "--data", tmp_path / "d.npz")
    assert code == 0
    assert "1 not finite" in text
    assert "nan" not in text.lower()


def test_a_file_that_would_run_code_is_refused_and_its_code_is_not_run(lab_main, saved):
    trace = str(saved / "was-run")
    layer = keras.layers.Lambda(lambda x: (open(trace, "w").close(), x)[1])
    keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2)]).save(saved / "bad.keras")
    os.unlink(trace)
    code, text, errors = lab_main("census", saved / "bad.keras", "--data", saved / "inputs.npz")
    assert (code, text) == (2, "")
    assert errors == (
        "Error: bad.keras is refused: it contains code that would run, such as a Lambda "
        "layer. If you trust it, load it in Python and call lab.Census.of(model, x).\n"
    )
    assert not os.path.exists(trace)


@pytest.mark.parametrize(
    ("model", "data", "words"),
    [
        ("none.keras", "inputs.npz", "The model must be a file that Keras saved"),
        ("inputs.npz", "inputs.npz", "The model must be a file that Keras saved"),
        ("text.keras", "inputs.npz", "text.keras cannot be read: "),
        ("zip.keras", "inputs.npz", "zip.keras cannot be read: "),
        ("mine.keras", "none.npz", "none.npz cannot be read: it is not a plain file"),
        ("mine.keras", "text.keras", "The data must be an .npz file"),
        ("mine.keras", "objects.npz", "The data must be an .npz file"),
        ("mine.keras", "labels.npz", "labels.npz must hold an array x of inputs"),
        ("mine.keras", "nan.npz", "probe must hold only finite numbers; input 1 has NaN"),
        ("mine.keras", "empty.npz", "probe must hold at least one input; it is empty."),
        ("mine.keras", "flat.npz", "The model 'mine' does not take the probe"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(lab_main, saved, model, data, words):
    (saved / "text.keras").write_text("no model")
    with zipfile.ZipFile(saved / "zip.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    np.savez(saved / "objects.npz", x=np.array([None]))
    np.savez(saved / "labels.npz", y=np.ones(3))
    np.savez(saved / "nan.npz", x=np.array([[1.0], [np.nan]]))
    np.savez(saved / "empty.npz", x=np.ones((0, 3, 4)))
    np.savez(saved / "flat.npz", x=np.ones((5, 9)))
    code, text, errors = lab_main("census", saved / model, "--data", saved / data)
    assert (code, text) == (2, "")
    assert words in errors
    assert errors.startswith("Error: ")
    assert len(errors.splitlines()) == 1


@pytest.fixture
def checked(tmp_path):
    """Saves a model with some of 8 units dead, and data; returns the command's arguments."""

    def save(dead=0, labels=True):
        layers = keras.layers
        first = keras.initializers.Orthogonal(1)
        hidden = layers.Dense(8, "relu", name="hidden", kernel_initializer=first)
        last = layers.Dense(3, kernel_initializer=keras.initializers.Orthogonal(2))
        model = keras.Sequential([keras.Input((8,)), hidden, last], name="mine")
        hidden.bias.assign([-50.0] * dead + [0.0] * (8 - dead))
        model.save(tmp_path / "mine.keras")
        x = np.random.default_rng(0).normal(0, 1, (100, 8))
        y = {"y": np.arange(100) % 3} if labels else {}
        np.savez(tmp_path / "data.npz", x=x, **y)
        return "diagnose", tmp_path / "mine.keras", "--data", tmp_path / "data.npz"

    return save


def test_a_healthy_network_has_exit_code_0(lab_main, checked):
    code, text, errors = lab_main(*checked())
    assert (code, errors) == (0, "")
    assert text.splitlines()[-1] == (
        "Nothing wrong was found in the 1 layer of mine, on 100 inputs."
    )
    (row,) = (line.split() for line in text.splitlines() if line.split()[:1] == ["hidden"])
    assert row == ["hidden", "relu", "8", "0", "0", "0", "0", "0.0", "1"]


def test_what_is_wrong_is_printed_and_written_with_exit_code_1(lab_main, checked, tmp_path):
    files = tmp_path / "new" / "health.json", tmp_path / "health.html"
    code, text, _ = lab_main(*checked(dead=3), "--json", files[0], "--html", files[1])
    assert code == 1
    assert "hidden: dead\n  3 of 8 units (37.5 %): the gate" in text
    read = Diagnosis.model_validate_json(files[0].read_text())
    assert [(one.kind, one.layer) for one in read.findings] == [("dead", "hidden")]
    assert json.loads(files[0].read_text())["findings"][0]["value"] == 0.375
    assert "hidden: dead" in files[1].read_text()
    again, _, _ = lab_main(*checked(), "--json", files[0], "--html", files[1])
    assert (again, json.loads(files[0].read_text())["findings"]) == (0, [])


def test_data_without_labels_says_that_gradients_are_not_checked(lab_main, checked):
    code, text, _ = lab_main(*checked(labels=False))
    assert code == 0
    assert "Not checked: gradients: the data has no labels" in text


@pytest.mark.parametrize(
    ("option", "name", "words"),
    [
        ("--html", "notes.txt", "notes.txt is not a diagnosis of the lab, so it is not overwritte"),
        ("--json", "notes.txt", "notes.txt is not a diagnosis of the lab, so it is not overwritte"),
        ("--html", ".", "The diagnosis must be a file, and "),
        ("--data", "none.npz", "none.npz cannot be read: it is not a plain file"),
        ("--data", "notes.txt", "The data must be an .npz file"),
        ("--data", "nan.npz", "probe must hold only finite numbers; input 0 has NaN"),
        ("--data", "flat.npz", "The model 'mine' does not take the probe"),
    ],
)
def test_what_diagnose_cannot_use_is_refused_in_one_sentence(
    lab_main, checked, tmp_path, option, name, words
):
    (tmp_path / "notes.txt").write_text("mine")
    np.savez(tmp_path / "nan.npz", x=np.full((60, 8), np.nan))
    np.savez(tmp_path / "flat.npz", x=np.ones((60, 9)))
    code, text, errors = lab_main(*checked(), option, tmp_path / name)
    assert (code, text) == (2, "")
    assert words in errors
    assert len(errors.splitlines()) == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_model_that_would_run_code_is_not_diagnosed(lab_main, checked, tmp_path):
    command = checked()
    layer = keras.layers.Lambda(lambda x: x)
    keras.Sequential([keras.Input((8,)), layer]).save(tmp_path / "mine.keras")
    code, _, errors = lab_main(*command)
    assert code == 2
    assert errors.startswith("Error: mine.keras is refused: it contains code")
