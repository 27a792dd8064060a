"""Checks of the exercises of lesson 9: each gives a hint, never the answer."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lab.classroom.answers import called, matches
from lab.classroom.exercises.shared import exercise, one_run_of, wrong_if

FILTERS, MAPS = 16, 8


@exercise(
    "9.1",
    "A filter has 3 · 3 weights for each map below, and one bias, however large the image is."
    " How many would a dense layer need to make the same outputs?",
)
def _numbers_of_a_convolution(numbers: Any) -> None:
    """16 filters of 3 × 3 look at 8 maps."""
    mistakes = {
        "You have counted the weights. Each filter also has a bias.": FILTERS * 9 * MAPS,
        "Each filter looks at all 8 maps, and has nine weights for each.": FILTERS * 9 + FILTERS,
        "Each filter looks at all 8 maps. And each filter has a bias.": FILTERS * 9,
        "A filter has one bias, not one for each map.": FILTERS * (9 + 1) * MAPS,
        "This is one filter. There are 16.": 9 * MAPS + 1,
        "You took the filters for the maps: 16 filters look at 8 maps.": MAPS * 9 * FILTERS + MAPS,
        "The weights are the same at every place: count them once.": (
            (FILTERS * 9 * MAPS + FILTERS) * 49
        ),
    }
    matches(numbers, FILTERS * (9 * MAPS + 1), mistakes)


@exercise(
    "9.2",
    "This is the neuron that you know, moved over the image: the same nine weights and bias "
    "at every place.",
)
def _a_filter_by_hand(z_of: Any) -> None:
    """The exercise asks for every place where the kernel fits, in steps of 1."""
    image = np.array([[0, 2, 1, 0, 3], [1, 0, 4, 1, 0], [2, 1, 0, 2, 5], [0, 3, 1, 1, 2.0]])
    kernel, bias = np.array([[1, 0, -1], [2, -3, 0.5], [0, 1, 4.0]]), -2.0
    kept = sliding_window_view(image, (3, 3))
    right = (kept * kernel).sum(axis=(2, 3)) + bias
    padded = sliding_window_view(np.pad(image, 1), (3, 3))
    mistakes = {
        "The bias is missing.": right - bias,
        "You subtracted the bias. Add it.": right - 2 * bias,
        "You added the bias nine times: add it once, to the sum.": right + 8 * bias,
        "You applied ReLU, too. The exercise asks for z before it.": np.maximum(right, 0),
        "You turned the kernel round, as mathematics does. Networks leave it as it is.": (
            (kept * kernel[::-1, ::-1]).sum(axis=(2, 3)) + bias
        ),
        "Rows and columns of the kernel are swapped.": (kept * kernel.T).sum(axis=(2, 3)) + bias,
        "You padded the image. Take only the places where the whole kernel fits.": (
            (padded * kernel).sum(axis=(2, 3)) + bias
        ),
        "You took the mean. Take the sum.": (kept * kernel).mean(axis=(2, 3)) + bias,
        "Move the kernel in steps of 1.": right[::2, ::2],
        "Without the last row and column of places: how often does a kernel of 3 fit into 5?": (
            right[:-1, :-1]
        ),
    }
    matches(called(z_of, image, kernel, bias), right, mistakes)


@exercise(
    "9.3",
    "The first three axes are images, rows and columns: one patch above 0 anywhere, and the "
    "filter lives. How many patches are these in the lesson's layer?",
)
def _dead_filters(dead: Any) -> None:
    """Filter 0 fires at one place, 1 never, 2 always, 3 is 0 at most, 4 fires on one image."""
    z = -np.ones((3, 2, 2, 5))
    z[1, 0, 1, 0] = 50.0
    z[..., 2] = 1.0
    z[0, 0, 0, 3] = 0.0
    z[2, ..., 4] = 0.25
    silent = z <= 0
    right = silent.all(axis=(0, 1, 2))
    mistakes = {
        "You ask for each place. A filter is dead if it is silent at all places of all images.": (
            silent.all(axis=0)
        ),
        "You ask for each image. A filter is dead if all images leave it silent.": (
            silent.all(axis=(1, 2))
        ),
        "Ask whether all places leave it silent, not whether some place does.": (
            silent.any(axis=(0, 1, 2))
        ),
        "Is z = 0 above 0? ReLU lets nothing through there.": (z < 0).all(axis=(0, 1, 2)),
        "You took the mean of z. A single patch above 0 keeps a filter alive.": (
            z.mean(axis=(0, 1, 2)) <= 0
        ),
        "These are the living filters.": ~right,
        "You count. The exercise asks which filters are dead.": right.sum(),
        "You ask whether all filters are silent. Ask for each filter: see `axis`.": (
            silent.all(axis=(1, 2, 3))
        ),
    }
    matches(called(dead, z), right, mistakes)


@exercise(
    "9.4",
    "The filter wakes at the patch with its largest z, and this z is what the bias has to "
    "make up for. Is this patch blank?",
)
def _rise_of_the_bias(run: Any, unit: int, rise: Any) -> None:
    """The largest z of layer 1 rises with the bias; a little more than needed is right, too."""
    run = one_run_of(run)
    run.check_unit(1, unit)
    largest = float(run.last_summaries(1).max_z[unit])
    wrong_if(largest > 0, f"Filter {unit} of layer 1 is alive. Choose a dead one.")
    bias = float(run.biases(1)[-1][unit])
    value = float(rise)
    if -largest * 0.999 <= value <= -largest * 1.05:
        return
    mistakes = {
        "This would push it deeper. The bias has to rise.": largest,
        "This brings the bias to 0. Does this filter need that much?": -bias,
        "This is its bias.": bias,
        "This is the bias after the rise. The exercise asks for the rise.": bias - largest,
    }
    wrong_if(
        value > -largest * 1.05 and not np.isclose(value, -bias, rtol=0.01),
        "With this rise it fires, but less is enough. What is its largest z?",
    )
    matches(value, -largest, mistakes, tolerance=0.01)
