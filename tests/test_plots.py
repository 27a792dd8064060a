"""Plots: what is drawn is what was recorded, in one look for each activation function."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import lab
from lab import RunConfig, Runs, RunStore, activations, measures, plots, stats
from lab.errors import InputError, RunError

SETTINGS = {"hidden": (20, 10), "epochs": 3, "batch_size": 50, "learning_rate": 0.3}


@pytest.fixture(scope="module")
def runs(tiny, tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("plots") / "runs")
    return lab.compare(["relu", "elu", "leaky_relu"], 2, tiny, store, **SETTINGS)


def curves(ax, colour):
    """The lines of a colour in data coordinates, thin ones first; its label's line is left out."""
    found = [
        line
        for line in ax.get_lines()
        if line.get_transform() == ax.transData and line.get_color() == colour
        and line.get_linestyle() != "None" and line.get_marker() != "o"
    ]  # fmt: skip
    return [line.get_ydata() for line in sorted(found, key=lambda line: line.get_linewidth())]


def look(name):
    activation = activations.get(name)
    return activation.colour, activation.line


def test_every_built_in_function_has_a_look_of_its_own_of_the_palette():
    looks = [look(name) for name in activations.names()]
    assert len(set(looks)) == len(looks)
    assert {colour for colour, _ in looks} <= set(activations.OKABE_ITO.values())


@pytest.mark.parametrize("name", ["a", "swoosh", "mine", "bent_relu"])
def test_an_own_function_has_a_look_that_no_built_in_one_has(name):
    colour, line = activations.own_style(name)
    assert (colour, line) not in [look(n) for n in activations.names()]
    assert activations.own_style(name) == (colour, line)


def test_functions_are_drawn_with_their_values_label_and_look():
    ax = plots.functions(["relu", "elu=0.5"])
    relu, elu = ax.get_lines()
    z = relu.get_xdata()
    assert (z[0], z[-1], len(z)) == (-4, 4, 801)
    np.testing.assert_array_equal(relu.get_ydata(), np.maximum(z, 0))
    np.testing.assert_allclose(elu.get_ydata()[z < 0], 0.5 * (np.exp(z[z < 0]) - 1), rtol=1e-12)
    assert [line.get_label() for line in (relu, elu)] == ["ReLU", "ELU α=0.5"]
    assert [(line.get_color(), line.get_linestyle()) for line in (relu, elu)] == [
        look("relu"),
        look("elu"),
    ]


def test_a_derivative_that_jumps_is_drawn_with_a_gap_and_no_slope():
    (line,) = plots.functions(["relu"], derivative=True).get_lines()
    z, gate = line.get_data()
    assert set(gate[np.isfinite(gate)]) == {0.0, 1.0}
    assert np.isnan(gate).sum() == 1
    assert abs(z[np.isnan(gate)][0]) <= 0.01


def test_two_parameters_of_one_function_share_the_colour_and_not_the_line_style():
    first, second = plots.functions(["leaky_relu=0.1", "leaky_relu=0.3"]).get_lines()
    assert first.get_color() == second.get_color()
    assert first.get_linestyle() != second.get_linestyle()


def test_a_steep_function_is_drawn_whole():
    (line,) = plots.functions(["leaky_relu=-20"]).get_lines()
    assert np.isfinite(line.get_ydata()).all()
    (gate,) = plots.functions(["leaky_relu=-20"], derivative=True).get_lines()
    assert np.isnan(gate.get_ydata()).sum() == 1


def test_many_parameters_of_one_function_all_look_different_and_the_default_keeps_its_own():
    slopes = (0.5, 0.1, 0.2, 0.3, 0.01, 0.4, 0.6)
    lines = plots.functions([f"leaky_relu={slope}" for slope in slopes]).get_lines()
    looks = [(line.get_color(), line.get_linestyle()) for line in lines]
    assert len(set(looks)) == len(slopes)
    assert looks[4] == look("leaky_relu")


