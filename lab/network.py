"""Networks in plain Keras and in NumPy: the textbook's, and any other; their first weights.

A `Network` says how a network is built. `template` builds it once to be trained by many runs, with
a stand-in for the activation function, and finds where that sits: the network's layout.
"""

import contextlib
import functools
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab import layout as layouts
from lab.config import RunConfig
from lab.errors import InputError, unknown
from lab.layout import CLASSES, IMAGE_SHAPE, Array, FloatArray, Layout, Site, Weights
from lab.machine import in_own_thread, keras_defaults, load_tensorflow

if TYPE_CHECKING:
    import keras

Function = Callable[[Any], Any]
TEXTBOOK = "mlp"
BLOCK = 250  # Images that Keras computes at once outside the compiled programs.
IN_BETWEEN = re.compile(
    "Flatten|Dropout|Pooling|Padding|Cropping"
)  # Layers that make no new value.
VARIANCES: dict[str, Callable[[int, int], float]] = {
    "glorot": lambda inputs, outputs: 1 / ((inputs + outputs) / 2),
    "he": lambda inputs, _: 2 / inputs,
    "lecun": lambda inputs, _: 1 / inputs,
}
SD_OF_TRUNCATED = 0.87962566103423978  # Of a standard normal distribution cut off at two sigma.


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


def layout_of(config: RunConfig) -> Layout:
    """Returns what the network of a run is made of; of the textbook's without TensorFlow.

    Raises:
        InputError: If the network is not known here, or is none that the lab can train.
    """
    if config.network == TEXTBOOK:
        return layouts.mlp(config.hidden)
    return template(network_of(config)).layout


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
    return (_in_numpy if config.network == TEXTBOOK else _in_keras)(config, weights, images)


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
    met: list[Any] = []

    def function(z: Any) -> Any:
        met.append(z)
        return config.function.on_tensors(z, tf.constant(config.alpha, tf.float32))

    with tf.device("CPU:0"):
        x = tf.constant(images, tf.float32) / 255.0
        scores, _ = made.scores([tf.constant(array) for array in weights], x, function)
    return [z.numpy() for z in (*met, scores)]


def _in_numpy(
    config: RunConfig, weights: Weights, images: NDArray[np.uint8]
) -> Iterator[NDArray[np.float32]]:
    a: NDArray[Any] = images.reshape(len(images), -1).astype(np.float32) / 255
    for layer in (*weights.layout.layers, len(weights.layout.layers) + 1):
        with np.errstate(all="ignore"):  # Never while the caller has z.
            z = a @ weights.kernel(layer) + weights.bias(layer)
            a = config.f(z).astype(np.float32)
        yield z


def first_weights(config: RunConfig) -> Weights:
    """Returns the untrained weights of a run's network, to the bit those of `build_model`.

    They depend on the settings alone, whatever the user's Keras is set to. Kernels, which are all
    arrays of two dimensions and more, are drawn from the run's distribution, each with a seed of
    its own. Biases that lead into an activation function are `first_bias`.
    """
    layout = layout_of(config)
    biases = {site.bias for site in layout.sites}
    arrays: list[FloatArray] = []
    kernels = 0
    for array in layout.arrays:
        if array.first is None:
            arrays.append(first_kernel(config, kernels, array.shape))
            kernels += 1
        else:
            value = config.first_bias if array.name in biases else array.first
            arrays.append(np.full(array.shape, value, np.float32))
    return Weights(layout, tuple(arrays))


def build_optimizer(config: RunConfig) -> "keras.optimizers.Optimizer":
    """Returns the Keras optimiser of a run: Adam with its defaults, or SGD with momentum."""
    import keras

    if config.optimizer == "adam":
        return keras.optimizers.Adam(config.learning_rate)
    return keras.optimizers.SGD(config.learning_rate, momentum=config.momentum)


def initializer(config: RunConfig, kernel: int) -> Any:
    """Returns Keras's initializer of the run's kind for a kernel, from 0, with its own seed."""
    import keras

    kind = config.initializer.title().replace("_", "")
    return getattr(keras.initializers, kind)(seed=_seed(config, kernel))


def _seed(config: RunConfig, kernel: int) -> int:
    (seed,) = np.random.SeedSequence([config.seed, kernel]).generate_state(1)
    return int(seed)


