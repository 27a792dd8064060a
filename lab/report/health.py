"""The page of a diagnosis: an HTML file that loads nothing."""

from pathlib import Path

from lab.outside import LAYER_COLUMNS, LAYER_LEGEND, RULES, Diagnosis, layer_rows
from lab.report.place import free_place, write_text
from lab.report.templates import page_of, part, templates

DIAGNOSIS_MARK = '<meta name="generator" content="activation-lab diagnosis">'


def write_diagnosis(diagnosis: Diagnosis, path: str | Path) -> None:
    """Writes the page of a diagnosis; one that is there already is replaced.

    Args:
        diagnosis: What `lab.diagnose` returned.
        path: The file to write, such as `diagnosis.html`.

    Raises:
        InputError: If the path is not valid.
        StoreError: If the place is not free for a diagnosis, or cannot be written to.
    """
    place = free_place(path, DIAGNOSIS_MARK, "diagnosis", "diagnosis.html")
    write_text(place, diagnosis_page(diagnosis), "diagnosis")


def diagnosis_page(diagnosis: Diagnosis) -> str:
    """Returns a diagnosis as the text of an HTML page that loads nothing."""
    return page_of(
        templates(),
        "health.html.j2",
        mark=DIAGNOSIS_MARK,
        style=part("health.css"),
        diagnosis=diagnosis,
        columns=LAYER_COLUMNS,
        rows=layer_rows(diagnosis),
        legend=LAYER_LEGEND,
        rules=RULES,
    )
