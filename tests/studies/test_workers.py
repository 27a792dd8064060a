"""Training by an executor's workers: the same bits, nothing lost, nothing double."""

import contextlib
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import lab
from lab import Dataset, RunStore
from lab.errors import InputError, RunBusyError, RunError, WorkerError
from lab.experiment.grids import grid
from lab.runs.run import have_the_same_bits
from lab.store.importer import unpack
from lab.studies import workers
from lab.studies.study import Study, gather
from lab.studies.workers import Workers, check_versions, events, executor_of
from lab.training.events import EpochEnd, Phase, Progress, RunEnd

VARY = {"activation": ["relu", "elu"], "learning_rate": [0.001, 0.01]}
BASE = {"hidden": (6, 5), "epochs": 3, "batch_size": 30}
FORK = multiprocessing.get_context("fork")
CONFIGS = grid(VARY, 1, BASE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny) -> RunStore:
    """The runs as one process trains them."""
    store = RunStore(tmp_path_factory.mktemp("whole") / "runs")
    lab.sweep(BASE, VARY, 1, tiny, store)
    return store


@pytest.fixture
def study(tiny, tmp_path) -> Study:
    return gather(CONFIGS, tiny, tmp_path / "runs")


@pytest.fixture(params=[0.0, 10.0])
def turn_seconds(request, monkeypatch) -> float:
    """Turns of one epoch, and turns of the whole run."""
    monkeypatch.setattr(workers, "TURN_SECONDS", request.param)
    return request.param


def assert_same(store: RunStore, whole: RunStore) -> None:
    store = RunStore(store.path)
    assert [run.run_id for run in store] == [run.run_id for run in whole]
    assert [run.status for run in store] == ["finished"] * len(whole.runs)
    assert all(have_the_same_bits(*pair) for pair in zip(store, whole, strict=True))
    for one, other in zip(store, whole, strict=True):
        assert all(map(np.array_equal, one.weights(), other.weights()))
    litter = [path for path in store.path.iterdir() if path.name not in {r.run_id for r in store}]
    assert litter == []
    named = {run.folder / f.name for run in store for f in run.record.files}
    named |= {run.folder / "run.json" for run in store}
    assert set(store.path.rglob("*.*")) == named


def test_workers_give_the_bits_of_one_process_turn_by_turn(study, whole, turn_seconds):
    with ThreadPoolExecutor(2) as pool:
        told = [e for e in events(study, pool) if not isinstance(e, Phase)]
    assert_same(study.store, whole)
    ends = {e.run: e.test_accuracy for e in told if isinstance(e, RunEnd)}
    recorded = {i: study.store.find(c, study.dataset) for i, c in enumerate(CONFIGS)}
    assert ends == {i: run.record.test_accuracy for i, run in recorded.items()}
    epochs = [[e.epoch for e in told if isinstance(e, Progress) and e.run == i] for i in range(4)]
    assert epochs == [[0, 1, 2] if turn_seconds == 0 else []] * 4


@pytest.mark.slow
def test_a_stopped_study_keeps_its_turns_and_goes_on_to_the_same_bits(study, whole, monkeypatch):
    monkeypatch.setattr(workers, "TURN_SECONDS", 0.0)
    with ThreadPoolExecutor(2) as pool:
        told = events(study, pool)
        seen = [next(told) for _ in range(9)]
        told.close()
        kept = {e.run: e.epoch for e in seen if isinstance(e, Progress)}
        assert kept
        store = RunStore(study.store.path)
        for index, epoch in kept.items():
            run = store.unfinished(CONFIGS[index], study.dataset)
            done = isinstance(run, type(None))  # It may have ended meanwhile.
            assert done or run.last_epoch >= epoch
        for _ in events(study, pool):
            pass
    assert_same(study.store, whole)


def test_what_one_process_began_workers_finish_and_the_other_way_round(study, whole, monkeypatch):
    monkeypatch.setattr(workers, "TURN_SECONDS", 0.0)
    with contextlib.closing(study.events()) as here:
        for event in here:
            if getattr(event, "epoch", 0) == 2:
                break
    assert any(run.status == "interrupted" for run in study.store)
    with ThreadPoolExecutor(2) as pool, contextlib.closing(events(study, pool)) as there:
        for event in there:
            if isinstance(event, RunEnd):
                break
    for _ in study.events():
        pass
    assert_same(study.store, whole)


