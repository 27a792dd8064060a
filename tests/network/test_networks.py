"""The textbook's network: its recipe, its seeded first weights, and what it computes."""

import itertools
import math
from hashlib import sha256
from typing import get_args

import numpy as np
import pytest

import lab.activations
from lab import RunConfig
from lab.experiment.config import Initializer
from lab.layout import Weights
from lab.network import initial_weights
from lab.network.forward_pass import forward as forward_in_numpy
from lab.network.initial_weights import first_kernel, first_weights
from lab.network.keras_model import build_model
from lab.network.programs import gradients_of
from lab.system.machine import load_tensorflow

load_tensorflow()

SMALL = {"hidden": (40, 30)}
BY_HAND = {
    "relu": lambda z: z * (z > 0),
    "leaky_relu=0.1": lambda z: z * np.where(z < 0, 0.1, 1.0),
    "elu": lambda z: np.where(z < 0, np.exp(np.minimum(z, 0)) - 1, z),
}


def initializer(config, kernel):
    """Keras's own, with the seed that the lab gives each kernel."""
    import keras

    kind = config.initializer.title().replace("_", "")
    seed = initial_weights._seed(config, kernel)
    return getattr(keras.initializers, kind)(seed=seed)


def assert_the_same_bits(found, expected):
    """Not by their bytes, of which pytest would work out the difference for minutes."""
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.int32), expected.view(np.int32))


def kernels_and_biases(config):
    weights = build_model(config).get_weights()
    return weights[::2], weights[1::2]


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def forward(weights, x, activation):
    """The network in NumPy's float64; returns the probabilities."""
    a = x.reshape(len(x), 784).astype(np.float64)
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        a = activation(a @ kernel + bias)
    return softmax(a @ weights[-2] + weights[-1])


def test_the_default_network_is_the_textbooks():
    import keras

    network = build_model(RunConfig())
    kinds = [type(layer) for layer in network.layers]
    assert kinds == [keras.layers.Flatten] + [keras.layers.Dense] * 3
    assert network.input_shape == (None, 28, 28)
    assert [layer.output.shape for layer in network.layers] == [
        (None, 784),
        (None, 512),
        (None, 512),
        (None, 10),
    ]
    assert network.count_params() == 669_706
    assert [layer.count_params() for layer in network.layers] == [0, 401_920, 262_656, 5_130]
    assert network.layers[-1].activation is keras.activations.softmax
    assert {weight.dtype for weight in network.weights} == {"float32"}
    assert all(weight.trainable for weight in network.weights)


def test_the_default_network_is_compiled_as_in_the_textbook():
    import keras

    network = build_model(RunConfig())
    assert isinstance(network.optimizer, keras.optimizers.Adam)
    settings = network.optimizer.get_config()
    assert settings["learning_rate"] == np.float32(0.001)
    assert settings == keras.optimizers.Adam(name=settings["name"]).get_config()
    assert (settings["beta_1"], settings["beta_2"], settings["epsilon"]) == (0.9, 0.999, 1e-7)
    assert network.loss == "categorical_crossentropy"


@pytest.mark.parametrize(("momentum", "rate"), [(0.0, 0.01), (0.9, 0.5)])
def test_sgd_carries_its_rate_and_momentum(momentum, rate):
    import keras

    config = RunConfig(optimizer="sgd", momentum=momentum, learning_rate=rate, **SMALL)
    optimizer = build_model(config).optimizer
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert float(optimizer.learning_rate) == np.float32(rate)
    assert (optimizer.momentum, optimizer.nesterov) == (momentum, False)


def test_adam_carries_its_rate():
    optimizer = build_model(RunConfig(learning_rate=0.25, **SMALL)).optimizer
    assert float(optimizer.learning_rate) == 0.25


@pytest.mark.parametrize("hidden", [(1,), (3, 2), (4,) * 12])
def test_a_network_has_the_layers_that_are_asked_for(hidden):
    network = build_model(RunConfig(hidden=hidden))
    assert tuple(layer.units for layer in network.layers[1:]) == (*hidden, 10)
    assert network.count_params() == RunConfig(hidden=hidden).weights


@pytest.mark.parametrize("name", list(BY_HAND))
def test_every_hidden_layer_has_the_activation_and_the_last_has_none_of_it(name):
    network = build_model(RunConfig(activation=name, **SMALL))
    z = np.array([[-3.0, -0.5, 0.0, 0.5, 3.0]], np.float32)
    for layer in network.layers[1:-1]:
        found = layer.activation(load_tensorflow().constant(z)).numpy()
        np.testing.assert_allclose(found, BY_HAND[name](z), rtol=1e-6)


@pytest.mark.parametrize("first_bias", [0.0, 0.75])
@pytest.mark.parametrize("name", list(BY_HAND))
def test_predictions_agree_with_an_independent_forward_pass(name, first_bias):
    config = RunConfig(
        activation=name, hidden=(60, 50, 40), first_bias=first_bias, initializer="he_normal"
    )
    network = build_model(config)
    x = np.random.default_rng(3).random((50, 28, 28), np.float32)
    found = network.predict(x, verbose=0)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    expected = forward(network.get_weights(), x, BY_HAND[name])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert expected.std(axis=0).max() > 0.001


