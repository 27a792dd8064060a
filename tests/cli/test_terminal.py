"""What the command line draws: the table of a comparison and the progress of its runs."""

import dataclasses
import io
import time
from pathlib import Path

import pytest
from made_runs import write_runs
from rich.console import Console

from lab import Dataset, RunConfig, Runs, compare
from lab.cli.terminal import comparison, show_progress
from lab.studies import HowFar
from lab.studies.study import plan
from lab.training.events import EpochEnd, Phase, Progress, RunEnd

SMALL = {"hidden": (6, 5), "epochs": 2, "batch_size": 30}


@pytest.fixture(scope="module")
def runs(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    store = tmp_path_factory.mktemp("terminal") / "runs"
    return write_runs(("relu", "leaky_relu=0.1"), 3, tiny, store, **SMALL)


def drawn(runs: Runs, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(comparison(runs, width))
    return console.file.getvalue()


def test_the_table_holds_the_means_the_seeds_and_the_dead(runs: Runs) -> None:
    relu = [run for run in runs if run.config.activation == "relu"]
    accuracies = [100 * run.record.test_accuracy for run in relu]
    dead = [sum(run.confirmed(n).mean() for run in relu) * 100 / 3 for n in (1, 2)]
    (row,) = [line.split() for line in drawn(runs, 200).splitlines() if "ReLU " in line[:6]]
    assert row[0] == "ReLU"
    assert row[1] == f"{sum(run.record.test_loss for run in relu) / 3:.4f}"
    assert row[2] == f"{sum(accuracies) / 3:.2f}"
    assert row[3] == "/".join(f"{share:.1f}" for share in dead)
    assert row[-3:] == [f"{accuracy:.2f}" for accuracy in accuracies]


def test_the_table_names_the_dataset_the_network_and_the_seeds(runs: Runs) -> None:
    title = drawn(runs, 200).splitlines()[0]
    for part in ("tiny", "784-6-5-10", "adam", "learning rate 0.001", "2 epochs", "seeds 0-2"):
        assert part in title
    assert "all 240 training images" in drawn(runs, 200)


def test_the_table_fits_a_terminal_of_80_columns_and_cuts_nothing_off(runs: Runs) -> None:
    narrow = drawn(runs, 80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow
    assert "Leaky ReLU α=0.1" in narrow
    for run in runs:
        assert f"{100 * run.record.test_accuracy:.2f}" in narrow.replace("\n", " ").split()


@pytest.mark.slow
def test_a_deep_network_fits_too(tiny: Dataset, tmp_path: Path) -> None:
    deep = compare("relu", 3, tiny, tmp_path / "runs", **SMALL | {"hidden": (4,) * 9})
    words = drawn(deep, 80).replace("\n", " ").split()
    for run in deep:
        assert f"{100 * run.record.test_accuracy:.2f}" in words


def test_a_diverged_run_is_counted_and_not_averaged(tiny: Dataset, tmp_path: Path) -> None:
    wild = compare(
        "leaky_relu=0.5", 2, tiny, tmp_path / "runs", **SMALL, optimizer="sgd", learning_rate=1000
    )
    assert [run.status for run in wild] == ["diverged", "diverged"]
    table = drawn(wild, 120)
    assert "2 of 2 diverged" in table
    assert "nan" in table


def test_without_a_terminal_every_run_that_ends_is_a_line(tiny: Dataset, tmp_path: Path) -> None:
    study = plan("elu", 2, tiny, tmp_path / "runs", **SMALL)
    console = Console(file=io.StringIO(), width=80)
    show_progress(study.events(), study.configs, console)
    found = sorted(console.file.getvalue().splitlines())
    accuracies = [run.record.test_accuracy for run in study.runs()]
    assert found == [
        f"ELU α=1, seed {seed}: test accuracy {accuracy:.2%}"
        for seed, accuracy in enumerate(accuracies)
    ]


def test_on_a_terminal_a_run_shows_epoch_loss_validation_and_dead_units() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    config = RunConfig(epochs=4)
    end = EpochEnd(0, 1, 0.5, 0.8, 0.4, 0.875, 1.0, 1.0, 1.0, (), None)  # type: ignore[arg-type]
    events = [
        Phase("compiling"),
        Progress(0, 1, 1.0, 0.5, 0.8),
        end,
        Progress(0, 2, 0.5, 0.25, 0.9),
        RunEnd(0, False, 0.1, 0.9, ()),
    ]
    show_progress(iter(events), [config], console)
    shown = console.file.getvalue()
    assert "ReLU, seed 0" in shown
    assert "1/1 runs done" in shown
    assert "2/4" in shown
    assert "loss 0.250" in shown
    assert "val 87.5%" in shown


def test_on_a_terminal_the_time_left_is_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100, 10_000, 60))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    far = HowFar([RunConfig(epochs=4)])
    far.add(Progress(0, 1, 0.5, 0.5, 0.8))
    far.add(Progress(0, 1, 1.0, 0.5, 0.8))
    assert far.left == "about 6 min left"  # Half an epoch a minute, and three are left.
    monkeypatch.setattr(HowFar, "left", "about 6 min left")
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    show_progress(iter([Progress(0, 1, 0.5, 0.5, 0.8)]), [RunConfig(epochs=4)], console)
    assert "0/1 runs done" in console.file.getvalue()
    assert "about 6 min left" in console.file.getvalue()


def test_a_dataset_s_name_is_shown_as_it_is_even_if_it_looks_like_markup(
    tiny: Dataset, tmp_path: Path
) -> None:
    odd = dataclasses.replace(tiny, name="[/red][bold]x")
    table = drawn(compare("relu", 1, odd, tmp_path / "runs", **SMALL), 120)
    assert "[/red][bold]x: 784-6-5-10" in table


def test_the_seeds_of_a_row_stay_on_its_line(tiny: Dataset, tmp_path: Path) -> None:
    many = compare("relu", 12, tiny, tmp_path / "runs", **SMALL | {"epochs": 1})
    accuracies = [100 * run.record.test_accuracy for run in many]
    for width, shown in ((200, accuracies), (80, [min(accuracies), max(accuracies)])):
        (row,) = [line.split() for line in drawn(many, width).splitlines() if "ReLU " in line[:6]]
        assert row[6:] == [f"{accuracy:.2f}" for accuracy in shown]
    assert "lowest," in drawn(many, 80)


def test_a_run_that_learns_tasks_shows_which_one_it_learns() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    config = RunConfig(epochs=6, tasks="permuted", task_epochs=2)
    show_progress(iter([Progress(0, 3, 0.5, 0.25, 0.9)]), [config], console)
    assert "task 2/3" in console.file.getvalue()
