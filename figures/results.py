"""Prints the results page, `figures/results.md`, from the tables of recorded runs beside it.

    uv run python figures/results.py                  # the page, from the tables
    uv run python figures/results.py --train STORE    # trains what is missing, writes the tables

Every number of the page and of the README's findings comes from here. Training on full MNIST takes
about half an hour on two cores.
"""

import dataclasses
import functools
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

import lab
from lab import gradients, grids, probes, spreadsheets, stats, surgery
from lab.figures import life_over_tasks, of_analyses, over_tasks, pictures, write_gallery
from lab.words import fixed

LEARNERS = {
    name: lab.activations.get(name).label for name in ("relu", "leaky_relu", "elu", "tanh", "crelu")
}
FOLDER = Path(__file__).parent
STUDIES = ("ladder", "functions", "twenty-seeds")
DEEP = [
    lab.RunConfig(activation=name, hidden=(32,) * 8, seed=seed)
    for name in ("relu", "leaky_relu", "elu", "sigmoid")
    for seed in range(3)
]
KILL = {
    "learning_rate": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1],
    "first_bias": [-2, -1, -0.5, -0.25, -0.1, 0, 0.1, 0.5],
}
LEAK, RATES = "leak 0.01", (0.001, 0.005, 0.02)
ONE = {"activation": "relu", "learning_rate": 0.005, "seed": 0}  # The run that is looked into.


def row(run: lab.Run) -> dict[str, Any]:
    """Returns what is kept of a run of a study."""
    dead = dict(zip(("dead_1", "dead_2"), run.confirmed_fractions(), strict=True))
    config = run.config
    return {
        "run_id": run.run_id,
        "activation": config.activation,
        "seed": config.seed,
        "learning_rate": config.learning_rate,
        "status": run.status,
        "test_accuracy": run.record.test_accuracy,
        **dead,
    }


def keep(name: str, table: pd.DataFrame) -> None:
    """Writes a table beside this file."""
    (FOLDER / f"{name}.csv").write_bytes(spreadsheets.to_csv(table).encode())


def redraw(runs: lab.Runs) -> None:
    """Draws the figures of runs that are in this folder already; others are left out."""
    for picture in pictures(runs):
        if (FOLDER / f"{picture.name}.txt").exists():
            picture.save(FOLDER)


def train(store: str) -> None:
    """Trains what is not in the store yet; writes the tables, and the figures that need weights."""
    for name in STUDIES:
        keep_study(name, store)
    (run,) = lab.RunStore(store).runs.where(**ONE)
    keep_ablation(run)
    keep_removal(run)
    keep_probe_sizes(run)
    keep_gradients()
    keep_kill_map(store)
    keep_remedies(store)
    keep_tasks(store)
    write_gallery(FOLDER)


def keep_study(name: str, store: str) -> None:
    """Trains a study and keeps a row for each run; of the ladder, redraws its figures, too."""
    plan = grids.read_plan(FOLDER / f"{name}.toml")
    runs = lab.sweep(plan.settings, plan.vary, plan.seeds, plan.dataset or "auto", store)
    keep(name, pd.DataFrame(map(row, runs)))
    if name == "ladder":
        redraw(runs)


def keep_ablation(run: lab.Run) -> None:
    """Keeps what a network is without its dead neurons."""
    without = lab.ablate(run)
    found = {name: getattr(without, name) for name in ("images", "changed", "largest_change")}
    parameters = {"parameters": without.parameters, "of": run.layout.parameters}
    gone = {f"gone_{layer}": len(units) for layer, units in enumerate(without.removed, start=1)}
    keep("ablation", pd.DataFrame([found | parameters | gone]))


def keep_removal(run: lab.Run) -> None:
    """Keeps, and draws, the accuracy of a network with fewer and fewer neurons."""
    curve = surgery.removal_curve(run)
    keep("removal", curve)
    of_analyses.removal(curve, run.title).save(FOLDER)


def keep_probe_sizes(run: lab.Run) -> None:
    """Keeps, and draws, how many neurons look dead on probes of each size."""
    sizes = {layer: probes.by_size(run, layer) for layer in run.layers}
    keep("probe-size", pd.concat(sizes, names=["layer"]).reset_index("layer"))
    of_analyses.probe_sizes(sizes, run.title).save(FOLDER)


def keep_gradients() -> None:
    """Keeps, and draws, what reaches each layer of deep networks."""
    flow = gradients.flow(DEEP)
    keep("gradients", flow.table)
    flow.by_depth().save(FOLDER)