def test_a_function_with_its_derivative_is_drawn_thick_and_thin():
    value, gate = plots.with_derivative("tanh").get_lines()
    z = value.get_xdata()
    np.testing.assert_allclose(value.get_ydata(), np.tanh(z))
    np.testing.assert_allclose(gate.get_ydata(), 1 - np.tanh(z) ** 2, atol=1e-12)
    assert value.get_linewidth() > 2 * gate.get_linewidth()


def test_an_unknown_function_is_refused_by_its_name():
    with pytest.raises(InputError, match="Did you mean 'relu'"):
        plots.functions(["rellu"])


@pytest.mark.parametrize(("measure", "scale"), [("validation_accuracy", 100), ("train_loss", 1)])
def test_learning_curves_are_each_seed_thin_and_their_mean_thick(runs, measure, scale):
    ax = plots.learning_curves(runs, measure)
    split, value = measure.split("_")
    table = runs.epochs()
    table = table[(table.split == split) & (table.activation == "elu")]
    expected = scale * table.pivot_table(values=value, index="epoch", columns="seed").to_numpy()
    first, second, mean = curves(ax, look("elu")[0])
    np.testing.assert_allclose(
        sorted([tuple(first), tuple(second)]), sorted(map(tuple, expected.T))
    )
    np.testing.assert_allclose(mean, expected.mean(axis=1))


def test_each_curve_is_named_at_its_end_in_its_line_style(runs):
    ax = plots.learning_curves(runs)
    assert {text.get_text() for text in ax.texts} == {"ReLU", "ELU α=1", "Leaky ReLU α=0.01"}
    samples = [line for line in ax.get_lines() if line.get_transform() == ax.transAxes]
    shown = {(line.get_color(), line.get_linestyle()) for line in samples}
    assert shown == {look("relu"), look("elu"), look("leaky_relu")}
    heights = sorted(text.get_position()[1] for text in ax.texts)
    assert min(np.diff(heights)) > 0.08
    assert 0 <= heights[0] <= heights[-1] <= 1


def test_many_names_stay_on_the_axes_and_in_the_order_of_their_ends():
    ax = Figure().subplots()
    ax.set_ylim(0, 1)
    looks = [plots._Look(str(n), "black", "-") for n in range(12)]
    plots._label_ends(ax, [(0.9 + n / 1000, look) for n, look in enumerate(looks)])
    heights = {int(text.get_text()): text.get_position()[1] for text in ax.texts}
    assert [heights[n] for n in range(12)] == sorted(heights.values())
    assert 0 <= heights[0] <= heights[11] <= 1.0001


def test_a_mean_ends_where_a_seed_ends_or_is_not_finite():
    seeds = [np.array([1.0, 2.0, 3.0]), np.array([3.0, 4.0]), np.array([5.0, np.nan, 1.0])]
    np.testing.assert_array_equal(plots._mean_curve(seeds), [3.0, np.nan, np.nan])


def test_dead_neurons_are_the_recorded_shares_in_percent(runs):
    ax = plots.dead_neurons(runs, 2)
    table = runs.layers()
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


def test_any_measure_of_a_layer_can_be_drawn(runs):
    ax = plots.dead_neurons(runs, 1, "mean_gate")
    *_, mean = curves(ax, look("elu")[0])
    table = runs.layers()
    expected = table[(table.activation == "elu") & (table.layer == 1)].groupby("epoch").mean_gate
    np.testing.assert_allclose(mean, expected.mean())
    assert ax.get_ylabel() == "mean gate, layer 1"


def test_life_states_take_the_gravest_that_fits(runs):
    relu, elu = runs[0], runs[1]
    dead = lab.units.dead(relu.layer(1))
    assert ((lab.lives.states(relu.layer(1)) == lab.lives.STATES.index("dead")) == dead).all()
    states, summaries = lab.lives.states(elu.layer(2)), elu.layer(2)
    alive = ~lab.units.always_negative(summaries) & ~lab.units.nearly_dead(summaries)
    assert ((states == 0) == alive).all()


