"""Changes the scientific core on purpose, one spot at a time, and counts what the tests notice.

    uv run --with "cosmic-ray>=8.7,<9" python tests/mutation.py --sample 20
    uv run --with "cosmic-ray>=8.7,<9" python tests/mutation.py lab/census/units.py

Without `--sample` every mutant is tried, which takes hours; `.ci/run --all` tries three of each
module. Each changes a copy of the project, and a child of this process, which has loaded the
libraries, runs the tests that mirror the module there. Prints every mutant that survived, and a
table by module.
"""

import compileall
import difflib
import math
import multiprocessing
import os
import queue
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).parents[1]
COPIED = ("lab", "tests", "notebooks", "figures", "docs", "pyproject.toml", "README.md")
SECONDS = 600.0
MARKED = "not browser and not faults and not slow and not seldom"
ANY = "tests/test_any_network.py"
# What is tried, and the tests that should notice, quick ones first.
CORE = {
    "lab/census/units.py": ("tests/census/test_units.py",),
    "lab/census/lives.py": ("tests/census/test_lives.py",),
    "lab/experiment/data.py": ("tests/experiment/test_data.py",),
    "lab/runs/causes.py": ("tests/runs/test_causes.py",),
    "lab/runs/measures.py": ("tests/runs/test_measures.py", "tests/test_divergence.py"),
    "lab/stats/comparisons.py": (
        "tests/stats/test_comparisons.py",
        "tests/stats/test_verdict.py",
        "tests/stats/test_groups.py",
    ),
    "lab/stats/groups.py": ("tests/stats/test_groups.py", "tests/stats/test_comparisons.py"),
    "lab/stats/pairs.py": ("tests/stats/test_pairs.py", "tests/stats/test_verdict.py"),
    "lab/stats/rates.py": ("tests/stats/test_rates.py", "tests/stats/test_comparisons.py"),
    "lab/stats/verdict.py": (
        "tests/stats/test_verdict.py",
        "tests/stats/test_comparisons.py",
        "tests/stats/test_verdict_tables.py",
    ),
    "lab/stats/verdict_tables.py": (
        "tests/stats/test_verdict_tables.py",
        "tests/stats/test_verdict.py",
    ),
    "lab/analysis/surgery.py": ("tests/analysis/test_surgery.py",),
    "lab/analysis/probes.py": (
        "tests/analysis/test_probes.py",
        f"{ANY}::test_how_many_images_it_takes_counts_every_position",
    ),
    "lab/analysis/gradients.py": (
        "tests/analysis/test_gradients.py",
        f"{ANY}::test_the_update_is_what_the_next_step_adds_with_its_draws_of_dropout",
        f"{ANY}::test_a_layer_that_no_single_kernel_leads_into_has_no_gradient_norm",
    ),
    "lab/network/initial_weights.py": ("tests/network/test_networks.py",),
    "lab/network/forward_pass.py": ("tests/network/test_forward_pass.py",),
    "lab/network/templates.py": (
        "tests/network/test_built_in.py",
        ANY,
        "tests/network/test_own_networks.py",
    ),
    "lab/network/optimizers.py": ("tests/network/test_optimizers.py",),
    "lab/network/tiles.py": ("tests/network/test_tiles.py", "tests/network/test_programs.py"),
    "lab/network/programs.py": (
        "tests/network/test_programs.py",
        "tests/training/test_trainer.py",
        ANY,
    ),
}


@dataclass(frozen=True)
class Tried:
    """A mutant and what became of it."""

    module: str
    survived: bool
    change: str


def mutants(module: str) -> Iterator[Any]:
    """Every mutant of a module; unions are left out, which are types for the most part."""
    from cosmic_ray.commands.init import _all_work_items

    for item in _all_work_items([Path(module)], {}):
        (mutation,) = item.mutations
        if "ReplaceBinaryOperator_BitOr" not in mutation.operator_name:
            yield mutation


def load_libraries() -> None:
    """Loads what the lab and its tests import; runs no operation, which no fork would survive."""
    os.environ["CI"] = "true"  # Hypothesis draws the same each time, and waits for slow machines.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # They take twice as long as the lab.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import hypothesis.extra.numpy  # noqa: F401
    import keras  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import pandas as pd  # noqa: F401
    import pydantic  # noqa: F401
    import scipy.stats  # noqa: F401

    del os.environ["KERAS_BACKEND"]


