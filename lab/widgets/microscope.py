"""`Microscope`: a layer's neurons as a grid, and one of them in every detail."""

import asyncio
import contextlib
import functools
import html
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from ipywidgets import HTML, Dropdown, IntSlider, Layout, Play, VBox, jslink
from numpy.typing import NDArray

from lab import words
from lab.census import UnitSummaries, lives, units
from lab.errors import InputError, LabError, RunError
from lab.experiment import Dataset, load_recorded
from lab.figures import of_neurons
from lab.plots import heat_maps, neuron_lives, palette
from lab.runs import LayerView, Neuron, Run, neurons
from lab.store import RunStore
from lab.widgets.front import Front, box, button, given_runs, offer, on_change, row, run_names
from lab.widgets.grid import Grid

if TYPE_CHECKING:
    import pandas as pd

STATE = "state"
MARKS = ("", "−", "~", "×", "!")
FRAME_MILLISECONDS = 1200
REST_SECONDS = 0.3  # Clones and ranks are looked for when no epoch has been chosen for so long.
MOST_CLONES = 5  # The text gives the correlation of so many.
COLUMNS = (32, 16, 8)
ROOM = (512, 256)  # The grid's, in pixels: 512 neurons fill it.
LEAST, LARGEST = 16, 48  # The side of a cell, in pixels.
NOT_FINITE = heat_maps.NOT_FINITE
COLOURINGS: dict[str, Callable[[UnitSummaries], NDArray[Any]]] = {
    "largest pre-activation": lambda layer: layer.max_z,
    "share of the probe that opens the gate": units.open_share,
    "mean gate": lambda layer: layer.mean_gate,
    "mean activation": lambda layer: layer.mean,
    "epochs dead so far": lambda layer: np.cumsum(units.dead(layer), axis=0),
}


