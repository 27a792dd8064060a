"""Dead units planted in Keras models of every kind, and found."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from zoo import ZOO, dense, numbers, of

from lab import Census
from lab.census import units

layers = keras.layers


def dead_of(run) -> dict[str, list[int]]:
    return {
        site.name: np.flatnonzero(units.dead(run.last_summaries(number))).tolist()
        for number, site in enumerate(run.layout.sites, start=1)
    }


QUICK = ("subclassed, keras.ops and tf.nn in call", "shared layer: dead in every call", "LSTM, GRU")
KINDS = [
    pytest.param(kind, marks=[] if kind.startswith(QUICK) else pytest.mark.slow) for kind in ZOO
]


@pytest.mark.parametrize("kind", KINDS)
def test_all_planted_units_are_found_and_no_other_in_a_model_of_this_kind(kind):
    planted = ZOO[kind]()
    census = Census.of(planted.model, planted.probe)
    assert dead_of(census.run) == planted.dead
    assert set(census.unseen) == set(planted.unseen)


def relu(z):
    """Named as another function is: its left side has a slope."""
    return tf.maximum(z, 0.5 * z)


@tf.custom_gradient
def silu(z):
    """SiLU by its values, and not by its gradient."""
    return z * tf.sigmoid(z), lambda upstream: upstream


def tanh(z):
    """Written by hand, but the very tanh."""
    return 2 / (1 + keras.ops.exp(-2 * z)) - 1


NAMED = [
    (lambda: layers.ReLU(), "relu", "relu"),
    (lambda: layers.ReLU(6), "relu6", "relu6"),
    (lambda: layers.ReLU(negative_slope=0.125), "leaky_relu=0.125", "leaky_relu"),
    (lambda: layers.ReLU(4), "relu(max 4)", "relu_max_4"),
    (lambda: layers.ReLU(6, 0.5, 1), "relu(max 6, slope 0.5, threshold 1)", None),
    (lambda: layers.Activation("relu6"), "relu6", "relu6"),
    (lambda: layers.Activation("gelu"), "gelu", "gelu"),
    (lambda: layers.Activation(keras.ops.gelu), "gelu", "gelu"),  # By the tanh formula.
    (lambda: layers.Activation("leaky_relu"), "leaky_relu", "leaky_relu"),
    (lambda: layers.Activation(relu), "own relu", "own_relu"),
    (lambda: layers.Activation(silu), "own silu", "own_silu"),
    (lambda: layers.Activation(tanh), "tanh", "tanh"),
]


@pytest.mark.parametrize(("layer", "called", "setting"), NAMED, ids=[case[1] for case in NAMED])
def test_a_function_is_called_by_what_it_computes_not_by_its_name_alone(layer, called, setting):
    run = Census.of(of([dense(4), layer(), dense(2)]), numbers(9, 6)).run
    assert run.layout.sites[0].function == called
    assert setting is None or run.config.activation == setting


CALLS = [
    (lambda z: tf.nn.leaky_relu(z, 0.125), "leakyrelu=0.125", "leaky_relu"),
    (tf.nn.elu, "elu", "elu"),
    (lambda z: keras.activations.relu(z, 0.125), "leaky_relu=0.125", "leaky_relu"),
    (lambda z: keras.activations.relu(z, max_value=6), "relu6", "relu6"),
    (lambda z: keras.ops.leaky_relu(z, 0.25), "leaky_relu=0.25", "leaky_relu"),
]


class Calls(keras.Model):
    def __init__(self, function):
        super().__init__()
        self.first, self.function, self.last = dense(4), function, dense(2)

    def call(self, x):
        return self.last(self.function(self.first(x)))


@pytest.mark.parametrize(("function", "called", "setting"), CALLS, ids=[case[1] for case in CALLS])
def test_a_function_that_call_computes_is_called_with_its_parameter(function, called, setting):
    model = Calls(function)
    model(numbers(2, 6))
    run = Census.of(model, numbers(9, 6)).run
    assert run.layout.sites[0].function == called
    assert run.config.activation == setting
