"""Runs that are made up, and what must be true of a folder that keeps runs."""

import contextlib
import hashlib
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lab import Dataset, RunConfig, Runs, RunStore, compare
from lab.census import units
from lab.census.units import UnitSummaries
from lab.layout import Weights, mlp
from lab.store.writer import RunWriter
from lab.studies.study import plan
from lab.training.events import EpochEnd, RunEnd, State


def made_up_epoch(config: RunConfig, epoch: int) -> EpochEnd:
    """Returns an epoch's record, fixed by seed, epoch, activation function and learning rate."""
    own = f"{config.activation} {config.parameter} {config.learning_rate}"
    rng = np.random.default_rng([config.seed, epoch, zlib.crc32(own.encode())])

    def draw(shape):
        return rng.normal(size=shape).astype(np.float32)

    def summaries(size):
        counts = {name: rng.integers(0, 9, size, np.int32) for name in ("zeros", "shut")}
        names = set(units.ARRAYS) - {*counts, "nonfinite"}
        floats = {name: draw(size) for name in sorted(names)}
        floats["max_gate"] = np.maximum(floats["max_gate"], 0)  # Half of the units are dead.
        return UnitSummaries(240, 1.0, nonfinite=np.zeros(size, np.int32), **counts, **floats)

    layout = mlp(config.hidden)
    weights = Weights(layout, tuple(draw(array.shape) for array in layout.arrays))
    slots = tuple(draw(slot.shape) for slot in layout.slots(config.optimizer))
    numbers = [np.nan, -np.inf, *rng.random(5)] if epoch == 1 else rng.random(7)
    layers = tuple(summaries(size) for size in config.hidden)
    return EpochEnd(0, epoch, *map(float, numbers), layers, State(epoch, weights, slots))


def made_up_end(config: RunConfig) -> RunEnd:
    confirmed = tuple(np.arange(size) % 2 == 0 for size in config.hidden)
    return RunEnd(0, False, 0.25, 0.75, confirmed)


def write_all(writer: RunWriter, acknowledged: list[int]) -> None:
    """Feeds a writer with the rest of its run, and notes every epoch that it has taken."""
    config = writer.record.settings
    first = writer.state.epoch + 1 if writer.state else 0
    for epoch in range(first, config.epochs + 1):
        writer.add(made_up_epoch(config, epoch))
        acknowledged.append(epoch)
    writer.end(made_up_end(config))


def write(store: RunStore, config: RunConfig, dataset: Dataset) -> None:
    with contextlib.closing(store.writer(config, dataset)) as writer:
        write_all(writer, [])


def write_runs(
    choices: Iterable[str], seeds: int, dataset: Dataset, store: Path, **settings: Any
) -> Runs:
    """Returns what `lab.compare` returns, of made-up runs; the test is the last validation."""
    study = plan(choices, seeds, dataset, store, **settings)
    for config in study.missing():
        ends = [made_up_epoch(config, epoch) for epoch in range(config.epochs + 1)]
        scores = ends[-1].validation_loss, ends[-1].validation_accuracy
        with contextlib.closing(study.store.writer(config, dataset)) as writer:
            for end in ends:
                writer.add(end)
            writer.end(RunEnd(0, False, *scores, tuple(map(units.dead, ends[-1].layers))))
    return compare(choices, seeds, dataset, store, **settings)


def same_as_uninterrupted(folder: Path, config: RunConfig) -> None:
    """Compares a finished run with the epochs that were fed."""
    run = RunStore(folder.parent)[folder.name]
    assert run.status == "finished"
    assert_epochs_are_kept(run, range(config.epochs + 1))
    for got, fed in zip(
        run.weights(), made_up_epoch(config, config.epochs).state.weights, strict=True
    ):
        np.testing.assert_array_equal(got, fed)
    assert [list(run.confirmed(n)) for n in (1, 2)] == [[True, False, True], [True, False]]
    assert (run.record.test_loss, run.record.test_accuracy) == (0.25, 0.75)
    if config.keep_weights == "every":
        for epoch in range(config.epochs + 1):
            fed = made_up_epoch(config, epoch).state.weights
            assert all(map(np.array_equal, run.weights(epoch), fed))
    named = {file.name for file in (*run.record.units, *run.record.weights, run.record.confirmed)}
    assert {path.name for path in folder.iterdir()} - {"lock"} == {"run.json", *named}


def assert_epochs_are_kept(run, epochs) -> None:
    for epoch in epochs:
        fed, held = made_up_epoch(run.config, epoch), run.record.epochs[epoch]
        for name in type(held).model_fields:
            np.testing.assert_array_equal(getattr(held, name), getattr(fed, name))
        for number, layer in enumerate(fed.layers, start=1):
            for name in units.ARRAYS:
                got = getattr(run.layer(number), name)[epoch]
                np.testing.assert_array_equal(got, getattr(layer, name))
                assert got.dtype == getattr(layer, name).dtype


def assert_named_files_exist(folder: Path) -> None:
    """Checks the commit rule without the lab's own reader."""
    if not (folder / "run.json").exists():
        return
    raw = json.loads((folder / "run.json").read_text())
    for file in [*raw["units"], *raw["weights"], raw["resume"], raw["confirmed"]]:
        if file:
            content = (folder / file["name"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
