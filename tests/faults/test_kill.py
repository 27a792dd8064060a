"""Processes that are killed, and processes that race: no kept epoch is lost, one writer wins.

The processes are forked from a server that has imported the lab, so that they start at once.
"""

import contextlib
import itertools
import multiprocessing
import random
import time
from pathlib import Path

import numpy as np
import pytest
from made import convolutional, make_dataset, normalised
from made_runs import assert_epochs_are_kept, assert_named_files_exist, made_up_end, made_up_epoch

import lab.store.writer
import lab.system.machine
from lab import Dataset, Run, RunConfig, RunStore
from lab.census import units
from lab.errors import RunBusyError
from lab.network import networks as networks
from lab.network.networks import Network
from lab.store.store import run_id
from lab.studies.study import gather, plan
from lab.training.events import EpochEnd

pytestmark = pytest.mark.faults

FED = RunConfig(activation="relu", hidden=(3, 2), epochs=5000, batch_size=30)
RACED = FED.model_copy(update={"epochs": 6})
networks.add(Network("convolutional", convolutional))
networks.add(Network("normalised", normalised))
TRAINED = [
    RunConfig(activation=activation, epochs=100, batch_size=120, **network)
    for activation, network in (
        ("relu", {"hidden": (6, 5)}),
        ("elu", {"hidden": (6, 5)}),
        ("relu", {"network": "convolutional"}),
        ("relu", {"network": "normalised"}),
    )
]
PARTS = 5


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_kill"])
    return context


def blank() -> Dataset:
    images, labels = np.zeros((100, 28, 28), np.uint8), np.arange(100, dtype=np.uint8) % 10
    return Dataset("blank", images, labels, images, labels)


def feed(place: Path, tell, config: RunConfig = FED) -> None:
    """Writes made-up epochs as fast as it goes, and tells of each one that is acknowledged."""
    lab.system.machine.threads_per_operation = lambda: 1
    lab.store.writer.COMMIT_SECONDS, lab.store.writer.RESUME_SECONDS = 0.0, 0.02
    with contextlib.closing(RunStore(place).writer(config, blank())) as writer:
        first = writer.state.epoch + 1 if writer.state else 0
        for epoch in range(first, config.epochs + 1):
            writer.add(made_up_epoch(config, epoch))
            tell.send(epoch)
        writer.end(made_up_end(config))


def do_train(place: Path, tell) -> None:
    lab.store.writer.COMMIT_SECONDS, lab.store.writer.RESUME_SECONDS = 0.0, 0.1
    for event in gather(TRAINED, make_dataset(300, 100), place).events():
        if isinstance(event, EpochEnd):
            tell.send((event.run, event.epoch))


def race(place: Path, tell, start: float) -> None:
    quiet, ears = multiprocessing.Pipe()
    time.sleep(max(0.0, start - time.time()))
    try:
        feed(place, ears, RACED)
    except RunBusyError:
        tell.send("busy")
    else:
        tell.send("trained")
    quiet.close()


def start(processes, do, *arguments):
    """Starts a process; returns it and the pipe by which it tells."""
    hear, tell = processes.Pipe(duplex=False)
    process = processes.Process(target=do, args=(arguments[0], tell, *arguments[1:]), daemon=True)
    process.start()
    tell.close()
    return process, hear


def all_told(hear) -> list:
    told = []
    with contextlib.suppress(EOFError):
        while True:
            told.append(hear.recv())
    return told


def kill_after(processes, do, place: Path, seconds: float) -> list:
    """Kills a process some time after it has told of an epoch; returns all that it told."""
    process, hear = start(processes, do, place)
    try:
        assert hear.poll(60), "it never told of an epoch"
        time.sleep(seconds)
    finally:
        process.kill()
    process.join()
    return all_told(hear)


