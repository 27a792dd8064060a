"""Runs with the numbers that a test gives them."""

import dataclasses

import pytest

from lab import RunConfig, Runs, RunStore, stats


@pytest.fixture(scope="module")
def template():
    return RunStore("notebooks/recorded").runs.where(activation="relu")[0]


@pytest.fixture
def record(template):
    """Makes a run of one activation function and seed, with the numbers that are given."""

    def make(activation, seed, accuracy, rate=0.001, status="finished", validation=0.9, **settings):
        config = RunConfig(activation=activation, seed=seed, learning_rate=rate, **settings)
        last = template.record.epochs[-1].model_copy(update={"validation_accuracy": validation})
        update = {
            "run_id": f"{activation}-{seed}-{rate}-{settings}",
            "settings": config,
            "status": status,
            "test_accuracy": accuracy,
            "epochs": (*template.record.epochs[:-1], last),
        }
        return dataclasses.replace(template, record=template.record.model_copy(update=update))

    return make


@pytest.fixture
def study(record):
    """Makes the runs of functions whose accuracies lie so many points above 97 % and a trend."""

    def make(**points):
        return Runs(
            [
                record(name, seed, 0.97 + 0.001 * seed + above / 100)
                for name, differences in points.items()
                for seed, above in enumerate(differences)
            ]
        )

    return make


@pytest.fixture
def one():
    """Compares runs that give one verdict."""

    def compare(runs, *arguments, **options):
        (verdict,) = stats.verdicts(runs, *arguments, **options)
        return verdict

    return compare
