"""The lab's census of any Keras model: every unit of every activation site, on a probe."""

import contextlib
import dataclasses
import functools
import inspect
import math
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lab import activations
from lab.census import UnitSummaries, units
from lab.errors import InputError, reason_of, refusing
from lab.layout import MOST_WEIGHTS, Array, Layout, Site, Weights
from lab.network import source_of_site
from lab.outside.probe import Batch, Probe
from lab.outside.recording import lab_name
from lab.outside.reductions import reduced, reduced_of_relu
from lab.outside.sites import WITHIN, Found, TracedSite, find
from lab.system import compiled, in_own_thread, load_tensorflow

MOST_IN_BATCH, MOST_VALUES = 1000, 3_000_000  # More than that do not save time.
AT_ONCE = 2
Blocks = dict[str, Any]
Activations = NDArray[np.float32]
Loss = Callable[[Any, Any], Any]
T = TypeVar("T")


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """Its name."""


N = TypeVar("N", bound=Named)


@dataclass(frozen=True, eq=False)
class Observation:
    """What a network does on a probe.

    Attributes:
        layers: Every unit's summaries, one entry for each activation site.
        loss: The model's own loss on the probe; NaN without labels or without a loss.
        accuracy: The share classified right; NaN where there are no classes.
        seconds: How long it took.
    """

    layers: tuple[UnitSummaries, ...]
    loss: float
    accuracy: float
    seconds: float


