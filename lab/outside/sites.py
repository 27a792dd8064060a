"""Where activation functions act in any Keras model: found while the model is traced.

Each function is seen where Keras takes it: as a layer's `activation`, as a layer of its own, as a
function of `keras.ops` or `keras.activations`, or as one of TensorFlow's operations that are an
activation function by themselves. What acts as one and cannot be seen is listed with its reason.
"""

import contextlib
import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.system import load_tensorflow

Function = Callable[..., Any]
LAYERS = ("ReLU", "LeakyReLU", "PReLU", "ELU")
ASIDE = ("linear",)
# Functions through which Keras computes, whichever way the user's code calls them.
IN_KERAS = (
    *("relu", "relu6", "sigmoid", "sparse_sigmoid", "tanh", "tanh_shrink", "softplus", "softsign"),
    *("soft_shrink", "sparse_plus", "silu", "squareplus", "log_sigmoid", "leaky_relu", "celu"),
    *("hard_sigmoid", "hard_silu", "elu", "selu", "gelu", "hard_tanh", "hard_shrink", "threshold"),
)
IN_TENSORFLOW = ("gelu", "silu", "swish")  # Those that are several operations.
OPERATIONS = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu")
# Operations that may be an activation function or a part of one, written by hand.
PARTS = (
    *(
        "Sigmoid",
        "Tanh",
        "Softplus",
        "Softsign",
        "Erf",
        "Erfc",
        "Sin",
        "Cos",
        "Exp",
        "Expm1",
        "Abs",
    ),
    *("Sign", "Maximum", "Minimum", "ClipByValue", "SelectV2", "Greater", "GreaterEqual", "Less"),
    "LessEqual",
)
# Layers of Keras that are none themselves, but may be given a part of one.
BY_HAND = ("Lambda", "Maximum", "Minimum")
# Operations that only pass on what an activation function returns.
HANDING_ON = ("Identity", "Reshape", "Shape", "Cast", "Squeeze", "ExpandDims", "Transpose")
WITHIN = "a part of it is computed within a loop or function"
LOOPS = ("While", "StatelessWhile")
CALLS = ("PartitionedCall", "StatefulPartitionedCall")


@dataclass(frozen=True, eq=False)
class TracedSite:
    """Where an activation function acts, in a graph.

    Attributes:
        name: The name of its layer, as Keras has it.
        layer: The layer that holds the function; None if it is called inside of another one.
        function: The function, as the model calls it on z alone.
        called: Its name, with its parameter if it has one.
        pairs: z and a, the tensors that enter and come out: several of a layer that is called
            several times.
    """

    name: str
    layer: Any
    function: Function
    called: str
    pairs: tuple[tuple[Any, Any], ...]

    @property
    def z(self) -> Any:
        """The tensor that enters; of several, the first."""
        return self.pairs[0][0]


@dataclass
class Found:
    """What a trace of a model found.

    Attributes:
        sites: Where an activation function acts, in the order of computation.
        unseen: For each layer where something may act as one and cannot be seen, the reason.
    """

    sites: list[TracedSite] = field(default_factory=list)
    unseen: dict[str, str] = field(default_factory=dict)


def find(model: Any, compute: Callable[[], Any]) -> tuple[Any, Found]:
    """Runs a model within a graph, and finds where activation functions act in it.

    Args:
        model: The Keras model.
        compute: Calls it.

    Returns:
        What the model gives, and what was found on the way; the model's own output is left out.
    """
    graph = load_tensorflow().compat.v1.get_default_graph()
    watch = _Watch(model, graph, before=len(graph.get_operations()))
    with watch.watching():
        outputs = compute()
    watch.find_operations()
    return outputs, Found(_named(_joined(watch.without(outputs))), watch.unseen)


def layers_of(model: Any) -> list[Any]:
    """Returns all layers of a model: of its nested models and of its wrapped layers, too."""
    return list(model._flatten_layers(include_self=False))