def test_a_life_map_has_a_row_for_each_neuron_that_is_not_always_alive(runs):
    relu = max(runs, key=lambda run: measures.dead_share(run))
    states = lab.lives.states(relu.layer(1))
    eventful = states[:, states.any(axis=0)]
    ax = plots.life_map(relu, 1)
    drawn = ax.get_images()[0].get_array()
    assert drawn.shape == eventful.T.shape
    assert sorted(map(tuple, drawn.tolist())) == sorted(map(tuple, eventful.T.tolist()))
    assert list(drawn[:, -1]) == sorted(drawn[:, -1], reverse=True)
    assert ax.get_title(loc="left") == f"ReLU, layer 1: {len(drawn)} of 20"
    assert "dead" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_life_map_of_neurons_that_all_live_is_empty(tiny):
    (run,) = lab.compare("elu", 1, tiny, hidden=(5,), epochs=1, first_bias=1)
    ax = plots.life_map(run, 1)
    assert ax.get_title(loc="left") == "ELU α=1, layer 1: 0 of 5"


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


def test_learning_rates_are_joined_in_order_and_named(runs, tiny):
    slow = lab.compare("relu", 2, tiny, **(SETTINGS | {"learning_rate": 0.001}))
    ax = plots.accuracy_against_dead(Runs([*runs, *slow]))
    assert {text.get_text() for text in ax.texts} >= {"0.001", "0.3"}
    _, means, *_ = ax.get_lines()
    slowest = 100 * np.mean([run.record.test_accuracy for run in slow])
    assert means.get_ydata()[0] == pytest.approx(slowest)


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


def test_a_forest_plot_shows_every_seed_the_mean_and_its_interval():
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
    assert means[1].get_markerfacecolor() == "white"
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


@pytest.fixture(scope="module")
def rates(runs, tiny):
    slow = lab.compare(["relu", "elu"], 2, tiny, **(SETTINGS | {"learning_rate": 0.001}))
    return Runs([*runs, *slow])


@pytest.mark.parametrize("measure", ["validation_accuracy", "dead", "test_loss"])
def test_a_measure_over_the_rates_is_the_mean_at_each(rates, measure):
    ax = plots.over_rates(rates, measure)
    wanted = measures.measure(measure)
    (line,) = (line for line in ax.get_lines() if line.get_label() == "ReLU")
    relu = rates.where(activation="relu")
    means = [
        np.mean([wanted.shown(run) for run in relu.where(learning_rate=rate)])
        for rate in (0.001, 0.3)
    ]
    np.testing.assert_allclose(line.get_xydata(), [(0.001, means[0]), (0.3, means[1])])
    (seeds, *_) = (line for line in ax.get_lines() if line.get_marker() == ".")
    assert sorted(seeds.get_ydata()) == sorted(map(wanted.shown, relu))
    assert ax.get_ylabel() == wanted.axis


def test_a_function_of_one_rate_changes_no_others_name(rates):
    for draw in (plots.over_rates, plots.accuracy_against_dead):
        texts = [text.get_text() for text in draw(rates).get_legend().get_texts()]
        assert sorted(texts) == ["ELU α=1", "Leaky ReLU α=0.01", "ReLU"]


def test_a_ring_is_at_the_best_rate_on_validation(rates):
    ax = plots.over_rates(rates, "dead", only="ELU α=1")
    (ring,) = (line for line in ax.get_lines() if line.get_markersize() == 16)
    best = stats.best_rates(rates).set_index("activation").learning_rate["ELU α=1"]
    assert ring.get_xdata().tolist() == [best]
    grey = [line for line in ax.get_lines() if line.get_color() == "#cccccc"]
    assert len(grey) == 2  # The other functions.


def test_a_rate_with_a_diverged_run_has_a_cross_and_no_mean(rates):
    first = rates.where(activation="elu", learning_rate=0.001)[0]
    lost = replace(first, record=first.record.model_copy(update={"status": "diverged"}))
    ax = plots.over_rates(Runs([lost if run is first else run for run in rates]))
    (line,) = (line for line in ax.get_lines() if line.get_label() == "ELU α=1")
    assert np.isnan(line.get_ydata()).tolist() == [True, False]
    crosses = [line.get_xdata().tolist() for line in ax.get_lines() if line.get_marker() == "x"]
    assert sorted(crosses) == [[], [], [0.001]]


