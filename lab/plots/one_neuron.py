"""One neuron: its weights, its pre-activations, its history, and what excites it."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.census import lives, units
from lab.plots import pictures
from lab.plots.canvas import CAPTION, TEXT, axes, beside
from lab.plots.function_curves import broken
from lab.plots.neuron_lives import LIFE_COLOURS, LIFE_MARKERS, epochs_or_tasks
from lab.plots.palette import GREY, INK, PALE, PLUM, SILVER
from lab.runs import Neuron
from lab.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = 400  # Points that the marks of all epochs take, side by side.
CAPTION_POINTS = 60  # Where images are smallest, they are 65 points apart.
RING: Any = {"ls": "", "marker": "o", "mfc": "none", "mec": PLUM, "mew": 2, "ms": 11}
ZERO: Any = {"color": GREY, "lw": 1, "ls": ":"}


def weights(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws a neuron's incoming weights: as a picture if it looks at pixels, else as a histogram.

    A convolution has a picture for each channel that it looks at. Violet weights excite the
    neuron where a pixel is bright, orange ones hold it down.
    """
    with axes(ax, (3.6, 3.4)) as ax:
        if neuron.incoming is None:
            kept = neuron.epoch in neuron.run.kept_epochs
            why = "it has no weights of its own" if kept else "its weights of this epoch"
            return _nothing(ax, f"{why}\n{'to show here' if kept else 'were not kept'}")
        below = neuron.run.layout.sites[neuron.layer - 1].below
        picture = _on_pixels(neuron) if below == 0 else None
        by_channel = picture is None and neuron.incoming.ndim == 3
        if by_channel:
            picture = _tiles(neuron.incoming)
        if picture is None:
            ax.hist(neuron.incoming.ravel(), bins=40, color=GREY)
            ax.axvline(0, color=INK, lw=1)
            given = f"layer {below}" if below else "below"
            ax.set(xlabel=f"weights from {given}", title="incoming weights")
            return ax
        largest = float(np.nanmax(np.abs(picture))) or 1.0
        shown = ax.imshow(picture, cmap="PuOr", vmin=-largest, vmax=largest)
        ax.figure.colorbar(shown, cax=ax.inset_axes((1.03, 0, 0.05, 1)))
        ax.set_xticks(*(([], ()) if by_channel else pictures.colour_ticks(picture)))
        ax.set(yticks=[], title="incoming weights")
        if by_channel:
            ax.set_xlabel(f"by channel of layer {below}" if below else "by channel")
    return ax