class Once(Executor):
    """Does each task at once, then changes what came of it, as told."""

    def __init__(self, change):
        self.change, self.tasks = change, []

    def submit(self, function, task):
        self.tasks.append(task)
        future = Future()
        try:
            future.set_result(self.change(function, task))
        except Exception as error:
            future.set_exception(error)
        return future


def test_a_run_that_begins_anew_on_another_processor_is_kept_beside_the_first(
    study, tiny, monkeypatch
):
    monkeypatch.setattr(workers, "TURN_SECONDS", 0.0)
    config = CONFIGS[0]
    study = gather([config], tiny, study.store)
    with contextlib.closing(study.events()) as here:
        next(event for event in here if isinstance(event, EpochEnd) and event.epoch == 2)
    (begun,) = study.store
    assert begun.last_epoch == 2
    monkeypatch.setattr(workers, "is_exactly_resumable", lambda _: False)

    def elsewhere(function, task):
        files = function(task)
        run = unpack(files, study.store.path.parent / f"sent{len(files)}")
        assert run.status == "finished"  # It is not sent to and fro, to begin anew each time.
        return files

    told = list(events(study, Once(elsewhere)))
    assert isinstance(told[-1], RunEnd)
    first, second = RunStore(study.store.path)
    assert (first.run_id, first.status, first.last_epoch) == (begun.run_id, "interrupted", 2)
    assert (second.run_id, second.status) == (f"{begun.run_id}.2", "finished")


def test_of_another_run_that_is_sent_back_nothing_is_kept(tiny, tmp_path, whole):
    study = gather(CONFIGS[:1], tiny, tmp_path / "runs")
    other = next(run for run in whole if run.config != CONFIGS[0])
    with pytest.raises(RunError, match="sent back another run than relu-seed0-"):
        list(events(study, Once(lambda *_: workers.files_of(other))))
    assert list(RunStore(study.store.path)) == []
    assert list(study.store.path.iterdir()) == []


def test_damaged_files_that_are_sent_back_are_refused(study):
    def damaged(function, task):
        files = function(task)
        name = next(name for name in files if name.startswith("units"))
        return {**files, name: files[name][:-1]}

    with pytest.raises(RunError, match="damaged"):
        list(events(study, Once(damaged)))
    assert list(study.store.path.iterdir()) == []


def test_a_run_in_hand_is_busy_for_everyone_else(study, tiny):
    def look(function, task):
        with pytest.raises(RunBusyError):
            study.store.writer(CONFIGS[0], tiny)
        return function(task)

    small = gather(CONFIGS[:1], tiny, study.store)
    assert isinstance(list(events(small, Once(look)))[-1], RunEnd)


def test_a_worker_with_another_version_refuses_and_nothing_is_written(study, monkeypatch):
    def older(function, task):
        task.versions["tensorflow"] = "2.20.0"
        return function(task)

    with pytest.raises(WorkerError) as caught:
        list(events(study, Once(older)))
    installed = workers.installed()["tensorflow"]
    assert f"has tensorflow {installed} in place of 2.20.0" in str(caught.value)
    assert list(study.store.path.iterdir()) == []


def test_versions_that_agree_are_no_matter():
    check_versions("Worker a", {"x": "1"}, {"x": "1", "y": "2"})
    with pytest.raises(WorkerError, match="Worker a has x missing in place of 1: its numbers"):
        check_versions("Worker a", {"x": "1"}, {})


def test_a_worker_with_other_images_refuses(study, tiny):
    def others(function, task):
        brighter = Dataset("tiny", tiny.x_train | 1, tiny.y_train, tiny.x_test, tiny.y_test)
        return function(workers.Turn(**{**vars(task), "dataset": brighter}))

    with pytest.raises(InputError, match="has another tiny: give every machine the same files"):
        list(events(study, Once(others)))


def test_a_failure_of_the_worker_is_one_sentence(study):
    def fail(*_):
        raise MemoryError("no room")

    with pytest.raises(WorkerError) as caught:
        list(events(study, Once(fail)))
    assert str(caught.value) == (
        "A worker failed (MemoryError: no room). What is finished is kept: the same command goes "
        "on."
    )


def test_an_own_activation_that_is_not_registered_is_refused_before_any_work(tiny, tmp_path):
    stranger = lab.RunConfig(activation="mine", source_sha256="0" * 64, **BASE)
    study = gather([stranger], tiny, tmp_path / "runs")
    with pytest.raises(InputError, match="'mine' is not registered here"):
        list(events(study, Once(lambda *_: pytest.fail("worked"))))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("number", [0, -1, 1025, 2.0, True, "2"])
