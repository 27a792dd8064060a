"""Measures: each is what the run recorded, in the units in which it is shown."""

import dataclasses

import numpy as np
import pytest

from lab import Runs, RunStore
from lab.census import units
from lab.errors import InputError, RunError
from lab.runs import measures


@pytest.fixture(scope="module")
def recorded():
    """One of the runs that come with the lessons: two hidden layers of 512."""
    return RunStore("notebooks/recorded").runs.where(activation="relu", learning_rate=0.005)[0]


@pytest.fixture
def half_dead(by_hand, two_kinds):
    """Of three units in layer 1 the first is dead, of two in layer 2 both."""
    first = [np.zeros((784, 3)), [-1.0, 1.0, 1.0]]
    second = [np.zeros((3, 2)), [-1.0, -1.0]]
    weights = [*first, *second, np.zeros((2, 10)), np.zeros(10)]
    return by_hand(two_kinds, [weights, weights])


def test_dead_is_the_share_of_all_hidden_units(half_dead):
    assert measures.measure("dead").printed(half_dead) == pytest.approx(60)
    assert measures.dead_share(half_dead) == pytest.approx(0.6)


def test_a_layers_measure_is_of_that_layer(half_dead):
    for name in ("dead_fraction", "dead_confirmed_fraction"):
        shown = [measures.measure(name, layer).printed(half_dead) for layer in (1, 2)]
        assert shown == pytest.approx([100 / 3, 100])
    assert measures.recorded(half_dead, "dead_fraction").tolist() == pytest.approx([1 / 3] * 2)


@pytest.mark.parametrize("name", list(units.LAYER_MEASURES))
@pytest.mark.parametrize("layer", [1, 2])
def test_every_measure_of_a_layer_is_the_last_row_of_the_table(recorded, name, layer):
    table = Runs([recorded]).layers()
    (expected,) = table[(table.epoch == recorded.last_epoch) & (table.layer == layer)][name]
    measure = measures.measure(name, layer)
    assert measure.scale == (100 if name.endswith("_fraction") else 1)
    np.testing.assert_allclose(measure.printed(recorded), measure.scale * expected, rtol=1e-12)


def test_losses_and_accuracies_are_those_of_the_end(recorded):
    def shown(name):
        return measures.measure(name).printed(recorded)

    record, last = recorded.record, recorded.record.epochs[-1]
    assert shown("test_accuracy") == 100 * record.test_accuracy
    assert shown("test_loss") == record.test_loss
    assert shown("validation_accuracy") == 100 * last.validation_accuracy
    assert [shown(f"{part}_loss") for part in ("train", "validation")] == [
        last.train_loss,
        last.validation_loss,
    ]
    np.testing.assert_array_equal(
        measures.recorded(recorded, "train_accuracy"), [e.train_accuracy for e in record.epochs]
    )


def test_only_the_epoch_in_which_a_run_diverged_has_no_accuracy(recorded):
    record = recorded.record.model_copy(update={"status": "diverged"})
    diverged = dataclasses.replace(recorded, record=record)
    for name in ("train_accuracy", "validation_accuracy"):
        lost, kept = (measures.recorded(run, name) for run in (diverged, recorded))
        assert np.isnan(lost[-1])
        assert lost[:-1].tolist() == kept[:-1].tolist()
    assert np.isfinite(measures.recorded(diverged, "train_loss")).all()


def test_a_diverged_run_has_no_number_and_an_unfinished_one_no_test_accuracy(recorded):
    diverged, running = (
        dataclasses.replace(recorded, record=recorded.record.model_copy(update=update))
        for update in ({"status": "diverged"}, {"status": "interrupted", "test_accuracy": None})
    )
    assert np.isnan(measures.measure("validation_loss").printed(diverged))
    assert np.isnan(measures.measure("test_accuracy").printed(running))


