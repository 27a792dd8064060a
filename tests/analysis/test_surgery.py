"""Neurons taken out of trained networks whose every number is worked out by hand."""

import dataclasses
import re

import numpy as np
import pytest

import lab
from lab import LabError, RunStore
from lab.analysis import surgery
from lab.analysis.surgery import removal_curve
from lab.figures import of_analyses
from lab.network.initial_weights import first_weights
from lab.training import train

OUT = np.eye(3, 10, dtype=np.float32)  # Unit k speaks for class k.


@pytest.fixture
def small(by_hand, two_kinds):
    """Three units that look at pixel 0, which is 1.0 or 0.2: alive, dead for ReLU, alive at 1.0."""

    def record(**settings):
        kernel = np.zeros((784, 3), np.float32)
        kernel[0] = 1, -100, 2
        weights = [kernel, np.array([0, 0, -1]), OUT, np.zeros(10)]
        return by_hand(two_kinds, [weights, weights], **settings)

    return record


def test_a_dead_relu_neuron_is_not_missed(small, two_kinds):
    cut = lab.ablate(small(), dataset=two_kinds)
    assert [of.tolist() for of in cut.removed] == [[1]]
    assert (cut.hidden, cut.parameters) == ((2,), 785 * 2 + 3 * 10)
    assert (cut.images, cut.changed, cut.largest_change) == (40, 0, 0.0)
    np.testing.assert_array_equal(cut.weights[2], OUT[[0, 2]])
    np.testing.assert_array_equal(cut.weights[3], np.zeros(10))
    assert cut.accuracy == cut.accuracy_before


def test_the_constant_of_a_stuck_elu_neuron_goes_into_the_next_bias(small, two_kinds):
    cut = lab.ablate(small(activation="elu"), {1: [1]}, two_kinds)
    np.testing.assert_allclose(cut.weights[3], -OUT[1], atol=1e-8)
    assert cut.largest_change <= 1e-7


def test_a_living_neuron_leaves_its_mean_and_is_missed(small, two_kinds):
    cut = lab.ablate(small(), {1: [0]}, two_kinds)
    np.testing.assert_allclose(cut.weights[3], 0.6 * OUT[0], atol=1e-7)  # Half 1.0, half 0.2.
    assert cut.largest_change == pytest.approx(0.4)
    assert cut.largest_score == pytest.approx(1.0)
    # At 1.0 units 0 and 2 both say 1, so class 0 comes first; without unit 0 it is class 2.
    assert cut.changed == 20
    assert cut.accuracy == 0.1  # Of the labels 0 to 9: class 2 for the even, class 0 for the odd.


def test_an_image_has_changed_whichever_way_its_class_goes(by_hand, two_kinds):
    """At 1.0 units 0 and 2 say class 2 and 0 alike, at 0.2 unit 2 is silent; its mean is 0.5."""
    kernel = np.zeros((784, 3))
    kernel[0] = 1, -100, 2
    weights = [kernel, np.array([0, 0, -1]), OUT[[2, 1, 0]], np.zeros(10)]
    cut = lab.ablate(by_hand(two_kinds, [weights, weights]), {1: [2]}, two_kinds)
    assert cut.changed == 40  # At 1.0 from class 0 to 2, at 0.2 from class 2 to 0.


def test_what_an_ablation_found_is_not_changed_and_is_no_others(small, two_kinds):
    run = small()
    one, other = (lab.ablate(run, dataset=two_kinds) for _ in range(2))
    assert len({one, other}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.changed = 1


def test_what_was_taken_out_is_said_in_words(small, two_kinds):
    assert lab.ablate(small(), dataset=two_kinds).sentence == (
        "Without 1 of 3 in layer 1, 1,600 of 2,395 parameters are left. Of 40 training images 0 "
        "get another class; no score changes by more than 0, of at most 1. Test accuracy: "
        "10.00 % before, 10.00 % after."
    )


def test_units_of_every_layer_are_taken_out_at_once(by_hand, two_kinds):
    kernel = np.zeros((784, 2), np.float32)
    kernel[0] = 1, 1
    middle = np.array([[1.0, 2, 3], [4, 5, 6]])
    weights = [kernel, np.zeros(2), middle, np.zeros(3), 2 * OUT, np.zeros(10)]
    cut = lab.ablate(by_hand(two_kinds, [weights, weights]), {1: [1], 2: [0, 2]}, two_kinds)
    assert cut.hidden == (1, 1)
    np.testing.assert_array_equal(cut.weights[2], [[2]])
    np.testing.assert_allclose(cut.weights[3], [0.6 * 5], rtol=1e-6)
    np.testing.assert_allclose(cut.weights[5], [1.2 * 5, 0, 1.2 * 9, *[0] * 7], rtol=1e-6)
    assert cut.largest_score == pytest.approx(2 * 9)


def test_the_narrower_network_is_a_keras_model_that_predicts_the_same(small, two_kinds):
    run = small()
    cut = lab.ablate(run, dataset=two_kinds)
    x = two_kinds.x_test / np.float32(255)
    whole, narrow = (network.predict(x, verbose=0) for network in (run.model(), cut.model()))
    np.testing.assert_allclose(narrow, whole, rtol=1e-6)


def test_a_network_without_a_layer_is_measured_but_is_no_keras_model(small, two_kinds):
    cut = lab.ablate(small(), {1: range(3)}, two_kinds)
    assert cut.hidden == (0,)
    with pytest.raises(LabError, match="Layer 1 has no unit left"):
        cut.model()


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ({1: [3]}, "unit must be from 0 to 2 in layer 1 of run .*, not 3"),
        ({1: [-1]}, "unit must be from 0 to 2 .*, not -1"),
        ({2: [0]}, "layer must be from 1 to 1 in run .*, not 2"),
        ({2: []}, "layer must be from 1 to 1 in run .*, not 2"),
        ({1: [0.5]}, "unit must be from 0 to 2 .*, not 0.5"),
        ({1: 0}, r"units must name the units of each layer, such as \{1: \[0, 5\]\}, not \{1: 0\}"),
        ([1], "units must name the units of each layer"),
    ],
)
def test_units_that_do_not_exist_are_refused(small, two_kinds, units, words):
    with pytest.raises(LabError, match=words):
        lab.ablate(small(), units, two_kinds)