@pytest.mark.parametrize("part", range(PARTS))
def test_killing_a_writer_loses_no_acknowledged_epoch(tmp_path, processes, promise, many, part):
    dice = random.Random(part)
    acknowledged = {}
    with promise("kill -9 of a writer: no finished epoch lost") as tally:
        for number in range(many(500, 25) // PARTS):
            place = tmp_path / str(number // 20)  # A run is killed up to 20 times.
            told = kill_after(processes, feed, place, dice.uniform(0.0, 0.3))
            acknowledged[place] = max([acknowledged.get(place, -1), *told])
            with tally.case(f"kill {number}"):
                assert_nothing_is_lost(place, acknowledged[place], dice)
    assert min(acknowledged.values()) > 5


def assert_nothing_is_lost(place: Path, acknowledged: int, dice: random.Random) -> None:
    store = RunStore(place)
    assert store.refused == {}
    (run,) = store
    assert_named_files_exist(run.folder)
    assert run.status == "interrupted"
    assert run.last_epoch >= acknowledged
    sample = sorted({0, run.last_epoch, acknowledged, dice.randint(0, run.last_epoch)})
    assert_epochs_are_kept(run, sample)
    for number in (1, 2):
        fed = [made_up_epoch(FED, epoch).layers[number - 1].mean for epoch in sample]
        assert np.array_equal(run.layer(number).mean[sample], fed)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> RunStore:
    """The runs, trained without a stop."""
    store = RunStore(tmp_path_factory.mktemp("whole") / "runs")
    for _ in gather(TRAINED, make_dataset(300, 100), store).events():
        pass
    return store


def assert_the_same_bits(got: Run, expected: Run) -> None:
    assert (got.run_id, got.status) == (expected.run_id, "finished")
    assert got.kept_epochs == expected.kept_epochs
    for epoch in expected.kept_epochs:
        for mine, theirs in zip(got.weights(epoch), expected.weights(epoch), strict=True):
            assert mine.tobytes() == theirs.tobytes()
    results = [(run.record.test_loss, run.record.test_accuracy) for run in (got, expected)]
    assert results[0] == results[1]
    assert _measured(got) == _measured(expected)
    for number in expected.layers:
        assert np.array_equal(got.confirmed(number), expected.confirmed(number))
        assert got.biases(number).tobytes() == expected.biases(number).tobytes()
        for name in units.ARRAYS:
            mine, theirs = (getattr(run.layer(number), name) for run in (got, expected))
            assert mine.tobytes() == theirs.tobytes()


def _measured(run: Run) -> list[tuple[float, ...]]:
    """Every epoch's numbers but the seconds."""
    names = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    return [tuple(getattr(epoch, name) for name in names) for epoch in run.record.epochs]


def test_killed_training_goes_on_to_the_bits_of_uninterrupted_training(
    tmp_path, processes, promise, many, whole
):
    dice, data, kills = random.Random(5), make_dataset(300, 100), many(25, 2)
    with promise("kill -9 of real training: no finished epoch lost") as tally:
        for number in range(kills):
            place = tmp_path / str(number // 3)
            told = kill_after(processes, do_train, place, dice.uniform(0.0, 0.8))
            with tally.case(f"kill {number}"):
                store = RunStore(place)
                assert store.refused == {}
                for run, config in enumerate(TRAINED):
                    epochs = [epoch for of, epoch in told if of == run]
                    if epochs:
                        assert store[run_id(config, data)].last_epoch >= max(epochs)
    with promise("resumed = uninterrupted, to the bit") as tally:
        for place in sorted(tmp_path.iterdir()):
            store = RunStore(place)
            with tally.case(f"after kills, {place.name}"):
                assert any(run.status == "interrupted" for run in store)
                for _ in gather(TRAINED, data, store).events():
                    pass
                assert [run.run_id for run in store] == [run.run_id for run in whole]
                for got, expected in zip(store, whole, strict=True):
                    assert_the_same_bits(got, expected)


STOPPED = {
    "adam": {"hidden": (6, 5), "epochs": 6, "batch_size": 50},
    "momentum": {"hidden": (6,), "epochs": 5, "optimizer": "sgd", "momentum": 0.9,
                 "batch_size": 70, "keep_weights": "every"},
    "subset": {"hidden": (4, 4, 3), "epochs": 4, "batch_size": 32, "train_size": 150,
               "probe_size": 20, "first_bias": -0.1},
    "convolutional": {"network": "convolutional", "epochs": 4, "batch_size": 50},
    "normalised": {"network": "normalised", "epochs": 4, "batch_size": 50,
                   "keep_weights": "every"},
}  # fmt: skip


@pytest.mark.parametrize("kind", STOPPED)
def test_stopped_training_goes_on_to_the_bits_of_uninterrupted_training(
    tmp_path, promise, many, kind, monkeypatch
):
    dice, data = random.Random(kind), make_dataset(300, 100)
    arguments = (("relu", "leaky_relu", "elu"), 1, data)
    unstopped = RunStore(tmp_path / "unstopped")
    length = sum(1 for _ in plan(*arguments, unstopped, **STOPPED[kind]).events())
    with promise("resumed = uninterrupted, to the bit") as tally:
        for number in range(many(7, 1)):
            # Commits at every epoch or none: what is kept at a stop is the same.
            monkeypatch.setattr(lab.store.writer, "COMMIT_SECONDS", dice.choice([0.0, 2.0]))
            monkeypatch.setattr(lab.store.writer, "RESUME_SECONDS", dice.choice([0.0, 10.0]))
            stops = [dice.randrange(1, length) for _ in range(dice.randint(1, 3))]
            store = RunStore(tmp_path / str(number))
            with tally.case(f"stops after {stops} events"):
                for stop in stops:
                    events = plan(*arguments, store, **STOPPED[kind]).events()
                    with contextlib.closing(events):
                        for _ in itertools.islice(events, stop):
                            pass
                for _ in plan(*arguments, store, **STOPPED[kind]).events():
                    pass
                for got, expected in zip(store, unstopped, strict=True):
                    assert_the_same_bits(got, expected)


@pytest.mark.parametrize("part", range(PARTS))
def test_of_two_writers_racing_for_a_run_exactly_one_trains(
    tmp_path, processes, promise, many, part
):
    with promise("two writers of one run: one trains, the other says so") as tally:
        for number in range(many(200, 20) // PARTS):
            place = tmp_path / str(number)
            at = time.time() + 0.3
            racers = [start(processes, race, place, at) for _ in range(2)]
            with tally.case(number):
                ends = sorted(ending for _, hear in racers for ending in all_told(hear))
                assert ends == ["busy", "trained"]
                (run,) = RunStore(place)
                assert run.status == "finished"
                assert_epochs_are_kept(run, range(7))
            for process, _ in racers:
                process.join()