@pytest.mark.parametrize(
    ("name", "layer", "axis", "unit", "better", "worth"),
    [
        ("test_accuracy", None, "test accuracy, %", "points", "larger", 0.1),
        ("validation_loss", None, "validation loss", "", "smaller", 0.01),
        ("dead", None, "share of dead neurons, %", "points", "smaller", 1),
        (
            *("dead_confirmed_fraction", 2),
            *("share of dead neurons in layer 2, %", "points", "smaller", 1),
        ),
        (
            *("always_negative_fraction", 1),
            *("share of always negative neurons in layer 1 (on the probe), %", "points"),
            *("neither", 1),
        ),
        (
            *("zero_fraction", 1),
            *("share of zero activations in layer 1 (on the probe), %", "points", "neither", 1),
        ),
        ("mean_gate", 1, "mean gate in layer 1 (on the probe)", "", "neither", 0.01),
    ],
)
def test_a_measure_says_what_it_is(name, layer, axis, unit, better, worth):
    measure = measures.measure(name, layer)
    found = measure.name, measure.axis, measure.unit, measure.better, measure.worth
    assert found == (name, axis, unit, better, worth)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("test_acuracy",), "Unknown measure 'test_acuracy'. Did you mean 'test_accuracy'?"),
        ((None,), "Unknown measure 'None'"),
        (("dead_fraction",), "layer must be the number of a hidden layer, from 1, for dead_fract"),
        (("dead_fraction", 0), "from 1, for dead_fraction: not 0."),
        (("dead_fraction", 1.0), "from 1, for dead_fraction: not 1.0."),
        (("dead_fraction", True), "from 1, for dead_fraction: not True."),
        (("test_loss", 1), "layer must be left out for test_loss, .* not 1."),
    ],
)
def test_bad_input_is_answered_with_a_sentence(arguments, words):
    with pytest.raises(InputError, match=words):
        measures.measure(*arguments)


def test_a_layer_that_the_network_has_not_is_refused(recorded):
    for name in ("mean_gate", "dead_confirmed_fraction"):
        with pytest.raises(RunError, match="layer must be from 1 to 2 in run relu"):
            measures.measure(name, 3).printed(recorded)


def test_a_table_by_seed_has_a_column_for_each_group_and_nan_where_a_seed_is_missing(recorded):
    runs = RunStore("notebooks/recorded").runs.where(dataset="mnist", learning_rate=0.005)
    groups = runs.by_activation()
    assert {name: len(some) for name, some in groups.items()} == {
        "relu": 3, "leaky_relu": 3, "elu": 3,
    }  # fmt: skip
    table = measures.by_seed(groups | {"elu": groups["elu"][1:]}, "test_accuracy")
    assert list(table) == ["relu", "leaky_relu", "elu"]
    assert (table.index.name, list(table.index)) == ("seed", [0, 1, 2])
    assert table.relu[0] == 100 * recorded.record.test_accuracy
    assert table.elu.isna().tolist() == [True, False, False]
    with pytest.raises(InputError, match=r"all must have one run for each seed: .*where"):
        measures.by_seed({"all": runs}, "test_accuracy")


def test_a_table_of_means_has_the_rows_and_columns_that_it_is_given(half_dead, recorded):
    columns = {"first, %": measures.measure("dead_confirmed_fraction", 1)}
    columns["both, %"] = measures.measure("dead")
    table = measures.means({"half": [half_dead, half_dead], "one": [recorded]}, columns)
    assert table.loc["half"].tolist() == pytest.approx([100 / 3, 60])
    assert table.loc["one", "first, %"] == 100 * recorded.confirmed(1).mean()


def test_clones_and_ranks_are_shares_of_all_hidden_units(with_clones, two_kinds):
    run = with_clones()
    (layer,) = run.redundancy(two_kinds)
    assert layer["clones"] == 1
    clones = measures.measure("clones_fraction", dataset=two_kinds)
    assert clones.printed(run) == pytest.approx(100 / 3)
    assert (clones.unit, clones.better) == ("points", "smaller")
    for name in ("effective_rank", "stable_rank"):
        rank = measures.measure(f"{name}_fraction", dataset=two_kinds)
        assert rank.printed(run) == pytest.approx(100 * layer[name] / 3)
        assert 100 / 3 <= rank.printed(run) <= 200 / 3  # One direction at least, two at most.
        assert rank.better == "neither"
    with pytest.raises(InputError, match="layer must be left out for clones_fraction"):
        measures.measure("clones_fraction", 1)
    with pytest.raises(RunError, match="keeps no weights"):
        clones.printed(with_clones(keep_weights="none"))


def test_the_data_set_is_loaded_once_for_many_runs(with_clones, two_kinds, monkeypatch):
    tried = []
    monkeypatch.setattr("lab.runs.run.load_recorded", lambda n: tried.append(n) or two_kinds)
    runs = [with_clones(learning_rate=rate) for rate in (0.1, 0.2)]
    assert measures.measure("clones_fraction").mean(runs) == pytest.approx(100 / 3)
    assert tried == ["two kinds"]
