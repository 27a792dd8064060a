"""Kill maps: how many neurons die, and how well the network does, over two settings.

found = kill_map({"learning_rate": [1e-3, 1e-2], "first_bias": [-1, 0]}, dataset="mnist-5k")
found.table("dead"), found.picture()
found.picture(mapped=("dead", "clones_fraction"))
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.errors import InputError, unknown
from lab.experiment import VARIABLE, Dataset, check_values, grid, value_words, words_of
from lab.figures import CaptionedFigure, of_analyses
from lab.runs import Run, Runs, measures
from lab.store import RunStore
from lab.studies import Study, finish, gather
from lab.words import counted

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 32
NO_AXIS = ("activation", "parameter", "keep_weights", "epochs")
MAPPED = {
    "dead": "dead hidden neurons, %",
    "accuracy": "validation accuracy, %",
    "clones_fraction": "clones, % of hidden neurons",
    "effective_rank_fraction": "effective rank, % of hidden neurons",
    "stable_rank_fraction": "stable rank, % of hidden neurons",
}
USUAL = ("dead", "accuracy")  # What is drawn unless another is asked for.


@dataclass(frozen=True, eq=False)
class SettingsMap:
    """Runs over a grid of two settings.

    Attributes:
        rows: The setting that differs from row to row, and its values.
        columns: The same for the columns.
        runs: The runs, of every cell and seed.
        dataset: What they are trained on; by default it is loaded by its name, where needed.
    """

    rows: tuple[str, tuple[Any, ...]]
    columns: tuple[str, tuple[Any, ...]]
    runs: Runs
    dataset: Dataset | None = None

    def cell(self, row: Any, column: Any) -> Runs:
        """Returns the runs of one cell, one for each seed.

        Raises:
            InputError: If the map has no such cell.
        """
        for (name, values), value in zip((self.rows, self.columns), (row, column), strict=True):
            if value not in values:
                known = ", ".join(map(value_words, values))
                raise InputError(f"{name} must be one of {known} in this map, not {value!r}.")
        return Runs([run for run in self.runs if self._place(run) == (row, column)])

    def table(self, measure: str = "dead", spread: bool = False) -> "pd.DataFrame":
        """Returns a measure in %, a row and a column for each value of the two settings.

        Args:
            measure: One of `MAPPED`: `dead`, the share of all hidden units that are dead on all
                training images; `accuracy`, the validation accuracy after the last epoch; of the
                last kept weights, on the probe set, `clones_fraction`, the share of units that
                could be taken away as clones of others, and `effective_rank_fraction` and
                `stable_rank_fraction`, the ranks of all hidden layers together as a share of
                their units. NaN in cells with a run that diverged.
            spread: Whether to return the standard deviation over the seeds in place of the mean;
                NaN with one seed.

        Raises:
            InputError: If there is no such measure.
            RunError: If a run kept no weights, for clones and ranks.
        """
        import pandas as pd

        of = measure_of(measure, self.dataset)
        cells = [[of.printed(run) for run in self.cell(*place)] for place in self._cells]
        values = [_spread(cell) if spread else np.mean(cell) for cell in cells]
        (row, rows), (column, columns) = self.rows, self.columns
        grid = np.array(values).reshape(len(rows), len(columns))
        return pd.DataFrame(
            grid,
            index=pd.Index(list(map(value_words, rows)), name=row),
            columns=pd.Index(list(map(value_words, columns)), name=column),
        )

    def picture(self, name: str = "kill-map", mapped: Sequence[str] = USUAL) -> CaptionedFigure:
        """Draws maps side by side, with the mean and the spread in each cell.

        Args:
            name: The file's name.
            mapped: What to map, each one of `MAPPED`.

        Raises:
            InputError: If there is no such measure.
            RunError: As for `table`.
        """
        for measure in mapped:
            measure_of(measure)  # Refuses an unknown measure before any work.
        titled = {
            MAPPED[name]: (self.table(name), self.table(name, spread=True), fewer_is_better(name))
            for name in mapped
        }
        useful = "; clones and ranks: of the last weights, on the probe set"
        words = self._settings() + useful * any(name in measures.REDUNDANCY for name in mapped)
        return of_analyses.kill_map(titled, self.table("dead"), words, name)

    @property
    def _cells(self) -> list[tuple[Any, Any]]:
        return list(itertools.product(self.rows[1], self.columns[1]))

    def _place(self, run: Run) -> tuple[Any, Any]:
        row, column = (getattr(run.config, name) for name in (self.rows[0], self.columns[0]))
        return row, column

    def _settings(self) -> str:
        """The settings that all cells share, as far as a reader needs them."""
        config, fixed = self.runs[0].config, ("hidden", "learning_rate", "optimizer", "first_bias")
        seeds = len({run.config.seed for run in self.runs})
        said = [
            f"{words_of(name)} {value_words(getattr(config, name))}"
            for name in fixed
            if name not in (self.rows[0], self.columns[0])
        ]
        usual = [config.title, self.runs[0].record.dataset, counted(config.epochs, "epoch")]
        return ", ".join([*usual, *said, f"means of {seeds} seeds" if seeds > 1 else "one seed"])


def kill_map(
    vary: Mapping[str, Sequence[Any]],
    seeds: Any = 1,
    dataset: str | Dataset = "auto",
    store: str | Path | RunStore | None = None,
    **settings: Any,
) -> SettingsMap:
    """Trains a network at every combination of two settings; recorded runs are loaded.

    Args:
        vary: Two fields of `RunConfig` with 2 to 32 values each: rows, then columns.
        seeds: How many seeds, from 0; or the seeds themselves.
        dataset: A name for `load_dataset`, or a data set.
        store: The folder that keeps the runs; by default `store.default_path()`.
        **settings: Further fields of `RunConfig`, the same for all runs.

    Returns:
        The map: `.table("dead")` and `.picture()` show it, `.cell(row, column)` gives runs.

    Raises:
        InputError: If a setting is not valid, in one sentence, before any training.
        DatasetMissingError: If the data set is not available.
        StoreError: If the store cannot be written to, or another process writes a run.
    """
    study, axes = plan_map(vary, seeds, dataset, store, **settings)
    finish(study)
    return SettingsMap(*axes, study.runs(), study.dataset)


def plan_map(
    vary: Mapping[str, Sequence[Any]],
    seeds: Any = 1,
    dataset: str | Dataset = "auto",
    store: str | Path | RunStore | None = None,
    **settings: Any,
) -> tuple[Study, tuple[Any, Any]]:
    """Checks all settings of a kill map and returns its study and its two axes; see `kill_map`."""
    if not isinstance(vary, Mapping):
        raise InputError(
            "vary must name two settings with their values, such as "
            f"{{'learning_rate': [0.001, 0.01], 'first_bias': [-1, 0]}}, not {vary!r}."
        )
    if len(vary) != 2:
        raise InputError(f"vary must name two settings, not {len(vary)}.")
    for name, values in vary.items():
        _check_axis(name, values)
    configs = grid(vary, seeds, settings)
    axes = tuple((n, tuple(dict.fromkeys(getattr(c, n) for c in configs))) for n in vary)
    for name, values in axes:
        if len(values) < 2:
            raise InputError(f"{name} must have at least two different values for a map.")
    study = gather(configs, dataset, store)
    return study, (axes[0], axes[1])


def _check_axis(name: str, values: Any) -> None:
    choices = [field for field in VARIABLE if field not in NO_AXIS]
    if name not in choices:
        raise unknown("setting of a map", name, choices)
    check_values(name, values)
    if not 2 <= len(values) <= MOST_VALUES:
        raise InputError(
            f"{name} must have from 2 to {MOST_VALUES} values for a map, not {len(values)}."
        )


def measure_of(name: str, dataset: Dataset | None = None) -> measures.Measure:
    """Returns a measure by its name in `MAPPED`; it is in %, and NaN where a run diverged.

    Args:
        name: The measure.
        dataset: What the runs are trained on; by default it is loaded by its name, where needed.

    Raises:
        InputError: If there is no such measure.
    """
    if name not in MAPPED:
        raise unknown("measure", name, MAPPED)
    recorded = "validation_accuracy" if name == "accuracy" else name
    return measures.measure(recorded, dataset=dataset)


def fewer_is_better(measure: str) -> bool:
    """Tells whether a smaller value of a measure in `MAPPED` is better."""
    return measure_of(measure).better == "smaller"


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else np.nan
