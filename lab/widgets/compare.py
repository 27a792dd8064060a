"""`Compare`: recorded runs side by side, by any measure, at any epoch. Needs no TensorFlow."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ipywidgets import Dropdown, IntSlider, SelectMultiple, Text

from lab import plots
from lab.census import units
from lab.errors import InputError
from lab.plots import canvas, palette, styles
from lab.runs import CURVES, Run, Runs, layer_words, recorded, to_csv
from lab.store import RunStore
from lab.widgets.front import Front, box, button, given_runs, offer, on_change, row
from lab.widgets.opened import Opened

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

ALL: Any = ...  # No label or name can be equal to it.
WIDTHS = {"activation": "230px", "dataset": "180px", "learning rate": "180px", "label": "200px"}
CURVE_LABELS = {
    **{name: words.removesuffix(", %") for name, words in CURVES.items()},
    **{name: layer_words(name) for name in units.LAYER_MEASURES},
}


class Compare(Front):
    """Pick runs, a measure and a layer; see every seed, the means, and the numbers of an epoch.

    Point at the curves to read their values; a name hides and shows its curves; a click on a
    seed's curve opens its run in the microscope.
    """

    def __init__(self, runs: RunStore | Iterable[Run] | None = None) -> None:
        """Lays the controls out and draws.

        Args:
            runs: A store or some runs; by default the store that `lab compare` fills.
        """
        self.runs = given_runs(runs).in_order()
        self.filters = {name: self._filter(name) for name in FILTERS}
        self.groups = box(SelectMultiple, (), "runs", "520px", rows=5)
        measures = [(words, name) for name, words in CURVE_LABELS.items()]
        self.measure = box(Dropdown, "validation_accuracy", "measure", "260px", options=measures)
        self.layer = box(Dropdown, None, "layer", "110px")
        self.epoch = box(IntSlider, 0, "epoch", "330px", min=0, max=0)
        self.file = box(Text, "comparison", "save as")
        self.save = button("Save figure and table", "save")
        super().__init__(
            [
                row(*self.filters.values()),
                self.groups,
                row(self.measure, self.layer, self.epoch),
                row(self.file, self.save),
            ]
        )
        self.opened = Opened(self, lambda: self.chosen)
        on_change(list(self.filters.values()), self._choose_groups)
        on_change([self.groups], self._choose_runs)
        on_change([self.measure, self.layer, self.epoch], self.draw)
        self.save.on_click(lambda _: self._save())
        self._choose_groups()

    def _filter(self, name: str) -> Any:
        values = list(dict.fromkeys(FILTERS[name](run) for run in self.runs))
        options = [("all", ALL), *((str(value), value) for value in values)]
        return box(Dropdown, ALL, name, WIDTHS[name], options=options)

    def _choose_groups(self) -> None:
        """Lists the groups of runs that pass the filters, and picks all of them."""
        wanted = {name: one.value for name, one in self.filters.items() if one.value is not ALL}
        passed = Runs(
            [run for run in self.runs if all(FILTERS[n](run) == v for n, v in wanted.items())]
        )
        groups = passed.groups()
        names = styles.labels([group[0].config for group in groups])
        self.groups.options = [
            (f"{name} ({group[0].record.dataset}, {group.seed_words()})", group)
            for name, group in zip(names, groups, strict=True)
        ]
        self.groups.value = tuple(groups)
        self._choose_runs()

    @property
    def chosen(self) -> Runs:
        """The runs that are picked."""
        return Runs([run for group in self.groups.value for run in group])

    def _choose_runs(self) -> None:
        runs = self.chosen
        layers = min((len(run.layers) for run in runs), default=1)
        offer(self.layer, range(1, layers + 1))
        at_end = self.epoch.value == self.epoch.max
        self.epoch.max = max((run.last_epoch for run in runs), default=0)
        if at_end:
            self.epoch.value = self.epoch.max
        self.draw()

    def draw(self) -> None:
        """Draws the picture and the table again."""
        with self.sentences():
            runs, measure, layer = self.chosen, self.measure.value, self.layer.value or 1
            if not len(runs):
                self.clear()
                raise InputError("Pick one or more runs from the list to compare them.")
            figure = _figure(runs, measure, layer, self.epoch.value)
            table = _table(runs, measure, layer, self.epoch.value)
            self.show(figure, _words(table, measure, layer, self.epoch.value))
            self.show_table(table)
            self.keep_still_soon()
            self.show_code(_code(measure, layer))
            self.say(" ".join(runs.divergences()))

    def _save(self) -> None:
        with self.sentences():
            name = self.file.value.strip()
            if not name or Path(name).name != name:
                raise InputError(f"The name to save as must be a plain file name, not {name!r}.")
            if self.figure is None or self.frame is None:
                raise InputError("Pick one or more runs first: there is nothing to save.")
            for end in ("svg", "png", "csv"):
                if Path(f"{name}.{end}").exists():
                    raise InputError(f"{name}.{end} is there already. Give another name.")
            try:
                for end in ("svg", "png"):
                    self.figure.savefig(f"{name}.{end}", dpi=150)
                Path(f"{name}.csv").write_bytes(to_csv(self.frame).encode())
            except OSError as error:
                raise InputError(f"{name} cannot be saved here: {error.strerror}.") from None
            self.say(f"Saved {name}.svg, {name}.png and {name}.csv in {Path.cwd()}.")


FILTERS: dict[str, Any] = {
    "activation": lambda run: run.config.title,
    "dataset": lambda run: run.record.dataset,
    "learning rate": lambda run: run.config.learning_rate,
    "label": lambda run: run.record.label or "(none)",
}


def _figure(runs: Runs, measure: str, layer: int, epoch: int) -> "Figure":
    figure = canvas.fixed_figure((10.5, 4.6), left=0.08, right=0.72, bottom=0.13, top=0.97)
    with canvas.style():
        ax = figure.subplots()
        if measure in CURVES:
            plots.learning_curves(runs, measure, ax)
        else:
            plots.dead_neurons(runs, layer, measure, ax)
        ax.axvline(epoch, color=palette.GREY, lw=1, ls=":")
    return figure


def _table(runs: Runs, measure: str, layer: int, epoch: int) -> "pd.DataFrame":
    """One row for each group: every seed's value at an epoch, and their mean."""
    import pandas as pd

    groups = runs.groups()
    names = styles.labels([group[0].config for group in groups])
    rows = [_row(group, measure, layer, epoch) for group in groups]
    return pd.DataFrame([{"activation": name} | row for name, row in zip(names, rows, strict=True)])


