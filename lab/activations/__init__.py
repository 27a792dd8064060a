"""The activation functions: a registry of those that come with the lab, and a user's own.

Each has its function, its derivative in NumPy and in TensorFlow, its label, colour and line.
"""

from lab.activations.custom import made_from, register, register_source
from lab.activations.registry import (
    LINES,
    OKABE_ITO,
    Activation,
    FloatArray,
    activate,
    beyond,
    checked_names,
    gate,
    get,
    is_own_name,
    largest_gate,
    names,
    own_style,
    parse,
)
from lab.activations.source import (
    OwnActivation,
    Source,
    Strict,
    has_source,
    printable,
    source_of,
)

__all__ = [
    "LINES",
    "OKABE_ITO",
    "Activation",
    "FloatArray",
    "OwnActivation",
    "Source",
    "Strict",
    "activate",
    "beyond",
    "checked_names",
    "gate",
    "get",
    "has_source",
    "is_own_name",
    "largest_gate",
    "made_from",
    "names",
    "own_style",
    "parse",
    "printable",
    "register",
    "register_source",
    "source_of",
]
