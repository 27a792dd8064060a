"""Every lesson: executed as stored, built like the others, and the same when it runs again."""

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from lab.words import LETTERS

FOLDER = Path(__file__).parent.parent.parent / "notebooks"
START = "00_start_here.ipynb"
LESSONS = sorted({path.name for path in FOLDER.glob("*.ipynb")} - {START})
PARTS = ["Predict", "Run", "Observe", "Explain", "Change one thing", "Your prediction"]
PARTS += ["What we learnt", "Exercises", "References"]

every_lesson = pytest.mark.parametrize("lesson", LESSONS)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_compared(cell: nbformat.NotebookNode) -> bool:
    return bool(cell.outputs) and "nbval-ignore-output" not in cell.metadata.get("tags", [])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the lessons, as a stranger would have it."""
    return shutil.copytree(FOLDER, tmp_path / "notebooks")


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    """Runs a notebook by nbval, in one process."""
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "--nbval", path.name]
    return subprocess.run(command, cwd=path.parent, env=os.environ, capture_output=True, text=True)


@every_lesson
def test_every_code_cell_was_executed_from_top_to_bottom_without_error(lesson):
    cells = code_cells(read(FOLDER / lesson))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error"]


@every_lesson
def test_a_lesson_has_all_its_parts_in_order_and_links_that_lead_somewhere(lesson):
    text = "\n".join(c.source for c in read(FOLDER / lesson).cells if c.cell_type == "markdown")
    assert text.startswith(f"# {int(lesson[:2])} · ")
    assert "**Question.**" in text
    assert re.findall(r"^\d\. ", text, re.MULTILINE) == ["1. ", "2. ", "3. "]
    found = re.findall(r"^## ([^:\n]+)", text, re.MULTILINE)
    found = [part.replace("predictions", "prediction") for part in found]
    assert [part for part in found if part in PARTS] == PARTS
    assert "**Reading the " in text
    assert all((FOLDER / link).exists() for link in re.findall(r"\]\(([^):]+)\)", text))


@pytest.mark.slow
def test_the_first_notebook_leads_to_every_lesson_with_its_title_and_trains_a_race(
    folder, without_network
):
    notebook = read(folder / START)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    titles = {link: title for title, link in re.findall(r"\| \[(.+?)\]\((.+?)\)", text)}
    assert sorted(titles) == LESSONS
    for lesson, title in titles.items():
        assert read(FOLDER / lesson).cells[0].source.startswith(f"# {title}")
    ended = validate(folder / START)
    assert f"{len(code_cells(notebook))} passed" in ended.stdout, ended.stdout
    assert without_network() == ""
    assert not Path(os.environ["LAB_STORE"]).exists()


# What a lesson asks for or quotes from others: no result of a cell.
ASKED = {"02": {"85 %"}, "06": {"82 %", "95 %"}, "07": {"95 %"}, "08": {"85 %"}}
NUMBER = r"(?<![\w.])\d[\d,]*(?:\.\d+)?"


def printed(notebook: nbformat.NotebookNode) -> set[float]:
    """The numbers that the cells of a lesson hold and print; shares also in percent."""
    texts = [cell.source for cell in code_cells(notebook)]
    for output in (output for cell in code_cells(notebook) for output in cell.outputs):
        texts += [output.get("text", ""), *output.get("data", {}).values()]
    found = re.findall(NUMBER, " ".join(text for text in texts if isinstance(text, str)))
    numbers = {float(number.replace(",", "")) for number in found}
    return numbers | {100 * number for number in numbers if number < 1}


@every_lesson
def test_every_percentage_of_the_text_is_printed_by_a_cell_or_on_the_results_page(lesson):
    notebook = read(FOLDER / lesson)
    results = (FOLDER.parent / "figures" / "results.md").read_text(encoding="utf-8")
    known = printed(notebook) | {float(n.replace(",", "")) for n in re.findall(NUMBER, results)}
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    text = re.sub(r"\]\([^)]*\)|`[^`]*`", "", text.partition("## References")[0])
    unbacked = []
    for number, unit in re.findall(rf"({NUMBER}) ?(%|points)", text):
        digits = len(number.partition(".")[2])
        is_known = any(round(one, digits) == float(number.replace(",", "")) for one in known)
        if not is_known and f"{number} {unit}" not in ASKED.get(lesson[:2], ()):
            unbacked.append(f"{number} {unit}")
    assert unbacked == []


@every_lesson
def test_a_lesson_prints_nothing_on_stderr_and_no_line_that_jupyterlab_breaks_inside_a_word(lesson):
    streams = [
        output
        for cell in code_cells(read(FOLDER / lesson))
        for output in cell.outputs
        if output.output_type == "stream"
    ]
    assert {stream.name for stream in streams} == {"stdout"}  # It paints stderr red.
    lines = [line for stream in streams for line in stream.text.splitlines()]
    assert [
        line for line in lines if len(line) > LETTERS and "ms/step" not in line
    ] == []  # Keras's.


@every_lesson
def test_a_lesson_names_no_place_on_the_machine_that_made_it(lesson):
    text = (FOLDER / lesson).read_text(encoding="utf-8")
    assert not re.findall(r"/(?:home|root|Users|usr|tmp|work|opt)/|site-packages|\.venv", text)


@every_lesson
def test_a_lesson_is_light_and_has_short_cells(lesson):
    notebook = read(FOLDER / lesson)
    assert max(len(cell.source.splitlines()) for cell in code_cells(notebook)) <= 8
    assert "widgets" not in notebook.metadata
    assert (FOLDER / lesson).stat().st_size < 1_000_000


@pytest.mark.parametrize(
    "lesson",
    [pytest.param(name, marks=[pytest.mark.slow] * (name[:2] != "01")) for name in LESSONS],
)
def test_a_lesson_gives_its_stored_outputs_again_without_network_and_a_changed_one_is_found(
    lesson, folder, without_network
):
    notebook = read(folder / lesson)
    cells = code_cells(notebook)
    compared = [cell for cell in cells if is_compared(cell)]
    assert len(compared) >= 8
    notebook.cells.append(with_another_number(compared[-1]))
    nbformat.write(notebook, folder / lesson)
    ended = validate(folder / lesson)
    assert re.findall(r"(\d+) (failed|passed|error)", ended.stdout.splitlines()[-1]) == [
        ("1", "failed"),
        (str(len(cells)), "passed"),
    ], ended.stdout
    assert f"{lesson}::Cell {len(cells)}" in ended.stdout  # The last one, and no other.
    assert without_network() == ""
    assert not Path(os.environ["LAB_STORE"]).exists()
    assert sorted(p.name for p in folder.iterdir() if p.name[0] not in "._") == sorted(
        p.name for p in FOLDER.iterdir() if p.name[0] not in "._"
    )


def with_another_number(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Returns a copy of a cell whose stored output is not what the cell gives."""
    copied = copy.deepcopy(cell)
    copied["id"] = "copied"
    output = copied.outputs[-1]
    if output.output_type == "stream":
        output.text = changed(output.text)
    else:
        output.data["text/plain"] = changed(output.data["text/plain"])
    return copied


def changed(text: str) -> str:
    """Changes the last digit or truth value."""
    swapped = re.sub(r"(\d|True|\])(\D*)\Z", lambda m: f"#{m[2]}", text)
    assert swapped != text
    return swapped
