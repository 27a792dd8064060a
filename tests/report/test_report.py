"""The report: its numbers, what it leaves out, what it refuses, and that it loads nothing."""

import base64
import errno
import hashlib
import html.parser
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lab.studies.study
from lab import Run, Runs, RunStore, stats
from lab.errors import InputError, StoreError
from lab.figures import of_runs, of_studies
from lab.report import explorer, findings, report, write_report
from lab.report.page import default_question
from lab.runs.record import read_record

RECORDED = Path(__file__).parents[2] / "notebooks" / "recorded"
HOSTILE = '</script><script>alert(1)</script><!--<b class="x">\'&amp; שלום'


class Page(html.parser.HTMLParser):
    """What a browser finds in a page: tags with their attributes, tables, texts, data."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.tables, self.texts, self.scripts = [], {}, [], []
        self._open, self._rows, self._caption = [], [], None
        self.feed(text)
        self.text = " ".join("".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        if "script" in self._open:
            self.scripts.append(data)
        elif "style" not in self._open:
            self.texts.append(data)
        if "caption" in self._open:
            self._caption += data
        elif {"td", "th"} & set(self._open):
            self._rows[-1][-1] += data

    def all(self, name):
        return [attributes[name] for _, attributes in self.tags if name in attributes]

    def data(self):
        return json.loads(self.scripts[0])

    def table(self, words):
        return next(rows for caption, rows in self.tables.items() if words in caption)


@pytest.fixture(scope="module")
def runs() -> Runs:
    return RunStore(RECORDED).runs.where(dataset="mnist")


@pytest.fixture(scope="module")
def text(runs) -> str:
    return report(runs)


@pytest.fixture(scope="module")
def shown(text) -> Page:
    return Page(text)


@pytest.fixture
def small(by_hand, two_kinds):
    """Records a run with one hidden layer of two neurons, one of them dead, in a moment."""

    def record(**settings) -> Run:
        kernel = np.zeros((784, 2))
        kernel[0] = 1, -1
        weights = [kernel, np.zeros(2), np.zeros((2, 10)), np.zeros(10)]
        return by_hand(two_kinds, [weights] * 3, **settings)

    return record


def changed(run: Run, **values) -> Run:
    path = run.folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values), encoding="utf-8")
    return Run(run.folder, read_record(run.folder))


def test_the_tables_hold_the_numbers_of_the_results(shown, runs):
    for rate in (0.001, 0.005):
        results = runs.where(learning_rate=rate).results()
        wanted = results.drop(columns=["dataset", "learning rate"])
        head, *rows = shown.table(f"learning rate {rate}")
        assert head == list(wanted)
        assert rows == [[str(cell) for cell in row] for row in wanted.to_numpy().tolist()]
    assert "97.36 97.17 97.23" in shown.text  # The README's run of ReLU at 0.005, seeds 0 to 2.


def test_the_explorer_holds_every_epoch_of_every_run_as_the_tables_do(shown, runs):
    epochs, layers = runs.epochs(), runs.layers()
    explored = shown.data()["runs"]
    assert [run["run"] for run in explored] == [run.run_id for run in runs]
    for run in explored:
        of_run = epochs[epochs.run_id == run["run"]]
        dead = layers[layers.run_id == run["run"]].pivot(columns="layer", index="epoch")
        loss = of_run[of_run.split == "train"].loss
        accuracy = 100 * of_run[of_run.split == "validation"].accuracy
        assert [row[0] for row in run["epochs"]] == list(range(11))
        assert [row[1] for row in run["epochs"]] == [f"{value:.4f}" for value in loss]
        assert [row[2] for row in run["epochs"]] == [f"{value:.2f}" for value in accuracy]
        assert [row[3] for row in run["epochs"]] == [
            f"{100 * first:.1f} / {100 * second:.1f}"
            for first, second in dead["dead_fraction"].to_numpy()
        ]


def test_without_javascript_the_table_shows_the_last_epoch(shown):
    head, *rows = shown.table("Each run at epoch 10")
    for row, run in zip(rows, shown.data()["runs"], strict=True):
        facts = dict(zip(head, row, strict=True))
        assert [facts["run"], facts["epoch"], facts["training loss"]] == [
            *(run["run"], "10", run["epochs"][10][1]),
        ]


def test_three_seeds_get_no_verdict_and_six_get_those_of_the_statistics(shown, small):
    assert shown.text.count("Too few seeds for a verdict (n = 3; at least 6 are needed)") == 1
    six = [small(activation=name, seed=seed) for name in ("relu", "elu") for seed in range(6)]
    found = Page(report(Runs(six))).text
    sentences = [
        verdict.sentence
        for measure in ("test_accuracy", "dead")
        for verdict in stats.verdicts(six, measure)
    ]
    assert len(sentences) == 2
    assert all(sentence in found for sentence in sentences)


def test_each_figure_has_its_words(shown, runs):
    comparisons = runs.comparisons()
    drawn = [of_studies.dead_and_accuracy(runs), of_studies.learning_rates(runs)]
    for comparison in comparisons:
        place = f"mnist, learning rate {comparison[0].config.learning_rate:g}"
        verdicts = [verdict for verdict in stats.verdicts(runs) if verdict.where == place]
        drawn.append(of_studies.forest(comparison, verdicts=verdicts))
        drawn += [of_runs.learning_curves(comparison), of_runs.dead_neurons(comparison)]
    labels = [a["aria-label"] for tag, a in shown.tags if a.get("role") == "img" and tag == "svg"]
    assert labels[:-1] == [picture.alt for picture in drawn]
    assert labels[-1] == "Curves"  # The explorer's, whose words come with JavaScript.


def test_ids_are_unique_and_every_reference_has_its_target(shown, text):
    ids = shown.all("id")
    assert len(ids) == len(set(ids))
    used = re.findall(r"url\(#([^)]+)\)", text)
    used += [link.removeprefix("#") for name in ("href", "xlink:href") for link in shown.all(name)]
    used += shown.all("for") + shown.all("aria-labelledby")
    assert len(used) > 100
    assert set(used) <= set(ids)


def test_the_page_loads_nothing_and_runs_its_own_script_alone(shown, text):
    assert {tag for tag, _ in shown.tags} & {"link", "img", "iframe", "object", "base"} == set()
    assert shown.all("src") == []
    assert all(link.startswith("#") for link in shown.all("href") + shown.all("xlink:href"))
    assert not re.search(r"@import|url\((?!#)", text)
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"' )<]+", text)) == namespaces
    (policy,) = (a["content"] for _, a in shown.tags if "http-equiv" in a)
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in policy


def test_texts_of_a_stranger_stay_texts(small):
    versions = {"python": HOSTILE, HOSTILE: "1"}
    texts = {"dataset": HOSTILE, "label": HOSTILE, "processor": HOSTILE, "created": HOSTILE}
    run = changed(small(), versions=versions, **texts)
    long = "x" * 10_000
    page = Page(report(Runs([run]), HOSTILE, {HOSTILE: HOSTILE, long: long}))
    assert not [tag for tag in page.tags if tag[0] == "b" and tag[1].get("class") == "x"]
    assert [tag for tag, _ in page.tags].count("script") == 2  # The data and the lab's own.
    plain = " ".join(HOSTILE.split())
    assert page.text.count(plain) >= 8
    assert f"{long}: {long}" in page.text
    assert page.data()["runs"][0]["label"] == HOSTILE
    rows = page.table("Software")
    assert ["python", HOSTILE] in rows
    assert [HOSTILE, "1"] in rows


def test_half_a_character_in_a_reason_can_be_written(small, tmp_path):
    write_report(Runs([small()]), tmp_path / "r.html", refused={"a\ud800": "b\udfff"})
    assert r"<b>a\ud800</b>: b\udfff" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_unfinished_and_damaged_runs_are_named_and_not_averaged(small):
    good, other, bad = (small(seed=seed) for seed in range(3))
    other = changed(other, status="running")
    damaged = next(bad.folder.glob("units-*"))
    damaged.write_bytes(b"")
    page = Page(report(Runs([good, other, Run(bad.folder, bad.record)])))
    assert f"1 run did not finish, and no mean includes it: {other.run_id}." in page.text
    assert f"{bad.run_id}: {damaged.name} was changed or damaged" in page.text
    assert page.table("seed 0;")[1][:2] == ["ReLU", "1"]
    statuses = [(run["run"], run["status"]) for run in page.data()["runs"]]
    assert statuses == [(good.run_id, "finished"), (other.run_id, "interrupted")]


def test_a_diverged_run_is_named_and_not_averaged(small):
    good, wild = small(seed=0), small(seed=1)
    epochs = json.loads((wild.folder / "run.json").read_text())["epochs"]
    epochs[-1]["train_loss"] = "NaN"
    wild = changed(wild, status="diverged", test_accuracy="NaN", epochs=epochs)
    page = Page(report(Runs([good, wild])))
    assert "1 run diverged" in page.text
    assert "no mean includes it:" in page.text
    assert f"{wild.run_id}: {wild.divergence}" in page.text
    assert page.table("seeds 0, 1;")[1][:4] == ["ReLU", "2", "50.00, 1 of 2 diverged", "50.00"]
    assert page.data()["runs"][1]["epochs"][-1][1] == "not finite"


def test_a_large_store_shows_what_has_most_seeds_and_names_the_rest(small, monkeypatch):
    monkeypatch.setattr(findings, "MOST_COMPARISONS", 1)
    monkeypatch.setattr("lab.report.page.MOST_ROWS", 2)
    few = small(learning_rate=0.5)
    many = [small(learning_rate=0.25, seed=seed) for seed in (0, 1)]
    page = Page(report(Runs([few, *many])))
    assert "1 further comparison has no verdict, table or figure here" in page.text
    assert "two kinds, learning rate 0.5." in page.text
    assert [row[0] for row in page.table("learning rate 0.25")[1:]] == ["ReLU"]
    assert not any("learning rate 0.5" in caption for caption in page.tables)
    assert len(page.table("Each run at epoch")) == 1 + 2
    assert len(page.data()["runs"]) == 3


def test_of_a_long_run_some_epochs_are_left_out_but_neither_end(small, monkeypatch):
    monkeypatch.setattr(explorer, "EPOCHS_SHOWN", 2)
    rows, _ = explorer.explore(Runs([small()]))
    assert [epoch[0] for epoch in rows[0]["epochs"]] == [0, 2]


def test_settings_that_differ_stand_apart_from_those_that_do_not(shown):
    same, differing = shown.table("Settings that are the same"), shown.table("Settings that differ")
    assert ["optimiser", "adam"] in same
    assert ["seeds, which fix first weights and order of batches", "0-2"] in same
    assert ["learning rate", "0.001, 0.005"] in differing
    assert ["learning rate", "0.001, 0.005"] not in same
    digest = RunStore(RECORDED).runs.where(dataset="mnist")[0].record.dataset_digest
    assert shown.table("Data")[1][2] == digest


def test_the_commands_name_the_same_runs(runs, lab_main, monkeypatch):
    some = [run for run in RunStore(RECORDED).runs if run.config.seed != 1 or run in list(runs)]
    for study in ("remedies", "filters"):
        some += RunStore(RECORDED / study).runs
    planned = []

    def plan(choices, seeds, dataset, store, label, **settings):
        for choice in choices:
            planned.extend(
                (dataset, lab.RunConfig(activation=choice, seed=seed, **settings)) for seed in seeds
            )
        raise InputError("planned")

    monkeypatch.setattr(lab.studies, "plan", plan)
    from lab.report.method import method

    for command in method(Runs(some))["commands"]:
        uv, run, name, *arguments = shlex.split(command)
        assert [uv, run, name] == ["uv", "run", "lab"]
        assert "planned" in lab_main(*arguments)[2]
    recorded = [(run.record.dataset, run.config) for run in some]
    assert sorted(map(repr, planned)) == sorted(map(repr, recorded))


def test_runs_of_other_data_are_not_said_to_be_trained_by_a_command(small):
    page = Page(report(Runs([small()])))
    assert "uv run lab compare" not in page.text
    assert "(ReLU) in Python" in page.text


def test_the_question_is_made_of_what_differs(runs, small):
    assert default_question(runs) == (
        "How do ReLU, Leaky ReLU α=0.01 and ELU α=1 compare in accuracy and dead neurons "
        "at learning rates 0.001 and 0.005?"
    )
    assert default_question(Runs([small()])) == "How many neurons of ReLU die?"


def test_a_report_is_replaced_and_any_other_file_is_not(small, tmp_path):
    runs, place = Runs([small()]), tmp_path / "new" / "r.html"
    write_report(runs, place, "First?")
    write_report(runs, place, "Second?")
    assert "<h1>Second?</h1>" in place.read_text(encoding="utf-8")
    place.write_text("My essay.")
    with pytest.raises(StoreError, match="is not a report of the lab, so it is not overwritten"):
        write_report(runs, place)
    assert place.read_text() == "My essay."
    with pytest.raises(StoreError, match=r"must be a file, and .* is a folder. Name a file"):
        write_report(runs, tmp_path)


def test_a_report_that_cannot_be_finished_leaves_the_one_before(small, tmp_path, monkeypatch):
    runs, place = Runs([small()]), tmp_path / "out" / "r.html"
    write_report(runs, place)
    before = place.read_bytes()
    opened = io.open

    def open_on_a_full_disk(path, mode="r", *arguments, **options):
        file = opened(path, mode, *arguments, **options)
        if not set("wx") & set(mode):
            return file
        file.write("<html>" if "b" not in mode else b"<html>")
        file.close()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(io, "open", open_on_a_full_disk)
        with pytest.raises(StoreError, match=r"The report cannot be written to .*: No space left"):
            write_report(runs, place, "Again?")
    assert place.read_bytes() == before
    assert os.listdir(place.parent) == ["r.html"]


def test_a_link_to_a_report_stays_one(small, tmp_path):
    runs, place, link = Runs([small()]), tmp_path / "r.html", tmp_path / "link.html"
    link.symlink_to(place)
    write_report(runs, link)
    write_report(runs, link, "Again?")
    assert link.is_symlink()
    assert "<h1>Again?</h1>" in place.read_text(encoding="utf-8")


def test_a_tilde_names_a_report_at_home_and_an_address_is_refused(small, home):
    runs = Runs([small()])
    write_report(runs, "~/r.html")
    assert (home / "r.html").exists()
    with pytest.raises(InputError, match=r"must be a file of this machine, .* https://a\.invalid/"):
        write_report(runs, "https://a.invalid/r.html")


@pytest.mark.parametrize("path", [None, 5, b"r.html"])
def test_what_is_no_path_is_refused_before_any_work(path):
    with pytest.raises(InputError, match=r"must be a file, such as 'report\.html', not"):
        write_report(Runs([]), path)


@pytest.mark.parametrize("place", ["file/r.html", "x" * 300, "a\0b", "\ud800"])
def test_a_place_that_cannot_be_written_to_is_one_sentence(small, tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="The report cannot be written to"):
        write_report(Runs([small()]), tmp_path / place)


@pytest.mark.parametrize("question", ["", "x" * 301, "two\nlines", "\ud800"])
def test_a_question_that_cannot_be_one_is_refused(small, question):
    with pytest.raises(InputError, match="question must be 1 to 300 printable characters"):
        report(Runs([small()]), question)


def test_no_run_at_all_is_one_sentence_and_unreadable_ones_alone_are_listed():
    with pytest.raises(InputError, match="at least one run"):
        report(Runs([]))
    page = Page(report(Runs([]), refused={"relu-seed0-00000000": "It is broken."}))
    assert "relu-seed0-00000000: It is broken." in page.text
    assert "No run has ended yet" in page.text


def test_the_command_writes_the_report_with_what_it_cannot_read(small, tmp_path, lab_main):
    run = changed(small(), dataset="[/b] is no markup")
    shutil.copytree(run.folder, run.folder.parent / "elu-seed0-00000000")
    file = tmp_path / "r.html"
    code, out, _ = lab_main(
        "report", "--store", run.folder.parent, "-o", file, "--question", "Who dies?"
    )
    assert code == 0
    assert str(file) in out
    page = Page(file.read_text(encoding="utf-8"))
    assert "Who dies?" in page.text
    assert f"elu-seed0-00000000: run.json names the run {run.run_id}" in page.text
    assert lab_main("report", "--store", tmp_path / "none", "-o", file)[0] == 2


def test_a_report_is_written_without_tensorflow(small, tmp_path):
    code = """
import sys
from lab import RunStore
from lab.report import write_report
write_report(RunStore(sys.argv[1]).runs, sys.argv[2])
print([name for name in ("tensorflow", "keras") if name in sys.modules])
"""
    command = [sys.executable, "-c", code, small().folder.parent, tmp_path / "r.html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "[]\n", done.stderr
