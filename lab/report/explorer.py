"""What the explorer of a report shows of each run, epoch by epoch, as texts."""

from typing import Any

import numpy as np

from lab.census import units
from lab.errors import RunError
from lab.plots import palette, styles
from lab.report.findings import Tell
from lab.runs import Run, Runs
from lab.words import by_layer

MOST_ROWS = 200
EPOCHS_SHOWN = 100  # A longer run leaves out some epochs.
DASHES: dict[styles.Line, str] = {"-": "", "--": "9 4", "-.": "9 3 2 3", ":": "2 3"}


def explore(runs: Runs, tell: Tell = str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Returns what to show of each run, and why some runs cannot be read."""
    rows, unread = [], {}
    for number, run in enumerate(runs, start=1):
        tell(f"Reading run {number:,} of {len(runs):,}")
        try:
            # A copy, so that memory does not hold the arrays of all runs at once.
            rows.append(_row(Run(run.folder, run.record)))
        except RunError as error:
            unread[run.run_id] = str(error)
    return rows, unread


def _row(run: Run) -> dict[str, Any]:
    run.confirmed_fractions()  # The tables need it: a run that has it damaged is not shown.
    config, epochs = run.config, run.record.epochs
    dead = [units.LAYER_MEASURES["dead_fraction"](run.layer(number)) for number in run.layers]
    shown = np.linspace(0, run.last_epoch, min(run.last_epoch + 1, EPOCHS_SHOWN)).astype(int)
    return {
        "run": run.run_id,
        "dataset": run.record.dataset,
        "label": run.record.label or "",
        "activation": config.title,
        "rate": f"{config.learning_rate:g}",
        "seed": str(config.seed),
        "status": run.status,
        "epochs": [
            [
                int(epoch),
                _number(epochs[epoch].train_loss, 4),
                _number(100 * epochs[epoch].validation_accuracy, 2),
                by_layer(_number(100 * layer[epoch], 1) for layer in dead),
            ]
            for epoch in shown
        ],
    }


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "not finite"


def curve_styles(runs: Runs) -> dict[str, dict[str, str]]:
    """Returns colour and dashes of each activation function's curves."""
    configs = {run.config.title: run.config for run in runs}
    own = styles.styles_of(list(configs.values()))
    return {
        title: {"colour": palette.by_theme(look.colour), "dashes": _dashes(look.line)}
        for title, look in zip(configs, own, strict=True)
    }


def _dashes(line: styles.Line) -> str:
    """Returns a line style as SVG writes it."""
    if isinstance(line, str):
        return DASHES[line]
    return " ".join(f"{2 * length:g}" for length in line[1])
