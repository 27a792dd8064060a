"""Is this machine ready for a lesson? Each check says what it found, and what to do about it."""

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lab.errors import LabError
from lab.experiment import sources
from lab.store import default_path
from lab.system import BACKEND, VARIABLES, keras_settings, load_tensorflow, threads_per_operation

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PACKAGE = "activation-lab"
GIB = 2**30
WANTED_MEMORY, LEAST_MEMORY = 2.0, 1.0
LEAST_DISK = 1.0
KERNEL_SECONDS = 60
READY = "the lab is ready"
EXTENSIONS = ("@jupyter-widgets/jupyterlab-manager", "anywidget")
REINSTALL = "Install the lab again: python -m pip install uv && uv sync"
State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class MachineCheck:
    """What a check found.

    Attributes:
        state: `ok`; `warning`: the lessons run, but with less; `failed`: they do not.
        found: What was found.
        advice: What to do; empty if all is well.
    """

    state: State
    found: str
    advice: str = ""


def examine(name: str) -> MachineCheck:
    """Runs one of the `CHECKS`; one that raises an error has failed."""
    try:
        return CHECKS[name]()
    except LabError as error:
        return MachineCheck("failed", str(error), "")
    except Exception as error:  # A check that raises has failed.
        return MachineCheck("failed", f"{type(error).__name__}: {error}", REINSTALL)


def python() -> MachineCheck:
    """Is this version of Python one that the lab runs on?"""
    from packaging.specifiers import SpecifierSet

    wanted, found = metadata(PACKAGE)["Requires-Python"], platform.python_version()
    if SpecifierSet(wanted).contains(found):
        return MachineCheck("ok", found)
    return MachineCheck(
        "failed", f"{found}; wanted {wanted}", "Use Python 3.12: uv sync --python 3.12"
    )


def packages() -> MachineCheck:
    """Are the packages here, in versions that the lab was tested with?"""
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in requires(PACKAGE) or ()]
    needed = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    wrong = [words for requirement in needed if (words := _wrong(requirement))]
    if wrong:
        return MachineCheck("failed", "; ".join(wrong), REINSTALL)
    return MachineCheck("ok", f"{len(needed)} packages, in versions that were tested")


def _wrong(requirement: "Requirement") -> str:
    """Returns what is wrong with an installed package; an empty text if nothing is."""
    name = requirement.name
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is missing"
    fits = requirement.specifier.contains(found, prereleases=True)
    return "" if fits else f"{name} is {found}; tested: {requirement.specifier}"


def memory() -> MachineCheck:
    """Is there memory for a student?"""
    import psutil

    free = psutil.virtual_memory().available / GIB
    found = f"{free:.1f} GiB free; {WANTED_MEMORY:g} GiB are enough for one student"
    if free >= WANTED_MEMORY:
        return MachineCheck("ok", found)
    state: State = "warning" if free >= LEAST_MEMORY else "failed"
    return MachineCheck(state, found, "Close other programs and notebooks")


def data() -> MachineCheck:
    """Is full MNIST here?"""
    places = sources.available()
    if place := places["mnist"]:
        return MachineCheck("ok", f"full MNIST: {place}")
    advice = (
        "For full MNIST, connect to the internet once and run: lab compare; or set LAB_DATA_DIR "
        "to a folder that holds mnist.npz"
    )
    found = "mnist-5k only, which the lessons use"
    if folder := os.environ.get("LAB_DATA_DIR"):
        found += f"; LAB_DATA_DIR is {folder}, which holds no mnist.npz"
    return MachineCheck("warning", found, advice)


def store() -> MachineCheck:
    """Can runs be kept, and is there room for them?"""
    place = default_path()
    folder = next(folder for folder in (place, *place.absolute().parents) if folder.is_dir())
    advice = "Set LAB_STORE to a folder that you may write to"
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free / GIB
    except OSError as error:
        return MachineCheck("failed", f"{place} cannot be written: {error.strerror}", advice)
    found = f"{place}, {free:.0f} GiB free"
    if free < LEAST_DISK:
        return MachineCheck("warning", f"{place}, {free:.1f} GiB free", "Delete what is not needed")
    return MachineCheck("ok", found)


