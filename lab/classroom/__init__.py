"""For the class: exercises that check themselves, and what a teacher needs to set a class up."""

from lab.classroom.answers import CheckResult, predictions
from lab.classroom.checking import check

__all__ = ["CheckResult", "check", "predictions"]
