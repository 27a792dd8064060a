"""Names that are HTML, Markdown or LaTeX, in the browser: they are text there, and do nothing."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from made import ODD_NAMES
from playwright.sync_api import expect

from lab import RunStore
from lab.report import write_report

pytestmark = pytest.mark.browser
RECORDED = Path(__file__).parent.parent.parent / "notebooks" / "recorded"
NAMES = [name for name in ODD_NAMES if name.strip() and name.isprintable() and len(name) <= 200]
# But for our own still pictures, and the links within the report.
LIVE = "img:not([src^='data:image/png'], [src^='data:image/svg+xml']), iframe, object, embed, meta"
LIVE += ", base, [onerror], [onclick], a:not([href^='#']), mjx-container"
CELLS = (
    "from lab import RunStore, widgets\nruns = RunStore('odd').runs\nruns",
    "widgets.Compare(runs)",
    "widgets.Microscope(runs)",
)


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Path:
    """A store in which every run has another odd name, as a student could hand it in."""
    run = RunStore(RECORDED)["relu-seed0-64712f7c"]
    store = tmp_path_factory.mktemp("odd") / "odd"
    for number, name in enumerate(NAMES, start=1):
        folder = shutil.copytree(run.folder, store / run.run_id.replace("seed0", f"seed{number}"))
        raw = json.loads((folder / "run.json").read_bytes())
        raw["run_id"], raw["settings"]["seed"] = folder.name, number
        raw["dataset_digest"] = f"{number:064x}"  # So that none is averaged with another.
        raw |= {"label": name, "dataset": name, "processor": name, "versions": {name: name}}
        (folder / "run.json").write_text(json.dumps(raw), encoding="utf-8")
    assert len(RunStore(store).runs) == len(NAMES) >= 20
    return store


def heard(page) -> list[str]:
    """Collects what pops up in a page."""
    dialogs: list[str] = []

    def hear(dialog):
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", hear)
    return dialogs


def test_odd_names_are_text_in_the_front_ends(odd, opened, classroom_folder):
    shutil.copytree(odd, classroom_folder / "odd")
    cells = [nbformat.v4.new_code_cell(code) for code in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(notebook, classroom_folder / "odd.ipynb")
    notebook = opened("odd.ipynb")
    dialogs = heard(notebook.page)
    notebook.run_all()
    outputs = notebook.page.locator(".jp-OutputArea-output")
    expect(notebook.page.locator(".lab-front svg[role=img]").nth(1)).to_be_visible()
    assert outputs.locator(f"{LIVE}, script, form, h1").count() == 0
    text = " ".join(" ".join(outputs.all_text_contents()).split())
    assert [name for name in NAMES if " ".join(name.split()) not in text] == []
    assert notebook.errors().count() == 0
    assert notebook.complaints == dialogs == []


def test_odd_names_are_text_in_the_report(odd, page, tmp_path):
    dialogs = heard(page)
    complaints, asked = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    file = tmp_path / "report.html"
    write_report(RunStore(odd).runs, file, refused={name: name for name in NAMES})
    page.goto(file.as_uri())
    page.locator("#table tbody tr").first.wait_for()
    body = page.locator("body")
    assert body.locator(LIVE).count() == 0
    assert [body.locator(tag).count() for tag in ("script", "form", "h1")] == [2, 1, 1]
    text = " ".join(body.text_content().split())
    assert [name for name in NAMES if " ".join(name.split()) not in text] == []
    assert (complaints, dialogs, asked) == ([], [], [file.as_uri()])
