"""Causes of death, on networks made by hand whose deaths have a known cause."""

import numpy as np
import pytest
import tensorflow as tf

from lab import register
from lab.activations import registry
from lab.errors import RunError
from lab.runs import causes
from lab.store import writer


def layer(weights, biases):
    """A first layer that looks at pixel 0 alone: z = bias + weight · pixel."""
    kernel = np.zeros((784, len(weights)))
    kernel[0] = weights
    return [kernel, np.array(biases, np.float32)]


def out_of(units):
    return [np.zeros((units, 10)), np.zeros(10)]


@pytest.fixture
def three(two_kinds, by_hand):
    """Three units, alive before training: a bias falls, a weight turns, and half of each."""
    return by_hand(
        two_kinds,
        [
            [*layer([1, 1, 1], [0.5, 0.5, 0.5]), *out_of(3)],
            [*layer([1, 1, 1], [0.25, 0.5, 0.5]), *out_of(3)],
            [*layer([1, -0.75, 0.5], [-1.25, 0.125, -0.5]), *out_of(3)],
            [*layer([1, -0.75, 0.5], [-2.25, 0.125, -0.5]), *out_of(3)],
        ],
        first_bias=0.5,
    )


def test_a_fall_of_the_bias_and_a_turn_of_the_weights_are_told_apart(three):
    found = causes.find(three, 1)
    assert [found[unit].name for unit in range(2)] == ["bias", "weights"]
    bias, weights = found[0], found[1]
    assert bias.since == 2
    assert (bias.edge_before, bias.edge_after, bias.by_bias) == (1.25, -0.25, 1.5)
    assert weights.by_bias == 0.375
    assert weights.edge_before == 1.5
    assert weights.edge_after == pytest.approx(0.125 - 0.75 * 0.2)  # The faint images are last.


def test_the_table_of_causes_holds_what_was_found_and_the_part_of_the_weights(three):
    table = causes.table(three, 1)
    assert list(table.index) == [0, 1, 2]
    assert list(table.name[:2]) == ["bias", "weights"]
    assert table.loc[0, ["since", "edge_before", "edge_after", "by_bias"]].tolist() == [
        2, 1.25, -0.25, 1.5,
    ]  # fmt: skip
    assert table.by_weights[0] == 0  # All of the way from 1.25 to −0.25 is the bias's.
    assert table.by_weights[1] == pytest.approx(1.5 - (0.125 - 0.75 * 0.2) - 0.375)
    assert list(causes.table(three, 1, epoch=0)) == list(table)


def test_a_unit_that_owes_just_half_of_its_way_to_its_bias_died_of_its_weights(two_kinds, by_hand):
    halves = by_hand(
        two_kinds,
        [[*layer([2, 2], [0, 0]), *out_of(2)], [*layer([1, 1], [-1, -1.0625]), *out_of(2)]],
    )
    found = causes.find(halves, 1)
    assert (found[0].edge_before, found[0].edge_after, found[0].by_bias) == (2, 0, 1)
    assert [found[0].name, found[1].name] == ["weights", "bias"]


def test_what_happened_before_and_after_the_death_is_not_counted(two_kinds, by_hand):
    steps = [(1, 0.5), (4, 0.5), (-1, 0.125), (-1, -9)]  # It lived up, turned, and sank on.
    weights = [[*layer([w], [b]), *out_of(1)] for w, b in steps]
    run = by_hand(two_kinds, weights, first_bias=0.5, keep_weights="last")
    cause = causes.find(run, 1)[0]
    assert (cause.name, cause.since) == ("weights", 2)
    assert (cause.edge_before, cause.by_bias) == (4.5, 0.375)
    assert cause.edge_after == pytest.approx(0.125 - 0.2)


def test_a_run_without_biases_tells_no_cause_but_next_to_kept_weights(
    two_kinds, by_hand, monkeypatch
):
    monkeypatch.setattr("lab.store.writer._unit_arrays", without_biases(writer._unit_arrays))
    weights = [[*layer([w], [b]), *out_of(1)] for w, b in [(1, 0.5), (1, 0.5), (1, -3)]]
    run = by_hand(two_kinds, weights, first_bias=0.5, keep_weights="last")
    assert np.isnan(run.biases(1)[1, 0])
    assert run.biases(1)[[0, 2], 0].tolist() == [0.5, -3]
    assert causes.find(run, 1)[0].name == "unknown"
    assert "did not record the biases around this epoch" in causes.story(run, 1, 0)
    kept = by_hand(two_kinds, weights, first_bias=0.5, batch_size=6)
    assert kept.biases(1)[:, 0].tolist() == [0.5, 0.5, -3]
    assert causes.find(kept, 1)[0].name == "bias"


