"""Measures over the learning rates: means, the best one's ring, and crosses."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from lab import Runs, plots, stats
from lab.errors import InputError, RunError
from lab.plots import canvas, palette
from lab.runs import measures


@pytest.mark.parametrize("measure", ["validation_accuracy", "dead", "test_loss"])
def test_a_measure_over_the_rates_is_the_mean_at_each(rates, measure):
    ax = plots.over_rates(rates, measure)
    wanted = measures.measure(measure)
    (line,) = (line for line in ax.get_lines() if line.get_label() == "ReLU")
    relu = rates.where(activation="relu")
    means = [
        np.mean([wanted.printed(run) for run in relu.where(learning_rate=rate)])
        for rate in (0.001, 0.3)
    ]
    np.testing.assert_allclose(line.get_xydata(), [(0.001, means[0]), (0.3, means[1])])
    (seeds, *_) = (line for line in ax.get_lines() if line.get_marker() == ".")
    assert sorted(seeds.get_ydata()) == sorted(map(wanted.printed, relu))
    assert ax.get_ylabel() == wanted.axis


def test_a_function_of_one_rate_changes_no_others_name(rates):
    texts = [text.get_text() for text in plots.over_rates(rates).get_legend().get_texts()]
    assert sorted(texts) == ["ELU α=1", "Leaky ReLU α=0.01", "ReLU"]


def test_a_ring_is_at_the_best_rate_on_validation(rates):
    ax = plots.over_rates(rates, "dead", only="ELU α=1")
    (ring,) = (line for line in ax.get_lines() if line.get_markersize() == 16)
    best = stats.best_rates(rates).set_index("activation").learning_rate["ELU α=1"]
    assert ring.get_xdata().tolist() == [best]
    grey = [line for line in ax.get_lines() if line.get_color() == palette.SILVER]
    assert len(grey) == 2  # The other functions.


def test_a_rate_with_a_diverged_run_has_a_cross_and_no_mean(rates):
    first = rates.where(activation="elu", learning_rate=0.001)[0]
    lost = replace(first, record=first.record.model_copy(update={"status": "diverged"}))
    ax = plots.over_rates(Runs([lost if run is first else run for run in rates]))
    (line,) = (line for line in ax.get_lines() if line.get_label() == "ELU α=1")
    assert np.isnan(line.get_ydata()).tolist() == [True, False]
    crosses = [line.get_xdata().tolist() for line in ax.get_lines() if line.get_marker() == "x"]
    assert sorted(crosses) == [[], [], [0.001]]


@pytest.mark.parametrize(
    ("draw", "error", "words"),
    [
        (lambda runs: plots.over_rates(Runs([])), InputError, "at least one run"),
        (lambda runs: plots.over_rates(runs, only="GELU"), InputError, "Unknown activation funct"),
        (lambda runs: plots.over_rates(runs, "mean_gate", 3), RunError, "layer must be from 1"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(runs, draw, error, words):
    with pytest.raises(error, match=words):
        draw(runs)


def test_an_accuracy_is_as_high_as_its_error_is_small():
    ax = Figure().subplots()
    ax.set_ylim(0, 100)
    canvas.error_scale(ax)
    heights = ax.transScale.transform([(1, accuracy) for accuracy in (0, 90, 99, 97, 98)])[:, 1]
    np.testing.assert_allclose(heights[:3], [-2, -1, 0])
    assert heights[4] - heights[3] == pytest.approx(np.log10(3 / 2))
    low, high = ax.get_ylim()
    assert low < 0
    assert 99.9 < high < 100


def test_accuracies_that_are_all_alike_have_room_above_and_below(recwarn):
    ax = Figure().subplots()
    ax.plot([1, 2], [9.8, 9.8])
    canvas.error_scale(ax)
    low, high = ax.get_ylim()
    assert low < 9.8 < high
    assert not recwarn.list
