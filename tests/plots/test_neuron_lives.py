"""Life maps and flows show every neuron that was recorded."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.path import Path

import lab
from lab import plots
from lab.errors import RunError
from lab.plots.neuron_lives import LIFE_COLOURS
from lab.runs import measures


def test_life_states_take_the_gravest_that_fits(trained_runs):
    relu, elu = trained_runs[0], trained_runs[1]
    dead = lab.census.units.dead(relu.layer(1))
    assert (
        (lab.census.lives.states(relu.layer(1)) == lab.census.lives.STATES.index("dead")) == dead
    ).all()
    states, summaries = lab.census.lives.states(elu.layer(2)), elu.layer(2)
    alive = ~lab.census.units.always_negative(summaries) & ~lab.census.units.nearly_dead(summaries)
    assert ((states == 0) == alive).all()


def drawn_states(ax, states):
    """What a life map shows: the state at each neuron's row and each epoch, by its colours."""
    drawn = np.full(states.T.shape, -1)
    rows, epochs = np.mgrid[: drawn.shape[0], : drawn.shape[1]]
    middles = np.column_stack([epochs.ravel(), rows.ravel() + 0.5])
    for patch in ax.patches:
        state = [to_rgba(colour) for colour in LIFE_COLOURS].index(patch.get_facecolor())
        for square in patch.get_path().to_polygons():
            inside = Path(square).contains_points(middles)
            drawn.ravel()[inside] = state
    return drawn


def test_a_life_map_has_a_row_for_each_neuron(trained_runs):
    relu = max(trained_runs, key=lambda run: measures.dead_share(run))
    states = lab.census.lives.states(relu.layer(1))
    ax = plots.life_map(relu, 1)
    drawn = drawn_states(ax, states)
    assert sorted(map(tuple, drawn.tolist())) == sorted(map(tuple, states.T.tolist()))
    assert list(drawn[:, -1]) == sorted(drawn[:, -1], reverse=True)
    assert ax.get_ylim() == (0, 12)
    assert ax.get_title(loc="left") == f"ReLU\nlayer 1: {states.any(axis=0).sum()} of 12"
    assert "dead" in [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.slow
def test_a_life_map_of_neurons_that_all_live_is_of_one_colour(tiny):
    (run,) = lab.compare("elu", 1, tiny, hidden=(5,), epochs=1, first_bias=1)
    ax = plots.life_map(run, 1)
    assert ax.get_title(loc="left") == "ELU α=1\nlayer 1: 0 of 5"
    assert len(ax.patches) == 1


def test_flows_show_the_born_dead_at_epoch_0_the_dying_upwards_and_the_revived_downwards(
    trained_runs,
):
    relu = max(trained_runs, key=lambda run: measures.dead_share(run))
    lived = relu.lives(1)
    ax = plots.flows(relu, 1)
    died, revived = ax.containers
    expected = lived.died.sum(axis=1)
    expected[0] = lived.dead[0].sum()
    assert [bar.get_height() for bar in died] == expected.tolist()
    assert [bar.get_height() for bar in revived] == (-lived.revived.sum(axis=1)).tolist()
    assert ax.lines[0].get_ydata().tolist() == lived.dead.sum(axis=1).tolist()


def test_a_layer_that_is_not_there_is_refused(trained_runs):
    with pytest.raises(RunError, match="layer must be from 1 to 2"):
        plots.life_map(trained_runs[0], 0)
