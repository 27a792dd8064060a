"""`KillMap`: dead neurons and accuracy over two settings; pick a cell to see its curves."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ipywidgets import HTML, BoundedIntText, Dropdown, Layout, Text, VBox

from lab import activations
from lab.analysis import maps
from lab.errors import InputError
from lab.experiment import Dataset, spelling, words_of
from lab.network import layout_of
from lab.plots import heat_maps
from lab.store import RunStore
from lab.studies import Study
from lab.widgets import jobs
from lab.widgets.front import box, on_change, row
from lab.widgets.grid import Grid
from lab.widgets.jobs import Line
from lab.widgets.live import Live
from lab.words import counted

if TYPE_CHECKING:
    import pandas as pd

NOT_YET = "#eeeeee"
KEY = "The stronger the colour, the more: plum where less is better, violet for all else."
EXAMPLES: Mapping[str, Sequence[Any]] = {
    "learning_rate": (0.0003, 0.003, 0.03, 0.3),
    "first_bias": (-1, -0.5, 0, 0.5),
    "hidden": ((64,), (64, 64), (64,) * 4, (64,) * 8),
    "initializer": ("glorot_uniform", "he_uniform", "lecun_uniform"),
    "batch_size": (32, 128, 512),
    "optimizer": ("adam", "sgd"),
}
TWO = {name: EXAMPLES[name] for name in ("learning_rate", "first_bias")}
Place = tuple[Any, Any]


class _TitledGrid(VBox):
    """A map with its title above it."""

    def __init__(self) -> None:
        self.title, self.grid = HTML(), Grid()
        super().__init__([self.title, self.grid], layout=Layout(margin="0 24px 0 0"))


class KillMap(Live):
    """Choose two settings and their values, press Train, and see what kills neurons.

    Two maps, empty at first, fill in while the networks train: the share of dead hidden neurons,
    and the validation accuracy. A third one can be asked for: clones or a rank, once the networks
    are trained. Rows grow upwards; white is 0 %. Click a cell, or move through the cells with the
    arrow keys, to see its curves.

    Attributes:
        found: The map of the last training that came to its end; None before.
    """

    def __init__(
        self,
        vary: Mapping[str, Sequence[Any]] = TWO,
        activation: str = "relu",
        seeds: int = 1,
        dataset: str | Dataset = "mnist-5k",
        store: RunStore | None = None,
        epochs: int = 3,
        **settings: Any,
    ) -> None:
        """Lays the controls out.

        Args:
            vary: Two fields of `RunConfig` with their values: rows, then columns.
            activation: The activation function, with a parameter if wanted.
            seeds: How many seeds.
            dataset: What to train on: a name, or a data set.
            store: Where runs are kept; by default where `lab compare` keeps them.
            epochs: How long each network trains.
            **settings: Further fields of `RunConfig`, the same for all cells.

        Raises:
            InputError: If a setting is not valid.
        """
        settings = {"activation": activation, "epochs": epochs} | settings
        maps.plan_map(vary, seeds, dataset, store, **settings)
        self.found: maps.SettingsMap | None = None
        self._dataset, self._store, self._settings = dataset, store, settings
        self._axes: tuple[Any, Any] = (("", ()), ("", ()))
        self._loaded: Dataset | None = None
        choices = list(dict.fromkeys((activation, *activations.names())))
        self.activation = box(Dropdown, activation, "activation", "230px", options=choices)
        self.seeds = box(BoundedIntText, seeds, "seeds", "120px", min=1, max=20)
        self.epochs = box(BoundedIntText, epochs, "epochs", "140px", min=1, max=1000)
        (rows, columns) = vary.items()
        self.rows, self.row_values = _axis("rows", *rows)
        self.columns, self.column_values = _axis("columns", *columns)
        further = [(title, name) for name, title in maps.MAPPED.items() if name not in maps.USUAL]
        options = [("none", ""), *further]
        self.third = box(Dropdown, "", "third map", "380px", options=options)
        self._maps = [_TitledGrid() for _ in (*maps.USUAL, self.third)]
        super().__init__(
            [
                row(self.activation, self.seeds, self.epochs),
                row(self.rows, self.row_values),
                row(self.columns, self.column_values),
            ],
            [HTML(KEY), row(*self._maps), self.third],
        )
        for place in self._maps:
            place.grid.observe(lambda change: self._pick(change["new"]), names="picked")
        what = (self.rows, self.row_values, self.columns, self.column_values)
        on_change([self.activation, self.seeds, self.epochs, *what], self._preview)
        on_change([self.third], self._show_third)
        self._preview()

    def _preview(self) -> None:
        """Shows the cells of the settings that are chosen: empty, or what is recorded already."""
        if self.busy:
            return
        with self.sentences():
            job = self.job()
            self.preview(job)
            self.prepare_soon()
            self.say(self._what_to_train(job))

    @property
    def mapped(self) -> tuple[str, ...]:
        """The measures that are mapped."""
        return (*maps.USUAL, *filter(None, [self.third.value]))

    @property
    def grids(self) -> dict[str, Grid]:
        """The grid of each measure that is mapped."""
        return {name: place.grid for name, place in zip(self.mapped, self._maps, strict=False)}

    def _show_third(self) -> None:
        with self.sentences():
            before = self.status.value
            self.say("Measuring the trained networks.")
            self.draw()
            self.status.value = before
            self.keep_still_soon()

    def _what_to_train(self, job: jobs.Job) -> str:
        (row_name, rows), (column_name, columns) = self._axes
        lines, recorded = job.lines, sum(bool(line.result) for line in job.lines)
        cells = f"{len(rows)} × {len(columns)} cells: every {words_of(row_name)} with every "
        work = f"{counted(len(lines), 'network')} of {counted(self.epochs.value, 'epoch')}"
        known = f", {recorded} of them recorded" if recorded else ""
        return f"{cells}{words_of(column_name)}, {work}{known}. Press Train."

    def job(self) -> jobs.Job:
        """Returns the training of all cells that are not recorded yet."""
        study, self._axes = self._plan()
        self.found, self._loaded = None, study.dataset
        for grid in self.grids.values():
            grid.picked = 0
        self.show_code(self._call())
        return jobs.training(study)

    def study(self) -> Study:
        """Returns the study of the cells that are chosen."""
        return self._plan()[0]

    def _chosen_settings(self) -> dict[str, Any]:
        """The settings that are the same in all cells."""
        chosen = {"activation": self.activation.value, "epochs": self.epochs.value}
        varied = (self.rows.value, self.columns.value)
        return {n: v for n, v in (self._settings | chosen).items() if n not in varied}

    def _plan(self) -> tuple[Study, tuple[Any, Any]]:
        controls = ((self.rows, self.row_values), (self.columns, self.column_values))
        if self.rows.value == self.columns.value:
            raise InputError("Rows and columns must be two different settings.")
        vary = {name.value: spelling.read_values(name.value, text.value) for name, text in controls}
        settings = self._chosen_settings()
        return maps.plan_map(vary, self.seeds.value, self._dataset, self._store, **settings)

    def _call(self) -> str:
        """Returns the Python that makes the same map."""
        vary = {name: list(values) for name, values in self._axes}
        name = self._dataset.name if isinstance(self._dataset, Dataset) else self._dataset
        more = "".join(f", {n}={value!r}" for n, value in self._chosen_settings().items())
        return f"lab.kill_map({vary}, seeds={self.seeds.value}, dataset={name!r}{more})"

    @property
    def places(self) -> list[Place]:
        """The cells, row by row from the uppermost, the last value: the two settings of each."""
        return list(itertools.product(self._axes[0][1][::-1], self._axes[1][1]))

    def draw(self) -> None:
        """Draws both maps, the table, and the curves of the cell that is picked."""
        if len(self.runs):
            self.found = maps.SettingsMap(*self._axes, self.runs, self._loaded)
        cells = {measure: self._values(measure) for measure in self.mapped}
        for place, (measure, values) in zip(self._maps, cells.items(), strict=False):
            place.title.value = f"<b>{maps.MAPPED[measure]}</b>"
            self._paint(place.grid, measure, values)
        self._maps[-1].layout.display = None if self.third.value else "none"
        if any(cells["dead"]):
            self.show_table(self._table(cells))
        else:
            self.clear()
        self._draw_cell()

    def _values(self, measure: str) -> list[list[float]]:
        """A measure of every cell, for each seed: on the probe so far, confirmed at the end."""
        if self.found is not None:
            of = maps.measure_of(measure, self._loaded)
            return [[of.printed(run) for run in self.found.cell(*p)] for p in self.places]
        if measure not in maps.USUAL:
            return [[] for _ in self.places]  # It is known when the training has ended.
        return [[_so_far(line, measure) for line in self._lines(place)] for place in self.places]

    def _lines(self, place: Place) -> list[Line]:
        """What is known of the runs of a cell."""
        names = [name for name, _ in self._axes]
        return [
            line
            for line in self.lines
            if line.rows and tuple(getattr(line.config, name) for name in names) == place
        ]

    def _paint(self, grid: Grid, measure: str, cells: Sequence[Sequence[float]]) -> None:
        (row_name, rows), (column_name, columns) = self._axes
        with grid.hold_sync():
            grid.columns = len(columns)
            grid.column_names = list(map(spelling.value_words, columns))
            grid.row_names = list(map(spelling.value_words, rows[::-1]))
            grid.corner = f"{words_of(row_name)} ↑  {words_of(column_name)} →"
            grid.colours = [_colour(values, measure) for values in cells]
            grid.marks = [_mark(values) for values in cells]
            pairs = zip(self.places, cells, strict=True)
            grid.names = [f"{self._title(place)}: {_mean_words(values)}" for place, values in pairs]
            grid.label = maps.MAPPED[measure]

    def _title(self, place: Place) -> str:
        pairs = zip(self._axes, place, strict=True)
        return ", ".join(f"{words_of(name)} {spelling.value_words(v)}" for (name, _), v in pairs)

    def _table(self, cells: Mapping[str, Sequence[Sequence[float]]]) -> "pd.DataFrame":
        """A row for each cell: its two settings, and both measures with the seeds' spread."""
        import pandas as pd

        names = [words_of(name) for name, _ in self._axes]
        frame = pd.DataFrame(
            [map(spelling.value_words, place) for place in self.places], columns=names
        )
        for measure, values in cells.items():
            frame[maps.MAPPED[measure]] = list(map(_mean_words, values))
        return frame

    def _pick(self, cell: int) -> None:
        for place in self._maps:  # The hidden one, too: it is shown later.
            place.grid.picked = cell
        with self.sentences():
            self._draw_cell()
            self.keep_still_soon()

    def _draw_cell(self) -> None:
        """Draws the curves of the cell that is picked."""
        place = dict(enumerate(self.places)).get(self.grids["dead"].picked)
        lines = self._lines(place) if place else []
        if place and lines:
            figure = jobs.figure(lines)
            figure.suptitle(self._title(place), x=0.985, ha="right")
            cells = "; ".join(f"{g.label}, {g.names[g.picked]}" for g in self.grids.values())
            words = "Curves of training loss, validation accuracy and dead neurons by layer."
            self.show(figure, f"{words} {cells}.")
        else:
            self.clear_picture()


