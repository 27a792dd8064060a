"""`Runs`: several recorded runs and their tidy tables, as pandas DataFrames."""

import functools
import reprlib
import warnings
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from lab import activations, causes, units
from lab.config import RunConfig, words_of
from lab.errors import InputError, RunError, unknown
from lab.records import ENDED
from lab.runs import Run

if TYPE_CHECKING:
    import pandas as pd

# What may differ between the runs of one comparison.
VARIED = ("activation", "parameter", "source_sha256", "seed")
IDENTITY = ("run_id", "activation", "parameter", "seed", "dataset", "learning_rate")

MOST_LAYERS = 3
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

    def in_order(self) -> "Runs":
        """Returns the runs by data set, network, learning rate, activation function and seed."""
        return Runs(sorted(self, key=_place))

    def groups(self, apart: Sequence[str] = ("seed",)) -> "list[Runs]":
        """Returns the runs in groups that differ in some settings alone.

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
        """The ended runs of which there is another one of the same settings and seed; with words.

        One of them must be wrong, or of another kind of processor: none of them counts.
        """
        alike: dict[Any, set[str]] = {}
        for run in self.ended():
            key = (run.record.dataset_digest, run.config)
            alike.setdefault(key, set()).add(run.run_id)
        return {
            name: f"{' and '.join(sorted(names))} are of the same settings and seed, with other "
            f"bits: none of them counts. Which one comes out again: lab verify; to be rid of one: "
            f"lab delete."
            for names in alike.values()
            if len(names) > 1
            for name in sorted(names)
        }

    def comparisons(self, *apart: str) -> "list[Runs]":
        """Returns the runs in groups that differ in activation function and seed alone.

        Args:
            *apart: Further settings in which runs of one group may differ.
        """
        return self.groups((*VARIED, *apart))

    def ended(self) -> "Runs":
        """Returns the runs that have ended: finished or diverged."""
        return Runs([run for run in self if run.status in ENDED])

    def readable(self) -> "Runs":
        """Returns the runs whose arrays can be read; a warning names each of the others."""
        return Runs(each(self, _checked))

    def divergences(self) -> list[str]:
        """Returns a sentence for each run that diverged: which, when, and where it began."""
        return [
            f"{run.config.title}, learning rate {run.config.learning_rate:g}, "
            f"seed {run.config.seed}: {run.divergence}"
            for run in self
            if run.status == "diverged"
        ]

    def seed_words(self) -> str:
        """Returns the seeds in words, such as `seeds 0-2`."""
        seeds = sorted({run.config.seed for run in self})
        if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
            return f"seeds {seeds[0]}-{seeds[-1]}"
        return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"

    def summary(self) -> "pd.DataFrame":
        """One row for each group of runs that differ in their seed alone.

        Columns: `activation` (label and parameter), `dataset`, `learning_rate`, `runs` (how
        many), `diverged` (how many of them), and over those that finished without diverging:
        `test_loss` and `test_accuracy` (means), `every_test_accuracy` (in the order of seeds),
        `dead_confirmed` and `nearly_dead` (at the last epoch, one mean for each hidden layer),
        `seconds` (mean time on one core).
        """
        import pandas as pd

        return pd.DataFrame([_summary_row(list(g)) for g in self.readable().groups()])

    def results(self) -> "pd.DataFrame":
        """The summary to be read: in percent and in words, one row for each group of runs.

        Columns: `activation`, `dataset`, `learning rate`, `runs`, `test accuracy, %` (mean),
        `each seed, %`, and by hidden layer `dead, %` (no gradient on any training image) and
        `nearly dead, %` (on the probe).
        """
        import pandas as pd

        return pd.DataFrame([_result_row(row) for row in self.summary().to_dict("records")])

    def runs(self) -> "pd.DataFrame":
        """One row for each run.

        Further columns: `epochs` (finished ones), `status`, `test_loss`, `test_accuracy` (NaN
        before the end), `train_seconds` (training, validation and census on one core), `label`.
        """
        return self._table(_run_rows)

    def epochs(self) -> "pd.DataFrame":
        """One row for each run, epoch and split.

        Further columns: `epoch` (0: untrained), `split` (`train` or `validation`), `loss`,
        `accuracy`. Training values are the running means over the epoch, as Keras prints them;
        those of epoch 0 are measured on the probe set.
        """
        return self._table(_epoch_rows)

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
        return self._table(_layer_rows)

    def units(self) -> "pd.DataFrame":
        """One row for each run, epoch, hidden layer and unit.

        Further columns: `epoch`, `layer` (from 1), `unit` (from 0); what the unit did on the
        probe set: `nonfinite` (images with NaN or infinity), `max_z`, `min_z`, `mean`, `mean_abs`
        and `sd` of its activation, `zeros` (images with a = 0), `mean_gate`, `max_gate`, `shut`
        (images with the gate at most 0.001 of its largest); and true or false for `dead`,
        `nearly_dead`, `always_negative`, `saturated`, `dormant`, `constant`, as in `layers`.
        """
        return self._table(_unit_rows)

    def lives(self) -> "pd.DataFrame":
        """One row for each run, hidden layer and unit: its life history on the probe set.

        Further columns: `layer` (from 1), `unit` (from 0), `born_dead` (dead untrained), `died`
        and `revived` (the epochs, as text), `epochs_dead` (how many), `dead_for_good_since` (the
        epoch; NaN where it is not dead at the end), and `cause`: of a unit that is dead or
        non-finite at the end, one of `causes.CAUSES`, else empty.
        """
        return self._table(_life_rows)

    def flows(self) -> "pd.DataFrame":
        """One row for each run, epoch and hidden layer: how many units died and came back.

        Further columns: `epoch`, `layer` (from 1), `units` (how many); counts of units on the
        probe set that are `born_dead` (in epoch 0 alone), `died`, `revived`, went from dead to
        non-finite (`lost`), are `dead`, and were `never_dead` so far. Up to every epoch, dead =
        born_dead + died - revived - lost, each summed up.
        """
        return self._table(_flow_rows)

    def _table(self, rows: "Callable[[Run], Mapping[str, Any]]") -> "pd.DataFrame":
        import pandas as pd

        tables = each(self, lambda run: pd.DataFrame(_identity(run) | dict(rows(run))))
        if not tables:
            return pd.DataFrame(columns=list(IDENTITY))
        table: pd.DataFrame = pd.concat(tables, ignore_index=True)
        return table


@functools.cache
def _warn_once(words: str) -> None:
    warnings.warn(words, stacklevel=4)


def each(runs: Sequence[Run], row: Callable[[Run], Any]) -> list[Any]:
    """Makes something of each run; one whose arrays cannot be read is left out, with a warning.

    Args:
        runs: The runs.
        row: What to make of a run.
    """
    made = []
    for run in runs:
        try:
            made.append(row(run))
        except RunError as error:
            warnings.warn(
                f"Run {run.run_id} is left out: {error} To be rid of it: lab delete {run.run_id}",
                stacklevel=4,
            )
    return made


def _checked(run: Run) -> Run:
    for number in run.layers:
        run.layer(number)
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


def _identity(run: Run) -> dict[str, Any]:
    config = run.config
    parameter = np.nan if config.parameter is None else config.parameter
    values = (run.run_id, config.activation, parameter, config.seed)
    return dict(zip(IDENTITY, (*values, run.record.dataset, config.learning_rate), strict=True))


def _summary_row(runs: list[Run]) -> dict[str, Any]:
    first = runs[0]
    ended = sorted((r for r in runs if r.status == "finished"), key=lambda run: run.config.seed)
    last = [[run.last_summaries(number) for number in run.layers] for run in ended]
    nearly_dead = units.LAYER_MEASURES["nearly_dead_fraction"]
    nearly = [[float(nearly_dead(layer)) for layer in run] for run in last]
    return {
        "activation": first.config.title,
        "dataset": first.record.dataset,
        "learning_rate": first.config.learning_rate,
        "runs": len(runs),
        "diverged": sum(run.status == "diverged" for run in runs),
        "test_loss": _mean([run.record.test_loss for run in ended]),
        "test_accuracy": _mean([run.record.test_accuracy for run in ended]),
        "every_test_accuracy": tuple(run.record.test_accuracy for run in ended),
        "dead_confirmed": _means([run.confirmed_fractions() for run in ended]),
        "nearly_dead": _means(nearly),
        "seconds": _mean([run.seconds for run in ended]),
    }


def _result_row(row: dict[Hashable, Any]) -> dict[str, Any]:
    return {
        "activation": row["activation"],
        "dataset": row["dataset"],
        "learning rate": row["learning_rate"],
        "runs": row["runs"],
        "test accuracy, %": _diverged(row) or f"{100 * row['test_accuracy']:.2f}",
        "each seed, %": " ".join(f"{100 * a:.2f}" for a in row["every_test_accuracy"]) or "-",
        "dead, %": by_layer(f"{100 * share:.1f}" for share in row["dead_confirmed"]),
        "nearly dead, %": by_layer(f"{100 * share:.1f}" for share in row["nearly_dead"]),
    }


def _diverged(row: dict[Hashable, Any]) -> str:
    if not row["diverged"]:
        return ""
    mean = f"{100 * row['test_accuracy']:.2f}, " if row["every_test_accuracy"] else ""
    return f"{mean}{row['diverged']} of {row['runs']} diverged"


def differences(configs: Sequence[RunConfig], *aside: str) -> list[list[str]]:
    """Returns for each the settings, but those in `VARIED`, that are not the same for all.

    Args:
        configs: The settings.
        *aside: Further names of settings to leave out.
    """
    fields = [name for name in differing(configs) if name not in aside]
    words = {name: "lr" if name == "learning_rate" else words_of(name) for name in fields}
    return [[f"{words[n]} {_setting(getattr(config, n))}" for n in fields] for config in configs]


def differing(configs: Sequence[RunConfig]) -> list[str]:
    """Returns the names of the settings, but those in `VARIED`, that are not the same for all."""
    return [
        name
        for name in RunConfig.model_fields
        if name not in VARIED and len({getattr(config, name) for config in configs}) > 1
    ]


def _setting(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun: `counted(1, "epoch")` is `1 epoch`, else `2 epochs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def by_layer(values: Iterable[Any]) -> str:
    """Joins what is known of each layer; of more than three layers the first and the last.

    >>> by_layer([1.5, 0.0])
    '1.5 / 0.0'
    >>> by_layer(range(1, 7))
    '1 / … / 6'
    """
    words = [str(value) for value in values]
    shown = words if len(words) <= MOST_LAYERS else [words[0], "…", words[-1]]
    return " / ".join(shown) or "-"


def _mean(values: Sequence[Any]) -> float:
    return float(np.mean(values)) if values else np.nan


def _means(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(_mean(column) for column in zip(*rows, strict=True))


def _run_rows(run: Run) -> Mapping[str, Any]:
    record = run.record
    return {
        "epochs": [run.last_epoch],
        "status": run.status,
        "test_loss": np.nan if record.test_loss is None else record.test_loss,
        "test_accuracy": np.nan if record.test_accuracy is None else record.test_accuracy,
        "train_seconds": run.seconds,
        "label": record.label,
    }


def _epoch_rows(run: Run) -> Mapping[str, Any]:
    epochs = run.record.epochs
    return {
        "epoch": [e.epoch for e in epochs for _ in range(2)],
        "split": ["train", "validation"] * len(epochs),
        "loss": [loss for e in epochs for loss in (e.train_loss, e.validation_loss)],
        "accuracy": [a for e in epochs for a in (e.train_accuracy, e.validation_accuracy)],
    }


def _layer_rows(run: Run) -> Mapping[str, Any]:
    layers = [run.layer(number) for number in run.layers]
    epochs = len(run.record.epochs)

    def column(values: list[Any]) -> NDArray[Any]:
        return np.stack(values, axis=1).ravel()

    measures = {
        name: column([measure(layer) for layer in layers])
        for name, measure in units.LAYER_MEASURES.items()
    }
    confirmed = np.full((epochs, len(layers)), np.nan)
    confirmed[-1] = run.confirmed_fractions()
    return {
        "epoch": np.repeat(np.arange(epochs), len(layers)),
        "layer": np.tile(np.array(run.layers), epochs),
        "units": np.tile(np.array(run.layout.widths), epochs),
        "dead_fraction": measures.pop("dead_fraction"),
        "dead_confirmed_fraction": confirmed.ravel(),
        **measures,
        "probe_size": run.record.probe_images,
    }


def _unit_rows(run: Run) -> Mapping[str, Any]:
    layers = [run.layer(number) for number in run.layers]
    epochs, hidden = len(run.record.epochs), run.layout.widths

    def column(values: list[Any]) -> NDArray[Any]:
        return np.concatenate(values, axis=1).ravel()

    columns = {
        "epoch": np.repeat(np.arange(epochs), sum(hidden)),
        "layer": np.tile(np.repeat(np.array(run.layers), hidden), epochs),
        "unit": np.tile(np.concatenate([np.arange(n) for n in hidden]), epochs),
        **{name: column([getattr(layer, name) for layer in layers]) for name in units.ARRAYS},
        **{
            name: column([measure(layer) for layer in layers])
            for name, measure in units.UNIT_MEASURES.items()
        },
    }
    return {n: v if units.applies(layers[0], n) else np.nan for n, v in columns.items()}


def _life_rows(run: Run) -> Mapping[str, Any]:
    layers = [run.lives(number) for number in run.layers]
    widths = run.layout.widths

    def column(values: list[Any]) -> NDArray[Any]:
        return np.concatenate(values)

    since = column([lived.dead_since[-1] for lived in layers])
    found = [causes.find(run, number) for number in run.layers]
    return {
        "layer": np.repeat(np.array(run.layers), widths),
        "unit": column([np.arange(width) for width in widths]),
        "born_dead": column([lived.born_dead for lived in layers]),
        "died": [text for lived in layers for text in _epochs_as_text(lived.died)],
        "revived": [text for lived in layers for text in _epochs_as_text(lived.revived)],
        "epochs_dead": column([lived.dead.sum(axis=0) for lived in layers]),
        "dead_for_good_since": np.where(since >= 0, since, np.nan),
        "cause": [
            causes_of[unit].name if unit in causes_of else ""
            for causes_of, width in zip(found, widths, strict=True)
            for unit in range(width)
        ],
    }


def _epochs_as_text(flow: units.BoolArray) -> list[str]:
    return [", ".join(map(str, np.flatnonzero(unit))) for unit in flow.T]


def _flow_rows(run: Run) -> Mapping[str, Any]:
    layers = [run.lives(number) for number in run.layers]
    epochs = len(run.record.epochs)

    def column(values: list[Any]) -> NDArray[Any]:
        return np.stack([value.sum(axis=1) for value in values], axis=1).ravel()

    return {
        "epoch": np.repeat(np.arange(epochs), len(layers)),
        "layer": np.tile(np.array(run.layers), epochs),
        "units": np.tile(np.array(run.layout.widths), epochs),
        "born_dead": column([lived.dead & (np.arange(epochs) == 0)[:, None] for lived in layers]),
        "died": column([lived.died for lived in layers]),
        "revived": column([lived.revived for lived in layers]),
        "lost": column([lived.lost for lived in layers]),
        "dead": column([lived.dead for lived in layers]),
        "never_dead": column([lived.never_dead for lived in layers]),
    }
