"""Images, and weights of images, in grey or in colour, as what Matplotlib draws."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("red", "green", "blue")


def draw(ax: "Axes", image: NDArray[np.uint8]) -> None:
    """Draws an image: grey ones dark on white, colours as they are.

    Args:
        ax: Where.
        image: Shape (height, width) or (height, width, channels). Three channels are red, green
            and blue; of any other number of channels the mean is drawn.
    """
    shown = _as_shown(image)
    ax.imshow(shown, cmap="gray_r" if shown.ndim == 2 else None, aspect="equal")


def side_by_side(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns images in a row as one image; each has at least the width of a square.

    Args:
        images: Shape (n, height, width) or (n, height, width, channels).
    """
    missing = max(images.shape[1] - images.shape[2], 0)
    sides = (missing // 2, missing - missing // 2)
    around = [(0, 0), (0, 0), sides, (0, 0)][: images.ndim]
    paper = 255 if is_coloured(images) else 0
    return np.hstack(list(np.pad(images, around, constant_values=paper)))


def is_coloured(images: NDArray[np.uint8]) -> bool:
    """Tells whether images, of shape (n, height, width) or with channels, are in colour."""
    return images.ndim == 4 and images.shape[-1] == len(COLOURS)


def _as_shown(image: NDArray[Any]) -> NDArray[Any]:
    if image.ndim == 2 or image.shape[-1] == len(COLOURS):
        return image
    return image[..., 0] if image.shape[-1] == 1 else image.mean(axis=-1)


def on_pixels(
    incoming: NDArray[np.float32], image_shape: tuple[int, ...]
) -> NDArray[np.float32] | None:
    """Returns weights that lead from pixels as one picture; None if they lead from elsewhere.

    Those from red, green and blue pixels are side by side, with a column of NaN between them.

    Args:
        incoming: A dense unit's weights, one for each value of an image, or a filter of shape
            (height, width, channels).
        image_shape: The shape of an image.
    """
    if incoming.ndim == 1:
        if incoming.size != math.prod(image_shape):
            return None
        incoming = incoming.reshape(image_shape)
    if incoming.ndim == 2:
        return incoming
    if incoming.shape[-1] not in (1, len(COLOURS)):
        return None
    gap = np.full((len(incoming), 1), np.nan, np.float32)
    first, *others = np.moveaxis(incoming, -1, 0)
    return np.hstack([first, *(part for other in others for part in (gap, other))])


def colour_ticks(picture: NDArray[np.float32]) -> tuple[list[float], tuple[str, ...]]:
    """Returns the positions and names of the colours under a picture of `on_pixels`.

    There are none where a single picture is drawn.
    """
    if not np.isnan(picture[0]).any():
        return [], ()
    width = (picture.shape[1] + 1) / len(COLOURS)
    return [width * (number + 0.5) - 1 for number in range(len(COLOURS))], COLOURS
