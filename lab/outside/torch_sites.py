"""Where activation functions act in any PyTorch module: seen while the module computes.

PyTorch calls a `TorchFunctionMode` for every function and method that a `forward` calls, before it
changes anything. Each tensor on the way has a mark: which weights it comes from, and along which
axis its units lie. Calls with the same function on the same weights are one layer.
"""

import contextlib
import dataclasses
import hashlib
import inspect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

Names = frozenset[str]
FUNCTIONS = frozenset(
    (
        *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu"),
        *("mish", "hardswish", "hardtanh", "hardsigmoid", "hardshrink", "softshrink", "tanhshrink"),
        *("softplus", "softsign", "logsigmoid", "threshold", "sigmoid", "tanh"),
    )
)
ALSO = {
    "log_sigmoid": "logsigmoid",
    "special_expit": "sigmoid",
    "clip": "clamp",
    "clamp_min": "clamp",
    "clamp_max": "clamp",
    "imul": "mul",
    "multiply": "mul",
    "fmax": "maximum",
    "fmin": "minimum",
}
# The parameter by which a function is known, with PyTorch's default.
PARAMETERS = {
    "leaky_relu": ("negative_slope", 0.01),
    "elu": ("alpha", 1.0),
    "celu": ("alpha", 1.0),
}
USUAL = {"softplus": [1, 20], "hardtanh": [-1, 1], "hardshrink": [0.5], "softshrink": [0.5]}
# Functions that may be an activation function, written by hand.
PARTS = ("clamp", "maximum", "minimum", "erf", "erfc")
MASKS = ("gt", "ge", "lt", "le", "sign", "heaviside")
GATES = ("sigmoid", "tanh", "softplus", "hardsigmoid", "hardtanh", "relu6")
GATED = ("mul", "where", "masked_fill", "setitem")
LOOPS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
CELLS = tuple(f"{name}_cell" for name in LOOPS)
MOVES = ("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "t", "T", "mT")
# Functions that make no new value, and leave each unit by itself.
IN_BETWEEN = ("dropout", "max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool")
RESHAPING = ("flatten", "reshape", "view")
IMAGES = "images"
# Functions that have weights of their own, and those whose units lie on the last axis.
LAST = ("linear", "bilinear", "matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "embedding")
NORMS = ("batch_norm", "instance_norm", "group_norm")
ANEW = (*LAST, *NORMS, "layer_norm", "rms_norm", "multi_head_attention_forward")


@dataclass(frozen=True)
class Mark:
    """What is known of a tensor.

    Attributes:
        axis: Along which axis its units lie; None for the last.
        sources: The weights that it comes from, or the layer whose activation it is.
        opens: The sources of z, if it is a mask or a function of z such as sigmoid(z): times z it
            is an activation function written by hand.
        layers: The layers that are a part of such a function.
        same: The layer whose activations it holds, unit by unit, or `IMAGES`; None if neither.
    """

    axis: int | None = None
    sources: Names = frozenset()
    opens: Names = frozenset()
    layers: frozenset["Key"] = frozenset()
    same: str | None = None


@dataclass(frozen=True)
class Key:
    """What distinguishes one layer from others: calls with equal keys are calls of one layer.

    Attributes:
        owner: The module that calls the function, by its path.
        called: The function's name, with its parameter if it has one.
        sources: The weights that z comes from.
        units: How many units it has.
    """

    owner: str
    called: str
    sources: Names
    units: int

    @property
    def digest(self) -> str:
        """A short text that only this layer has."""
        text = "\n".join((self.owner, self.called, *sorted(self.sources)))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Call:
    """One call of an activation function, before it is done.

    Attributes:
        key: Its layer.
        z: What enters, detached; in-place functions change it afterwards.
        axis: Along which axis the units lie.
        function: The function of z alone.
    """

    key: Key
    z: Any
    axis: int
    function: "Applied"


class Watch(TorchFunctionMode):
    """Sees each activation function that a module calls, within a `with` block.

    Attributes:
        unseen: For each layer where something may act as one and cannot be seen, the reason.
        hidden: Layers that are parts of a function written by hand.
        inputs: What weights are applied to: the digests of layers, `IMAGES`, or None.
    """

    def __init__(
        self, module: Any, on_call: Callable[[Call], Callable[[Any], None] | None]
    ) -> None:
        """Watches a module.

        Args:
            module: The module; it is called within the block.
            on_call: It is given each call before it is done; what it returns is given the result.
        """
        super().__init__()
        self._module, self._on_call = module, on_call
        self._names = {id(m): path_of(module, name) for name, m in module.named_modules()}
        self._weights = {id(p): path_of(module, name) for name, p in module.named_parameters()}
        self._callers: list[Any] = []
        self._marks: Any = WeakTensorKeyDictionary()
        self.unseen: dict[str, str] = {}
        self.hidden: set[Key] = set()
        self.inputs: dict[str, set[str | None]] = defaultdict(set)
        for one in module.modules():
            if isinstance(one, torch.jit.ScriptModule):
                reason = "it is compiled by TorchScript, which does not show its functions"
                self.unseen[self._names[id(one)]] = reason

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Sees what the module calls, within a `with` block; no hook stays."""
        hooks = []
        try:
            for one in self._module.modules():
                if not isinstance(one, torch.jit.ScriptModule):
                    hooks.append(one.register_forward_pre_hook(self._enter))
                    hooks.append(one.register_forward_hook(self._leave, always_call=True))
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, module: Any, given: Any) -> None:
        if not self._callers and len(images := _tensors(given)) == 1:
            self._set(images[0], Mark(1 if images[0].ndim == 4 else None, same=IMAGES))
        self._callers.append(module)

    def _leave(self, module: Any, given: Any, result: Any) -> None:
        if self._callers:
            self._callers.pop()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Gets each function that is called, but not those that it calls itself."""
        named = dict(kwargs or {})
        if not args and "input" in named:
            args = (named.pop("input"),)
        name = name_of(func)
        if name in FUNCTIONS and _is_batched(args[0]):
            self.unseen[self._path()] = "its activation function acts within vmap"
        elif name in FUNCTIONS and self._is_hidden(args[0]):
            return self._activation(func, name, args, named)
        marks = [self._mark(value) for value in _tensors((args, named))]
        result = func(*args, **named)
        if marks:
            self._inspect(name, args, named, result)
        for one in _tensors(result) if marks else ():
            self._set(one, self._passed(name, func, args, named, one, marks))
        return result

    def _activation(self, func: Any, name: str, args: Any, named: dict[str, Any]) -> Any:
        z, mark = args[0], self._mark(args[0])
        axis = z.ndim - 1 if mark.axis is None else mark.axis
        called = words(name, args[1:], named)
        key = Key(self._path(), called, mark.sources, z.shape[axis])
        function = Applied(func, args[1:], named)
        then = self._on_call(Call(key, z.detach(), axis, function))
        result = func(*args, **named)
        if then:
            then(result)
        is_gate = called.partition("(")[0] in GATES
        opens = mark.sources | mark.opens if is_gate else frozenset()
        layers = mark.layers | {key} if is_gate else frozenset()
        self._set(result, Mark(axis, frozenset([key.digest]), opens, layers, key.digest))
        return result

    def _is_hidden(self, z: Any) -> bool:
        is_tensor = isinstance(z, torch.Tensor) and not isinstance(z, torch.nn.Parameter)
        return is_tensor and z.is_floating_point() and z.ndim >= 2

    def _path(self) -> str:
        return self._names[id(self._callers[-1] if self._callers else self._module)]

    def _mark(self, tensor: Any) -> Mark:
        if isinstance(tensor, torch.nn.Parameter):
            name = self._weights.get(id(tensor))
            return Mark(sources=frozenset([name] if name else []))
        found = self._marks.get(tensor)
        return found if isinstance(found, Mark) else Mark()

    def _set(self, tensor: Any, mark: Mark) -> None:
        if isinstance(tensor, torch.Tensor) and not isinstance(tensor, torch.nn.Parameter):
            self._marks[tensor] = mark

    def _passed(
        self, name: str, func: Any, args: Any, named: Any, result: Any, marks: list[Mark]
    ) -> Mark:
        """Returns the mark of what a function gives."""
        sources = _union(mark.sources for mark in marks)
        if name in ANEW or name.startswith("conv"):
            weights = _union(self._mark(t).sources for t in _tensors((args[1:], named)))
            for weight in weights:
                self.inputs[weight].add(marks[0].same)
            return Mark(self._axis(name, func, args, named, result), weights or sources)
        return Mark(
            self._axis(name, func, args, named, result),
            sources,
            sources if name in MASKS else _union(mark.opens for mark in marks),
            frozenset().union(*(mark.layers for mark in marks)),
            self._same(name, args[0], result, marks),
        )

    def _same(self, name: str, tensor: Any, result: Any, marks: list[Mark]) -> str | None:
        """Returns whose activations a function passes on unit by unit, as a pooling does."""
        if len(marks) > 1 or not name.startswith((*IN_BETWEEN, *RESHAPING)):
            return None
        axis = marks[0].axis
        if name in RESHAPING and axis and tensor.shape[axis] not in (1, result.shape[-1]):
            return None  # Each unit has several places in a row.
        return marks[0].same

    def _axis(self, name: str, func: Any, args: Any, named: Any, result: Any) -> int | None:
        """Returns along which axis the units of a result lie; None for the last."""
        if name.startswith("conv") and name[-2].isdigit():  # conv2d, conv_transpose3d
            return int(result.ndim) - 1 - int(name[-2])
        if name in NORMS:
            return 1
        if name in LAST:
            return None
        known = [(t, self._mark(t).axis) for t in _tensors((args, named))]
        for tensor, axis in known:
            if axis is None:
                continue
            if name in MOVES:
                return _moved(func, args, named, tensor.ndim, axis)
            same = tensor.ndim == result.ndim
            if same or result.shape[: axis + 1] == tensor.shape[: axis + 1]:
                return axis
        return None

    def _inspect(self, name: str, args: Any, named: Any, result: Any) -> None:
        """Notes what may be an activation function written by hand."""
        if name in (*LOOPS, *CELLS):
            self.unseen[self._path()] = "its activation functions act within a loop over time"
        tensors = [t for t in _tensors((args, named)) if t.ndim >= 2]
        marks = [self._mark(tensor) for tensor in tensors]
        is_two = name == "max" and len(args) > 1 and isinstance(args[1], torch.Tensor)
        if (name in PARTS or is_two) and any(mark.sources for mark in marks):
            if self._is_many(result):
                self._say(name)
        elif name in GATED:
            for gate in marks:
                others = [mark for mark in marks if mark is not gate]
                if gate.opens and any(gate.opens & mark.sources for mark in others):
                    self.hidden |= gate.layers
                    self._say(name)

    def _is_many(self, result: Any) -> bool:
        return self._is_hidden(result) and result.shape[-1] > 1

    def _say(self, name: str) -> None:
        self.unseen.setdefault(
            self._path(),
            f"its forward computes {name} by itself, which may be an activation function; "
            f"one of torch.nn would show it",
        )


class Applied:
    """A function of z alone, with whatever else it is called with: `rest` and `named`."""

    def __init__(self, func: Any, rest: Any, named: dict[str, Any]) -> None:
        """Keeps the function and its other arguments."""
        self.func, self.rest, self.named = func, rest, named

    def __call__(self, z: Any) -> Any:
        """Computes it; where it works in place, on a copy."""
        flags = [value is True for value in (*self.rest, *self.named.values())]
        in_place = any(flags) or getattr(self.func, "__name__", "").endswith("_")
        return self.func(z.clone() if in_place else z, *self.rest, **self.named)


@dataclass
class Layer:
    """A layer whose activation function can be seen.

    Attributes:
        key: What distinguishes it from others.
        name: Its name.
        axis: Along which axis of z the units lie.
        rank: How many axes z has.
        values: How many values each unit has in all calls.
        largest: How many values the largest z has.
        function: The function of z alone.
        results: What its calls gave.
        below: The layer whose activations its weights are applied to, or `IMAGES`; None if neither.
    """

    key: Key
    name: str
    axis: int
    rank: int
    function: Applied
    values: int = 0
    largest: int = 0
    results: list[Any] = field(default_factory=list)
    below: str | None = None


def find(
    module: Any, inputs: int, compute: Callable[[], Any]
) -> tuple[list[Layer], dict[str, str]]:
    """Runs a module, and finds where activation functions act in it.

    Args:
        module: The module.
        inputs: How many inputs it is run on.
        compute: Calls it.

    Returns:
        The layers in the order of computation, without the module's own output; and of each layer
        whose function cannot be seen, the reason.
    """
    layers: dict[Key, Layer] = {}

    def on_call(call: Call) -> Callable[[Any], None] | None:
        name = _first_name(module, call.key)
        if _has_own_derivative():
            watch.unseen[name] = "it is a torch.autograd.Function, with a derivative of its own"
            return None
        first = Layer(call.key, name, call.axis, call.z.ndim, call.function)
        layer = layers.setdefault(call.key, first)
        layer.values += call.z.numel() // max(call.key.units, 1)
        layer.largest = max(layer.largest, call.z.numel())
        return layer.results.append

    watch = Watch(module, on_call)
    with watch.watching():
        outputs = compute()
    found = [one for one in layers.values() if one.key not in watch.hidden]
    found = [one for one in found if not _is_output(one, outputs)]
    for one in found:
        if one.values % inputs or not one.values:
            watch.unseen[one.name] = (
                "its values do not come from the inputs, or not as many from each"
            )
    for one in found:
        below = set().union(*(watch.inputs[weight] for weight in one.key.sources))
        one.below = below.pop() if len(below) == len(one.results) == 1 else None
    kept = [one for one in found if one.values and not one.values % inputs]
    return _named(kept), watch.unseen


def path_of(module: Any, name: str) -> str:
    """Returns the path of a part of a module; the module itself has its class for a name."""
    parts = [part for part in name.split(".") if part != "_orig_mod"]  # A compiled one has it.
    return ".".join(parts) or type(module).__name__


def name_of(func: Any) -> str:
    """Returns the plain name of a function or method of PyTorch: relu for `Tensor.relu_`."""
    name = str(getattr(func, "__name__", func))
    if name == "__get__":
        name = str(getattr(func.__self__, "__name__", name))
    plain = name.partition(".")[0].strip("_")
    return ALSO.get(plain, plain)


def words(name: str, rest: Any, named: dict[str, Any]) -> str:
    """Returns what to call a function: its name, and the numbers that it takes.

    >>> words("leaky_relu", (0.2,), {}), words("hardtanh", (0.0, 6.0), {})
    ('leaky_relu=0.2', 'relu6')
    """
    if name in PARAMETERS:
        parameter, usual = PARAMETERS[name]
        value = named.get(parameter, rest[0] if rest else usual)
        return f"{name}={value:g}"
    if named.get("approximate", "none") != "none":
        return f"{name}_{named['approximate']}"
    given = (*rest, *named.values())
    numbers = [n for n in given if isinstance(n, int | float) and not isinstance(n, bool)]
    if name == "hardtanh" and numbers == [0, 6]:
        return "relu6"
    if not numbers or numbers == USUAL.get(name):
        return name
    return f"{name}({', '.join(f'{number:g}' for number in numbers)})"


def _tensors(values: Any) -> list[Any]:
    if isinstance(values, torch.Tensor):
        return [values]
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, tuple | list):
        return []
    return [tensor for value in values for tensor in _tensors(value)]


def _union(sets: Any) -> Names:
    return frozenset().union(*sets)


def _moved(func: Any, args: Any, named: Any, rank: int, axis: int) -> int:
    """Returns where a function that only moves axes puts one of them."""
    sizes = range(2, 2 + rank)
    moved = func(torch.empty(tuple(sizes), device="meta"), *args[1:], **named)
    return list(moved.shape).index(sizes[axis])


def _first_name(module: Any, key: Key) -> str:
    """Returns the name of a layer: its module's; in a `forward`, that of its weights as well."""
    modules = {path_of(module, name): one for name, one in module.named_modules()}
    owner = modules[key.owner]
    is_plain = not any(True for _ in owner.children()) and not any(True for _ in owner.parameters())
    if is_plain or isinstance(owner, torch.nn.PReLU):
        return key.owner
    origins = {source.rpartition(".")[0] for source in key.sources}
    origin = origins.pop() if len(origins) == 1 else ""
    return f"{origin if origin in modules else key.owner}.{key.called.partition('(')[0]}"


def _has_own_derivative() -> bool:
    """Tells whether PyTorch calls from within the user's own `torch.autograd.Function`."""
    own = set(_forwards_of(torch.autograd.Function))
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code in own:
            return True
        frame = frame.f_back
    return False


def _forwards_of(kind: Any) -> Iterator[Any]:
    """Yields the code of `forward` of each kind of function that is not PyTorch's own."""
    for one in kind.__subclasses__():
        if not one.__module__.startswith("torch.") and hasattr(one.forward, "__code__"):
            yield one.forward.__code__
        yield from _forwards_of(one)


def _is_batched(tensor: Any) -> bool:
    """Tells whether a tensor is one of many within `torch.vmap`."""
    functorch = getattr(torch._C, "_functorch", None)
    return bool(functorch and functorch.is_batchedtensor(tensor))


def _is_output(layer: Layer, outputs: Any) -> bool:
    """Tells whether what a layer gives is the module's own output, in whatever shape."""
    last = {tensor.untyped_storage().data_ptr() for tensor in _outputs(outputs)}
    return all(result.untyped_storage().data_ptr() in last for result in layer.results)


def _outputs(outputs: Any) -> list[Any]:
    if dataclasses.is_dataclass(outputs) and not isinstance(outputs, dict | type):
        outputs = vars(outputs)
    return _tensors(outputs)


def _named(layers: list[Layer]) -> list[Layer]:
    """Gives each layer a name of its own: those of one name get numbers."""
    often, seen = Counter(layer.name for layer in layers), Counter[str]()
    for layer in layers:
        first = layer.name
        seen[first] += 1
        layer.name = f"{first}.{seen[first]}" if often[first] > 1 else first
    return layers
