"""Curves over the epochs are what was recorded: each seed, and their mean."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from lab import Runs, plots
from lab.errors import InputError, RunError
from lab.plots.epoch_curves import label_ends, mean_curve
from lab.plots.styles import Style


def curves(ax, colour):
    """The lines of a colour in data coordinates, thin ones first; its label's line is left out."""
    found = [
        line
        for line in ax.get_lines()
        if line.get_transform() == ax.transData and line.get_color() == colour
        and line.get_linestyle() != "None" and line.get_marker() != "o"
    ]  # fmt: skip
    return [line.get_ydata() for line in sorted(found, key=lambda line: line.get_linewidth())]


@pytest.mark.parametrize(("measure", "scale"), [("validation_accuracy", 100), ("train_loss", 1)])
def test_learning_curves_are_each_seed_thin_and_their_mean_thick(
    look, trained_runs, measure, scale
):
    ax = plots.learning_curves(trained_runs, measure)
    split, value = measure.split("_")
    table = trained_runs.epochs()
    table = table[(table.split == split) & (table.activation == "elu")]
    expected = scale * table.pivot_table(values=value, index="epoch", columns="seed").to_numpy()
    first, second, mean = curves(ax, look("elu")[0])
    np.testing.assert_allclose(
        sorted([tuple(first), tuple(second)]), sorted(map(tuple, expected.T))
    )
    np.testing.assert_allclose(mean, expected.mean(axis=1))


def test_each_curve_is_named_at_its_end_in_its_line_style(look, runs):
    ax = plots.learning_curves(runs)
    assert {text.get_text() for text in ax.texts} == {"ReLU", "ELU α=1", "Leaky ReLU α=0.01"}
    samples = [
        line for line in ax.get_lines() if not line.get_transform().contains_branch(ax.transData)
    ]
    shown = {(line.get_color(), line.get_linestyle()) for line in samples}
    assert shown == {look("relu"), look("elu"), look("leaky_relu")}
    heights = sorted(text.get_position()[1] for text in ax.texts)
    assert min(np.diff(heights)) > 0.05
    assert 0 <= heights[0] <= heights[-1] <= 1


def test_many_names_stay_on_the_axes_and_in_the_order_of_their_ends():
    ax = Figure().subplots()
    ax.set_ylim(0, 1)
    looks = [Style(str(n), "black", "-", "o") for n in range(12)]
    label_ends(ax, [(0.9 + n / 1000, look) for n, look in enumerate(looks)])
    heights = {int(text.get_text()): text.get_position()[1] for text in ax.texts}
    assert [heights[n] for n in range(12)] == sorted(heights.values())
    assert 0 <= heights[0] <= heights[11] <= 1.0001


def test_a_mean_ends_where_a_seed_ends_or_is_not_finite():
    seeds = [np.array([1.0, 2.0, 3.0]), np.array([3.0, 4.0]), np.array([5.0, np.nan, 1.0])]
    np.testing.assert_array_equal(mean_curve(seeds), [3.0, np.nan, np.nan])


def test_dead_neurons_are_the_recorded_shares_in_percent(look, trained_runs):
    ax = plots.dead_neurons(trained_runs, 2)
    table = trained_runs.layers()
    relu = table[(table.activation == "relu") & (table.layer == 2)]
    by_epoch = 100 * relu.groupby("epoch").dead_fraction.mean()
    assert by_epoch.max() > 0  # The learning rate kills some.
    *_, mean = curves(ax, look("relu")[0])
    np.testing.assert_allclose(mean, by_epoch)
    confirmed = 100 * relu.dead_confirmed_fraction.dropna().mean()
    rings = [line for line in ax.get_lines() if line.get_marker() == "o"]
    ring = next(
        line for line in rings if to_hex(line.get_markeredgecolor()).upper() == look("relu")[0]
    )
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (3, pytest.approx(confirmed))
    assert ax.get_ylabel() == "dead, % of layer 2"


def test_any_measure_of_a_layer_can_be_drawn(look, trained_runs):
    ax = plots.dead_neurons(trained_runs, 1, "mean_gate")
    *_, mean = curves(ax, look("elu")[0])
    table = trained_runs.layers()
    expected = table[(table.activation == "elu") & (table.layer == 1)].groupby("epoch").mean_gate
    np.testing.assert_allclose(mean, expected.mean())
    assert ax.get_ylabel() == "mean gate, layer 1"


def test_survival_curves_are_those_of_the_lives(trained_runs):
    ax = plots.survival(trained_runs, 1)
    drawn = [tuple(line.get_ydata()) for line in ax.lines]
    for run in trained_runs:
        assert tuple(100 * run.lives(1).survival) in drawn
    assert ax.get_ylabel() == "never dead, % of layer 1"


@pytest.mark.parametrize(
    ("draw", "error", "words"),
    [
        (lambda runs: plots.learning_curves(runs, "loss"), InputError, "Unknown measure 'loss'"),
        (lambda runs: plots.dead_neurons(runs, 1, "dead"), InputError, "Unknown measure 'dead'"),
        (lambda runs: plots.dead_neurons(runs, 3), RunError, "layer must be from 1 to 2"),
        (lambda runs: plots.learning_curves(Runs([])), InputError, "at least one run"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(runs, draw, error, words):
    with pytest.raises(error, match=words):
        draw(runs)


def test_a_curve_of_clones_is_of_every_kept_epoch(with_clones, two_kinds):
    runs = Runs([with_clones()])
    ax = plots.redundancy(runs, 1, dataset=two_kinds)
    assert ax.get_lines()[-2].get_ydata() == pytest.approx([100 / 3] * 2)
    assert ax.get_ylabel() == "clones, % of layer 1"
    ax = plots.redundancy(runs, 1, "stable_rank", two_kinds)
    ranks = [run.redundancy(two_kinds, epoch)[0]["stable_rank"] for run in runs for epoch in (0, 1)]
    assert ax.get_lines()[1].get_ydata() == pytest.approx(ranks)
    assert ax.get_ylabel() == "stable rank, layer 1"


def test_curves_of_clones_say_what_they_need(with_clones, two_kinds):
    runs = Runs([with_clones(keep_weights="last")])
    with pytest.raises(
        RunError, match=r"epoch 0, but of: 1\. A run trained with keep_weights='every'"
    ):
        plots.redundancy(runs, 1, dataset=two_kinds)
    with pytest.raises(InputError, match="Unknown measure 'rank'"):
        plots.redundancy(runs, 1, "rank")
    with pytest.raises(RunError, match="layer must be from 1 to 1"):
        plots.redundancy(runs, 2, dataset=two_kinds)
    with pytest.raises(InputError, match="at least one run"):
        plots.redundancy(Runs([]), 1)
