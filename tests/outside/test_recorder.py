"""What every census records, with an observer made by hand."""

import warnings

import numpy as np
import pytest

import lab
from lab.census import UnitSummaries
from lab.errors import InputError, RunError
from lab.layout import Array, Layout, Site, Weights
from lab.outside.observer import Observation
from lab.outside.probe import Probe
from lab.outside.recorder import Recorder
from lab.outside.recording import record_of

LAYOUT = Layout(
    sites=(Site(name="fc", kind="dense", units=2, function="relu", sup_gate=1.0),),
    arrays=(Array(name="w", shape=(2,)),),
)


class ByHand:
    """An observer that finds the second of two units dead, from its second look on."""

    unseen = {"lstm": "it is a loop"}  # noqa: RUF012
    layout = LAYOUT

    def __init__(self, weight=1.0):
        self.looks, self.weight = 0, weight

    def observe(self):
        self.looks += 1
        if self.looks == 4:
            raise OSError("the disk is gone")
        gate = np.array([1.0, 0.0 if self.looks > 1 else 1.0], np.float32)
        zeros = np.zeros(2, np.int32)
        floats = [gate] * 5
        layer = UnitSummaries(3, 1.0, zeros, *floats, zeros, gate, gate, zeros)
        return Observation((layer,), float("nan"), float("nan"), 0.25)

    def weights(self):
        return Weights(LAYOUT, (np.full(2, self.weight, np.float32),))


class Records(Recorder):
    def __init__(self, observer, **choices):
        super().__init__(Probe(np.zeros((3, 1))), **choices)
        self.by_hand = observer

    _observer = property(lambda self: self.by_hand)
    _nothing_yet = "Nothing yet."

    def begin(self, **known):
        record = record_of(
            "Net", "its source", LAYOUT, self.unseen, self.probe, known=known, computed_on=HERE
        )
        self._open(record)
        return self


HERE = {"versions": {"torch": "9"}, "processor": "a processor", "threads_per_operation": 2}


def test_epochs_are_recorded_with_their_numbers_until_the_end():
    census = Records(ByHand()).begin()
    census._record({"train_loss": 0.5}, 1.5)
    assert census.layers().dead_fraction.tolist() == [0.0, 0.5]
    census._end()
    assert census.lives().died.tolist() == ["", "1"]
    assert census.units().dead.tolist() == [False, False, False, True]
    last = census.run.record.epochs[1]
    assert (last.train_loss, last.train_seconds, last.census_seconds) == (0.5, 1.5, 0.25)
    assert np.isnan(last.validation_loss)
    assert census.run.record.status == "finished"
    assert census.run.record.outside.unseen == ("lstm: it is a loop",)


def test_the_conditions_are_the_ones_given():
    record = Records(ByHand()).begin().run.record
    assert {name: getattr(record, name) for name in HERE} == HERE


def test_weights_that_are_not_finite_end_a_run_as_diverged():
    census = Records(ByHand(weight=np.inf)).begin()
    census._end()
    assert census.run.record.status == "diverged"


def test_a_census_that_is_closed_is_interrupted():
    census = Records(ByHand()).begin()
    census._close()
    census._close()
    assert census.run.record.status == "interrupted"


def test_a_failure_is_one_warning_and_nothing_more_is_recorded():
    census = Records(ByHand()).begin()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(5):
            with census._telling():
                census._record({}, 0.0)
    (one,) = told
    assert "the training goes on: OSError: the disk is gone" in str(one.message)
    assert census.layers().epoch.tolist() == [0, 1, 2]


def test_a_census_that_fails_at_once_leaves_no_run():
    observer = ByHand()
    observer.looks = 3
    census = Records(observer)
    with pytest.raises(OSError, match="disk"):
        census.begin()
    with pytest.raises(RunError, match="Nothing yet"):
        census.layers()


def test_runs_go_where_the_user_says(tmp_path):
    census = Records(ByHand(), store=tmp_path).begin(keep_weights="every")
    census._end()
    (run,) = lab.RunStore(tmp_path).runs
    assert run.run_id == census.run.run_id
    assert run.weights(0).arrays[0].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("choice", "match"),
    [
        ({"every": 0}, "every must be a whole number from 1"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1"),
        ({"keep_weights": "all"}, "keep_weights must be last, every, none, not 'all'"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"layers": []}, "layers must be names of layers"),
        ({"layers": [1]}, "layers must be names of layers"),
    ],
)
def test_a_choice_that_is_not_possible_is_refused(choice, match):
    with pytest.raises(InputError, match=match):
        Records(ByHand(), **choice)
