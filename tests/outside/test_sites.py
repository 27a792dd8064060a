"""Dead units planted in Keras models of every kind, and found."""

import numpy as np
import pytest
from zoo import ZOO

from lab import Census
from lab.census import units


def dead_of(run) -> dict[str, list[int]]:
    return {
        site.name: np.flatnonzero(units.dead(run.last_summaries(number))).tolist()
        for number, site in enumerate(run.layout.sites, start=1)
    }


QUICK = ("subclassed, keras.ops and tf.nn in call", "shared layer: dead in every call", "LSTM, GRU")
KINDS = [
    pytest.param(kind, marks=[] if kind.startswith(QUICK) else pytest.mark.slow) for kind in ZOO
]


@pytest.mark.parametrize("kind", KINDS)
def test_all_planted_units_are_found_and_no_other_in_a_model_of_this_kind(kind):
    planted = ZOO[kind]()
    census = Census.of(planted.model, planted.probe)
    assert dead_of(census.run) == planted.dead
    assert set(census.unseen) == set(planted.unseen)
