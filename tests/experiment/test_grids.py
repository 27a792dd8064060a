"""Grids of runs: every combination, every seed, and one sentence for what cannot be."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import RunConfig
from lab.errors import InputError
from lab.experiment.grids import Plan, grid, read_plan, read_seeds, read_vary
from lab.experiment.spelling import read_values, write_values


def test_a_grid_has_every_combination_with_every_seed_and_seeds_stand_together():
    found = grid(
        {"activation": ["relu", "elu"], "learning_rate": [0.1, "0.2"]}, (3, 5), {"epochs": 2}
    )
    assert [(c.seed, c.activation, c.learning_rate, c.epochs) for c in found] == [
        (3, "relu", 0.1, 2),
        (3, "relu", 0.2, 2),
        (3, "elu", 0.1, 2),
        (3, "elu", 0.2, 2),
        (5, "relu", 0.1, 2),
        (5, "relu", 0.2, 2),
        (5, "elu", 0.1, 2),
        (5, "elu", 0.2, 2),
    ]


def test_nothing_varied_is_one_run_for_each_seed():
    assert grid({}, 2) == [RunConfig(seed=0), RunConfig(seed=1)]


def test_a_config_as_base_gives_its_settings_but_not_what_is_varied():
    base = RunConfig(activation="leaky_relu=0.3", hidden=(8,), seed=9)
    assert grid({"learning_rate": [0.5]}, 1, base) == [
        RunConfig(activation="leaky_relu=0.3", hidden=(8,), learning_rate=0.5)
    ]
    relu, leaky = grid({"activation": ["relu", "leaky_relu"]}, 1, base)
    assert (relu.parameter, leaky.parameter, leaky.hidden) == (None, 0.01, (8,))


def test_all_the_settings_of_a_recorded_run_may_be_a_base():
    settings = RunConfig(learning_rate=0.5).model_dump(exclude={"seed"})
    assert grid({}, 1, settings) == [RunConfig(learning_rate=0.5)]


@pytest.mark.parametrize(
    ("vary", "seeds", "base", "words"),
    [
        ({"learning_rat": [1]}, 1, {}, "Unknown setting 'learning_rat'. Did you mean 'learning_"),
        ({"source_sha256": ["0" * 64]}, 1, {}, "Unknown setting 'source_sha256'"),
        ({"learning_rate": []}, 1, {}, "learning_rate must have at least one value to be varied"),
        ({"learning_rate": 0.1}, 1, {}, "learning_rate must be a list of values, not 0.1."),
        ({"learning_rate": "0.1"}, 1, {}, "learning_rate must be a list of values, not '0.1'."),
        ({"learning_rate": [-1]}, 1, {}, "learning_rate must be a number from 1e-12 to 1,000, no"),
        ({"seed": [1, 2]}, 1, {}, "seed cannot be varied: say how many seeds, such as seeds=10."),
        ({"epochs": [1]}, 1, {"epochs": 2}, "epochs must be varied or fixed, not both."),
        ({}, 1, {"seed": 4}, "seed must be given as seeds, such as seeds=[4]."),
        ({}, 0, {}, "seeds must be a number from 1 to 10,000 or a list of seeds, not 0."),
        ({}, 1, {"epoch": 4}, "Unknown setting 'epoch'. Did you mean 'epochs'?"),
        ({"epochs": np.array(3)}, 1, {}, "epochs must be a list of values, not array(3)."),
        ({}, True, {}, "seeds must be a number from 1 to 10,000 or a list of seeds, not True."),
        ({}, itertools.count(), {}, "seeds must be a number from 1 to 10,000 or a list of seeds"),
        ({}, 1, 3, "base must be a RunConfig or a dict of settings, not 3."),
        ({}, 1, {3: 4}, "Unknown setting '3'."),
        ({3: [1]}, 1, {}, "Unknown setting '3'."),
        (["learning_rate"], 1, {}, "vary must name settings with their values, such as"),
        (
            {"learning_rate": [0.1] * 300, "first_bias": [0] * 300},
            10_000,
            {},
            "vary and seeds must make at most 100,000 runs together, not 900,000,000.",
        ),
    ],
)
def test_what_is_no_grid_is_said_in_one_sentence(vary, seeds, base, words):
    with pytest.raises(InputError) as caught:
        grid(vary, seeds, base)
    assert words in str(caught.value)


@pytest.mark.parametrize(("text", "seeds"), [("3", [0, 1, 2]), ("5-7", [5, 6, 7]), ("4-4", [4])])
def test_seeds_are_read_as_a_number_or_from_first_to_last(text, seeds):
    assert read_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "0", "-3", "7-5", "a", "1-20000", "1.5"])
def test_other_seeds_are_refused(text):
    with pytest.raises(InputError, match="seeds must be a number from 1 to 10,000, or the first"):
        read_seeds(text)


def test_varied_settings_are_read_as_they_are_typed():
    assert read_vary(["learning_rate=1e-3, 0.1", "hidden=64x32,8"]) == {
        "learning_rate": ["1e-3", "0.1"],
        "hidden": [["64", "32"], ["8"]],
    }
    for text, words in (("epochs", "NAME=VALUE"), ("epochs=2", "epochs comes twice")):
        with pytest.raises(InputError, match=words):
            read_vary(["epochs=1", text])


@given(
    st.one_of(
        st.tuples(
            st.just("hidden"),
            st.lists(st.lists(st.integers(1, 99), min_size=1).map(tuple), min_size=1),
        ),
        st.tuples(st.just("learning_rate"), st.lists(st.sampled_from([1e-12, 0.1, 5.0, 1e3]))),
    )
)
def test_values_that_are_written_are_read_again(pair):
    name, values = pair
    read = read_values(name, write_values(values))
    if name == "hidden":
        assert [tuple(map(int, widths)) for widths in read] == values
    else:
        assert list(map(float, read)) == values


def test_a_study_is_read_from_a_toml_file(home):
    file = home / "study.toml"
    file.write_text(
        'question = "Which?"\ndataset = "mnist-5k"\nseeds = [2, 4]\n'
        "[settings]\nepochs = 3\n[vary]\nhidden = [[8], [8, 8]]\n",
        encoding="utf-8",
    )
    plan = read_plan(file)
    assert read_plan("~/study.toml") == plan
    assert plan == Plan("Which?", "mnist-5k", [2, 4], {"epochs": 3}, {"hidden": [[8], [8, 8]]})
    assert [(c.seed, c.hidden) for c in grid(plan.vary, plan.seeds, plan.settings)] == [
        (2, (8,)),
        (2, (8, 8)),
        (4, (8,)),
        (4, (8, 8)),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = 1", "Unknown field of the study {file} 'seed'. Did you mean 'seeds'?"),
        ("seeds = true", "seeds of the study {file} must be a whole number or a list, not True."),
        ("vary = 3", "vary of the study {file} must be a table, not 3."),
        ("vary =", "{file} is not a TOML file: Invalid value"),
        ("a = " + "[" * 5000, "{file} is not a TOML file:"),
        ("#" * 2**15, "{file} must have at most 16,384 bytes to be a study."),
        (
            "dataset = " + str(["x"] * 1000),
            "must be a text, not ['x', 'x', 'x', 'x', 'x', 'x', ...]",
        ),
    ],
)
def test_another_file_is_refused_in_one_sentence(tmp_path, text, words):
    file = tmp_path / "study.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_plan(file)
    assert words.format(file=file) in str(caught.value)


def test_a_file_of_an_editor_that_marks_its_encoding_is_read(tmp_path):
    (tmp_path / "study.toml").write_text("seeds = 4", encoding="utf-8-sig")
    assert read_plan(tmp_path / "study.toml").seeds == 4


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read: No such file or directory\."):
        read_plan(tmp_path / "none.toml")
