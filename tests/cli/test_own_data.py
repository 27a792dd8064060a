"""The command line on a user's own pictures: trained, found again, refused in one sentence."""

import numpy as np
import pytest
from PIL import Image

from lab import RunStore
from lab.experiment import NAMES

SMALL = ("--seeds", "1", "--epochs", "1", "--hidden", "8", "--batch-size", "16")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with `my.npz`, 90 pictures in colour of three classes, as the current one."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    images = rng.random((90, 12, 10, 3)) / 2
    images[np.arange(90), ..., labels] += 0.5
    (tmp_path / "here").mkdir()
    np.savez(tmp_path / "here" / "my.npz", images=images, labels=labels)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.slow
def test_a_comparison_on_an_archive_says_what_was_done_and_is_named_after_it(here, lab_main):
    code, text, errors = lab_main("compare", "--dataset", "./my.npz", *SMALL)
    assert code == 0
    assert "my: 360-8-3, adam" in text
    assert errors.splitlines() == [
        "my: pixels from 0 to 1 are rounded to 8 bits, 0 to 255; divided by chance, by class and "
        "always in the same way, into 72 images to train on and 18 to test."
    ]
    (run, *_) = RunStore().runs
    assert (run.record.dataset, run.config.image_shape, run.config.classes) == (
        "my",
        (12, 10, 3),
        3,
    )
    assert len(RunStore().runs) == 3
    _, text, _ = lab_main("compare", "--dataset", "./my.npz", *SMALL)
    assert "3 of 3 runs are recorded already and are loaded." in text


@pytest.mark.slow
def test_a_run_on_ones_own_pictures_is_verified_where_they_are_or_where_they_are_named(
    here, lab_main, monkeypatch, tmp_path
):
    lab_main("compare", "--activation", "relu", "--dataset", "my", *SMALL)
    [run] = RunStore().runs
    code, text, _ = lab_main("verify", run.run_id)
    assert (code, "came out again to the last bit" in text) == (0, True)
    monkeypatch.chdir(tmp_path)
    for command in ("verify", "ablate"):
        code, _, errors = lab_main(command, run.run_id)
        assert (code, errors.count("\n")) == (2, 1)
        assert "does not know where the data set 'my' is" in errors
        assert "--dataset PATH" in errors
        code, _, errors = lab_main(command, run.run_id, "--dataset", here / "my.npz")
        assert code == 0
        code, _, errors = lab_main(command, run.run_id, "--dataset", "digits")
        assert (code, errors) == (
            2,
            f"Error: Run {run.run_id} was trained on other images than digits.\n",
        )


def test_a_folder_of_class_folders_trains(here, lab_main):
    for number in range(40):
        folder = here / "pets" / ("cats", "dogs")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 7), (6 * number, 0, 200)).save(folder / f"{number}.jpg")
    code, text, errors = lab_main("compare", "--activation", "relu", "--dataset", "pets/", *SMALL)
    assert code == 0
    assert "pets: 189-8-2" in text
    assert "into 32 images to train on and 8 to test." in errors


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("./nothing.npz", "There is no file or folder nothing.npz. Name an .npz file, or a folder"),
        ("junk.npz", "junk.npz is broken: expected a NumPy archive of arrays of numbers ("),
        (".", ". must hold 2 to 10,000 folders, one for each class"),
        ("myy", "Unknown dataset 'myy'. Choose from: auto, mnist, "),
        ("kmnist", "The lab cannot download kmnist, and it is not on this machine."),
    ],
)
def test_what_is_no_data_set_is_one_sentence(here, lab_main, name, sentence):
    (here / "junk.npz").write_bytes(b"junk")
    code, text, errors = lab_main("compare", "--dataset", name)
    assert (code, text, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(f"Error: {sentence}")


def test_the_known_names_are_in_the_help_and_listed_with_what_they_need(lab_main):
    _, text, _ = lab_main("compare", "--help")
    words = " ".join(text.replace("│", " ").split())
    assert f"{', '.join(NAMES)}; auto: mnist if it is available, else mnist-5k" in words
    _, text, _ = lab_main("data")
    rows = {line.split()[1]: line for line in text.splitlines() if line.startswith("│")}
    assert list(rows) == list(NAMES)
    assert "the scikit-learn package" in rows["digits"]
    assert "needs kmnist.npz in LAB_DATA_DIR" in rows["kmnist"]
