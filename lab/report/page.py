"""The page: its question, its parts put into the template, and the file."""

import base64
import hashlib
import itertools
from collections.abc import Mapping
from pathlib import Path

from lab.census import units
from lab.errors import InputError
from lab.plots import canvas
from lab.report.explorer import MOST_ROWS, curve_styles, explore
from lab.report.findings import Tell, findings
from lab.report.method import method
from lab.report.place import free_place, write_text
from lab.report.templates import page_of, part, templates
from lab.runs import Runs
from lab.words import counted, join_words

MARK = '<meta name="generator" content="activation-lab report">'
LONGEST_QUESTION = 300


def write_report(
    runs: Runs,
    path: str | Path,
    question: str | None = None,
    refused: Mapping[str, str] | None = None,
    tell: Tell = str,
) -> None:
    """Writes the report of some runs; a report that is there already is replaced.

    Args:
        runs: Recorded runs.
        path: The file to write, such as `report.html`.
        question: What the runs should answer; by default it is made of what they compare.
        refused: Runs that cannot be read, with the reason: `RunStore.refused`.
        tell: Is called with what is done now, in words.

    Raises:
        InputError: If there are no runs, or the question or the path is not valid.
        StoreError: If the place is not free for a report, or cannot be written to.
    """
    place = free_place(path, MARK)
    write_text(place, report(runs, question, refused, tell))


def report(
    runs: Runs,
    question: str | None = None,
    refused: Mapping[str, str] | None = None,
    tell: Tell = str,
) -> str:
    """Returns the report of some runs as the text of an HTML page that loads nothing.

    Where there are too many comparisons (runs that differ only in activation function and seed)
    for one page, those with the most seeds are shown, and the others are named.

    Args:
        runs: Recorded runs.
        question: What the runs should answer; by default it is made of what they compare.
        refused: Runs that cannot be read, with the reason: `RunStore.refused`.
        tell: Is called with what is done now, in words.

    Raises:
        InputError: If there are no runs, or the question is not valid.
    """
    _check_question(question)
    if not len(runs) and not refused:
        raise InputError("A report needs at least one run. Record some with: lab compare")
    rows, unread = explore(runs.in_order(), tell)
    readable = Runs([run for run in runs.in_order() if run.run_id not in unread])
    script = part("page.js")
    made = templates()
    made.policies["json.dumps_kwargs"] = {}  # The functions keep their order.
    drawn = itertools.count(1)
    made.filters["inline"] = lambda picture: canvas.svg(
        picture.figure, picture.alt, salt=str(next(drawn))
    )
    return page_of(
        made,
        "page.html.j2",
        mark=MARK,
        style=part("page.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        question=question or default_question(readable),
        runs=readable,
        refused={**(refused or {}), **unread},
        disputed=readable.disputed(),
        explorer={"runs": rows, "looks": curve_styles(readable), "most": MOST_ROWS},
        last_epoch=max((run.last_epoch for run in readable), default=0),
        counted=counted,
        join_words=join_words,
        nearly=units.NEARLY,
        **findings(readable, tell),
        **method(readable),
    )


def _check_question(question: str | None) -> None:
    fits = question is None or (0 < len(question) <= LONGEST_QUESTION and question.isprintable())
    if not fits:
        raise InputError(
            f"question must be 1 to {LONGEST_QUESTION} printable characters, "
            f"not {str(question)[:50]!r}."
        )


def default_question(runs: Runs) -> str:
    """Returns the question that some runs answer, made of what differs among them."""
    names = list(dict.fromkeys(run.config.title for run in runs))
    rates = sorted({run.config.learning_rate for run in runs})
    ladder = f" at learning rates {join_words(f'{r:g}' for r in rates)}" if len(rates) > 1 else ""
    if len(names) < 2:
        return f"How many neurons{''.join(f' of {name}' for name in names)} die{ladder}?"
    return f"How do {join_words(names)} compare in accuracy and dead neurons{ladder}?"
