"""This machine: its processor, its cores, its versions, and TensorFlow set up on it."""

import contextlib
import ctypes
import functools
import gc
import hashlib
import os
import platform
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from lab.errors import InputError
from lab.system.interrupts import held_back

P = ParamSpec("P")
R = TypeVar("R")
PACKAGES = ("activation-lab", "tensorflow", "keras", "numpy")
BACKEND = "KERAS_BACKEND"
# Measured: each changes the last bits of compiled programs, or of those with convolutions.
VARIABLES = (
    "XLA_FLAGS",
    "TF_XLA_FLAGS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_SET_ONEDNN_FPMATH_MODE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
)
# Keras imports them where they are installed, for its parts that the lab does not use.
UNUSED = ("sklearn", "matplotlib.pyplot")
OFF = ("disable_model_pruning", "disable_meta_optimizer")  # TensorFlow's only options by default.
LIBRARY = os.path.join("python", "_pywrap_tensorflow_internal.so")
MOST_TEXT = 200
NICE = 10

_loading, _configuring = threading.RLock(), threading.RLock()
_is_own_process = False


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
    """Returns the cache folder: all in it can be made again; it need not exist."""
    from platformdirs import user_cache_path

    return user_cache_path("activation-lab")


def load_tensorflow() -> Any:
    """Imports TensorFlow, quietly, and gives each operation one thread if that can still be set.

    With one thread to an operation a run's bits depend on neither the number of cores nor the
    runs beside it. The setting can only be made before TensorFlow's first operation. It also
    imports Keras, with TensorFlow as its backend, whatever the user's settings say.

    Returns:
        The `tensorflow` module.

    Raises:
        InputError: If the user's code has set up Keras or TensorFlow in a way in which the lab
            cannot train.
    """
    with _loading:
        check_backend()
        return _tensorflow()


def is_tensorflow_loaded() -> bool:
    """Whether `load_tensorflow` returns at once: a thread may still be at it."""
    return bool(_tensorflow.cache_info().currsize)


def lower_priority() -> None:
    """Lets this thread, and those that it starts, give way to others, where that is possible."""
    if sys.platform == "linux":  # Elsewhere processes have a priority, and not their threads.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def check_backend() -> None:
    """Checks that Keras, where it is loaded, has TensorFlow as its backend; it loads nothing.

    Raises:
        InputError: If not.
    """
    config = getattr(sys.modules.get("keras"), "config", None)  # None while a thread imports it.
    if config and (backend := config.backend()) != "tensorflow":
        raise InputError(
            f"Keras was loaded with the backend {backend!r}, and the lab trains with TensorFlow's: "
            f"restart Python with the environment variable {BACKEND} set to tensorflow."
        )


@functools.cache
def _tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with held_back():
        with _quiet():
            tf = _imported()
            # It fails if the user's own code ran an operation first: `condition_warnings` says so.
            with contextlib.suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads(1)
            in_own_thread(tf.constant)(0)
            tf.get_logger().setLevel("ERROR")  # Each function is compiled again, by design.
        in_own_thread(check_modes)(tf)
        _variables()
        in_own_thread(tf.function(lambda: tf.constant(0), jit_compile=True))()  # Reads XLA_FLAGS.
    return tf


def _imported() -> Any:
    """Imports TensorFlow and Keras, with TensorFlow as Keras's backend."""
    wanted = os.environ.get(BACKEND)
    os.environ[BACKEND] = "tensorflow"
    try:
        with _quick_import(), _without(UNUSED if _is_own_process else ()):
            import keras  # noqa: F401
            import tensorflow as tf
    except ValueError as error:
        raise InputError(f"Keras's settings file, {keras_settings()}, is wrong: {error}") from error
    finally:
        if wanted is None:
            del os.environ[BACKEND]
        else:
            os.environ[BACKEND] = wanted
    return tf


def _load_library() -> None:
    """Loads TensorFlow's library while other threads go on; the import alone would stop them."""
    found = find_spec("tensorflow")
    if found and found.submodule_search_locations and hasattr(os, "RTLD_NOW"):
        path = os.path.join(found.submodule_search_locations[0], LIBRARY)
        load = ctypes.CDLL(None).dlopen  # A call of a foreign function lets other threads go on.
        load(os.fsencode(path), ctypes.c_int(os.RTLD_NOW))


def own_process() -> None:
    """Says that this process runs only the lab, so that Keras needs to load no more than that.

    In a notebook Keras is loaded whole: a student's own code may use all of it.
    """
    global _is_own_process
    _is_own_process = True


@contextlib.contextmanager
def _quick_import() -> Iterator[None]:
    """Stops garbage collection during an import, and frees later ones of what it brought."""
    if "tensorflow" in sys.modules:
        yield
        return
    was_on = gc.isenabled()
    gc.disable()
    try:
        _load_library()
        yield
        gc.freeze()  # The first three searches would otherwise stop all threads for 0.6 s.
    finally:
        if was_on:
            gc.enable()


@contextlib.contextmanager
def _without(names: Iterable[str]) -> Iterator[None]:
    """Lets imports of modules that are not loaded yet fail, as if they were not installed."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def keras_settings() -> Path:
    """Returns the file of Keras's own settings; it need not exist."""
    return Path(os.environ.get("KERAS_HOME", os.path.expanduser("~/.keras"))) / "keras.json"


