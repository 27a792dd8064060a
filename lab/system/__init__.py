"""The machine itself: files written in one step, zip files, interrupts, the processor, TensorFlow.

Nothing here knows what an activation function or a run is.
"""

from lab.system import machine
from lab.system.bars import progress_bar
from lab.system.files import at_home, replacing
from lab.system.interrupts import ignore_more, in_whole_steps
from lab.system.machine import (
    BACKEND,
    PACKAGES,
    VARIABLES,
    cache_folder,
    check_backend,
    check_modes,
    compiled,
    condition_warnings,
    conditions,
    cores,
    in_own_thread,
    is_tensorflow_loaded,
    keras_defaults,
    keras_settings,
    load_tensorflow,
    lower_priority,
    own_process,
    pulled_in_own_thread,
    threads_per_operation,
    versions,
)
from lab.system.zips import open_zip

__all__ = [
    "BACKEND",
    "PACKAGES",
    "VARIABLES",
    "at_home",
    "cache_folder",
    "check_backend",
    "check_modes",
    "compiled",
    "condition_warnings",
    "conditions",
    "cores",
    "ignore_more",
    "in_own_thread",
    "in_whole_steps",
    "is_tensorflow_loaded",
    "keras_defaults",
    "keras_settings",
    "load_tensorflow",
    "lower_priority",
    "machine",
    "open_zip",
    "own_process",
    "progress_bar",
    "pulled_in_own_thread",
    "replacing",
    "threads_per_operation",
    "versions",
]
