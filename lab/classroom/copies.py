"""Students' copies of the lessons, made from the teacher's: without solutions and outputs."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

from lab.errors import InputError
from lab.system import at_home

SOLUTION = "solution"
ANSWER = "# Your answer"
RECORDED = "recorded"


def student_copies(out: str | Path, lessons: str | Path) -> list[Path]:
    """Writes the students' copies of all lessons, with the recorded runs that they show.

    Cells tagged `solution` lose their solution and keep a place for the answer; no cell keeps an
    output. Nothing else changes.

    Args:
        out: A folder that is not there yet, or empty.
        lessons: The folder of the teacher's lessons.

    Returns:
        The written notebooks.

    Raises:
        InputError: If `out` holds something, or `lessons` holds no notebook.
    """
    out, lessons = at_home(out), at_home(lessons)
    sources = sorted(lessons.glob("*.ipynb"))
    if not sources:
        raise InputError(f"The folder {lessons} holds no lessons. Name it with: --lessons DIR")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not empty: name a new folder, so that nothing is overwritten.")
    try:
        shutil.copytree(lessons / RECORDED, out / RECORDED)
        return [_write(source, out / source.name) for source in sources]
    except OSError as error:
        raise InputError(
            f"{out} cannot be written: {error.strerror}. Name another folder."
        ) from None


def _write(source: Path, target: Path) -> Path:
    nbformat.write(student_copy(nbformat.read(source, as_version=4)), target)
    return target


def student_copy(lesson: Any) -> Any:
    """Returns a lesson without solutions and outputs."""
    cells = [cell for cell in lesson.cells if cell.cell_type == "code" or not _is_solution(cell)]
    copied = nbformat.from_dict({**lesson, "cells": cells})
    for cell in copied.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if _is_solution(cell):
            cell.source = blank(cell.source)
    return copied


def _is_solution(cell: Any) -> bool:
    return SOLUTION in cell.metadata.get("tags", [])


def blank(source: str) -> str:
    """Returns a solution's code with the answers taken out.

    A function keeps its first line and its docstring, an assignment its name.

    Example:
        >>> print(blank("left = 0.25 ** 20"))
        left = ...  # Your answer
    """
    kept = [line for node in ast.parse(source).body for line in _blank(node)]
    return "\n".join(kept) or ANSWER


def _blank(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef):
        docstring = node.body[:1] if ast.get_docstring(node) is not None else []
        node.body = [*docstring, ast.Expr(ast.Constant(...))]
        yield f"{ast.unparse(node)}  {ANSWER}"
    elif isinstance(node, ast.Assign):
        parts = [part for target in node.targets for part in ast.walk(target)]
        names = [part for part in parts if isinstance(part, ast.Name)]
        yield from (f"{n.id} = ...  {ANSWER}" for n in names if isinstance(n.ctx, ast.Store))
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield ast.unparse(node)
