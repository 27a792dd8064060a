"""Figures of filters: their kernels, and where on an image each one fires."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lab.census import lives
from lab.errors import InputError
from lab.experiment import Dataset
from lab.figures.captioned import CaptionedFigure, panel_grid
from lab.plots import canvas
from lab.runs import LayerView
from lab.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EMPTY = "gray_r"  # White: the filter is silent there.


def filters(view: LayerView, images: Sequence[int] = (0, 1, 2)) -> CaptionedFigure:
    """Draws every filter of a convolution over grey images: its kernel, and its map of images.

    A column for each filter; in the first row its kernel, below it where it fires on each image.

    Args:
        view: The layer, as `neurons.look` shows it with the data set.
        images: The places of some images in the probe set.

    Raises:
        InputError: If the layer is no convolution over grey images, or if the run did not keep its
            weights or the data set is missing.
    """
    kernel = _kernel(view)
    maps, pictures, labels = _maps_and_images(view, images)
    count = kernel.shape[-1]
    states = [lives.STATES[s] for s in lives.states(view.run.layer(view.layer))[view.epoch]]
    with canvas.style():
        figure, axes = panel_grid((1 + count) * (1 + len(images)), 1 + count, (1.15, 1.25))
        rows = [axes[i : i + 1 + count] for i in range(0, len(axes), 1 + count)]
        axes[0].set_axis_off()
        for unit, ax in enumerate(rows[0][1:]):
            largest = float(np.abs(kernel).max())
            _picture(ax, kernel[..., unit], "PuOr", -largest, largest)
            ax.set_title(f"filter {unit}\n{states[unit]}", loc="center", fontsize=canvas.CAPTION)
        for row, image, some in zip(rows[1:], pictures, maps, strict=True):
            _picture(row[0], image, EMPTY, 0, 255)
            for unit, ax in enumerate(row[1:]):
                _picture(ax, some[..., unit], EMPTY, min(0.0, float(maps.min())), float(maps.max()))
    return CaptionedFigure(
        f"filters of layer {view.layer}, epoch {view.epoch}",
        figure,
        f"The {count} filters of layer {view.layer} at epoch {view.epoch}, a column each: the "
        f"kernel, and below it the map of activations on the digits "
        f"{', '.join(map(str, labels))}. {_words(view, states, maps)}",
    )


def _kernel(view: LayerView) -> NDArray[np.float32]:
    kernel = view.kernel
    if kernel is None or kernel.ndim != 4 or kernel.shape[2] != 1:
        raise InputError(
            f"view must be of a convolution over grey images whose weights are kept, such as "
            f"layer 1 of a cnn; layer {view.layer} at epoch {view.epoch} is not."
        )
    return kernel[:, :, 0]


def _maps_and_images(
    view: LayerView, images: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns the maps of some images, of shape (images, height, width, filters), and the images.

    The last array holds their labels.
    """
    if view.z is None or not isinstance(view.dataset, Dataset):
        raise InputError("view must have the run's data set: neurons.look(run, dataset=…).")
    places = np.array(images)
    return view.run.config.f(view.z[places]), *view.of_probe(places)


def _picture(
    ax: "Axes", picture: NDArray[np.generic], colours: str, low: float, high: float
) -> None:
    ax.imshow(picture, cmap=colours, vmin=low, vmax=high or 1.0)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(True)


def _words(view: LayerView, states: Sequence[str], maps: NDArray[np.float32]) -> str:
    fires = 100 * (maps > 0).mean(axis=(1, 2))
    biases = np.full(len(states), np.nan) if view.bias is None else view.bias
    return " ".join(
        f"Filter {unit}: {state}, bias {number(float(bias))}, it fires on "
        f"{' / '.join(f'{share:.0f}' for share in fires[:, unit])} % of these maps."
        for unit, (state, bias) in enumerate(zip(states, biases, strict=True))
    )
