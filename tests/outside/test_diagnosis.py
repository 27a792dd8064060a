"""The health check: planted faults at their layers, healthy networks, and how sure it is."""

from pathlib import Path

import keras
import numpy as np
import pytest
from made import mostly_slow

import lab
from lab.errors import InputError, RunError
from lab.outside import RULES
from lab.outside.backward import Reached, reached
from lab.outside.diagnosis import most_otherwise
from lab.outside.observer import Observer
from lab.outside.probe import Probe

ROOT = Path(__file__).parents[2]
layers = keras.layers
NAMES = ("first", "second", "third")
X = np.random.default_rng(0).normal(0, 1, (200, 8)).astype(np.float32)
Y = np.arange(200) % 3


def network(function="relu", names=NAMES, kernels=()):
    """Hidden layers of 8 units with orthogonal weights, or those given, and biases of 0.3."""
    model = keras.Sequential([keras.Input((8,))], name="mine")
    for seed, name in enumerate(names):
        first = keras.initializers.Orthogonal(seed=seed + 1)
        some = {"kernel_initializer": first, "bias_initializer": keras.initializers.Constant(0.3)}
        model.add(layers.Dense(8, function, name=name, **some))
    model.add(layers.Dense(3, name="scores", kernel_initializer=keras.initializers.Orthogonal(9)))
    for name, kernel in zip(names, kernels, strict=False):
        model.get_layer(name).kernel.assign(kernel)
    return model


def diagnosis(model, data=(X, Y)):
    return lab.diagnose(lab.Census.of(model, data))


def found(model, data=(X, Y)):
    return [(one.kind, one.layer) for one in diagnosis(model, data).findings]


@pytest.mark.parametrize("function", mostly_slow(["relu", "gelu", "tanh"], "relu"))
def test_nothing_is_wrong_in_a_healthy_network(function):
    healthy = diagnosis(network(function))
    assert healthy.findings == ()
    assert healthy.not_checked == ()
    assert healthy.summary == "Nothing wrong was found in the 3 layers of mine, on 200 inputs."


def shift(layer, by):
    layer.bias.assign(layer.bias + np.float32(by))


def scale(layer, by):
    for array in (layer.kernel, layer.bias):
        array.assign(array * np.float32(by))


def put(array, value):
    values = array.numpy()
    values.flat[0] = value
    array.assign(values)


@pytest.mark.parametrize(
    ("function", "plant", "kind"),
    [
        ("relu", lambda second: shift(second, [-50] * 3 + [0] * 5), "dead"),
        ("elu", lambda second: shift(second, [-12] * 3 + [0] * 5), "nearly dead"),
        ("tanh", lambda second: scale(second, 100), "saturated"),
        ("relu", lambda second: (scale(second, [0] * 3 + [1] * 5), shift(second, 0.5)), "constant"),
        ("relu", lambda second: scale(second, [0.001] * 3 + [1] * 5), "dormant"),
    ],
)
def test_a_planted_fault_is_found_at_its_layer_and_nowhere_else(function, plant, kind):
    model = network(function)
    plant(model.get_layer("second"))
    assert found(model, X) == [(kind, "second")]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_found_where_they_are_and_the_rest_follows(value):
    model = network()
    put(model.get_layer("second").bias, value)
    findings = diagnosis(model).findings
    assert [(one.kind, one.layer, one.follows) for one in findings] == [
        ("non-finite", "second", None),
        ("non-finite", "third", "second"),
    ]
    assert findings[0].what.startswith("1 of 8 units and 1 weight:")
    assert findings[1].advice == "Mend second first."


def test_weights_of_a_layer_without_a_function_are_read_too():
    model = network()
    put(model.get_layer("scores").kernel, np.nan)
    assert found(model) == [("non-finite", "scores")]


def test_scores_that_overflow_are_found_at_the_output():
    model = network()
    model.get_layer("scores").kernel.assign(np.full((8, 3), 3e38, np.float32))
    assert found(model) == [("non-finite", "output")]


def scaled(*by):
    return [factor * np.eye(8, dtype=np.float32) for factor in by]


def test_the_relative_gradient_is_the_product_of_the_weights_above():
    """With z above 0 and diagonal weights, each step back multiplies the gradient by a weight."""
    model = network("relu", kernels=scaled(1, 2, 3))
    gradients = [one.gradient for one in diagnosis(model, (np.abs(X) + 1, Y)).layers]
    np.testing.assert_allclose(gradients, [6, 3, 1], rtol=1e-5)


