"""Sweeps: the same network over a grid of settings and seeds, here or by worker processes."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from lab.experiment import Dataset, RunConfig, grid
from lab.runs import Runs
from lab.stats import FEWEST_SEEDS
from lab.store import RunStore
from lab.studies.study import finish, gather
from lab.studies.workers import check_executor, events


def sweep(
    base: RunConfig | Mapping[str, Any] | None = None,
    vary: Mapping[str, Sequence[Any]] | None = None,
    seeds: int | Iterable[int] = FEWEST_SEEDS,
    dataset: str | Dataset = "auto",
    store: str | Path | RunStore | None = None,
    executor: Executor | None = None,
) -> Runs:
    """Trains a network at every combination of some settings, with every seed.

    Runs that are recorded already are loaded. The same call resumes a sweep that was stopped or
    killed.

    Args:
        base: The settings that are the same for all runs: a config, or some of its fields.
        vary: Fields of `RunConfig`, each with its values.
        seeds: How many seeds, from 0; or the seeds themselves. By default the fewest with which
            there is a verdict.
        dataset: A name for `load_dataset`, or a data set.
        store: The folder that keeps the runs; by default `store.default_path()`.
        executor: What trains: by default this process, on all cores. `lab.workers.Workers(2)` are
            two processes of this machine; any other `concurrent.futures.Executor` works if its
            workers can import `lab`, such as that of a Dask client. One that forks, as
            `ProcessPoolExecutor` does on Linux, is refused once TensorFlow is loaded here.

    Returns:
        The runs, seed by seed, in the order of the grid.

    Raises:
        InputError: If a setting or the executor is not valid, in one sentence, before any training.
        DatasetMissingError: If the data set is not available.
        StoreError: If the store cannot be written to, or another process writes a run.
        WorkerError: If a worker fails; what is finished is kept.
    """
    if executor is not None:
        check_executor(executor)
    study = gather(grid(vary or {}, seeds, base), dataset, store)
    finish(study, events(study, executor) if executor else study.events())
    return study.runs()
