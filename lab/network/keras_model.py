"""The network of a run as plain Keras, ready for `fit`."""

import functools
from typing import TYPE_CHECKING, Any

from lab.experiment import RunConfig
from lab.network.initial_weights import first_weights, initializer
from lab.network.networks import TEXTBOOK, network_of
from lab.network.optimizers import build_optimizer
from lab.system import keras_defaults, load_tensorflow

if TYPE_CHECKING:
    import keras


def build_model(config: RunConfig) -> "keras.Model":
    """Builds the network of a run as plain Keras, untrained, compiled and ready for `fit`.

    With the default settings it is the textbook's: Flatten(28, 28) -> Dense(512, activation) ->
    Dense(512, activation) -> Dense(10, softmax), categorical cross-entropy, Adam, accuracy;
    669,706 weights.

    Args:
        config: The settings of the run. Its seed fixes the first weights, which are the same for
            every activation function.

    Returns:
        A model that takes images of shape (n, 28, 28), float32 in [0, 1].
    """
    load_tensorflow()  # Before Keras, so that it takes this backend.
    network, activation = network_of(config), config.function.in_keras(config.parameter)
    more = _textbook_start(config) if network.name == TEXTBOOK else {}
    first = None if more else first_weights(config)  # In a thread that sets Keras's defaults, too.
    with keras_defaults():
        model = network.build(activation, **more)
        if first is not None:
            model.set_weights(first)
        _compile(model, config)
    return model


def _textbook_start(config: RunConfig) -> dict[str, Any]:
    import keras

    return {
        "initializer": functools.partial(initializer, config),
        "bias_initializer": keras.initializers.Constant(config.first_bias),
    }


def _compile(model: "keras.Model", config: RunConfig) -> None:
    model.compile(
        optimizer=build_optimizer(config), loss="categorical_crossentropy", metrics=["accuracy"]
    )
