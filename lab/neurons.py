"""One neuron under the microscope: what is known of it at an epoch, and pictures of that.

view = neurons.look(run, layer=1, dataset=load_dataset("mnist-5k"))
neuron = view.neuron(17)
neurons.weights(neuron), neurons.histogram(neuron), neurons.history(neuron)
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from lab import causes, lives, plots
from lab.data import Dataset, Split, split
from lab.errors import LabError
from lab.layout import IMAGE_SHAPE, Weights
from lab.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EXCITING = 8


@dataclass(frozen=True, eq=False)
class Neuron:
    """What is known of one unit at the end of an epoch.

    What the run or the machine does not hold is None, and `missing` says why.

    Attributes:
        run: Its run.
        layer: Its hidden layer, from 1.
        unit: Its number, from 0.
        epoch: The epoch.
        state: One of `lives.STATES`.
        story: What it does, why, and how it came there.
        incoming: Its incoming weights, one for each pixel or each unit of the layer below; of a
            convolution of shape (height, width, channels).
        bias: Its bias.
        z: Its pre-activations on the probe set, shape (images,), or (images, height, width).
        images: The probe images that excite it most, first the largest z: uint8 (n, height, width).
        labels: Their classes.
        image_z: Their pre-activations, the largest of each.
        missing: Sentences on what is not available.
    """

    run: Run
    layer: int
    unit: int
    epoch: int
    state: str
    story: str
    incoming: NDArray[np.float32] | None
    bias: float | None
    z: NDArray[np.float32] | None
    images: NDArray[np.uint8] | None
    labels: NDArray[np.uint8] | None
    image_z: NDArray[np.float32] | None
    missing: tuple[str, ...]

    @property
    def name(self) -> str:
        """What to call it: `neuron 17 of layer 1`."""
        return f"neuron {self.unit} of layer {self.layer}"


class LayerView:
    """A hidden layer of a run at the end of one epoch; what it computes, it computes once."""

    def __init__(
        self, run: Run, layer: int, epoch: int, dataset: Dataset | LabError | None
    ) -> None:
        """Takes what `look` has checked."""
        self.run, self.layer, self.epoch, self.dataset = run, layer, epoch, dataset
        self._missing: dict[str, str] = {}

    def neuron(self, unit: int) -> Neuron:
        """Returns what is known of a unit.

        Raises:
            RunError: If there is no such unit.
        """
        self.run.check_unit(self.layer, unit)
        z = None if self.z is None else self.z[..., unit]
        largest = None if z is None else z.reshape(len(z), -1).max(axis=1)
        best = None if largest is None else np.argsort(-largest, kind="stable")[:EXCITING]
        images, labels = (self._of_probe(part, best) for part in ("x_train", "y_train"))
        return Neuron(
            run=self.run,
            layer=self.layer,
            unit=unit,
            epoch=self.epoch,
            state=lives.STATES[self._states[unit]],
            story=causes.story(self.run, self.layer, unit, self.epoch),
            incoming=None if self.kernel is None else self.kernel[..., unit],
            bias=None if self.bias is None else float(self.bias[unit]),
            z=z,
            images=images,
            labels=labels,
            image_z=None if largest is None else largest[best],
            missing=tuple(self._missing.values()),
        )

    @functools.cached_property
    def weights(self) -> Weights | None:
        """The network's weights, or None if the run did not keep them."""
        try:
            return self.run.weights(self.epoch)
        except LabError as error:
            self._missing["weights"] = str(error)
            return None

    @property
    def kernel(self) -> NDArray[np.float32] | None:
        """The weights that lead into the layer; None if not kept, or not a single layer's."""
        found = self.weights and self.run.layout.incoming(self.layer)[0]
        return self.weights.kernel(self.layer) if self.weights and found else None

    @property
    def bias(self) -> NDArray[np.float32] | None:
        """The biases of the layer, or None as for the kernel."""
        found = self.weights and self.run.layout.incoming(self.layer)[1]
        return self.weights.bias(self.layer) if self.weights and found else None

    @functools.cached_property
    def z(self) -> NDArray[np.float32] | None:
        """Pre-activations on the probe set as `Run.pre_activations`, or None without the images."""
        if self.weights is None:
            return None
        if not isinstance(self.dataset, Dataset):
            why = f" {self.dataset}" if self.dataset else ""
            self._missing["images"] = f"Without the run's data set its images cannot be shown.{why}"
            return None
        try:
            return self.run.pre_activations(self.dataset, self.layer, self.epoch)
        except LabError as error:
            self._missing["images"] = str(error)
            return None

    @functools.cached_property
    def _states(self) -> NDArray[np.int8]:
        return np.asarray(lives.states(self.run.layer(self.layer))[self.epoch])

    def _of_probe(self, part: str, places: NDArray[np.intp] | None) -> NDArray[Any] | None:
        if places is None or not isinstance(self.dataset, Dataset):
            return None
        return np.asarray(getattr(self.dataset, part)[self._split.probe[places]])

    @functools.cached_property
    def _split(self) -> Split:
        return split(cast("Dataset", self.dataset), self.run.config)


