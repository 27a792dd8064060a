"""The published numbers come out; and where the lab is broken on purpose, they do not."""

import dataclasses
import math

import numpy as np
import pytest

from lab.activations import registry
from lab.analysis import validation
from lab.analysis.validation import Check
from lab.network import optimizers

LONGER = ("ELU", "optimiser", "propagation", "scale")


@pytest.mark.parametrize(
    "group",
    [
        pytest.param(group, marks=[pytest.mark.slow] * (group in LONGER))
        for group in validation.SHORT
    ],
)
def test_the_lab_gives_the_published_numbers(group):
    checks = list(validation.SHORT[group]())
    assert checks
    assert [check for check in checks if not check.passed] == []


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        (Check("q", "s", 1.0, 1.0), True),
        (Check("q", "s", 1.0, 1.1), False),
        (Check("q", "s", 1.0, 1.1, 0.05, 2.1), True),
        (Check("q", "s", 1.0, 0.9, 0.05, 1.9), False),
        (Check("q", "s", 1.0, np.float64(0.9), 0.05, 1.9), False),
        (Check("q", "s", 1.0, math.nan, 0.05, 4), False),
        (Check("q", "s", 1.0, math.nan, 0.05, 4, differs=True), False),
        (Check("q", "s", 1.0, 1.1, 0.05, 4, differs=True), False),
        (Check("q", "s", 1.0, 2.0, 0.05, 4, differs=True), True),
    ],
)
def test_a_check_passes_within_its_limit_or_beyond_if_it_must_differ(check, passed):
    assert check.passed is passed


def test_the_difference_is_given_in_standard_errors():
    assert Check("q", "s", 1.0, 1.1, 0.05).errors == pytest.approx(2)
    assert Check("q", "s", 1.0, 1.0).errors == 0
    assert Check("q", "s", 1.0, 0.5).errors == -math.inf


def failed(group):
    return [check.quantity for check in validation.SHORT[group]() if not check.passed]


def test_a_wrong_gate_is_found(monkeypatch):
    wrong = dataclasses.replace(registry.get("gelu"), derivative=registry.get("silu").derivative)
    monkeypatch.setitem(registry._REGISTRY, "gelu", wrong)
    assert failed("moments") == ["GELU: E f'²"]


@pytest.mark.slow
def test_first_weights_of_a_wrong_size_are_found(monkeypatch):
    right = validation.first_state

    def wrong(config):
        state = right(config)
        larger = {name: np.float32(1.1) * array for name, array in state.weights.named.items()}
        return dataclasses.replace(state, weights=state.weights.with_arrays(larger))

    monkeypatch.setattr(validation, "first_state", wrong)
    assert "he_normal: E z² from layer to layer" in failed("propagation")


def test_units_that_open_too_often_are_found(monkeypatch):
    right = validation.first_state

    def wrong(config):
        state = right(config)
        biased = {n: a + np.float32(0.01) for n, a in state.weights.named.items() if a.ndim == 1}
        return dataclasses.replace(state, weights=state.weights.with_arrays(biased))

    monkeypatch.setattr(validation, "first_state", wrong)
    assert len(failed("born shut")) == 4


@pytest.mark.slow
def test_an_optimiser_with_a_wrong_decay_is_found(monkeypatch):
    monkeypatch.setattr(optimizers, "ADAM_BETA_1", 0.91)
    assert failed("optimiser") == ["Adam: coasts after the gradient stops"]


def test_the_command_prints_the_table_and_fails_if_a_check_does(lab_main, monkeypatch):
    good, bad = Check("one half", "by hand", 0.5, 0.5), Check("a third", "by hand", 0.333, 0.4)
    monkeypatch.setattr(validation, "SHORT", {"halves": lambda: iter([good])})
    code, out, _ = lab_main("validate")
    assert (code, "one half" in out, "FAIL" in out) == (0, True, False)
    monkeypatch.setattr(validation, "SHORT", {"both": lambda: iter([good, bad])})
    code, out, _ = lab_main("validate")
    assert (code, "FAIL" in out, "1 of the checks failed." in out) == (1, True, True)
