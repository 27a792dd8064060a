"""The summaries of a Keras model's units: as NumPy computes them, and as the lab's trainer does."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from made import make_dataset
from zoo import numbers, of

import lab
from lab import Census
from lab.census import units
from lab.experiment import split

layers = keras.layers


def elu(z):
    return np.where(z > 0, z, np.exp(np.minimum(z, 0)) - 1), np.where(
        z > 0, 1, np.exp(np.minimum(z, 0))
    )


def relu(z):
    return np.maximum(z, 0), (z > 0) * 1.0


def summaries(z, a, gate):
    """What is recorded of each unit, from float64 values of shape (values, units)."""
    return {
        "nonfinite": np.zeros(z.shape[1]),
        "max_z": z.max(0),
        "min_z": z.min(0),
        "mean": a.mean(0),
        "mean_abs": abs(a).mean(0),
        "sd": a.std(0),
        "zeros": (a == 0).sum(0),
        "mean_gate": gate.mean(0),
        "max_gate": abs(gate).max(0),
        "shut": (abs(gate) <= 1e-3).sum(0),
    }


def assert_same(found, wanted):
    assert set(wanted) == set(units.ARRAYS)
    for name, values in wanted.items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_units_of_a_dense_network_do_what_numpy_computes():
    model = of([layers.Dense(9, "elu"), layers.Dense(7, "relu"), layers.Dense(2)])
    x = numbers(333, 6)
    run = Census.of(model, x, batch_size=50).run
    kernel, bias, kernel2, bias2, *_ = (w.astype(np.float64) for w in model.get_weights())
    z = x @ kernel + bias
    a, gate = elu(z)
    assert_same(run.last_summaries(1), summaries(z, a, gate))
    z = a @ kernel2 + bias2
    assert_same(run.last_summaries(2), summaries(z, *relu(z)))
    assert [run.layer(n).images for n in (1, 2)] == [333, 333]


def test_the_channels_of_a_convolution_do_what_numpy_computes():
    model = of(
        [layers.Conv2D(5, 3, strides=2, activation="relu"), layers.Flatten(), layers.Dense(2)],
        (9, 8, 2),
    )
    x = numbers(40, 9, 8, 2)
    run = Census.of(model, x).run
    kernel, bias, *_ = (w.astype(np.float64) for w in model.get_weights())
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (3, 3), axis=(1, 2))
    z = np.einsum("nhwcij,ijcu->nhwu", windows[:, ::2, ::2], kernel).reshape(-1, 5) + bias
    assert_same(run.last_summaries(1), summaries(z, *relu(z)))
    assert run.layer(1).images == 40 * 4 * 3


@pytest.mark.parametrize("batch_size", [None, 7, 1000])
def test_the_number_of_inputs_at_once_changes_no_count(batch_size):
    model = of(
        [layers.Conv2D(5, 3, activation="relu"), layers.Flatten(), layers.Dense(2)], (6, 6, 1)
    )
    x = numbers(50, 6, 6, 1)
    kernel, bias = model.layers[0].get_weights()
    model.layers[0].set_weights([kernel, bias - 1])
    one, other = (Census.of(model, x, batch_size=n).run.last_summaries(1) for n in (50, batch_size))
    for name in ("zeros", "shut", "max_z", "max_gate"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_dropout_noise_and_batch_normalisation_are_in_inference_mode():
    model = of(
        [layers.Dropout(0.9), layers.BatchNormalization(), layers.Dense(4, "relu"), layers.Dense(2)]
    )
    model.layers[1].set_weights([np.full(6, v) for v in (2.0, 1.0, 0.5, 4.0)])
    x = numbers(60, 6)
    kernel, bias = (w.astype(np.float64) for w in model.layers[2].get_weights())
    before = [w.tobytes() for w in model.get_weights()]
    z = (2 * (x - 0.5) / np.sqrt(4 + 1e-3) + 1) @ kernel + bias
    assert_same(Census.of(model, x).run.last_summaries(1), summaries(z, *relu(z)))
    assert [w.tobytes() for w in model.get_weights()] == before


@pytest.mark.parametrize("network", ["mlp", pytest.param("cnn", marks=pytest.mark.slow)])
def test_a_run_of_the_lab_has_the_same_dead_units_if_its_model_is_observed(tmp_path, network):
    dataset = make_dataset(300, 100)
    own = {"hidden": (6, 5)} if network == "mlp" else {"network": network}
    settings = {"epochs": 2, "learning_rate": 0.05, "batch_size": 30} | own
    (run,) = lab.compare("relu", 1, dataset, tmp_path / "runs", **settings)
    probe = dataset.x_train[split(dataset, run.config).probe].astype(np.float32) / 255
    observed = Census.of(run.model(), probe).run
    for number in run.layers:
        own, found = run.last_summaries(number), observed.last_summaries(number)
        np.testing.assert_array_equal(units.dead(found), units.dead(own))
        np.testing.assert_allclose(found.mean, own.mean, rtol=1e-4, atol=1e-5)
    assert sum(units.dead(run.last_summaries(n)).sum() for n in run.layers) > 0


def test_a_function_written_by_hand_has_its_own_largest_gate():
    model = of([layers.Dense(4, lambda z: 3 * keras.ops.tanh(z)), layers.Dense(2)])
    run = Census.of(model, numbers(20, 6)).run
    assert run.layer(1).sup_gate == pytest.approx(3, rel=1e-4)


@pytest.mark.parametrize(("activation", "from_logits"), [("sigmoid", False), (None, True)])
def test_of_two_classes_the_score_decides_and_its_middle_depends_on_the_loss(
    activation, from_logits
):
    model = of([layers.Dense(6, "relu"), layers.Dense(1, activation)])
    model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=from_logits))
    x = numbers(200, 6)
    kernel, bias, kernel2, bias2 = model.get_weights()
    logits = (np.maximum(x @ kernel + bias, 0) @ kernel2 + bias2)[:, 0]
    labels = (logits > np.median(logits)).astype(int)
    recorded = Census.of(model, (x, labels)).run.record.epochs[0]
    assert recorded.train_accuracy == pytest.approx(((logits > 0) == labels).mean())
    losses = np.logaddexp(0, logits) - labels * logits
    assert recorded.train_loss == pytest.approx(losses.mean(), rel=1e-4)


@tf.custom_gradient
def straight(z):
    """ReLU whose gradient passes through, whatever z is."""
    return tf.nn.relu(z), lambda upstream: upstream


@tf.RegisterGradient("Straight")
def passed(operation, upstream):
    return upstream


def overridden(z):
    with tf.compat.v1.get_default_graph().gradient_override_map({"Relu": "Straight"}):
        return tf.nn.relu(z)


@pytest.mark.parametrize(
    ("function", "dead"),
    [
        (tf.nn.relu, [True, True, False]),
        (lambda z: tf.nn.relu(z - 1), [True, True, True]),
        (straight, [False] * 3),
        (overridden, [False] * 3),
    ],
)
def test_the_gate_is_that_of_the_very_function_although_it_ends_with_relu(function, dead):
    first = layers.Dense(3, function, kernel_initializer="zeros")
    model = of([first, layers.Dense(2)])
    first.bias.assign([-2, 0, 0.5])
    assert units.dead(Census.of(model, numbers(9, 6)).run.last_summaries(1)).tolist() == dead
