"""Training a study in other processes: on this machine, or by any executor, such as Dask's.

A worker builds everything from the settings, trains one run for a turn of some seconds and sends
back the files written so far. Only the client writes the store. Killing a worker or the client
loses at most the epochs of the turns under way.
"""

import collections
import contextlib
import json
import multiprocessing
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.activations import register_source
from lab.errors import InputError, LabError, RunError, WorkerError, check_whole
from lab.experiment import Dataset, RunConfig, is_checked, load_dataset
from lab.network import network_of, register_network_source
from lab.runs import Run
from lab.store import (
    Files,
    RunImporter,
    RunStore,
    files_of,
    is_exactly_resumable,
    temporary_folder,
    unpack,
    unpacked,
)
from lab.studies.study import Study, gather
from lab.system import PACKAGES, load_tensorflow, own_process, versions
from lab.training import EpochEnd, Event, Phase, Progress, RunEnd

TURN_SECONDS = 10.0
GRACE_SECONDS = 30.0
MOST_WORKERS = 1024
CONNECT_SECONDS = 10
GO_ON = "What is finished is kept: the same command goes on."

_loading = threading.Lock()
_hurry: Any = None  # In a worker of `Workers`: the event that asks for what is finished.


@dataclass(frozen=True)
class Turn:
    """What a worker needs to train a run for a turn.

    Attributes:
        settings: The run's settings, as JSON.
        own: Name and source of the user's own activation function, if it is one.
        own_network: Name and source of the user's own network, if it is one.
        dataset: The name of a data set that every worker can load, or the data set itself.
        digest: The data set's digest.
        label: What is written on the run.
        versions: What the worker must have installed.
        files: The run so far; empty for one that begins.
        seconds: How long the turn lasts; one epoch is finished at least.
    """

    settings: str
    own: tuple[str, str] | None
    own_network: tuple[str, str] | None
    dataset: str | Dataset
    digest: str
    label: str | None
    versions: dict[str, str]
    files: Files
    seconds: float


def installed() -> dict[str, str]:
    """Returns the versions of the packages on which a run's bits depend."""
    return {name: versions()[name] for name in PACKAGES}


def work(turn: Turn) -> Files:
    """Trains a run for a turn, in a worker, and returns its files.

    A run that was begun on another kind of processor starts again, and is trained to its end.

    Raises:
        WorkerError: If this worker has other versions.
        InputError: If the data set, or the source of the activation function, is not available.
    """
    check_versions(f"Worker {platform.node()}", turn.versions, installed())
    with _loading:  # Some executors work in threads.
        load_tensorflow()
        if turn.own:
            register_source(*turn.own)
        if turn.own_network:
            register_network_source(*turn.own_network)
    config, dataset = RunConfig(**json.loads(turn.settings)), _loaded(turn)
    with temporary_folder() as folder:
        place, last, seconds = Path(folder) / "new", -1, turn.seconds
        if turn.files:
            begun = unpack(turn.files, Path(folder) / "begun")
            if is_exactly_resumable(begun):
                place, last = begun.folder.parent, begun.last_epoch
            else:
                seconds = float("inf")
        study = gather([config], dataset, RunStore(place), turn.label)
        _train(study, last, time.monotonic() + seconds)
        (run,) = study.store
        return files_of(run)


def _train(study: Study, last: int, until: float) -> None:
    """Trains until a time, and at least one epoch after the last that is recorded."""
    (config,) = study.configs
    epoch = last
    with contextlib.closing(study.events()) as events:
        for event in events:
            if isinstance(event, EpochEnd):
                epoch = event.epoch
            is_over = last < epoch < config.epochs and time.monotonic() > until
            if is_over or (_hurry and _hurry.is_set()):
                break


def _loaded(turn: Turn) -> Dataset:
    dataset = load_dataset(turn.dataset) if isinstance(turn.dataset, str) else turn.dataset
    if dataset.digest != turn.digest:
        raise InputError(
            f"Worker {platform.node()} has another {dataset.name}: give every machine the same "
            f"files, such as by LAB_DATA_DIR."
        )
    return dataset


def check_versions(who: str, wanted: dict[str, str], found: dict[str, str]) -> None:
    """Checks that a worker has what the client has.

    Raises:
        WorkerError: If not, with what differs.
    """
    others = [
        f"{name} {found.get(name, 'missing')} in place of {number}"
        for name, number in wanted.items()
        if found.get(name) != number
    ]
    if others:
        raise WorkerError(
            f"{who} has {', '.join(others)}: its numbers could differ. Install the same versions."
        )


