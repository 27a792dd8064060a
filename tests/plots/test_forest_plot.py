"""Forest plots show every seed, the mean and its interval, and what there is not."""

from dataclasses import replace

import numpy as np
import pytest

from lab import RunConfig, plots, stats
from lab.errors import InputError
from lab.plots import palette
from lab.runs import measures


def verdict(name, differences, measure="test_accuracy", where="", against="relu"):
    return stats.Verdict(
        config=RunConfig(activation=name),
        against=RunConfig(activation=against),
        where=where,
        measure=measures.measure(measure),
        seeds=tuple(range(len(differences))),
        paired=stats.paired(differences, np.zeros(len(differences))),
    )


CLEAR, UNCLEAR = [1, 1.2, 1.4, 1, 1.2, 1.4], [0.4, -0.4, 0.2, -0.2, 0.1, 0.1]


def drawn_at(ax, row):
    """The lines of a forest plot's row: seeds, mean, and the interval if there is one."""
    lines = [li for li in ax.get_lines() if li.get_marker() != "None" or li.get_linewidth() == 3]
    at = {"seeds": [], "mean": [], "interval": []}
    for line in lines:
        kind = "interval" if line.get_marker() == "None" else "mean"
        kind = "seeds" if line.get_marker() == "." else kind
        if round(line.get_ydata()[0]) == row and row <= line.get_ydata()[0] < row + 0.5:
            at[kind].append(line)
    return at


def test_a_forest_plot_shows_every_seed_the_mean_and_its_interval(look):
    found = stats.corrected([verdict("elu", CLEAR), verdict("tanh", UNCLEAR)])
    ax = plots.forest(found)
    for row, one in enumerate(found):
        (seeds,), (mean,), (interval,) = drawn_at(ax, row).values()
        np.testing.assert_array_equal(seeds.get_xdata(), one.paired.differences)
        assert list(mean.get_xdata()) == [one.paired.mean]
        assert list(interval.get_xdata()) == [one.paired.low, one.paired.high]
        assert {mean.get_color(), seeds.get_color()} == {look(one.config.activation)[0]}
    means = [drawn_at(ax, row)["mean"][0] for row in (0, 1)]
    assert means[0].get_markerfacecolor() == look("elu")[0]  # Told apart: filled.
    assert means[1].get_markerfacecolor() == palette.PAPER
    assert [text.get_text() for text in ax.get_yticklabels()] == ["ELU α=1", "tanh"]
    assert ax.get_xlabel() == "test accuracy: difference from ReLU, points"
    assert "1.20 (1.01 to 1.39), n = 6" in [text.get_text() for text in ax.texts]


def test_a_forest_plot_says_which_side_is_better():
    def sides(measure):
        ax = plots.forest([verdict("elu", CLEAR, measure)])
        return [text.get_text() for text in ax.texts if "→" in text.get_text()]

    assert sides("test_accuracy") == ["better →"]
    assert sides("test_loss") == ["worse →"]


def test_few_seeds_have_no_interval_and_diverged_ones_no_mean():
    few, bad = verdict("elu", [1, 2, 3]), verdict("tanh", [1, np.nan, 3, 4, 5, 6])
    ax = plots.forest([few, replace(bad, problem="tanh diverged with seed 1")])
    assert drawn_at(ax, 0)["interval"] == drawn_at(ax, 1)["interval"] == []
    assert drawn_at(ax, 1)["seeds"][0].get_xdata().tolist() == [1, 3, 4, 5, 6]
    assert np.isnan(drawn_at(ax, 1)["mean"][0].get_xdata()[0])
    texts = [text.get_text() for text in ax.texts]
    assert {"too few seeds, n = 3", "no verdict: diverged"} <= set(texts)


def test_rows_of_several_places_name_theirs():
    ax = plots.forest([verdict("elu", CLEAR, where=where) for where in ("here", "there")])
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["ELU α=1\nhere", "ELU α=1\nthere"]


@pytest.mark.parametrize(
    ("draw", "error", "words"),
    [
        (lambda runs: plots.forest([]), InputError, "one or more on one measure, and they are non"),
        (
            lambda runs: plots.forest([verdict("elu", CLEAR), verdict("elu", CLEAR, "test_loss")]),
            *(InputError, "on 2: test accuracy, test loss"),
        ),
    ],
)
def test_bad_input_is_answered_with_a_sentence(runs, draw, error, words):
    with pytest.raises(error, match=words):
        draw(runs)
