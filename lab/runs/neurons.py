"""One neuron under the microscope: what is known of it at an epoch, and pictures of that.

view = neurons.look(run, layer=1, dataset=load_dataset("mnist-5k"))
neuron = view.neuron(17)
neuron.story  # and, drawn: figures.portrait(neuron)
neurons.over_tasks(run, layer=1, unit=17)
"""

import functools
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.census import clones, lives, units
from lab.errors import LabError
from lab.experiment import Dataset, task_in
from lab.layout import Weights
from lab.network import programs
from lab.runs import causes
from lab.runs.measures import check_tasks
from lab.runs.run import Run
from lab.words import counted, number, shortened

if TYPE_CHECKING:
    import pandas as pd

EXCITING = 8
MOST_STRETCHES = 8  # Rows of a table, or parts of a sentence.
REVIVED = ("alive", "always negative", "nearly dead")  # What a dead unit may be next.
DIGITS = ("mnist", "mnist-5k", "digits")


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
        images: The probe images that excite it most, largest z first: uint8 (n, height, width), or
            (n, height, width, channels).
        labels: Their classes.
        classes: What these are called: their names, or their numbers; none without the images.
        image_z: Their pre-activations, the largest of each.
        peaks: Where in each image that is, of a convolution: row and column, as shares of the
            height and the width from the top left corner, shape (n, 2).
        feature_map: Its pre-activations on the first of them, of a convolution: (height, width).
        opened: At which positions any probe image opens its gate, of a convolution.
        slope: The slope that it has learned, if its activation function has such.
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
    classes: tuple[str, ...]
    image_z: NDArray[np.float32] | None
    peaks: NDArray[np.float64] | None
    feature_map: NDArray[np.float32] | None
    opened: NDArray[np.bool_] | None
    slope: float | None
    missing: tuple[str, ...]

    @property
    def name(self) -> str:
        """What to call it: `neuron 17 of layer 1`, or `channel 3 of layer 2 · conv_2`."""
        site = self.run.layout.sites[self.layer - 1]
        kind = "channel" if site.kind == "convolution" else "neuron"
        return f"{kind} {self.unit} of {self.run.layer_words(self.layer)}"

    @property
    def by_position(self) -> str:
        """Says at how many positions of the image a channel is dead; empty for a dense unit."""
        if self.opened is None:
            return ""
        shut, all_of_it = int((~self.opened).sum()), self.opened.size
        if shut == all_of_it:
            return f"No probe image opens it at any of its {all_of_it:,} positions."
        if not shut:
            return f"Some probe image opens it at each of its {all_of_it:,} positions."
        return (
            f"It is dead at {shut:,} of its {all_of_it:,} positions: no probe image opens it there."
        )

    @property
    def image_noun(self) -> str:
        """What its images show: `digits`, or else `images`."""
        return "digits" if self.run.record.dataset in DIGITS else "images"