def test_the_norm_is_the_root_mean_square_over_the_inputs_of_each_part():
    """By hand, for one layer and the mean squared error; 25 inputs are parts of 2, and one of 1."""
    model, y = network("relu", NAMES[:1]), X[:25, :3]
    observer = Observer(model, Probe((X[:25], y)))
    hidden, scores = (model.get_layer(name) for name in ("first", "scores"))
    z = X[:25] @ hidden.kernel.numpy() + 0.3
    wrong = np.maximum(z, 0) @ scores.kernel.numpy() - y
    squares = (((2 / 3 * wrong) @ scores.kernel.numpy().T * (z > 0)) ** 2).sum(axis=1)
    by_part = [np.sqrt(squares[at : at + 2].mean()) for at in range(0, 25, 2)]
    found = reached(observer)
    np.testing.assert_allclose(found.norms[:, 0], by_part, rtol=1e-5)
    np.testing.assert_array_equal(found.sizes, [2] * 12 + [1])


def test_relative_gradients_weigh_each_part_by_its_inputs():
    norms = np.array([[3.0, 1.0], [0.0, 0.0], [8.0, 2.0]])
    ratios = Reached("loss", False, norms, np.array([2, 2, 4])).ratios()
    of_all = np.sqrt((2 * 3**2 + 4 * 8**2) / (2 * 1**2 + 4 * 2**2))
    np.testing.assert_allclose(ratios, [[3, 1], [0, 0], [4, 1], [of_all, 1]])


@pytest.mark.parametrize(
    ("above", "kinds"),
    [
        (1010, [("exploding gradient", "first")]),
        (990, []),
        (1 / 990, []),
        (1 / 1010, [("vanishing gradient", "first")]),
    ],
)
def test_gradients_explode_from_a_thousand_and_vanish_from_a_thousandth(above, kinds):
    model = network("relu", NAMES[:2], scaled(1, above))
    assert found(model, (np.abs(X) + 1, Y)) == kinds


def test_a_gradient_that_a_dead_layer_stops_is_said_to_follow_from_it():
    model = network()
    shift(model.get_layer("third"), -50)
    findings = diagnosis(model).findings
    assert [(one.kind, one.layer, one.follows) for one in findings] == [
        ("vanishing gradient", "first", "third"),
        ("vanishing gradient", "second", "third"),
        ("dead", "third", None),
    ]


@pytest.mark.parametrize(("dead", "kinds"), [(2, []), (3, [("dead", "second")])])
def test_a_third_of_dead_units_is_wrong_and_less_is_not(dead, kinds):
    model = network()
    shift(model.get_layer("second"), [-50] * dead + [0] * (8 - dead))
    assert [kind for kind in found(model) if kind[1] == "second"] == kinds


def test_what_it_says_of_dead_units_is_counted():
    model = network()
    shift(model.get_layer("second"), [-50] * 3 + [0] * 5)
    (one,) = diagnosis(model).findings
    assert (one.value, one.limit) == (3 / 8, 1 / 3)
    assert one.what.startswith("3 of 8 units (37.5 %):")
    assert one.bound == pytest.approx(1 - (0.05 / 3) ** (1 / 200))  # None of 200; three units.
    assert "on at most 2.03 % of such inputs" in one.sure
    below = np.maximum(X @ model.get_layer("first").kernel.numpy() + 0.3, 0)
    largest = (below @ model.get_layer("second").kernel.numpy()).max(axis=0)
    freed = (largest[:3] > 0).sum()
    assert f"keep them there (mean −49.7): without them, {freed} would have" in one.cause


@pytest.mark.parametrize(("function", "counts"), [("relu", (3, 0)), ("gelu", (0, 3))])
def test_a_unit_counts_once(function, counts):
    model = network(function)
    shift(model.get_layer("second"), [-8] * 3 + [0] * 5)
    second = diagnosis(model).layers[1]
    assert (second.dead, second.nearly_dead) == counts
    assert (second.constant, second.dormant) == (0, 0)


def test_the_limit_of_a_share_is_that_of_clopper_and_pearson():
    """Their exact limit: so often or less is seen with 5 % chance."""
    from scipy.stats import binom

    assert most_otherwise(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59))
    assert binom.cdf(7, 90, most_otherwise(7, 90)) == pytest.approx(0.05)
    assert binom.cdf(7, 90, most_otherwise(7, 90, several=10)) == pytest.approx(0.005)