@in_own_thread
def first_kernel(config: RunConfig, kernel: int, shape: tuple[int, ...]) -> FloatArray:
    """Draws what the `initializer` of a kernel draws on TensorFlow, to the bit, without Keras.

    Args:
        config: The settings, for the kind of initializer and the seed.
        kernel: Which kernel, from 0.
        shape: Inputs and outputs; of a convolution with height and width before them.
    """
    tf = load_tensorflow()
    family, form = config.initializer.split("_")
    positions = math.prod(shape[:-2])
    variance = VARIANCES[family](positions * shape[-2], positions * shape[-1])
    seed = [_seed(config, kernel) % (2**31 - 2), 0]
    with tf.device("CPU:0"):
        if form == "uniform":
            limit = np.float32(math.sqrt(3 * variance))
            drawn = tf.random.stateless_uniform(shape, seed, -limit, limit, alg="philox")
        else:
            deviation = math.sqrt(variance) / SD_OF_TRUNCATED
            drawn = tf.random.stateless_truncated_normal(shape, seed, 0, deviation, alg="philox")
    return np.array(drawn)


class StandIn:
    """Stands in for the activation function in a network that many runs train.

    What it does is set for each use, in each thread: train, observe, or find where it sits.
    """

    def __init__(self) -> None:
        """Is the identity until it is set."""
        self._function: ContextVar[Function | None] = ContextVar("function", default=None)

    def __call__(self, z: Any) -> Any:
        """Applies the function that is set."""
        function = self._function.get()
        return z if function is None else function(z)

    @contextlib.contextmanager
    def doing(self, function: Function) -> Iterator[None]:
        """Sets the function within a `with` block."""
        token = self._function.set(function)
        try:
            yield
        finally:
            self._function.reset(token)


@dataclass(frozen=True, eq=False)
class Template:
    """A network that is built once, whose weights come from outside each time it is computed.

    Attributes:
        model: The Keras model; it ends in class scores (logits), without the softmax.
        activation: Its activation function, which can be set.
        layout: What it is made of.
    """

    model: Any
    activation: StandIn
    layout: Layout

    def scores(
        self,
        weights: Sequence[Any],
        images: Any,
        function: Function,
        seeds: Sequence[Any] | None = None,
    ) -> tuple[Any, list[tuple[Any, Any]]]:
        """Computes class scores, in training if there are seeds and else in inference mode.

        Args:
            weights: All arrays, in the layout's order.
            images: float32 in [0, 1].
            function: What its activation function does with z.
            seeds: For each generator of random numbers its state, in training.

        Returns:
            The scores, shape (images, classes), and which of `weights` get which new value.
        """
        model, training = self.model, seeds is not None
        given = {id(v): w for v, w in zip(model.weights, weights, strict=True)}
        numbers = iter(seeds if seeds is not None else [v.value for v in self.generators])
        given |= {id(v): next(numbers) for v in self.generators}
        with self.activation.doing(function):
            scores, state = model.stateless_call(
                [given[id(v)] for v in model.trainable_variables],
                [given[id(v)] for v in model.non_trainable_variables],
                images,
                training=training,
            )
        known = {id(v) for v in model.weights}
        pairs = zip(model.non_trainable_variables, state, strict=True)
        moved = [(given[id(v)], value) for v, value in pairs if id(v) in known]
        return scores, moved if training else []

    @functools.cached_property
    def generators(self) -> list[Any]:
        """The states of its generators of random numbers, such as those of dropout."""
        known = {id(v) for v in self.model.weights}
        return [v for v in self.model.non_trainable_variables if id(v) not in known]

    @functools.cached_property
    def convolves(self) -> bool:
        """Whether a layer convolves: XLA is slow at that on a CPU."""
        return any("Conv" in type(layer).__name__ for layer in _layers(self.model))


@functools.lru_cache(maxsize=64)
@in_own_thread
def template(network: Network) -> Template:
    """Builds a network to be trained by many runs.

    Raises:
        InputError: If it is none that the lab can train.
    """
    activation = StandIn()
    more: dict[str, Any] = {"initializer": _zeros} if network.name == TEXTBOOK else {}
    model = network.build(activation, **more)
    _end_in_scores(network.name, model)
    return Template(model, activation, find_layout(network.name, model, activation))


def _zeros(_: int) -> str:
    """The first weights of a template do not matter, and zeros are made at once."""
    return "zeros"


def _end_in_scores(name: str, model: Any) -> None:
    """Takes the softmax off the last layer."""
    import keras

    last = _layers(model)[-1]
    if getattr(last, "activation", None) is not keras.activations.softmax:
        raise InputError(f"The network {name!r} must end in a dense layer with a softmax.")
    last.activation = keras.activations.linear