class _Watch:
    """Notes each activation function that is called while it watches."""

    def __init__(self, model: Any, graph: Any, before: int) -> None:
        self.layers, self.graph, self.before = layers_of(model), graph, before
        self.operations = _operations_of(model)
        self.names = _names(model, [*self.layers, *self.operations])
        self.sites: list[TracedSite] = []
        self.unseen: dict[str, str] = {}
        self._within = False
        self._known: set[str] = set()
        self._callers: list[Any] = []
        self._owners: dict[str, Any] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Puts this watch in the place of every function, within a `with` block."""
        with contextlib.ExitStack() as stack:
            for layer in self.layers:
                self._watch_layer(layer, stack)
            for operation in self.operations:
                stack.enter_context(
                    _replaced(operation, "call", self._owned(operation, operation.call))
                )
            for module, names in _modules():
                for name in names:
                    function = getattr(module, name)
                    stack.enter_context(_replaced(module, name, self._watched(None, function)))
            yield

    def _watch_layer(self, layer: Any, stack: contextlib.ExitStack) -> None:
        import keras

        function: Any = getattr(layer, "activation", None)
        is_over_time = isinstance(layer, keras.layers.RNN)
        kinds: Any = tuple(getattr(keras.layers, name) for name in LAYERS)
        if is_over_time:
            self.unseen[self._name(layer)] = "its activation functions act within a loop over time"
            stack.enter_context(_replaced(layer, "call", self._passed(layer.call)))
        elif isinstance(layer, kinds):
            stack.enter_context(_replaced(layer, "call", self._watched(layer, layer.call)))
        else:
            stack.enter_context(_replaced(layer, "call", self._owned(layer, layer.call)))
        is_function = callable(function) and not isinstance(function, keras.layers.Layer)
        if is_function and not is_over_time and _own_name(function) not in ASIDE:
            stack.enter_context(_replaced(layer, "activation", self._watched(layer, function)))

    def _watched(self, layer: Any, function: Function) -> Function:
        """Returns a function that notes its call, unless it is called within another one."""
        alone = self._passed(function)

        @functools.wraps(function, updated=())
        def watched(*given: Any, **named: Any) -> Any:
            if self._within or not self._is_traced(given):
                return function(*given, **named)
            a = alone(*given, **named)
            self._note(layer, given, named, function, a)
            return a

        return watched

    def _passed(self, function: Function) -> Function:
        """Returns a function that is passed over: nothing within it is noted."""

        @functools.wraps(function, updated=())
        def call(*given: Any, **named: Any) -> Any:
            outer, self._within = self._within, True
            first = len(self.graph.get_operations())
            try:
                return function(*given, **named)
            finally:
                self._within = outer
                self._known |= {made.name for made in self.graph.get_operations()[first:]}

        return call

    def _owned(self, layer: Any, call: Function) -> Function:
        """Returns a layer's call that marks the operations within it as made by this layer."""

        @functools.wraps(call, updated=())
        def owned(*given: Any, **named: Any) -> Any:
            first = len(self.graph.get_operations())
            self._callers.append(layer)
            try:
                return call(*given, **named)
            finally:
                self._callers.pop()
                for made in self.graph.get_operations()[first:]:
                    self._owners.setdefault(made.name, layer)

        return owned

    def _is_traced(self, given: tuple[Any, ...]) -> bool:
        return bool(given) and getattr(given[0], "graph", None) is self.graph

    def _note(self, layer: Any, given: Any, named: Any, function: Function, a: Any) -> None:
        called = _words(function if layer is None else layer, function, named)
        caller = self._callers[-1] if self._callers else None
        name = self._name(caller if layer is None else layer)
        z, rest = given[0], given[1:]
        if not z.dtype.is_floating or z.shape.rank is None or z.shape.rank < 2:
            return
        if a.shape.as_list() != z.shape.as_list():
            self.unseen[name] = "its activation function changes the shape"
            return
        own = functools.partial(_called, function, rest, named)
        is_alone = layer is None and caller not in self.operations
        full = f"{name}.{called}" if is_alone else name
        self.sites.append(TracedSite(full, layer, own, called, ((z, a),)))

    def _name(self, layer: Any) -> str:
        return self.names[id(layer)]

    def find_operations(self) -> None:
        """Finds TensorFlow's own operations that no function of Keras made."""
        for operation in self.graph.get_operations()[self.before :]:
            if operation.name not in self._known:
                self._inspect(operation)

    def _inspect(self, operation: Any) -> None:
        of = self._owners.get(operation.name)
        kind = operation.type
        if kind in OPERATIONS and self._is_hidden(operation.outputs[0]):
            (z,), (a,) = operation.inputs, operation.outputs
            function = functools.partial(_operation, operation)
            name, slope = kind.lower(), _slope(operation)
            called = f"{name}={slope['alpha']:g}" if slope else name
            self.sites.append(
                TracedSite(f"{self._name(of)}.{name}", None, function, called, ((z, a),))
            )
        elif kind in PARTS and any(map(self._is_hidden, operation.inputs)) and _is_own(of):
            self.unseen.setdefault(
                self._name(of),
                f"its call computes {kind} by itself, which may be an activation function; "
                f"keras.layers.Activation would show it",
            )
        elif kind in LOOPS or kind in CALLS:
            self.unseen.setdefault(self._name(of), WITHIN)

    def _is_hidden(self, tensor: Any) -> bool:
        is_many = tensor.shape.rank is None or tensor.shape.rank > 1
        return bool(tensor.dtype.is_floating and is_many)

    def without(self, outputs: Any) -> list[TracedSite]:
        """Returns the sites in the order of computation, except those of the model's output."""
        tf = load_tensorflow()
        last = _sources([t for t in tf.nest.flatten(outputs) if hasattr(t, "op")])
        places = {op.name: place for place, op in enumerate(self.graph.get_operations())}
        hidden = [site for site in self.sites if site.pairs[0][1].op.name not in last]
        return sorted(hidden, key=lambda site: places[site.pairs[0][1].op.name])