def test_a_run_without_weights_is_refused(small, two_kinds, tmp_path):
    copies = RunStore(tmp_path / "copies")
    copies.add_copy(small(), weights=False)
    (run,) = copies.runs
    for operate in (lab.ablate, lab.revive, removal_curve):
        with pytest.raises(LabError, match="keeps no weights at all"):
            operate(run, dataset=two_kinds)


def test_what_is_no_run_or_no_data_set_is_refused(small, two_kinds):
    run = small()
    for operate in (lab.ablate, lab.revive, removal_curve):
        for wrong in (None, lab.Runs([run])):
            with pytest.raises(LabError, match=r"run must be one recorded run, such as runs\[0\]"):
                operate(wrong, dataset=two_kinds)
        with pytest.raises(LabError, match="dataset must be a loaded data set, not 'mnist'"):
            operate(run, dataset="mnist")
    with pytest.raises(LabError, match="seed must be a whole number from 0 to 4,294,967,295"):
        removal_curve(run, two_kinds, seed=-1)


def test_another_data_set_is_refused(small, tiny):
    with pytest.raises(LabError, match="was trained on other images than tiny"):
        lab.ablate(small(), dataset=tiny)


def test_dead_neurons_cost_nothing_and_then_accuracy_falls_to_one_class(small, two_kinds):
    curve = removal_curve(small(), two_kinds, steps=3)
    assert curve.order.unique().tolist() == list(surgery.ORDERS)
    dead_first = curve[curve.order == "dead first"]
    assert dead_first.removed.tolist() == [0, 1, 2, 3]
    assert dead_first.share.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    # The test labels are 0 to 9: any network that gives all images one class has 10 %.
    assert dead_first.test_accuracy.tolist()[:2] == [0.1, 0.1]
    assert (curve[curve.removed == 3].test_accuracy == 0.1).all()


def test_by_default_a_curve_has_twenty_steps_and_the_random_order_of_seed_0(by_hand, two_kinds):
    kernel = np.zeros((784, 40))
    kernel[0] = 1
    weights = [kernel, np.zeros(40), np.eye(40, 10), np.zeros(10)]
    run = by_hand(two_kinds, [weights, weights])
    curve = removal_curve(run, two_kinds)
    assert curve.removed.tolist() == 3 * list(range(0, 41, 2))
    of_seed = [removal_curve(run, two_kinds, seed=seed).test_accuracy.tolist() for seed in (0, 1)]
    assert curve.test_accuracy.tolist() == of_seed[0] != of_seed[1]


def test_the_orders_are_what_they_are_called(small, two_kinds):
    network = surgery._Network(small(), two_kinds)
    dead_first, at_random, least_active = surgery._rankings(network, seed=0)
    assert dead_first[0] == 1
    assert [unit for unit in at_random if unit != 1] == dead_first[1:].tolist()
    assert least_active.tolist() == [1, 2, 0]  # Means of |a|: 0.6, 0 and 0.5.


def test_units_that_are_numbered_through_find_their_layers():
    found = surgery._by_layer(np.array([4, 0, 2]), (2, 3))
    assert [of.tolist() for of in found] == [[0], [0, 2]]


