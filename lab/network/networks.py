"""Networks as values: how each is built, as plain Keras. The textbook's MLP is the first.

A run names its network; `network_of` finds it here.
"""

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.errors import unknown
from lab.experiment import RunConfig
from lab.layout import CLASSES, IMAGE_SHAPE
from lab.system import keras_defaults

if TYPE_CHECKING:
    import keras

TEXTBOOK = "mlp"


@dataclass(frozen=True)
class Network:
    """How a network is built, as plain Keras.

    Attributes:
        name: Its name in a run's settings.
        builder: `builder(activation, input_shape, classes, **settings) -> keras.Model`; the model
            takes images in [0, 1] and ends in a softmax.
        settings: What else the builder takes, by name.
    """

    name: str
    builder: Callable[..., Any]
    settings: tuple[tuple[str, Any], ...] = ()

    def build(
        self,
        activation: Any,
        input_shape: tuple[int, ...] = IMAGE_SHAPE,
        classes: int = CLASSES,
        **more: Any,
    ) -> "keras.Model":
        """Builds the network with an activation function, as Keras takes it."""
        with keras_defaults(), _undisturbed():
            return self.builder(activation, input_shape, classes, **dict(self.settings), **more)


_NETWORKS: dict[str, Network] = {}


def add(network: Network) -> Network:
    """Makes a network known by its name."""
    _NETWORKS[network.name] = network
    return network


def network_of(config: RunConfig) -> Network:
    """Returns the network of a run.

    Raises:
        InputError: If no network of this name is known here.
    """
    if config.network == TEXTBOOK:
        return Network(TEXTBOOK, build_textbook, (("hidden", config.hidden),))
    if config.network not in _NETWORKS:
        raise unknown("network", config.network, (TEXTBOOK, *_NETWORKS))
    return _NETWORKS[config.network]


def build_textbook(
    activation: Any,
    input_shape: tuple[int, ...],
    classes: int,
    hidden: Sequence[int] = (512, 512),
    initializer: Callable[[int], Any] = lambda layer: "glorot_uniform",
    bias_initializer: Any = "zeros",
) -> "keras.Sequential":
    """Builds the textbook's network: Flatten, dense hidden layers, a dense softmax.

    Args:
        activation: The activation function of the hidden layers, as Keras takes it.
        input_shape: Shape of an image.
        classes: Number of classes.
        hidden: Units of each hidden layer.
        initializer: Gives each layer, from 0, the initializer of its kernel.
        bias_initializer: The initializer of the hidden layers' biases.
    """
    import keras

    network = keras.Sequential([keras.Input(input_shape), keras.layers.Flatten()])
    for layer, units in enumerate(hidden):
        network.add(
            keras.layers.Dense(
                units,
                activation=activation,
                kernel_initializer=initializer(layer),
                bias_initializer=bias_initializer,
            )
        )
    output = initializer(len(hidden))
    network.add(keras.layers.Dense(classes, activation="softmax", kernel_initializer=output))
    return network


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Restores the state of Python's random numbers, from which Keras draws seeds."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