class Workers(ProcessPoolExecutor):
    """Worker processes on this machine, one core each.

    In a script, use it under `if __name__ == "__main__":`, as every pool of new processes.
    """

    def __init__(self, number: int) -> None:
        """Prepares the processes; they start with their first task.

        Args:
            number: How many.

        Raises:
            InputError: If it is not a whole number from 1 to 1,024.
        """
        check_whole("workers", number, 1, MOST_WORKERS)
        spawn = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork.
        self._hurry = spawn.Event()
        super().__init__(number, spawn, initializer=_begin, initargs=(self._hurry,))

    def hurry(self) -> None:
        """Asks every worker to send back what is finished."""
        self._hurry.set()

    def take_time(self) -> None:
        """Lets turns last their full time again, after `hurry`."""
        self._hurry.clear()


def _begin(hurry: Any) -> None:
    """Sets a worker up: only its client stops it, and it does not outlive its client."""
    import signal

    global _hurry
    _hurry = hurry
    own_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_client, daemon=True).start()


def _end_with_client() -> None:
    if client := multiprocessing.parent_process():
        client.join()
        os._exit(1)


@contextlib.contextmanager
def dask(address: str) -> Iterator[Executor]:
    """Yields an executor of a Dask cluster, after checking its workers.

    Args:
        address: The address of its scheduler, such as `tcp://192.168.0.7:8786`.

    Raises:
        InputError: If it is not an address, or dask.distributed is not installed.
        WorkerError: If no scheduler answers, or if it has no worker, or one of other versions.
    """
    if not re.fullmatch(r"(\w+://)?[^\s/]+:\d+", address):
        raise InputError(
            f"dask must be the address of a scheduler, such as tcp://192.168.0.7:8786, "
            f"not {address!r}."
        )
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "dask must be installed for this: python -m pip install 'activation-lab[cluster]'."
        ) from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise WorkerError(
            f"No Dask scheduler answers at {address} ({type(error).__name__}). Start one with: "
            f"dask scheduler"
        ) from None
    with client:
        _check_dask_workers(client, address)
        yield client.get_executor(pure=False)


def _check_dask_workers(client: Any, address: str) -> None:
    try:
        found = client.run(installed)
    except Exception as error:  # Whatever the cluster's own machines raise.
        raise WorkerError(
            f"A worker of {address} cannot load the lab ({type(error).__name__}: {error}). "
            f"Install activation-lab there, too."
        ) from None
    if not found:
        raise WorkerError(f"{address} has no workers. Start some with: dask worker {address}")
    for worker, numbers in found.items():
        check_versions(f"Worker {worker}", installed(), numbers)


def check_executor(executor: Any) -> None:
    """Checks that an executor can train here.

    Raises:
        InputError: If it is not an executor, or would fork a process in which TensorFlow is loaded:
            the fork hangs or aborts.
    """
    if not isinstance(executor, Executor):
        raise InputError(
            f"executor must be a concurrent.futures.Executor, such as lab.workers.Workers(2), "
            f"not {executor!r}."
        )
    if "tensorflow" in sys.modules and _forks(executor):
        raise InputError(
            f"executor must not fork this process, because TensorFlow is loaded here: give it "
            f"another context, ProcessPoolExecutor({_most_workers(executor)}, "
            f"mp_context=multiprocessing.get_context('spawn'))."
        )


def _forks(executor: Executor) -> bool:
    if not isinstance(executor, ProcessPoolExecutor):
        return False
    context: Any = getattr(executor, "_mp_context", None) or multiprocessing
    return bool(context.get_start_method() == "fork")


@dataclass(eq=False)
class _RemoteRun:
    """A run that a worker is training: its place in the study, and what is kept of it."""

    index: int
    config: RunConfig
    importer: RunImporter


def events(study: Study, executor: Executor, at_once: int | None = None) -> Generator[Event]:
    """Trains what is missing of a study by an executor's workers and keeps it, turn by turn.

    Stop pulling (close the iterator) to stop: what is finished is kept.

    Args:
        study: The study.
        executor: An executor whose workers can import `lab`; it may fork only where TensorFlow is
            not loaded.
        at_once: How many runs the workers hold at once; by default enough to keep all of them busy.

    Yields:
        `Progress` after each turn of a run, and `RunEnd` at its end; `run` is a position in
        `study.missing()` as it was at the beginning.

    Raises:
        InputError: If an activation function cannot be sent, or as for `check_executor`.
        WorkerError: If a worker cannot train.
        StoreError: If the store cannot be written to, or another process writes a run.
    """
    check_executor(executor)
    waiting = collections.deque(enumerate(study.missing()))
    for _, config in waiting:
        _own(config)
    study.store.check_writable()
    remotes: dict[Future[Files], _RemoteRun] = {}
    if isinstance(executor, Workers):
        executor.take_time()
    try:
        while waiting or remotes:
            while waiting and len(remotes) < (at_once or _places(executor)):
                index, config = waiting.popleft()
                remote = _RemoteRun(index, config, study.store.importer(config, study.dataset))
                remotes[_submitted(executor, study, remote)] = remote
            done = wait(remotes, timeout=0.5, return_when=FIRST_COMPLETED).done
            if not done:
                yield Phase("waiting for workers")  # The caller can stop here.
            for future in done:
                remote = remotes[future]
                event = _taken(study, remote, _result(future))
                del remotes[future]
                if isinstance(event, Progress):
                    remotes[_submitted(executor, study, remote)] = remote
                else:
                    remote.importer.close()
                yield event
    finally:
        _let_go(study, executor, remotes)


