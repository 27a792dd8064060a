"""Networks as values: how each is built, as plain Keras. The textbook's MLP is the first.

A run names its network; `network_of` finds it here.
"""

import contextlib
import dataclasses
import functools
import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.errors import InputError, refusing, unknown
from lab.experiment import OWN_NETWORKS, SHAPES, RunConfig
from lab.layout import CLASSES, IMAGE_SHAPE
from lab.system import keras_defaults

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Network:
    """How a network is built, as plain Keras.

    Attributes:
        name: Its name in a run's settings.
        builder: `builder(activation, input_shape, classes, **settings) -> keras.Model`; the model
            takes images in [0, 1] and ends in a softmax.
        input_shape: Shape of an image.
        classes: Number of classes.
        settings: What else the builder takes, by name.
        source: The source of a user's own builder, with all that it uses from outside.
        slope: Where the slopes that the activation function learns start; None if it has none.
        paired: Whether units come in pairs with one weight vector.
    """

    name: str
    builder: Callable[..., Any]
    input_shape: tuple[int, ...] = IMAGE_SHAPE
    classes: int = CLASSES
    settings: tuple[tuple[str, Any], ...] = ()
    source: str | None = None
    slope: float | None = None
    paired: bool = False

    def build(self, activation: Any) -> "keras.Model":
        """Builds the network with an activation function, as Keras takes it.

        Raises:
            InputError: If the user's own builder fails, or returns something else.
        """
        words = (
            f"The network {self.name!r} cannot be built for images of shape {self.input_shape}: "
        )
        with refusing(words), keras_defaults(), _undisturbed():
            return self._built(activation)

    def _built(self, activation: Any) -> "keras.Model":
        import keras

        function = keras.activations.get(activation)
        if self.slope is not None:
            function = LearnedSlopes(function, self.slope)
        if self.paired:
            function = PairedUnits(function)
        model = self.builder(function, self.input_shape, self.classes, **dict(self.settings))
        if not isinstance(model, keras.Model):
            raise InputError(
                f"The network {self.name!r} must be a Keras model, not a {type(model).__name__}: "
                f"build must return it."
            )
        if not model.built or any(not layer.built for layer in model.layers):
            model(np.zeros((1, *self.input_shape), np.float32))  # Builds subclassed models.
        return model


@dataclass(frozen=True)
class LearnedSlopes:
    """An activation function whose slopes are learned: each hidden layer gets a layer of them.

    Attributes:
        function: `function(z, slopes)`, if it is not Keras's PReLU itself.
        start: The value from which the slopes start.
    """

    function: Any
    start: float

    def layer(self, name: str, on_positions: bool) -> Any:
        """Returns a Keras layer with a slope for each unit, or each channel of a convolution."""
        import keras

        class Slopes(keras.layers.PReLU):
            def call(self, z: Any) -> Any:
                return self.activation(z, keras.ops.reshape(self.alpha, (-1,)))

        about: dict[str, Any] = {
            "alpha_initializer": keras.initializers.Constant(self.start),
            "shared_axes": [1, 2] if on_positions else None,
            "name": name,
        }
        if not getattr(self.function, "takes_slopes", False):
            return keras.layers.PReLU(**about)
        layer = Slopes(**about)
        layer.activation = self.function
        return layer


@dataclass(frozen=True)
class PairedUnits:
    """An activation function for units in pairs, such as CReLU (Shang et al. 2016).

    A hidden layer has half as many weight vectors as units.

    Attributes:
        function: The function, as Keras takes it.
    """

    function: Any


def _mirror(channels: int, on_positions: bool, name: str) -> Any:
    """Returns a Keras model as a layer that puts -z behind z, of layers that any Keras loads."""
    import keras

    z = keras.Input((None, None, channels) if on_positions else (channels,))
    negative = keras.layers.Rescaling(-1.0)(z)
    return keras.Model(z, keras.layers.Concatenate()([z, negative]), name=name)


_NETWORKS: dict[str, Network] = {}


