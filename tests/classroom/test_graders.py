"""nbgrader and Otter take a student's copy, front ends included, and grade it without hanging.

`uv run --with "nbgrader>=0.9.5,<0.10" pytest -m seldom tests/classroom/test_graders.py`, and the
same with "otter-grader>=7,<8": each is skipped where it is not installed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from lab.classroom.copies import student_copies

pytestmark = pytest.mark.seldom
LESSONS = Path(__file__).parent.parent.parent / "notebooks"
LESSON = "03_compare.ipynb"  # It has a race, which trains in the background.
SECONDS = 900
CHECK = re.compile(r'check\("([0-9.]+)"')


def graded(lesson):
    """Makes each check a test of one point, as the teacher's guide says."""
    for cell in lesson.cells:
        if found := CHECK.match(cell.source):
            cell.source = f"assert {cell.source}"
            cell.metadata.nbgrader = {
                "grade": True,
                "grade_id": f"check-{found[1].replace('.', '-')}",
                "locked": True,
                "points": 1,
                "schema_version": 3,
                "solution": False,
                "task": False,
            }
    return lesson


def answered(released, exercises):
    """Fills in the teacher's solutions of some exercises, each two cells above its check."""
    solutions = {cell.id: cell.source for cell in nbformat.read(LESSONS / LESSON, 4).cells}
    for place, cell in enumerate(released.cells):
        found = CHECK.search(cell.source)
        if cell.cell_type == "code" and found and found[1] in exercises:
            before = released.cells[place - 1]
            before.source = solutions[before.id]
    return released


def grader(course, *command, module="nbgrader"):
    done = subprocess.run(
        [sys.executable, "-m", module, *command],
        cwd=course,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr


def test_nbgrader_gives_a_point_for_each_right_answer_in_a_lesson_with_a_race(
    tmp_path, monkeypatch
):
    api = pytest.importorskip("nbgrader.api", reason="nbgrader is not installed")
    tools = Path(sys.executable).parent  # nbgrader calls one that is beside it.
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LAB_STORE", str(tmp_path / "runs"))
    student_copies(tmp_path / "copies", LESSONS)
    source, submitted = tmp_path / "source" / "third", tmp_path / "submitted" / "ana" / "third"
    for folder in (source, submitted):
        shutil.copytree(tmp_path / "copies" / "recorded", folder / "recorded")
    lesson = graded(nbformat.read(tmp_path / "copies" / LESSON, 4))
    nbformat.write(lesson, source / LESSON)
    grader(tmp_path, "generate_assignment", "third", "--create")
    released = nbformat.read(tmp_path / "release" / "third" / LESSON, 4)
    nbformat.write(answered(released, ("3.1", "3.2")), submitted / LESSON)
    grader(tmp_path, "autograde", "third", "--create", f"--ExecutePreprocessor.timeout={SECONDS}")
    with api.Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as book:
        found = book.find_submission("third", "ana")
        assert (found.score, found.max_score) == (2, 3)


def test_otter_gives_a_point_for_each_right_answer_in_a_lesson_with_a_race(tmp_path, monkeypatch):
    pytest.importorskip("otter", reason="otter-grader is not installed")
    monkeypatch.setenv("LAB_STORE", str(tmp_path / "runs"))
    student_copies(tmp_path / "copies", LESSONS)
    copied = nbformat.read(tmp_path / "copies" / LESSON, 4)
    (tmp_path / "tests").mkdir()
    for number, call in re.findall(r'^(?=check\("([0-9.]+)")(check\(.+\))$', sources(copied), re.M):
        case = {"code": f">>> assert {call}", "hidden": False, "locked": False}
        test = {"name": number, "points": 1, "suites": [{"type": "doctest", "cases": [case]}]}
        file = tmp_path / "tests" / f"q{number.replace('.', '_')}.py"
        file.write_text(f"OK_FORMAT = True\n\ntest = {test!r}\n")
    shutil.copytree(tmp_path / "copies" / "recorded", tmp_path / "recorded")
    recorded = [p.relative_to(tmp_path) for p in (tmp_path / "recorded").rglob("*") if p.is_file()]
    grader(tmp_path, "generate", *("--tests-dir", "tests"), *map(str, recorded), module="otter")
    nbformat.write(answered(copied, ("3.1", "3.2")), tmp_path / LESSON)
    grader(tmp_path, "run", LESSON, module="otter")
    results = json.loads((tmp_path / "results.json").read_text())["tests"]
    assert {one["name"]: one["score"] for one in results if "score" in one} == {
        "3.1": 1, "3.2": 1, "3.3": 0,
    }  # fmt: skip


def sources(lesson):
    return "\n".join(cell.source for cell in lesson.cells if cell.cell_type == "code")
