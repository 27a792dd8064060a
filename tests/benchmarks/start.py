"""What a student waits for: each stage of a first comparison, from a cold process.

    uv run python tests/benchmarks/start.py
    uv run python tests/benchmarks/start.py --before ../another-checkout

Each measurement is a process of its own; two checkouts take turns. Prints medians in seconds.
What is left to wait for in a notebook, `tests/browser/test_first_frame.py` measures and prints.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
TRIO = ("relu", "leaky_relu", "elu")
KINDS = {"nine runs, ten epochs": (3, 3, 10), "one run, one epoch": (1, 1, 1)}
STAGES = {
    "import_lab": "import lab",
    "data": "data",
    "tensorflow": "TensorFlow",
    "untrained": "compile, epoch 0",
    "rest": "train to the end",
    "command": "lab compare",
    "train": "training, core-s",
    "validation": "validation, core-s",
    "census": "census, core-s",
}

app = typer.Typer(add_completion=False)


@app.command()
def stages(functions: int, seeds: int, epochs: int) -> None:
    """Trains as `lab compare --dataset mnist-5k` does; prints seconds since the start as JSON."""
    marks = [time.perf_counter()]

    def mark() -> None:
        marks.append(time.perf_counter())

    import lab.cli  # noqa: F401
    from lab import system
    from lab.studies.study import plan
    from lab.training.events import EpochEnd, Phase

    getattr(system, "own_process", lambda: None)()
    mark()
    with tempfile.TemporaryDirectory() as store:
        study = plan(TRIO[:functions], seeds, "mnist-5k", store, epochs=epochs)
        ends, untrained = [], 0
        for event in study.events():
            if isinstance(event, Phase):
                mark()
            elif isinstance(event, EpochEnd):
                ends.append(event)
                untrained += event.epoch == 0
                if event.epoch == 0 and untrained == functions * seeds:
                    mark()
        mark()
    spans = [after - before for before, after in itertools.pairwise(marks)]
    names = ("import_lab", "data", "tensorflow", "untrained", "rest")
    found = dict(zip(names, spans, strict=True))
    for part in ("train", "validation", "census"):
        found[part] = sum(getattr(end, f"{part}_seconds") for end in ends)
    sys.stdout.write(json.dumps(found) + "\n")


def measure(place: Path, arguments: tuple[int, ...]) -> dict[str, float]:
    """Runs `stages` with a checkout's package, and takes the time of the command itself, too."""
    done = python(place, __file__, "stages", *map(str, arguments))
    found: dict[str, float] = json.loads(done.splitlines()[-1])
    functions, seeds, epochs = arguments
    names = (f"--activation={name}" for name in TRIO[:functions])
    with tempfile.TemporaryDirectory() as store:
        options = (f"--seeds={seeds}", f"--epochs={epochs}", f"--store={store}")
        began = time.perf_counter()
        python(place, "-m", "lab", "compare", "--dataset=mnist-5k", *names, *options)
    return found | {"command": time.perf_counter() - began}


def python(place: Path, *arguments: str) -> str:
    """Runs Python with the package of a checkout, and returns what it prints."""
    environment = os.environ | {"PYTHONPATH": str(place)}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, cwd=place
    )
    return done.stdout


@app.callback(invoke_without_command=True)
def compare(
    context: typer.Context,
    rounds: Annotated[int, typer.Option(help="How often each takes its turn.")] = 3,
    before: Annotated[Path | None, typer.Option(help="A checkout to compare with.")] = None,
) -> None:
    """Measures each kind of comparison, and prints a table of its stages."""
    if context.invoked_subcommand:
        return
    places = ({"before": before.resolve()} if before else {}) | {"now": ROOT}
    for kind, arguments in KINDS.items():
        found: dict[str, list[dict[str, float]]] = {name: [] for name in places}
        for _ in range(rounds):
            for name, place in places.items():
                found[name].append(measure(place, arguments))
        Console().print(table(kind, found))


def table(kind: str, found: dict[str, list[dict[str, Any]]]) -> Table:
    """Returns the medians, a row for each stage."""
    shown = Table(title=f"mnist-5k: {kind}, seconds")
    for column in ("", *found):
        shown.add_column(column, justify="right")
    for stage, words in STAGES.items():
        medians = (statistics.median(one[stage] for one in rounds) for rounds in found.values())
        shown.add_row(words, *(f"{seconds:.2f}" for seconds in medians))
    return shown


if __name__ == "__main__":
    app()
