"""Test accuracy stands against the neurons that are dead on all training images."""

import numpy as np
import pytest

from lab import Runs, plots
from lab.errors import InputError


def test_accuracy_stands_against_the_share_dead_over_all_layers(runs):
    ax = plots.accuracy_against_dead(runs)
    relu = [run for run in runs if run.config.activation == "relu"]
    expected = {
        (
            100 * (20 * run.confirmed_fractions()[0] + 10 * run.confirmed_fractions()[1]) / 30,
            100 * run.record.test_accuracy,
        )
        for run in relu
    }
    points, means, *_ = ax.get_lines()
    np.testing.assert_allclose(sorted(map(tuple, points.get_xydata())), sorted(expected))
    np.testing.assert_allclose(means.get_xydata()[0], np.mean(list(expected), axis=0))


def test_learning_rates_are_joined_in_order_and_named(rates):
    slow = rates.where(activation="relu", learning_rate=0.001)
    ax = plots.accuracy_against_dead(rates)
    assert {text.get_text() for text in ax.texts} >= {"0.001", "0.3"}
    _, means, *_ = ax.get_lines()
    slowest = 100 * np.mean([run.record.test_accuracy for run in slow])
    assert means.get_ydata()[0] == pytest.approx(slowest)


def test_no_runs_are_refused():
    with pytest.raises(InputError, match="at least one run"):
        plots.accuracy_against_dead(Runs([]))
