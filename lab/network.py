"""The textbook's network in plain Keras, and its seeded first weights."""

import functools
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from lab import activations
from lab.config import CLASSES, RunConfig

if TYPE_CHECKING:
    import keras


@functools.cache
def load_tensorflow() -> Any:
    """Imports TensorFlow, quietly, and gives each operation one thread where that is still open.

    With one thread to an operation a run's bits depend on neither the number of cores nor the
    runs beside it. The setting can only be made before TensorFlow's first operation.

    Returns:
        The `tensorflow` module.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
    except RuntimeError:
        pass  # The user's own code ran an operation first: `threads_per_operation` tells.
    return tf


def threads_per_operation() -> int:
    """Returns TensorFlow's threads to an operation: 1 as the lab sets it, 0 for its default."""
    return int(load_tensorflow().config.threading.get_intra_op_parallelism_threads())


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

    activation = activations.get(config.activation)
    network = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])
    for layer, units in enumerate(config.hidden):
        network.add(
            keras.layers.Dense(
                units,
                activation=lambda z: activation.on_tensors(z, config.parameter),
                kernel_initializer=_initializer(config, layer),
                bias_initializer=keras.initializers.Constant(config.first_bias),
            )
        )
    output = _initializer(config, len(config.hidden))
    network.add(keras.layers.Dense(CLASSES, activation="softmax", kernel_initializer=output))
    network.compile(
        optimizer=build_optimizer(config), loss="categorical_crossentropy", metrics=["accuracy"]
    )
    return network


def build_optimizer(config: RunConfig) -> "keras.optimizers.Optimizer":
    """Returns the Keras optimiser of a run: Adam with its defaults, or SGD with momentum."""
    import keras

    if config.optimizer == "adam":
        return keras.optimizers.Adam(config.learning_rate)
    return keras.optimizers.SGD(config.learning_rate, momentum=config.momentum)


def _initializer(config: RunConfig, layer: int) -> Any:
    """Returns Keras's initializer of the run's kind, with a seed of the layer's own."""
    import keras

    kind = config.initializer.title().replace("_", "")
    (seed,) = np.random.SeedSequence([config.seed, layer]).generate_state(1)
    return getattr(keras.initializers, kind)(seed=int(seed))
