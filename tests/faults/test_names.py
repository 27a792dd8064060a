"""Names that would break a page, a table or a figure: they are shown as they are, or refused."""

import contextlib
import html.parser
import json
import shutil

import hostile
import pytest
from made import ODD_NAMES

from lab import Runs, RunStore, plots
from lab.errors import LabError
from lab.figures import of_runs
from lab.plots import canvas
from lab.widgets import Compare, Microscope
from lab.widgets.front import run_names

pytestmark = pytest.mark.faults

PROMISE = "hostile names: shown as they are, or refused"
LIVE = {"script", "img", "iframe", "object", "embed", "link", "meta", "form", "base", "h1", "a"}


class Tags(html.parser.HTMLParser):
    """Collects the tags of a page, its handlers of events, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.handlers, self.texts = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.texts += [value or "" for _, value in attrs]

    def handle_data(self, data):
        self.texts.append(data)


def assert_harmless(page: str, name: str | None = None) -> None:
    tags = Tags(page)
    assert not LIVE & set(tags.tags), sorted(LIVE & set(tags.tags))
    assert not tags.handlers, tags.handlers
    if name:
        shown = " ".join("".join(tags.texts).split())
        assert " ".join(name.split()) in shown


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A finished run, whose data set and versions get the names."""
    return hostile.prepare(tmp_path_factory.mktemp("base") / "runs")[0]


def named(base, folder, name: str) -> RunStore:
    """Gives a name to all that has one."""
    shutil.copytree(base, folder / base.name)
    path = folder / base.name / "run.json"
    raw = json.loads(path.read_bytes())
    raw |= {"label": name or None, "dataset": name, "processor": name, "versions": {name: name}}
    path.write_text(json.dumps(raw))
    return RunStore(folder)


@pytest.mark.parametrize("number", range(len(ODD_NAMES)))
def test_an_odd_name_is_shown_as_it_is_or_refused(fast_path, base, number, promise, lab_main):
    name = ODD_NAMES[number]
    store = named(base, fast_path / "runs", name)
    with promise(PROMISE) as tally:
        with tally.case("read"):
            (reasons, runs) = store.refused, store.runs
            assert len(reasons) + len(runs) == 1
            printable = name.isprintable() and len(name) <= 200
            assert len(runs) == printable, reasons
        with tally.case("command line"):
            for command in (
                ("table", "runs"),
                ("show", base.name),
                ("table", "runs", "--format", "csv"),
            ):
                code, out, err = lab_main(*command, "--store", store.path)
                assert "Traceback" not in err
                assert "\x1b[2J" not in out + err
                assert (code == 0) == (bool(len(runs)) or command[0] == "table")
                if len(runs) and command[0] == "show" and len(name) < 40:
                    assert name.strip() in out
        if not len(runs):
            return
        with tally.case("tables"):
            assert_harmless(runs._repr_html_(), name if len(name) < 40 else None)
        with tally.case("plots"):
            draw(runs)
        with tally.case("Compare"):
            front = Compare(runs)
            assert_harmless(front.table.value, name if len(name) < 40 else None)
            assert_harmless(front.picture.value)
            assert_harmless(front.status.value)
            assert_harmless(front.still()[1]["text/html"])
        with tally.case("Microscope"):
            front = Microscope(runs)
            for box in (front.story, front.legend, front.status, front.picture, front.table):
                assert_harmless(box.value)
            assert name[:20] in run_names(runs)[0][0]


def draw(runs: Runs) -> None:
    run = runs[0]
    for ax in (plots.learning_curves(runs), plots.dead_neurons(runs, 1), plots.flows(run, 1)):
        assert canvas.png(ax.figure).startswith(b"\x89PNG")
        assert_harmless(canvas.svg(ax.figure, run.title))
    for picture in (of_runs.summary(runs), of_runs.learning_curves(runs), of_runs.life_maps(runs)):
        assert canvas.png(picture.figure).startswith(b"\x89PNG")
        assert_harmless(canvas.svg(picture.figure, picture.alt))


@pytest.mark.parametrize("number", range(len(ODD_NAMES)))
def test_an_odd_label_is_kept_and_shown_or_refused(fast_path, base, number, promise):
    name = ODD_NAMES[number]
    shutil.copytree(base, fast_path / "runs" / base.name)
    store = RunStore(fast_path / "runs")
    with promise(PROMISE) as tally, tally.case("label"):
        kept = name if name.isprintable() and len(name) <= 200 else ""
        with contextlib.suppress(LabError) if kept != name else contextlib.nullcontext():
            store.label(base.name, name)
        assert store.refused == {}
        assert store[base.name].record.label == (kept or None)
        assert_harmless(store.runs._repr_html_(), kept if len(kept) < 40 else None)