def add(network: Network) -> Network:
    """Makes a network known by its name."""
    _NETWORKS[network.name] = network
    if network.source is not None:
        OWN_NETWORKS[network.name] = hashlib.sha256(network.source.encode()).hexdigest()
    return network


def own_names() -> tuple[str, ...]:
    """Returns the names of the user's own networks that are registered."""
    return tuple(_NETWORKS)


def own(name: str) -> Network | None:
    """Returns a user's own network, if one of this name is registered."""
    return _NETWORKS.get(name)


def network_of(config: RunConfig) -> Network:
    """Returns the network of a run.

    Raises:
        InputError: If no network of this name is known here.
    """
    name, shape, classes = config.network, config.image_shape, config.classes
    if name in BUILDERS:
        builder, own = BUILDERS[name]
        settings = {name: getattr(config, name) for name in (*own, "normalization", "dropout")}
        settings["rescaling"] = _rescaling(config)
        slope = config.parameter if config.learns_slopes else None
        pairs = config.pairs_units
        return Network(
            name, builder, shape, classes, tuple(settings.items()), slope=slope, paired=pairs
        )
    if name not in _NETWORKS:
        raise unknown("network", name, (*BUILDERS, *_NETWORKS))
    if config.network_sha256 != OWN_NETWORKS.get(name):
        raise InputError(
            f"The network {name!r} is registered here with another source. Register the one of "
            f"this run first: lab.register_network({name!r}, build)."
        )
    return dataclasses.replace(_NETWORKS[name], input_shape=shape, classes=classes)


def build_mlp(
    activation: Any,
    input_shape: tuple[int, ...],
    classes: int,
    hidden: Sequence[int] = (512, 512),
    **remedies: Any,
) -> "keras.Sequential":
    """Builds the textbook's network: Flatten, dense hidden layers, a dense softmax.

    Args:
        activation: The activation function of the hidden layers, as Keras takes it.
        input_shape: Shape of an image.
        classes: Number of classes.
        hidden: Units of each hidden layer.
        **remedies: As `hidden_layer` and `first_layers` take them.
    """
    import keras

    network = keras.Sequential(first_layers(input_shape, **remedies))
    return _with_dense(network, activation, classes, hidden, remedies)


def _with_dense(
    network: "keras.Sequential",
    activation: Any,
    classes: int,
    hidden: Sequence[int],
    remedies: dict[str, Any],
) -> "keras.Sequential":
    """Ends a network in dense layers: Flatten, the hidden ones, a softmax."""
    from keras import layers

    network.add(layers.Flatten())
    for number, units in enumerate(hidden, start=1):
        for layer in hidden_layer(layers.Dense, units, activation, f"dense_{number}", **remedies):
            network.add(layer)
    network.add(layers.Dense(classes, activation="softmax", name="output"))
    return network


def build_cnn(
    activation: Any,
    input_shape: tuple[int, ...],
    classes: int,
    filters: Sequence[int] = (16, 32),
    hidden: Sequence[int] = (64,),
    **remedies: Any,
) -> "keras.Sequential":
    """Builds a convolutional network: 3 x 3 convolutions with stride 2, then dense layers.

    Args:
        activation: The activation function of the hidden layers, as Keras takes it.
        input_shape: Shape of an image.
        classes: Number of classes.
        filters: Channels of each convolution.
        hidden: Units of each dense hidden layer.
        **remedies: As `hidden_layer` and `first_layers` take them.
    """
    import keras
    from keras import layers

    network = keras.Sequential(first_layers(input_shape, **remedies))
    if len(input_shape) == 2:
        network.add(layers.Reshape((*input_shape, 1)))
    convolution = functools.partial(layers.Conv2D, kernel_size=3, strides=2, padding="same")
    for number, channels in enumerate(filters, start=1):
        for layer in hidden_layer(convolution, channels, activation, f"conv_{number}", **remedies):
            network.add(layer)
    return _with_dense(network, activation, classes, hidden, remedies)


