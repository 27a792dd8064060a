"""One neuron: its weights, its pre-activations, its history, and what excites it."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lab.census import lives
from lab.layout import IMAGE_SHAPE
from lab.plots.canvas import axes, beside, whole_epochs
from lab.plots.function_curves import GATE, broken
from lab.plots.neuron_lives import LIFE_COLOURS, LIFE_MARKERS
from lab.runs import Neuron
from lab.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def weights(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws a neuron's incoming weights: as a picture if it looks at pixels, else as a histogram.

    Violet weights excite the neuron where a pixel is bright, orange ones hold it down.
    """
    with axes(ax, (3.6, 3.4)) as ax:
        if neuron.incoming is None:
            return _nothing(ax, "its weights of this epoch\nwere not kept")
        below = neuron.run.layout.sites[neuron.layer - 1].below
        picture = _on_pixels(neuron.incoming) if below == 0 else None
        if picture is None:
            ax.hist(neuron.incoming.ravel(), bins=40, color="#888888")
            ax.axvline(0, color="black", lw=1)
            given = f"layer {below}" if below else "below"
            ax.set(xlabel=f"weights from {given}", title="incoming weights")
            return ax
        largest = float(np.abs(picture).max()) or 1.0
        shown = ax.imshow(picture, cmap="PuOr", vmin=-largest, vmax=largest)
        ax.figure.colorbar(shown, cax=ax.inset_axes((1.03, 0, 0.05, 1)))
        ax.set(xticks=[], yticks=[], title="incoming weights")
    return ax


def _on_pixels(incoming: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Returns a dense unit's or a grey filter's weights as a picture; None for several colours."""
    if incoming.ndim == 1:
        return incoming.reshape(IMAGE_SHAPE)
    return incoming[..., 0] if incoming.shape[-1] == 1 else None


def histogram(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws a neuron's pre-activations on the probe set, with its gate f'(z) over them."""
    with axes(ax, (4.5, 3.4)) as ax:
        if neuron.z is None:
            return _nothing(ax, "its pre-activations are\nnot available here")
        finite = neuron.z[np.isfinite(neuron.z)]
        low, high = (min(finite.min(), -1.0), max(finite.max(), 1.0)) if finite.size else (-1, 1)
        counts, edges = np.histogram(finite, bins=60, range=(low, high))
        ax.stairs(100 * counts / neuron.z.size, edges, fill=True, color="#999999")
        ax.axvline(0, color="#555555", lw=1, ls=":")
        ax.set(
            xlabel="pre-activation z", ylabel=_observations(neuron.z), title="its z at this epoch"
        )
        config = neuron.run.config
        z = np.linspace(low, high, 601)
        gate = broken(config.gate(z))
        right = beside(ax)
        right.plot(z, gate, color=GATE, lw=2.5)
        right.set_ylabel("gate f'(z)", color=GATE, labelpad=6)
        right.set_ylim(min(0.0, float(np.nanmin(gate))) - 0.03, 1.05 * float(np.nanmax(gate)))
    return ax


def _observations(z: NDArray[np.float32]) -> str:
    return "images, %" if z.ndim == 1 else "images × positions, %"


def history(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws a neuron's lowest and highest pre-activation at each epoch, and its state."""
    layer = neuron.run.layer(neuron.layer)
    low, high = layer.min_z[:, neuron.unit], layer.max_z[:, neuron.unit]
    states = lives.states(layer)[:, neuron.unit]
    epochs = np.arange(len(states))
    with axes(ax, (4.5, 3.4)) as ax:
        ax.fill_between(epochs, low, high, color="#dddddd")
        ax.plot(epochs, high, color="black", lw=2)
        ax.axhline(0, color="#555555", lw=1, ls=":")
        ax.axvline(neuron.epoch, color="#555555", lw=1, ls=":")
        for state in np.unique(states):
            at = epochs[states == state]
            heights = np.nan_to_num(high[states == state])
            colour, marker = LIFE_COLOURS[state], LIFE_MARKERS[state]
            label = lives.STATES[state]
            ax.plot(at, heights, marker, ms=9, mfc=colour, mec="black", label=label, ls="")
        ax.legend(loc="best", fontsize=10)
        ax.set(ylabel="z", title="its z at each epoch")
        whole_epochs(ax)
    return ax


def exciting(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws the probe images that excite a neuron most, each with its label and z."""
    with axes(ax, (9.0, 1.7)) as ax:
        if neuron.images is None or neuron.labels is None or neuron.image_z is None:
            return _nothing(ax, "its images are not available here")
        ax.imshow(np.hstack(list(neuron.images)), cmap="gray_r", aspect="equal")
        places = neuron.images.shape[2] * (np.arange(len(neuron.images)) + 0.5) - 0.5
        pairs = zip(neuron.labels, neuron.image_z, strict=True)
        words = [f"{label}: z = {number(float(z))}" for label, z in pairs]
        ax.set_xticks(places, words, fontsize=10)
        ax.tick_params(length=0)
        ax.set(yticks=[], title="the digits that excite it most")
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
    return ax


def _nothing(ax: "Axes", words: str) -> "Axes":
    ax.set_axis_off()
    ax.text(0.5, 0.5, words, ha="center", va="center", transform=ax.transAxes, color="#555555")
    return ax