def look(
    run: Run,
    layer: int = 1,
    epoch: int | None = None,
    dataset: Dataset | LabError | None = None,
) -> LayerView:
    """Puts a layer of a run under the microscope.

    Args:
        run: The run.
        layer: The hidden layer, from 1.
        epoch: The epoch; by default the last.
        dataset: The data set that the run was trained on, for pre-activations and images, or
            the error that says why it is not available.

    Raises:
        RunError: If there is no such layer or epoch, or if the arrays cannot be read.
    """
    run.check_unit(layer, 0)
    epoch = run.last_epoch if epoch is None else epoch
    run.check_epoch(epoch)
    return LayerView(run, layer, epoch, dataset)


def weights(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws a neuron's incoming weights: as a picture if it looks at pixels, else as a histogram.

    Violet weights excite the neuron where a pixel is bright, orange ones hold it down.
    """
    with plots.axes(ax, (3.6, 3.4)) as ax:
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
    """Returns a dense unit's or a grey filter's weights as a picture; None of several colours."""
    if incoming.ndim == 1:
        return incoming.reshape(IMAGE_SHAPE)
    return incoming[..., 0] if incoming.shape[-1] == 1 else None


def histogram(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws a neuron's pre-activations on the probe set, with its gate f'(z) over them."""
    with plots.axes(ax, (4.5, 3.4)) as ax:
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
        gate = plots.broken(config.gate(z))
        beside = plots.beside(ax)
        beside.plot(z, gate, color=plots.GATE, lw=2.5)
        beside.set_ylabel("gate f'(z)", color=plots.GATE, labelpad=6)
        beside.set_ylim(min(0.0, float(np.nanmin(gate))) - 0.03, 1.05 * float(np.nanmax(gate)))
    return ax


def _observations(z: NDArray[np.float32]) -> str:
    return "images, %" if z.ndim == 1 else "images × positions, %"


def history(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws between which bounds a neuron's pre-activations lay at each epoch, and its state."""
    layer = neuron.run.layer(neuron.layer)
    low, high = layer.min_z[:, neuron.unit], layer.max_z[:, neuron.unit]
    states = lives.states(layer)[:, neuron.unit]
    epochs = np.arange(len(states))
    with plots.axes(ax, (4.5, 3.4)) as ax:
        ax.fill_between(epochs, low, high, color="#dddddd")
        ax.plot(epochs, high, color="black", lw=2)
        ax.axhline(0, color="#555555", lw=1, ls=":")
        ax.axvline(neuron.epoch, color="#555555", lw=1, ls=":")
        for state in np.unique(states):
            at = epochs[states == state]
            heights = np.nan_to_num(high[states == state])
            colour, marker = plots.LIFE_COLOURS[state], plots.LIFE_MARKERS[state]
            label = lives.STATES[state]
            ax.plot(at, heights, marker, ms=9, mfc=colour, mec="black", label=label, ls="")
        ax.legend(loc="best", fontsize=10)
        ax.set(ylabel="z", title="its z at each epoch")
        plots.whole_epochs(ax)
    return ax


def exciting(neuron: Neuron, ax: "Axes | None" = None) -> "Axes":
    """Draws the probe images that excite a neuron most, each with its label and z."""
    with plots.axes(ax, (9.0, 1.7)) as ax:
        if neuron.images is None or neuron.labels is None or neuron.image_z is None:
            return _nothing(ax, "its images are not available here")
        ax.imshow(np.hstack(list(neuron.images)), cmap="gray_r", aspect="equal")
        places = neuron.images.shape[2] * (np.arange(len(neuron.images)) + 0.5) - 0.5
        pairs = zip(neuron.labels, neuron.image_z, strict=True)
        words = [f"{label}: z = {causes.number(float(z))}" for label, z in pairs]
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
