"""A network that is built once and trained by many runs, and where its activation function sits."""

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab import layout as layouts
from lab.activations import FloatArray
from lab.errors import InputError
from lab.experiment import RunConfig
from lab.layout import Array, Layout, Site
from lab.network.networks import Network, network_of
from lab.system import in_own_thread, load_tensorflow

Function = Callable[[Any, Any], Any]


IN_BETWEEN = re.compile(
    "Flatten|Dropout|Pooling|Padding|Cropping"
)  # Layers that make no new value.


def layout_of(config: RunConfig) -> Layout:
    """Returns what the network of a run is made of; of the textbook's without TensorFlow.

    Raises:
        InputError: If the network is not known here, or the lab cannot train it.
    """
    if config.is_textbook:
        return layouts.mlp(config.hidden, config.image_shape, config.classes)
    return template(network_of(config)).layout


class StandIn:
    """Stands in for the activation function in a network that many runs train.

    What it does is set for each use, in each thread: train, observe, or find where it sits. It is
    given z, and the slopes that its units have learned, if any.
    """

    takes_slopes = True

    def __init__(self) -> None:
        """Is the identity until it is set."""
        self._function: ContextVar[Function | None] = ContextVar("function", default=None)

    def __call__(self, z: Any, slopes: Any = None) -> Any:
        """Applies the function that is set; while a functional model is built, becomes a layer."""
        import keras

        if isinstance(z, keras.KerasTensor):
            return keras.layers.Activation(self)(z)
        function = self._function.get()
        return z if function is None else function(z, slopes)

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
    """A network that is built once; each computation is given its weights.

    Attributes:
        model: The Keras model; it ends in class scores (logits), without the softmax.
        activation: Its activation function, which can be set.
        layout: What it is made of.
        input_shape: Shape of an image.
    """

    model: Any
    activation: StandIn
    layout: Layout
    input_shape: tuple[int, ...]

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
            function: What its activation function does with z, and with learned slopes or None.
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
                **({"training": training} if self._knows_training else {}),
            )
        known = {id(v) for v in model.weights}
        pairs = zip(model.non_trainable_variables, state, strict=True)
        moved = [(given[id(v)], value) for v, value in pairs if id(v) in known]
        return scores, moved if training else []

    @functools.cached_property
    def _knows_training(self) -> bool:
        """Whether its call has the argument `training`; a subclassed model need not have it."""
        return "training" in inspect.signature(self.model.call).parameters

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
        InputError: If the lab cannot train it.
    """
    activation = StandIn()
    model = network.build(activation)
    _end_in_scores(network.name, model)
    layout = find_layout(network, model, activation)
    made = Template(model, activation, layout, network.input_shape)
    if not made.convolves:  # Then XLA compiles it.
        _drop_quickly(model)
    return made


def _drop_quickly(model: Any) -> None:
    """Lets dropout draw its numbers by ThreeFry, in place.

    Keras would take what TensorFlow selects, Philox: XLA needs fifteen times as long for a number.
    """
    import keras

    layers = [one for one in _layers(model) if type(one) is keras.layers.Dropout]
    for number, layer in enumerate(layers):
        if layer.noise_shape is None and 0 < layer.rate < 1:
            layer.call = functools.partial(_dropped, layer, number)


def _dropped(layer: Any, number: int, inputs: Any, training: bool = False) -> Any:
    """Computes dropout, of a layer whose number no other dropout layer of the network has.

    What draws numbers of one shape is compiled once, as a function that XLA calls, and takes twice
    as long as if it were in line. So each layer has leading axes of 1 of its own.
    """
    tf = load_tensorflow()
    if not training:
        return inputs
    if tf.executing_eagerly():  # Only XLA has ThreeFry.
        return type(layer).call(layer, inputs, training)
    seed = layer.seed_generator.next()
    shape = tf.concat([tf.ones(number, tf.int32), tf.shape(inputs)], axis=0)
    drawn = tf.random.stateless_uniform(shape, seed, alg="threefry")
    kept = tf.reshape(drawn, tf.shape(inputs)) >= layer.rate
    return tf.where(kept, inputs * (1 / (1 - layer.rate)), tf.zeros_like(inputs))


def _end_in_scores(name: str, model: Any) -> None:
    """Takes the softmax off the last layer."""
    import keras

    last = _layers(model)[-1]
    if getattr(last, "activation", None) is not keras.activations.softmax:
        raise InputError(f"The network {name!r} must end in a dense layer with a softmax.")
    last.activation = keras.activations.linear


def find_layout(network: Network, model: Any, activation: StandIn) -> Layout:
    """Finds the activation sites of a model, in the order of computation, and names its arrays.

    Raises:
        InputError: If the activation function is not in it, if it acts on rows that are not
            images, or if it has not a score a class.
    """
    layers = _layers(model)
    names = _array_names(layers)
    found, shape = _activation_sites(network, model, activation, layers)
    if not found:
        raise InputError(
            f"The network {network.name!r} must use the activation function that it is given."
        )
    if shape != (1, network.classes):
        raise InputError(
            f"The network {network.name!r} must give each image {network.classes} scores, one for "
            f"each class, not the shape {shape[1:]}."
        )
    rows = next((z.shape[0] for _, z in found if z.shape[0] != 1), 1)
    if rows != 1:
        raise InputError(
            f"The network {network.name!r} must keep one row for each image where the activation "
            f"function acts, not {rows}: positions need axes of their own, as in (images, "
            f"positions, units)."
        )
    ids = [id(layer) for layer, _ in found]
    numbers = {one: number for number, one in enumerate(ids, start=1) if ids.count(one) == 1}
    sites = tuple(
        _site(_site_name(layer, number, layers), layer, z, names, numbers)
        for number, (layer, z) in enumerate(found, start=1)
    )
    arrays = tuple(
        Array(
            name=names[id(variable)],
            shape=tuple(variable.shape),
            first=_constant(network.name, names[id(variable)], variable.numpy()),
            trained=variable.trainable,
        )
        for variable in model.weights
    )
    kernel, bias = _arrays_of(layers[-1], names)
    return Layout(sites=sites, arrays=arrays, kernel=kernel, bias=bias)


def _activation_sites(
    network: Network, model: Any, activation: StandIn, layers: Sequence[Any]
) -> tuple[list[tuple[Any, Any]], tuple[int, ...]]:
    """Returns each z that enters the activation function, with its layer, and the scores' shape.

    A layer is None where it is hidden. It traces the model without numbers; meanwhile each layer
    has its own function.
    """
    tf = load_tensorflow()
    found: list[tuple[Any, Any]] = []

    def note(layer: Any, z: Any, _: Any = None) -> Any:
        found.append((layer, z))
        return z

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(images: Any) -> Any:
        with activation.doing(functools.partial(note, None)):
            return model(images)

    active = [layer for layer in layers if getattr(layer, "activation", None) is activation]
    try:
        for layer in active:
            layer.activation = functools.partial(note, layer)
        images = tf.TensorSpec((1, *network.input_shape))
        scores = compute.get_concrete_function(images).structured_outputs
    finally:
        for layer in active:
            layer.activation = activation
    return found, tuple(scores.shape)


def _site(name: str, layer: Any, z: Any, names: dict[int, str], numbers: dict[int, int]) -> Site:
    kernel, bias, below = source_of_site(layer, names, numbers)
    return Site(
        name=name,
        kind="convolution" if z.shape.rank > 2 else "dense",
        units=z.shape[-1],
        positions=int(np.prod(z.shape[1:-1])),
        kernel=kernel,
        bias=bias,
        below=below,
        slope=names.get(id(getattr(layer, "alpha", None))),
    )


def source_of_site(
    layer: Any, names: dict[int, str], numbers: dict[int, int]
) -> tuple[str | None, str | None, int | None]:
    """Returns what leads into a site: its kernel, its bias, and the input of the kernel.

    Args:
        layer: The layer that holds the activation function, or follows the one with the kernel.
        names: The name of each array, by its variable's identity.
        numbers: The number of each site, from 1, by its layer's identity.

    Returns:
        The two names, and the number that `Site.below` explains; None for what is not known.
    """
    source = layer if hasattr(layer, "kernel") else _before(layer)
    kernel, bias = _arrays_of(source, names)
    return kernel, bias, _below(source, numbers) if kernel else None


def _site_name(layer: Any, number: int, layers: Sequence[Any]) -> str:
    """Returns a layer's given name; if Keras named it, its kind and number."""
    if layer is None:
        return f"activation_{number}"
    kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(layer).__name__).lower()
    if not re.fullmatch(rf"{kind}(_\d+)?|{kind.replace('_', '')}(_\d+)?", layer.name):
        return str(layer.name)
    same = [other for other in layers if type(other) is type(layer)]
    return f"{kind}_{1 + next(i for i, other in enumerate(same) if other is layer)}"


