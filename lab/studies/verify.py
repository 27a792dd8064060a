"""Trains a recorded run again, and says whether the result is the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lab.errors import RunError
from lab.experiment import Dataset
from lab.network import network_of
from lab.runs import Run, have_the_same_bits, one_run, task_numbers_of_both
from lab.store import RunStore, temporary_folder
from lab.studies.study import Study, finish, gather

Outcome = Literal["identical", "alike", "different"]
FIRST_TOLERANCE = 1e-4
LEAST_TOLERANCE = 0.005
SAMPLING_ERRORS = 4
CAUSES = (
    "Code that ran before the lab, here or there, can do that, and so can a lab of an earlier "
    "version, where Keras had another backend: restart Python, and verify it again by the command "
    "lab verify. If it stays so, the record was changed, or it was not made by this lab."
)
CHANGED_IN = {  # What changed the bits of runs.
    "0.2": "Since version 0.2 the lab sums gradients of biases as Keras does, which changes the "
    "last bits where batches hold fewer than 48 images.",
    "0.3": "Since version 0.3 dropout draws other numbers in networks without convolutions; with "
    "convolutions, ELU and sums over images round otherwise in their last bits.",
    "0.4": "Since version 0.4 the census sums in double precision, and takes the activations that "
    "the network itself computed: its last bits change, those of some validation losses, and, "
    "rarely, which units ReDo resets.",
}


@dataclass(frozen=True)
class Verification:
    """What came out when a run was trained again.

    Attributes:
        outcome: `identical` to the last bit; `alike` within the tolerance, on another kind of
            processor or with other versions or settings; or `different`.
        sentence: The same in words.
    """

    outcome: Outcome
    sentence: str


def verify(run: Run, dataset: Dataset | None = None) -> Verification:
    """Trains a run again and compares it with the record, which stays unchanged.

    Args:
        run: A run that has ended.
        dataset: What it was trained on; by default it is loaded by its name.

    Raises:
        InputError: If it is not a run, or if its activation function is not registered here.
        RunError: If it has not ended, cannot be read, or was trained on other images.
        DatasetMissingError: If the data set is not available.
    """
    with repetition(run, dataset) as study:
        finish(study)
        return judge(run, study.runs()[0])


@contextmanager
def repetition(run: Run, dataset: Dataset | None = None) -> Iterator[Study]:
    """Yields the study that trains a run again, in a temporary store; see `verify`."""
    if not one_run(run).record.ended:
        raise RunError(f"Run {run.run_id} has not ended: train it to its end first.")
    if run.record.outside:
        raise RunError(
            f"Run {run.run_id} was trained outside the lab: the lab cannot train it again."
        )
    _ = run.config.function
    network_of(run.config)
    run.check_whole()
    images = run.trained_on(dataset)
    with temporary_folder() as folder:
        yield gather([run.config], images, RunStore(Path(folder) / "runs"))


def judge(run: Run, again: Run) -> Verification:
    """Compares a recorded run with the same run, trained again.

    Where processor, versions or environment differ, rounding differs too, and training makes small
    differences grow. They are alike if the untrained networks agree within 0.01 %, both or neither
    diverged, and the test accuracies differ by at most 4 sampling errors of their difference, or
    0.5 points if that is more.

    Args:
        run: The recorded run.
        again: The run of the same settings and data.
    """
    if have_the_same_bits(run, again):
        epochs = f"all {run.last_epoch + 1} epochs of {run.run_id}"
        return Verification("identical", f"Identical: {epochs} came out again to the last bit.")
    found = _accuracies(run, again)
    machines = _what_differs(run, again)
    if not machines:
        return Verification(
            "different",
            f"Different: from epoch {_first_difference(run, again)} on {run.run_id} came out "
            f"otherwise on the same kind of processor, with the same versions and settings; "
            f"{found}. {CAUSES}",
        )
    if _alike(run, again):
        return Verification(
            "alike",
            f"The same within the tolerance, with {machines}: {run.run_id} came out alike, but not "
            f"to the last bit; {found}. {_changed_since(run)}".strip(),
        )
    return Verification(
        "different",
        f"Different, by more than {machines} can explain: {run.run_id} came out otherwise; "
        f"{found}.",
    )


def _accuracies(run: Run, again: Run) -> str:
    was, now = (100 * (one.record.test_accuracy or np.nan) for one in (run, again))
    return f"test accuracy {was:.2f} % recorded, {now:.2f} % now"


def _what_differs(run: Run, again: Run) -> str:
    was, now = run.record, again.record
    names = [n for n in now.versions if n != "python" and was.versions.get(n) != now.versions[n]]
    parts = [f"another version of {', '.join(names)}"] if names else []
    if was.processor != now.processor:
        parts.insert(0, "another kind of processor")
    if was.threads_per_operation != now.threads_per_operation:
        parts.append("another number of threads")
    variables = was.environment.keys() | now.environment.keys()
    changed = [n for n in sorted(variables) if was.environment.get(n) != now.environment.get(n)]
    if changed:
        parts.append(f"another setting of {', '.join(changed)}")
    return " and ".join(parts)


def _changed_since(run: Run) -> str:
    """Says what the lab has changed since the version that trained a run, if anything."""
    from packaging.version import InvalidVersion, Version

    try:
        trained_by = Version(run.record.versions.get("activation-lab", ""))
    except InvalidVersion:
        return ""
    return " ".join(text for since, text in CHANGED_IN.items() if Version(since) > trained_by)


def _alike(run: Run, again: Run) -> bool:
    was, now = run.record, again.record
    if was.status != now.status:
        return False
    untrained = [[one.epochs[0].validation_loss, one.epochs[0].train_loss] for one in (was, now)]
    p = (was.test_accuracy or 0.0, now.test_accuracy or 0.0)
    error = np.sqrt(2 * np.mean(p) * (1 - np.mean(p)) / was.test_images)
    tolerance = max(LEAST_TOLERANCE, SAMPLING_ERRORS * error)
    first, second = untrained
    begins_alike = np.allclose(first, second, rtol=FIRST_TOLERANCE, atol=0, equal_nan=True)
    return bool(begins_alike and abs(p[0] - p[1]) <= tolerance)


def _first_difference(run: Run, again: Run) -> int:
    """Returns the first epoch whose units, numbers or norms differ."""
    for epoch in range(min(run.last_epoch, again.last_epoch) + 1):
        ours, theirs = (one.record.epochs[epoch].validation_loss for one in (run, again))
        pairs = [
            (ours, theirs),
            *((run.layer(n).max_z[epoch], again.layer(n).max_z[epoch]) for n in run.layers),
            *(
                (a[epoch], b[epoch])
                for n in run.layers
                for a, b in task_numbers_of_both(run, again, n)
            ),
        ]
        if not all(np.array_equal(*pair, equal_nan=True) for pair in pairs):
            return epoch
    return run.last_epoch
