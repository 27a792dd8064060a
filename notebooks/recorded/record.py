"""Trains what a plan beside this file says, and keeps it for the lessons: `record.py remedies`.

A plan has the settings of all runs and, under `ways`, a name and what differs for each group. The
name becomes the runs' label. Weights are kept only if the plan says `weights = true`.
"""

import sys
import tempfile
import tomllib
from pathlib import Path

from lab import RunStore
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
                RunStore(HERE / name).add_copy(run, weights=plan.get("weights", False))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        record(argument)
