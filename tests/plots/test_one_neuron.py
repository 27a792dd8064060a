"""One neuron's pictures: captions that never touch, and marks that mean something."""

import dataclasses
import itertools

import numpy as np
import pytest

from lab.figures import of_neurons
from lab.plots import one_neuron, palette
from lab.runs import neurons


@pytest.fixture
def neuron(by_hand, two_kinds):
    weights = [np.ones((784, 1)), np.zeros(1), np.zeros((1, 10)), np.zeros(10)]
    return neurons.look(by_hand(two_kinds, [weights, weights]), 1, dataset=two_kinds).neuron(0)


def channel(neuron, shape=(28, 28), state="alive"):
    """The same neuron with the images and peaks of a channel: the peak is right and above."""
    images = np.zeros((8, *shape), np.uint8)
    peaks = np.tile([0.25, 0.75], (8, 1))
    return dataclasses.replace(neuron, images=images, peaks=peaks, state=state)


@pytest.mark.parametrize("shape", [(28, 28), (60, 12), (60, 12, 3), (12, 60)])
@pytest.mark.parametrize("z", [-3.5, -0.00123, 1e20, -123456.0])
def test_captions_never_touch_whatever_the_images_names_and_numbers(neuron, shape, z):
    names = (
        "T-shirt/top",
        "WWWWWWWWWWWWWW",
        "7",
        "Ankle boot",
        "an even longer name",
        "a",
        "b",
        "c",
    )
    odd = dataclasses.replace(
        channel(neuron, shape), classes=names, image_z=np.full(8, z, np.float32)
    )
    for map_too in (None, np.zeros((3, 3), np.float32)):
        odd = dataclasses.replace(odd, feature_map=map_too, opened=np.ones((3, 3), bool))
        figure = of_neurons.portrait(odd).figure
        figure.canvas.draw()
        captions = figure.axes[-1].get_xticklabels()
        boxes = [caption.get_window_extent() for caption in captions]
        assert len(boxes) == 8
        assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))
        assert min(box.y0 for box in boxes) > 0


def test_a_caption_is_the_class_over_the_z_and_the_title_says_so_once(neuron):
    seen = dataclasses.replace(
        channel(neuron), classes=tuple("76543210"), image_z=np.array([-3.54, 0.25, *range(6)])
    )
    ax = one_neuron.exciting(seen)
    words = [label.get_text() for label in ax.get_xticklabels()]
    assert words[:3] == ["7\n−3.54", "6\n0.25", "5\n0"]
    assert ax.get_title("left").endswith("that excite it most, each with its class and z")


@pytest.mark.parametrize(("shape", "at"), [((28, 28), (20.5, 6.5)), ((20, 8), (11.5, 4.5))])
def test_a_ring_marks_where_an_image_excites_a_channel(neuron, shape, at):
    (rings,) = one_neuron.exciting(channel(neuron, shape)).lines
    across, down = rings.get_data()
    assert (across[0], down[0]) == at
    assert np.diff(across).tolist() == [shape[0]] * 7


@pytest.mark.parametrize("state", ["dead", "always negative"])
def test_a_channel_that_fires_nowhere_has_no_rings(neuron, state):
    assert len(one_neuron.exciting(channel(neuron, state=state)).lines) == 0


def test_the_gate_is_not_orange_as_weights_that_hold_a_neuron_down(neuron):
    ax = one_neuron.histogram(neuron)
    gate = next(other for other in ax.figure.axes if other is not ax).lines[0]
    assert one_neuron.weights(neuron).get_images()[0].cmap.name == "PuOr"
    assert gate.get_color() == palette.INK