def keep_kill_map(store: str) -> None:
    """Keeps, and draws, how many neurons die, and the accuracy, over two settings."""
    maps = lab.kill_map(KILL, seeds=3, dataset="mnist-5k", store=store, epochs=3)
    cells = {name: maps.table(name).stack().rename(name) for name in ("dead", "accuracy")}
    keep("kill-map", pd.concat(cells.values(), axis=1).reset_index())
    maps.picture().save(FOLDER)


def keep_remedies(store: str) -> None:
    """Trains networks with a remedy each, and keeps a row for each run."""
    plan = tomllib.loads((FOLDER / "remedies.toml").read_text(encoding="utf-8"))
    found = []
    for name, settings in plan["remedies"].items():
        runs = lab.sweep(settings, plan["vary"], plan["seeds"], plan["dataset"], store)
        found += [{"remedy": name} | row(run) for run in runs]
    keep("remedies", pd.DataFrame(found))


def keep_tasks(store: str) -> None:
    """Trains networks on one task after the other, and keeps a row for each run."""
    plan = tomllib.loads((FOLDER / "tasks.toml").read_text(encoding="utf-8"))
    found = []
    for name, settings in plan["remedies"].items():
        settings, vary = plan["settings"] | settings, plan["vary"]["activation"]
        vary = [function for function in vary if function not in plan["without"].get(name, [])]
        grid = {"activation": vary}
        runs = lab.sweep(settings, grid, plan["seeds"], plan["dataset"], store)
        found += [{"remedy": name} | ends_of_tasks(run, plan["first"]) for run in runs]
        if name == "none":
            draw_tasks(runs)
    keep("tasks", pd.DataFrame(found))


def draw_tasks(runs: lab.Runs) -> None:
    """Draws the curves over the tasks, and the life of the ReLU neuron that died most often."""
    over_tasks(runs, "tasks").save(FOLDER)
    run = runs.where(activation="relu")[0]
    unit = int(run.lives(1).died.sum(axis=0).argmax())
    picture = life_over_tasks(run, 1, unit)
    dataclasses.replace(picture, name="tasks-one-neuron").save(FOLDER)


def ends_of_tasks(run: lab.Run, count: int) -> dict[str, Any]:
    """Returns the means over the first tasks of a run and over the last; of dead units, all."""
    tasks = lab.Runs([run]).tasks().query("task > 0")
    whole = tasks.groupby("task").agg(
        online=("online_accuracy", "first"),
        end=("end_accuracy", "first"),
        dead=("dead_fraction", "mean"),  # The layers are of one width.
        norm=("weight_norm", lambda norms: np.sqrt((norms**2).sum())),
        rank=("effective_rank", "mean"),
        clones=("clones", "sum"),
    )
    means = {"first": whole.head(count).mean(), "last": whole.tail(count).mean()}
    numbers = {f"{n}_{when}": v for when, mean in means.items() for n, v in mean.items()}
    config = run.config
    return {"run_id": run.run_id, "activation": config.activation, "seed": config.seed} | numbers


@functools.cache
def table(name: str) -> pd.DataFrame:
    """Reads a table that `train` has written."""
    return spreadsheets.read_csv(FOLDER / f"{name}.csv")


def values(name: str, column: str, **where: Any) -> Any:
    """Returns a column of the rows with these values, in %, by seed."""
    rows = table(name)
    for key, value in where.items():
        rows = rows[rows[key] == value]
    return 100 * rows.set_index("seed")[column].sort_index()


def mean(name: str, column: str, digits: int = 1, **where: Any) -> str:
    """Returns a mean over seeds, in %."""
    return fixed(values(name, column, **where).mean(), digits)


def interval(name: str, column: str, digits: int = 1, **where: Any) -> str:
    """Returns a mean over seeds with half its 95 % t interval, in %."""
    found = values(name, column, **where)
    return points(stats.paired(found, np.zeros(len(found)), "larger"), digits)


def difference(name: str, activation: str, **where: Any) -> stats.Paired:
    """Returns a function's test accuracy minus ReLU's, in points, paired by seed."""
    one, other = (
        values(name, "test_accuracy", activation=choice, **where) for choice in (activation, "relu")
    )
    if list(one.index) != list(other.index):
        raise ValueError(f"{name}: the seeds of {activation} are not those of ReLU")
    return stats.paired(one, other, "larger")


