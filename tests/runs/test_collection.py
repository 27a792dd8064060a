"""Recorded runs: their tables, weights and models, and reading what anyone may have written."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import shutil
import signal

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from lab import RunConfig, Runs, RunStore, compare
from lab.census import units
from lab.errors import InputError, RunError
from lab.experiment.spelling import differences
from lab.runs.record import LARGEST_RECORD, read_record
from lab.runs.run import Run
from lab.stats import verdicts
from lab.training.events import EpochEnd, RunEnd
from lab.training.trainer import train

COMMON = {
    "hidden": (6, 5),
    "epochs": 2,
    "batch_size": 30,
    "optimizer": "sgd",
    "momentum": 0.9,
    "first_bias": -0.05,
    "probe_size": 100,
}
RELU = RunConfig(activation="relu", learning_rate=0.3, **COMMON)
RELU_1 = RELU.model_copy(update={"seed": 1})
LEAKY = RunConfig(activation="leaky_relu=0.1", learning_rate=0.3, keep_weights="every", **COMMON)
WILD = RunConfig(activation="leaky_relu=100", learning_rate=1000.0, keep_weights="every", **COMMON)
TABLES = ("runs", "epochs", "layers", "units", "lives", "deaths", "flows")
IDENTITY = ["run_id", "activation", "parameter", "seed", "dataset", "learning_rate"]


@pytest.fixture(scope="module")
def store(tmp_path_factory, tiny) -> RunStore:
    store = RunStore(tmp_path_factory.mktemp("recorded") / "runs")
    for config in (RELU, RELU_1, LEAKY, WILD):
        compare(dataset=tiny, store=store, **_as_settings(config))
    return store


def _as_settings(config: RunConfig) -> dict:
    fields = config.model_dump(exclude={"activation", "seed"})
    return {"activations": [config.activation], "seeds": [config.seed], **fields}


@pytest.fixture(scope="module")
def events(store, tiny) -> dict:
    """What the trainer itself says: for each config its epochs, and its end."""
    configs = (RELU, RELU_1, LEAKY, WILD)
    told = [(event.run, event) for event in train(configs, tiny) if hasattr(event, "run")]
    return {
        config: (
            [e for run, e in told if run == i and isinstance(e, EpochEnd)],
            next(e for run, e in told if run == i and isinstance(e, RunEnd)),
        )
        for i, config in enumerate(configs)
    }


@pytest.fixture(scope="module")
def by_config(store) -> dict:
    return {run.config: run for run in store}


def test_the_tables_have_the_columns_of_the_specification(store):
    assert list(store.runs.runs()) == [
        *IDENTITY, "epochs", "status", "test_loss", "test_accuracy", "train_seconds", "label",
    ]  # fmt: skip
    assert list(store.runs.epochs()) == [*IDENTITY, "epoch", "split", "loss", "accuracy"]
    layers = list(store.runs.layers())
    assert layers[:6] == IDENTITY
    known = [
        "epoch", "layer", "layer_name", "units", "dead_fraction", "dead_confirmed_fraction",
        "nearly_dead_fraction", "always_negative_fraction", "saturated_fraction",
        "dormant_fraction", "constant_fraction", "zero_fraction", "nonfinite_fraction",
        "mean_gate", "activation_mean", "activation_sd", "probe_size",
    ]  # fmt: skip
    assert [name for name in layers[6:] if name in known] == known
    assert set(layers[6:]) == {*known, *units.LAYER_MEASURES}
    summaries = [f.name for f in dataclasses.fields(units.UnitSummaries)][2:]
    assert list(store.runs.units())[:9] == [*IDENTITY, "epoch", "layer", "unit"]
    assert list(store.runs.units())[9 : 9 + len(summaries)] == summaries
    assert list(store.runs.lives()) == [
        *IDENTITY, "layer", "unit", "born_dead", "died", "revived", "epochs_dead",
        "dead_for_good_since", "cause",
    ]  # fmt: skip
    assert list(store.runs.flows()) == [
        *IDENTITY, "epoch", "layer", "units", "born_dead", "died", "revived", "lost", "dead",
        "never_dead",
    ]  # fmt: skip
    assert list(store.runs.deaths()) == [
        *IDENTITY, "layer", "born_dead", "died", "revived", "lost", "dead",
    ]  # fmt: skip


def test_the_table_of_lives_tells_each_unit_by_what_the_table_of_units_says_of_it(store):
    units = store.runs.units()
    lives = store.runs.lives().set_index(["run_id", "layer", "unit"])
    assert lives.born_dead.sum() + (lives.died != "").sum() > 0
    for key, unit in units.groupby(["run_id", "layer", "unit"]):
        dead, life = list(unit.dead), lives.loc[key]
        pairs = list(enumerate(itertools.pairwise(dead), start=1))
        finite = list(unit.nonfinite == 0)
        assert life.born_dead == dead[0]
        assert life.died == ", ".join(str(at) for at, turn in pairs if turn == (False, True))
        assert life.revived == ", ".join(
            str(at) for at, turn in pairs if turn == (True, False) and finite[at]
        )
        assert life.epochs_dead == sum(dead)
        assert np.isnan(life.dead_for_good_since) == (not dead[-1])
        if dead[-1]:
            assert all(dead[int(life.dead_for_good_since) :])
        assert (life.cause != "") == (dead[-1] or not finite[-1])


def test_the_books_of_the_dead_balance_in_every_layer_at_every_epoch(store):
    flows = store.runs.flows()
    by_layer = flows.groupby(["run_id", "layer"])
    summed = by_layer[["born_dead", "died", "revived", "lost"]].cumsum()
    balance = summed.born_dead + summed.died - summed.revived - summed.lost
    np.testing.assert_array_equal(balance, flows.dead)
    units = store.runs.units()
    dead = units.groupby(["run_id", "epoch", "layer"], sort=False).dead.sum()
    np.testing.assert_array_equal(dead, flows.dead)
    assert flows.dead.sum() > 0
    deaths = store.runs.deaths().set_index(["run_id", "layer"])
    columns = ["born_dead", "died", "revived", "lost"]
    np.testing.assert_array_equal(deaths[columns], by_layer[columns].sum().loc[deaths.index])
    np.testing.assert_array_equal(deaths.dead, by_layer.dead.last().loc[deaths.index])


def test_every_table_names_the_run_it_speaks_of(store):
    for table in (getattr(store.runs, name)() for name in TABLES):
        relu = table[table.activation == "relu"]
        assert relu.parameter.isna().all()
        assert sorted(set(relu.seed)) == [0, 1]
        assert set(table[table.activation == "leaky_relu"].parameter) == {0.1, 100.0}
        assert set(table.dataset) == {"tiny"}
        assert set(table.learning_rate) == {0.3, 1000.0}
        assert set(table.run_id) == {run.run_id for run in store}


@pytest.mark.parametrize("config", [RELU, RELU_1, LEAKY, WILD])
def test_the_table_of_runs_says_what_the_trainer_said(store, by_config, events, config):
    epochs, end = events[config]
    table = store.runs.runs().set_index("run_id")
    row = table.loc[by_config[config].run_id]
    assert row.epochs == epochs[-1].epoch
    assert row.status == ("diverged" if config == WILD else "finished")
    np.testing.assert_array_equal(row.test_loss, end.test_loss)
    assert row.test_accuracy == end.test_accuracy
    recorded = by_config[config].record.epochs
    spent = sum(e.train_seconds + e.validation_seconds + e.census_seconds for e in recorded)
    assert row.train_seconds == pytest.approx(spent)
    assert 0 < row.train_seconds < 60


@pytest.mark.parametrize("config", [RELU, LEAKY, WILD])
def test_the_table_of_epochs_holds_the_trainers_numbers_bit_for_bit(by_config, events, config):
    table = Runs([by_config[config]]).epochs()
    epochs, _ = events[config]
    expected = [
        (e.epoch, split, getattr(e, f"{split}_loss"), getattr(e, f"{split}_accuracy"))
        for e in epochs
        for split in ("train", "validation")
    ]
    assert list(table.epoch) == [row[0] for row in expected]
    assert list(table.split) == [row[1] for row in expected]
    np.testing.assert_array_equal(table.loss, [row[2] for row in expected])
    np.testing.assert_array_equal(table.accuracy, [row[3] for row in expected])


@pytest.mark.parametrize("config", [RELU, LEAKY, WILD])
def test_the_table_of_units_holds_the_trainers_summaries_bit_for_bit(by_config, events, config):
    table = Runs([by_config[config]]).units()
    epochs, _ = events[config]
    assert len(table) == len(epochs) * (6 + 5)
    for epoch in epochs:
        for number, layer in enumerate(epoch.layers, start=1):
            rows = table[(table.epoch == epoch.epoch) & (table.layer == number)]
            assert list(rows.unit) == list(range(config.hidden[number - 1]))
            for name in units.ARRAYS:
                np.testing.assert_array_equal(rows[name], getattr(layer, name), err_msg=name)


def test_the_fractions_of_a_layer_are_shares_of_its_units(by_config):
    runs = Runs([by_config[RELU], by_config[RELU_1], by_config[LEAKY]])
    layers, by_unit = runs.layers(), runs.units()
    by_unit["gated_off"] = by_unit.max_gate == 0
    by_unit["below_zero"] = by_unit.max_z <= 0
    by_unit["zero_share"] = by_unit.zeros / 100
    groups = by_unit.groupby(["run_id", "epoch", "layer"], sort=False)
    dead = groups.gated_off.mean()
    assert (dead > 0).any()
    np.testing.assert_allclose(layers.dead_fraction, dead)
    np.testing.assert_allclose(layers.always_negative_fraction, groups.below_zero.mean())
    np.testing.assert_allclose(layers.zero_fraction, groups.zero_share.mean())
    np.testing.assert_allclose(layers.mean_gate, groups.mean_gate.mean(), rtol=1e-6)
    assert list(layers.units) == [6, 5] * 9
    assert list(layers.layer) == [1, 2] * 9
    assert list(layers.epoch) == [0, 0, 1, 1, 2, 2] * 3
    assert set(layers.probe_size) == {100}
    for name in ("nearly_dead", "saturated", "dormant", "constant"):
        np.testing.assert_allclose(layers[f"{name}_fraction"], groups[name].mean())


def test_confirmed_dead_stands_at_the_last_epoch_only_and_counts_confirmed_units(by_config, events):
    for config in (RELU, RELU_1, LEAKY):
        table = Runs([by_config[config]]).layers()
        assert table[table.epoch < 2].dead_confirmed_fraction.isna().all()
        expected = [flags.mean() for flags in events[config][1].confirmed]
        assert list(table[table.epoch == 2].dead_confirmed_fraction) == expected
        for number, flags in enumerate(events[config][1].confirmed, start=1):
            np.testing.assert_array_equal(by_config[config].confirmed(number), flags)


def test_a_comparison_differs_in_activation_function_and_seed_alone(by_config):
    every = by_config[LEAKY].record
    leaky = dataclasses.replace(
        by_config[LEAKY],
        record=every.model_copy(
            update={"settings": LEAKY.model_copy(update={"keep_weights": "last"})}
        ),
    )
    slow = dataclasses.replace(
        leaky,
        record=every.model_copy(
            update={"settings": RELU.model_copy(update={"learning_rate": 0.1})}
        ),
    )
    runs = Runs([by_config[RELU], slow, leaky, by_config[RELU_1]])
    assert [list(group) for group in runs.comparisons()] == [[runs[0], runs[2], runs[3]], [slow]]
    assert [list(group) for group in runs.comparisons("learning_rate")] == [list(runs)]


def test_runs_that_finished_or_diverged_have_ended(by_config):
    record = by_config[RELU].record.model_copy(update={"status": "interrupted"})
    stopped = dataclasses.replace(by_config[RELU], record=record)
    kept = [by_config[RELU_1], by_config[WILD]]
    assert [run.status for run in kept] == ["finished", "diverged"]
    assert list(Runs([kept[0], stopped, kept[1]]).ended()) == kept


def test_settings_that_differ_are_written_in_words():
    wide = RELU.model_copy(update={"hidden": (8, 8), "learning_rate": 0.1, "seed": 5})
    assert differences([RELU, wide, RELU_1]) == [
        ["hidden 6-5", "learning rate 0.3"],
        ["hidden 8-8", "learning rate 0.1"],
        ["hidden 6-5", "learning rate 0.3"],
    ]


def test_confirmed_dead_is_nan_where_a_layer_is_not_finite(by_config):
    table = Runs([by_config[WILD]]).layers()
    last = table[table.epoch == table.epoch.max()]
    assert (last.nonfinite_fraction == 1).all()
    assert last.dead_confirmed_fraction.isna().all()
    assert last.dead_fraction.isna().all()


@pytest.mark.parametrize("config", [RELU, LEAKY])
def test_the_model_has_the_runs_weights_and_its_recorded_test_accuracy(
    by_config, events, tiny, config
):
    run = by_config[config]
    model = run.model()
    trained = events[config][0][-1].state.weights
    assert len(model.get_weights()) == len(run.weights()) == 6
    for got, held, told in zip(model.get_weights(), run.weights(), trained, strict=True):
        np.testing.assert_array_equal(got, held)
        np.testing.assert_array_equal(held, told)
    guesses = model(tiny.x_test.astype(np.float32) / 255).numpy().argmax(axis=1)
    assert np.mean(guesses == tiny.y_test) == pytest.approx(run.record.test_accuracy)


def test_keeping_every_epochs_weights_keeps_them_as_they_were(by_config, events):
    run = by_config[LEAKY]
    for event in events[LEAKY][0]:
        for got, told in zip(run.weights(event.epoch), event.state.weights, strict=True):
            np.testing.assert_array_equal(got, told)


def test_asking_for_an_epoch_that_was_not_kept_says_which_are(by_config):
    with pytest.raises(RunError, match=r"no weights of epoch 1, but of: 2\. .*keep_weights"):
        by_config[RELU].weights(1)
    with pytest.raises(RunError, match=r"epoch must be from 0 to 2 in run .*, not 7\."):
        by_config[LEAKY].model(7)


def test_asking_for_a_layer_that_is_not_there_names_the_limits(by_config):
    for number in (0, 3, -1):
        with pytest.raises(RunError, match=rf"layer must be from 1 to 2 .* not {number}\."):
            by_config[RELU].layer(number)


def test_runs_can_be_sliced_and_counted(store):
    runs = store.runs
    assert len(runs) == 4
    assert isinstance(runs[1:3], Runs)
    assert [run.run_id for run in runs[1:3]] == [runs[1].run_id, runs[2].run_id]
    assert runs[-1].run_id == runs[3].run_id
    assert set(runs[:1].units().run_id) == {runs[0].run_id}
    assert len(runs[:0].runs()) == 0


def test_runs_are_picked_by_settings_dataset_label_and_status(store):
    runs = store.runs
    assert [r.config.activation for r in runs.where(activation="relu")] == ["relu"] * 2
    assert [r.config for r in runs.where(seed=1, dataset="tiny", status="finished")] == [RELU_1]
    assert len(runs.where(label=None)) == 4
    assert len(runs.where(label="mine")) == 0
    assert len(runs.where(activation="relu", seed=5)) == 0
    with pytest.raises(InputError, match=r"Unknown field 'sede'\. Did you mean 'seed'"):
        runs.where(sede=1)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([0], "seed 0"),
        ([1, 0], "seeds 0, 1"),
        ([2, 0, 1], "seeds 0-2"),
        ([0, 1, 3], "seeds 0, 1, 3"),
        ([0, 7, 2**32 - 1], "seeds 0, 7, 4294967295"),  # Counted through, they fill the memory.
    ],
)
def test_seeds_in_words(by_config, seeds, words):
    run = by_config[RELU]
    settings = [run.config.model_copy(update={"seed": seed}) for seed in seeds]
    records = [run.record.model_copy(update={"settings": one}) for one in settings]
    runs = Runs([dataclasses.replace(run, record=record) for record in records])
    assert runs.seed_words() == words


def test_the_summary_averages_the_seeds_of_one_setting(by_config, events):
    summary = Runs([by_config[RELU_1], by_config[RELU]]).summary()
    assert len(summary) == 1
    ends = [events[config][1] for config in (RELU, RELU_1)]
    (row,) = summary.to_dict("records")
    assert row["runs"] == 2
    assert row["diverged"] == 0
    assert row["every_test_accuracy"] == tuple(end.test_accuracy for end in ends)
    assert row["test_accuracy"] == pytest.approx(sum(e.test_accuracy for e in ends) / 2)
    assert row["test_loss"] == pytest.approx(sum(e.test_loss for e in ends) / 2)
    confirmed = [[flags.mean() for flags in end.confirmed] for end in ends]
    assert row["dead_confirmed"] == pytest.approx(np.mean(confirmed, axis=0))
    last = [events[config][0][-1].layers for config in (RELU, RELU_1)]
    nearly = [[np.mean(layer.max_gate <= 0.001) for layer in layers] for layers in last]
    assert row["nearly_dead"] == pytest.approx(np.mean(nearly, axis=0))


def test_a_diverged_run_is_counted_and_left_out_of_the_means(by_config, events, tmp_path):
    assert by_config[WILD].status == "diverged"
    good, bad = by_config[LEAKY], by_config[WILD]
    same = good.record.model_copy(update={"status": "diverged", "test_loss": np.nan})
    twin = dataclasses.replace(
        good, record=same.model_copy(update={"settings": LEAKY.model_copy(update={"seed": 5})})
    )
    (row,) = Runs([twin, good]).summary().to_dict("records")
    assert (row["runs"], row["diverged"]) == (2, 1)
    assert row["test_loss"] == events[LEAKY][1].test_loss
    assert row["every_test_accuracy"] == (events[LEAKY][1].test_accuracy,)
    (row,) = Runs([bad]).summary().to_dict("records")
    assert (row["runs"], row["diverged"]) == (1, 1)
    assert np.isnan(row["test_loss"])
    assert np.isnan(row["test_accuracy"])


def test_the_results_are_the_summary_in_percent_and_in_words(by_config, events):
    (row,) = Runs([by_config[RELU], by_config[RELU_1]]).results().to_dict("records")
    ends = [events[config][1] for config in (RELU, RELU_1)]
    accuracies = [100 * end.test_accuracy for end in ends]
    assert row["test accuracy, %"] == f"{sum(accuracies) / 2:.2f}"
    assert row["each seed, %"] == " ".join(f"{accuracy:.2f}" for accuracy in accuracies)
    first, second = (
        np.mean([100 * end.confirmed[layer].mean() for end in ends]) for layer in (0, 1)
    )
    assert row["dead, %"] == f"{first:.1f} / {second:.1f}"
    (row,) = Runs([by_config[WILD]]).results().to_dict("records")
    assert (row["test accuracy, %"], row["each seed, %"]) == ("1 of 1 diverged", "-")


def test_runs_are_put_in_the_order_of_their_settings(by_config):
    mixed = Runs([by_config[c] for c in (WILD, LEAKY, RELU_1, RELU)])
    assert [run.config for run in mixed.in_order()] == [RELU, RELU_1, LEAKY, WILD]


def test_a_record_is_strict_json_and_gives_back_nan_and_infinity(by_config):
    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    run = by_config[WILD]
    text = (run.folder / "run.json").read_text()
    raw = json.loads(text, parse_constant=refuse)
    assert raw["epochs"][-1]["train_loss"] == "NaN"
    assert np.isnan(read_record(run.folder).epochs[-1].train_loss)
    odd = {"train_loss": np.inf, "train_accuracy": -np.inf, "validation_loss": np.nan}
    epoch = run.record.epochs[0].model_copy(update=odd)
    written = json.loads(epoch.model_dump_json(), parse_constant=refuse)
    assert [written[name] for name in odd] == ["Infinity", "-Infinity", "NaN"]
    again = type(epoch).model_validate(written)
    assert (again.train_loss, again.train_accuracy) == (np.inf, -np.inf)
    assert np.isnan(again.validation_loss)


def test_a_runs_size_is_the_sum_of_its_files(by_config):
    run = by_config[RELU]
    sizes = [os.path.getsize(run.folder / name) for name in os.listdir(run.folder)]
    assert run.size() == sum(sizes)


def test_the_size_of_a_run_that_is_gone_is_refused_in_one_sentence(by_config, tmp_path):
    run = dataclasses.replace(by_config[RELU], folder=tmp_path / "gone")
    with pytest.raises(
        RunError, match=r"^Run relu-.* cannot be read: No such file or directory\.$"
    ):
        run.size()


# Hostile reading


@pytest.fixture
def pair(store, by_config, tmp_path) -> tuple[Run, Run]:
    """Copies of two runs in a store of their own: a good one, and one to be spoilt."""
    place = tmp_path / "runs"
    for config in (RELU, LEAKY):
        folder = by_config[config].folder
        shutil.copytree(folder, place / folder.name)
    return tuple(Run(f, read_record(f)) for f in (_at(place, by_config, c) for c in (RELU, LEAKY)))


def _at(place, by_config, config):
    return place / by_config[config].run_id


def _rewrite(run: Run, change) -> None:
    path = run.folder / "run.json"
    raw = json.loads(path.read_text())
    text = change(raw)
    path.write_text(text if isinstance(text, str) else json.dumps(raw))


def _set(*place_and_value):
    """Makes a change that sets one value deep in a record."""

    def change(raw):
        *place, last, value = place_and_value
        for key in place:
            raw = raw[key]
        raw[last] = value

    return change


def _read_all(folder) -> None:
    run = Run(folder, read_record(folder))
    for number in run.layers:
        run.layer(number)
    run.weights()
    run.confirmed_fractions()


BAD_RECORDS = {
    "a key appears twice": lambda raw: json.dumps(raw)[:-1] + ', "status": "running"}',
    "a deep key stands twice": lambda raw: json.dumps(raw).replace(
        '"seed": 0', '"seed": 1, "seed": 0'
    ),
    "deep lists": lambda raw: "[" * 100_000,
    "deep objects": lambda raw: '{"a":' * 100_000,
    "cut off": lambda raw: json.dumps(raw)[:-20],
    "empty": lambda raw: "",
    "a list": lambda raw: "[]",
    "a huge whole number": _set("settings", "seed", 10**400),
    "a number of 5,000 digits": lambda raw: json.dumps(raw).replace(
        '"train_images": 240', '"train_images": ' + "9" * 5000
    ),
    "an unknown field": _set("evil", 1),
    "an unknown setting": _set("settings", "evil", 1),
    "an unknown field of an epoch": _set("epochs", 0, "evil", 1),
    "another format": _set("format", 2),
    "an unknown status": _set("status", "done"),
    "an unknown activation": _set("settings", "activation", "os.system"),
    "settings that are a number": _set("settings", 5),
    "settings that are nothing": _set("settings", None),
    "text for a number": _set("epochs", 0, "train_loss", "low"),
    "a list for a text": _set("dataset", ["tiny"]),
    "a text too long": _set("label", "x" * 201),
    "a digest too short": _set("dataset_digest", "abc"),
    "a path upwards": _set("units", 0, "name", "../units-e0000.safetensors"),
    "an absolute path": _set("units", 0, "name", "/etc/units-e0000.safetensors"),
    "a run.json for an array": _set("units", 0, "name", "run.json"),
    "a line end in a name": _set("units", 0, "name", "units-e0000.safetensors\n"),
    "no epoch": _set("epochs", []),
    "an epoch missing": lambda raw: raw["epochs"].pop(1) and None,
    "an epoch twice": lambda raw: raw["epochs"].append(raw["epochs"][-1]),
    "a negative epoch": _set("epochs", 0, "epoch", -1),
    "another run's id": _set("run_id", "relu-seed0-00000000"),
    "an id that is a path": _set("run_id", "../relu-seed0-00000000"),
    "a lone surrogate": _set("label", "\ud800"),
    "a setting named self": _set("settings", "self", 1),
    "a huge parameter": _set("settings", "parameter", 10**400),
    "a setting that is a lone surrogate": _set("settings", "\ud800", 1),
    "a number beyond float": lambda raw: json.dumps({**raw, "test_loss": "?"}).replace(
        '"?"', "1e999"
    ),
    "a bare NaN": lambda raw: json.dumps({**raw, "test_loss": float("nan")}),
    "a label with an escape sequence": _set("label", "\x1b[2J"),
    "a text of a million letters": _set("settings", "activation", "x" * 10**6),
    "array files that leave out an epoch": lambda raw: raw["units"].pop() and None,
    "array files out of order": lambda raw: raw["units"].reverse(),
}


@pytest.mark.parametrize("change", BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_a_bad_record_is_listed_with_its_reason_and_hides_no_other_run(pair, change):
    good, bad = pair
    _rewrite(bad, change)
    store = RunStore(good.folder.parent)
    assert list(store.refused) == [bad.run_id]
    assert "run.json" in store.refused[bad.run_id]
    assert len(store.refused[bad.run_id]) < 2000
    assert [run.run_id for run in store] == [good.run_id]
    with pytest.raises(RunError):
        store[bad.run_id]


def _spoil_bytes(path, at, value):
    content = bytearray(path.read_bytes())
    content[at] ^= value
    path.write_bytes(content)


def _first_units(run: Run):
    return run.folder / run.record.units[0].name


def _cut(run):
    _first_units(run).write_bytes(_first_units(run).read_bytes()[:-1])


def _link(run):
    kept = run.folder.parent.parent / "elsewhere.safetensors"
    _first_units(run).rename(kept)
    _first_units(run).symlink_to(kept)


def _fill(run):
    with _first_units(run).open("ab") as file:
        file.truncate(2**31)


BAD_ARRAYS = {
    "cut off": _cut,
    "one bit of the header": lambda run: _spoil_bytes(_first_units(run), 9, 1),
    "one bit of the values": lambda run: _spoil_bytes(_first_units(run), -1, 128),
    "missing": lambda run: _first_units(run).unlink(),
    "a link": _link,
    "a folder": lambda run: _first_units(run).unlink() or _first_units(run).mkdir(),
    "a pipe": lambda run: _first_units(run).unlink() or os.mkfifo(_first_units(run)),
    "two gigabytes": _fill,
}


@pytest.fixture
def two_seconds():
    """Ends a test that waits for ever, as on a pipe."""

    def too_late(*_):
        pytest.fail("not refused within two seconds")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(2)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("spoil", BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_a_bad_array_file_is_refused_and_named(pair, spoil, two_seconds):
    _, bad = pair
    spoil(bad)
    with pytest.raises(RunError, match=r"units-e0000\.safetensors"):
        Run(bad.folder, read_record(bad.folder)).layer(1)


def test_a_run_with_damaged_arrays_hides_no_other_run_from_the_tables(pair):
    good, bad = pair
    _cut(bad)
    store = RunStore(good.folder.parent)
    assert good.run_id in set(store.runs.layers().run_id)
    assert bad.run_id not in set(store.runs.units().run_id)


def _replace_arrays(run: Run, kind: str, change) -> None:
    """Changes the arrays of a run's last file of a kind, with a matching SHA-256."""
    file = getattr(run.record, kind)
    file = file[-1] if isinstance(file, tuple) else file
    path = run.folder / file.name
    save_file(change(load_file(path)), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    def update(raw):
        entry = raw[kind][-1] if isinstance(raw[kind], list) else raw[kind]
        entry["sha256"] = digest

    _rewrite(run, update)


def _changed(name, change):
    return lambda arrays: {**arrays, name: change(arrays[name])}


def _without(name):
    return lambda arrays: {key: value for key, value in arrays.items() if key != name}


WRONG_ARRAYS = {
    "a unit too few": ("units", _changed("layer1.mean", lambda a: a[:, :-1].copy())),
    "an epoch too few": ("units", _changed("layer1.mean", lambda a: a[:0].copy())),
    "a dimension too many": ("units", _changed("layer1.mean", lambda a: a[..., None].copy())),
    "text-like units": ("units", _changed("layer1.mean", lambda a: a.astype(np.int8))),
    "counts that are fractions": (
        "units",
        _changed("layer2.nonfinite", lambda a: (a + 0.5).astype(np.float32)),
    ),
    "a missing summary": ("units", _without("layer2.shut")),
    "a missing kernel": ("weights", _without("layer1.kernel")),
    "a bias too long": ("weights", _changed("layer3.bias", lambda a: np.append(a, a))),
    "a kernel turned over": ("weights", _changed("layer2.kernel", lambda a: a.T.copy())),
    "wider weights": ("weights", _changed("layer3.bias", lambda a: a.astype(np.float64))),
    "a flag too few": ("confirmed", _changed("layer1.confirmed", lambda a: a[:-1].copy())),
    "flags that are numbers": (
        "confirmed",
        _changed("layer1.confirmed", lambda a: a.astype(np.float32) + 7),
    ),
    "missing flags": ("confirmed", _without("layer2.confirmed")),
}


@pytest.mark.parametrize(("kind", "change"), WRONG_ARRAYS.values(), ids=WRONG_ARRAYS)
def test_arrays_of_a_wrong_shape_or_type_are_refused_though_their_sha_is_right(pair, kind, change):
    _, bad = pair
    _replace_arrays(bad, kind, change)
    with pytest.raises(RunError):
        _read_all(bad.folder)


def test_a_record_without_array_files_is_refused_where_they_are_asked_for(pair):
    _, bad = pair
    _rewrite(bad, _set("units", []))
    with pytest.raises(RunError):
        _read_all(bad.folder)


def test_a_linked_record_and_an_oversize_record_are_refused(pair, tmp_path):
    good, bad = pair
    path = bad.folder / "run.json"
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    assert RunStore(good.folder.parent).refused == {bad.run_id: "run.json is not a plain file."}
    path.unlink()
    path.write_text(" " * (LARGEST_RECORD + 1))
    reason = RunStore(good.folder.parent).refused[bad.run_id]
    assert "16,777,217 bytes, more than 16,777,216" in reason


def test_runs_are_picked_by_widths_given_as_a_list_or_an_array(store):
    for widths in ((6, 5), [6, 5], np.array([6, 5])):
        assert len(store.runs.where(hidden=widths)) == len(store.runs)
    with pytest.raises(InputError, match=r"Unknown setting 'sed'\. Did you mean 'seed'\?"):
        store.runs.groups(("sed",))


@pytest.mark.parametrize("wrong", [3, None, "relu", [3], [RELU]])
def test_what_is_no_run_is_one_sentence(wrong):
    with pytest.raises(InputError, match=r"runs must be recorded runs or a store, such as RunSt"):
        Runs(wrong)
    with pytest.raises(InputError, match=r"runs must be recorded runs or a store, such as RunSt"):
        verdicts(wrong)


def test_a_renamed_run_folder_is_refused(pair):
    good, bad = pair
    bad.folder.rename(bad.folder.with_name("mine"))
    store = RunStore(good.folder.parent)
    assert "names the run" in store.refused["mine"]
    assert [run.run_id for run in store] == [good.run_id]


@pytest.fixture(scope="module")
def victim(by_config, tmp_path_factory) -> tuple[Run, bytes]:
    run = by_config[LEAKY]
    folder = tmp_path_factory.mktemp("victim") / run.run_id
    shutil.copytree(run.folder, folder)
    return Run(folder, run.record), (folder / "run.json").read_bytes()


ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, 10**400, -(10**400), "NaN", "../x", "\ud800", "self", "1e999", ""])
    | st.floats()
    | st.text(max_size=20)
)
ODD_TREES = st.recursive(
    ODD,
    lambda tree: (
        st.lists(tree, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.just("self"), tree, max_size=3)
    ),
    max_leaves=6,
)
LENIENT = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _mutate(data, tree):
    """Goes down a record to some place and changes, adds or removes what is there."""
    while isinstance(tree, dict | list) and tree:
        keys = sorted(tree) if isinstance(tree, dict) else list(range(len(tree)))
        key = data.draw(st.sampled_from(keys))
        inner = tree[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.integers(0, 3)) == 0:
            break
        tree = tree[key]
    action = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if action == "remove":
        del tree[key]
    elif action == "replace":
        tree[key] = data.draw(ODD_TREES)
    elif isinstance(tree, dict):
        tree[data.draw(st.text(max_size=8) | st.sampled_from(["self", "seed"]))] = data.draw(ODD)
    else:
        tree.insert(key, data.draw(ODD_TREES))


def _only_run_error(folder) -> None:
    with contextlib.suppress(RunError):
        _read_all(folder)


@settings(LENIENT, max_examples=300)
@given(data=st.data())
def test_a_changed_record_is_read_or_refused_with_run_error_alone(victim, data):
    run, content = victim
    raw = json.loads(content)
    for _ in range(data.draw(st.integers(1, 3))):
        if raw:
            _mutate(data, raw)
    (run.folder / "run.json").write_text(json.dumps(raw))
    _only_run_error(run.folder)


@settings(LENIENT, max_examples=200)
@given(content=st.binary(max_size=200))
def test_random_bytes_for_a_record_are_refused(victim, content):
    run, _ = victim
    (run.folder / "run.json").write_bytes(content)
    with pytest.raises(RunError):
        read_record(run.folder)


@settings(LENIENT, max_examples=300)
@given(data=st.data())
def test_a_flipped_bit_in_a_record_is_refused_or_harmless(victim, data):
    run, content = victim
    spoilt = bytearray(content)
    spoilt[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (run.folder / "run.json").write_bytes(spoilt)
    _only_run_error(run.folder)
