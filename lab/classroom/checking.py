"""Checks of students' answers."""

from types import EllipsisType
from typing import Any

from lab.classroom.answers import EMPTY, KIND, CheckResult, WrongAnswerError
from lab.errors import LabError, unknown


def check(exercise: str, *answer: Any) -> CheckResult:
    """Checks an answer to an exercise of the lessons.

    It needs no notebook and no widget: `assert check("2.1", 84060)` grades an answer.

    Args:
        exercise: The number of the exercise, such as `"2.1"`.
        answer: What the exercise asks for: numbers, a function, runs, …

    Returns:
        Whether the answer is right, and why or what to try next; if not, what is wrong, and a hint.

    Raises:
        InputError: If there is no such exercise.

    Example:
        >>> from lab.classroom import check
        >>> check("2.1", 83_900)
        Exercise 2.1: not yet. You have counted the weights. Each neuron also has a
        bias.
    """
    from lab.classroom.exercises import CHECKS, WHY

    if exercise not in CHECKS:
        raise unknown("exercise", exercise, CHECKS)
    if not answer or any(isinstance(part, EllipsisType) for part in answer):
        return CheckResult(exercise, False, EMPTY)
    try:
        CHECKS[exercise](*answer)
    except WrongAnswerError as wrong:
        return CheckResult(exercise, False, str(wrong))
    except LabError as error:
        return CheckResult(exercise, False, f"{KIND}. {error}")
    except Exception as error:  # A student never meets the check's own traceback.
        return CheckResult(exercise, False, f"{KIND} ({type(error).__name__}: {error}).")
    return CheckResult(exercise, True, WHY[exercise])