def against_none(column: str, remedy: str, rate: float, activation: str = "relu") -> stats.Paired:
    """Returns what a remedy adds to a column at a learning rate, in points, paired by seed.

    The leak is a remedy for ReLU: it is Leaky ReLU without another one.
    """
    of = ("none", "leaky_relu") if remedy == LEAK else (remedy, activation)
    one, other = (
        values("remedies", column, remedy=name, activation=function, learning_rate=rate)
        for name, function in (of, ("none", activation))
    )
    return stats.paired(one, other, "larger")


def remedies(activation: str) -> list[str]:
    """Returns the names of all remedies but none, in the order of the plan."""
    names = [name for name in table("remedies").remedy.unique() if name != "none"]
    return [*names, LEAK] if activation == "relu" else names


@functools.cache
def corrected() -> dict[tuple[str, str, float], float]:
    """Returns Holm's p over what every remedy adds to the accuracy at every rate."""
    places = [
        (activation, remedy, rate)
        for activation in ("relu", "leaky_relu")
        for remedy in remedies(activation)
        for rate in RATES
    ]
    p = [against_none("test_accuracy", r, rate, a).p for a, r, rate in places]
    return dict(zip(places, stats.holm(p), strict=True))


def added(activation: str, remedy: str, rate: float) -> str:
    """Returns what a remedy adds to the accuracy; with a star if that holds after Holm."""
    holds = corrected()[activation, remedy, rate] <= stats.LEVEL
    found = against_none("test_accuracy", remedy, rate, activation)
    return points(found) + (" *" if holds else "")


def points(found: stats.Paired, digits: int = 2) -> str:
    """Returns a difference with half its interval: `−0.16 ± 0.26`."""
    return f"{fixed(found.mean, digits)} ± {fixed(found.high - found.mean, digits)}"


def first_and_last(measure: str, remedy: str, activation: str) -> list[Any]:
    """Returns a measure in the first tasks and in the last, each by seed."""
    names = (f"{measure}_{when}" for when in ("first", "last"))
    return [values("tasks", name, remedy=remedy, activation=activation) for name in names]


def change(measure: str, remedy: str, activation: str) -> stats.Paired:
    """Returns the change of a measure from the first tasks to the last, in points, by seed."""
    first, last = first_and_last(measure, remedy, activation)
    return stats.paired(last, first)


def kept(remedy: str, activation: str) -> stats.Paired:
    """Returns by how much less the accuracy while learning falls with a remedy, in points."""
    both = (first_and_last("online", name, activation) for name in (remedy, "none"))
    return stats.paired(*(last - first for first, last in both))


def ends(measure: str, activation: str) -> str:
    """Returns a measure in the first tasks and in the last without a remedy, means over seeds.

    Dead neurons are in %.
    """
    found = (value.mean() for value in first_and_last(measure, "none", activation))
    return " → ".join(fixed(value if measure == "dead" else value / 100, 1) for value in found)


def tried(remedy: str, activation: str) -> bool:
    """Tells whether the plan of the tasks has a remedy with an activation function."""
    rows = table("tasks")
    return bool(((rows.remedy == remedy) & (rows.activation == activation)).any())


def accuracy_without(share: float) -> str:
    """Returns the test accuracy without a share of the neurons, the least active first, in %."""
    rows = table("removal")
    (left,) = rows[(rows.order == "least active first") & (rows.share == share)].test_accuracy
    return fixed(100 * left, 1)


def untrained(measure: str, activation: str) -> Any:
    """Returns a measure of each layer of the untrained deep network, a mean over seeds."""
    rows = table("gradients").query("epoch == 0")
    own = [DEEP[network].activation == activation for network in rows.network]
    return rows[own].groupby("layer")[measure].mean()


def spread(activation: str) -> float:
    """Returns the largest gradient of a layer by the smallest, of the untrained deep network."""
    norms = untrained("gradient_norm", activation)
    return float(norms.max() / norms.min())


def page() -> str:
    """Returns the results page."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=select_autoescape(),
    )
    tools: Iterable[Callable[..., Any]] = (
        accuracy_without,
        added,
        against_none,
        corrected,
        difference,
        ends,
        fixed,
        interval,
        kept,
        mean,
        spread,
        change,
        points,
        remedies,
        table,
        tried,
        untrained,
        values,
    )
    names = {tool.__name__: tool for tool in tools}
    return environment.get_template("results.md.j2").render(names, LEARNERS=LEARNERS)


def main(
    store: Annotated[
        str | None, typer.Option("--train", help="Folder that keeps the runs.")
    ] = None,
) -> None:
    """Writes `results.md` from the tables beside it; with a store, trains for the tables first."""
    if store:
        train(store)
    (FOLDER / "results.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
