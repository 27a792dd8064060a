"""The Activation Lab: see what an activation function does to a network.

Importing this package, reading recorded runs and drawing them never imports TensorFlow.
"""

import importlib
import sys
from typing import Any

from lab.activations import register
from lab.analysis import ablate, kill_map, revive
from lab.errors import LabError
from lab.experiment import Dataset, RunConfig, load_dataset
from lab.runs import Run, Runs, measures
from lab.store import RunStore
from lab.studies import compare, sweep, workers

__all__ = [
    "Dataset",
    "LabError",
    "Run",
    "RunConfig",
    "RunStore",
    "Runs",
    "ablate",
    "compare",
    "kill_map",
    "load_dataset",
    "register",
    "revive",
    "sweep",
]

# Modules that `from lab import name` gives, whichever wing they are in.
_MODULES = {
    "causes": "lab.runs.causes",
    "gradients": "lab.analysis.gradients",
    "grids": "lab.experiment.grids",
    "lives": "lab.census.lives",
    "machine": "lab.system.machine",
    "neurons": "lab.runs.neurons",
    "probes": "lab.analysis.probes",
    "programs": "lab.network.programs",
    "spreadsheets": "lab.runs.spreadsheets",
    "study_figures": "lab.figures.of_studies",
    "surgery": "lab.analysis.surgery",
    "units": "lab.census.units",
}
# `from lab.workers import Workers` needs more than an attribute.
sys.modules.update({"lab.measures": measures, "lab.workers": workers})


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'lab' has no attribute {name!r}")
    return importlib.import_module(_MODULES[name])
