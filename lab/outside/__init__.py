"""Networks that are trained outside the lab: its census as a callback of Keras, and once.

It finds where the activation functions of any model act, observes them, and records runs that
tables, figures and front ends read like the lab's own.
"""

from lab.outside.census import Census
from lab.outside.files import read_model, read_probe

__all__ = ["Census", "read_model", "read_probe"]
