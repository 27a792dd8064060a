"""Runs of other versions of the lab: the oldest is read for ever, a newer one says that it is."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lab import RunStore
from lab.errors import RunError
from lab.records import read_record

OLDEST = Path(__file__).parent / "data" / "leaky_relu-seed7-7b82a83d"


def test_the_oldest_recorded_run_is_read_with_its_values():
    run = RunStore(OLDEST.parent)[OLDEST.name]
    assert (run.status, run.record.label, run.title) == (
        "finished",
        "the oldest",
        "Leaky ReLU α=0.1, tiny, learning rate 0.01, seed 7",
    )
    assert run.is_whole()
    assert (run.record.test_loss, run.record.test_accuracy) == (1.6387341202795505, 0.19)
    assert [e.train_loss for e in run.record.epochs] == [
        2.2559791708985966, 2.147502406438192, 1.7285681088765463,
    ]  # fmt: skip
    assert [e.validation_accuracy for e in run.record.epochs] == [
        0.21666666666666667, 0.13333333333333333, 0.2,
    ]  # fmt: skip
    layer = run.layer(1)  # Read off the bytes with `struct`.
    f32 = np.float32
    assert list(layer.max_z[2]) == [f32(3.0171368), f32(6.3130035), f32(4.365951)]
    assert list(layer.mean_gate[1]) == [f32(0.70375), f32(0.92875), f32(0.5537501)]
    assert list(run.biases(2)[2]) == [f32(0.063445024), f32(-0.09489363)]
    assert list(run.weights(2)[2][0]) == [f32(-0.97885984), f32(1.0786991)]
    assert run.confirmed(1).tolist() == [False, False, False]


@pytest.mark.parametrize("version", [2, 7, 10**30])
def test_a_run_of_a_newer_version_says_so(tmp_path, version):
    folder = tmp_path / OLDEST.name
    shutil.copytree(OLDEST, folder)
    raw = json.loads((folder / "run.json").read_text())
    raw |= {"format": version, "a field of later": [1]}
    (folder / "run.json").write_text(json.dumps(raw))
    sentence = (
        f"run.json has the format {str(version)[:20]}, and this lab reads the formats up to 1: "
        f"a newer version of the lab wrote it. Update the lab to read it."
    )
    with pytest.raises(RunError) as refused:
        read_record(folder)
    assert str(refused.value) == sentence
    assert RunStore(tmp_path).refused == {folder.name: sentence}


@pytest.mark.parametrize("version", [0, -1, "2", None, 1.5, [2]])
def test_a_format_that_never_was_is_refused(tmp_path, version):
    folder = tmp_path / OLDEST.name
    shutil.copytree(OLDEST, folder)
    raw = json.loads((folder / "run.json").read_text()) | {"format": version}
    (folder / "run.json").write_text(json.dumps(raw))
    with pytest.raises(RunError, match=r"run\.json has a wrong format"):
        read_record(folder)


@pytest.mark.parametrize("name", ["probe_images", "train_images", "threads_per_operation"])
def test_a_number_too_large_to_count_with_is_refused(tmp_path, name):
    folder = tmp_path / OLDEST.name
    shutil.copytree(OLDEST, folder)
    raw = json.loads((folder / "run.json").read_text()) | {name: 10**400}
    (folder / "run.json").write_text(json.dumps(raw))
    with pytest.raises(RunError, match=f"wrong {name}"):
        read_record(folder)
