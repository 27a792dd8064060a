"""The teacher's guide speaks of what is there: lessons, exercises, commands, figures."""

import re
from pathlib import Path

from lab.classroom.exercises import CHECKS
from lab.cli import app

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "notebooks" / "teachers_guide.md").read_text(encoding="utf-8")


def test_every_lesson_has_its_page_with_its_title_and_its_minutes():
    pages = re.findall(r"^### Lesson (\d) · (.+) \((\d+) minutes, exercises (\d+)\)$", GUIDE, re.M)
    lessons = sorted((ROOT / "notebooks").glob("0*.ipynb"))
    assert len(pages) == len(lessons)
    for (number, title, _, exercises), lesson in zip(pages, lessons, strict=True):
        text = lesson.read_text(encoding="utf-8")
        assert re.search(rf'"# {number} · {re.escape(title)}', text)
        minutes = re.findall(r"### Exercise \d\.\d · .*?\((\d+) minutes\)", text)
        assert abs(sum(map(int, minutes)) - int(exercises)) <= 5
        page = GUIDE.split(f"### Lesson {number}")[1].split("###")[0]
        for part in ("**Goal**", "**Project**", "**Ask**", "**Students get wrong**"):
            assert part in page


def test_every_command_and_exercise_that_it_names_is_there():
    known = {(c.name or c.callback.__name__).replace("_", "-") for c in app.registered_commands}
    assert set(re.findall(r"lab ([a-z-]+)(?= |`)", GUIDE)) - {"notebooks"} <= known
    assert set(re.findall(r"\b([1-7]\.\d)\b(?! %| the)", GUIDE)) <= {*CHECKS, "2.3"}


def test_its_python_does_what_it_says():
    (block,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    exec(block)
