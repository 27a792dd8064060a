"""The Activation Lab: see what an activation function does to a network.

Importing this package, reading recorded runs and drawing them never imports TensorFlow.
"""

from lab.config import RunConfig
from lab.custom import register
from lab.data import Dataset
from lab.errors import LabError
from lab.maps import kill_map
from lab.runs import Run
from lab.sources import load_dataset
from lab.store import RunStore
from lab.studies import compare
from lab.surgery import ablate, revive
from lab.sweeps import sweep
from lab.tables import Runs

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
