"""How fast the lab trains, side by side with the textbook's Keras `fit`.

    uv run python tests/benchmarks/training.py
    uv run python tests/benchmarks/training.py --before ../another-checkout

Each measurement is a process of its own, and they take turns, so that a machine whose speed
drifts is fair to all. Full MNIST where it is available. Prints a table and writes JSON.
"""

import dataclasses
import itertools
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lab.system.machine import cores

MFLOP_PER_IMAGE = 3.209
PEAK_SIZE = 2048
OTHERS: dict[str, dict[str, Any]] = {
    "cnn": {"network": "cnn"},
    "deep": {"network": "deep"},
    "normalised": {"normalization": "batch", "dropout": 0.2},
}
RUNS_OF_OTHERS = 9
TRIO = ("relu", "leaky_relu", "elu")
IMAGES = {"mnist": 48_000, "mnist-5k": 3_200}
Found = dict[str, list[dict[str, float]]]
COLUMNS = (
    "",
    "s/run-\nepoch",
    "of\nkeras",
    "of\nbefore",
    "of\nlimit",
    "steps,\nof limit",
    "valid-\nation",
    "census",
    "com-\nmits",
    "import\ns",
    "compile,\nepoch 0",
    "peak\nMiB",
)

app = typer.Typer(add_completion=False)


@app.command()
def keras(dataset: str, epochs: int, network: str = "mlp") -> None:
    """The same networks by `fit`, with TensorFlow as it comes; first epochs are not counted."""
    import tensorflow as tf

    tf.constant(1.0) + 1.0  # Before the lab can set one thread to an operation.
    import numpy as np
    from keras.callbacks import LambdaCallback

    from lab import RunConfig, load_dataset
    from lab.network.keras_model import build_model

    data = load_dataset(dataset)
    x, y = data.x_train.astype("float32") / 255, np.eye(10, dtype="float32")[data.y_train]
    seconds = []
    for activation in TRIO:
        model = build_model(RunConfig(activation=activation, **OTHERS.get(network, {})))
        ends: list[float] = []
        clock = LambdaCallback(on_epoch_end=lambda *_, ends=ends: ends.append(time.perf_counter()))
        model.fit(x, y, 128, epochs + 1, validation_split=0.2, verbose=0, callbacks=[clock])
        seconds.append((ends[-1] - ends[0]) / epochs)
    report(seconds=statistics.mean(seconds))