def without_biases(make):
    return lambda events: {name: a for name, a in make(events).items() if "bias" not in name}


def second(weights, biases):
    return [np.array(weights, np.float32), np.array(biases, np.float32), *out_of(len(biases))]


def test_a_unit_that_dies_when_the_layer_below_goes_silent_died_of_that(two_kinds, by_hand):
    run = by_hand(
        two_kinds,
        [
            [*layer([1, 1], [0, 0]), *second([[1, -1], [0, 0]], [0, 0])],
            [*layer([-1, -1], [0, 0]), *second([[1, 1], [0, 0]], [-0.5, 0])],
        ],
    )
    upper = causes.find(run, 2)
    assert upper[0].name == "layer below silent"
    assert upper[1].name == "born dead"
    assert [cause.name for cause in causes.find(run, 1).values()] == ["weights", "weights"]
    assert "when layer 1 below it went silent" in causes.story(run, 2, 0)
    assert "born so" in causes.story(run, 2, 1)


def test_a_unit_that_died_before_the_layer_below_went_silent_did_not_die_of_that(
    two_kinds, by_hand
):
    run = by_hand(
        two_kinds,
        [
            [*layer([1], [0]), *second([[1]], [0])],
            [*layer([1], [0]), *second([[1]], [-2])],
            [*layer([-1], [0]), *second([[1]], [-2])],
        ],
    )
    assert causes.find(run, 2)[0].name == "bias"
    one_of_two = by_hand(
        two_kinds,
        [
            [*layer([1, 1], [0, 0]), *second([[1], [1]], [0])],
            [*layer([-1, 1], [0, 0]), *second([[1], [-1]], [0])],
        ],
    )
    assert causes.find(one_of_two, 2)[0].name == "weights or inputs"  # The other one still speaks.


@pytest.fixture
def moved(two_kinds, by_hand):
    """In layer 2 both units get a quarter of what they got; one of them turns as well."""

    def make(**settings):
        steps = [(1, [[1, 1]]), (0.25, [[1.001, -3]])]
        weights = [[*layer([w], [0]), *second(upper, [-0.5, -0.5])] for w, upper in steps]
        return by_hand(two_kinds, weights, first_bias=-0.5, **settings)

    return make


def test_a_unit_whose_inputs_moved_is_not_one_whose_weights_turned(moved):
    run = moved()
    one, other = causes.find(run, 2).values()
    assert (one.name, other.name) == ("inputs", "weights or inputs")
    assert (one.edge_before, one.by_bias) == (0.5, 0)
    assert one.edge_after == pytest.approx(0.25 * 1.001 - 0.5)
    story = causes.story(run, 2, 0)
    assert "0 of it by the bias, 0.75 by the weights and what layer 1 gives them." in story
    assert "So what layer 1 gives it moved: the change of its own weights is too small" in story
    assert "So it was its weights, or what layer 1 gives them, or both." in causes.story(run, 2, 1)


def test_the_gates_that_the_run_recorded_say_whether_zero_is_the_edge(two_kinds, by_hand):
    """The gate of ELU with α = 1e-8 is 3.7e-9 at z = -1, and 0 in float32 from z = -85 down."""
    before = [*layer([1, 1], [0, -2]), *out_of(2)]
    after = [*layer([1, 1], [-120, -2]), *out_of(2)]
    run = by_hand(two_kinds, [before, after], activation="elu=1e-8")
    assert list(causes.find(run, 1)) == [0]
    assert causes.story(run, 1, 0).startswith(
        "Dead: no training image opens its gate: its pre-activations lie between −120 and −119, "
        "where the slope is 0 in single precision."
    )
    register("cubed", lambda z: tf.nn.relu(z) ** 3)
    dying = [[*layer([w], [0]), *out_of(1)] for w in (1, -1)]
    run = by_hand(two_kinds, dying, activation="cubed")
    assert np.isnan(run.sup_gate)
    assert causes.story(run, 1, 0).startswith("Dead: no training image pushes it above zero")


def test_the_slope_at_exactly_zero_does_not_say_where_the_gate_closes(two_kinds, by_hand):
    register("ramp", lambda z: tf.maximum(z, 0.0))  # TensorFlow takes 1 for its slope at 0.
    dying = [[*layer([w], [0]), *out_of(1)] for w in (1, -1)]
    run = by_hand(two_kinds, dying, activation="ramp")
    assert run.config.gate(np.float32([0])) == 1
    assert causes.story(run, 1, 0).startswith("Dead: no training image pushes it above zero")


