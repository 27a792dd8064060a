"""Networks that are trained outside the lab: a census of them in Keras, in PyTorch, or just once.

It finds where the activation functions of any model act, observes them, and records runs that
tables, figures and front ends read like the lab's own.
"""

from lab.outside.census import Census
from lab.outside.definitions import definitions
from lab.outside.diagnosis import diagnose
from lab.outside.files import read_model, read_probe
from lab.outside.findings import (
    LAYER_COLUMNS,
    LAYER_LEGEND,
    Diagnosis,
    Finding,
    LayerHealth,
    layer_rows,
)
from lab.outside.rules import RULES
from lab.outside.watch import Watching, watch

__all__ = [
    "LAYER_COLUMNS",
    "LAYER_LEGEND",
    "RULES",
    "Census",
    "Diagnosis",
    "Finding",
    "LayerHealth",
    "Watching",
    "definitions",
    "diagnose",
    "layer_rows",
    "read_model",
    "read_probe",
    "watch",
]