def _row(group: Runs, measure: str, layer: int, epoch: int) -> dict[str, str]:
    curves = [recorded(run, measure, layer) for run in group]
    values = [curve[epoch] for curve in curves if epoch < len(curve)]
    whole = len(values) == len(curves)
    lost = sum(run.diverged and epoch >= run.last_epoch for run in group)
    if lost:
        mean = f"{lost} of {len(group)} diverged"
    else:
        mean = _number(np.mean(values), measure) if whole else "not all ran so far"
    return {
        "dataset": group[0].record.dataset,
        f"{CURVE_LABELS[measure]} at epoch {epoch}, mean": mean,
        "seeds": group.seed_words(),
        "each seed": ", ".join(_number(value, measure) for value in values) or "-",
    }


def _number(value: np.floating[Any], measure: str) -> str:
    percent = measure.endswith(("accuracy", "fraction"))
    return f"{100 * value:.2f} %" if percent else f"{value:.4g}"


def _words(table: "pd.DataFrame", measure: str, layer: int, epoch: int) -> str:
    rows = "; ".join(f"{row[0]}: {row[2]}" for row in table.itertuples(index=False, name=None))
    where = "" if measure in CURVES else f" of layer {layer}"
    return f"Curves of {CURVE_LABELS[measure]}{where} over the epochs. At epoch {epoch}: {rows}."


def _code(measure: str, layer: int) -> str:
    if measure in CURVES:
        return f"plots.learning_curves(runs, {measure!r})"
    return f"plots.dead_neurons(runs, {layer}, {measure!r})"
