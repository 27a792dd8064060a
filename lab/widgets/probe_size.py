"""`ProbeSize`: how many neurons look dead on ever more images, and how many of them are not."""

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd
from ipywidgets import Dropdown, SelectionSlider

from lab import plots
from lab.analysis import probes
from lab.errors import InputError
from lab.experiment import Dataset
from lab.plots import canvas, palette
from lab.runs import Run, Runs
from lab.store import RunStore
from lab.widgets.front import Front, box, given_runs, on_change, row, run_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ProbeSize(Front):
    """Slide the number of images that are looked at, and see who only looks dead."""

    def __init__(
        self,
        runs: Run | RunStore | Iterable[Run] | None = None,
        dataset: Dataset | None = None,
    ) -> None:
        """Lays the controls out and draws.

        Args:
            runs: A run, some runs or a store; by default the store that `lab compare` fills. Those
                that kept no weights are left out.
            dataset: The data set of the runs; by default it is loaded by its name.
        """
        self.runs = Runs([run for run in given_runs(runs) if run.kept_epochs])
        self._tables = functools.cache(
            lambda run_id: _tables(next(r for r in self.runs if r.run_id == run_id), dataset)
        )
        names = run_names(self.runs)
        first = names[0][1] if names else None
        self.run = box(Dropdown, first, "run", "400px", options=names)
        self.images = box(SelectionSlider, 100, "images", "400px", options=probes.SIZES[:5])
        super().__init__([row(self.run, self.images)])
        on_change([self.run], self._choose_run)
        on_change([self.images], self.draw)
        self._choose_run()

    def _choose_run(self) -> None:
        with self.sentences():
            if self.run.value is None:
                raise InputError("There is no run with weights. Record one with: lab compare")
            sizes = self._tables(self.run.value.run_id)[1].images.tolist()
            size = self.images.value if self.images.value in sizes else sizes[-1]
            self.images.options = [(f"{size:,}", size) for size in sizes]
            self.images.value = size
            self.draw()

    def draw(self) -> None:
        """Draws the curves, and says what the chosen number of images shows."""
        with self.sentences():
            tables, images = self._tables(self.run.value.run_id), self.images.value
            frame = _frame(self.run.value, tables, images)
            self.show(_figure(tables, images), f"{images:,} images. {frame.to_string(index=False)}")
            self.show_table(frame)
            self.show_code("probes.by_size(run, layer)")
            self.keep_still_soon()
            self.say("")


def _tables(run: Run, dataset: Dataset | None) -> dict[int, pd.DataFrame]:
    return {layer: probes.by_size(run, layer, dataset) for layer in run.layers}


def _frame(run: Run, tables: dict[int, pd.DataFrame], images: int) -> pd.DataFrame:
    """For each layer: who looks dead on this many images, who of them is not, who is dead."""
    rows = []
    for layer, table in tables.items():
        (at,) = table[table.images == images].to_dict("records")
        looks = round(at["dead_fraction"] * run.layout.widths[layer - 1])
        rows.append((layer, looks, at["wrong"], looks - at["wrong"]))
    names = [f"look dead on {images:,} images", "of these not dead", "dead on all images"]
    return pd.DataFrame(rows, columns=["layer", *names])


def _figure(tables: dict[int, pd.DataFrame], images: int) -> "Figure":
    figure = canvas.fixed_figure((10.5, 4.6), left=0.08, right=0.97, bottom=0.13, top=0.97)
    with canvas.style():
        ax = plots.probe_sizes(tables, figure.subplots())
        ax.axvline(images, color=palette.GREY, lw=2, ls=":", zorder=1)
    return figure
