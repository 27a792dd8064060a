"""What front ends share: sentences in the status line, words for screen readers, a still copy."""

import asyncio
import gc
import weakref
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ipywidgets import HTML, Widget
from matplotlib.figure import Figure

from lab import RunConfig, RunStore, plots
from lab.errors import InputError
from lab.widgets import Compare, KillMap, Microscope, Playground, ProbeSize, Race, cells
from lab.widgets import front as module
from lab.widgets.front import Front

RECORDED = Path(__file__).parents[2] / "notebooks" / "recorded"


@pytest.fixture
def front():
    return Front([])


def test_a_sentence_in_the_status_line_is_read_out_and_escaped(front):
    front.say("<b>1 < 2</b>")
    assert front.status.value == '<div role="status">&lt;b&gt;1 &lt; 2&lt;/b&gt;</div>'


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InputError("epochs must be 1."), "epochs must be 1."),
        (KeyError("x"), "This did not work (KeyError: &#x27;x&#x27;). Change a setting."),
    ],
)
def test_an_error_is_a_sentence_and_never_a_traceback(front, error, sentence):
    with front.sentences():
        raise error
    assert sentence in front.status.value


def test_a_picture_is_svg_with_its_words_for_screen_readers(front):
    figure = Figure()
    figure.subplots().set_title("$a_b$ <i>")
    front.show(figure, 'words "quoted" & <b>')
    root = ET.fromstring(front.picture.value)
    assert root.attrib["role"] == "img"
    assert root.attrib["style"].startswith("max-width: 100%; height: auto;")  # It shrinks.
    assert root.attrib["aria-label"] == 'words "quoted" & <b>'
    assert "$a_b$ <i>" in "".join(root.itertext()) or "<i>" not in front.picture.value


def test_a_picture_brings_its_panels_and_takes_them_away(front):
    figure = Figure()
    curves = {RunConfig(): [np.array([0.5, 0.25])]}
    plots.curves(curves, "train_loss", ax=figure.subplots())
    front.show(figure, "words")
    assert front.picture.panels[0]["curves"][0]["values"] == [0.5, 0.25]
    front.clear()
    assert (front.picture.value, front.picture.panels) == ("", [])


def test_a_table_escapes_what_it_shows(front):
    front.show_table(pd.DataFrame({"<script>": ["<img src=x>"]}))
    assert "<script>" not in front.table.value
    assert "&lt;img src=x&gt;" in front.table.value


def test_a_cell_of_a_table_breaks_only_if_it_is_long(front):
    long = " ".join(["97.92 %,"] * 20)
    front.show_table(pd.DataFrame({"seeds": ["seeds 0-2"], "each seed, %": [long]}))
    assert "<th>each seed,&nbsp;%</th>" in front.table.value
    assert "<td>seeds 0-2</td>" in front.table.value
    assert f'<td class="lab-long">{long}</td>' in front.table.value
    assert ".lab-table td {white-space: nowrap} .lab-table td.lab-long {white-space: normal}" in (
        front.children[0].value
    )


def test_the_still_copy_holds_picture_table_and_words_for_a_notebook_without_a_kernel(front):
    front.show_table(pd.DataFrame({"a": [1]}))
    front.show(Figure(), "words & <b>")
    picture, text = front.still()
    assert picture["image/png"].startswith(b"\x89PNG")
    assert front.table.value in text["text/html"]
    assert "words &amp; &lt;b&gt;" in text["text/html"]
    assert text["text/plain"] == "words & <b>"


def test_the_still_copy_is_renewed_once_after_the_last_change(monkeypatch):
    monkeypatch.setattr(module, "STILL_SECONDS", 0.05)
    shown = []

    async def script():
        front = Front([])
        front._handles = (SimpleNamespace(update=lambda output, raw: shown.append(output)),)
        for number in range(5):
            front.show(Figure(), f"words {number}")
            front.keep_still_soon()
            await asyncio.sleep(0.01)
        assert shown == []
        await asyncio.sleep(0.3)

    asyncio.run(script())
    assert len(shown) == 1
    assert shown[0]["image/png"].startswith(b"\x89PNG")


def test_a_front_end_whose_loop_has_ended_can_still_be_used():
    async def make():
        return Compare(RunStore(RECORDED))

    front = asyncio.run(make())
    front.measure.value = "dead_fraction"
    assert "This did not work" not in front.status.value
    assert "dead" in front.picture.value


FRONTS = {
    "Compare": lambda runs: Compare(runs),
    "Microscope": lambda runs: Microscope(runs),
    "Race": lambda _: Race(),
    "KillMap": lambda _: KillMap(),
    "Playground": lambda runs: Playground(store=runs),
    "ProbeSize": lambda runs: ProbeSize(runs),
}


@pytest.mark.parametrize("name", FRONTS)
def test_a_closed_front_end_leaves_nothing_behind(name):
    gc.freeze()  # The search below is for what the front end alone leaves.
    runs = RunStore(RECORDED)
    before = set(Widget.widgets)
    front = FRONTS[name](runs)
    assert len(set(Widget.widgets) - before) > 10
    front.close()
    assert set(Widget.widgets) <= before
    gone = weakref.ref(front)
    del front
    gc.collect()
    assert gone() is None


@pytest.fixture
def cell(monkeypatch):
    """Says which cell runs, and which run of it this is."""
    shell = SimpleNamespace(now={})
    shell.get_parent = lambda: shell.now
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr(cells, "_shown", {})

    def run(cell, execution):
        metadata = {"cellId": cell} if cell else {}
        shell.now = {"metadata": metadata, "header": {"msg_id": execution}}

    return run


def test_a_cell_that_runs_again_closes_what_it_showed_before(cell):
    one, two, other, new = (HTML("text") for _ in range(4))
    cell("a", "first")
    cells.now_shown(one)
    cells.now_shown(two)
    cell("b", "second")
    cells.now_shown(other)
    cells.now_shown(two)
    cell("a", "third")
    cells.now_shown(new)
    assert one.comm is None
    assert None not in (two.comm, other.comm, new.comm)  # `two` is shown by the other cell, too.
    cell("a", "fourth")
    cells.now_shown(new)
    assert new.comm is not None


def test_where_cells_have_no_names_nothing_is_closed(cell):
    one, new = HTML("text"), HTML("text")
    for execution, widget in (("first", one), ("second", new)):
        cell(None, execution)
        cells.now_shown(widget)
    assert one.comm is not None


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Race("rellu"), "Unknown activation 'rellu'"),
        (lambda: Race(5), "activations must be one or more names"),
        (lambda: Playground(5), "activations must be one or more names"),
        (lambda: Compare(5), "runs must be recorded runs or a store"),
        (lambda: Microscope(5), "runs must be recorded runs or a store"),
        (lambda: ProbeSize(5), "runs must be recorded runs or a store"),
        (lambda: KillMap(5), "vary must name"),
    ],
)
def test_a_front_end_that_refuses_its_input_says_one_sentence_and_nothing_after(make, words):
    gc.freeze()  # The search below is for what the front end alone leaves.
    with pytest.raises(InputError, match=words):
        make()
    gc.collect()