def test_a_heat_map_tells_no_run_from_a_diverged_one():
    mean = pd.DataFrame([[97.0, np.nan], [np.nan, 0.0]])
    empty = np.array([[False, True], [False, False]])
    ax = plots.heat_map(mean, mean * np.nan, "", Figure().subplots(), empty)
    assert [text.get_text() for text in ax.texts] == ["97.0", "no run", "diverged", "0.0"]


def test_settings_that_differ_are_named_in_the_labels(runs):
    a, b = runs[0].config, runs[0].config.model_copy(update={"learning_rate": 0.5})
    assert plots.labels([a, b]) == ["ReLU, lr 0.3", "ReLU, lr 0.5"]
    assert plots.labels([a, runs[1].config]) == ["ReLU", "ELU α=1"]


def test_a_plot_draws_on_the_axes_it_is_given_and_returns_them(runs):
    ax = Figure().subplots()
    assert plots.learning_curves(runs, ax=ax) is ax
    assert plots.dead_neurons(runs, 1, ax=ax) is ax
    assert plots.life_map(runs[0], 1, ax=ax) is ax
    assert plots.functions(ax=ax) is ax


@pytest.mark.parametrize(
    ("draw", "error", "words"),
    [
        (lambda runs: plots.learning_curves(runs, "loss"), InputError, "Unknown measure 'loss'"),
        (lambda runs: plots.dead_neurons(runs, 1, "dead"), InputError, "Unknown measure 'dead'"),
        (lambda runs: plots.dead_neurons(runs, 3), RunError, "layer must be from 1 to 2"),
        (lambda runs: plots.life_map(runs[0], 0), RunError, "layer must be from 1 to 2"),
        (lambda runs: plots.learning_curves(Runs([])), InputError, "at least one run"),
        (lambda runs: plots.accuracy_against_dead(Runs([])), InputError, "at least one run"),
        (lambda runs: plots.over_rates(Runs([])), InputError, "at least one run"),
        (lambda runs: plots.over_rates(runs, only="GELU"), InputError, "Unknown activation funct"),
        (lambda runs: plots.over_rates(runs, "mean_gate", 3), RunError, "layer must be from 1"),
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


def test_plots_need_neither_tensorflow_nor_pyplot(runs):
    script = (
        "import sys\nfrom lab import RunStore, plots\n"
        f"runs = RunStore({str(runs[0].folder.parent)!r}).runs\n"
        "plots.learning_curves(runs).figure.savefig(sys.stdout.buffer, format='svg')\n"
        "plots.functions(['gelu', 'mish'])\n"
        "assert not {'tensorflow', 'matplotlib.pyplot'} & set(sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert b"<svg" in ended.stdout


def test_functions_reach_as_far_as_nearly_all_pre_activations():
    z = np.concatenate([np.linspace(-20, 20, 1000), [np.inf, np.nan, 1e30]])
    left, right = plots.function_pair(["relu"], z).axes[:2]
    assert left.lines[0].get_xdata()[[0, -1]].tolist() == [-20, 20]
    assert right.lines[0].get_xdata()[-1] == 20
    assert plots.function_pair(["relu"], np.array([np.nan])).axes[0].lines[0].get_xdata()[-1] == 4


def test_flows_show_the_born_dead_at_epoch_0_the_dying_upwards_and_the_revived_downwards(runs):
    relu = max(runs, key=lambda run: measures.dead_share(run))
    lived = relu.lives(1)
    ax = plots.flows(relu, 1)
    died, revived = ax.containers
    expected = lived.died.sum(axis=1)
    expected[0] = lived.dead[0].sum()
    assert [bar.get_height() for bar in died] == expected.tolist()
    assert [bar.get_height() for bar in revived] == (-lived.revived.sum(axis=1)).tolist()
    assert ax.lines[0].get_ydata().tolist() == lived.dead.sum(axis=1).tolist()


def test_survival_curves_are_those_of_the_lives(runs):
    ax = plots.survival(runs, 1)
    drawn = [tuple(line.get_ydata()) for line in ax.lines]
    for run in runs:
        assert tuple(100 * run.lives(1).survival) in drawn
    assert ax.get_ylabel() == "never dead, % of layer 1"