def copied(folder: Path) -> Path:
    """A compiled copy of the project to be changed."""
    leave = shutil.ignore_patterns("__pycache__", ".hypothesis")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=leave)
        else:
            shutil.copy(ROOT / name, folder / name)
    compileall.compile_dir(folder / "lab", quiet=1)
    return folder


def run_tests(folder: Path, module: str, seconds: int) -> None:
    """Runs the tests of a module in a copy of the project, and ends the process."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    with (folder / "said").open("w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    os.chdir(folder)
    sys.path[0] = os.environ["PYTHONPATH"] = str(folder)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "-m", MARKED]
    code = pytest.main([*options, f"--rootdir={folder}", *CORE[module]])
    os._exit(code)


def pass_tests(folder: Path, module: str, seconds: int) -> bool:
    """Do a module's tests pass in a copy of the project within so many seconds of computing?"""
    child = multiprocessing.get_context("fork").Process(
        target=run_tests, args=(folder, module, seconds)
    )
    child.start()
    child.join(SECONDS)
    if child.is_alive():
        os.killpg(child.pid, signal.SIGKILL)
        child.join()
    return child.exitcode == 0


def check_unchanged(folder: Path, modules: Iterable[str]) -> dict[str, int]:
    """How long a mutant may take; ends the program if tests fail where nothing was changed."""
    limits = {}
    for module in modules:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        if not pass_tests(folder, module, int(SECONDS)):
            said = (folder / "said").read_text()
            raise SystemExit(f"The tests must pass before anything is changed:\n{said}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        limits[module] = int(10 + 3 * used)
    return limits


def attempt(mutation: Any, folder: Path, seconds: int) -> Tried:
    """Makes one change in a copy, and runs the tests there until one fails."""
    from cosmic_ray.mutating import use_mutation
    from cosmic_ray.plugins import get_operator

    module = str(mutation.module_path)
    operator = get_operator(mutation.operator_name)(**mutation.operator_args)
    with use_mutation(folder / module, operator, mutation.occurrence) as (before, after):
        survived = pass_tests(folder, module, seconds)
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))
    changed = " → ".join(line.strip() for line in lines[3:])
    return Tried(module, survived, f"{mutation.start_pos[0]}: {changed}")


def main(
    modules: Annotated[
        list[str] | None, typer.Argument(help="Modules; by default the core.")
    ] = None,
    sample: Annotated[int, typer.Option(help="How many mutants of each; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Which ones are drawn, and their order.")] = 0,
    minutes: Annotated[float, typer.Option(help="When no further one is begun.")] = math.inf,
    workers: Annotated[int, typer.Option(help="How many are tried at once.")] = 2,
    least: Annotated[float, typer.Option(help="The share in % that must be noticed.")] = 0.0,
) -> None:
    """Tries mutants and prints what the tests did not notice."""
    dice = random.Random(seed)
    chosen = []
    for module in modules or CORE:
        found = list(mutants(module))
        chosen += dice.sample(found, min(sample or len(found), len(found)))
    dice.shuffle(chosen)
    load_libraries()
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(workers) as pool:
        free: queue.Queue[Path] = queue.Queue()
        for number in range(workers):
            folder = Path(place) / str(number)
            folder.mkdir()
            free.put(copied(folder))
        limits = check_unchanged(folder, modules or CORE)
        sys.dont_write_bytecode = True  # Two mutants of one second and size would share theirs.
        end = time.monotonic() + 60 * minutes

        def one(mutation: Any) -> Tried | None:
            if time.monotonic() > end:
                return None
            folder = free.get()
            try:
                return attempt(mutation, folder, limits[str(mutation.module_path)])
            finally:
                free.put(folder)

        tried = []
        for found in track(
            pool.map(one, chosen), "Changing", len(chosen), console=Console(stderr=True)
        ):
            if found:
                tried.append(found)
            if found and found.survived:
                print(f"{found.module}:{found.change}", flush=True)
    show(tried)
    noticed = 100 * sum(not one.survived for one in tried) / len(tried)
    raise typer.Exit(int(noticed < least))


def show(tried: list[Tried]) -> None:
    """Prints a table by module."""
    console, table = Console(width=110), Table("module", "mutants", "noticed", "%")
    for module in [*sorted({one.module for one in tried}), ""]:
        own = [one for one in tried if module in ("", one.module)]
        noticed = sum(not one.survived for one in own)
        share = f"{100 * noticed / len(own):.0f}"
        table.add_row(module or "together", str(len(own)), str(noticed), share)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
