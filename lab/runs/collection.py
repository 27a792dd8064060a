"""`Runs`: several recorded runs, in order, and their tidy tables."""

import functools
import reprlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from lab import activations
from lab.errors import InputError, RunError, unknown
from lab.experiment import VARIED, Dataset, RunConfig
from lab.runs.run import Run, data_of
from lab.runs.tables import (
    IDENTITY,
    death_rows,
    epoch_rows,
    flow_rows,
    identity,
    layer_rows,
    life_rows,
    redundancy_rows,
    result_row,
    run_rows,
    summary_row,
    task_result_row,
    task_rows,
    task_summary_row,
    unit_rows,
)

if TYPE_CHECKING:
    import pandas as pd


# What a run can be picked by, besides its settings.
ASIDE: dict[str, Callable[[Run], Any]] = {
    "dataset": lambda run: run.record.dataset,
    "label": lambda run: run.record.label,
    "status": lambda run: run.status,
}


def _no_runs(found: Any) -> InputError:
    return InputError(
        f"runs must be recorded runs or a store, such as RunStore(), not {reprlib.repr(found)}."
    )


class Runs(Sequence[Run]):
    """Recorded runs, in order, and their tidy tables as pandas DataFrames.

    Every table starts with the columns `run_id`, `activation`, `parameter` (NaN if it has none),
    `seed`, `dataset` and `learning_rate`.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        """Holds the runs given.

        Raises:
            InputError: If they are something else.
        """
        try:
            self._runs = tuple(runs)
        except TypeError:
            raise _no_runs(runs) from None
        for run in self._runs:
            if not isinstance(run, Run):
                raise _no_runs(run)

    def __len__(self) -> int:
        """Returns the number of runs."""
        return len(self._runs)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> "Runs": ...
    def __getitem__(self, index: int | slice) -> "Run | Runs":
        """Returns one run by its position, or several as `Runs`."""
        return Runs(self._runs[index]) if isinstance(index, slice) else self._runs[index]

    def __repr__(self) -> str:
        """Lists the runs' ids."""
        return f"Runs({', '.join(run.run_id for run in self)})"

    def _repr_html_(self) -> str:
        """Shows the table of runs in a notebook; names are text in it, no HTML and no formulas."""
        import pandas as pd

        with pd.option_context("display.html.use_mathjax", False):
            return str(self.runs()._repr_html_())  # type: ignore[operator]

    def where(self, **wanted: Any) -> "Runs":
        """Returns the runs with these settings: `runs.where(activation="relu", dataset="mnist")`.

        Args:
            **wanted: Values of fields of `RunConfig`, or of `dataset`, `label` and `status`.

        Raises:
            InputError: If there is no such field.
        """
        fields = (*ASIDE, *RunConfig.model_fields)
        for name in wanted:
            if name not in fields:
                raise unknown("field", name, fields)
        wanted = {n: tuple(v) if isinstance(v, list | np.ndarray) else v for n, v in wanted.items()}
        return Runs(
            [run for run in self if all(_field(run, n) == value for n, value in wanted.items())]
        )

    def by_activation(self) -> "dict[str, Runs]":
        """Returns the runs of each activation function by its name, in the order of the runs."""
        names = dict.fromkeys(run.config.activation for run in self)
        return {name: self.where(activation=name) for name in names}

    def in_order(self) -> "Runs":
        """Returns the runs by data set, network, learning rate, activation function and seed."""
        return Runs(sorted(self, key=_place))

    def groups(self, apart: Sequence[str] = ("seed",)) -> "list[Runs]":
        """Returns the runs in groups that differ only in some settings.

        Runs that are `disputed` are left out, with a warning.

        Args:
            apart: The settings in which runs of one group may differ; by default the seed.

        Raises:
            InputError: If there is no such setting.
        """
        for name in apart:
            if name not in RunConfig.model_fields:
                raise unknown("setting", name, RunConfig.model_fields)
        defaults = {name: RunConfig.model_fields[name].default for name in apart}
        groups: dict[Any, list[Run]] = {}
        disputed = self.disputed()
        for words in disputed.values():
            _warn_once(words)
        for run in self:
            if run.run_id in disputed:
                continue
            key = (run.record.dataset_digest, run.config.model_copy(update=defaults))
            groups.setdefault(key, []).append(run)
        return [Runs(runs) for runs in groups.values()]

    def disputed(self) -> dict[str, str]:
        """The ended runs that differ from another of the same settings and seed, with a message.

        One of them must be wrong, or from another kind of processor, so none of them counts.
        """
        alike: dict[Any, set[str]] = {}
        for run in self.ended():
            key = (run.record.dataset_digest, run.config)
            alike.setdefault(key, set()).add(run.run_id)
        return {
            name: f"{' and '.join(sorted(names))} have the same settings and seed, but other "
            f"bits: none of them counts. lab verify shows which one comes out again; lab delete "
            f"removes one."
            for names in alike.values()
            if len(names) > 1
            for name in sorted(names)
        }

    def comparisons(self, *apart: str) -> "list[Runs]":
        """Returns the runs in groups that differ only in activation function and seed.

        Args:
            *apart: Further settings in which runs of one group may differ.
        """
        return self.groups((*VARIED, *apart))

    def ended(self) -> "Runs":
        """Returns the runs that have ended: finished or diverged."""
        return Runs([run for run in self if run.ended])

    def readable(self) -> "Runs":
        """Returns the runs whose arrays can be read; a warning names each of the others."""
        return Runs(each(self, _checked))

    def divergences(self) -> list[str]:
        """Returns a sentence for each run that diverged: which, when, and where it began."""
        return [
            f"{run.config.title}, learning rate {run.config.learning_rate:g}, "
            f"seed {run.config.seed}: {run.divergence}"
            for run in self
            if run.diverged
        ]

    def seed_words(self) -> str:
        """Returns the seeds in words, such as `seeds 0-2`."""
        seeds = sorted({run.config.seed for run in self})
        if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
            return f"seeds {seeds[0]}-{seeds[-1]}"
        return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"

    def summary(self) -> "pd.DataFrame":
        """One row for each group of runs that differ only in their seed.

        Columns: `activation` (label and parameter), `dataset`, `learning_rate`, `runs` (how
        many), `diverged` (how many of them), and over those that finished without diverging:
        `test_loss` and `test_accuracy` (means), `every_test_accuracy` (in the order of seeds),
        `dead_confirmed` and `nearly_dead` (at the last epoch, one mean for each hidden layer),
        `seconds` (mean time on one core).
        """
        import pandas as pd

        return pd.DataFrame([summary_row(list(g)) for g in self.readable().groups()])

    def results(self) -> "pd.DataFrame":
        """The summary for reading, in percent and in words: one row for each group of runs.

        Columns: `activation`, `dataset`, `learning rate`, `runs`, `test accuracy, %` (mean),
        `each seed, %`, and by hidden layer `dead, %` (no gradient on any training image) and
        `nearly dead, %` (on the probe).
        """
        import pandas as pd

        return pd.DataFrame([result_row(row) for row in self.summary().to_dict("records")])

    def runs(self) -> "pd.DataFrame":
        """One row for each run.

        Further columns: `epochs` (finished ones), `status`, `test_loss`, `test_accuracy` (NaN
        before the end), `train_seconds` (training, validation and census on one core), `label`.
        """
        return self._table(run_rows)

    def epochs(self) -> "pd.DataFrame":
        """One row for each run, epoch and split.

        Further columns: `epoch` (0: untrained), `split` (`train` or `validation`), `loss`,
        `accuracy`. Training values are the running means over the epoch, as Keras prints them;
        those of epoch 0 are measured on the probe set.
        """
        return self._table(epoch_rows)

    def layers(self) -> "pd.DataFrame":
        """One row for each run, epoch and hidden layer.

        Further columns, all shares and means over the probe set: `epoch`, `layer` (from 1),
        `units` (how many); `dead_fraction` (gate 0 on every image); `dead_confirmed_fraction`
        (on every training image: known at a run's last epoch only, else NaN);
        `nearly_dead_fraction` (gate at most 0.001 of its largest); `always_negative_fraction`
        (z never above 0); `saturated_fraction` (nearly no gate on 99 % of the images);
        `dormant_fraction` and `constant_fraction` (mean |a|, or standard deviation, at most 0.025
        of the layer's mean of it); `zero_fraction` (of all unit-image pairs, those with a = 0);
        `nonfinite_fraction` (units with NaN or infinity: the other shares are NaN then);
        `mean_gate`; `activation_mean`; `activation_sd`; `probe_size` (images in the probe set).
        `lab.units` defines each, and takes other thresholds; whatever else its `LAYER_MEASURES`
        lists has a column, too. Those that compare the gate with its largest are NaN for a
        function whose slope is not bounded.
        """
        return self._table(layer_rows)

    def tasks(self) -> "pd.DataFrame":
        """One row for each run that learns tasks, each task that it has finished and hidden layer.

        Further columns: `task` (from 1; 0 is the untrained network, shown the first task), `epoch`
        (the task's last), `layer` (from 1); of the whole network `online_accuracy` and
        `end_accuracy`, while the task is learned and at its end; and of the layer `dead_fraction`
        at the end, on the probe as the task shows it, `weight_norm` of its kernel, and
        `update_ratio`, what an epoch adds to the kernel by its norm. `measures.by_task` defines
        each.
        """
        return self.learning_tasks()._table(task_rows)

    def learning_tasks(self) -> "Runs":
        """Returns the runs that learn tasks one after the other."""
        return Runs([run for run in self if run.config.tasks != "none"])

    def task_results(self) -> "pd.DataFrame":
        """The first and the last tasks for reading: one row for each group of runs that learn them.

        Means over seeds. Columns: `activation`; accuracies `while learning, %` and `at the task's
        end, %`, as the mean over the first tenth of the tasks → that over the last tenth, and by
        how many points that changes; by hidden layer `dead, %` (on the probe) and `weight norm`,
        untrained → after the last task.
        """
        import pandas as pd

        groups = self.learning_tasks().readable().groups()
        return pd.DataFrame([task_result_row(task_summary_row(list(group))) for group in groups])

    def units(self) -> "pd.DataFrame":
        """One row for each run, epoch, hidden layer and unit.

        Further columns: `epoch`, `layer` (from 1), `unit` (from 0); what the unit did on the
        probe set: `nonfinite` (images with NaN or infinity), `max_z`, `min_z`, `mean`, `mean_abs`
        and `sd` of its activation, `zeros` (images with a = 0), `mean_gate`, `max_gate`, `shut`
        (images with the gate at most 0.001 of its largest); and true or false for `dead`,
        `nearly_dead`, `always_negative`, `saturated`, `dormant`, `constant`, as in `layers`.
        """
        return self._table(unit_rows)

    def lives(self) -> "pd.DataFrame":
        """One row for each run, hidden layer and unit: its life history on the probe set.

        Further columns: `layer` (from 1), `unit` (from 0), `born_dead` (dead untrained), `died`
        and `revived` (the epochs, as text), `epochs_dead` (how many), `dead_for_good_since` (the
        epoch; NaN where it is not dead at the end), and `cause`: of a unit that is dead or
        non-finite at the end, one of `causes.CAUSES`, else empty.
        """
        return self._table(life_rows)

    def deaths(self) -> "pd.DataFrame":
        """One row for each run and hidden layer: how many units died and came back in all.

        Further columns: `layer` (from 1); counts of units on the probe set, as in `flows`:
        `born_dead`, `died`, `revived` and `lost`, summed over the epochs, and `dead` at the end.
        """
        return self._table(death_rows)

    def redundancy(self, dataset: Dataset | None = None) -> "pd.DataFrame":
        """One row for each run, epoch with kept weights, and hidden layer: what it could spare.

        Further columns: `epoch`, `layer` (from 1), `units` (how many); of these on the probe set
        `dead` and `clones` (that could be taken away so that one of each group of clones is left);
        `effective_rank` and `stable_rank` of the activations, each from 0 to the number of units.
        Where a layer gave values that are not finite, the last three are NaN. See
        `lab.census.clones` for what these are.

        Args:
            dataset: What the runs were trained on; by default it is loaded by its name.

        Raises:
            RunError: If a run kept no weights, or if the data set is another one.
            DatasetMissingError: If the data set is not given and not available.
        """
        for run in self:
            run.weights()  # Refuses a run without weights before any work.
        data = data_of(dataset)
        return _joined([_frame(run, redundancy_rows(run, data(run))) for run in self])

    def flows(self) -> "pd.DataFrame":
        """One row for each run, epoch and hidden layer: how many units died and came back.

        Further columns: `epoch`, `layer` (from 1), `units` (how many); counts of units on the
        probe set that are `born_dead` (only in epoch 0), `died`, `revived`, went from dead to
        non-finite (`lost`), are `dead`, and were `never_dead` so far. Up to every epoch, dead =
        born_dead + died - revived - lost, each summed up.
        """
        return self._table(flow_rows)

    def _table(self, rows: "Callable[[Run], Mapping[str, Any]]") -> "pd.DataFrame":
        return _joined(each(self, lambda run: _frame(run, rows(run))))


