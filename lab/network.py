"""The textbook's network in plain Keras, and its seeded first weights."""

from typing import TYPE_CHECKING, Any

import numpy as np

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
