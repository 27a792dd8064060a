"""Runs of other versions of the lab: the oldest is read for ever, a newer one says that it is."""

import json
import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

import lab.runs.record
from lab import RunConfig, RunStore
from lab.census import units
from lab.errors import RunError
from lab.layout import mlp
from lab.runs.record import ArrayFile, most_bytes, read_arrays, read_content, read_record

OLDEST = Path(__file__).parents[1] / "data" / "leaky_relu-seed7-7b82a83d"


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


def test_a_plain_environment_is_not_written_and_another_is_read_again(tmp_path):
    folder = shutil.copytree(OLDEST, tmp_path / OLDEST.name)
    record = read_record(folder)
    assert record.environment == {}
    assert "environment" not in json.loads(record.model_dump_json())
    set_here = {"XLA_FLAGS": "--xla_cpu_enable_fast_math=true"}
    changed = record.model_copy(update={"environment": set_here})
    (folder / "run.json").write_text(changed.model_dump_json())
    assert read_record(folder).environment == set_here


@pytest.mark.parametrize("place", ["test_loss", "validation_loss"])
def test_a_run_that_says_it_finished_with_losses_that_are_not_finite_has_diverged(tmp_path, place):
    folder = shutil.copytree(OLDEST, tmp_path / OLDEST.name)
    raw = json.loads((folder / "run.json").read_text())
    (raw if place == "test_loss" else raw["epochs"][-1])[place] = "NaN"
    (folder / "run.json").write_text(json.dumps(raw))
    (run,) = RunStore(tmp_path).runs
    assert run.status == "diverged"
    assert run.divergence.startswith("Diverged in epoch 2: ")


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


# Files of arrays: what a record may name, and how large they can be


def named(kind: str, first: int, last: int) -> ArrayFile:
    name = f"{kind}-e{last:04d}.safetensors"
    return ArrayFile(name=name, first=first, last=last, sha256="0" * 64)


def zeros(kind: str, config: RunConfig, epochs: int) -> dict[str, np.ndarray]:
    """The arrays that a file of a kind holds."""
    layers = list(enumerate(config.hidden, start=1))
    if kind == "units":
        names = [*units.ARRAYS.items(), ("bias", np.dtype(np.float32))]
        return {
            f"layer{n}.{name}": np.zeros((epochs, width), dtype)
            for n, width in layers
            for name, dtype in names
        }
    if kind == "confirmed":
        return {f"layer{n}.confirmed": np.zeros(width, np.bool_) for n, width in layers}
    layout = mlp(config.hidden)
    of_units = layout.replacement if config.replacement_rate else []
    slots = [*layout.slots(config.optimizer), *of_units] if kind == "resume" else []
    return {a.name: np.zeros(a.shape, np.float32) for a in (*layout.arrays, *slots)}


@pytest.mark.parametrize("hidden", [(1,), (3, 2), (100,) * 64])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize(
    ("kind", "rate"),
    [("units", 0), ("weights", 0), ("resume", 0), ("resume", 0.001), ("confirmed", 0)],
)
def test_a_file_of_arrays_can_be_as_large_as_its_kind_and_not_much_larger(
    kind, rate, optimizer, hidden
):
    config = RunConfig(hidden=hidden, optimizer=optimizer, replacement_rate=rate)
    epochs = 20 if kind == "units" else 1
    size = len(save(zeros(kind, config, epochs)))
    most = most_bytes(mlp(hidden), config, named(kind, 0, epochs - 1))
    assert size < most < size + 2048 * (len(hidden) + 1)


def test_no_file_can_be_larger_than_the_largest_network_with_its_optimiser():
    largest = most_bytes(mlp((6600,) * 2), RunConfig(), named("resume", 0, 0))
    assert 0.95 * largest < most_bytes(mlp((880,) * 60), RunConfig(), named("units", 0, 10_000))
    assert most_bytes(mlp((880,) * 60), RunConfig(), named("units", 0, 10_000)) < 620 * 10**6


@pytest.mark.parametrize(
    ("field", "changes", "words"),
    [
        ("weights", {"first": 0}, "weights-e0002.safetensors must be of one epoch"),
        ("confirmed", {"first": 0}, "confirmed-e0002.safetensors must be of one epoch"),
        ("weights", {"name": "units-e0002.safetensors"}, "weights names units-e0002.safetensors"),
        ("weights", {"name": "weights-e0001.safetensors"}, "weights names weights-e0001"),
        ("units", {"first": 2}, "does not hold the epochs 0, 1, 2, … in order, with their units"),
        (
            "confirmed",
            {"first": 9, "last": 9, "name": "confirmed-e0009.safetensors"},
            "confirmed-e0009.safetensors names epochs that it does not have",
        ),
    ],
)
def test_a_file_is_of_its_kind_and_of_epochs_that_there_are(tmp_path, field, changes, words):
    folder = tmp_path / OLDEST.name
    shutil.copytree(OLDEST, folder)
    raw = json.loads((folder / "run.json").read_text())
    file = raw[field][-1] if isinstance(raw[field], list) else raw[field]
    file.update(changes)
    (folder / "run.json").write_text(json.dumps(raw))
    with pytest.raises(RunError, match=words):
        read_record(folder)


def test_a_run_that_has_ended_keeps_no_state_to_go_on_from(tmp_path):
    folder = tmp_path / OLDEST.name
    shutil.copytree(OLDEST, folder)
    raw = json.loads((folder / "run.json").read_text())
    raw["resume"] = raw["weights"][0] | {"name": "resume-e0002.safetensors"}
    (folder / "run.json").write_text(json.dumps(raw))
    with pytest.raises(RunError, match="a run that is finished has nothing to go on from"):
        read_record(folder)


def test_thousands_of_files_of_all_epochs_are_refused_without_counting_them(tmp_path):
    folder = tmp_path / OLDEST.name
    shutil.copytree(OLDEST, folder)
    raw = json.loads((folder / "run.json").read_text())
    name = "units-e10000.safetensors"
    raw["units"] = [raw["units"][0] | {"name": name, "first": 0, "last": 10_000}] * 5000
    (folder / "run.json").write_text(json.dumps(raw))
    tracemalloc.start()
    with pytest.raises(RunError, match="names epochs that it does not have, or not in order"):
        read_record(folder)
    assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    tracemalloc.stop()


def test_a_large_file_that_was_changed_is_never_loaded(tmp_path):
    record, file = read_record(OLDEST), named("resume", 0, 0)
    record = record.model_copy(update={"settings": RunConfig(hidden=[6000] * 2)})
    with (tmp_path / file.name).open("wb") as sparse:
        os.truncate(sparse.fileno(), 300 * 2**20)
    tracemalloc.start()
    with pytest.raises(RunError, match="was changed or damaged"):
        read_content(tmp_path, record, file)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_file_that_does_not_fit_into_the_memory_is_refused_in_words(monkeypatch):
    def full(_):
        raise MemoryError

    monkeypatch.setattr(lab.runs.record, "load", full)
    record = read_record(OLDEST)
    with pytest.raises(RunError, match=r"units-e0002\.safetensors does not fit into the memory"):
        read_arrays(OLDEST, record, record.units[-1])
