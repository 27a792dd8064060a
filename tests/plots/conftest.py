"""Runs of three functions, two seeds and two learning rates; and the look of a function."""

import pytest
from made_runs import write_runs

import lab
from lab import Runs, RunStore
from lab.activations import registry

SETTINGS = {"hidden": (12, 8), "epochs": 3, "batch_size": 50, "learning_rate": 0.3}


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("plots") / "runs")


@pytest.fixture(scope="session")
def runs(tiny, store):
    """Made-up runs: their numbers are drawn, so that nothing is learned."""
    return write_runs(["relu", "elu", "leaky_relu"], 2, tiny, store.path, **SETTINGS)


@pytest.fixture(scope="session")
def trained_runs(tiny, tmp_path_factory):
    """Runs in which neurons die."""
    return lab.compare(["relu", "elu"], 2, tiny, tmp_path_factory.mktemp("trained"), **SETTINGS)


@pytest.fixture(scope="session")
def rates(runs, tiny, store):
    slow = write_runs(["relu", "elu"], 2, tiny, store.path, **(SETTINGS | {"learning_rate": 0.001}))
    return Runs([*runs, *slow])


@pytest.fixture
def look():
    """Returns the colour and the line style of a built-in function."""

    def of(name):
        activation = registry.get(name)
        return activation.colour, activation.line

    return of
