"""Students' copies: the solutions are out, the outputs are cleared, and nothing else is lost."""

import filecmp
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from lab.classroom.copies import blank, student_copies, student_copy
from lab.errors import InputError

LESSONS = Path(__file__).parent.parent.parent / "notebooks"
NAMES = sorted(path.name for path in LESSONS.glob("*.ipynb"))


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    out = tmp_path_factory.mktemp("for students")
    assert [path.name for path in student_copies(out, LESSONS)] == NAMES
    return out


def read(path):
    return nbformat.read(path, as_version=4)


def is_solution(cell):
    return "solution" in cell.metadata.get("tags", [])


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_copy_differs_from_its_lesson_in_solutions_and_outputs_alone(copies, name):
    lesson, copied = read(LESSONS / name), read(copies / name)
    nbformat.validate(copied)
    assert lesson.metadata == copied.metadata
    kept = [cell for cell in lesson.cells if cell.cell_type == "code" or not is_solution(cell)]
    assert len(copied.cells) == len(kept) >= 20
    changed = 0
    for ours, theirs in zip(kept, copied.cells, strict=True):
        assert (ours.id, ours.cell_type, ours.metadata) == (
            theirs.id,
            theirs.cell_type,
            theirs.metadata,
        )
        if theirs.cell_type == "code":
            assert (theirs.outputs, theirs.execution_count) == ([], None)
        if is_solution(ours):
            assert "Your answer" in theirs.source
            changed += 1
        else:
            assert ours.source == theirs.source
    assert changed >= 3


def test_no_solution_is_left_in_the_copies(copies):
    text = "\n".join((copies / name).read_text(encoding="utf-8") for name in NAMES)
    solutions = [
        line.strip()
        for name in NAMES
        for cell in read(LESSONS / name).cells
        if is_solution(cell)
        for line in cell.source.splitlines()
        if len(line) > 15 and not line.startswith("def ")
    ]
    assert len(solutions) > 15
    assert [line for line in solutions if line in text] == []


def test_the_recorded_runs_come_along_bit_by_bit(copies):
    def same(comparison):
        assert comparison.left_only == comparison.right_only == comparison.diff_files == []
        return all(map(same, comparison.subdirs.values()))

    assert same(filecmp.dircmp(LESSONS / "recorded", copies / "recorded", ignore=["lock"]))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name[1] in "14" else pytest.mark.seldom)
        for name in NAMES[1:]
    ],
)
def test_a_copy_runs_from_top_to_bottom_without_answers_and_every_check_says_so(copies, name):
    notebook = read(copies / name)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": copies}}).execute()
    said = [
        output.data["text/plain"]
        for cell in notebook.cells
        if cell.cell_type == "code" and 'check("' in cell.source
        for output in cell.outputs
    ]
    assert len(said) >= 3
    for words in said:
        assert re.match(r"Exercise \d+\.\d: not yet\. ", words)


def test_a_function_keeps_its_first_line_and_its_docstring():
    assert blank('def f(\n    z,\n):\n    """Give f."""\n    y = z\n    return y') == (
        'def f(z):\n    """Give f."""\n    ...  # Your answer'
    )
    assert blank("def f(z): return z") == "def f(z):\n    ...  # Your answer"


@pytest.mark.parametrize(
    ("solution", "left"),
    [
        ("a = 1\nb = a + 1", "a = ...  # Your answer\nb = ...  # Your answer"),
        (
            "a, [b, *c] = f()",
            "a = ...  # Your answer\nb = ...  # Your answer\nc = ...  # Your answer",
        ),
        ("import numpy as np\nx = np.pi", "import numpy as np\nx = ...  # Your answer"),
        ("bias[:100] = -1", "# Your answer"),
        ("f(3)", "# Your answer"),
        ("for i in x:\n    y = i", "# Your answer"),
    ],
)
def test_an_assignment_keeps_its_names_and_anything_else_is_gone(solution, left):
    assert blank(solution) == left


def test_text_that_is_a_solution_is_left_out_and_the_lesson_itself_is_not_changed():
    new = nbformat.v4
    cells = [
        new.new_markdown_cell("Because …", metadata={"tags": ["solution"]}),
        new.new_code_cell("x = 1", metadata={"tags": ["solution", "other"]}, execution_count=3),
    ]
    lesson = new.new_notebook(cells=cells)
    (only,) = student_copy(lesson).cells
    assert (only.source, only.metadata.tags) == ("x = ...  # Your answer", ["solution", "other"])
    assert [cell.source for cell in lesson.cells] == ["Because …", "x = 1"]
    assert lesson.cells[1].execution_count == 3


def test_a_folder_that_holds_something_is_not_overwritten(tmp_path):
    (tmp_path / "mine.ipynb").write_text("mine")
    with pytest.raises(InputError, match="is not empty: name a new folder"):
        student_copies(tmp_path, LESSONS)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.ipynb"]
    with pytest.raises(InputError, match="is not empty"):
        student_copies(tmp_path / "mine.ipynb", LESSONS)
    with pytest.raises(InputError, match=r"holds no lessons\. Name it with: --lessons DIR"):
        student_copies(tmp_path / "out", tmp_path / "nowhere")
    assert not (tmp_path / "out").exists()


def test_copies_may_be_written_in_the_users_home(home):
    assert student_copies("~/out", str(LESSONS))[0].parent == home / "out"


def test_the_command_writes_the_copies(lab_main, tmp_path):
    code, text, _ = lab_main("student-copies", tmp_path / "out", "--lessons", LESSONS)
    assert code == 0
    assert [Path(line).name for line in text.splitlines()] == NAMES
    assert lab_main("student-copies", tmp_path / "out", "--lessons", LESSONS)[0] == 2
