"""The teacher's guide speaks of what is there: lessons, exercises, commands, figures."""

import re
from pathlib import Path

from lab.classroom.exercises import CHECKS
from lab.cli import app

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "notebooks" / "teachers_guide.md").read_text(encoding="utf-8")


def test_every_lesson_has_its_page_with_its_title():
    pages = re.findall(r"^### Lesson (\d+) · (.+) \(\d+ minutes, exercises \d+\)$", GUIDE, re.M)
    lessons = sorted((ROOT / "notebooks").glob("0[1-9]_*.ipynb"))
    assert len(pages) == len(lessons)
    for (number, title), lesson in zip(pages, lessons, strict=True):
        assert re.search(rf'"# {number} · {re.escape(title)}', lesson.read_text(encoding="utf-8"))
        page = GUIDE.split(f"### Lesson {number}")[1].split("###")[0]
        for part in ("**Goal**", "**Project**", "**Ask**", "**Students get wrong**"):
            assert part in page


def test_every_command_and_exercise_that_it_names_is_there():
    known = {(c.name or c.callback.__name__).replace("_", "-") for c in app.registered_commands}
    assert set(re.findall(r"lab ([a-z-]+)(?= |`)", GUIDE)) - {"notebooks"} <= known
    assert set(re.findall(r"\b([1-9]\d?\.\d)\b(?! %| the)", GUIDE)) <= {*CHECKS, "2.3"}


def test_every_percentage_is_a_result_but_for_the_example_of_another_machine():
    results = (ROOT / "figures" / "results.md").read_text(encoding="utf-8")
    known = set(map(float, re.findall(r"\d+(?:\.\d+)?", results.replace(",", ""))))
    said = re.findall(r"(\d+(?:\.\d+)?) %", GUIDE)
    assert said
    for number in said:
        digits = len(number.partition(".")[2])
        assert number == "97.1" or any(round(one, digits) == float(number) for one in known)


def test_its_python_does_what_it_says():
    (block,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    exec(block)
