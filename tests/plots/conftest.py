"""Some runs of three functions, two seeds and two learning rates; and the look of a function."""

import pytest

import lab
from lab import Runs, RunStore
from lab.activations import registry

SETTINGS = {"hidden": (20, 10), "epochs": 3, "batch_size": 50, "learning_rate": 0.3}


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("plots") / "runs")


@pytest.fixture(scope="session")
def runs(tiny, store):
    return lab.compare(["relu", "elu", "leaky_relu"], 2, tiny, store, **SETTINGS)


@pytest.fixture(scope="session")
def rates(runs, tiny, store):
    slow = lab.compare(["relu", "elu"], 2, tiny, store, **(SETTINGS | {"learning_rate": 0.001}))
    return Runs([*runs, *slow])


@pytest.fixture
def look():
    """Returns the colour and the line style of a built-in function."""

    def of(name):
        activation = registry.get(name)
        return activation.colour, activation.line

    return of