def _tiles(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns a kernel of shape (height, width, channels) as rows of pictures, one a channel."""
    height, width, channels = kernel.shape
    columns = math.ceil(math.sqrt(channels))
    rows = -(-channels // columns)
    tiles = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan, np.float32)
    for channel in range(channels):
        row, column = divmod(channel, columns)
        top, left = row * (height + 1), column * (width + 1)
        tiles[top : top + height, left : left + width] = kernel[:, :, channel]
    return tiles


def _on_pixels(neuron: Neuron) -> NDArray[np.float32] | None:
    if neuron.incoming is None:
        return None
    return pictures.on_pixels(neuron.incoming, neuron.run.config.image_shape)


def histogram(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws a neuron's pre-activations on the probe set, with its gate f'(z) over them."""
    with axes(ax, (4.5, 3.4)) as ax:
        if neuron.z is None:
            return _nothing(ax, "its pre-activations are\nnot available here")
        finite = neuron.z[np.isfinite(neuron.z)]
        low, high = (min(finite.min(), -1.0), max(finite.max(), 1.0)) if finite.size else (-1, 1)
        counts, edges = np.histogram(finite, bins=60, range=(low, high))
        ax.stairs(100 * counts / neuron.z.size, edges, fill=True, color=SILVER)
        ax.axvline(0, **ZERO)
        ax.set(
            xlabel="pre-activation z", ylabel=_observations(neuron.z), title="its z at this epoch"
        )
        config = neuron.run.config
        z = np.linspace(low, high, 601)
        parameter = config.alpha if neuron.slope is None else neuron.slope
        gate = broken(config.function.derivative(z, parameter))
        right = beside(ax)
        right.plot(z, gate, color=INK, lw=2.5)
        right.set_ylabel("gate f'(z)", color=INK, labelpad=6)
        right.set_ylim(min(0.0, float(np.nanmin(gate))) - 0.03, 1.05 * float(np.nanmax(gate)))
    return ax


def _observations(z: NDArray[np.float32]) -> str:
    return "images, %" if z.ndim == 1 else "images × positions, %"


def history(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws a neuron's lowest and highest pre-activation at each epoch, and its state."""
    layer = neuron.run.layer(neuron.layer)
    low, high = layer.min_z[:, neuron.unit], layer.max_z[:, neuron.unit]
    with axes(ax, (4.5, 3.4)) as ax:
        ax.fill_between(np.arange(len(low)), low, high, color=PALE)
        ax.plot(high, color=INK, lw=2)
        ax.axhline(0, **ZERO)
        ax.axvline(neuron.epoch, **ZERO)
        _mark_states(neuron, high, ax)
        ax.legend(loc="best", fontsize=CAPTION)
        ax.set(ylabel="z", title="its z at each epoch")
        epochs_or_tasks(ax, neuron.run)
    return ax


def _mark_states(neuron: Neuron, heights: NDArray[Any], ax: "Axes") -> None:
    """Marks a neuron's state at each epoch; marks of many epochs are smaller."""
    states = lives.states(neuron.run.layer(neuron.layer))[:, neuron.unit]
    size = min(9.0, max(3.0, MARKS / len(states)))
    for state in np.unique(states):
        at = np.flatnonzero(states == state)
        colour, marker = LIFE_COLOURS[state], LIFE_MARKERS[state]
        label = lives.STATES[state]
        known = np.nan_to_num(heights[at])
        ax.plot(at, known, marker, ms=size, mfc=colour, mec=INK, label=label, ls="")


def open_share(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws on how many of the probe's images a neuron's gate is open, at each epoch."""
    shares = 100 * units.open_share(neuron.run.layer(neuron.layer))[:, neuron.unit]
    positions = neuron.run.layout.sites[neuron.layer - 1].positions
    of = "images" if positions == 1 else "images × positions"
    with axes(ax, (7.0, 2.2)) as ax:
        if np.isnan(shares).all():
            return _nothing(ax, "its gate is not bounded: when it is open is not defined")
        ax.plot(shares, color=INK, lw=2)
        _mark_states(neuron, shares, ax)
        ax.set(ylabel=f"{of}, %", title="where its gate is open", ylim=(-4, 104))
        epochs_or_tasks(ax, neuron.run)
    return ax


def mean_activation(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws a neuron's mean activation on the probe at each epoch."""
    means = neuron.run.layer(neuron.layer).mean[:, neuron.unit]
    with axes(ax, (7.0, 2.2)) as ax:
        ax.plot(means, color=INK, lw=2)
        ax.axhline(0, **ZERO)
        _mark_states(neuron, means, ax)
        ax.set(ylabel="mean a", title="its mean activation")
        epochs_or_tasks(ax, neuron.run)
    return ax


def exciting(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws the probe images that excite a neuron most, each over its class and its z.

    For a channel that is alive, a ring marks where in each image its z is largest.
    """
    with axes(ax, (9.0, 1.7)) as ax:
        if neuron.images is None or neuron.labels is None or neuron.image_z is None:
            return _nothing(ax, "its images are not available here")
        strip = pictures.side_by_side(neuron.images)
        pictures.draw(ax, strip)
        pitch = strip.shape[1] // len(neuron.images)
        lefts = pitch * np.arange(len(neuron.images))
        if neuron.peaks is not None and neuron.state == "alive":  # Else it is blank paper.
            ax.plot(*_rings(neuron.peaks, neuron.images.shape[1:3], pitch, lefts), **RING)
        words = [
            f"{_cut(n)}\n{_short(z)}" for n, z in zip(neuron.classes, neuron.image_z, strict=True)
        ]
        wide = max(map(_points, "\n".join(words).splitlines())) * TEXT / CAPTION > CAPTION_POINTS
        ax.set_xticks(lefts + pitch / 2 - 0.5, words, fontsize=CAPTION if wide else TEXT)
        ax.tick_params(length=0)
        title = f"the {neuron.image_noun} that excite it most, each with its class and z"
        ax.set(yticks=[], title=title)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
    return ax


def _rings(
    peaks: NDArray[np.float64], shape: tuple[int, ...], pitch: int, lefts: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns where the peaks of images lie in their row: across and down."""
    down, right = peaks.T * [[shape[0]], [shape[1]]] - 0.5
    return lefts + (pitch - shape[1]) // 2 + right, down


def _cut(name: str) -> str:
    """Returns a name, cut where it is wider than its image."""
    while _points(name) > CAPTION_POINTS:
        name = f"{name[:-2]}…"
    return name


def _short(z: float) -> str:
    """Returns a number in words, or with a power of ten where it is wider than its image."""
    words = number(float(z))
    return words if _points(words) <= CAPTION_POINTS else f"{z:.2g}".replace("-", "−")


def _points(words: str) -> float:
    """Returns the width of a caption, in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=CAPTION)
    return float(text_to_path.get_text_width_height_descent(words, font, False)[0])


def feature_map(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws a channel's pre-activations on the image that excites it most, and where it is dead.

    Violet positions excite it, orange ones hold it down; a cross is where no probe image opens it.
    """
    with axes(ax, (3.6, 3.4)) as ax:
        if neuron.feature_map is None or neuron.opened is None:
            return _nothing(ax, "its feature map is\nnot available here")
        largest = float(np.abs(neuron.feature_map).max()) or 1.0
        shown = ax.imshow(neuron.feature_map, cmap="PuOr", vmin=-largest, vmax=largest)
        ax.figure.colorbar(shown, cax=ax.inset_axes((1.03, 0, 0.05, 1)))
        down, right = np.nonzero(~neuron.opened)
        ax.plot(right, down, "x", color=GREY, ms=4)
        ax.set(xticks=[], yticks=[], title="its z on the first image")
        ax.set_xlabel(f"× dead here: {len(down)} of {neuron.opened.size}")
    return ax


def _nothing(ax: "Axes", words: str) -> "Axes":
    ax.set_axis_off()
    ax.text(0.5, 0.5, words, ha="center", va="center", transform=ax.transAxes, color=GREY)
    return ax
