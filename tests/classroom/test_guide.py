"""The teacher's guide speaks of what is there: lessons, exercises, commands, figures."""

import contextlib
import html
import math
import re
import threading
from pathlib import Path

import nbformat
import pytest

from lab import RunConfig, RunStore, activations
from lab.classroom import check
from lab.classroom.copies import student_copies
from lab.classroom.exercises import CHECKS
from lab.cli import app
from lab.errors import LabError
from lab.runs import measures
from lab.widgets import Race
from lab.widgets.background import Background

ROOT = Path(__file__).parent.parent.parent
START = ROOT / "notebooks" / "00_start_here.ipynb"
GUIDE = (ROOT / "notebooks" / "teachers_guide.md").read_text(encoding="utf-8")


LESSONS = sorted({*(ROOT / "notebooks").glob("*.ipynb")} - {START})
RECORDED = RunStore(ROOT / "notebooks" / "recorded").runs
every_lesson = pytest.mark.parametrize("number", range(1, len(LESSONS) + 1))


def text(path):
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def page(number):
    """The title of a lesson's page, its minutes, those of its exercises, and what it says."""
    head = rf"^### Lesson {number} · ([^\n]+) \((\d+) minutes, exercises (\d+)\)\n(.+?)(?=^##)"
    ((title, minutes, exercises, body),) = re.findall(head, GUIDE, re.MULTILINE | re.DOTALL)
    return title, int(minutes), int(exercises), " ".join(body.split())


def said(number):
    return page(number)[3]


@every_lesson
def test_every_lesson_has_its_page_with_its_title(number):
    title, *_, body = page(number)
    assert text(LESSONS[number - 1]).startswith(f"# {number} · {title}")
    for part in ("**Goal**", "**Project**", "**Ask**", "**Students get wrong**"):
        assert part in body


@every_lesson
def test_the_minutes_are_of_each_section_of_the_lesson_in_turn_and_sum_up(number):
    _, whole, exercises, body = page(number)
    (listed,) = re.findall(r"\*\*Minutes\*\*: (.+?) - \*\*", body)
    pairs = [part.rsplit(": ", 1) for part in listed.split(" · ")]
    sections, _, after = text(LESSONS[number - 1]).partition("\n## Exercises")
    headings = re.findall(r"^## (.+)", sections, re.MULTILINE)
    assert len(pairs) == len(headings)
    assert all(h.startswith(name) for h, (name, _) in zip(headings, pairs, strict=True))
    assert sum(int(minutes) for _, minutes in pairs) == whole
    each = re.findall(r"^### .+\((\d+) minutes\)", after, re.MULTILINE)
    assert abs(sum(map(int, each)) - exercises) <= 2  # It is rounded to five minutes.
    rows = re.findall(r"^\| \[(\d+) · .+\| (\d+) minutes \|", text(START), re.MULTILINE)
    assert dict(rows)[str(number)] == str(whole)


@every_lesson
def test_every_question_to_ask_has_its_answer_beside_it(number):
    (asked,) = re.findall(r"\*\*Ask\*\*, and what to hear: - (.+?) - \*\*", said(number))
    pairs = [re.fullmatch(r"\*([^*]+\?)\* (.+)", one) for one in asked.split(" - *")[:1]]
    pairs += [re.fullmatch(r"([^*]+\?)\* (.+)", one) for one in asked.split(" - *")[1:]]
    assert len(pairs) >= 3
    assert all(pair and pair[2][-1] in '.?"' and len(pair[2]) > 10 for pair in pairs)
    assert asked.count("?*") == len(pairs)


def test_the_numbers_of_the_answers_are_computed():
    assert f"is 1/{1 / 0.25**6:,.0f} of it" in said(1)
    assert f"784 · 512 weights and 512 biases, {784 * 512 + 512:,}" in said(2)
    assert f"Where are most of the {RunConfig().weights:,} numbers" in said(2)
    assert f"a loss of ln 10 = {math.log(10):.2f}" in said(2)
    reads = (
        measures.measure("test_accuracy").mean(RECORDED.where(dataset="mnist", learning_rate=0.001))
        / 100
    )
    error = 100 * math.sqrt(reads * (1 - reads) / 10_000)
    assert f"one accuracy is uncertain by about {error:.2f} points" in said(3)
    raised = RECORDED.where(dataset="mnist", learning_rate=0.005).by_activation()
    dead, read = (measures.by_seed(raised, name).mean() for name in ("dead", "test_accuracy"))
    assert "it has the most of them, and it reads more than ELU, which has none" in said(3)
    assert (dead.idxmax(), dead["elu"], read["relu"] > read["elu"]) == ("relu", 0, True)
    assert f"its gate is {activations.gate('leaky_relu', [-1.0])[0]:g}" in said(4)
    (filters,) = RunStore(ROOT / "notebooks" / "recorded" / "shown_filters").runs
    remedies = RunStore(ROOT / "notebooks" / "recorded" / "remedies").runs
    tasks = RunStore(ROOT / "notebooks" / "recorded" / "tasks").runs
    for number, given, words in (
        (8, ("8.1", remedies, 38), "8.1: about 38 of a hundred"),
        (9, ("9.1", 1168), "9.1: 1,168"),
        (9, ("9.4", filters, 0, 0.046), "9.4: 0.046"),
        (10, ("10.3", tasks, "ReLU, ReDo"), '10.3: "ReLU, ReDo"'),
    ):
        assert words in said(number)
        assert check(*given)


def test_what_the_screen_says_when_train_fails_is_what_the_lab_says(tmp_path, tiny):
    (rows,) = re.findall(r"## When Train fails\n(.+?)\n## ", GUIDE, re.DOTALL)
    quoted = re.findall(r'"([^"]+)"', rows)

    def is_quoted(sentence):
        """A quotation can leave out a part that differs, by three dots."""
        parts = ([part.strip() for part in quote.split("…")] for quote in quoted)
        return any(all(p in sentence for p in some) and max(map(len, some)) > 15 for some in parts)

    race = Race(store=RunStore(tmp_path / "runs"))
    race.learning_rate.value = "-1"
    assert is_quoted(status(race))
    race.learning_rate.value = "0.001"
    for choice in race.chooser.boxes.values():
        choice.value = False
    race.start()
    assert is_quoted(status(race))
    waiting = threading.Event()
    first = Background(lambda: (waiting.wait() for _ in range(1)))
    first.start()
    with pytest.raises(LabError) as busy:
        Background(iter).start()
    waiting.set()
    assert is_quoted(str(busy.value))
    store = RunStore(tmp_path / "runs")
    with contextlib.closing(store.importer(RunConfig(), tiny)), pytest.raises(LabError) as other:
        store.writer(RunConfig(), tiny)
    assert is_quoted(str(other.value))
    blocked = RunStore(tmp_path / "blocked")
    blocked.path.touch()
    with pytest.raises(LabError) as unwritable:
        blocked.check_writable()
    assert is_quoted(str(unwritable.value))


def status(front):
    return html.unescape(re.sub("<.+?>", "", front.status.value))


def test_the_page_for_students_is_in_their_copies_and_names_no_file_that_they_lack(tmp_path):
    assert "*How to work here* in `00_start_here.ipynb`" in GUIDE
    student_copies(tmp_path / "copies", ROOT / "notebooks")
    copied = text(tmp_path / "copies" / START.name)
    assert "\n## How to work here\n" in copied
    links = re.findall(r"\]\(([^):]+)\)", copied)
    assert len(links) == len(LESSONS)
    assert all((tmp_path / "copies" / link).exists() for link in links)


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
