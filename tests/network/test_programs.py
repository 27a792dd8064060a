"""The compiled programs on the lab's own network: shared, exact on real digits, Adam by hand."""

import numpy as np
import pytest
from made import make_dataset
from trained import digest, epoch_ends, scaled

from lab import Dataset, RunConfig, load_dataset
from lab.activations import registry
from lab.experiment.data import split
from lab.network.keras_model import build_model
from lab.network.optimizers import adam
from lab.network.programs import gates, program
from lab.system.machine import load_tensorflow
from lab.training.trainer import batch_order, train


def test_runs_of_one_shape_share_one_compiled_program(tiny: Dataset) -> None:
    configs = [
        RunConfig(activation="elu", parameter=p, hidden=(7,), seed=s, learning_rate=r, epochs=1)
        for p, s, r in ((1.0, 0, 0.001), (0.5, 1, 0.01), (2.0, 2, 0.1))
    ]
    shared = program(configs[0])
    before = shared.train.args[0].experimental_get_tracing_count()
    list(train(configs, tiny))
    assert shared.train.args[0].experimental_get_tracing_count() - before <= 1


def test_the_gate_is_what_single_precision_has_of_the_slope() -> None:
    """exp(-87.3) = 1.2e-38 is the last number of full precision; those below are flushed to 0."""
    elu = RunConfig(activation="elu")
    found = gates(elu, [[1, 0, -1], [-17, -87.3, -87.4]])
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found[0], [1, 1, np.exp(-1)], rtol=1e-6)
    np.testing.assert_allclose(found[1, :2], np.exp([-17, -87.3]), rtol=1e-5)
    assert found[1, 2] == 0
    assert gates(RunConfig(activation="leaky_relu=0.2"), -3.0) == np.float32(0.2)


def test_adam_first_moves_a_weight_by_the_learning_rate_or_little_less() -> None:
    tf = load_tensorflow()
    w, m, v = (tf.Variable([0.0, 0.0]) for _ in range(3))
    adam([w], [m, v], [tf.constant([3.0, -0.002])], tf.constant(1.0), tf.constant(0.01))
    epsilon = 1e-7 / np.sqrt(1 - 0.999)
    expected = [-0.01 * 3 / (3 + epsilon), 0.01 * 0.002 / (0.002 + epsilon)]
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-4)


def test_adam_coasts_for_nine_more_steps_when_a_steady_gradient_stops() -> None:
    """With r = 0.9 / sqrt(0.999) the steps left sum to r / (1 - r) = 9.045 learning rates."""
    tf = load_tensorflow()
    w, m, v = tf.Variable([0.0]), tf.Variable([3.0]), tf.Variable([9.0])
    for _ in range(300):
        adam([w], [m, v], [tf.constant([0.0])], tf.constant(1e6), tf.constant(0.01))
    np.testing.assert_allclose(w.numpy(), [-0.09045], rtol=1e-3)


@pytest.mark.parametrize(
    "activation",
    [
        pytest.param(
            name, marks=pytest.mark.slow if name in ("relu", "elu") else pytest.mark.seldom
        )
        for name in registry.names()
    ],
)
def test_the_default_network_follows_keras_on_real_digits(activation: str) -> None:
    """A hundred steps on mnist-5k; the bound is argued in test_training."""
    dataset = load_dataset("mnist-5k")
    config = RunConfig(activation=activation, epochs=4)
    ours = epoch_ends(train([config], dataset))
    model = build_model(config)
    start = model.get_weights()
    x, y = scaled(dataset.x_train), np.eye(10, dtype=np.float32)[dataset.y_train]
    for epoch in range(1, 5):
        for batch in batch_order(config, epoch, split(dataset, config).train).reshape(25, 128):
            model.train_on_batch(x[batch], y[batch])
    for mine, keras, first in zip(ours[4].state.weights, model.get_weights(), start, strict=True):
        assert np.linalg.norm(mine - keras) <= 1e-4 * np.linalg.norm(keras - first)


@pytest.mark.seldom
def test_the_default_networks_are_the_same_to_the_bit_alone_and_in_company() -> None:
    dataset = load_dataset("mnist-5k")
    configs = [RunConfig(activation=name, epochs=2) for name in registry.names()]
    others = [RunConfig(hidden=(100, 30), epochs=2), RunConfig(batch_size=100, epochs=2)]
    company = list(train([*others, *configs], dataset))
    for place, config in enumerate(configs, start=2):
        alone = epoch_ends(train([config], dataset))
        assert digest(alone) == digest(epoch_ends(company, place))


def test_a_dataset_of_another_size_is_only_another_shape() -> None:
    config = RunConfig(hidden=(4,), epochs=1, batch_size=10)
    for images in (50, 120):
        ends = epoch_ends(train([config], make_dataset(images, 20)))
        assert ends[-1].layers[0].images == images * 4 // 5
