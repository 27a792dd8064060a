"""What front ends share: sentences in the status line, words for screen readers, a still copy."""

import asyncio
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import pandas as pd
import pytest
from matplotlib.figure import Figure

from lab.errors import InputError
from lab.widgets import front as module
from lab.widgets.front import Front


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
    assert "width: 100%" in root.attrib["style"]  # It shrinks with its page.
    assert "height" not in root.attrib
    assert root.attrib["aria-label"] == 'words "quoted" & <b>'
    assert "$a_b$ <i>" in "".join(root.itertext()) or "<i>" not in front.picture.value


def test_a_table_escapes_what_it_shows(front):
    front.show_table(pd.DataFrame({"<script>": ["<img src=x>"]}))
    assert "<script>" not in front.table.value
    assert "&lt;img src=x&gt;" in front.table.value


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
