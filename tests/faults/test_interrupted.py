"""Ctrl-C, the kernel's Interrupt and Restart, and SIGTERM, at random times: nothing is lost."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kernels import Notebook, Reply
from made import make_dataset
from test_kill import assert_the_same_bits

import lab
from lab import RunStore
from lab.census import units

pytestmark = pytest.mark.faults

ACTIVATIONS = ("relu", "elu")
SHAPES = ((6, 5), (7,), (5, 4, 3))  # A shape that a kernel has not seen is compiled first.
SETTINGS = {"epochs": 150, "batch_size": 120, "keep_weights": "every"}
NUMBERS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
# Writes down each epoch that a run's writer takes, and the last one that it has committed.
NOTE = """
import os, lab.store.writer
add = lab.store.writer.RunWriter.add
def note(self, event):
    add(self, event)
    with open(told, "a") as file:
        file.write(f"{self.record.run_id} {event.epoch} {self.record.epochs[-1].epoch}\\n")
lab.store.writer.RunWriter.add = note
"""
BEGIN = f"""
{NOTE}
import asyncio, signal, sys, time
sys.path[:0] = [{str(Path(__file__).parents[1])!r}]
import lab
from made import make_dataset
data = make_dataset(300, 100)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[tuple[int, ...], RunStore]:
    """The runs of every shape, trained without a stop."""
    stores = {shape: RunStore(tmp_path_factory.mktemp("whole") / "runs") for shape in SHAPES}
    for shape, store in stores.items():
        lab.compare(ACTIVATIONS, 1, make_dataset(300, 100), store, hidden=shape, **SETTINGS)
    return stores


@pytest.fixture
def notebook():
    made = Notebook()
    yield made
    made.close()


def told_in(place: Path) -> Path:
    return place.with_suffix(".told")


def last_told(place: Path, committed: bool = False) -> dict[str, int]:
    """Returns the last epoch of each run that its writer took, or that it had committed."""
    path, told = told_in(place), {}
    for line in path.read_text().splitlines() if path.exists() else ():
        run_id, taken, kept = line.split()
        told[run_id] = int(kept if committed else taken)
    return told


def begin(place: Path, more: str = "") -> str:
    """The code that comes first where runs are trained into a place."""
    return f"told = {str(told_in(place))!r}\n{BEGIN}{more}\n"


def compare_in(place: Path, shape: tuple[int, ...]) -> str:
    settings = "".join(f", {name}={value!r}" for name, value in SETTINGS.items())
    return f"lab.compare({ACTIVATIONS}, 1, data, {str(place)!r}, hidden={shape}{settings})"


def assert_kept_as_whole(place: Path, whole: RunStore, told: dict[str, int]) -> None:
    """Checks that every run is free, and holds the finished epochs with the whole run's bits."""
    store = RunStore(place)
    assert store.refused == {}
    assert {run.run_id for run in store} >= set(told)
    for run in store:
        expected, last = whole[run.run_id], run.last_epoch
        assert run.status in ("interrupted", "finished")
        assert run.last_epoch >= told.get(run.run_id, 0)
        assert run.kept_epochs == list(range(last + 1))
        for name in NUMBERS:
            mine, theirs = (
                [getattr(epoch, name) for epoch in one.record.epochs[: last + 1]]
                for one in (run, expected)
            )
            assert mine == theirs
        for number in run.layers:
            for name in units.ARRAYS:
                mine, theirs = (getattr(one.layer(number), name) for one in (run, expected))
                assert mine.tobytes() == theirs[: last + 1].tobytes()
        for mine, theirs in zip(run.weights(last), expected.weights(last), strict=True):
            assert mine.tobytes() == theirs.tobytes()


def assert_finished_as_whole(place: Path, whole: RunStore) -> None:
    store = RunStore(place)
    assert [run.run_id for run in store] == [run.run_id for run in whole]
    for got, expected in zip(store, whole, strict=True):
        assert_the_same_bits(got, expected)


# A script, and the command line


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def strike(process: subprocess.Popen[str], dice: random.Random, kind: str) -> None:
    """Sends one signal, or two Ctrl-C within half a second."""
    process.send_signal(signal.SIGTERM if kind == "SIGTERM" else signal.SIGINT)
    if kind == "double":
        time.sleep(dice.choice([0.0, 0.001, 0.02, 0.1, 0.5]) * dice.random())
        process.send_signal(signal.SIGINT)