def _before(layer: Any) -> Any:
    """Returns the layer whose output is a layer's only input; None if Keras does not tell.

    A layer that a network uses at several places, after different layers, has no single input.
    """
    history = getattr(getattr(layer, "input", None), "_keras_history", None)
    before = getattr(history, "operation", None)
    uses = [
        tensor for node in getattr(layer, "_inbound_nodes", ()) for tensor in node.input_tensors
    ]
    places = {_place(tensor._keras_history.operation) for tensor in uses}
    return before if len(places) == 1 else None


def _place(layer: Any) -> int:
    """Returns a key of a layer; all inputs share one, since a model may have several copies."""
    import keras

    return 0 if isinstance(layer, keras.layers.InputLayer) else id(layer)


def _below(layer: Any, numbers: dict[int, int]) -> int | None:
    """Returns the input of a layer: the activations of one site, 0 for the images, or None."""
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
    """Returns the layers of a model, with those of a nested model in its place."""
    inner = (_layers(part) if hasattr(part, "layers") else [part] for part in model.layers)
    return [layer for part in inner for layer in part]


def _constant(network: str, name: str, values: FloatArray) -> float | None:
    """Returns the one value of an array of one dimension; None for a kernel, which is drawn."""
    if values.ndim > 1 and not name.endswith(".alpha"):
        return None
    if not (values == values.flat[0]).all():
        raise InputError(
            f"{name} of the network {network!r} must start with one value for all units, such as "
            f"0: the lab draws only kernels."
        )
    return float(values.flat[0])