class LayerView:
    """A hidden layer of a run at the end of one epoch; it computes everything once."""

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
        slope = None if self._slopes is None else self._slopes[unit]
        images, labels = self.of_probe(best)
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
            classes=self._called(labels),
            image_z=None if largest is None else largest[best],
            **self._on_positions(z, best, slope),
            slope=slope,
            missing=tuple(self._missing.values()),
        )

    def _on_positions(
        self, z: NDArray[np.float32] | None, best: NDArray[np.intp] | None, slope: float | None
    ) -> dict[str, Any]:
        """Returns what is known of a channel by position; None of a dense unit."""
        if z is None or best is None or z.ndim == 1:
            return dict.fromkeys(("peaks", "feature_map", "opened"))
        places = [np.unravel_index(np.argmax(z[image]), z.shape[1:]) for image in best]
        gate = programs.gates(self.run.config, z, slope)
        return {
            "peaks": (np.array(places) + 0.5) / z.shape[1:],
            "feature_map": z[best[0]],
            "opened": (gate != 0).any(axis=0),
        }

    @functools.cached_property
    def _slopes(self) -> list[float] | None:
        """The slopes that the layer's units have learned, if any."""
        if self.run.layout.sites[self.layer - 1].slope is None:
            return None
        return [float(slope) for slope in self.run.slopes(self.layer)[self.epoch]]

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
    def moments(self) -> clones.Moments | None:
        """What clones and ranks of the layer need, on the probe set, or None without the images."""
        if self.z is None:
            return None
        return clones.Moments.of(self.run.activated(self.layer, self.epoch, self.z))

    @property
    def knows_clones(self) -> bool:
        """Whether `moments` takes no time: they are computed, or cannot be."""
        return "moments" in self.__dict__ or self.z is None

    def clones(self, unit: int) -> list[tuple[int, float]]:
        """Returns the units of a unit's group of clones with their correlation, strongest first.

        None are known without the images. One that a chain of pairs joins may correlate less than
        `clones.THRESHOLD`.

        Raises:
            RunError: If there is no such unit.
        """
        self.run.check_unit(self.layer, unit)
        if self.moments is None or not np.isfinite(self.moments.products).all():
            return []
        numbers = clones.joined(self.moments.correlations)
        others = np.flatnonzero(numbers == numbers[unit])
        found = [(int(n), float(self.moments.correlations[unit, n])) for n in others if n != unit]
        return sorted(found, key=lambda pair: -abs(pair[1]))

    @functools.cached_property
    def _states(self) -> NDArray[np.int8]:
        return np.asarray(lives.states(self.run.layer(self.layer))[self.epoch])

    def of_probe(self, places: NDArray[np.intp] | None) -> tuple[Any, Any]:
        """Returns images of the probe as the epoch's task shows them, and their labels."""
        if places is None or not isinstance(self.dataset, Dataset):
            return None, None
        task = task_in(self.dataset, self.run.config, self.epoch)
        which = task.parts.probe[places]
        return task.seen(self.dataset.x_train[which]), task.labels[which]

    def _called(self, labels: NDArray[Any] | None) -> tuple[str, ...]:
        if labels is None or not isinstance(self.dataset, Dataset):
            return ()
        names = self.dataset.class_names or range(self.dataset.classes)
        return tuple(str(names[label]) for label in labels)


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

    Returns:
        The layer; its `neuron(unit)` is one of its units.

    Raises:
        RunError: If there is no such layer or epoch, or if the arrays cannot be read.
    """
    run.check_unit(layer, 0)
    epoch = run.last_epoch if epoch is None else epoch
    run.check_epoch(epoch)
    return LayerView(run, layer, epoch, dataset)


def over_tasks(run: Run, layer: int, unit: int) -> "pd.DataFrame":
    """Follows a unit from task to task: what it was like at the end of each, on the probe.

    Args:
        run: A run that learns tasks.
        layer: The hidden layer, from 1.
        unit: The unit in it, from 0.

    Returns:
        A row for each finished task; task 0 is the untrained network, shown the first task. `task`
        and its last `epoch`; `state`, one of `lives.STATES`; `events`, what happened to it in the
        task's epochs in their order, such as `died, revived`; `open_share` as `units.open_share`;
        `mean_activation`.

    Raises:
        InputError: If the run learns no tasks.
        RunError: If there is no such layer or unit, or if the arrays cannot be read.
    """
    import pandas as pd

    check_tasks(run)
    run.check_unit(layer, unit)
    summaries, lived = run.layer(layer), run.lives(layer)
    each = run.config.task_epochs
    ends = list(range(0, run.last_epoch + 1, each))
    flows = {"died": lived.died, "revived": lived.revived}
    by_epoch = [
        [word for word, flow in flows.items() if flow[epoch, unit]]
        for epoch in range(run.last_epoch + 1)
    ]
    within = [by_epoch[max(end - each + 1, 0) : end + 1] for end in ends]
    return pd.DataFrame(
        {
            "task": range(len(ends)),
            "epoch": ends,
            "state": [lives.STATES[state] for state in lives.states(summaries)[ends, unit]],
            "events": [", ".join(itertools.chain(*epochs)) for epochs in within],
            "open_share": units.open_share(summaries)[ends, unit],
            "mean_activation": summaries.mean[ends, unit],
        }
    )


def stretches(table: "pd.DataFrame") -> list["pd.DataFrame"]:
    """Returns the tasks of `over_tasks` in pieces, each of tasks in a row that end in one state.

    The untrained network is a piece of its own.
    """
    begins = table.state.ne(table.state.shift()) | table.task.le(1)
    return [piece for _, piece in table.groupby(begins.cumsum())]


def stretch_words(stretch: "pd.DataFrame") -> str:
    """Names the tasks of a piece: `untrained`, `task 3` or `tasks 3 to 9`."""
    first, last = stretch.task.iloc[0], stretch.task.iloc[-1]
    if not first:
        return "untrained"
    return f"task {first}" if first == last else f"tasks {first} to {last}"


def tasks_story(run: Run, layer: int, unit: int) -> str:
    """Tells in a few sentences what a unit was like from task to task.

    Args:
        run: As for `over_tasks`.
        layer: As for `over_tasks`.
        unit: As for `over_tasks`.

    Raises:
        InputError: As `over_tasks` does.
        RunError: As `over_tasks` does.
    """
    table, lived = over_tasks(run, layer, unit), run.lives(layer)
    untrained, *pieces = stretches(table)
    places = [
        f"of {stretch_words(piece)} {'' if at else 'it is '}{_state_after(piece, table)}"
        for at, piece in enumerate(pieces)
    ]
    at_the_ends = ", ".join(shortened(places, MOST_STRETCHES, "turn"))
    died, revived = (int(flow[:, unit].sum()) for flow in (lived.died, lived.revived))
    of = "images" if run.layout.sites[layer - 1].positions == 1 else "images × positions"
    times = f"{counted(died, 'death')} and {counted(revived, 'revival')}"
    sentences = [
        f"Untrained it is {untrained.state.iloc[0]}.",
        f"At the end {at_the_ends}." if places else "",
        f"In {counted(run.last_epoch, 'epoch')}: {times}." if died or revived else "",
        _from_to(f"Of the probe's {of} its gate is open on", 100 * table.open_share, " %"),
        _from_to("Its mean activation is", table.mean_activation, ""),
    ]
    return " ".join(filter(None, sentences))


def _state_after(piece: "pd.DataFrame", table: "pd.DataFrame") -> str:
    """Returns the state of a piece, and that the unit has revived since the one before."""
    state, before = piece.state.iloc[0], table.state.iloc[piece.index[0] - 1]
    return f"{state} (revived)" if before == "dead" and state in REVIVED else str(state)


def _from_to(begin: str, values: "pd.Series[float]", unit: str) -> str:
    """Says what a number was untrained, and after the first and the last task; not if unknown."""
    if values.isna().all():
        return ""
    last = len(values) - 1
    when = {0: "untrained", 1: "after task 1", last: f"after task {last}" if last else "untrained"}
    words = [
        f"unknown {words}"
        if np.isnan(values.iloc[at])
        else f"{number(values.iloc[at])}{unit} {words}"
        for at, words in when.items()
        if at <= last
    ]
    return f"{begin} {', '.join(words)}."
