"""`Compare` shows what the store holds: filters, measures, epochs, files."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from made_runs import write_runs

import lab
from lab import RunStore
from lab.widgets import Compare


@pytest.fixture(scope="module")
def store(tiny, tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("compare") / "runs")
    settings = {"hidden": (6, 5), "epochs": 3, "batch_size": 30}
    write_runs(("elu", "relu"), 2, tiny, store.path, **settings)
    write_runs(("relu",), 1, tiny, store.path, learning_rate=0.3, **settings)
    store.label(store.runs[0].run_id, "<b>mine</b>")
    return store


@pytest.fixture
def front(store):
    return Compare(store)


def table(front):
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", front.table.value, re.DOTALL)
    head, *body = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    return pd.DataFrame(body, columns=head)


def test_it_begins_with_all_runs_in_the_order_of_the_registry(front):
    assert len(front.chosen) == 5
    assert list(table(front).activation) == [
        "ReLU, learning rate 0.001",
        "ELU α=1, learning rate 0.001",
        "ReLU, learning rate 0.3",
    ]
    assert front.epoch.value == front.epoch.max == 3


def test_filters_leave_the_runs_that_pass(front):
    front.filters["learning rate"].value = 0.001
    assert [run.config.title for run in front.chosen] == ["ReLU", "ReLU", "ELU α=1", "ELU α=1"]
    front.filters["activation"].value = "ELU α=1"
    assert [run.config.title for run in front.chosen] == ["ELU α=1"] * 2
    front.filters["activation"].value = ...
    front.filters["label"].value = "<b>mine</b>"
    assert [run.record.label for run in front.chosen] == ["<b>mine</b>"]


def test_a_filter_that_leaves_nothing_says_what_to_do(front):
    front.filters["activation"].value = "ELU α=1"
    front.filters["learning rate"].value = 0.3
    assert "Pick one or more runs" in front.status.value


@pytest.mark.parametrize(
    ("measure", "layer", "epoch"),
    [
        ("validation_accuracy", 1, 2),
        ("train_loss", 1, 0),
        ("dead_fraction", 2, 3),
        ("mean_gate", 1, 1),
    ],
)
def test_the_table_holds_the_numbers_of_the_epoch(front, store, measure, layer, epoch):
    front.measure.value, front.layer.value, front.epoch.value = measure, layer, epoch
    runs = store.runs
    if measure in lab.runs.measures.CURVES:
        split, name = measure.split("_")
        every = runs.epochs()
        every = every[(every.split == split)].rename(columns={name: "value"})
    else:
        every = runs.layers().rename(columns={measure: "value"})
        every = every[every.layer == layer]
    scale = 100 if measure.endswith(("accuracy", "fraction")) else 1
    at = every[every.epoch == epoch]
    groups = [(0.001, "relu"), (0.001, "elu"), (0.3, "relu")]
    for (rate, name), (_, row) in zip(groups, table(front).iterrows(), strict=True):
        chosen = at[(at.learning_rate == rate) & (at.activation == name)].sort_values("seed")
        shown = float(str(row.filter(like="mean").iloc[0]).removesuffix(" %"))
        assert shown == pytest.approx(scale * chosen.value.mean(), rel=1e-3, abs=0.005)
        seeds = [float(value.removesuffix(" %")) for value in row["each seed"].split(", ")]
        assert seeds == pytest.approx(list(scale * chosen.value), rel=1e-3, abs=0.005)


def test_the_scrubber_draws_its_line_at_the_epoch(front):
    front.epoch.value = 1
    figure = front.figure
    (line,) = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == ":"
               and list(line.get_ydata()) == [0, 1]]  # fmt: skip
    assert list(line.get_xdata()) == [1, 1]


def test_a_part_of_the_picture_is_shown_until_all_is_shown_or_another_measure(front):
    (whole,) = front.picture.panels
    part = {"title": "validation accuracy, %", "x": [0.5, 2.5], "y": [10.0, 20.0]}
    front.picture.zoom = part
    (panel,) = front.picture.panels
    assert (panel["x"], panel["y"]) == ([0.5, 2.5], [10.0, 20.0])
    front.epoch.value = 1
    assert front.picture.panels[0]["x"] == [0.5, 2.5]
    front.measure.value = "train_loss"
    assert front.picture.panels[0]["x"] == whole["x"]
    front.picture.zoom = {}
    front.measure.value = "validation_accuracy"
    assert front.picture.panels[0] == whole


@pytest.mark.slow
def test_layers_are_offered_that_all_runs_have(front, tiny, tmp_path):
    shallow, deep = (
        lab.compare("relu", 1, tiny, tmp_path, hidden=hidden, epochs=1)
        for hidden in ((5,), (5, 4, 3))
    )
    assert Compare([*shallow, *deep]).layer.options == (1,)
    assert Compare(deep).layer.options == (1, 2, 3)


def test_a_group_that_ended_before_an_epoch_has_no_mean_there(tiny, tmp_path):
    short, long = (lab.compare("relu", 2, tiny, tmp_path, epochs=n, hidden=(4,)) for n in (1, 3))
    front = Compare([*short, *long])
    assert list(table(front).iloc[0])[2:] == ["not all ran so far", "seeds 0, 1", "-"]
    front.epoch.value = 1
    assert table(front).iloc[0]["each seed"].count("%") == 2


def test_with_nothing_picked_nothing_is_shown_and_nothing_saved(front, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    front.groups.value = ()
    assert (front.picture.value, front.table.value) == ("", "")
    front.save.click()
    assert "there is nothing to save" in front.status.value
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_overwritten(front, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "comparison.csv").write_text("mine")
    front.save.click()
    assert "comparison.csv is there already. Give another name." in front.status.value
    assert [p.read_text() for p in tmp_path.iterdir()] == ["mine"]


def test_picking_groups_by_hand_shows_these_alone(front):
    front.groups.value = front.groups.value[:1]
    assert list(table(front).activation) == ["ReLU"]
    assert "ELU" not in front.picture.value


def test_figure_and_table_are_saved_where_it_says(front, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    front.file.value = "my picture"
    front.save.click()
    assert f"Saved my picture.svg, my picture.png and my picture.csv in {tmp_path}." in (
        front.status.value
    )
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".csv", ".png", ".svg"]
    assert list(pd.read_csv("my picture.csv").activation) == list(table(front).activation)


@pytest.mark.parametrize("name", ["", "  ", "../x", "a/b"])
def test_a_name_that_is_no_file_name_is_refused_and_nothing_is_written(
    front, tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    front.file.value = name
    front.save.click()
    assert "must be a plain file name" in front.status.value
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_says_what_to_do(tmp_path):
    assert "Pick one or more runs" in Compare(RunStore(tmp_path / "none")).status.value


def test_it_works_without_tensorflow(store):
    script = (
        "import sys\nfrom lab import RunStore\nfrom lab.widgets import Compare, Playground\n"
        f"front = Compare(RunStore({str(store.path)!r}))\n"
        "front.measure.value = 'dead_fraction'\nPlayground()\n"
        "assert '<svg' in front.picture.value\n"
        "assert not {'tensorflow', 'matplotlib.pyplot'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_comes_from_a_file_is_escaped(store):
    front = Compare([*store])
    assert "<b>mine" not in front.table.value + front.picture.value + front.status.value
    assert re.search(r"aria-label=\"Curves of validation accuracy", front.picture.value)
    assert np.isfinite(front.epoch.value)
