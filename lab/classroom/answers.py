"""Answers to exercises: what a check says of them, and predictions beside what came out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from lab.words import wrapped

if TYPE_CHECKING:
    import pandas as pd

KIND = "This is not the kind of answer that the exercise asks for"
EMPTY = "There is no answer yet: put yours in place of the three dots."
NO_PREDICTION = "no prediction"


class WrongAnswerError(Exception):
    """What is wrong with an answer, and a hint that does not give the answer away."""


@dataclass(frozen=True, repr=False)
class CheckResult:
    """What a check says of an answer; it counts as true if the answer is right.

    Attributes:
        exercise: The number of the exercise.
        passed: Whether the answer is right.
        message: What is wrong and a hint; for a right answer, why it is right, or what
            to try next.
    """

    exercise: str
    passed: bool
    message: str

    def __bool__(self) -> bool:
        """Whether the answer is right."""
        return self.passed

    def __repr__(self) -> str:
        """A few lines for the notebook."""
        verdict = "right" if self.passed else "not yet"
        return wrapped(f"Exercise {self.exercise}: {verdict}. {self.message}")


def matches(
    found: ArrayLike,
    right: ArrayLike,
    mistakes: Mapping[str, ArrayLike],
    tolerance: float = 0.001,
    rounding: float = 0.0,
) -> None:
    """Compares a number or an array with the right one and with typical mistakes.

    Args:
        found: The answer.
        right: The right one.
        mistakes: What typical mistakes give, by their hints.
        tolerance: The largest relative difference that counts as the same. If the right one is a
            whole number, the answer must equal it.
        rounding: A difference that is always allowed, for those who compute with printed numbers.

    Raises:
        WrongAnswerError: If it is not the right one, with the hint of the mistake if it is known.
    """
    values = _numbers(found)
    if _same(values, right, 0 if isinstance(right, int) else tolerance, rounding):
        return
    for hint, wrong in mistakes.items():
        if _same(values, wrong, tolerance):
            raise WrongAnswerError(hint)
    for factor in (0.01, 100):
        if _same(factor * values, right, tolerance):
            raise WrongAnswerError("This is right except for a factor of 100: is it in percent?")
    if values.shape != np.shape(right):
        given, wanted = (_shape(array) for array in (values, right))
        raise WrongAnswerError(f"The answer is {given}. The exercise asks for {wanted}.")
    raise WrongAnswerError("This is not right. Check your way step by step.")


def _shape(array: ArrayLike) -> str:
    shape = np.shape(array)
    return f"an array of shape {shape}" if shape else "one number"


def _numbers(found: ArrayLike) -> Any:
    try:
        return np.asarray(found, np.float64)
    except (TypeError, ValueError):
        raise WrongAnswerError(
            f"The answer must be a number or an array of numbers, not {str(found)[:100]!r}."
        ) from None


def _same(values: Any, other: ArrayLike, tolerance: float, rounding: float = 0.0) -> bool:
    alike = values.shape == np.shape(other)
    return alike and bool(np.allclose(values, other, rtol=tolerance, atol=rounding))


def called(function: Any, *arguments: Any) -> Any:
    """Calls a student's function with copies of arrays.

    Raises:
        WrongAnswerError: If it is not a function, fails or returns nothing.
    """
    if not isinstance(function, Callable):  # type: ignore[arg-type]
        raise WrongAnswerError("The answer must be a function: write its name without brackets.")
    try:
        result = function(*(np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments))
    except Exception as error:
        raise WrongAnswerError(
            f"Your function failed with {type(error).__name__}: {error}{_help(error)}"
        ) from None
    if result is None or isinstance(result, EllipsisType):
        raise WrongAnswerError("Your function returns nothing: end it with `return …`.")
    return result


def _help(error: Exception) -> str:
    if "truth value of an array" in str(error):
        return (
            " It is given whole arrays: `if`, `and` and Python's `max` cannot decide about them. "
            "NumPy has `np.where`, and `.max(axis=…)`."
        )
    if "mismatch in its core dimension" in str(error):
        return (
            " Mind the order: images @ weights. The first must have as many columns as the second "
            "has rows."
        )
    return ""


def predictions(**pairs: tuple[Any, Any]) -> "pd.DataFrame":
    """Puts predictions beside what came out.

    Args:
        pairs: By its name, a prediction and the outcome. Where both are numbers, the table says
            by how much the prediction was off; where one was left open, it says so.

    Returns:
        A table with a row for each prediction.

    Example:
        >>> from lab.classroom import predictions
        >>> predictions(dead_in_percent=(10, 23.44), who_is_best=("elu", "relu"))
                        prediction outcome    off by
        dead in percent         10   23.44    -13.44
        who is best            elu    relu  not this
    """
    import pandas as pd

    rows = {name.replace("_", " "): _row(*pair) for name, pair in pairs.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["prediction", "outcome", "off by"])


def _row(prediction: Any, outcome: Any) -> tuple[Any, Any, Any]:
    if isinstance(outcome, float):
        outcome = round(outcome, 2)
    if isinstance(prediction, EllipsisType) or prediction is None:
        return NO_PREDICTION, outcome, ""
    if isinstance(prediction, int | float) and isinstance(outcome, int | float):
        return prediction, outcome, round(prediction - outcome, 2)
    return prediction, outcome, "" if _plain(prediction) == _plain(outcome) else "not this"


def _plain(text: Any) -> str:
    """Only letters and digits, so that `B, A, C` is `BAC`."""
    return "".join(filter(str.isalnum, str(text))).upper()
