"""For the class: exercises that check themselves, and what a teacher needs to set a class up.

`check` grades an answer; other modules copy the lessons without solutions, collect the runs of
students, prepare a shared folder, and examine a machine.
"""

from lab.classroom.answers import CheckResult, predictions
from lab.classroom.checking import check

__all__ = ["CheckResult", "check", "predictions"]
