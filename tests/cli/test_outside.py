"""`lab census`: a table of a saved model's dead neurons, and what is refused."""

import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from lab import RunStore


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
        "Error: bad.keras is refused: it would run code that it brings along, such as a Lambda "
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
        ("mine.keras", "nan.npz", "probe must hold finite numbers alone; input 1 has NaN"),
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