def test_a_gate_may_shut_on_the_right_below_zero(two_kinds, by_hand):
    """The gate is open below z = -5 alone; both units have the same largest z, of -2."""
    register("early", lambda z: tf.minimum(z + 5, 0))
    before, after = layer([-10, -10], [0, 0]), layer([-10, -2.5], [0, -1.5])
    run = by_hand(two_kinds, [[*w, *out_of(2)] for w in (before, after)], activation="early")
    found = causes.find(run, 1)
    assert list(found) == [1]
    assert found[1] == causes.Cause("weights", 1, -10, -4, -1.5)


def test_the_gates_that_the_run_recorded_say_on_which_side_they_close(two_kinds, by_hand):
    register("late", lambda z: tf.maximum(z - 1, 0))
    before, after = [*layer([1], [1.5]), *out_of(1)], [*layer([0.25], [0.5]), *out_of(1)]
    run = by_hand(two_kinds, [before, after], activation="late", first_bias=1.5)
    del registry._REGISTRY["late"]  # A machine that does not know the function.
    cause = causes.find(run, 1)[0]
    assert (cause.edge_before, cause.edge_after, cause.by_bias) == (2.5, 0.75, 1)


def test_without_the_weights_of_both_epochs_weights_and_inputs_are_not_told_apart(moved):
    found = causes.find(moved(keep_weights="last"), 2).values()
    assert [cause.name for cause in found] == ["weights or inputs"] * 2


def test_a_unit_that_outlived_the_layer_below_died_of_its_bias(two_kinds, by_hand):
    biases = [1, 0.5, -0.25]  # From epoch 1 on nothing comes from below: z is the bias.
    run = by_hand(
        two_kinds,
        [
            [*layer([1 - 2 * (epoch > 0)], [0]), *second([[1]], [bias])]
            for epoch, bias in enumerate(biases)
        ],
        first_bias=1.0,
    )
    cause = causes.find(run, 2)[0]
    assert (cause.name, cause.since, cause.by_bias) == ("bias", 2, 0.75)


def test_a_unit_that_revived_died_of_what_killed_it_the_last_time(two_kinds, by_hand):
    steps = [(1, 0), (-1, 0), (1, 0), (1, -2)]
    run = by_hand(two_kinds, [[*layer([w], [b]), *out_of(1)] for w, b in steps])
    assert causes.find(run, 1, epoch=1)[0].name == "weights"
    assert causes.find(run, 1, epoch=2) == {}
    last = causes.find(run, 1)[0]
    assert (last.name, last.since, last.by_bias) == ("bias", 3, 2)
    assert causes.story(run, 1, 0).endswith(
        "Its life: alive before training, died in epoch 1, revived in epoch 2, died in epoch 3."
    )


def test_a_non_finite_unit_is_neither_dead_nor_explained_as_dead(two_kinds, by_hand):
    run = by_hand(
        two_kinds,
        [
            [*layer([1, 1], [0, 0]), *out_of(2)],
            [*layer([np.inf, 1], [0, 0]), *out_of(2)],
            [*layer([np.nan, 1], [0, 0]), *out_of(2)],
        ],
    )
    found = causes.find(run, 1)
    assert list(found) == [0]
    assert (found[0].name, found[0].since) == ("non-finite", 1)
    words = causes.story(run, 1, 0)
    assert words.startswith("Neither dead nor alive: on 40 of all 40 training images")
    assert "since epoch 1" in words


def test_where_the_gate_shuts_on_the_right_it_is_the_smallest_z_that_rises(two_kinds, by_hand):
    run = by_hand(
        two_kinds,
        [
            [*layer([1, 1, 1], [0, 0, 0]), *out_of(3)],
            [*layer([1, 600, 600], [200, -60, -240]), *out_of(3)],
        ],
        activation="tanh",
    )
    found = causes.find(run, 1)
    assert found[0].name == "bias"
    assert found[0].by_bias == 200
    assert found[0].edge_after == pytest.approx(200.2)
    assert "its smallest pre-activation rose from 0.2 to 200" in causes.story(run, 1, 0)
    assert "it was its bias" in causes.story(run, 1, 0)
    assert [found[unit].name for unit in (1, 2)] == ["weights", "weights"]
    assert "its smallest pre-activation rose from 0.2 to 60" in causes.story(run, 1, 1)
    both_ways = causes.story(run, 1, 2)
    assert "between −120 and 360, where the slope is 0 in single precision" in both_ways
    assert "spread its pre-activations so far that none met an open gate" in both_ways
    assert np.isnan(found[2].by_bias)


