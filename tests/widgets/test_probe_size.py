"""The probe's front end, on a network whose neurons open at known images."""

import numpy as np
import pytest

from lab import LabError
from lab.analysis import probes
from lab.widgets import ProbeSize


@pytest.fixture
def run(by_hand, two_kinds):
    """Of its four neurons one is open always, one where pixel 0 is 1.0, one at 0.2, one never."""
    kernel = np.zeros((784, 4), np.float32)
    kernel[0] = 1, 2, -2, -1
    weights = [kernel, np.array([0, -1, 1, 0]), np.zeros((4, 10)), np.zeros(10)]
    return by_hand(two_kinds, [weights, weights])


def test_the_table_says_who_only_looks_dead(run, two_kinds, monkeypatch):
    monkeypatch.setattr(probes, "by_size", only_one_image(probes.by_size))
    front = ProbeSize(run, two_kinds)
    assert [value for _, value in front.images.options] == [1, 40]
    front.images.value = 1
    assert front.frame.to_numpy().tolist() == [[1, 2, 1, 1]]
    assert front.frame.columns[1] == "look dead on 1 images"
    front.images.value = 40
    assert front.frame.to_numpy().tolist() == [[1, 1, 0, 1]]
    assert "40 images." in front.picture.value
    assert front.figure.axes[0].lines[-1].get_xdata() == [40, 40]


def only_one_image(by_size):
    return lambda run, layer, dataset: by_size(run, layer, dataset, (1,))


def test_one_sentence_says_that_the_weights_of_a_run_are_gone(run, two_kinds):
    for file in run.record.weights:
        (run.folder / file.name).unlink()
    assert "cannot be read" in ProbeSize(run, two_kinds).status.value


def test_without_a_run_it_says_how_to_record_one():
    for nothing in (None, []):
        assert "Record one with: lab compare" in ProbeSize(nothing).status.value
    with pytest.raises(LabError, match="runs must be recorded runs or a store"):
        ProbeSize(3)
