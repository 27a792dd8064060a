"""The forward pass for reading runs: the textbook's network in NumPy, without TensorFlow."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.experiment import RunConfig
from lab.layout import Weights
from lab.network.networks import network_of
from lab.network.templates import Template, template
from lab.system import in_own_thread, load_tensorflow

BLOCK = 250  # Images that Keras computes at once outside the compiled programs.


def forward(
    config: RunConfig, weights: Weights, images: NDArray[np.uint8]
) -> Iterator[NDArray[np.float32]]:
    """Computes a network, layer by layer: the textbook's in NumPy, so that no TensorFlow is loaded.

    Args:
        config: The settings, for network and activation function. The textbook's widths are those
            of the weights.
        weights: The network's weights.
        images: uint8 of shape (n, height, width).

    Yields:
        Each layer's pre-activations z, float32 of shape (n, units), or for a convolution
        (n, height, width, units); the last are the class scores.

    Raises:
        InputError: If network or activation function is not known here.
    """
    return (_in_numpy if config.is_textbook else _in_keras)(config, weights, images)


def activations(
    config: RunConfig, weights: Weights, images: NDArray[np.uint8]
) -> Iterator[NDArray[np.float32]]:
    """Computes the activations of each hidden layer, as `forward` its pre-activations."""
    layers = zip(weights.layout.layers, forward(config, weights, images), strict=False)
    return (activated(config, weights, layer, z) for layer, z in layers)


def activated(
    config: RunConfig, weights: Weights, layer: int, z: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Returns the activations of a hidden layer's pre-activations, with the slopes it has learned.

    Args:
        config: The settings, for the activation function.
        weights: The network's weights.
        layer: The hidden layer, from 1.
        z: Its pre-activations.
    """
    slope = weights.layout.sites[layer - 1].slope
    alpha: Any = weights.named[slope].reshape(-1) if slope else config.alpha
    return config.function.function(z, alpha)


def _in_keras(
    config: RunConfig, weights: Weights, images: NDArray[np.uint8]
) -> Iterator[NDArray[np.float32]]:
    made = template(network_of(config))
    blocks = [
        _block_in_keras(made, config, weights, images[first : first + BLOCK])
        for first in range(0, len(images), BLOCK)
    ]
    return map(np.concatenate, zip(*blocks, strict=True))


@in_own_thread
def _block_in_keras(
    made: "Template", config: RunConfig, weights: Weights, images: NDArray[np.uint8]
) -> list[NDArray[np.float32]]:
    tf = load_tensorflow()
    seen: list[Any] = []

    def function(z: Any, slopes: Any) -> Any:
        seen.append(z)
        alpha = tf.constant(config.alpha, tf.float32) if slopes is None else slopes
        return config.function.on_tensors(z, alpha)

    with tf.device("CPU:0"):
        x = tf.constant(images, tf.float32) / 255.0
        scores, _ = made.scores([tf.constant(array) for array in weights], x, function)
    return [z.numpy() for z in (*seen, scores)]


def _in_numpy(
    config: RunConfig, weights: Weights, images: NDArray[np.uint8]
) -> Iterator[NDArray[np.float32]]:
    a: NDArray[Any] = images.reshape(len(images), -1).astype(np.float32) / 255
    for layer in (*weights.layout.layers, len(weights.layout.layers) + 1):
        with np.errstate(all="ignore"):  # Never while the caller has z.
            z = a @ weights.kernel(layer) + weights.bias(layer)
            a = config.f(z).astype(np.float32)
        yield z
