"""How many images it takes to know that a neuron lives, on a network worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from lab import LabError, compare, register
from lab.activations import registry
from lab.analysis import probes
from lab.experiment.data import split, stratified_order
from lab.network import programs


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
    monkeypatch.setattr(programs, "SMALLEST_BLOCK", 3)
    programs._first_open.cache_clear()
    probes._known.clear()
    assert probes.first_open(run, 1, two_kinds).tolist() == whole


def test_each_layer_has_its_own_units(by_hand, two_kinds):
    """Layer 1 gives 1 and 0, of which layer 2's three units take the first, the second, none."""
    first = np.zeros((784, 2)), np.array([1, -1])
    second = np.array([[1, -1, 0], [0, 0, 0]]), np.array([0, 0, -1])
    weights = [*first, *second, np.zeros((3, 10)), np.zeros(10)]
    run = by_hand(two_kinds, [weights, weights])
    assert probes.first_open(run, 1, two_kinds).tolist() == [1, 41]
    assert probes.first_open(run, 2, two_kinds).tolist() == [1, 41, 41]


def test_by_default_it_is_the_first_layer_even_of_one_unit(by_hand, two_kinds):
    first, second = (np.zeros((784, 1)), np.array([1])), (np.zeros((1, 2)), np.array([0, -1]))
    weights = [*first, *second, np.zeros((2, 10)), np.zeros(10)]
    run = by_hand(two_kinds, [weights, weights])
    assert probes.first_open(run, dataset=two_kinds).tolist() == [1]
    assert probes.by_size(run, dataset=two_kinds).dead_fraction.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("activation", "z", "closed"),
    [
        ("relu", [1, 0, -1], [False, True, True]),
        ("leaky_relu", [1, 0, -1], [False, False, False]),
        ("elu", [1, -87.3, -87.4], [False, False, True]),
        ("tanh", [1, 20, -20], [False, True, True]),
        ("sigmoid", [1, 20, -87, -110], [False, True, False, True]),
        ("gelu", [1, -4, -20], [False, False, True]),
    ],
)
def test_a_gate_is_open_where_float32_has_a_gradient(by_hand, two_kinds, activation, z, closed):
    """Each unit has the same z on all images. 1 - 1 is 0, and so is what is below 1.18e-38."""
    weights = [np.zeros((784, len(z))), np.array(z), np.zeros((len(z), 10)), np.zeros(10)]
    run = by_hand(two_kinds, [weights, weights], activation=activation)
    assert (probes.first_open(run, 1, two_kinds) == 41).tolist() == closed


@pytest.mark.seldom
def test_of_every_function_those_that_no_image_opens_are_the_confirmed_dead(tmp_path):
    register("probed", lambda z: tf.where(z > 1.0, z, 0.0 * z))
    for activation in (*registry.names(), "probed"):
        (run,) = compare(
            (activation,),
            seeds=1,
            dataset="mnist-5k",
            learning_rate=0.1,
            epochs=5,
            hidden=(64, 48),
            store=tmp_path,
        )
        for layer in run.layers:
            closed = probes.first_open(run, layer) > run.record.train_images
            assert closed.tolist() == run.confirmed(layer).tolist(), (activation, layer)


def test_ever_fewer_look_dead_and_all_images_tell_the_truth(run, two_kinds):
    table = probes.by_size(run, 1, two_kinds, (1, 20, 40, 1000))
    assert table.images.tolist() == [1, 20, 40]
    assert table.dead_fraction.tolist() == [0.5, 0.25, 0.25]
    assert table.wrong.tolist() == [1, 0, 0]
    assert table.dead_fraction.iloc[-1] == run.confirmed(1).mean()


def test_a_neuron_that_only_the_last_image_opens_is_alive(run, two_kinds, monkeypatch):
    monkeypatch.setattr(probes, "first_open", lambda *_: np.array([1, 40, 41]))
    table = probes.by_size(run, 1, two_kinds, (39,))
    assert table.wrong.tolist() == [1, 0]
    assert table.dead_fraction.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_the_sizes_are_one_and_three_times_the_powers_of_ten(run, two_kinds):
    wanted = sorted([10**power for power in range(1, 6)] + [3 * 10**n for n in range(1, 5)])
    assert list(probes.SIZES) == wanted
    assert probes.by_size(run, 1, two_kinds).images.tolist() == [10, 30, 40]


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
