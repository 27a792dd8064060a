"""The network of a run as plain Keras, ready for `fit`."""

from typing import TYPE_CHECKING, Any

from lab.experiment import RunConfig
from lab.network.initial_weights import first_weights
from lab.network.networks import network_of
from lab.network.optimizers import build_optimizer
from lab.system import keras_defaults, load_tensorflow

if TYPE_CHECKING:
    import keras


def build_model(config: RunConfig, steps: int | None = None) -> "keras.Model":
    """Builds the network of a run as plain Keras, untrained, compiled and ready for `fit`.

    With the default settings it is the textbook's: Flatten(28, 28) -> Dense(512, activation) ->
    Dense(512, activation) -> Dense(10, softmax), categorical cross-entropy, Adam, accuracy;
    669,706 weights.

    Args:
        config: The settings of the run. Its seed fixes the first weights, which are the same for
            every activation function.
        steps: The training steps of an epoch, which a warm-up and a schedule need.

    Returns:
        A model that takes images of the run's shape, such as (n, 28, 28), float32 in [0, 1].
    """
    load_tensorflow()  # Before Keras, so that it takes this backend.
    network, activation = network_of(config), config.function.in_keras(config.parameter)
    first = first_weights(config)  # In a thread that sets Keras's defaults, too.
    with keras_defaults():
        model = network.build(activation)
        model.set_weights(list(first))
        model.compile(
            optimizer=build_optimizer(config, steps), loss=_loss(config), metrics=["accuracy"]
        )
    return model


def _loss(config: RunConfig) -> Any:
    import keras

    if config.label_smoothing:
        return keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)
    return "categorical_crossentropy"