def test_evaluation_gives_cross_entropy_and_accuracy():
    network = build_model(RunConfig(**SMALL))
    rng = np.random.default_rng(4)
    x, labels = rng.random((200, 28, 28), np.float32), rng.integers(0, 10, 200)
    found = network.evaluate(x, np.eye(10)[labels], verbose=0, return_dict=True)
    chances = forward(network.get_weights(), x, BY_HAND["relu"])
    loss = -np.log(chances[np.arange(200), labels]).mean()
    assert found["loss"] == pytest.approx(loss, rel=1e-4)
    assert found["accuracy"] == pytest.approx((chances.argmax(axis=1) == labels).mean())


def test_one_step_of_sgd_follows_the_gradient_worked_out_by_hand():
    """Softmax and cross-entropy on the last layer: d loss / d logits = (p - y) / n."""
    network = build_model(RunConfig(hidden=(20,), optimizer="sgd", learning_rate=0.5))
    before = network.get_weights()
    rng = np.random.default_rng(5)
    x, y = rng.random((16, 28, 28), np.float32), np.eye(10)[rng.integers(0, 10, 16)]
    network.train_on_batch(x, y)
    kernel, bias = network.get_weights()[2:]
    a = np.maximum(x.reshape(16, 784).astype(np.float64) @ before[0] + before[1], 0)
    error = (forward(before, x, BY_HAND["relu"]) - y) / 16
    np.testing.assert_allclose(kernel, before[2] - 0.5 * a.T @ error, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(bias, before[3] - 0.5 * error.sum(axis=0), rtol=1e-4, atol=1e-6)


def test_first_weights_are_the_same_for_every_activation_of_one_seed():
    first, *others = (
        build_model(RunConfig(activation=name, seed=5, **SMALL)).get_weights() for name in BY_HAND
    )
    for weights in others:
        assert all(np.array_equal(*pair) for pair in zip(first, weights, strict=True))


def test_first_weights_depend_on_neither_optimiser_nor_learning_rate_nor_the_build():
    settings = [{}, {}, {"optimizer": "sgd", "learning_rate": 0.5}, {"epochs": 3, "batch_size": 9}]
    first, *others = (build_model(RunConfig(**SMALL, **more)).get_weights() for more in settings)
    for weights in others:
        assert all(np.array_equal(*pair) for pair in zip(first, weights, strict=True))


@pytest.mark.parametrize("kind", get_args(Initializer))
@pytest.mark.parametrize("hidden", [(5,), (7, 4, 3)])
def test_first_weights_are_those_of_the_network_to_the_bit(kind, hidden):
    config = RunConfig(hidden=hidden, initializer=kind, first_bias=-0.3, seed=11)
    expected = build_model(config).get_weights()
    got = first_weights(config)
    for array, wanted in zip(got, expected, strict=True):
        assert_the_same_bits(array, wanted)


@pytest.mark.parametrize("kind", get_args(Initializer))
@pytest.mark.parametrize("shape", [(784, 512), (1, 1), (3, 7), (512, 10), (5, 1000), (3, 3, 4, 8)])
def test_a_first_kernel_is_what_keras_draws_to_the_bit(kind, shape):
    for seed in (0, 1, 7, 2**32 - 1):
        config = RunConfig(initializer=kind, seed=seed)
        for layer in (0, 1, 2):
            expected = np.array(initializer(config, layer)(shape, dtype="float32"))
            assert_the_same_bits(first_kernel(config, layer, shape), expected)


@pytest.mark.parametrize("seed", [0, 2**31 - 3, 2**31 - 2, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_first_kernel_is_what_keras_draws_for_the_largest_seeds(seed, monkeypatch):
    monkeypatch.setattr("lab.network.initial_weights._seed", lambda *_: seed)
    for kind in ("glorot_uniform", "he_normal"):
        config = RunConfig(initializer=kind)
        expected = np.array(initializer(config, 0)((9, 11), dtype="float32"))
        assert_the_same_bits(first_kernel(config, 0, (9, 11)), expected)


def test_first_weights_are_those_that_were_always_drawn():
    """SHA-256 of the first weights of seed 0, as they were when Keras's own generator drew them."""
    recorded = {"glorot": "bff3f610d307678a", "he": "8625696eb2dc6cf3", "lecun": "430b24e2625f1e37"}
    for family, digest in recorded.items():
        weights = first_weights(RunConfig(initializer=f"{family}_uniform", hidden=(16,)))
        content = b"".join(array.tobytes() for array in weights)
        assert sha256(content).hexdigest().startswith(digest)


@pytest.mark.parametrize("name", lab.activations.names())
def test_numpys_error_state_changes_no_number_of_the_network(name):
    config = RunConfig(activation=name, hidden=(4, 2))
    images = np.full((2, 28, 28), 255, np.uint8)
    for scale in (1e-30, 1.0, 1e4, 1e30):
        weights = first_weights(config)
        weights = Weights(weights.layout, tuple(np.float32(scale) * array for array in weights))
        found = []
        for state in ("ignore", "raise"):
            with np.errstate(all=state):
                layers = list(forward_in_numpy(config, weights, images))
                found.append([*layers, *gradients_of(config, weights, images, np.array([0, 3]), 0)])
        assert all(np.array_equal(*pair, equal_nan=True) for pair in zip(*found, strict=True))


def test_first_weights_differ_between_seeds():
    seen = [kernels_and_biases(RunConfig(seed=seed, **SMALL))[0] for seed in (0, 1, 2**32 - 1)]
    for one, other in itertools.combinations(seen, 2):
        for mine, theirs in zip(one, other, strict=True):
            assert abs(np.corrcoef(mine.ravel(), theirs.ravel())[0, 1]) < 5 / math.sqrt(mine.size)


def test_first_weights_differ_between_layers_of_one_shape_and_from_those_of_the_next_seed():
    """Layer 2 of one seed must not be layer 1 of the next."""
    kernels = [
        kernel
        for seed in (0, 1, 2)
        for kernel in kernels_and_biases(RunConfig(hidden=(30,) * 4, seed=seed))[0][1:-1]
    ]
    assert len(kernels) == 9
    for one, other in itertools.combinations(kernels, 2):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / 30


VARIANCES = {
    "glorot": lambda inputs, outputs: 2 / (inputs + outputs),
    "he": lambda inputs, outputs: 2 / inputs,
    "lecun": lambda inputs, outputs: 1 / inputs,
}


@pytest.mark.parametrize("family", list(VARIANCES))
def test_uniform_first_weights_fill_their_published_limits(family):
    """Of n draws, the chance that none comes within 20 / n of an edge is exp(-20 / 2)."""
    config = RunConfig(initializer=f"{family}_uniform", hidden=(300, 100), seed=3)
    for kernel in kernels_and_biases(config)[0]:
        limit = math.sqrt(3 * VARIANCES[family](*kernel.shape))
        near = limit * (1 - 20 / kernel.size)
        assert near < kernel.max() <= limit * (1 + 1e-6)
        assert near < -kernel.min() <= limit * (1 + 1e-6)


@pytest.mark.parametrize("shape", ["uniform", "normal"])
@pytest.mark.parametrize("family", list(VARIANCES))
def test_first_weights_have_the_published_mean_and_variance(family, shape):
    """Tolerances are five standard errors; the variance's is at most sqrt(2 / n) of it."""
    config = RunConfig(initializer=f"{family}_{shape}", hidden=(300, 100), seed=4)
    for kernel in kernels_and_biases(config)[0]:
        variance = VARIANCES[family](*kernel.shape)
        assert kernel.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / kernel.size))
        assert abs(kernel.mean()) < 5 * math.sqrt(variance / kernel.size)


@pytest.mark.parametrize("family", list(VARIANCES))
def test_normal_first_weights_are_cut_off_at_two_sigma_and_not_uniform(family):
    """Kurtosis: 1.8 if uniform, 3 if normal, 2.37 if normal and cut off at two sigma."""
    config = RunConfig(initializer=f"{family}_normal", hidden=(300, 100))
    kernel = kernels_and_biases(config)[0][0].astype(np.float64)
    kurtosis = (kernel**4).mean() / kernel.var() ** 2
    assert kurtosis == pytest.approx(2.366, abs=0.03)
    deviation = math.sqrt(VARIANCES[family](*kernel.shape)) / 0.87962566
    assert 1.99 * deviation < np.abs(kernel).max() <= 2.000001 * deviation


def test_the_textbooks_kernels_are_glorot_uniform_and_its_biases_zero():
    kernels, biases = kernels_and_biases(RunConfig())
    limits = [math.sqrt(6 / (784 + 512)), math.sqrt(6 / 1024), math.sqrt(6 / 522)]
    found = [np.abs(kernel).max() for kernel in kernels]
    np.testing.assert_allclose(found, limits, rtol=1e-3)
    assert [bias.tolist() for bias in biases] == [[0.0] * 512, [0.0] * 512, [0.0] * 10]


def test_the_first_bias_is_set_in_hidden_layers_only_and_leaves_kernels_alone():
    kernels, biases = kernels_and_biases(RunConfig(first_bias=-0.5, hidden=(4, 3)))
    assert [bias.tolist() for bias in biases] == [[-0.5] * 4, [-0.5] * 3, [0.0] * 10]
    plain, _ = kernels_and_biases(RunConfig(hidden=(4, 3)))
    assert all(np.array_equal(*pair) for pair in zip(kernels, plain, strict=True))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu=0.1", "elu=0.5"])
def test_the_network_is_plain_keras_and_can_be_saved_and_loaded(activation, tmp_path):
    import keras

    network = build_model(RunConfig(activation=activation, hidden=(5, 4)))
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras", compile=False)
    images = np.random.default_rng(0).random((3, 28, 28), dtype=np.float32)
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), network.predict(images, verbose=0)
    )
