"""The exercises of the lessons: for each one a check that gives a hint, never the answer."""

from lab.classroom.exercises import (
    lesson_1,
    lesson_2,
    lesson_3,
    lesson_4,
    lesson_5,
    lesson_6,
    lesson_7,
    lesson_8,
    lesson_9,
    lesson_10,
)
from lab.classroom.exercises.shared import CHECKS, WHY

__all__ = [
    "CHECKS",
    "WHY",
    "lesson_1",
    "lesson_2",
    "lesson_3",
    "lesson_4",
    "lesson_5",
    "lesson_6",
    "lesson_7",
    "lesson_8",
    "lesson_9",
    "lesson_10",
]