def assert_only_keyboard_interrupts(err: str) -> None:
    heads = re.findall(r"^(\w+(?:\.\w+)*(?:Error|Exception|Interrupt|Warning|Exit)\b)", err, re.M)
    assert set(heads) <= {"KeyboardInterrupt"}, err


def script(place: Path, shape: tuple[int, ...]) -> list[str]:
    body = f"print('ready', flush=True)\n{compare_in(place, shape)}\nprint('done', flush=True)\n"
    return ["-c", begin(place) + body]


def command(place: Path, shape: tuple[int, ...]) -> list[str]:
    settings = {"epochs": 40, "batch_size": 120, "train_size": 600, "probe_size": 300}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    chosen = [f"--activation={name}" for name in ACTIVATIONS]
    widths = "--hidden=" + ",".join(map(str, shape))
    words = ["lab", "compare", "--dataset=mnist-5k", "--seeds=1", f"--store={place}"]
    words += [*chosen, widths, "--keep-weights=every", *options]
    run = f"import runpy, sys\nsys.argv = {words!r}\nrunpy.run_module('lab', run_name='__main__')"
    return ["-c", f"told = {str(told_in(place))!r}\n{NOTE}\n{run}"]


KINDS = ("single", "double", "SIGTERM")


@pytest.mark.parametrize("part", range(2))
def test_an_interrupted_script_keeps_its_epochs_and_goes_on(tmp_path, whole, promise, many, part):
    dice = random.Random(part)
    with promise("interrupts: a script") as tally:
        for number in range(many(10, 1)):
            shape, place = dice.choice(SHAPES), tmp_path / str(number)
            kind = dice.choice(KINDS) if number else ("single", "double")[part]
            seconds = dice.uniform(0.0, 6.0)
            with tally.case(f"{kind} after {seconds:.3f} s, {shape}"):
                process = start(script(place, shape))
                process.stdout.readline()
                time.sleep(seconds)
                strike(process, dice, kind)
                out, err = process.communicate(timeout=120)
                assert_only_keyboard_interrupts(err)
                if "done" not in out:
                    assert process.returncode in (-signal.SIGINT, -signal.SIGTERM, 1, 130), err
                    assert ("KeyboardInterrupt" in err) == (kind != "SIGTERM"), err
                told = last_told(place, committed=kind == "SIGTERM")
                assert_kept_as_whole(place, whole[shape], told)
                data = make_dataset(300, 100)
                lab.compare(ACTIVATIONS, 1, data, place, hidden=shape, **SETTINGS)
                assert_finished_as_whole(place, whole[shape])


@pytest.fixture(scope="module")
def by_command(tmp_path_factory) -> dict[tuple[int, ...], RunStore]:
    """What the command records that nobody stops."""
    stores = {shape: RunStore(tmp_path_factory.mktemp("command") / "runs") for shape in SHAPES[:2]}
    for shape, store in stores.items():
        assert start(command(store.path, shape)).wait(120) == 0
    return stores


@pytest.mark.parametrize("part", range(2))
def test_an_interrupted_command_keeps_its_epochs_and_goes_on(
    tmp_path, by_command, promise, many, part
):
    dice = random.Random(10 + part)
    with promise("interrupts: lab compare") as tally:
        for number in range(many(10, 1)):
            shape, place = dice.choice(SHAPES[:2]), tmp_path / str(number)
            kind = dice.choice(KINDS) if number else ("single", "double")[part]
            seconds = dice.uniform(0.0, 7.0)
            with tally.case(f"{kind} after {seconds:.3f} s, {shape}"):
                process = start(command(place, shape))
                time.sleep(seconds)
                strike(process, dice, kind)
                _, err = process.communicate(timeout=120)
                assert_only_keyboard_interrupts(err)
                expected = (
                    (0, 130, 1, -signal.SIGINT) if kind != "SIGTERM" else (-signal.SIGTERM, 0)
                )
                assert process.returncode in expected, err
                told = last_told(place, committed=kind == "SIGTERM")
                assert_kept_as_whole(place, by_command[shape], told)
                again = start(command(place, shape))
                _, err = again.communicate(timeout=120)
                assert again.returncode == 0, err
                assert_finished_as_whole(place, by_command[shape])


# A notebook


def error_of(reply: Reply) -> str:
    """Returns an error's name; struck while it draws the traceback, IPython prints that alone."""
    return reply.error or reply.text.strip().splitlines()[-1]


