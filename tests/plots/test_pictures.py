"""Images and weights of images as pictures: grey, with one channel, in colour, with others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from lab.figures import of_neurons
from lab.plots import pictures
from lab.plots.canvas import png

RNG = np.random.default_rng(0)


def drawn(image):
    ax = Figure().subplots()
    pictures.draw(ax, image)
    (found,) = ax.get_images()
    png(ax.figure)
    return found


@pytest.mark.parametrize("shape", [(12, 10), (12, 10, 1)])
def test_a_grey_image_is_drawn_dark_on_white(shape):
    image = RNG.integers(0, 256, shape, np.uint8)
    found = drawn(image)
    np.testing.assert_array_equal(found.get_array(), image.reshape(12, 10))
    assert found.get_cmap().name == "gray_r"
    assert found.get_clim() == (image.min(), image.max())


def test_an_image_in_colour_is_drawn_in_its_colours():
    image = RNG.integers(0, 256, (12, 10, 3), np.uint8)
    np.testing.assert_array_equal(drawn(image).get_array(), image)


@pytest.mark.parametrize("channels", [2, 4, 7])
def test_of_other_channels_the_mean_is_drawn(channels):
    image = RNG.integers(0, 256, (12, 10, channels), np.uint8)
    np.testing.assert_allclose(drawn(image).get_array(), image.mean(axis=2))


def test_weights_of_grey_pixels_are_a_picture_of_the_images_shape():
    weights = np.arange(120, dtype=np.float32)
    for shape in ((12, 10), (12, 10, 1)):
        found = pictures.on_pixels(weights, shape)
        np.testing.assert_array_equal(found, weights.reshape(12, 10))
        assert pictures.colour_ticks(found) == ([], ())


def test_weights_of_coloured_pixels_are_three_pictures_side_by_side_with_names():
    weights = RNG.normal(size=(4, 5, 3)).astype(np.float32)
    for incoming in (weights.reshape(-1), weights):  # Of a dense unit, of a filter.
        found = pictures.on_pixels(incoming, (4, 5, 3))
        assert found.shape == (4, 17)
        for colour in range(3):
            np.testing.assert_array_equal(
                found[:, 6 * colour : 6 * colour + 5], weights[..., colour]
            )
        assert np.isnan(found[:, [5, 11]]).all()
    ticks, names = pictures.colour_ticks(found)
    assert (ticks, names) == ([2, 8, 14], ("red", "green", "blue"))


@given(st.integers(4, 9), st.integers(4, 9), st.integers(1, 6))
def test_whatever_leads_from_pixels_is_a_picture_or_none(height, width, channels):
    incoming = np.ones(height * width * channels, np.float32)
    found = pictures.on_pixels(incoming, (height, width, channels))
    expected = {1: (height, width), 3: (height, 3 * width + 2)}.get(channels)
    assert (None if found is None else found.shape) == expected
    assert pictures.on_pixels(incoming[1:], (height, width, channels)) is None


@pytest.mark.parametrize(
    ("shape", "words"),
    [((6, 5), "dark on white"), ((6, 5, 1), "dark on white"), ((6, 5, 3), "in colour")],
)
def test_images_in_rows_are_drawn_whatever_their_shape(shape, words):
    images = RNG.integers(0, 256, (3, *shape), np.uint8)
    found = of_neurons.digits(images, np.array([2, 0, 1], np.uint8))
    assert found.alt == f"3 images, {words}. Their labels: 2, 0, 1."
    shown = [ax.get_images()[0].get_array().shape for ax in found.figure.axes if ax.get_images()]
    assert shown == [shape if shape[-1] == 3 else (6, 5)] * 3
    png(found.figure)


def test_images_side_by_side_stand_in_squares_of_white_paper():
    tall = np.full((2, 4, 2), 9, np.uint8)
    assert pictures.side_by_side(tall)[0].tolist() == [0, 9, 9, 0] * 2
    coloured = np.full((2, 4, 3, 3), 9, np.uint8)
    row = pictures.side_by_side(coloured)
    assert row.shape == (4, 8, 3)
    assert row[0, :, 0].tolist() == [9, 9, 9, 255] * 2
    wide = np.full((2, 2, 4), 9, np.uint8)
    assert pictures.side_by_side(wide).shape == (2, 8)