def test_few_inputs_cannot_tell_that_a_unit_is_dead():
    model = network()
    shift(model.get_layer("second"), -50)
    assert found(model, X[:59]) != []
    few = diagnosis(model, X[:58])
    assert few.findings == ()
    assert few.layers[1].dead == 8
    assert "59 inputs are needed to know, and there are 58" in few.not_checked[0]


def test_without_labels_it_says_that_gradients_are_not_checked():
    plain = diagnosis(network(), X)
    assert plain.not_checked == (
        "Not checked: gradients: the data has no labels; give (x, y), or an array y in the file.",
    )
    assert (plain.loss, plain.layers[0].gradient) == (None, None)


@pytest.mark.parametrize(
    ("last", "labels", "loss"),
    [
        (layers.Dense(3), Y, "sparse_categorical_crossentropy"),
        (layers.Dense(3, "softmax"), Y, "sparse_categorical_crossentropy"),
        (layers.Dense(3), np.eye(3)[Y], "categorical_crossentropy"),
        (layers.Dense(1, "sigmoid"), Y % 2, "binary_crossentropy"),
        (layers.Dense(1), Y % 2 + 0.5, "mean_squared_error"),
        (layers.Dense(3), X[:, :3], "mean_squared_error"),
    ],
)
def test_the_loss_is_the_usual_one_for_labels_and_outputs(last, labels, loss):
    hidden = layers.Dense(8, "relu", name="hidden")
    model = keras.Sequential([keras.Input((8,)), hidden, layers.Dense(8, "relu"), last])
    assert diagnosis(model, (X, labels)).loss == loss


def test_a_compiled_model_has_its_own_loss():
    model = network()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True, name="own"))
    assert diagnosis(model).loss == "own"


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (
            np.arange(200) // 50,
            "must be from 0 to 2, because the model has 3 outputs; they are",
        ),
        (np.ones((200, 7)), "labels of shape (7,) fit no usual loss of outputs of shape (3,)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, words):
    (reason,) = diagnosis(network(), (X, labels)).not_checked
    assert words in reason


def test_a_finding_says_since_which_epoch():
    model = network()
    second = model.get_layer("second")
    kill = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: shift(second, -50) if epoch == 1 else None
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    census = lab.Census(X)
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[kill, census])
    dead = next(one for one in lab.diagnose(census).findings if one.kind == "dead")
    assert (dead.layer, "so since epoch 2." in dead.cause) == ("second", True)
    recorded = lab.diagnose(census.run)
    assert dead in recorded.findings
    assert "they need the census of a Keras model" in recorded.not_checked[-1]


def test_a_finding_says_that_a_layer_was_born_dead():
    model = network()
    shift(model.get_layer("second"), -50)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    census = lab.Census(X)
    model.fit(X, Y, verbose=0, callbacks=[census])
    assert "its first weights and biases are the cause" in lab.diagnose(census).findings[0].cause


def test_a_run_that_keeps_no_weights_says_that_they_are_not_checked():
    census = lab.Census.of(network(), (X, Y), keep_weights="none")
    (reason,) = lab.diagnose(census).not_checked
    assert "whether the weights are finite" in reason


def test_it_is_written_as_json_and_read_again():
    model = network()
    put(model.get_layer("second").bias, np.nan)
    sick = diagnosis(model)
    assert lab.Diagnosis.model_validate_json(sick.model_dump_json()) == sick


def test_as_text_it_says_all_that_it_found():
    model = network()
    shift(model.get_layer("second"), [-50] * 3 + [0] * 5)
    text = str(diagnosis(model, X))
    assert text.splitlines()[0] == "1 thing is wrong in second of mine, on 200 inputs."
    for words in ("second: dead", "How sure: ", "Likely cause: ", "Try: ", "See: ", "Not checked"):
        assert words in text


def test_anything_but_a_census_is_refused():
    with pytest.raises(InputError, match=r"takes a census, such as .* not a Sequential"):
        lab.diagnose(network())
    with pytest.raises(RunError, match="Nothing was observed yet"):
        lab.diagnose(lab.Census(X))


def test_the_evidence_of_each_rule_is_there_and_the_page_has_each_kind():
    page = (ROOT / "docs" / "diagnose.md").read_text(encoding="utf-8")
    for kind, rule in RULES.items():
        assert (ROOT / rule.evidence).is_file()
        (row,) = (
            line for line in page.splitlines() if line.startswith(f"| {kind} | ") and "[" in line
        )
        assert f"](../{rule.evidence}" in row
