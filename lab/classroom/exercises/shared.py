"""What the checks of all lessons share."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lab.classroom.answers import WrongAnswerError
from lab.experiment import RunConfig
from lab.runs import Run, Runs, measures

Check = Callable[..., None]


CHECKS: dict[str, Check] = {}
WHY: dict[str, str] = {}  # By exercise, what the check says of a right answer.


FUNCTION = ("activation", "parameter", "source_sha256")


def exercise(number: str, why: str) -> Callable[[Check], Check]:
    """Makes a check known under the number of its exercise.

    Args:
        number: The number.
        why: What is said of every right answer: why it is right, or what to try next.
    """

    def add(check: Check) -> Check:
        CHECKS[number], WHY[number] = check, why
        return check

    return add


def wrong_if(wrong: bool, hint: str) -> None:
    """Says that an answer is wrong, with a hint.

    Raises:
        WrongAnswerError: If it is.
    """
    if wrong:
        raise WrongAnswerError(hint)


def elu_minus_relu(recorded: Runs, rate: float) -> Any:
    """Returns by seed how far ELU is ahead of ReLU at a learning rate, in points."""
    accuracy = accuracy_by_seed(recorded.where(learning_rate=rate))
    return accuracy["elu"] - accuracy["relu"]


def accuracy_by_seed(runs: Runs) -> Any:
    """Returns test accuracies in percent: a row for each seed, a column for each function."""
    return measures.by_seed(runs.by_activation(), "test_accuracy")


def runs_of(answer: Any) -> Sequence[Run]:
    """Returns the runs that an answer holds."""
    listed = isinstance(answer, Iterable) and not isinstance(answer, str)
    runs = [answer] if isinstance(answer, Run) else list(answer) if listed else []
    wrong_if(
        not runs or not all(isinstance(run, Run) for run in runs),
        "The answer must be recorded runs, such as `lab.compare` gives.",
    )
    return runs


def one_run_of(answer: Any) -> Run:
    """Returns the one run that an answer is."""
    runs = runs_of(answer)
    wrong_if(
        len(runs) > 1,
        f"The answer must be one run, not {len(runs)}: pick one by [0], or train with seeds=1.",
    )
    return runs[0]


def dead_by_layer(run: Run) -> list[int]:
    """Counts a run's dead neurons by layer, on all training images."""
    return [int(run.confirmed(layer).sum()) for layer in run.layers]


def changed(one: RunConfig, other: RunConfig) -> list[str]:
    """Returns the settings that differ; what makes the activation function is one."""
    names = [name for name, value in one if value != getattr(other, name)]
    return list(dict.fromkeys("activation" if name in FUNCTION else name for name in names))