def check_modes(tf: Any) -> None:
    """Checks, in a thread of the lab's own, that TensorFlow computes as by default.

    Raises:
        InputError: If the user's code, or a library, has changed that for the whole process.
    """
    one, eps = np.array([1.0, -1.0]), np.finfo(float).eps
    if not all(np.array_equal(one + share * eps * one, one) for share in (1 / 2, -1 / 4)):
        raise InputError(
            "A library has changed how the processor rounds, and the lab needs it to round to the "
            "nearest: restart Python and let the lab train first."
        )
    if not tf.executing_eagerly():
        raise InputError(
            "TensorFlow 2 was switched off (disable_eager_execution or disable_v2_behavior), and "
            "the lab needs it: restart Python and leave that out."
        )
    with contextlib.suppress(tf.errors.InvalidArgumentError, TypeError):
        tf.add(tf.constant(1, tf.int8), tf.constant(1, tf.int16))
        raise InputError(
            "TensorFlow was told to convert types (dtype_conversion_mode of NumPy's behavior), and "
            "the lab needs it exact: restart Python and leave that out."
        )


def threads_per_operation() -> int:
    """Returns TensorFlow's threads to an operation: 1 as the lab sets it, 0 for its default."""
    return int(load_tensorflow().config.threading.get_intra_op_parallelism_threads())


def environment() -> dict[str, str]:
    """Returns the user's settings that can change a run's last bits; mostly there are none.

    Returns:
        Environment variables by their name, as they were when TensorFlow was loaded, and
        TensorFlow's own settings.
    """
    found = dict(_variables())
    if tf := sys.modules.get("tensorflow"):
        options = tf.config.optimizer.get_experimental_options()
        changed = {name: value for name, value in options.items() if value or name not in OFF}
        settings = {"set_experimental_options": changed, "set_jit": tf.config.optimizer.get_jit()}
        found |= {f"tf.config.optimizer.{name}": v for name, v in settings.items() if v}
    return {name: _short(str(value)) for name, value in found.items()}


@functools.cache
def _variables() -> dict[str, str]:
    return {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}


def _short(text: str) -> str:
    """Returns a text that a record can hold: itself, or its digest."""
    if len(text) <= MOST_TEXT and text.isprintable():
        return text
    return f"SHA-256 {hashlib.sha256(text.encode(errors='replace')).hexdigest()}"


def conditions() -> dict[str, Any]:
    """Returns all that a run's last bits depend on beside its settings, as its record names it."""
    return {
        "versions": versions(),
        "processor": processor(),
        "threads_per_operation": threads_per_operation(),
        "environment": environment(),
    }


def condition_warnings() -> list[str]:
    """Returns a warning for each condition that can change the last bits of runs."""
    sentences = []
    if threads_per_operation() != 1:
        sentences.append(
            "TensorFlow was in use before the lab: the runs' last bits may depend on the number "
            "of cores. To avoid it, restart Python and let the lab train first."
        )
    if found := environment():
        sentences.append(
            f"The runs' last bits may depend on {', '.join(found)}, which the user's environment "
            f"sets; it is recorded with each run. To avoid it, restart Python without it."
        )
    return sentences


@contextlib.contextmanager
def keras_defaults() -> Iterator[None]:
    """Makes Keras build layers by its defaults, whatever is set: float32, channels last."""
    load_tensorflow()
    from keras import config

    with _configuring:
        kept = config.dtype_policy(), config.floatx(), config.image_data_format()
        try:
            _configure("float32", "float32", "channels_last")
            yield
        finally:
            _configure(*kept)


def _configure(policy: Any, floatx: str, image_data_format: str) -> None:
    from keras import config

    config.set_floatx(floatx)
    config.set_dtype_policy(policy)
    config.set_image_data_format(image_data_format)


def compiled(function: Callable[..., Any], by_xla: bool = True) -> Callable[..., Any]:
    """Compiles a function, even where the user's code makes all functions run eagerly.

    Args:
        function: It takes tensors, variables and lists of them.
        by_xla: Whether XLA compiles it, or only TensorFlow.
    """
    made = load_tensorflow().function(function, jit_compile=by_xla, autograph=False)
    return functools.partial(_call, made)


def _call(made: Any, *arguments: Any) -> Any:
    return made.get_concrete_function(*arguments)(*arguments)


def in_own_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Runs a function in a new thread, which no scope of its caller reaches.

    Such scopes are TensorFlow's graphs, functions, devices and strategies, those of Keras, and
    NumPy's error state.
    """

    @functools.wraps(function)
    def run(*arguments: P.args, **named: P.kwargs) -> R:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(function, *arguments, **named).result()

    return run


def pulled_in_own_thread(function: Callable[P, Generator[R]]) -> Callable[P, Generator[R]]:
    """Runs a generator function in a new thread, as `in_own_thread` does."""

    @functools.wraps(function)
    def pull(*arguments: P.args, **named: P.kwargs) -> Generator[R]:
        values = function(*arguments, **named)
        try:
            with ThreadPoolExecutor(1) as thread:
                while (step := thread.submit(_next, values).result()) is not None:
                    yield step[0]
        finally:
            values.close()  # After the step that runs now; no thread starts while Python ends.

    return pull


def _next(values: Generator[R]) -> tuple[R] | None:
    for value in values:
        return (value,)
    return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drops what TensorFlow's libraries write to the error stream; no setting of theirs does."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
