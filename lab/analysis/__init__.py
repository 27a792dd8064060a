"""Experiments on trained networks: surgery, probes, gradients, kill maps, published numbers.

All of it computes; `lab.figures` draws.
"""

from lab.analysis import gradients, maps, probes, redundancy, surgery, validation
from lab.analysis.maps import SettingsMap, kill_map
from lab.analysis.surgery import ablate, removal_curve, revive

__all__ = [
    "SettingsMap",
    "ablate",
    "gradients",
    "kill_map",
    "maps",
    "probes",
    "redundancy",
    "removal_curve",
    "revive",
    "surgery",
    "validation",
]
