"""Networks that learn tasks one after the other, without restart."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lab.errors import InputError, check_whole
from lab.experiment import MOST_EPOCHS, Dataset
from lab.runs import Runs
from lab.store import RunStore
from lab.studies.study import TRIO, Study, finish, plan

KIND, NUMBER = "permuted", 20


def plan_tasks(
    activations: Iterable[str] = TRIO,
    seeds: int | Iterable[int] = 3,
    dataset: str | Dataset = "mnist-5k",
    store: str | Path | RunStore | None = None,
    label: str | None = None,
    number: int = NUMBER,
    **settings: Any,
) -> Study:
    """Checks all settings and returns the study of a sequence of tasks, before any work is done.

    Args:
        activations: As for `plan`.
        seeds: As for `plan`.
        dataset: As for `plan`.
        store: As for `plan`.
        label: As for `plan`.
        number: How many tasks.
        **settings: As for `plan`: `tasks` is `permuted` unless it is given, and `epochs` comes
            with the number of tasks and `task_epochs`.

    Raises:
        InputError: If a setting is not valid, in one sentence.
        DatasetMissingError: If the data set is not available.
    """
    if "epochs" in settings:
        raise InputError(
            f"epochs must be left out, not {settings['epochs']!r}: give the number of tasks, and "
            f"task_epochs for the epochs of each."
        )
    settings = {"tasks": KIND, "task_epochs": 1} | settings
    if settings["tasks"] == "none":
        raise InputError(
            "tasks must be permuted, shuffled_labels, class_pairs or datasets, not 'none': "
            "lab.compare trains without tasks."
        )
    each = _whole(settings["task_epochs"])
    check_whole("number", number, 1, MOST_EPOCHS // each)
    return plan(activations, seeds, dataset, store, label, epochs=number * each, **settings)


def _whole(epochs: Any) -> int:
    """Returns the epochs of a task, or 1 if they are not valid: `plan` refuses them by name."""
    try:
        return int(epochs) if 1 <= int(epochs) <= MOST_EPOCHS else 1
    except (TypeError, ValueError, OverflowError):
        return 1


def continual(
    activations: Iterable[str] = TRIO,
    seeds: int | Iterable[int] = 3,
    dataset: str | Dataset = "mnist-5k",
    store: str | Path | RunStore | None = None,
    number: int = NUMBER,
    **settings: Any,
) -> Runs:
    """Trains the same networks on one task after the other, and returns the recorded runs.

    A network that goes on learning may lose the ability to learn (Dohare et al., Nature 2024).
    `tasks` says what changes from task to task: the order of the pixels (`permuted`), the labels
    (`shuffled_labels`), the classes (`class_pairs`), or the data set, two or more in turn
    (`datasets`, with a data set such as `mnist-5k+digits`). Runs of one seed are shown the same
    tasks. Runs that are recorded already are loaded; an interrupted sequence goes on where it was.

    Args:
        activations: As for `compare`.
        seeds: As for `compare`.
        dataset: As for `compare`.
        store: As for `compare`.
        number: How many tasks.
        **settings: Further fields of `RunConfig`, the same for all runs, but `epochs`: it comes
            with the number of tasks and `task_epochs`.

    Returns:
        The runs, with their tidy tables; `.tasks()` has a row for each task and layer, and
        `.task_results()` compares the first tasks with the last.

    Raises:
        InputError: If a setting is not valid, in one sentence, before any training.
        DatasetMissingError: If the data set is not available.
        StoreError: If the store cannot be written to, or another process writes a run.
    """
    study = plan_tasks(activations, seeds, dataset, store, number=number, **settings)
    finish(study)
    return study.runs()
