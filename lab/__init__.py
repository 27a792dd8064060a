"""The Activation Lab: see what an activation function does to a network.

Importing this package, reading recorded runs and drawing them never imports TensorFlow.
"""

import sys
from types import ModuleType

from lab.activations import register
from lab.analysis import ablate, gradients, kill_map, probes, redundancy, revive, surgery
from lab.census import lives, units
from lab.errors import LabError
from lab.experiment import Dataset, RunConfig, grids, join_datasets, load_dataset
from lab.figures import of_studies as study_figures
from lab.network import programs, register_network
from lab.outside import Census, Diagnosis, Watching, definitions, diagnose, watch
from lab.runs import Run, Runs, causes, measures, neurons, spreadsheets
from lab.store import RunStore
from lab.studies import compare, continual, sweep, workers
from lab.system import machine

__all__ = [
    "Census",
    "Dataset",
    "Diagnosis",
    "LabError",
    "Run",
    "RunConfig",
    "RunStore",
    "Runs",
    "Watching",
    "ablate",
    "causes",
    "compare",
    "continual",
    "definitions",
    "diagnose",
    "gradients",
    "grids",
    "join_datasets",
    "kill_map",
    "lives",
    "load_dataset",
    "machine",
    "measures",
    "neurons",
    "probes",
    "programs",
    "redundancy",
    "register",
    "register_network",
    "revive",
    "spreadsheets",
    "study_figures",
    "surgery",
    "sweep",
    "units",
    "watch",
    "workers",
]

# `from lab.workers import Workers`, too, whichever wing a module is in.
_MODULES = {name: value for name, value in globals().items() if name in __all__}
sys.modules.update({f"lab.{n}": v for n, v in _MODULES.items() if isinstance(v, ModuleType)})
