"""Life histories: hand-made lives, and books that balance whatever happens."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lab.census.lives import STATES, Lives, follow, states
from lab.census.units import ARRAYS, UnitSummaries


def lives(*units: str) -> Lives:
    """Lives as texts, a letter for each epoch: a(live), d(ead), n(on-finite)."""
    letters = np.array([list(unit) for unit in units]).T
    return Lives(letters == "d", letters != "n")


def epochs_of(flow, unit):
    return np.flatnonzero(flow[:, unit]).tolist()


def test_a_unit_that_dies_revives_and_dies_again():
    one = lives("aaddaadd")
    assert not one.born_dead[0]
    assert epochs_of(one.died, 0) == [2, 6]
    assert epochs_of(one.revived, 0) == [4]
    assert one.dead_since[:, 0].tolist() == [-1, -1, 2, 2, -1, -1, 6, 6]
    assert epochs_of(one.dead_for_good, 0) == [6, 7]
    assert (
        one.story(0, 7)
        == "alive before training, died in epoch 2, revived in epoch 4, died in epoch 6"
    )
    assert one.story(0, 5) == "alive before training, died in epoch 2, revived in epoch 4"


def test_a_story_of_very_many_turns_tells_the_first_and_the_last():
    one = lives("ad" * 6)
    assert one.story(0, 10) == "alive before training, " + ", ".join(
        f"{'died' if epoch % 2 else 'revived'} in epoch {epoch}" for epoch in range(1, 11)
    )
    assert one.story(0, 11, "task {}".format) == (
        "alive before training, died in task 1, revived in task 2, died in task 3, revived in task "
        "4, died in task 5, … 1 more change …, died in task 7, revived in task 8, died in task 9, "
        "revived in task 10, died in task 11"
    )


def test_a_unit_born_dead_did_not_die_in_epoch_0():
    born = lives("ddd", "daa")
    assert born.born_dead.tolist() == [True, True]
    assert not born.died.any()
    assert epochs_of(born.revived, 1) == [1]
    assert born.dead_since.tolist() == [[0, 0], [0, -1], [0, -1]]
    assert born.story(0, 2) == "born dead"
    assert born.story(1, 2) == "born dead, revived in epoch 1"
    assert born.dead_for_good[:, 0].all()
    assert not born.dead_for_good[:, 1].any()


def test_a_dead_unit_that_becomes_non_finite_is_lost_and_has_not_revived():
    gone = lives("addnn", "annnn", "nddaa")
    assert not gone.revived[:, :2].any()
    assert epochs_of(gone.lost, 0) == [3]
    assert not gone.lost[:, 1:].any()
    assert not gone.dead_for_good[:, 0].any()
    assert gone.story(0, 4) == "alive before training, died in epoch 1, non-finite from epoch 3"
    assert gone.story(1, 4) == "alive before training, non-finite from epoch 1"
    assert gone.story(2, 4) == "non-finite before training, died in epoch 1, revived in epoch 3"


def test_the_survival_curve_counts_those_that_were_never_dead_so_far():
    layer = lives("aaaa", "adaa", "aadd", "dddd")
    assert layer.survival.tolist() == [0.75, 0.5, 0.25, 0.25]
    np.testing.assert_array_equal(lives("aaaa", "aann").survival, np.array([1, 1, np.nan, np.nan]))


masks = hnp.arrays(np.int8, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, 2))


@given(masks)
def test_dead_is_born_dead_and_died_less_revived_and_lost_at_every_epoch(states):
    made = Lives(states == 1, states != 2)
    flows = made.died.astype(int) - made.revived - made.lost
    assert np.array_equal(made.born_dead + flows.cumsum(axis=0), made.dead)
    assert not (made.died & made.revived).any()
    assert {flow.dtype for flow in (made.died, made.revived, made.lost)} == {np.dtype(bool)}
    for unit, life in enumerate(states.T.tolist()):  # The definition, word by word.
        for epoch in range(len(life)):
            assert made.dead_for_good[epoch, unit] == all(s == 1 for s in life[epoch:])
            since = epoch
            while life[since - 1] == 1 and since > 0:
                since -= 1
            assert made.dead_since[epoch, unit] == (since if life[epoch] == 1 else -1)
            assert made.never_dead[epoch, unit] == (1 not in life[: epoch + 1])


def test_a_layers_summaries_are_followed_by_their_gates_alone():
    gates = np.array([[1, 0.2, np.nan], [0, 1e-30, 0]], np.float32)
    values = {name: np.zeros((2, 3), kind) for name, kind in ARRAYS.items()}
    nonfinite = np.array([[0, 0, 4], [0, 0, 0]], np.int32)
    layer = UnitSummaries(10, 1.0, **values | {"max_gate": gates, "nonfinite": nonfinite})
    followed = follow(layer)
    assert followed.dead.tolist() == [[False, False, False], [True, False, True]]
    assert followed.finite.tolist() == [[True, True, False], [True, True, True]]


def test_a_unit_is_in_the_last_state_that_fits_it():
    """Leaky ReLU's gate is 0.01 below zero; ReLU's is 0, and sigmoid's is tiny far from zero."""
    values = {name: np.zeros((1, 5), kind) for name, kind in ARRAYS.items()}
    values["max_z"] = np.array([[2, -1, 9, -1, np.nan]], np.float32)
    values["max_gate"] = np.array([[1, 0.01, 1e-4, 0, np.nan]], np.float32)
    values["nonfinite"] = np.array([[0, 0, 0, 0, 3]], np.int32)
    found = states(UnitSummaries(10, 1.0, **values))
    assert [STATES[state] for state in found[0]] == [
        *("alive", "always negative", "nearly dead", "dead", "non-finite")
    ]
    assert found.dtype == np.int8


def test_lives_are_frozen_and_compared_by_identity():
    assert len({lives("ad"), lives("ad")}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        lives("ad").dead = None