def _frame(run: Run, rows: Mapping[str, Any]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(identity(run) | dict(rows))


def _joined(tables: "list[pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    if not tables:
        return pd.DataFrame(columns=list(IDENTITY))
    table: pd.DataFrame = pd.concat(tables, ignore_index=True)
    return table


@functools.cache
def _warn_once(words: str) -> None:
    warnings.warn(words, stacklevel=4)


def each(runs: Sequence[Run], row: Callable[[Run], Any]) -> list[Any]:
    """Applies `row` to each run, except those whose arrays cannot be read, with a warning.

    Args:
        runs: The runs.
        row: Makes the result of one run.
    """
    made = []
    for run in runs:
        try:
            made.append(row(run))
        except RunError as error:
            warnings.warn(
                f"Run {run.run_id} is left out: {error} To remove it: lab delete {run.run_id}",
                stacklevel=4,
            )
    return made


def _checked(run: Run) -> Run:
    for number in run.layers:
        run.layer(number)
        run.task_numbers(number)
    if run.record.confirmed:
        run.confirmed_fractions()
    return run


def _place(run: Run) -> tuple[Any, ...]:
    config, known = run.config, activations.names()
    place = known.index(config.activation) if config.activation in known else len(known)
    function = (place, config.activation, config.alpha)
    network = (config.network, config.hidden)
    return run.record.dataset, *network, config.learning_rate, *function, config.seed


def _field(run: Run, name: str) -> Any:
    return ASIDE[name](run) if name in ASIDE else getattr(run.config, name)
