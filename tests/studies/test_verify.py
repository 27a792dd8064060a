"""Training a recorded run again: identical, alike on another processor, or different."""

import dataclasses
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import lab
from lab import Run, RunStore
from lab.errors import InputError, RunError
from lab.studies.verify import judge, repetition, verify

SETTINGS = {"hidden": (6, 5), "epochs": 3, "batch_size": 30}


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory) -> Run:
    store = RunStore(tmp_path_factory.mktemp("repeats") / "runs")
    return lab.compare("elu", 1, tiny, store, **SETTINGS)[0]


def changed(run: Run, **values) -> Run:
    return dataclasses.replace(run, record=run.record.model_copy(update=values))


def with_losses(run: Run, epoch: int, factor: float) -> Run:
    """A run whose losses differ from an epoch on."""
    epochs = tuple(
        e.model_copy(update={"validation_loss": e.validation_loss * factor})
        if e.epoch >= epoch
        else e
        for e in run.record.epochs
    )
    return changed(run, epochs=epochs)


def test_a_run_that_is_trained_again_comes_out_to_the_last_bit(run, tiny):
    before = {path: path.stat().st_mtime_ns for path in run.folder.parent.rglob("*")}
    found = verify(run, tiny)
    assert found.outcome == "identical"
    assert found.sentence == (
        f"Identical: all 4 epochs of {run.run_id} came out again to the last bit."
    )
    assert {path: path.stat().st_mtime_ns for path in run.folder.parent.rglob("*")} == before


def test_a_record_that_was_changed_is_different_and_the_epoch_is_named(run, tiny):
    found = verify(with_losses(run, 2, 1.0000001), tiny)
    assert found.outcome == "different"
    assert f"Different: from epoch 2 on {run.run_id} came out otherwise on the same" in (
        found.sentence
    )
    assert f"test accuracy {100 * run.record.test_accuracy:.2f} % recorded, " in found.sentence
    honest, changed_ = map(found.sentence.index, ("Keras had another backend", "was changed"))
    assert honest < changed_


@pytest.fixture(scope="module")
def learner(tiny, tmp_path_factory) -> Run:
    """A run that learns tasks, so that it records norms."""
    store = RunStore(tmp_path_factory.mktemp("tasks") / "runs")
    return lab.continual("elu", 1, tiny, store, number=3, hidden=(6, 5), batch_size=30)[0]


def with_norms(run: Run, folder: Path, change: Callable[[dict[str, np.ndarray], int], None]) -> Run:
    """A copy of a run whose file of units was changed by one who could also sign it."""
    shutil.copytree(run.folder, folder)
    files = []
    for file in run.record.units:
        arrays = load_file(folder / file.name)
        change(arrays, file.first)
        save_file(arrays, folder / file.name)
        digest = hashlib.sha256((folder / file.name).read_bytes()).hexdigest()
        files.append(file.model_copy(update={"sha256": digest}))
    return Run(folder, run.record.model_copy(update={"units": tuple(files)}))


@pytest.mark.parametrize("name", ["weight_norm", "update_norm", "effective_rank"])
@pytest.mark.parametrize("layer", [1, 2])
def test_a_number_that_was_changed_is_different_and_its_epoch_is_named(
    learner, tmp_path, name, layer
):
    def change(arrays, first):
        arrays[f"layer{layer}.{name}"][max(2 - first, 0) :] *= np.float32(1 + 1e-6)

    assert judge(learner, learner).outcome == "identical"
    found = judge(with_norms(learner, tmp_path / "copy", change), learner)
    assert found.outcome == "different"
    assert f"Different: from epoch 2 on {learner.run_id} came out otherwise" in found.sentence


def test_norms_that_an_earlier_version_did_not_record_are_not_compared(learner, tmp_path):
    def change(arrays, first):
        for layer in (1, 2):
            del arrays[f"layer{layer}.weight_norm"]

    without = with_norms(learner, tmp_path / "copy", change)
    for pair in ((without, learner), (learner, without)):
        assert judge(*pair).outcome == "identical"


def test_a_run_that_learned_tasks_comes_out_again_to_the_last_bit(learner, tiny):
    assert verify(learner, tiny).outcome == "identical"


