"""Pictures of filters: kernels, maps and words are those of the recorded weights."""

import numpy as np
import pytest

from lab import RunStore, load_dataset, neurons
from lab.errors import InputError
from lab.experiment import split
from lab.figures import filters


@pytest.fixture(scope="module")
def run():
    (run,) = RunStore("notebooks/recorded/shown_filters").runs
    return run


@pytest.fixture(scope="module")
def digits():
    return load_dataset("mnist-5k")


def test_each_filter_has_its_kernel_and_its_maps_in_one_column(run, digits):
    figure = filters(neurons.look(run, 1, 5, digits), images=(3, 8)).figure
    shown = [ax.get_images()[0].get_array() for ax in figure.axes[1:]]
    kernel, bias = run.weights()[:2]
    assert len(figure.axes) == 9 * 3
    assert np.array_equal(shown[5], kernel[:, :, 0, 5])
    probe = split(digits, run.config).probe
    assert np.array_equal(shown[8], digits.x_train[probe[3]])
    image = np.pad(digits.x_train[probe[8]] / np.float32(255), (0, 1))  # As Keras pads it.
    places = np.lib.stride_tricks.sliding_window_view(image, (3, 3))[::2, ::2]
    z = (places * kernel[:, :, 0, 5]).sum(axis=(2, 3)) + bias[5]
    assert np.allclose(shown[17 + 6], np.maximum(z, 0), atol=1e-5)


def test_dead_filters_are_named_and_their_maps_are_empty(run, digits):
    picture = filters(neurons.look(run, 1, 5, digits))
    titles = [ax.get_title() for ax in picture.figure.axes[1:9]]
    assert [title.endswith("dead") for title in titles] == run.confirmed(1).tolist()
    maps = [ax.get_images()[0].get_array() for ax in picture.figure.axes[9:]]
    assert not any(maps[9 * row + 1 + unit].any() for row in range(3) for unit in (0, 4, 7))
    assert all(maps[9 * row + 1 + unit].any() for row in range(3) for unit in (1, 3, 5))
    assert "Filter 4: dead, bias −0.363, it fires on 0 / 0 / 0 % of these maps." in picture.alt


def test_what_has_no_kernel_of_grey_pixels_is_refused_in_a_sentence(run, digits):
    with pytest.raises(InputError, match="layer 2 at epoch 5 is not"):
        filters(neurons.look(run, 2, 5, digits))
    with pytest.raises(InputError, match="layer 1 at epoch 3 is not"):  # Its weights are not kept.
        filters(neurons.look(run, 1, 3, digits))
    with pytest.raises(InputError, match="must have the run's data set"):
        filters(neurons.look(run, 1, 5))