def build_deep(
    activation: Any,
    input_shape: tuple[int, ...],
    classes: int,
    hidden: Sequence[int] = (128,),
    depth: int = 8,
    **remedies: Any,
) -> "keras.Model":
    """Builds a residual MLP: each hidden layer after the first adds to its input.

    A unit that is dead then passes its input on unchanged, and the gradient with it.

    Args:
        activation: The activation function of the hidden layers, as Keras takes it.
        input_shape: Shape of an image.
        classes: Number of classes.
        hidden: The one width of all hidden layers.
        depth: How many hidden layers there are.
        **remedies: As `hidden_layer` and `first_layers` take them.
    """
    import keras
    from keras import layers

    (units,) = hidden
    images, *first = first_layers(input_shape, **remedies)
    x = _through((*first, layers.Flatten()), images)
    for number in range(1, depth + 1):
        block = hidden_layer(layers.Dense, units, activation, f"dense_{number}", **remedies)
        y = _through(block, x)
        x = y if number == 1 else layers.Add()([x, y])
    return keras.Model(images, layers.Dense(classes, activation="softmax", name="output")(x))


def _through(layers: Iterable[Any], x: Any) -> Any:
    return functools.reduce(lambda value, layer: layer(value), layers, x)


def first_layers(
    input_shape: tuple[int, ...], rescaling: tuple[float, float] = (1.0, 0.0), **_: Any
) -> list[Any]:
    """Returns the input, with the factor and the offset for pixels if they are not 1 and 0."""
    import keras

    scaled = [keras.layers.Rescaling(*rescaling)] if rescaling != (1.0, 0.0) else []
    return [keras.Input(input_shape), *scaled]


def hidden_layer(
    layer: Callable[..., Any],
    units: int,
    activation: Any,
    name: str,
    normalization: str = "none",
    dropout: float = 0.0,
    **_: Any,
) -> list[Any]:
    """Returns a hidden layer with its remedies, as Keras layers one after the other.

    Args:
        layer: Makes the layer with weights, such as `keras.layers.Dense`.
        units: Its units or channels.
        activation: The activation function, as Keras takes it.
        name: The name of the layer that holds the activation function.
        normalization: none, batch or layer: what normalises z before the activation function.
        dropout: The share of activations that each training step sets to 0.
    """
    from keras import layers

    kinds = {"batch": layers.BatchNormalization, "layer": layers.LayerNormalization}
    if normalization == "none" and not isinstance(activation, LearnedSlopes | PairedUnits):
        made = [layer(units, activation=activation, name=name)]
    else:
        paired, plain = isinstance(activation, PairedUnits), normalization == "none"
        weights = layer(units // (1 + paired), use_bias=plain, name=f"{name}_weights")
        normalised = [] if plain else [kinds[normalization]()]
        on_positions = isinstance(weights, layers.Conv2D)
        mirrored = [_mirror(units // 2, on_positions, f"{name}_pairs")] if paired else []
        activated = _activated(activation, name, on_positions)
        made = [weights, *normalised, *mirrored, activated]
    return made + ([layers.Dropout(dropout)] if dropout else [])


def _activated(activation: Any, name: str, on_positions: bool) -> Any:
    """Returns the Keras layer of an activation function alone."""
    import keras

    if isinstance(activation, LearnedSlopes):
        return activation.layer(name, on_positions)
    function = activation.function if isinstance(activation, PairedUnits) else activation
    return keras.layers.Activation(function, name=name)


def _rescaling(config: RunConfig) -> tuple[float, float]:
    """Returns the factor and the offset for pixels in [0, 1]."""
    if config.input_scale == "symmetric":
        return 2.0, -1.0
    if config.pixels:
        mean, deviation = config.pixels
        return 1 / deviation, -mean / deviation
    return 1.0, 0.0


# How the built-in networks are built, and which settings describe each.
BUILDERS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    name: (builder, tuple(SHAPES[name]))
    for name, builder in (("mlp", build_mlp), ("cnn", build_cnn), ("deep", build_deep))
}


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Restores the state of Python's random numbers, from which Keras draws seeds."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
