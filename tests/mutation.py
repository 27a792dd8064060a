"""Changes the scientific core on purpose, one spot at a time, and counts what the tests notice.

    uv run --with "cosmic-ray>=8.7,<9" python tests/mutation.py --sample 20
    uv run --with "cosmic-ray>=8.7,<9" python tests/mutation.py lab/census/units.py

Without `--sample` every mutant is tried, which takes hours. Each runs in a copy of the project,
with the tests that mirror the module. Prints a table by module, and every mutant that survived.
"""

import queue
import random
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).parents[1]
COPIED = ("lab", "tests", "notebooks", "figures", "docs", "pyproject.toml", "README.md")
SECONDS = 300.0
# What is tried, and the tests that should notice, quick ones first.
CORE = {
    "lab/census/units.py": ("tests/census/test_units.py",),
    "lab/census/lives.py": ("tests/census/test_lives.py",),
    "lab/experiment/data.py": ("tests/experiment/test_data.py",),
    "lab/runs/causes.py": ("tests/runs/test_causes.py",),
    "lab/runs/measures.py": ("tests/runs/test_measures.py", "tests/test_divergence.py"),
    "lab/stats/comparisons.py": ("tests/stats",),
    "lab/stats/groups.py": ("tests/stats",),
    "lab/stats/pairs.py": ("tests/stats",),
    "lab/stats/rates.py": ("tests/stats",),
    "lab/stats/verdict.py": ("tests/stats",),
    "lab/stats/verdict_tables.py": ("tests/stats",),
    "lab/analysis/surgery.py": ("tests/analysis/test_surgery.py",),
    "lab/analysis/probes.py": ("tests/analysis/test_probes.py", "tests/test_any_network.py"),
    "lab/analysis/gradients.py": ("tests/analysis/test_gradients.py", "tests/test_any_network.py"),
    "lab/network/initial_weights.py": ("tests/network", "tests/test_any_network.py"),
    "lab/network/forward_pass.py": ("tests/network", "tests/test_any_network.py"),
    "lab/network/templates.py": ("tests/network", "tests/test_any_network.py"),
    "lab/network/optimizers.py": ("tests/network", "tests/training"),
    "lab/network/programs.py": ("tests/training", "tests/network", "tests/test_any_network.py"),
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


def copied(folder: Path) -> Path:
    """A copy of the project to be changed."""
    leave = shutil.ignore_patterns("__pycache__", ".hypothesis")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=leave)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def command(folder: Path, module: str) -> str:
    """What runs the tests of a module in a copy of the project."""
    marked = "not browser and not faults and not slow and not seldom"
    words = [sys.executable, "-BP", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    words += [f"--rootdir={folder}", "-o", "addopts=", "-m", f"'{marked}'"]
    words += [str(folder / test) for test in CORE[module]]
    return f"env PYTHONPATH={folder} HYPOTHESIS_STORAGE_DIRECTORY={folder}/h {' '.join(words)}"


def check_unchanged(folder: Path, modules: Iterable[str]) -> None:
    """Ends the program if tests fail already where nothing was changed."""
    from cosmic_ray.testing import run_tests
    from cosmic_ray.work_item import TestOutcome

    for each in dict.fromkeys(command(folder, module) for module in modules):
        outcome, said = run_tests(each, SECONDS)
        if outcome != TestOutcome.SURVIVED:
            raise SystemExit(f"The tests must pass before anything is changed:\n{said}")


def attempt(mutation: Any, folder: Path) -> Tried:
    """Makes one change in a copy, and runs the tests there until one fails."""
    from cosmic_ray.mutating import mutate_and_test
    from cosmic_ray.work_item import MutationSpec, TestOutcome

    module = str(mutation.module_path)
    there = MutationSpec(
        module_path=folder / module,
        operator_name=mutation.operator_name,
        operator_args=mutation.operator_args,
        occurrence=mutation.occurrence,
        start_pos=mutation.start_pos,
        end_pos=mutation.end_pos,
        definition_name=mutation.definition_name,
    )
    found = mutate_and_test([there], command(folder, module), SECONDS)
    changed = [line for line in (found.diff or "").splitlines() if line[:1] in "+-"]
    lines = [line for line in changed if not line.startswith(("+++", "---"))]
    survived = found.test_outcome == TestOutcome.SURVIVED
    return Tried(module, survived, f"{mutation.start_pos[0]}: " + " → ".join(map(str.strip, lines)))


def main(
    modules: Annotated[
        list[str] | None, typer.Argument(help="Modules; by default the core.")
    ] = None,
    sample: Annotated[int, typer.Option(help="How many mutants of each; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Which ones are drawn.")] = 0,
    workers: Annotated[int, typer.Option(help="How many are tried at once.")] = 2,
    least: Annotated[float, typer.Option(help="The share in % that must be noticed.")] = 0.0,
) -> None:
    """Tries mutants and prints what the tests did not notice."""
    dice = random.Random(seed)
    chosen = []
    for module in modules or CORE:
        found = list(mutants(module))
        chosen += dice.sample(found, min(sample or len(found), len(found)))
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(workers) as pool:
        free: queue.Queue[Path] = queue.Queue()
        for number in range(workers):
            folder = Path(place) / str(number)
            folder.mkdir()
            free.put(copied(folder))
        check_unchanged(folder, modules or CORE)

        def one(mutation: Any) -> Tried:
            folder = free.get()
            try:
                return attempt(mutation, folder)
            finally:
                free.put(folder)

        tried = list(
            track(pool.map(one, chosen), "Changing", len(chosen), console=Console(stderr=True))
        )
    show(tried)
    noticed = 100 * sum(not one.survived for one in tried) / len(tried)
    raise typer.Exit(int(noticed < least))


def show(tried: list[Tried]) -> None:
    """Prints a table by module, and the survivors."""
    console, table = Console(width=110), Table("module", "mutants", "noticed", "%")
    for module in [*dict.fromkeys(one.module for one in tried), ""]:
        own = [one for one in tried if module in ("", one.module)]
        noticed = sum(not one.survived for one in own)
        share = f"{100 * noticed / len(own):.0f}"
        table.add_row(module or "together", str(len(own)), str(noticed), share)
    console.print(table)
    for one in tried:
        if one.survived:
            console.print(f"{one.module}:{one.change}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