class Microscope(Front):
    """Scrub through the epochs and watch neurons die and revive; pick one to see why.

    The grid has a cell for each neuron of a layer: click it, or move through it with the arrow
    keys. The list `neuron` does the same. Where a neuron has clones, a button leads from each to
    the next.
    """

    _spare_soon: asyncio.TimerHandle | None = None

    def __init__(
        self,
        runs: Run | RunStore | Iterable[Run] | None = None,
        layer: int = 1,
        unit: int | None = None,
        epoch: int | None = None,
        dataset: Dataset | None = None,
    ) -> None:
        """Lays the controls out and draws.

        Args:
            runs: A run, some runs or a store; by default the store that `lab compare` fills.
            layer: The hidden layer shown first, from 1.
            unit: The neuron shown first, from 0; by default a dead one, if there is one.
            epoch: The epoch shown first; by default the last.
            dataset: The data set of the runs; by default it is loaded by its name.
        """
        self.runs = given_runs(runs)
        self._dataset = dataset
        self._view = functools.lru_cache(maxsize=4)(self._look)
        self._images = functools.cache(self._load)
        self._changes = False
        self._summaries: UnitSummaries | None = None
        self.run = box(Dropdown, None, "run", "360px", options=run_names(self.runs))
        self.layer = box(Dropdown, None, "layer", "160px")
        self.measure = box(Dropdown, STATE, "coloured by", "270px", options=(STATE, *COLOURINGS))
        self.epoch = box(IntSlider, 0, "epoch", "330px", min=0, max=0)
        self.play = Play(value=0, min=0, max=0, interval=FRAME_MILLISECONDS)
        self.neuron = box(Dropdown, None, "neuron", "220px")
        self.grid = Grid()
        self.legend, self.spare, self.story = HTML(), HTML(), HTML()
        self.clone = button("", "arrow-right")
        self.clone.layout.align_self = "flex-start"  # As wide as its words.
        self._next = 0
        told = [self.legend, self.spare, self.story, self.clone]
        words = VBox(told, layout=Layout(flex="1 1 240px", max_width="600px"))
        super().__init__(
            [
                row(self.run, self.layer, self.measure),
                row(self.epoch, self.play, self.neuron),
                row(self.grid, words),
            ]
        )
        self.link = jslink((self.play, "value"), (self.epoch, "value"))
        on_change([self.run], self._for_user(lambda: self._choose(self._take_run)))
        on_change([self.layer], self._for_user(lambda: self._choose(self._take_layer)))
        on_change([self.measure, self.epoch], self._for_user(self.draw))
        on_change([self.neuron], self._for_user(self.draw_neuron))
        self.clone.on_click(lambda _: self._jump())
        self.grid.observe(self._for_user(self._choose_cell), names="picked")
        with self.sentences(), self._changing():
            if not len(self.runs):
                raise InputError("There is no run to look at. Record one with: lab compare")
            self.run.value = self.run.options[0][1]
            self._take_run()
        self.look_at(layer, unit, epoch)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Changes controls without the answer to a user's change."""
        before, self._changes = self._changes, True
        try:
            yield
        finally:
            self._changes = before

    def _for_user(self, react: Callable[[], None]) -> Callable[..., None]:
        """Returns what answers a change that the user made."""
        return lambda *_: None if self._changes else react()

    def look_at(
        self, layer: int | None = None, unit: int | None = None, epoch: int | None = None
    ) -> None:
        """Shows another layer, neuron or epoch; what does not exist is said in the status line."""
        run = self.run.value
        if run is None:
            return
        with self.sentences():
            try:
                run.check_unit(self.layer.value if layer is None else layer, unit or 0)
                run.check_epoch(self.epoch.value if epoch is None else epoch)
                with self._changing():
                    self.epoch.value = self.epoch.value if epoch is None else epoch
                    if layer is not None:
                        self.layer.value = layer
                        self._take_layer()
                    if unit is not None:
                        self.neuron.value = unit
            finally:
                self.draw()

    def _first(self) -> int:
        """A neuron to begin with: the first that is dead, or else the first."""
        dead = np.flatnonzero(self._states[self.epoch.value] == lives.STATES.index("dead"))
        return int(dead[0]) if len(dead) else 0

    def _choose(self, take: Callable[[], None]) -> None:
        with self.sentences():
            with self._changing():
                take()
            self.draw()

    def _take_run(self) -> None:
        run = self.run.value
        offer(self.layer, [(run.layer_words(n).removeprefix("layer "), n) for n in run.layers])
        self.epoch.max = self.play.max = self.run.value.last_epoch
        self.epoch.value = self.run.value.last_epoch
        self._take_layer()

    def _take_layer(self) -> None:
        self._summaries = None  # Until it is read.
        layer = self.run.value.layer(self.layer.value)
        self._summaries, self._states = layer, lives.states(layer)
        self._lived = lives.follow(layer)
        self.grid.columns, self.grid.size = _fit(layer.max_z.shape[1])
        self.neuron.options = _neuron_names(self._states[self.epoch.value])
        self.neuron.value = self._first()

    def _choose_cell(self) -> None:
        with self.sentences():
            try:
                self.run.value.check_unit(self.layer.value, self.grid.picked)
            except LabError:
                self.grid.picked = self.neuron.value
                raise
            self.neuron.value = self.grid.picked

    def _jump(self) -> None:
        self.neuron.value = self._next

    def draw(self) -> None:
        """Draws the grid and the neuron again."""
        if self._summaries is None:
            return
        with self.sentences(), self._changing():
            states = self._states[self.epoch.value]
            unit = self.neuron.value
            self.neuron.options = _neuron_names(states)
            self.neuron.value = unit
            colours, values = self._colours()
            with self.grid.hold_sync():
                self.grid.colours = colours
                self.grid.marks = [MARKS[state] for state in states]
                self.grid.names = _cell_names(states, self.measure.value, values)
                self.grid.label = f"Neurons of {self.run.value.layer_words(self.layer.value)}"
            self.legend.value = self._legend()
        self.draw_neuron()

    def draw_neuron(self) -> None:
        """Draws the neuron that is picked."""
        with self.sentences(), self._changing():
            unit, layer, epoch = self.neuron.value, self.layer.value, self.epoch.value
            self.grid.picked = unit
            neuron = self._now().neuron(unit)
            picture = of_neurons.portrait(neuron)
            self._neuron = neuron
            self.show(picture.figure, picture.alt)
            self.show_table(_table(neuron))
            self.keep_still_soon()
            dataset = "" if self.run.value.record.outside and not self._dataset else ", dataset"
            self.show_code(f"neurons.look(run, {layer}, {epoch}{dataset}).neuron({unit})")
            self.say(" ".join(filter(None, [self.run.value.divergence, *neuron.missing])))
            self._draw_clones_soon()

    def _now(self) -> LayerView:
        """The layer at the epoch that is shown."""
        return self._view(self.run.value.run_id, self.layer.value, self.epoch.value)

    def _draw_clones_soon(self) -> None:
        """Draws the clones: at once if they are known, else after the last of several changes."""
        loop = self.loop
        if self._now().knows_clones or loop is None or not loop.is_running():
            self.draw_clones()
            return
        self._show_clones("", "", [])
        loop.call_soon_threadsafe(self._draw_clones_later, loop)

    def _draw_clones_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._spare_soon is not None:
            self._spare_soon.cancel()
        self._spare_soon = loop.call_later(REST_SECONDS, self.draw_clones)

    def draw_clones(self) -> None:
        """Says what the layer could spare, and which neurons are clones of the one picked.

        It changes no control that has an observer: another thread may choose an epoch meanwhile.
        """
        with self.sentences():
            neuron = self._neuron
            view = self._view(neuron.run.run_id, neuron.layer, neuron.epoch)
            found_words = _spare(view), _alike(view, neuron.unit), view.clones(neuron.unit)
            if neuron is self._neuron:
                self._show_clones(*found_words)

    def _show_clones(self, spare: str, alike: str, found: list[tuple[int, float]]) -> None:
        self.spare.value = f'<div class="lab-words">{html.escape(spare)}</div>'
        self.story.value = _story(self._neuron, alike)
        self.clone.layout.display = None if found else "none"
        if found:
            after = sorted(n for n, _ in found)
            self._next = next((n for n in after if n > self._neuron.unit), after[0])
            self.clone.description = f"Go to its clone {self._next}"

    def close(self) -> None:
        """Takes it out of the page and frees all that it is made of."""
        if self._spare_soon is not None:
            self._spare_soon.cancel()
        super().close()

    def _colours(self) -> tuple[list[str], NDArray[Any] | None]:
        epoch = self.epoch.value
        if self.measure.value == STATE:
            return [
                palette.by_theme(neuron_lives.LIFE_COLOURS[state]) for state in self._states[epoch]
            ], None
        values = self._values()
        return _coloured(values[epoch], _limits(values)), values[epoch]

    def _legend(self) -> str:
        epoch = self.epoch.value
        counts = sorted(Counter(self._states[epoch].tolist()).items())
        by_state = self.measure.value == STATE
        greys = [palette.GREY] * len(lives.STATES)
        colours = neuron_lives.LIFE_COLOURS if by_state else greys
        entries = [
            f"{_swatch(colours[state], MARKS[state])} {lives.STATES[state]}: {count}"
            for state, count in counts
        ]
        died, revived = (int(f[epoch].sum()) for f in (self._lived.died, self._lived.revived))
        flow = "Untrained."
        if epoch:
            when = self.run.value.config.epoch_words(epoch)
            flow = f"In {when}: {died} died, {revived} revived."
        scale = "" if by_state else f"{_scale(self._values())}<br>"
        return f'<div class="lab-words">{scale}{" &ensp; ".join(entries)}<br>{flow}</div>'

    def _values(self) -> NDArray[np.float64]:
        """The measure that colours the cells, shape (epochs, units)."""
        measure, summaries = COLOURINGS[self.measure.value], self._summaries
        return np.asarray(measure(cast("UnitSummaries", summaries)), np.float64)

    def _look(self, run_id: str, layer: int, epoch: int) -> LayerView:
        run = next(run for run in self.runs if run.run_id == run_id)
        dataset: Dataset | LabError | None = self._dataset
        if dataset is None and epoch in run.kept_epochs:
            outside = run.record.outside
            dataset = _without_images(run) if outside else self._images(run.record.dataset)
        return neurons.look(run, layer, epoch, dataset)

    def _load(self, name: str) -> Dataset | LabError:
        try:
            return load_recorded(name)
        except LabError as error:
            return error