class Observer:
    """Observes one Keras model on one probe, in inference mode, whenever it is asked.

    It changes nothing: no weight, no moving mean, no state of random numbers.

    Attributes:
        model: The Keras model.
        probe: The inputs.
        layout: The activation sites, and the arrays of the model.
        unseen: For each layer whose activation function cannot be seen, the reason.
    """

    def __init__(
        self,
        model: Any,
        probe: Probe,
        layers: Sequence[str] | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Traces the model once.

        Args:
            model: A built Keras model.
            probe: The inputs.
            layers: The names of the layers to observe; by default all.
            batch_size: How many inputs are observed at once; by default as many as fit well.

        Raises:
            InputError: If the model does not take the probe, has no activation function that can
                be seen, or none of the layers.
        """
        self.model, self.probe = model, probe
        self._names = _array_names(model)
        self._found = Found()
        self._sups: list[float] = []
        self._program, sizes = self._traced(layers)
        self.unseen = self._found.unseen
        self._batch = batch_size or _batch_size(probe.images, sum(sizes))
        self.layout = self._layout()

    def observe(self) -> Observation:
        """Takes the census."""
        began = time.perf_counter()
        batches = list(_side_by_side(self._observe_batch, self.probe.batches(self._batch)))
        blocks, scores = [one for one, _ in batches], sum(more for _, more in batches)
        found = tuple(
            self._summarised([block[number] for block in blocks], sup)
            for number, sup in enumerate(self._sups)
        )
        loss, accuracy = scores[:2] / scores[2] if scores[2] else (np.nan, np.nan)
        return Observation(found, float(loss), float(accuracy), time.perf_counter() - began)

    def _observe_batch(self, batch: Batch) -> tuple[list[Blocks], Any]:
        x, y = batch
        outputs, layers = self._program(_tensors(x))
        blocks = [{name: value.numpy() for name, value in one.items()} for one in layers]
        return blocks, _scores(self.model, y, outputs)

    def activations(self) -> Iterator[tuple[Activations, ...]]:
        """Yields, batch by batch, what every layer sends on: (inputs, positions, units)."""
        tf = load_tensorflow()

        def program(x: Any) -> Any:
            by_name = {site.name: site for site in self._find(x)[1].sites}
            inputs = tf.shape(tf.nest.flatten(x)[0])[0]
            return [_activations(by_name[found.name], inputs) for found in self._found.sites]

        traced = tf.function(program, autograph=False).get_concrete_function(self._spec())
        for x, _ in self.probe.batches(self._batch):
            yield tuple(layer.numpy() for layer in traced(_tensors(x)))

    def outputs(self, x: Any) -> Any:
        """Returns what the model gives for some inputs, in inference mode."""
        outputs, _ = self._program(_tensors(x))
        return outputs

    def gradients(self, loss: Loss, size: int) -> Iterator[tuple[Any, float, int]]:
        """Yields for each batch how much of the gradient of the loss reaches each site.

        Args:
            loss: Takes labels and outputs, and gives one loss, or one for each input.
            size: The most inputs in a batch.

        Yields:
            The sum over inputs of the squared Euclidean norm of the gradient of an input's loss by
            z, shape (sites,); the sum of the losses; the number of inputs.
        """
        tf = load_tensorflow()
        names = {site.name for site in self._found.sites}

        def program(x: Any, y: Any) -> Any:
            outputs, found = self._find(x)
            pairs = [site.pairs for site in found.sites if site.name in names]
            count = tf.cast(tf.shape(outputs)[0], outputs.dtype)
            total = tf.reduce_mean(loss(y, outputs)) * count
            return [_squared(tf.gradients(total, [z for z, _ in calls])) for calls in pairs], total

        traced = tf.function(program, autograph=False, reduce_retracing=True)
        for x, y in self.probe.batches(min(self._batch, size)):
            squares, total = traced(_tensors(x), _tensors(np.asarray(y)))
            yield np.array(squares, np.float64), float(total), len(y)

    def weights(self) -> Weights:
        """Returns the model's arrays as they are now."""
        kept = {array.name for array in self.layout.arrays}
        arrays = [
            np.array(variable.numpy(), np.float32)
            for variable in self.model.weights
            if self._names[id(variable)] in kept
        ]
        return Weights(self.layout, tuple(arrays))

    def _summarised(self, blocks: list[Blocks], sup_gate: float) -> UnitSummaries:
        values = int(sum(block["values"] for block in blocks))
        stacked = np.array([[block[name] for name in units.REDUCTIONS] for block in blocks])
        return units.summarise(stacked, values, sup_gate)

    def _traced(self, wanted: Sequence[str] | None) -> tuple[Any, list[int]]:
        """Returns the traced program, and how many values one input gives at every site."""
        tf = load_tensorflow()
        sizes: list[int] = []

        def program(x: Any) -> Any:
            outputs, self._found = self._find(x)
            _leave_out_others(self._found)
            found = self._found
            found.sites[:] = chosen("model", found.sites, found.unseen, wanted)
            found.sites[:] = [in_own_thread(_well_named)(site) for site in found.sites]
            self._sups = [in_own_thread(_sup_gate)(site) for site in self._found.sites]
            sizes.extend(_size(site) for site in self._found.sites)
            pairs = zip(self._found.sites, self._sups, strict=True)
            return outputs, [_reduced(site, sup) for site, sup in pairs]

        spec, name = self._spec(), self.model.name
        words = f"The model {name!r} does not take the probe, inputs of shape {_shapes(spec)}: "
        with refusing(words, _reason):
            made = tf.function(program, autograph=False).get_concrete_function(spec)
        return made, sizes

    def _spec(self) -> Any:
        """Returns the shapes and types of a batch of inputs, of whatever size."""
        tf = load_tensorflow()
        first, _ = next(self.probe.batches(1))
        return tf.nest.map_structure(
            lambda t: tf.TensorSpec((None, *t.shape[1:]), t.dtype), _tensors(first)
        )

    def _find(self, x: Any) -> tuple[Any, Found]:
        """Finds the sites; functions that hide some of them are called in line, where they can."""
        outputs, found = find(self.model, lambda: _call(self.model, x))
        if WITHIN not in found.unseen.values():
            return outputs, found
        try:
            with _in_line():
                return find(self.model, lambda: _call(self.model, x))
        except Exception:  # The user's own function may need what TensorFlow makes of it.
            return outputs, found

    def _layout(self) -> Layout:
        last = dict(zip((m.name for m in self._found.sites), self._sups, strict=True))
        layers = [id(site.layer) for site in self._found.sites]
        numbers = {one: n for n, one in enumerate(layers, start=1) if layers.count(one) == 1}
        arrays = _arrays(self.model, self._names)
        known: dict[str | None, tuple[int, ...]] = {a.name: a.shape for a in arrays}
        names = _short([site.name for site in self._found.sites], 80)
        sites = tuple(
            _site(name, site, last[site.name], self._names, numbers, known)
            for name, site in zip(names, self._found.sites, strict=True)
        )
        return Layout(sites=sites, arrays=arrays)


def _side_by_side(work: Callable[[Batch], T], batches: Iterator[Batch]) -> Iterator[T]:
    """Yields what a function makes of each batch, in order; a few batches are computed at once."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        waiting: deque[Future[T]] = deque()
        for batch in batches:
            waiting.append(threads.submit(work, batch))
            if len(waiting) > AT_ONCE:
                yield waiting.popleft().result()
        yield from (done.result() for done in waiting)


def _batch_size(images: int, values: int) -> int:
    """Returns how many inputs to observe at once, so that no smaller batch is left if possible."""
    most = max(1, min(MOST_IN_BATCH, MOST_VALUES // max(values, 1)))
    return next((n for n in range(most, most // 2, -1) if images % n == 0), most)


def _call(model: Any, x: Any) -> Any:
    """Calls a model in inference mode; what its layers would note as their state is dropped."""
    knows = "training" in inspect.signature(model.call).parameters
    outputs, _ = model.stateless_call(
        [variable.value for variable in model.trainable_variables],
        [variable.value for variable in model.non_trainable_variables],
        x,
        **({"training": False} if knows else {}),
    )
    return outputs


@contextlib.contextmanager
def _in_line() -> Iterator[None]:
    """Makes TensorFlow trace what a `tf.function` computes where it is called."""
    tf = load_tensorflow()
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _size(site: TracedSite) -> int:
    """Returns how many values one input gives at a site, in all calls."""
    return sum(math.prod(n or 1 for n in z.shape[1:]) for z, _ in site.pairs)


def _leave_out_others(found: Found) -> None:
    """Moves the functions that have no gate f'(z) for each value to those that are not seen."""
    for site in list(found.sites):
        if reason := in_own_thread(_objection)(site):
            found.sites.remove(site)
            found.unseen[site.name] = reason


def _objection(site: TracedSite) -> str:
    """Says why a function has no gate for each value by itself; empty if it has.

    Half of the values are exchanged: those that stay must give the same as before.
    """
    tf = load_tensorflow()
    rng = np.random.default_rng(0)
    shape = (3, *(2 if n is None else n for n in site.z.shape[1:]))
    z, other = (tf.constant(rng.normal(0, 3, shape), site.z.dtype) for _ in range(2))
    stays = rng.random(shape) < 0.5
    try:
        with tf.GradientTape() as tape:
            tape.watch(z)
            a = site.function(z)
        gate = tape.gradient(a, z)
        again = site.function(tf.where(stays, z, other))
    except Exception:
        return ""  # It works within the model alone.
    before, after = (np.asarray(value, np.float64)[stays] for value in (a, again))
    if not np.allclose(before, after, rtol=1e-3, atol=1e-6, equal_nan=True):
        return (
            "its activation function is no function of one value: it mixes the values of several "
            "units, places or inputs, or draws random numbers"
        )
    if gate is None or not np.any(gate):
        return "its activation function has no gradient: it is 0 everywhere"
    return ""


def _well_named(site: TracedSite) -> TracedSite:
    """Marks the name of a user's own function if the lab has another function of that name."""
    tf = load_tensorflow()
    name = lab_name(site.called)
    if name is None:
        return site
    grid = np.linspace(-8, 8, 320)  # Without the kinks at whole numbers.
    z = tf.constant(grid[:, None], tf.float32)
    try:
        with tf.GradientTape() as tape:
            tape.watch(z)
            a = site.function(z)
        found = np.hstack([a, tape.gradient(a, z)])
    except Exception:
        return site  # It works within the model alone.
    expected = np.stack([activations.activate(name, grid), activations.gate(name, grid)], axis=1)
    if np.allclose(found, expected, rtol=1e-3, atol=2e-3):  # GELU may be computed roughly.
        return site
    return dataclasses.replace(site, called=f"own {site.called}")


def chosen(
    kind: str, found: Sequence[N], unseen: dict[str, str], wanted: Sequence[str] | None
) -> list[N]:
    """Returns those of the layers that are wanted.

    Args:
        kind: What has them: a model or a module.
        found: The layers that can be observed.
        unseen: For each of the others, the reason.
        wanted: The names of layers; None for all.

    Raises:
        InputError: If there is no layer at all, or not one of those that are wanted.
    """
    if not found:
        seen = "".join(f" {name}: {reason}." for name, reason in unseen.items())
        raise InputError(f"The {kind} must have a hidden layer with an activation function.{seen}")
    names = {layer.name for layer in found}
    for name in wanted or ():
        if name in unseen and name not in names:
            raise InputError(f"The layer {name!r} cannot be observed: {unseen[name]}.")
        if name not in names:
            raise InputError(
                f"There is no layer {name!r} to observe. Choose from: {', '.join(sorted(names))}."
            )
    return [layer for layer in found if wanted is None or layer.name in wanted]


@functools.cache
def _reduce(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns what is compiled once for all sites of one shape, of whatever model."""
    return compiled(function)


def _reduced(site: TracedSite, sup_gate: float) -> Blocks:
    """Reduces what each unit of a site does on a batch, and counts its values."""
    tf = load_tensorflow()
    if all(_is_relu(z, a) for z, a in site.pairs):
        z = _joined([_rows(z, site.layer) for z, _ in site.pairs])
        return {**_reduce(reduced_of_relu)(z), "values": tf.shape(z)[0]}
    parts = [_with_gate(site, z, a) for z, a in site.pairs]
    z, a, gate = map(_joined, zip(*parts, strict=True))
    shut = tf.constant(units.NEARLY * sup_gate, tf.float32)
    return {**_reduce(reduced)(z, a, gate, shut), "values": tf.shape(z)[0]}


def _is_relu(z: Any, a: Any) -> bool:
    """Tells whether a is what TensorFlow's own ReLU makes of z, with its own gradient."""
    made = a.op
    is_plain = "_gradient_op_type" not in made.node_def.attr
    return made.type == "Relu" and made.inputs[0] is z and z.dtype == "float32" and is_plain


def _joined(parts: Sequence[Any]) -> Any:
    """Joins the values of all calls of a site."""
    return parts[0] if len(parts) == 1 else load_tensorflow().concat(parts, axis=0)


def _rows(value: Any, layer: Any) -> Any:
    """Returns values as float32 of shape (values, units)."""
    tf = load_tensorflow()
    moved = _units_last(value, layer)
    return tf.cast(tf.reshape(moved, (-1, moved.shape[-1])), tf.float32)


def _with_gate(site: TracedSite, z: Any, a: Any) -> tuple[Any, ...]:
    tf = load_tensorflow()
    (gate,) = tf.gradients(a, z)
    if gate is None:
        raise InputError(
            f"The activation function {site.called!r} of the layer {site.name!r} must have "
            f"a gradient: no change of z changes its value."
        )
    return tuple(_rows(value, site.layer) for value in (z, a, _as_float32(gate)))


def _activations(site: TracedSite, inputs: Any) -> Any:
    """Returns a of all calls of a site as float32 of shape (inputs, positions, units)."""
    tf = load_tensorflow()
    calls = [_units_last(a, site.layer) for _, a in site.pairs]
    return tf.concat(
        [tf.cast(tf.reshape(a, (inputs, -1, a.shape[-1])), tf.float32) for a in calls], axis=1
    )


def _as_float32(gate: Any) -> Any:
    """Returns gates as float32; one that is not 0 in float64 does not become 0."""
    tf = load_tensorflow()
    if gate.dtype != tf.float64:
        return tf.cast(gate, tf.float32)
    small = tf.cast(gate, tf.float32)
    vanished = (gate != 0) & (small == 0)
    return tf.where(vanished, tf.constant(np.finfo(np.float32).tiny), small)


def _units_last(value: Any, layer: Any) -> Any:
    """Moves the channels of a convolution that has them first to the end."""
    tf = load_tensorflow()
    rank = value.shape.rank
    if rank > 2 and getattr(layer, "data_format", None) == "channels_first":
        return tf.transpose(value, (0, *range(2, rank), 1))
    return value


def _squared(gradients: Any) -> Any:
    """Returns the sum of all squares of gradients; some of them may be None."""
    tf = load_tensorflow()
    squares = [tf.reduce_sum(tf.square(tf.cast(g, tf.float64))) for g in gradients if g is not None]
    return tf.add_n([tf.zeros((), tf.float64), *squares])


def _sup_gate(site: TracedSite) -> float:
    """Returns sup |f'| of a function, found as the model calls it; NaN if it has none."""
    tf = load_tensorflow()
    if type(site.layer).__name__ == "PReLU":
        return float(max(1.0, np.abs(site.layer.alpha.numpy()).max()))

    def gates(z: Any) -> Any:
        at = tf.constant(z[:, None], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(at)
            a = site.function(at)
        return tape.gradient(a, at).numpy()[:, 0]

    try:
        return activations.largest_gate(gates)
    except Exception:
        return float("nan")


def _scores(model: Any, labels: Any, outputs: Any) -> Any:
    """Returns loss, number right and number of a batch; NaN for what is not known."""
    found = np.full(3, np.nan)
    if labels is None or not hasattr(outputs, "shape"):
        return np.zeros(3)
    y, scores, loss = np.asarray(labels), np.asarray(outputs), _loss(model)
    found[2] = len(y)
    if scores.ndim == 2:
        truth = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)
        middle = 0.0 if getattr(loss, "from_logits", False) else 0.5
        chosen = scores.argmax(axis=1) if scores.shape[1] > 1 else scores[:, 0] > middle
        found[1] = (chosen == truth).sum()
    if loss is not None:
        found[0] = float(np.mean(loss(y, outputs))) * len(y)
    return found


def _loss(model: Any) -> Any:
    import keras

    given = getattr(model, "loss", None)
    return keras.losses.get(given) if isinstance(given, str | keras.losses.Loss) else None


def _site(
    name: str,
    site: TracedSite,
    sup_gate: float,
    names: dict[int, str],
    numbers: dict[int, int],
    known: dict[str | None, tuple[int, ...]],
) -> Site:
    shape = _units_last(site.z, site.layer).shape
    positions = [1 if n is None else n for n in shape[1:-1]]
    kernel, bias, below = source_of_site(site.layer, names, numbers)
    if kernel in known and known[kernel][-1] != shape[-1]:  # Depthwise: not a kernel for each unit.
        kernel = None
    calls, kind = len(site.pairs), type(site.layer).__name__
    return Site(
        name=name,
        kind="convolution" if len(positions) > 1 or "Conv" in kind else "dense",
        units=shape[-1],
        positions=int(np.prod(positions)) * calls,
        kernel=kernel if kernel in known else None,
        bias=bias if bias in known else None,
        below=below if kernel in known and calls == 1 else None,
        function=site.called[:80],
        sup_gate=sup_gate,
    )


def _array_names(model: Any) -> dict[int, str]:
    """Names each of a model's variables by its path, such as `dense_1.kernel`."""
    paths = [v.path.removeprefix(f"{model.name}/").replace("/", ".") for v in model.weights]
    return dict(zip(map(id, model.weights), _short(paths, 72), strict=True))


def _short(names: Sequence[str], most: int) -> list[str]:
    """Returns names that a layout can hold: the ends of long ones, and numbers if two are alike."""
    seen: Counter[str] = Counter()
    short = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_.]", "_", name)[-most + 6 :].lstrip(".") or "_"
        seen[plain] += 1
        short.append(f"{plain}.{seen[plain]}" if seen[plain] > 1 else plain)
    return short


def _arrays(model: Any, names: dict[int, str]) -> tuple[Array, ...]:
    """Returns a model's arrays; of one that is too large to be kept, only the vectors."""
    large = sum(int(np.prod(v.shape)) for v in model.trainable_variables) > MOST_WEIGHTS
    return tuple(
        Array(name=names[id(v)], shape=tuple(v.shape), trained=v.trainable)
        for v in model.weights
        if len(v.shape) <= (1 if large else 8)
    )


def _reason(error: Exception) -> str:
    """Returns the reason within what Keras says of a layer that raised it."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Exception encountered"):
        return reason_of(type(error)(re.sub(r"\x1b\[[0-9;]*m", "", lines[1])))
    return reason_of(error)


def _tensors(x: Any) -> Any:
    tf = load_tensorflow()
    return tf.nest.map_structure(tf.convert_to_tensor, x)


def _shapes(x: Any) -> str:
    tf = load_tensorflow()
    shapes = [tuple(int(n) for n in t.shape[1:]) for t in tf.nest.flatten(x)]
    return " and ".join(map(str, shapes))