def _axis(kind: str, name: str, values: Sequence[Any]) -> tuple[Any, Any]:
    """Returns the two controls of an axis: which setting, and its values."""
    names = [(words_of(n), n) for n in dict.fromkeys((name, *EXAMPLES))]
    setting = box(Dropdown, name, kind, "230px", options=names)
    text = box(
        Text,
        spelling.write_values(values),
        f"values of the {kind}",
        "430px",
        continuous_update=False,
    )

    def give_example(change: Any) -> None:
        if change["new"] in EXAMPLES:
            text.value = spelling.write_values(EXAMPLES[change["new"]])

    setting.observe(give_example, names="value")
    return setting, text


def _so_far(line: Line, measure: str) -> float:
    last, widths = line.rows[-1], layout_of(line.config).widths
    if measure == "accuracy":
        return 100 * last["validation_accuracy", 0]
    shares = [last["dead_fraction", layer] for layer in range(1, len(widths) + 1)]
    return 100 * float(np.average(shares, weights=widths))


def _colour(values: Sequence[float], measure: str) -> str:
    if not values:
        return NOT_YET
    return heat_maps.map_colour(float(np.mean(values)), maps.fewer_is_better(measure))


def _mark(values: Sequence[float]) -> str:
    if not values:
        return ""
    return "!" if np.isnan(values).any() else f"{np.mean(values):.0f}"


def _mean_words(values: Sequence[float]) -> str:
    """The mean over the seeds and their spread, in words."""
    if not values:
        return "not trained yet"
    if np.isnan(values).any():
        return "diverged"
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{spread} %"