def test_workers_must_be_a_number(number):
    with pytest.raises(InputError, match="workers must be a whole number from 1 to 1,024, not"):
        Workers(number)


def test_workers_and_dask_exclude_each_other():
    with pytest.raises(InputError, match="workers must be left out where dask is given"):
        executor_of(2, "tcp://127.0.0.1:1")


@pytest.mark.parametrize("wrong", ["", "here", "tcp://", "tcp://host", "a b:1", "tcp://x:1/y"])
def test_what_is_no_address_of_a_scheduler_is_said_at_once(wrong):
    with pytest.raises(InputError, match="dask must be the address of a scheduler, such as tcp:"):
        executor_of(None, wrong).__enter__()


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_said(monkeypatch):
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 0.2)
    with (
        pytest.raises(WorkerError, match=r"No Dask scheduler answers at tcp://127.0.0.1:1 "),
        executor_of(None, "tcp://127.0.0.1:1"),
    ):
        pass


def test_something_else_than_an_executor_is_refused(tiny):
    with pytest.raises(InputError, match=r"executor must be a concurrent\.futures\.Executor"):
        lab.sweep(BASE, VARY, 1, tiny, executor=2)


POOLS = {
    "by default": lambda: ProcessPoolExecutor(3),
    "fork": lambda: ProcessPoolExecutor(3, mp_context=FORK),
    "forkserver": lambda: ProcessPoolExecutor(mp_context=multiprocessing.get_context("forkserver")),
    "spawn": lambda: ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")),
    "the lab's": lambda: Workers(2),
    "threads": lambda: ThreadPoolExecutor(2),
}


