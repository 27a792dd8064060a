"""The rows of each table: what is said of one run, or of runs that differ only in the seed."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.census import clones, units
from lab.experiment import Dataset
from lab.runs import causes
from lab.runs.measures import BY_TASK, by_task, first_and_last
from lab.runs.run import Run
from lab.words import by_layer

TASK_RESULTS = (
    "activation",
    "while learning, %",
    "at the task's end, %",
    "dead, %",
    "weight norm",
)
BY_LAYER = ("dead, %", "weight norm")  # These have a number for each hidden layer.
AT_THE_END = {
    "permuted": "on the validation images, in the task's order of pixels",
    "shuffled_labels": "on the training images in its last epoch",
    "class_pairs": "on the validation images of its two classes",
    "datasets": "on the validation images of its data set",
}
IDENTITY = ("run_id", "activation", "parameter", "seed", "dataset", "learning_rate")


def identity(run: Run) -> dict[str, Any]:
    """Returns the columns that every table starts with."""
    config = run.config
    parameter = np.nan if config.parameter is None else config.parameter
    values = (run.run_id, config.activation, parameter, config.seed)
    rate = config.learning_rate if run.knows("learning_rate") else np.nan
    return dict(zip(IDENTITY, (*values, run.record.dataset, rate), strict=True))


def summary_row(runs: list[Run]) -> dict[str, Any]:
    """Returns the means over runs that differ only in the seed, of those that ended."""
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
        "diverged": sum(run.diverged for run in runs),
        "test_loss": _mean([run.record.test_loss for run in ended]),
        "test_accuracy": _mean([run.record.test_accuracy for run in ended]),
        "every_test_accuracy": tuple(run.record.test_accuracy for run in ended),
        "dead_confirmed": _means([run.confirmed_fractions() for run in ended]),
        "nearly_dead": _means(nearly),
        "seconds": _mean([run.seconds for run in ended]),
    }


def result_row(row: dict[Hashable, Any]) -> dict[str, Any]:
    """Returns a row of the summary as it is printed."""
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


def _mean(values: Sequence[Any]) -> float:
    return float(np.mean(values)) if values else np.nan


def _means(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(_mean(column) for column in zip(*rows, strict=True))


def run_rows(run: Run) -> Mapping[str, Any]:
    """Returns the settings and the end of a run."""
    record = run.record
    return {
        "epochs": [run.last_epoch],
        "status": run.status,
        "test_loss": np.nan if record.test_loss is None else record.test_loss,
        "test_accuracy": np.nan if record.test_accuracy is None else record.test_accuracy,
        "train_seconds": run.seconds,
        "label": record.label,
    }


def epoch_rows(run: Run) -> Mapping[str, Any]:
    """Returns losses and accuracies of every epoch."""
    epochs = run.record.epochs
    return {
        "epoch": [e.epoch for e in epochs for _ in range(2)],
        "split": ["train", "validation"] * len(epochs),
        "loss": [loss for e in epochs for loss in (e.train_loss, e.validation_loss)],
        "accuracy": [a for e in epochs for a in (e.train_accuracy, e.validation_accuracy)],
    }


def layer_rows(run: Run) -> Mapping[str, Any]:
    """Returns every measure of every layer at every epoch."""
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
        "layer_name": [site.name for site in run.layout.sites] * epochs,
        "units": np.tile(np.array(run.layout.widths), epochs),
        "dead_fraction": measures.pop("dead_fraction"),
        "dead_confirmed_fraction": confirmed.ravel(),
        **measures,
        "probe_size": run.record.probe_images,
    }


OF_A_TASK = (
    "dead_fraction",
    "nearly_dead_fraction",
    "dormant_fraction",
    *clones.MEASURES,
    "weight_norm",
    "update_ratio",
)


def task_rows(run: Run) -> Mapping[str, Any]:
    """Returns how well each task was learned, and what every layer was like at its end."""
    of_network = {name: by_task(run, name) for name in BY_TASK}
    tasks, layers = len(of_network["end_accuracy"]), len(run.layers)

    def column(name: str) -> NDArray[Any]:
        return np.stack([by_task(run, name, layer) for layer in run.layers], axis=1).ravel()

    return {
        "task": np.repeat(np.arange(tasks), layers),
        "epoch": np.repeat(np.arange(tasks) * run.config.task_epochs, layers),
        "layer": np.tile(np.array(run.layers), tasks),
        **{name: np.repeat(values, layers) for name, values in of_network.items()},
        **{name: column(name) for name in OF_A_TASK},
    }


def task_summary_row(runs: list[Run]) -> dict[str, Any]:
    """Returns the first and the last tasks of runs that differ only in the seed, as means."""
    first = runs[0]
    ended = [run for run in runs if run.status == "finished"]
    row: dict[str, Any] = {
        "activation": first.config.title,
        "runs": len(runs),
        "diverged": sum(run.diverged for run in runs),
    }
    for name in BY_TASK:
        means = [first_and_last(run, name) for run in ended]
        row[f"{name}_first"] = _mean([before for before, _ in means])
        row[f"{name}_last"] = _mean([after for _, after in means])
    for name in ("dead_fraction", "weight_norm"):
        ends = [[by_task(run, name, layer)[[0, -1]] for layer in run.layers] for run in ended]
        for place, when in enumerate(("untrained", "end")):
            row[f"{name}_{when}"] = _means([[ends[place] for ends in run] for run in ends])
    return row


def task_result_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a row of the summary of tasks as it is printed."""

    def accuracies(name: str) -> str:
        first, last = row[f"{name}_first"], row[f"{name}_last"]
        return f"{100 * first:.2f} → {100 * last:.2f} ({100 * (last - first):+.2f})"

    def layers(name: str, scale: float) -> str:
        before, after = row[f"{name}_untrained"], row[f"{name}_end"]
        return " → ".join(
            by_layer(f"{scale * v:.1f}" for v in values) for values in (before, after)
        )

    lost = f"{row['diverged']} of {row['runs']} diverged"
    if row["diverged"] == row["runs"]:
        return {"activation": row["activation"]} | dict.fromkeys(TASK_RESULTS[1:], lost)
    cells = (
        row["activation"] + (f", {lost}" if row["diverged"] else ""),
        accuracies("online_accuracy"),
        accuracies("end_accuracy"),
        layers("dead_fraction", 100),
        layers("weight_norm", 1),
    )
    return dict(zip(TASK_RESULTS, cells, strict=True))


