"""What worker processes cost and gain, and how fast tables of many recorded runs are.

    uv run python tests/benchmarks/sweeps.py

Each measurement is a process of its own, and they take turns. Full MNIST where it is available.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

WAYS = {"this process": 0, "1 worker": 1, "2 workers": 2}
TABLES = ("runs", "epochs", "layers", "results")

app = typer.Typer(add_completion=False)


@app.command()
def sweep(dataset: str, runs: int, epochs: int, hidden: int, workers: int) -> None:
    """Trains runs of two activation functions; the first two, not counted, warm everything up."""
    from lab.experiment.grids import grid
    from lab.studies.study import gather
    from lab.studies.workers import events, executor_of

    with tempfile.TemporaryDirectory() as folder, executor_of(workers or None, None) as pool:

        def train(first: int, number: int) -> float:
            seeds = range(first, first + max(number // 2, workers, 1))
            base = {"hidden": (hidden, hidden), "epochs": epochs}
            configs = grid({"activation": ["relu", "elu"]}, seeds, base)
            study = gather(configs, dataset, folder)
            began = time.perf_counter()
            for _ in events(study, pool) if pool else study.events():
                pass
            return (time.perf_counter() - began) / len(configs)

        train(1000, 2)
        report(seconds=train(0, runs))


@app.command()
def tables(runs: int) -> None:
    """Reads tables of recorded runs of the textbook's network, ten epochs each."""
    import lab
    from lab.store.store import run_id
    from lab.store.writer import write_record

    with tempfile.TemporaryDirectory() as folder:
        (run,) = lab.compare("relu", 1, "mnist-5k", Path(folder) / "one")
        data = lab.load_dataset("mnist-5k")
        for seed in range(runs):
            config = run.config.model_copy(update={"seed": seed})
            place = Path(folder) / "many" / run_id(config, data)
            place.mkdir(parents=True)
            for file in (*run.record.units, run.record.confirmed):
                shutil.copyfile(run.folder / file.name, place / file.name)
            changes = {"settings": config, "run_id": place.name, "weights": ()}
            write_record(place, run.record.model_copy(update=changes))
        figures = {}
        for name in TABLES:
            began = time.perf_counter()
            getattr(lab.RunStore(Path(folder) / "many").runs, name)()
            figures[name] = time.perf_counter() - began
        report(**figures)


def report(**figures: float) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")


def measure(*arguments: object) -> dict[str, float]:
    command = [sys.executable, __file__, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return figures


@app.callback(invoke_without_command=True)
def compare(
    context: typer.Context,
    rounds: Annotated[int, typer.Option(help="How often each takes its turn.")] = 3,
    dataset: Annotated[str, typer.Option(help="What the long runs train on.")] = "mnist",
) -> None:
    """Measures all, in turns, and prints medians over the rounds."""
    if context.invoked_subcommand:
        return
    kinds = {"long": (dataset, 8, 2, 512), "short": ("mnist-5k", 40, 1, 16)}
    found: dict[tuple[str, str], list[float]] = {}
    read: dict[str, list[float]] = {}
    for _ in range(rounds):
        for kind, arguments in kinds.items():
            for way, workers in WAYS.items():
                seconds = measure("sweep", *arguments, workers)["seconds"]
                found.setdefault((kind, way), []).append(seconds)
        for name, seconds in measure("tables", 1000).items():
            read.setdefault(name, []).append(seconds)
    show(found, read, dataset)


def show(
    found: dict[tuple[str, str], list[float]], read: dict[str, list[float]], dataset: str
) -> None:
    table = Table(title="seconds for a run, and of this process")
    for name in ("", f"{dataset}, 512-512, 2 epochs", "", "mnist-5k, 16-16, 1 epoch", ""):
        table.add_column(name, justify="right")
    for way in WAYS:
        cells = []
        for kind in ("long", "short"):
            ratios = [
                mine / own
                for mine, own in zip(found[kind, way], found[kind, "this process"], strict=True)
            ]
            cells += [
                f"{statistics.median(found[kind, way]):.3f}",
                f"{statistics.median(ratios):.2f}",
            ]
        table.add_row(way, *cells)
    console = Console(width=100)
    console.print(table)
    for name, seconds in read.items():
        console.print(f"{name} of 1,000 runs: {statistics.median(seconds):.1f} s")


if __name__ == "__main__":
    app()
