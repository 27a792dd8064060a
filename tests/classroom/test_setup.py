"""A folder for a class: all in it can be read, and reading changes nothing."""

import os
import stat

import numpy as np
import pytest

from lab import RunStore, load_dataset
from lab.classroom import setup
from lab.experiment.data import PARTS, Dataset
from lab.figures import of_runs

FAST = ("--dataset", "mnist-5k", "--seeds", "1", "--epochs", "1", "--learning-rate", "0.005")


def tree(folder):
    """All names in a folder, with times and contents."""
    paths = sorted(folder.rglob("*"))
    return [(p, p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else None) for p in paths]


@pytest.mark.slow
def test_a_class_has_its_runs_and_reading_them_changes_nothing(lab_main, tmp_path):
    folder = tmp_path / "class"
    before = os.umask(0o077)
    try:
        code, text, _ = lab_main("prepare-class", folder, *FAST)
    finally:
        os.umask(before)
    assert code == 0
    assert f"LAB_DATA_DIR={folder / 'data'}" in text
    assert f"Compare(RunStore({str(folder / 'runs')!r}))" in text
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert modes == {True: 0o755, False: 0o644}
    there = tree(folder)
    runs = RunStore(folder / "runs").runs
    assert [run.config.activation for run in runs] == ["relu", "leaky_relu", "elu"]
    assert len(runs.layers()) == 12
    assert len(list(of_runs.pictures(runs))) >= 5
    assert [run.status for run in runs] == ["finished"] * 3
    assert tree(folder) == there
    code, text, _ = lab_main("prepare-class", folder, *FAST)
    assert "3 of 3 runs are recorded already" in text
    assert [p for p, *_ in tree(folder)] == [p for p, *_ in there]


@pytest.mark.slow
def test_the_data_folder_is_what_lab_data_dir_wants(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if not os.environ.get("LAB_DATA_DIR"):
        pytest.skip("no full MNIST here: LAB_DATA_DIR does not name it")
    mnist = load_dataset("mnist")
    setup.write_data(mnist, tmp_path)
    monkeypatch.setenv("LAB_DATA_DIR", str(tmp_path / "data"))
    again = load_dataset("mnist")
    assert again.source == str(tmp_path / "data" / "mnist.npz")
    assert all(np.array_equal(getattr(mnist, part), getattr(again, part)) for part in PARTS)


def test_data_is_written_in_one_step_and_what_comes_with_the_lab_is_not(tiny, tmp_path):
    setup.write_data(tiny, tmp_path)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["tiny.npz"]
    with np.load(tmp_path / "data" / "tiny.npz") as arrays:
        assert np.array_equal(arrays["x_test"], tiny.x_test)
    bundled = Dataset("mnist-5k", *(getattr(tiny, part) for part in PARTS))
    setup.write_data(bundled, tmp_path)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["tiny.npz"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--dataset", "mnits"), "Unknown dataset 'mnits'. Did you mean 'mnist'?"),
        (("--dataset", "mnist-5k", "--learning-rate", "-1"), "learning_rate must be"),
        (("--dataset", "mnist-5k", "--seeds", "0"), "seeds must be a number from 1"),
        (("--dataset", "mnist-5k", "--epochs", "no"), "epochs must be a whole number"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_is_written(
    lab_main, tmp_path, arguments, sentence
):
    code, _, errors = lab_main("prepare-class", tmp_path / "class", *arguments)
    assert code == 2
    assert sentence in errors
    assert not (tmp_path / "class").exists()


def test_a_place_that_is_a_file_is_one_sentence(lab_main, tmp_path):
    (tmp_path / "class").write_text("mine")
    code, _, errors = lab_main("prepare-class", tmp_path / "class", *FAST)
    assert code == 2
    assert "class is a file. Name a folder for the class." in errors
    assert (tmp_path / "class").read_text() == "mine"


@pytest.mark.slow
def test_each_learning_rate_has_a_table_that_names_it(lab_main, tmp_path):
    rates = ("--learning-rate", "0.001", "--learning-rate", "0.01")
    command = ("--dataset", "mnist-5k", "--seeds", "1", "--epochs", "1", *rates)
    code, text, _ = lab_main("prepare-class", tmp_path / "class", *command)
    assert code == 0
    for rate in rates[1::2]:
        assert text.count(f"learning rate {rate}, 1 epoch, seed 0") == 1


def test_what_a_link_points_to_keeps_its_rights(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("mine")
    secret.chmod(0o600)
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "notes.txt").write_text("for all")
    (folder / "notes.txt").chmod(0o600)
    (folder / "link").symlink_to(secret)
    (folder / "dangling").symlink_to("nowhere")
    setup.make_readable(folder)
    assert secret.stat().st_mode & 0o777 == 0o600
    assert (folder / "notes.txt").stat().st_mode & 0o777 == 0o644