def _sources(outputs: Sequence[Any]) -> set[str]:
    """Returns the operations that give a model's outputs, and nothing else what they gave."""
    found = set()
    for tensor in outputs:
        while tensor.op.type in HANDING_ON:
            tensor = tensor.op.inputs[0]
        if all(user.type in HANDING_ON for user in tensor.consumers()):
            found.add(tensor.op.name)
    return found


def _is_own(owner: Any) -> bool:
    """Tells whether the user wrote an owner's call: in layers of Keras all functions are known."""
    of_keras = type(owner).__module__.startswith("keras.src.layers")
    return not of_keras or type(owner).__name__ in BY_HAND


def _operations_of(model: Any) -> list[Any]:
    """Returns the operations of functional models that are no layers, such as keras.ops.relu."""
    import keras

    models = [model, *layers_of(model)]
    found = [op for one in models for op in getattr(one, "operations", ())]
    return [op for op in dict.fromkeys(found) if not isinstance(op, keras.layers.Layer)]


def _names(model: Any, layers: Sequence[Any]) -> dict[int, str]:
    """Names each layer as Keras does; layers of one name by their path; the model for itself."""
    often = Counter(layer.name for layer in layers)
    names = {id(None): str(model.name)}
    for layer in layers:
        path = (
            (getattr(layer, "path", "") or layer.name)
            .removeprefix(f"{model.name}/")
            .replace("/", ".")
        )
        names[id(layer)] = path if often[layer.name] > 1 else str(layer.name)
    return names


def _modules() -> Sequence[tuple[Any, Sequence[str]]]:
    """Returns the modules through which every activation function of Keras goes."""
    from keras.src import backend

    tf = load_tensorflow()
    numpy = [(backend.numpy, ("tanh",))]
    known = [name for name in IN_KERAS if hasattr(backend.nn, name)]
    return [(backend.nn, known), *numpy, (tf.nn, IN_TENSORFLOW)]


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Sets an attribute within a `with` block; afterwards it is as before."""
    kept, own = getattr(owner, name), name in vars(owner)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, kept)
        else:
            delattr(owner, name)


def _called(function: Function, rest: Sequence[Any], named: dict[str, Any], z: Any) -> Any:
    return function(z, *rest, **named)


def _operation(operation: Any, z: Any) -> Any:
    """Computes one of TensorFlow's own operations on another z."""
    raw = getattr(load_tensorflow().raw_ops, operation.type)
    return raw(features=z, **_slope(operation))


def _slope(operation: Any) -> dict[str, float]:
    return {"alpha": operation.get_attr("alpha")} if operation.type == "LeakyRelu" else {}


def _words(owner: Any, function: Function, named: dict[str, Any]) -> str:
    """Returns what to call a function: its name, and the numbers that it takes."""
    kind = type(owner).__name__
    if kind == "ReLU":
        return _relu(owner.max_value, owner.negative_slope, owner.threshold)
    name = kind if kind in LAYERS else _own_name(function)
    numbers = [v for v in named.values() if isinstance(v, float) and not isinstance(v, bool)]
    numbers += [getattr(owner, n) for n in ("negative_slope", "alpha") if hasattr(owner, n)]
    plain = [n for n in numbers if isinstance(n, int | float) and n]
    return f"{name.lower()}={plain[0]:g}" if plain and math.isfinite(plain[0]) else name.lower()


def _relu(max_value: float | None, negative_slope: float, threshold: float) -> str:
    """Returns what to call a `keras.layers.ReLU`, which may be another function."""
    if max_value == 6 and not negative_slope and not threshold:
        return "relu6"
    if max_value is None and not threshold:
        return f"leaky_relu={negative_slope:g}" if negative_slope else "relu"
    numbers = {"max": max_value, "slope": negative_slope, "threshold": threshold}
    return f"relu({', '.join(f'{name} {n:g}' for name, n in numbers.items() if n)})"


def _own_name(function: Function) -> str:
    return str(getattr(function, "__name__", type(function).__name__)).strip("<>")


def _joined(sites: Sequence[TracedSite]) -> list[TracedSite]:
    """Joins the calls of one layer: its units are the same, and see all that enters in any call."""
    joined: dict[int, TracedSite] = {}
    for number, site in enumerate(sites):
        key = -1 - number if site.layer is None else id(site.layer)
        first = joined.setdefault(key, site)
        if first is not site:
            joined[key] = dataclasses.replace(first, pairs=(*first.pairs, *site.pairs))
    return list(joined.values())


def _named(sites: Sequence[TracedSite]) -> list[TracedSite]:
    """Gives each site a name of its own: functions of one layer get numbers."""
    often = Counter(site.name for site in sites)
    seen: Counter[str] = Counter()
    named = []
    for site in sites:
        seen[site.name] += 1
        number = f".{seen[site.name]}" if often[site.name] > 1 else ""
        named.append(dataclasses.replace(site, name=f"{site.name}{number}"))
    return named