@pytest.mark.parametrize("part", range(2))
def test_after_an_interrupted_cell_the_next_one_works_and_goes_on(
    tmp_path, whole, notebook, promise, many, part
):
    dice = random.Random(20 + part)
    notebook.run(begin(tmp_path / "none"))
    with promise("interrupts: a notebook's cell") as tally:
        for number in range(many(12, 1)):
            shape, place = dice.choice(SHAPES), tmp_path / str(number)
            # The first pays for TensorFlow's import; every third compiles afresh.
            if number and dice.random() < 0.33:
                notebook.run("lab.network.programs._program.cache_clear()")
            notebook.run(f"told = {str(told_in(place))!r}")
            double = dice.random() < 0.5
            seconds = dice.uniform(0.0, 3.0 if number == 0 else 1.2)
            with tally.case(f"{number}: {double=} after {seconds:.3f} s, {shape}"):
                cell = notebook.begin(compare_in(place, shape))
                time.sleep(seconds)
                notebook.interrupt()
                if double:
                    time.sleep(dice.choice([0.0, 0.001, 0.02, 0.2]) * dice.random())
                    notebook.interrupt()
                reply = notebook.end(cell)
                assert reply.status == "ok" or error_of(reply) == "KeyboardInterrupt", reply
                assert notebook.run("print(6 * 7)") == "42\n"
                assert_kept_as_whole(place, whole[shape], last_told(place))
                notebook.run(compare_in(place, shape))
                assert_finished_as_whole(place, whole[shape])


WAITS = ("await race.finished()", "time.sleep(0.5)", "for _ in range(10**8): pass", None)


def test_an_interrupt_while_a_race_goes_on_leaves_the_race_alone(
    tmp_path, whole, notebook, promise, many
):
    dice = random.Random(30)
    notebook.run(begin(tmp_path / "none", "from lab import widgets"))
    with promise("interrupts: a race in the background") as tally:
        for number in range(many(20, 2)):
            shape, place = dice.choice(SHAPES), tmp_path / str(number)
            settings = "".join(f", {name}={value!r}" for name, value in SETTINGS.items())
            race = (
                f"race = widgets.Race({ACTIVATIONS}, 1, data, lab.RunStore({str(place)!r}), "
                f"hidden={shape}{settings})\nrace.start()"
            )
            wait, seconds = WAITS[number % 4], dice.uniform(0.0, 0.8)
            with tally.case(f"{number}: {wait} after {seconds:.3f} s, {shape}"):
                if dice.random() < 0.33:
                    notebook.run(
                        "'programs' in dir(lab) and lab.network.programs._program.cache_clear()"
                    )
                notebook.run(f"told = {str(told_in(place))!r}\n{race}")
                cell = notebook.begin(wait) if wait else None
                time.sleep(seconds)
                notebook.interrupt()
                if dice.random() < 0.5:
                    notebook.interrupt()
                reply = notebook.end(cell) if cell else None
                if reply and reply.status != "ok":
                    assert error_of(reply) in ("KeyboardInterrupt", "CancelledError"), reply
                assert notebook.run("print(6 * 7)") == "42\n"
                assert RunStore(place).refused == {}
                notebook.run("runs = await race.finished()")
                assert notebook.run("print(race.status.value)").count("all 2 runs are kept") == 1
                lines = told_in(place).read_text().splitlines()
                assert len(lines) == 2 * (SETTINGS["epochs"] + 1)  # No epoch was trained twice.
                assert_finished_as_whole(place, whole[shape])


def test_after_a_restart_of_the_kernel_the_runs_go_on(tmp_path, whole, notebook, promise, many):
    dice = random.Random(40)
    with promise("interrupts: the kernel is restarted") as tally:
        for number in range(many(16, 1)):
            shape, place = dice.choice(SHAPES), tmp_path / str(number)
            now, in_cell = dice.random() < 0.5, number % 2 == 0
            seconds = dice.uniform(1.0, 5.0)
            with tally.case(f"{number}: {now=} {in_cell=} after {seconds:.3f} s, {shape}"):
                notebook.run(begin(place, "from lab import widgets"))
                if in_cell:
                    notebook.begin(compare_in(place, shape))
                else:
                    settings = "".join(f", {n}={value!r}" for n, value in SETTINGS.items())
                    notebook.run(
                        f"race = widgets.Race({ACTIVATIONS}, 1, data, "
                        f"lab.RunStore({str(place)!r}), hidden={shape}{settings})\nrace.start()"
                    )
                time.sleep(seconds)
                notebook.restart(now)
                told = last_told(place, committed=True)
                assert_kept_as_whole(place, whole[shape], told)
                notebook.run(begin(place))
                notebook.run(compare_in(place, shape))
                assert_finished_as_whole(place, whole[shape])