def _places(executor: Executor) -> int:
    """Returns how many runs keep an executor's workers busy: one each, and one that waits."""
    client = getattr(executor, "_client", None)
    return int(sum(client.nthreads().values()) if client else _most_workers(executor)) + 1


def _most_workers(executor: Executor) -> int:
    # Executors have no public size; an unknown one gets a number that does no harm.
    return getattr(executor, "_max_workers", 8)


def _own(config: RunConfig) -> tuple[str, str] | None:
    """Returns name and source of a user's own function, as it is registered here."""
    source = config.function.source
    return None if source is None else (config.activation, source)


def _own_network(config: RunConfig) -> tuple[str, str] | None:
    """Returns name and source of a user's own network, as it is registered here."""
    source = network_of(config).source
    return None if source is None else (config.network, source)


def _submitted(executor: Executor, study: Study, remote: _RemoteRun) -> Future[Files]:
    turn = Turn(
        settings=remote.config.model_dump_json(),
        own=_own(remote.config),
        own_network=_own_network(remote.config),
        dataset=study.dataset.name if is_checked(study.dataset) else study.dataset,
        digest=study.dataset.digest,
        label=study.label,
        versions=installed(),
        files=files_of(remote.importer.run) if remote.importer.run else {},
        seconds=TURN_SECONDS,
    )
    try:
        return executor.submit(work, turn)
    except BrokenExecutor as error:
        raise _failed(error) from error
    except RuntimeError as error:
        raise WorkerError(f"The executor takes no work: {error}. Make a new one.") from error


def _result(future: Future[Files]) -> Files:
    try:
        return future.result()
    except LabError:
        raise
    except (Exception, CancelledError) as error:
        raise _failed(error) from error


def _failed(error: BaseException) -> WorkerError:
    if isinstance(error, BrokenExecutor):
        reason = (
            "A worker process ended by itself: it was killed, or memory ran out, or TensorFlow "
            "was forked, or a script starts workers outside of `if __name__ == '__main__':`"
        )
    elif isinstance(error, CancelledError):
        reason = "The scheduler is gone, or it dropped the work"
    else:
        reason = f"A worker failed ({type(error).__name__}: {error})"
    return WorkerError(f"{reason}. {GO_ON}")


def _taken(study: Study, remote: _RemoteRun, files: Files) -> Event:
    """Keeps what a worker has sent back, and says how far the run is."""
    with unpacked(files) as run:
        if run.config != remote.config or run.record.dataset_digest != study.dataset.digest:
            raise RunError(f"A worker sent back another run than {remote.importer.folder.name}.")
        if not remote.importer.goes_on_with(run):  # Started again, on another kind of processor.
            remote.importer.close()
            remote.importer = study.store.importer(remote.config, study.dataset, beside=True)
        return _event(remote.index, remote.importer.keep(run))


def _event(index: int, run: Run) -> Event:
    record = run.record
    if not record.ended:
        last = record.epochs[-1]
        return Progress(index, last.epoch, 1.0, last.train_loss, last.train_accuracy)
    confirmed = tuple(run.confirmed(number) for number in run.layers)
    results = (record.test_loss or 0.0, record.test_accuracy or 0.0)
    return RunEnd(index, record.diverged, *results, confirmed)


def _let_go(study: Study, executor: Executor, remotes: dict[Future[Files], _RemoteRun]) -> None:
    """Takes back the runs under way; workers of this machine return their finished epochs."""
    for future in remotes:
        future.cancel()
    try:
        if isinstance(executor, Workers) and remotes:
            executor.hurry()
            running = [future for future in remotes if not future.cancelled()]
            for future in wait(running, GRACE_SECONDS).done:
                with contextlib.suppress(LabError):
                    _taken(study, remotes[future], _result(future))
    finally:
        for remote in remotes.values():
            remote.importer.close()


def executor_of(workers: int | None, address: str | None) -> Any:
    """Returns a context that gives the executor wanted, or None for this process.

    Raises:
        InputError: If both are given, or if the number of workers is not valid.
    """
    if workers is not None and address is not None:
        raise InputError("workers must be left out where dask is given: its workers do the work.")
    if address is not None:
        return dask(address)
    return contextlib.nullcontext() if workers is None else Workers(workers)