@pytest.mark.parametrize("kind", POOLS)
def test_a_pool_that_forks_is_refused_where_tensorflow_is_loaded(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    monkeypatch.setattr(multiprocessing.context._default_context, "_actual_context", FORK)
    with POOLS[kind]() as pool:
        if kind not in ("by default", "fork"):
            workers.check_executor(pool)
            return
        with pytest.raises(InputError) as refused:
            workers.check_executor(pool)
    assert str(refused.value) == (
        "executor must not fork this process, because TensorFlow is loaded here: give it "
        "another context, ProcessPoolExecutor(3, mp_context=multiprocessing.get_context('spawn'))."
    )


@pytest.mark.parametrize("kind", POOLS)
def test_every_pool_is_taken_where_tensorflow_is_not_loaded(kind, monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with POOLS[kind]() as pool:
        workers.check_executor(pool)


def test_a_pool_that_forks_is_refused_before_any_work(study, tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    with POOLS["fork"]() as pool:
        monkeypatch.setattr(pool, "submit", lambda *_: pytest.fail("worked"))
        with pytest.raises(InputError, match="executor must not fork"):
            next(events(study, pool))
        monkeypatch.setattr("lab.studies.sweeps.gather", lambda *_: pytest.fail("looked for data"))
        with pytest.raises(InputError, match="executor must not fork"):
            lab.sweep(BASE, VARY, 1, tiny, tmp_path / "runs", pool)
    assert not (tmp_path / "runs").exists()


SCRIPT = """
import sys, tensorflow as tf, lab
from lab import workers
workers.TURN_SECONDS = 0.5
def twice(z):
    return tf.where(z > 0, 2 * z, 0.1 * z)
if __name__ == "__main__":
    lab.register("twice", twice)
    with workers.Workers(2) as pool:
        lab.sweep({base}, {{"activation": ["relu", "twice"]}}, 2, "mnist-5k", sys.argv[1], pool)
    lab.sweep({base}, {{"activation": ["relu", "twice"]}}, 2, "mnist-5k", sys.argv[2])
"""


@pytest.mark.seldom
def test_own_activations_travel_to_processes_and_give_the_same_bits(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(base={**BASE, "epochs": 6}))
    places = [tmp_path / "there", tmp_path / "here"]
    subprocess.run([sys.executable, script, *places], check=True, capture_output=True)
    assert_same(*map(RunStore, places))
    assert {run.config.activation for run in RunStore(places[0])} == {"relu", "twice"}


AFTER_TENSORFLOW = """
import multiprocessing, sys, lab
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    lab.compare(("relu",), 1, "mnist-5k", sys.argv[1], hidden=(4,), epochs=1)
    try:
        lab.sweep({base}, {vary}, 1, "mnist-5k", sys.argv[2], ProcessPoolExecutor(1))
    except lab.LabError as error:
        advice = str(error).partition("context, ")[2].rstrip(".")
    with eval(advice) as pool:
        lab.sweep({base}, {vary}, 1, "mnist-5k", sys.argv[2], pool)
"""


@pytest.mark.seldom
def test_the_advice_on_a_pool_that_forks_works(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(AFTER_TENSORFLOW.format(base=BASE, vary={"activation": ["relu"]}))
    places = [tmp_path / "first", tmp_path / "runs"]
    command = [sys.executable, script, *places]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [run.status for run in RunStore(places[1])] == ["finished"]


SWEEP = ["sweep", "--vary", "activation=relu,elu", "--seeds", "1", "--dataset", "mnist-5k"]
LONG = ["--hidden", "32,32", "--epochs", "1000", "--batch-size", "64"]


def start_sweep(store: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "lab", *SWEEP, *LONG, "--store", str(store), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_epochs(store: Path, runs: int) -> None:
    """Waits until so many runs have some epochs."""
    for _ in range(1200):
        if sum(run.last_epoch > 0 for run in RunStore(store)) >= runs:
            return
        time.sleep(0.1)
    pytest.fail("no epoch was kept")


def epochs_kept(store: Path) -> dict[str, int]:
    return {run.run_id: run.last_epoch for run in RunStore(store)}


def children(process: subprocess.Popen) -> list[int]:
    import psutil

    return [
        p.pid for p in psutil.Process(process.pid).children() if "spawn_main" in str(p.cmdline())
    ]


def is_alive(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def long_run(tmp_path_factory) -> RunStore:
    store = tmp_path_factory.mktemp("long") / "runs"
    process = start_sweep(store)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return RunStore(store)


@pytest.mark.seldom
@pytest.mark.parametrize("blow", ["ctrl-c", "kill a worker", "kill the client"])
def test_whoever_is_stopped_or_killed_costs_only_the_epochs_in_hand(tmp_path, long_run, blow):
    store = tmp_path / "runs"
    process = start_sweep(store, "--workers", "2")
    try:
        wait_for_epochs(store, 2)
        before = epochs_kept(store)
        time.sleep(1)
        workers_of = children(process)
        assert len(workers_of) == 2
        target = {"kill a worker": workers_of[0]}.get(blow, process.pid)
        os.kill(target, signal.SIGINT if blow == "ctrl-c" else signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    if blow == "ctrl-c":
        assert process.returncode == 130
        assert "Traceback" not in errors
    if blow == "kill a worker":
        assert process.returncode == 2
        assert "A worker process ended by itself: it was killed, or memory ran out, or " in errors
    if blow == "ctrl-c":  # The turns in hand were handed back.
        assert all(kept > before[run_id] for run_id, kept in epochs_kept(store).items())
    else:
        assert all(kept >= before[run_id] for run_id, kept in epochs_kept(store).items())
    assert RunStore(store).refused == {}
    time.sleep(1)
    assert not any(map(is_alive, workers_of))
    again = start_sweep(store, "--workers", "2")
    _, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    assert_same(RunStore(store), long_run)


@pytest.mark.seldom
@pytest.mark.skipif(not shutil.which("dask"), reason="dask.distributed is not installed")
def test_a_dask_cluster_loses_nothing_when_a_worker_is_killed(tmp_path, long_run):
    place = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    begun = [subprocess.Popen([*scheduler, "--scheduler-file", place], **quiet)]
    try:
        for _ in range(300):
            if place.exists() and place.stat().st_size:
                break
            time.sleep(0.1)
        address = re.search(r"tcp://[0-9.:]+", place.read_text())[0]
        worker = [*dask, "worker", address, "--nthreads", "1", "--no-nanny"]
        worker += ["--no-dashboard", "--local-directory", str(tmp_path)]
        begun += [subprocess.Popen(worker, **quiet) for _ in range(2)]
        wait_for_workers(address, 2)
        store = tmp_path / "runs"
        process = start_sweep(store, "--dask", address)
        begun.append(process)
        wait_for_epochs(store, 2)
        begun[1].kill()
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert_same(RunStore(store), long_run)
    finally:
        for one in reversed(begun):
            one.kill()
            one.wait()


def wait_for_workers(address: str, number: int) -> None:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(number, timeout=60)
