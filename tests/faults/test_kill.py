"""Processes that are killed, and processes that race: no kept epoch is lost, one writer wins.

Run as a script, this file is the process to be killed:
`test_kill.py feed STORE` feeds a writer with made-up epochs, `test_kill.py train STORE` trains,
and `test_kill.py race STORE START` trains made-up epochs from a given time on.
"""

import contextlib
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import make_dataset
from test_store import assert_epochs_are_kept, assert_named_files_exist, made_up_end, made_up_epoch

import lab.store
import lab.writer
from lab import Dataset, RunConfig, RunStore, units
from lab.errors import RunBusyError
from lab.store import run_id
from lab.studies import plan
from lab.training import EpochEnd

pytestmark = pytest.mark.faults

FED = RunConfig(activation="relu", hidden=(3, 2), epochs=5000, batch_size=30)
RACED = FED.model_copy(update={"epochs": 6})
SETTINGS = {"hidden": (6, 5), "epochs": 150, "batch_size": 120}


def blank() -> Dataset:
    images, labels = np.zeros((100, 28, 28), np.uint8), np.zeros(100, np.uint8)
    return Dataset("blank", images, labels, images, labels)


def feed(store: RunStore, config: RunConfig = FED) -> None:
    """Writes made-up epochs as fast as it goes, and prints each one that is acknowledged."""
    lab.store.threads_per_operation = lab.writer.threads_per_operation = lambda: 1
    lab.writer.COMMIT_SECONDS, lab.writer.RESUME_SECONDS = 0.0, 0.02
    with contextlib.closing(store.writer(config, blank())) as writer:
        first = writer.state.epoch + 1 if writer.state else 0
        for epoch in range(first, config.epochs + 1):
            writer.add(made_up_epoch(config, epoch))
            print(epoch, flush=True)
        writer.end(made_up_end(config))


def do_train(store: RunStore) -> None:
    lab.writer.COMMIT_SECONDS, lab.writer.RESUME_SECONDS = 0.0, 0.1
    for event in plan(("relu", "elu"), 1, make_dataset(300, 100), store, **SETTINGS).events():
        if isinstance(event, EpochEnd):
            print(event.run, event.epoch, flush=True)


def race(store: RunStore, start: str) -> None:
    time.sleep(max(0.0, float(start) - time.time()))
    try:
        feed(store, RACED)
    except RunBusyError:
        print("busy", flush=True)
    else:
        print("trained", flush=True)


def start(action: str, *arguments) -> subprocess.Popen:
    command = [sys.executable, __file__, action, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_after(process: subprocess.Popen, seconds: float) -> list[str]:
    """Kills a process some time after its first line; returns the whole lines it printed."""
    try:
        first = process.stdout.readline()
        assert first, process.stderr.read()
        time.sleep(seconds)
    finally:
        process.kill()
    text = first + process.communicate()[0]
    return text[: text.rindex("\n")].split("\n")


def test_killing_a_writer_25_times_loses_no_acknowledged_epoch(tmp_path):
    dice = random.Random(11)
    place = tmp_path / "runs"
    acknowledged = -1
    for _ in range(25):
        told = kill_after(start("feed", place), dice.uniform(0.0, 0.4))
        acknowledged = max(acknowledged, int(told[-1]))
        store = RunStore(place)
        assert store.refused == {}
        (run,) = store
        assert_named_files_exist(run.folder)
        assert run.status == "interrupted"
        assert run.last_epoch >= acknowledged
        sample = {0, run.last_epoch, acknowledged, dice.randint(0, run.last_epoch)}
        assert_epochs_are_kept(run, sample)
        for number in (1, 2):
            fed = [made_up_epoch(FED, e).layers[number - 1].mean for e in sorted(sample)]
            assert np.array_equal(run.layer(number).mean[sorted(sample)], fed)
    assert acknowledged > 25


def test_killed_training_goes_on_to_the_bits_of_uninterrupted_training(tmp_path):
    dice = random.Random(5)
    data = make_dataset(300, 100)
    whole = RunStore(tmp_path / "whole")
    for _ in plan(("relu", "elu"), 1, data, whole, **SETTINGS).events():
        pass
    place = tmp_path / "runs"
    for _ in range(2):
        told = [line.split() for line in kill_after(start("train", place), dice.uniform(0.1, 1))]
        store = RunStore(place)
        assert store.refused == {}
        for run, config in enumerate(plan(("relu", "elu"), 1, data, store, **SETTINGS).configs):
            epochs = [int(epoch) for number, epoch in told if int(number) == run]
            if epochs:
                assert store[run_id(config, data)].last_epoch >= max(epochs)
    assert any(run.status == "interrupted" for run in store)
    for _ in plan(("relu", "elu"), 1, data, store, **SETTINGS).events():
        pass
    for got, expected in zip(store, whole, strict=True):
        assert (got.run_id, got.status) == (expected.run_id, "finished")
        assert all(map(np.array_equal, got.weights(), expected.weights()))
        assert got.record.test_loss == expected.record.test_loss
        losses = [[e.train_loss for e in run.record.epochs] for run in (got, expected)]
        assert losses[0] == losses[1]
        for number in (1, 2):
            for name in units.ARRAYS:
                mine, theirs = (getattr(run.layer(number), name) for run in (got, expected))
                assert mine.tobytes() == theirs.tobytes()


def test_of_two_writers_racing_for_a_run_exactly_one_trains(tmp_path):
    for number in range(20):
        place = tmp_path / str(number)
        racers = [start("race", place, time.time() + 1.2) for _ in range(2)]
        told = [racer.communicate(timeout=60) for racer in racers]
        assert [errors for _, errors in told] == ["", ""]
        ends = sorted(lines.split("\n")[-2] for lines, _ in told)
        assert ends == ["busy", "trained"]
        (run,) = RunStore(place)
        assert run.status == "finished"
        assert_epochs_are_kept(run, range(7))


if __name__ == "__main__":
    actions = {"feed": feed, "train": do_train, "race": race}
    actions[sys.argv[1]](RunStore(sys.argv[2]), *sys.argv[3:])
