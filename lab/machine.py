"""This machine: its processor, its cores, its versions, and TensorFlow set up on it."""

import contextlib
import functools
import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lab.interrupts import held_back

PACKAGES = ("activation-lab", "tensorflow", "keras", "numpy")


@functools.cache
def processor() -> str:
    """Describes the kind of processor: runs agree to the bit on one kind only."""
    import archspec.cpu

    host = archspec.cpu.host()
    features = hashlib.sha256(",".join(sorted(host.features)).encode()).hexdigest()[:8]
    return f"{host.vendor} {host.name} ({features})"


@functools.cache
def versions() -> dict[str, str]:
    """Returns the versions of what computes a run."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def cores() -> int:
    """Returns the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_folder() -> Path:
    """Returns the folder for what can be made again at any time; it need not exist."""
    from platformdirs import user_cache_path

    return user_cache_path("activation-lab")


@functools.cache
def load_tensorflow() -> Any:
    """Imports TensorFlow, quietly, and gives each operation one thread where that is still open.

    With one thread to an operation a run's bits depend on neither the number of cores nor the
    runs beside it. The setting can only be made before TensorFlow's first operation.

    Returns:
        The `tensorflow` module.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with held_back(), _quiet():
        import tensorflow as tf

        # It fails if the user's own code ran an operation first: `threads_per_operation` tells.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.constant(0)
        tf.get_logger().setLevel("ERROR")  # Each activation function is compiled anew, by design.
    return tf


def threads_per_operation() -> int:
    """Returns TensorFlow's threads to an operation: 1 as the lab sets it, 0 for its default."""
    return int(load_tensorflow().config.threading.get_intra_op_parallelism_threads())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drops what TensorFlow's libraries write to the error stream; no setting of theirs does."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