@app.command()
def lab(dataset: str, epochs: int, runs: int, network: str = "mlp") -> None:
    """Runs of the trio side by side, with validation, census and commits."""
    from lab.store.writer import RunWriter
    from lab.studies.study import plan
    from lab.training.events import EpochEnd, Phase

    commit, spent = RunWriter._commit, [0.0]

    def timed(*arguments: Any) -> None:
        began = time.perf_counter()
        commit(*arguments)
        spent[0] += time.perf_counter() - began

    RunWriter._commit = timed  # type: ignore[method-assign]
    names = TRIO[: min(runs, 3)]
    with tempfile.TemporaryDirectory() as store:
        settings = OTHERS.get(network, {})
        study = plan(names, -(-runs // 3), dataset, store, epochs=epochs, **settings)
        study = dataclasses.replace(study, configs=study.configs[:runs])
        marks, ends = [time.perf_counter()], []
        for event in study.events():
            if isinstance(event, Phase):
                marks.append(time.perf_counter())
            elif isinstance(event, EpochEnd):
                ends.append(dataclasses.replace(event, state=None, layers=()))  # type: ignore
                if len(ends) == runs:
                    marks.append(time.perf_counter())
        marks.append(time.perf_counter())
    trained = [end for end in ends if end.epoch]
    _, loading, loaded, begun, done = marks
    parts = {
        part: sum(getattr(end, f"{part}_seconds") for end in trained)
        for part in ("train", "validation", "census")
    }
    busy = sum(parts.values())
    report(
        seconds=(done - begun) / (runs * epochs),
        train_core_seconds=parts["train"] / len(trained),
        validation_share=parts["validation"] / busy,
        census_share=parts["census"] / busy,
        commit_share=spent[0] / (done - begun),
        import_seconds=loaded - loading,
        compile_seconds=begun - loaded,
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


@app.command()
def matmul() -> None:
    """The most float32 GFLOP/s that one thread on each core reaches, on large squares."""
    from lab.system.machine import load_tensorflow

    tf = load_tensorflow()
    product = tf.function(lambda a: a @ a, jit_compile=True)
    square = tf.random.uniform((PEAK_SIZE, PEAK_SIZE))
    product(square)

    def work(_: int) -> None:
        for _ in range(10):
            product(square).numpy()

    began = time.perf_counter()
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(work, range(cores())))
    report(gflops=cores() * 10 * 2 * PEAK_SIZE**3 / (time.perf_counter() - began) / 1e9)


def report(**figures: float) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")


def measure(*arguments: object, python: object = sys.executable, script: object = __file__) -> Any:
    command = [str(python), str(script), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(ended.stdout.splitlines()[-1])


@app.callback(invoke_without_command=True)
def compare(
    context: typer.Context,
    rounds: Annotated[int, typer.Option(help="How often each takes its turn.")] = 3,
    epochs: Annotated[int, typer.Option(help="Epochs of each measurement.")] = 2,
    dataset: Annotated[str, typer.Option(help="What to train on.")] = "mnist",
    runs: Annotated[str, typer.Option(help="Numbers of runs side by side.")] = "1,3,9,27",
    before: Annotated[Path | None, typer.Option(help="A checkout to compare with.")] = None,
    out: Annotated[Path, typer.Option(help="The JSON file.")] = Path("benchmark.json"),
) -> None:
    """Measures all, in turns, and prints medians over the rounds."""
    if context.invoked_subcommand:
        return
    counts = [int(count) for count in runs.split(",")]
    kinds: dict[str, tuple[object, ...]] = {
        "matmul": ("matmul",),
        "keras": ("keras", dataset, epochs),
        **{f"lab {count}": ("lab", dataset, epochs, count) for count in counts},
    }
    for other in OTHERS:
        kinds[f"keras {other}"] = ("keras", dataset, epochs, "--network", other)
        kinds[f"lab {RUNS_OF_OTHERS} {other}"] = (
            *("lab", dataset, epochs, RUNS_OF_OTHERS, "--network", other),
        )
    found: Found = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, arguments in kinds.items():
            found[kind].append(measure(*arguments))
            if before and kind in {f"lab {count}" for count in counts}:
                place = before.resolve()
                script = place / "tests" / "benchmarks" / "training.py"
                python = place / ".venv" / "bin" / "python"
                earlier = found.setdefault(f"before {kind}", [])
                earlier.append(measure(*arguments, python=python, script=script))
    out.write_text(json.dumps(found, indent=1))
    show(found, dataset)


def show(found: Found, dataset: str) -> None:
    table = Table(title=f"{dataset}: matmul limit of this machine {peak_of(found):.0f} GFLOP/s")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for kind in found:
        if kind.startswith("keras"):
            table.add_row(kind, f"{median(found, kind, 'seconds'):.2f}", "1")
        elif kind != "matmul":
            table.add_row(*row(found, kind, dataset))
    console = Console(width=120)
    console.print(table)
    kinds = [kind for kind in found if re.fullmatch(r"lab \d+", kind)]
    for fewer, more in itertools.pairwise(kinds):
        counts = [int(kind.removeprefix("lab ")) for kind in (fewer, more)]
        costs = [
            median(found, kind, "seconds") * count
            for kind, count in zip((fewer, more), counts, strict=True)
        ]
        console.print(
            f"{counts[1]} runs cost {costs[1] / costs[0]:.2f} times {counts[0]} "
            f"({counts[1]} / {counts[0]} = {counts[1] / counts[0]:.2f})"
        )


def median(found: Found, kind: str, name: str) -> float:
    return statistics.median(figures[name] for figures in found[kind])


def peak_of(found: Found) -> float:
    return median(found, "matmul", "gflops")


def ratio(found: Found, kind: str, other: str) -> str:
    """The median over the rounds of how long a kind takes, by what another takes in that round."""
    if other not in found:
        return ""
    pairs = zip(found[kind], found[other], strict=True)
    return f"{statistics.median(one['seconds'] / two['seconds'] for one, two in pairs):.2f}"


def row(found: Found, kind: str, dataset: str) -> list[str]:
    other = next((name for name in OTHERS if kind.endswith(name)), "")
    seconds, flop = median(found, kind, "seconds"), MFLOP_PER_IMAGE * IMAGES[dataset] / 1e3
    steps = cores() * flop / median(found, kind, "train_core_seconds")
    shares = [f"{share / peak_of(found):.0%}" for share in (flop / seconds, steps)]
    return [
        kind,
        f"{seconds:.2f}",
        ratio(found, kind, f"keras {other}".strip()),
        ratio(found, kind, f"before {kind}"),
        *(["", ""] if other else shares),
        *(
            f"{median(found, kind, f'{part}_share'):.1%}"
            for part in ("validation", "census", "commit")
        ),
        *(f"{median(found, kind, f'{part}_seconds'):.1f}" for part in ("import", "compile")),
        f"{median(found, kind, 'peak_mib'):.0f}",
    ]


if __name__ == "__main__":
    app()