def tasks_words(runs: Sequence[Run]) -> str:
    """Says what the numbers of runs that learn tasks are, for a caption.

    Args:
        runs: Runs that learn tasks of one kind.
    """
    few, probe = runs[0].few_tasks, runs[0].record.probe_images
    which = f"the first {few} tasks → the last {few}" if few > 1 else "the first task → the last"
    members = runs[0].record.dataset.replace("+", ", ")
    in_turn = f" Tasks show {members} in turn." if runs[0].config.tasks == "datasets" else ""
    return (
        f"While learning: on the training images, mean over a task's steps; at its end: "
        f"{AT_THE_END[runs[0].config.tasks]}. Accuracies in the table: {which}, means over seeds. "
        f"Dead: no gradient on any image of a probe of {probe:,}, as the task shows it; weight "
        f"norm: of a layer's kernel; both untrained (task 0) → after the last task."
        f"{in_turn}"
    )


def unit_rows(run: Run) -> Mapping[str, Any]:
    """Returns what every unit did at every epoch."""
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


def life_rows(run: Run) -> Mapping[str, Any]:
    """Returns when every unit died and revived, and why it is dead."""
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


def death_rows(run: Run) -> Mapping[str, Any]:
    """Returns how many units of each layer died and revived in all, and how many are dead."""
    layers = [run.lives(number) for number in run.layers]
    return {
        "layer": np.array(run.layers),
        "born_dead": [lived.born_dead.sum() for lived in layers],
        "died": [lived.died.sum() for lived in layers],
        "revived": [lived.revived.sum() for lived in layers],
        "lost": [lived.lost.sum() for lived in layers],
        "dead": [lived.dead[-1].sum() for lived in layers],
    }


def redundancy_rows(run: Run, dataset: Dataset) -> Mapping[str, Any]:
    """Returns the clones and ranks of each layer, at the epochs whose weights are kept."""
    epochs, layers = run.kept_epochs, len(run.layers)
    found = [layer for epoch in epochs for layer in run.redundancy(dataset, epoch)]
    dead = np.stack([units.dead(run.layer(number)).sum(axis=1) for number in run.layers], axis=1)
    return {
        "epoch": np.repeat(epochs, layers),
        "layer": np.tile(np.array(run.layers), len(epochs)),
        "units": np.tile(np.array(run.layout.widths), len(epochs)),
        "dead": dead[epochs].ravel(),
        **{name: [layer[name] for layer in found] for name in clones.MEASURES},
    }


def flow_rows(run: Run) -> Mapping[str, Any]:
    """Returns how many units died and revived in every epoch."""
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