def test_a_story_says_how_far_the_nearest_image_is_from_waking_the_unit(three):
    assert causes.story(three, 1, 0, epoch=2) == (
        "Dead: no training image pushes it above zero: its largest pre-activation is −0.25. "
        "In epoch 2 it died: its largest pre-activation fell from 1.25 to −0.25, by 1.5: 1.5 of "
        "it by the bias, 0 by the weights on the images. So it was its bias. "
        "Its life: alive before training, died in epoch 2."
    )
    assert causes.story(three, 1, 0, epoch=0) == (
        "Alive: its gate is open on 100 % of all 40 training images; its largest pre-activation "
        "is 1.5. Its life: alive before training."
    )


def test_what_is_dead_on_the_probe_alone_is_not_called_dead(two_kinds, by_hand):
    bright_faint_none = [*layer([1, -1, -1], [-0.5, 0.5, 0]), *out_of(3)]
    alive = [*layer([1, 1, 1], [0, 0, 0]), *out_of(3)]
    run = by_hand(two_kinds, [alive, bright_faint_none], probe_size=1)
    stories = [causes.story(run, 1, unit) for unit in range(3)]
    dead_on_probe, alive_on_probe = sorted(stories[:2])  # A comma comes before a colon.
    assert alive_on_probe.startswith("Alive: its gate is open on 100 % of the probe of 1 image")
    assert dead_on_probe.startswith(
        "Alive, though no image of the probe shows it. On the probe of 1 images its largest"
    )
    assert "but some other training image opens its gate. Its life:" in dead_on_probe
    assert stories[2].startswith("Dead: no training image pushes it above zero. On the probe of 1")
    assert list(causes.find(run, 1)) == [2]
    assert len(causes.find(run, 1, epoch=1)) == 1


def test_where_the_gate_does_not_close_at_zero_the_story_does_not_say_so(two_kinds, by_hand):
    import tensorflow as tf

    register("late", lambda z: tf.maximum(z - 1, 0))
    run = by_hand(
        two_kinds,
        [[*layer([1], [1.5]), *out_of(1)], [*layer([0.25], [0.5]), *out_of(1)]],
        activation="late",
        first_bias=1.5,
    )
    assert causes.find(run, 1)[0].name == "bias"  # 2.5 to 0.75: 1 of 1.75 by the bias.
    words = causes.story(run, 1, 0)
    assert words.startswith("Dead: no training image opens its gate: its pre-activations lie betw")
    assert "largest pre-activation fell from 2.5 to 0.75, by 1.75: 1 of it by the bias" in words
    assert "above zero" not in words


def test_where_the_gate_is_not_bounded_the_story_tells_no_share_of_open_images(two_kinds, by_hand):
    steps = [[*layer([1], [0]), *out_of(1)], [*layer([1], [0.5]), *out_of(1)]]
    run = by_hand(two_kinds, steps, activation="squared_relu")
    assert causes.story(run, 1, 0).startswith("Alive: its largest pre-activation is ")


def test_a_leaky_unit_below_zero_is_alive_in_the_story(two_kinds, by_hand):
    steps = [[*layer([1], [0]), *out_of(1)], [*layer([-1], [-0.5]), *out_of(1)]]
    run = by_hand(two_kinds, steps, activation="leaky_relu")
    assert causes.find(run, 1) == {}
    words = causes.story(run, 1, 0)
    assert words.startswith("Always negative, but not dead: no image of all 40 training images")
    assert "largest pre-activation is −0.7" in words
    assert "up to 0.01 of the gradient" in words


def test_a_unit_layer_or_epoch_that_does_not_exist_is_one_sentence(three):
    with pytest.raises(RunError, match=r"layer must be from 1 to 1 in run .*, not 2"):
        causes.story(three, 2, 0)
    with pytest.raises(RunError, match=r"unit must be from 0 to 2 in layer 1 of run .*, not 3"):
        causes.story(three, 1, 3)
    with pytest.raises(RunError, match=r"unit must be from 0 to 2 in layer 1 of run .*, not -1"):
        causes.story(three, 1, -1)
    with pytest.raises(RunError, match=r"epoch must be from 0 to 3 in run .*, not 4"):
        causes.find(three, 1, 4)
    for wrong in ("0", True, 0.0, None):
        with pytest.raises(RunError, match=r"unit must be from 0 to 2 in layer 1 of run .*, not "):
            causes.story(three, 1, wrong)
        with pytest.raises(RunError, match=r"layer must be from 1 to 1 in run .*, not "):
            causes.story(three, wrong, 0)
    with pytest.raises(RunError, match=r"epoch must be from 0 to 3 in run .*, not '1'"):
        causes.story(three, 1, 0, epoch="1")
    assert causes.story(three, np.int64(1), np.int32(0), np.int16(2))
