"""What a race runs: bits are compared, a replay is the record."""

import dataclasses
import math
from types import SimpleNamespace

import pytest

import lab
from lab import Runs, RunStore, studies
from lab.widgets import jobs

SETTINGS = {"hidden": (6, 5), "epochs": 2, "batch_size": 30, "optimizer": "sgd"}


@pytest.fixture(scope="module")
def stores(tiny, tmp_path_factory):
    """The same two runs in two stores: a healthy one and one that diverges."""
    made = [RunStore(tmp_path_factory.mktemp("jobs") / "runs") for _ in range(2)]
    for store in made:
        lab.compare("relu", 1, tiny, store, **SETTINGS)
        lab.compare("leaky_relu=1000", 1, tiny, store, learning_rate=1000.0, **SETTINGS)
    return made


def test_two_trainings_of_one_run_have_the_same_bits_even_if_it_diverges(stores):
    for one, other in zip(*(store.runs for store in stores), strict=True):
        assert jobs.have_the_same_bits(one, other)
    diverged = stores[0].runs.where(status="diverged")[0]
    assert math.isnan(diverged.record.epochs[-1].validation_loss)
    assert not jobs.have_the_same_bits(*stores[0].runs)


def test_the_last_bit_of_a_loss_and_a_missing_epoch_make_a_difference(stores):
    run = stores[0].runs.where(activation="relu")[0]
    *epochs, last = run.record.epochs
    near = last.model_copy(update={"train_loss": math.nextafter(last.train_loss, 9)})
    for other in ((*epochs, near), tuple(epochs)):
        record = run.record.model_copy(update={"epochs": other})
        assert not jobs.have_the_same_bits(run, dataclasses.replace(run, record=record))


def test_a_replay_gives_every_epoch_of_the_record_in_order(stores, tiny):
    study = studies.plan("relu", 1, tiny, stores[0], **SETTINGS)
    job = jobs.replay(study, lambda: 1000.0)
    events = list(job.events())
    run = stores[0].runs.where(activation="relu")[0]
    assert [event.epoch for event in events] == [0, 1, 2]
    for event, epoch in zip(events, run.record.epochs, strict=True):
        assert event.row["validation_accuracy", 0] == epoch.validation_accuracy
        assert event.row["dead_fraction", 2] == (run.layer(2).max_gate[event.epoch] == 0).mean()


def test_the_place_of_the_runs_is_short_below_the_current_folder(tmp_path, monkeypatch):
    store = SimpleNamespace(path=tmp_path / "runs")
    study = SimpleNamespace(configs=[None], store=store, runs=lambda: Runs([]))
    assert jobs._kept(study).endswith(f"are kept in {tmp_path / 'runs'}.")
    monkeypatch.chdir(tmp_path)
    assert jobs._kept(study).endswith("are kept in runs.")
