"""The textbook's network in plain Keras and in NumPy, and its seeded first weights."""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.config import CLASSES, RunConfig
from lab.machine import load_tensorflow

if TYPE_CHECKING:
    import keras


def build_mlp(config: RunConfig) -> "keras.Sequential":
    """Builds the textbook's network, compiled and ready for `fit`.

    Flatten(28, 28) -> Dense(512, activation) -> Dense(512, activation) -> Dense(10, softmax),
    categorical cross-entropy, Adam, accuracy: 669,706 weights with the default settings.

    Args:
        config: The settings of the run. Its seed fixes the first weights, which are the same for
            every activation function.

    Returns:
        A `keras.Sequential` that takes images of shape (n, 28, 28), float32 in [0, 1].
    """
    load_tensorflow()
    import keras

    activation = config.function
    network = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])
    for layer, units in enumerate(config.hidden):
        network.add(
            keras.layers.Dense(
                units,
                activation=activation.in_keras(config.parameter),
                kernel_initializer=initializer(config, layer),
                bias_initializer=keras.initializers.Constant(config.first_bias),
            )
        )
    output = initializer(config, len(config.hidden))
    network.add(keras.layers.Dense(CLASSES, activation="softmax", kernel_initializer=output))
    network.compile(
        optimizer=build_optimizer(config), loss="categorical_crossentropy", metrics=["accuracy"]
    )
    return network


def forward(
    config: RunConfig, weights: Sequence[NDArray[np.float32]], images: NDArray[np.uint8]
) -> Iterator[NDArray[np.float32]]:
    """Computes the network in NumPy, layer by layer: for this no TensorFlow is loaded.

    Args:
        config: The settings, for the activation function. The widths are those of the weights.
        weights: Kernel and bias of every layer in turn, float32.
        images: uint8 of shape (n, 28, 28).

    Yields:
        Each layer's pre-activations z, float32 of shape (n, units); the last are the class scores.
    """
    activation, parameter = config.function, config.parameter or 0.0
    z: NDArray[Any] = images.reshape(len(images), -1).astype(np.float32) / 255
    for layer, (kernel, bias) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        a = activation.function(z, parameter).astype(np.float32) if layer else z
        z = a @ kernel + bias
        yield z


def gradients(
    config: RunConfig,
    weights: Sequence[NDArray[np.float32]],
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]],
) -> list[NDArray[np.float32]]:
    """Computes by backpropagation how the mean cross-entropy changes with each weight.

    Args:
        config: The settings, for the activation function.
        weights: Kernel and bias of every layer in turn, float32.
        images: uint8 of shape (n, 28, 28).
        labels: Their classes, shape (n,).

    Returns:
        For each array of `weights` its gradient, of the same shape, float32.
    """
    activation, parameter = config.function, config.parameter or 0.0
    layers = list(forward(config, weights, images))
    pixels = images.reshape(len(images), -1).astype(np.float32) / 255
    inputs = [pixels, *(activation.function(z, parameter) for z in layers[:-1])]
    shares = np.exp(layers[-1] - layers[-1].max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    error = (shares - np.eye(CLASSES, dtype=np.float32)[labels]) / len(images)
    found: list[NDArray[np.float32]] = []
    for layer in reversed(range(len(layers))):
        pair = inputs[layer].T @ error, error.sum(axis=0)
        found[:0] = [array.astype(np.float32) for array in pair]
        if layer:
            gate = activation.derivative(layers[layer - 1], parameter)
            error = gate * (error @ weights[2 * layer].T)
    return found


def first_weights(config: RunConfig) -> tuple[NDArray[np.float32], ...]:
    """Returns the untrained weights of `build_mlp`, to the bit, without building the network.

    Keras keeps a little memory of every network that was ever built.

    Returns:
        Kernel and bias of every layer in turn, float32.
    """
    sizes, arrays = config.layer_sizes, []
    for layer, shape in enumerate(itertools.pairwise(sizes)):
        kernel = initializer(config, layer)(shape, dtype="float32")
        bias = config.first_bias if layer < len(config.hidden) else 0.0
        arrays += [np.array(kernel), np.full(shape[1], bias, np.float32)]
    return tuple(arrays)


def build_optimizer(config: RunConfig) -> "keras.optimizers.Optimizer":
    """Returns the Keras optimiser of a run: Adam with its defaults, or SGD with momentum."""
    import keras

    if config.optimizer == "adam":
        return keras.optimizers.Adam(config.learning_rate)
    return keras.optimizers.SGD(config.learning_rate, momentum=config.momentum)


def initializer(config: RunConfig, layer: int) -> Any:
    """Returns Keras's initializer of the run's kind for a layer, from 0, with a seed of its own."""
    load_tensorflow()
    import keras

    kind = config.initializer.title().replace("_", "")
    (seed,) = np.random.SeedSequence([config.seed, layer]).generate_state(1)
    return getattr(keras.initializers, kind)(seed=int(seed))