def find_layout(name: str, model: Any, activation: StandIn) -> Layout:
    """Finds the activation sites of a model, in the order of computation, and names its arrays.

    Raises:
        InputError: If the activation function is not in it.
    """
    layers = _layers(model)
    names = _array_names(layers)
    found = _meetings(model, activation, layers)
    if not found:
        raise InputError(f"The network {name!r} must use the activation function that it is given.")
    met = [id(layer) for layer, _ in found]
    numbers = {one: number for number, one in enumerate(met, start=1) if met.count(one) == 1}
    sites = tuple(
        _site(_site_name(layer, number, layers), layer, z, names, numbers)
        for number, (layer, z) in enumerate(found, start=1)
    )
    arrays = tuple(
        Array(
            name=names[id(variable)],
            shape=tuple(variable.shape),
            first=_constant(variable.numpy()),
            trained=variable.trainable,
        )
        for variable in model.weights
    )
    kernel, bias = _arrays_of(layers[-1], names)
    return Layout(sites=sites, arrays=arrays, kernel=kernel, bias=bias)


def _meetings(model: Any, activation: StandIn, layers: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Returns each z that meets the activation function, with its layer: None if it is hidden.

    The model is computed without numbers. Meanwhile each layer has a function of its own.
    """
    tf = load_tensorflow()
    found: list[tuple[Any, Any]] = []

    def meet(layer: Any, z: Any) -> Any:
        found.append((layer, z))
        return z

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(images: Any) -> Any:
        with activation.doing(functools.partial(meet, None)):
            return model(images, training=False)

    active = [layer for layer in layers if getattr(layer, "activation", None) is activation]
    try:
        for layer in active:
            layer.activation = functools.partial(meet, layer)
        compute.get_concrete_function(tf.TensorSpec((1, *model.input_shape[1:])))
    finally:
        for layer in active:
            layer.activation = activation
    return found


def _site(name: str, layer: Any, z: Any, names: dict[int, str], numbers: dict[int, int]) -> Site:
    source = layer if hasattr(layer, "kernel") else _before(layer)
    kernel, bias = _arrays_of(source, names)
    return Site(
        name=name,
        kind="convolution" if z.shape.rank > 2 else "dense",
        units=z.shape[-1],
        positions=int(np.prod(z.shape[1:-1])),
        kernel=kernel,
        bias=bias,
        below=_below(source, numbers) if kernel else None,
    )


def _site_name(layer: Any, number: int, layers: Sequence[Any]) -> str:
    """Returns the name that a layer was given; of a name by Keras, its kind and number."""
    if layer is None:
        return f"activation_{number}"
    kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(layer).__name__).lower()
    if not re.fullmatch(rf"{kind}(_\d+)?|{kind.replace('_', '')}(_\d+)?", layer.name):
        return str(layer.name)
    same = [other for other in layers if type(other) is type(layer)]
    return f"{kind}_{1 + next(i for i, other in enumerate(same) if other is layer)}"


def _before(layer: Any) -> Any:
    """Returns the layer whose output alone a layer takes in; None if that is not to be seen."""
    history = getattr(getattr(layer, "input", None), "_keras_history", None)
    return getattr(history, "operation", None)


def _below(layer: Any, numbers: dict[int, int]) -> int | None:
    """Returns what a layer takes in: the activations of one site, 0 for the images, or None."""
    import keras

    before = _before(layer)
    while before is not None and id(before) not in numbers:
        if isinstance(before, keras.layers.InputLayer):
            return 0
        kind = type(before).__name__
        if not (IN_BETWEEN.search(kind) or _only_adds_channels(before)):
            return None
        before = _before(before)
    return None if before is None else numbers[id(before)]


def _only_adds_channels(layer: Any) -> bool:
    """Tells whether a layer reshapes (height, width) to (height, width, 1)."""
    import keras

    is_reshape = isinstance(layer, keras.layers.Reshape)
    return is_reshape and tuple(layer.output.shape) == (*layer.input.shape, 1)


def _arrays_of(layer: Any, names: dict[int, str]) -> tuple[str | None, str | None]:
    kernel, bias = (getattr(layer, part, None) for part in ("kernel", "bias"))
    return (None, None) if kernel is None else (names.get(id(kernel)), names.get(id(bias)))


def _array_names(layers: Sequence[Any]) -> dict[int, str]:
    """Names each variable by its layer's number and its own name, such as `layer1.kernel`."""
    weighted = [layer for layer in layers if layer.weights]
    return {
        id(variable): f"layer{number}.{variable.name}"
        for number, layer in enumerate(weighted, start=1)
        for variable in layer.weights
    }


def _layers(model: Any) -> list[Any]:
    """Returns the layers of a model, those of models within it in their place."""
    inner = (_layers(part) if hasattr(part, "layers") else [part] for part in model.layers)
    return [layer for part in inner for layer in part]


def _constant(values: FloatArray) -> float | None:
    """Returns the one value of an array of one dimension; None for a kernel, which is drawn."""
    return None if values.ndim > 1 else float(values.flat[0])


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Leaves Python's random numbers as they were: Keras draws seeds from them."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
