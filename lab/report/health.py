"""The page of a diagnosis: an HTML file that loads nothing."""

from pathlib import Path

from lab.outside import LAYER_COLUMNS, LAYER_LEGEND, RULES, Diagnosis, layer_rows
from lab.report.place import free_place, write_text

DIAGNOSIS_MARK = '<meta name="generator" content="activation-lab diagnosis">'
HERE = Path(__file__).parent


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
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = templates.get_template("health.html.j2").render(
        mark=DIAGNOSIS_MARK,
        style=(HERE / "health.css").read_text(encoding="utf-8"),
        diagnosis=diagnosis,
        columns=LAYER_COLUMNS,
        rows=layer_rows(diagnosis),
        legend=LAYER_LEGEND,
        rules=RULES,
    )
    return text.encode("utf-8", "backslashreplace").decode()  # A name may hold half a character.
