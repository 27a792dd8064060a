"""Trains what a plan beside this file says, and keeps it for the lessons: `record.py remedies`.

A plan has the settings of all runs and, under `ways`, a name and what differs for each group. The
name becomes the runs' label. Weights are kept of the epochs that the plan lists as `weights`.
"""

import sys
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path

from lab import Run, RunStore
from lab.experiment import RunConfig
from lab.studies import gather
from lab.studies.study import finish

HERE = Path(__file__).parent


def record(name: str) -> None:
    """Trains the runs of a plan in a temporary store, and copies them into a folder beside it."""
    plan = tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        for label, differing in plan["ways"].items():
            settings = plan["settings"] | differing
            configs = [RunConfig(**settings, seed=seed) for seed in plan["seeds"]]
            study = gather(configs, plan["dataset"], folder, label)
            finish(study)
            for run in study.runs():
                RunStore(HERE / name).add_copy(_with_weights(run, plan.get("weights", [])))


def _with_weights(run: Run, epochs: list[int]) -> Run:
    """Returns a run that knows the weights of some epochs only."""
    kept = tuple(file for file in run.record.weights if file.last in epochs)
    return replace(run, record=run.record.model_copy(update={"weights": kept}))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        record(argument)
