"""The figure of clones and ranks: its panels, its table and its words say what was measured."""

import pytest

import lab
from lab import LabError, figures
from lab.figures.of_redundancy import at_the_end


@pytest.fixture
def runs(with_clones):
    return lab.Runs([with_clones(seed=0), with_clones(seed=1)])


def test_the_panels_are_dead_neurons_clones_and_ranks(runs, two_kinds):
    *panels, table = figures.redundancy(runs, two_kinds).figure.axes
    assert [ax.get_ylabel() for ax in panels] == [
        "dead, % of layer 1",
        "clones, % of layer 1",
        "effective rank, layer 1",
        "stable rank, layer 1",
    ]
    assert len(table.tables) == 1


def test_table_words_and_caption_hold_the_last_epoch(runs, two_kinds):
    picture = figures.redundancy(runs, two_kinds, "mine")
    (row,) = at_the_end(runs, two_kinds)
    (layer,) = runs[0].redundancy(two_kinds)
    ranks = [f"{layer[name]:.1f}" for name in ("effective_rank", "stable_rank")]
    assert row == ["ReLU", "1", "3", "1.0", "1.0", *ranks]
    assert "ReLU, layer 1 of 3 neurons: dead 1.0, clones 1.0, effective rank" in picture.alt
    assert picture.name == "mine-redundancy"
    assert "|correlation| above 0.95" in " ".join(picture.figure.get_supxlabel().split())


def test_of_seeds_that_differ_the_table_has_mean_and_range(with_clones, by_hand, two_kinds):
    one = with_clones(seed=0)
    weights = [array.copy() for array in one.weights()]
    weights[0][0, 2] = 0  # The third has no clone then: it is dead.
    other = by_hand(two_kinds, [list(one.weights()), weights], seed=1)
    (row,) = at_the_end(lab.Runs([one, other]), two_kinds)
    assert other.redundancy(two_kinds, 0)[0]["clones"] == 1  # Untrained it had one.
    assert row[3:5] == ["1.5\n(1.0 to 2.0)", "0.5\n(0.0 to 1.0)"]


def test_a_run_with_the_last_weights_alone_is_one_sentence(with_clones, two_kinds):
    with pytest.raises(LabError, match="A run trained with keep_weights='every' keeps those"):
        figures.redundancy(lab.Runs([with_clones(keep_weights="last")]), two_kinds)
    with pytest.raises(LabError, match="at least one run"):
        figures.redundancy(lab.Runs([]), two_kinds)