def _fit(count: int) -> tuple[int, int]:
    """Returns in how many columns cells are largest, and their size in pixels."""
    sizes = {
        columns: min(ROOM[0] // columns, ROOM[1] // -(-count // columns), LARGEST)
        for columns in COLUMNS
    }
    best = max(sizes, key=lambda columns: sizes[columns])
    return min(best, count), max(sizes[best], LEAST)


def _without_images(run: Run) -> LabError:
    return RunError(
        f"Run {run.run_id} was trained outside the lab, which does not keep its inputs."
    )


def _neuron_names(states: NDArray[np.int8]) -> list[tuple[str, int]]:
    return [(f"{unit} ({lives.STATES[state]})", unit) for unit, state in enumerate(states)]


def _cell_names(states: NDArray[np.int8], measure: str, values: NDArray[Any] | None) -> list[str]:
    words = [f"neuron {name}" for name, _ in _neuron_names(states)]
    if values is None:
        return words
    return [f"{word}, {measure} {value:.3g}" for word, value in zip(words, values, strict=True)]


def _limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the ends of a scale that is the same for all epochs; few values lie beyond."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [2, 98]) if finite.size else (0.0, 1.0)
    return float(low), float(high)


def _coloured(values: NDArray[np.float64], limits: tuple[float, float]) -> list[str]:
    """Colours values on a scale; what is not finite is grey."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    scale = colormaps["cividis"]
    low, high = limits
    shares = np.clip((values - low) / ((high - low) or 1.0), 0, 1)
    pairs = zip(shares, np.isfinite(values), strict=True)
    return [to_hex(scale(share)) if finite else NOT_FINITE for share, finite in pairs]


def _scale(values: NDArray[np.float64]) -> str:
    """The scale of a measure, with its ends in numbers."""
    low, high = _limits(values)
    steps = ", ".join(_coloured(np.linspace(low, high, 5), (low, high)))
    bar = f"background: linear-gradient(90deg, {steps}); padding: 0 60px"
    return f'{words.number(low)} or less <span style="{bar}"></span> {words.number(high)} or more'


def _swatch(colour: str, mark: str) -> str:
    return (
        f'<span style="background: {palette.by_theme(colour)}; color: light-dark(white, #111); '
        f"border: 1px solid #999; padding: 0 5px; "
        f'text-shadow: 0 0 2px light-dark(black, white)">'
        f"{mark or '&nbsp;'}</span>"
    )


def _story(neuron: Neuron, alike: str) -> str:
    text = html.escape(" ".join(filter(None, [neuron.story, neuron.by_position, alike])))
    title = neuron.name[0].upper() + neuron.name[1:]
    return f'<div class="lab-words" aria-live="polite"><b>{title}.</b> {text}</div>'


def _spare(view: LayerView) -> str:
    """What the layer could spare, in words; empty where it is not known."""
    if view.moments is None:
        return ""
    found = view.moments.measures
    if np.isnan(found["clones"]):
        return "Clones and ranks are not known: not all activations are finite."
    units = len(view.moments.means)
    count = int(found["clones"])
    could = f"{count:,} of {units:,} neurons could be taken away as clones of others"
    ranks = [words.number(found[name]) for name in ("effective_rank", "stable_rank")]
    return (
        f"{could if count else 'No neuron is a clone of another'}. "
        f"Effective rank {ranks[0]}, stable rank {ranks[1]}, of at most {units:,}."
    )


def _alike(view: LayerView, unit: int) -> str:
    """Whether the unit has clones, in words; empty where it is not known."""
    if view.moments is None or np.isnan(view.moments.measures["clones"]):
        return ""
    if not view.moments.correlations[unit, unit]:
        return "It gives the same on every image of the probe: it has no clones."
    found = view.clones(unit)
    if not found:
        return "No other neuron is its clone."
    told = [f"{n} (correlation {words.fixed(r, 2)})" for n, r in found[:MOST_CLONES]]
    more = f" and {len(found) - MOST_CLONES:,} more" if len(found) > MOST_CLONES else ""
    return f"{'Its clone' if len(found) == 1 else 'Its clones'}: {', '.join(told)}{more}."


def _table(neuron: Neuron) -> "pd.DataFrame":
    import pandas as pd

    layer = neuron.run.layer(neuron.layer)
    values = {
        name: f"{float(measure(layer)[neuron.epoch, neuron.unit]):.4g}"
        for name, measure in COLOURINGS.items()
    }
    lacks = "not its own" if neuron.epoch in neuron.run.kept_epochs else "not kept"
    bias = lacks if neuron.bias is None else f"{neuron.bias:.4g}"
    facts = {"neuron": neuron.unit, "epoch": neuron.epoch, "state": neuron.state, "bias": bias}
    return pd.DataFrame([facts | values])