def tensorflow() -> MachineCheck:
    """Does TensorFlow compute as exactly as the lab needs?"""
    tf = load_tensorflow()
    square = tf.linalg.matmul([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]]).numpy().tolist()
    if square != [[7.0, 10.0], [15.0, 22.0]]:
        return MachineCheck("failed", f"it computes wrongly: {square}", REINSTALL)
    if threads_per_operation() != 1:
        advice = "Import lab before TensorFlow's first operation, so that runs repeat to the bit"
        return MachineCheck("warning", "it uses several threads for one operation", advice)
    return MachineCheck("ok", f"version {tf.__version__} computes, one thread to an operation")


def environment() -> MachineCheck:
    """Does the user's environment leave the numbers unchanged?"""
    backend, place = _backend()
    set_here = ", ".join(name for name in VARIABLES if os.environ.get(name))
    if set_here:
        advice = f"Unset {set_here}: runs then repeat to the bit elsewhere, too"
        return MachineCheck("warning", f"{set_here} can change the last bits; recorded", advice)
    if backend != "tensorflow":
        found = f"{place} sets Keras's backend to {backend}; the lab takes tensorflow"
        advice = "Import nothing of Keras before the lab trains, or set KERAS_BACKEND=tensorflow"
        return MachineCheck("warning", found, advice)
    return MachineCheck("ok", "no setting changes a number; Keras's backend is tensorflow")


def _backend() -> tuple[str, str]:
    """Returns the backend that the user has set for Keras, and where."""
    if named := os.environ.get(BACKEND):
        return named, BACKEND
    try:
        settings = json.loads(keras_settings().read_text(encoding="utf-8"))
        return str(settings.get("backend", "tensorflow")), str(keras_settings())
    except (OSError, ValueError, AttributeError):  # None, or one that Keras does not read either.
        return "tensorflow", ""


def kernel() -> MachineCheck:
    """Does Jupyter start a kernel, and can that use the lab?"""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(
        kernel_name="python3", startup_timeout=KERNEL_SECONDS, stderr=_null_device()
    )
    said: list[str] = []
    try:
        reply = client.execute_interactive(
            f"import lab.widgets; print({READY!r})",
            timeout=KERNEL_SECONDS,
            output_hook=lambda message: said.append(message["content"].get("text", "")),
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if reply["content"]["status"] == "ok" and READY in "".join(said):
        return MachineCheck("ok", "a kernel starts and imports the lab")
    wrong = reply["content"].get("evalue", "it says nothing")
    return MachineCheck("failed", f"the kernel python3 cannot import the lab: {wrong}", REINSTALL)


def _null_device() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def widgets() -> MachineCheck:
    """Does JupyterLab have what it needs to show the front ends?"""
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    missing = [name for name in EXTENSIONS if not any((f / name).is_dir() for f in folders)]
    if missing:
        advice = f"{REINSTALL}; on a hub, install them where JupyterLab itself is installed"
        return MachineCheck("failed", f"JupyterLab lacks {', '.join(missing)}", advice)
    return MachineCheck("ok", "JupyterLab has its extensions for widgets")


def browser() -> MachineCheck:
    """Is there a browser?"""
    import webbrowser

    try:
        return MachineCheck("ok", webbrowser.get().name)
    except webbrowser.Error:
        advice = "Open the address that JupyterLab prints in a browser; a hub needs none here"
        return MachineCheck("warning", "no browser was found on this machine", advice)


CHECKS: dict[str, Callable[[], MachineCheck]] = {
    check.__name__: check
    for check in (
        python,
        packages,
        memory,
        data,
        store,
        widgets,
        browser,
        environment,
        kernel,
        tensorflow,
    )
}