@pytest.mark.parametrize("steps", [0, 1001, 2.5, None])
def test_a_number_of_steps_out_of_its_limits_is_refused(small, two_kinds, steps):
    with pytest.raises(LabError, match=f"steps must be .* from 1 to 1,000, not {steps}"):
        removal_curve(small(), two_kinds, steps)


def test_a_reset_wakes_dead_units_and_leaves_the_output_as_it_was(small, two_kinds):
    frame = lab.revive(small(), dataset=two_kinds)  # By default a reset, and five epochs.
    assert frame.columns.tolist() == ["network", "epoch", "validation_accuracy", "dead_1"]
    assert frame[["network", "epoch"]].values.tolist() == [
        [network, epoch] for network in ("untouched", "revived") for epoch in range(6)
    ]
    assert frame.index.tolist() == list(range(12))
    assert frame.validation_accuracy[0] == frame.validation_accuracy[6]
    assert frame.dead_1[0] == pytest.approx(1 / 3)


def test_a_reset_touches_only_the_dead_units(small):
    run = small(first_bias=-0.25)
    before, after = run.weights(), surgery._reset(run, run.weights())
    np.testing.assert_array_equal(after[0][:, [0, 2]], before[0][:, [0, 2]])
    assert after[1].tolist() == [0, -0.25, -1]  # The first bias, for the dead one alone.
    np.testing.assert_array_equal(after[3], before[3])
    np.testing.assert_array_equal(after[2], OUT * np.array([[1], [0], [1]]))
    limit = np.sqrt(6 / (784 + 3))  # Glorot's.
    assert 0 < np.abs(after[0][:, 1]).max() <= limit
    assert np.unique(after[0][:, 1]).size > 700
    np.testing.assert_array_equal(run.weights()[0], before[0])


@pytest.mark.parametrize(("seed", "other"), [(0, 1_000_003), (2**32 - 1, 1_000_002)])
def test_a_reset_units_new_weights_are_the_first_ones_of_another_seed(small, seed, other):
    """The seeds go round at 2**32."""
    run = small(seed=seed)
    expected = first_weights(run.config.model_copy(update={"seed": other}))
    found = surgery._reset(run, run.weights())
    np.testing.assert_array_equal(found[0][:, 1], expected[0][:, 1])


def test_a_reset_reaches_the_dead_units_of_every_layer(by_hand, two_kinds):
    """Of both layers unit 1 is dead."""
    first, second = np.zeros((784, 2)), np.ones((2, 2))
    weights = [first, np.array([1, -1]), second, np.array([0, -9]), np.ones((2, 10)), np.zeros(10)]
    run = by_hand(two_kinds, [weights, weights])
    fresh = first_weights(run.config.model_copy(update={"seed": surgery.OTHER_SEED}))
    after = surgery._reset(run, run.weights())
    np.testing.assert_array_equal(after[0].T, [np.zeros(784), fresh[0][:, 1]])
    np.testing.assert_array_equal(after[2].T, [[1, 0], fresh[2][:, 1]])
    np.testing.assert_array_equal(after[4], [np.ones(10), np.zeros(10)])
    assert [bias.tolist() for bias in (after[1], after[3])] == [[1, 0], [0, 0]]


def test_with_a_leaky_slope_no_unit_is_dead(small, two_kinds, monkeypatch):
    trained = []

    def watched(configs, *more):
        trained.extend(configs)
        return train(configs, *more)

    monkeypatch.setattr(surgery, "train", watched)
    frame = lab.revive(small(), "leaky", epochs=1, dataset=two_kinds)
    assert [config.title for config in trained] == ["ReLU", "Leaky ReLU α=0.01"]
    assert (frame[frame.network == "revived"].dead_1 == 0).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"how": "rest"}, "Unknown treatment 'rest'. Did you mean 'reset'?"),
        ({"epochs": 0}, "epochs must be a whole number from 1 to 10,000, not 0."),
    ],
)
def test_a_treatment_that_cannot_be_is_refused(small, two_kinds, settings, words):
    with pytest.raises(LabError, match=re.escape(words)):
        lab.revive(small(), dataset=two_kinds, **settings)


def test_the_picture_shows_the_three_curves_and_says_them_in_words(small, two_kinds):
    run = small()
    curve = removal_curve(run, two_kinds, steps=20)
    picture = of_analyses.removal(curve, run.title)
    (ax,) = picture.figure.axes
    assert [line.get_label() for line in ax.lines] == list(surgery.ORDERS)
    assert ax.get_title(loc="left") == "ReLU, two kinds, learning rate 0.001, seed 0"
    for line, (_, part) in zip(ax.lines, curve.groupby("order", sort=False), strict=True):
        np.testing.assert_allclose(line.get_xdata(), 100 * part.share)
        np.testing.assert_allclose(line.get_ydata(), 100 * part.test_accuracy)
    assert "dead first: 0 % out: 10.0 %, 33 % out: 10.0 %" in picture.alt
