"""The forward pass for reading runs: every layer's z is the one that NumPy finds in float64."""

import numpy as np
import pytest
from test_built_in import CNN, ByHand

from lab import RunConfig
from lab.experiment.data import fitted
from lab.network import forward_pass
from lab.network.forward_pass import forward
from lab.network.initial_weights import first_weights


def check(config, images):
    weights = first_weights(config)
    rng = np.random.default_rng(2)  # Not all biases 0, nor all slopes the same.
    moved = {
        n: a + np.float32(0.1) * rng.random(a.shape, np.float32) for n, a in weights.named.items()
    }
    weights = weights.with_arrays(moved)
    found = list(forward(config, weights, images))
    by_hand = ByHand(config, weights)
    scores = by_hand.run(images)
    for one, other in zip(found, [*by_hand.z, scores], strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("hidden", [(5,), (7, 4, 3)])
def test_the_textbooks_layers_are_those_of_numpy(hidden, tiny):
    check(fitted(RunConfig(hidden=hidden), tiny), tiny.x_test[:30])


@pytest.mark.parametrize("images", [1, 4, 5, 9])
def test_other_networks_are_computed_in_blocks_of_any_size(images, tiny, monkeypatch):
    monkeypatch.setattr(forward_pass, "BLOCK", 4)
    check(fitted(RunConfig(**CNN), tiny), tiny.x_test[:images])


def test_a_textbook_unit_has_the_activation_functions_own_parameter(tiny):
    config = fitted(RunConfig(hidden=(3, 2), activation="leaky_relu=0.3"), tiny)
    weights = first_weights(config)
    first, second, _ = forward(config, weights, tiny.x_test)
    a = np.where(first > 0, first, np.float32(0.3) * first)
    np.testing.assert_allclose(second, a @ weights[2] + weights[3], rtol=1e-5, atol=1e-6)


def test_what_is_not_finite_is_given_without_a_warning(tiny, recwarn):
    config = fitted(RunConfig(hidden=(2,)), tiny)
    weights = first_weights(config)
    broken = weights.with_arrays({"layer1.kernel": np.full((784, 2), np.inf, np.float32)})
    first, _ = forward(config, broken, np.zeros_like(tiny.x_test))
    assert np.isnan(first).all()
    assert len(recwarn) == 0


@pytest.mark.parametrize("network", [{"hidden": (4, 3)}, CNN], ids=["mlp", "cnn"])
def test_learned_slopes_are_each_units_own(network, tiny):
    config = fitted(RunConfig(activation="prelu", **network), tiny)
    weights = first_weights(config)
    slope = weights.layout.sites[-2].slope
    slopes = np.linspace(-1, 1, weights.named[slope].size, dtype=np.float32)
    weights = weights.with_arrays({slope: slopes.reshape(weights.named[slope].shape)})
    *_, below, last, _ = forward(config, weights, tiny.x_test[:6])
    a = np.where(below > 0, below, slopes * below).reshape(6, -1)
    number = len(weights.layout.sites)
    expected = a @ weights.kernel(number) + weights.bias(number)
    np.testing.assert_allclose(last, expected, rtol=1e-4, atol=1e-5)