@pytest.mark.parametrize(
    ("version", "changes"),
    [("0.1.0", (0.2, 0.3, 0.4)), ("0.2.0", (0.3, 0.4)), ("0.3.1", (0.4,)), ("own", ())],
)
def test_for_a_run_of_an_earlier_version_a_sentence_says_what_has_changed(run, version, changes):
    versions = {**run.record.versions, "activation-lab": version}
    found = judge(changed(with_losses(run, 1, 1.0001), versions=versions), run)
    assert found.outcome == "alike"
    assert "with another version of activation-lab" in found.sentence
    for change in (0.2, 0.3, 0.4):
        assert (f"Since version {change} " in found.sentence) == (change in changes)


def test_small_differences_of_another_processor_are_alike(run):
    other = changed(with_losses(run, 1, 1.01), processor="another")
    found = judge(other, run)
    assert found.outcome == "alike"
    assert "with another kind of processor: " in found.sentence


@pytest.mark.parametrize(
    "values",
    [
        {"test_accuracy": 0.02},
        {"status": "diverged"},
    ],
)
def test_too_large_differences_are_different_on_any_processor(run, values):
    other = changed(with_losses(run, 1, 1.01), processor="another", **values)
    assert judge(other, run).outcome == "different"


def test_untrained_networks_that_differ_are_different_on_any_processor(run):
    assert judge(changed(with_losses(run, 0, 1.001), processor="another"), run).outcome == (
        "different"
    )
    assert judge(changed(with_losses(run, 0, 1.00001), processor="another"), run).outcome == "alike"


def test_the_tolerance_is_four_sampling_errors_of_the_difference(run):
    # p = 0.5 and 100 test images: sqrt(2 · 0.25 / 100) = 0.0707, four of them 0.283.
    for accuracy, outcome in ((0.22, "different"), (0.23, "alike")):
        ours = changed(with_losses(run, 1, 1.01), processor="a", test_accuracy=accuracy)
        theirs = changed(run, test_accuracy=0.5)
        p = (accuracy + 0.5) / 2
        limit = 4 * np.sqrt(2 * p * (1 - p) / 100)
        assert (0.5 - accuracy <= limit) == (outcome == "alike")
        assert judge(ours, theirs).outcome == outcome


def test_another_version_is_named(run):
    versions = {**run.record.versions, "keras": "1.0"}
    found = judge(changed(with_losses(run, 1, 1.01), versions=versions), run)
    assert "with another version of keras: " in found.sentence


@pytest.mark.parametrize(
    ("recorded", "now", "names"),
    [
        ({"XLA_FLAGS": "--a"}, {}, "XLA_FLAGS"),
        ({}, {"XLA_FLAGS": "--a"}, "XLA_FLAGS"),
        ({"XLA_FLAGS": "--a", "B": "1"}, {"XLA_FLAGS": "--b", "C": "1", "B": "1"}, "C, XLA_FLAGS"),
    ],
)
def test_another_setting_of_the_environment_is_named_and_the_runs_are_alike(
    run, recorded, now, names
):
    other = changed(with_losses(run, 1, 1.01), environment=recorded)
    found = judge(other, changed(run, environment=now))
    assert found.outcome == "alike"
    assert f"with another setting of {names}: " in found.sentence


def test_runs_of_one_unusual_environment_that_differ_are_different(run):
    both = {"environment": {"XLA_FLAGS": "--a"}}
    assert judge(changed(with_losses(run, 1, 1.01), **both), changed(run, **both)).outcome == (
        "different"
    )


def test_what_cannot_be_repeated_is_said(run, tiny, two_kinds):
    with pytest.raises(InputError, match="run must be one recorded run"):
        verify("relu")
    with pytest.raises(RunError, match="has not ended: train it to its end first"):
        verify(changed(run, status="interrupted"))
    with pytest.raises(RunError, match="was trained on other images than two kinds"):
        verify(run, two_kinds)
    own = run.config.model_copy(update={"activation": "mine", "source_sha256": "0" * 64})
    with (
        pytest.raises(InputError, match="'mine' is not registered here"),
        repetition(changed(run, settings=own), tiny),
    ):
        pass


def test_the_command_says_it_and_exits_with_1_if_it_is_different(lab_main, tmp_path, monkeypatch):
    store = RunStore(tmp_path / "runs")
    run = lab.compare("elu", 1, "mnist-5k", store, **{**SETTINGS, "batch_size": 800})[0]
    code, out, _ = lab_main("verify", "elu", "--store", store.path)
    assert code == 0
    assert f"Identical: all 4 epochs of {run.run_id} came out again to the last bit." in out
    monkeypatch.setattr("lab.studies.verify.have_the_same_bits", lambda *_: False)
    code, out, _ = lab_main("verify", "elu", "--store", store.path)
    assert code == 1
