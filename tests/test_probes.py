"""How many images it takes to know that a neuron lives, on a network worked out by hand."""

import numpy as np
import pytest

from lab import LabError, probes
from lab.data import split, stratified_order


@pytest.fixture
def run(by_hand, two_kinds):
    """Of its four neurons one is open always, one where pixel 0 is 1.0, one at 0.2, one never."""
    kernel = np.zeros((784, 4), np.float32)
    kernel[0] = 1, 2, -2, -1
    bias = np.array([0, -1, 1, 0])
    weights = [kernel, bias, np.zeros((4, 10)), np.zeros(10)]
    return by_hand(two_kinds, [weights, weights])


def test_a_neuron_is_known_to_live_from_the_first_image_that_opens_its_gate(run, two_kinds):
    train = split(two_kinds, run.config).train
    labels = two_kinds.y_train[train][stratified_order(two_kinds.y_train[train])]
    bright, dim = (1 + int(np.argmax(labels % 2 == odd)) for odd in (0, 1))
    assert {bright, dim} != {1}
    assert probes.first_open(run, 1, two_kinds).tolist() == [1, bright, dim, 41]


def test_blocks_of_images_do_not_change_the_answer(run, two_kinds, monkeypatch):
    whole = probes.first_open(run, 1, two_kinds).tolist()
    monkeypatch.setattr(probes, "BLOCK", 3)
    assert probes.first_open(run, 1, two_kinds).tolist() == whole


def test_ever_fewer_look_dead_and_all_images_tell_the_truth(run, two_kinds):
    table = probes.by_size(run, 1, two_kinds, (1, 20, 40, 1000))
    assert table.images.tolist() == [1, 20, 40]
    assert table.dead_fraction.tolist() == [0.5, 0.25, 0.25]
    assert table.wrong.tolist() == [1, 0, 0]
    assert table.dead_fraction.iloc[-1] == run.confirmed(1).mean()


def test_the_picture_has_a_line_for_each_layer(run, two_kinds):
    ax = probes.draw(run, two_kinds)
    (line,) = ax.lines
    assert line.get_ydata()[-1] == 25
    assert (line.get_label(), ax.get_xscale()) == ("layer 1", "log")


def test_the_pictures_words_are_its_numbers(run, two_kinds):
    words = probes.picture(run, two_kinds).alt
    assert "ReLU, two kinds, learning rate 0.001, seed 0. layer 1: 10 images" in words
    assert words.endswith("40 images 25.0 %.")


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_a_probe_of_no_images_is_refused(run, two_kinds, size):
    with pytest.raises(LabError, match=f"sizes must be whole numbers of at least 1, not {size}"):
        probes.by_size(run, 1, two_kinds, (size,))


def test_what_is_no_list_of_sizes_or_no_run_is_refused(run, two_kinds):
    with pytest.raises(LabError, match="sizes must be a list of numbers of images, not 100"):
        probes.by_size(run, 1, two_kinds, 100)
    with pytest.raises(LabError, match=r"run must be one recorded run, such as runs\[0\]"):
        probes.by_size([run], 1, two_kinds)


def test_a_layer_that_is_not_there_and_other_images_are_refused(run, two_kinds, tiny):
    with pytest.raises(LabError, match="layer must be from 1 to 1"):
        probes.first_open(run, 2, two_kinds)
    with pytest.raises(LabError, match="was trained on other images than tiny"):
        probes.first_open(run, 1, tiny)
