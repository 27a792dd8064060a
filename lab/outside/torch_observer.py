"""The lab's census of any PyTorch module: every unit of every activation function, on a probe."""

import contextlib
import dataclasses
import platform
import random
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from lab import activations
from lab.census import UnitSummaries, units
from lab.errors import InputError, reason_of
from lab.layout import MOST_WEIGHTS, Array, Layout, Site, Weights
from lab.outside.observer import MOST_IN_BATCH, MOST_VALUES, Activations, Observation, chosen
from lab.outside.probe import Probe, inputs_in
from lab.outside.torch_sites import IMAGES, Call, Key, Layer, Watch, find
from lab.system import machine

# A prime: what does not come from the inputs seldom has a multiple of as many values.
TRACED = 7
IN_CACHE = 2**18  # Values that fit into the cache of one core.
Block = np.ndarray[Any, np.dtype[np.float64]]


class TorchObserver:
    """Observes one PyTorch module on one probe, in eval mode, whenever it is asked.

    It changes nothing: no weight or buffer, no gradient, no mode, no state of random numbers.

    Attributes:
        layout: The activation sites, and the arrays of the module.
        unseen: For each layer whose activation function cannot be seen, the reason.
    """

    def __init__(
        self,
        module: Any,
        probe: Probe,
        layers: Sequence[str] | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Runs the module once, on a few inputs.

        Args:
            module: A `torch.nn.Module`; one that is compiled or in parallel is observed as it was.
            probe: The inputs.
            layers: The names of the layers to observe; by default all.
            batch_size: How many inputs are observed at once; by default as many as fit well.

        Raises:
            InputError: If the module does not take the probe, has no activation function that can
                be seen, or none of the layers.
        """
        self._module, self._probe = _plain_module(module), probe
        self._arrays = _arrays(self._module)
        self._traced = min(batch_size or TRACED, probe.images)
        found, self.unseen = self._find()
        self._layers = chosen("module", found, self.unseen, layers)
        self._sups = {one.key: _sup_gate(one, self._device) for one in self._layers}
        largest = max(one.largest for one in self._layers) // self._traced
        fits = max(1, min(MOST_IN_BATCH, MOST_VALUES // max(largest, 1)))
        self._batch = batch_size or fits
        self.layout = self._layout()

    def observe(self) -> Observation:
        """Takes the census.

        Raises:
            InputError: If a layer did not act on any input.
        """
        began = time.perf_counter()
        blocks: dict[Key, list[Block]] = defaultdict(list)
        values: dict[Key, int] = defaultdict(int)

        def on_call(call: Call) -> None:
            if call.key in self._sups:
                blocks[call.key] += _blocks(call, units.NEARLY * self._sups[call.key])
                values[call.key] += call.z.numel() // call.key.units

        scores = np.zeros(2)
        with _as_it_was(self._module):
            for x, y in self._probe.batches(self._batch):
                with Watch(self._module, on_call).watching():
                    outputs = self._call(x)
                scores += _scores(y, outputs)
        layers = tuple(
            _summarised(one, blocks[one.key], values[one.key], self._sups[one.key])
            for one in self._layers
        )
        accuracy = scores[0] / scores[1] if scores[1] else np.nan
        return Observation(layers, float("nan"), float(accuracy), time.perf_counter() - began)

    def activations(self) -> Iterator[tuple[Activations, ...]]:
        """Yields, batch by batch, what every layer sends on: (inputs, positions, units)."""
        for x, _ in self._probe.batches(self._batch):
            yield self._activations(x)

    def _activations(self, x: Any) -> tuple[Activations, ...]:
        calls: dict[Key, list[Activations]] = defaultdict(list)

        def on_call(call: Call) -> None:
            a = call.function(call.z).movedim(call.axis, -1)
            rows = a.reshape(inputs_in(x), -1, call.key.units)
            calls[call.key].append(rows.float().cpu().numpy())

        with _as_it_was(self._module), Watch(self._module, on_call).watching():
            self._call(x)
        return tuple(np.concatenate(calls[one.key], axis=1) for one in self._layers)

    def weights(self) -> Weights:
        """Returns the module's arrays as they are now, as the lab has them: units last."""
        known = dict(_tensors_of(self._module))
        kinds = dict(self._module.named_modules())
        arrays = [
            _units_last(name, known[name].detach(), kinds).float().cpu().numpy().copy()
            for name in self._arrays.values()
        ]
        return Weights(self.layout, tuple(arrays))

    @property
    def _device(self) -> Any:
        return next((tensor.device for _, tensor in _tensors_of(self._module)), "cpu")

    def _find(self) -> tuple[list[Layer], dict[str, str]]:
        x, _ = next(self._probe.batches(self._traced))
        with _as_it_was(self._module):
            try:
                return find(self._module, self._traced, lambda: self._call(x))
            except Exception as error:  # Whatever the user's own module raises.
                raise InputError(
                    f"The module {type(self._module).__name__} does not take the probe, inputs of "
                    f"shape {_shapes(x)}: {reason_of(error)}"
                ) from error

    def _call(self, x: Any) -> Any:
        """Calls the module: a list of inputs is several arguments, a dict is arguments by name."""
        if isinstance(x, dict):
            return self._module(**{name: self._tensor(array) for name, array in x.items()})
        if isinstance(x, list):
            return self._module(*map(self._tensor, x))
        return self._module(self._tensor(x))

    def _tensor(self, array: Any) -> Any:
        """Returns an input on the module's device; floats are of the type of its weights."""
        tensor = torch.from_numpy(np.array(array))
        types = (p.dtype for p in self._module.parameters() if p.is_floating_point())
        kind = next(types, torch.float32) if tensor.is_floating_point() else tensor.dtype
        return tensor.to(self._device, kind)

    def _layout(self) -> Layout:
        kinds = dict(self._module.named_modules())
        given = {name: key for key, name in self._arrays.items()}
        known = dict(_tensors_of(self._module))
        arrays = tuple(
            Array(
                name=key,
                shape=tuple(_units_last(name, known[name], kinds).shape),
                trained=known[name].requires_grad,
            )
            for key, name in self._arrays.items()
        )
        sites = []
        numbers = {one.key.digest: number for number, one in enumerate(self._layers, start=1)}
        for one in self._layers:
            kernel, bias = _leading_in(one, kinds)
            sites.append(
                Site(
                    name=re.sub(r"[^A-Za-z0-9_.]", "_", one.name)[:80],
                    kind="convolution" if one.axis < one.rank - 1 else "dense",
                    units=one.key.units,
                    positions=one.values // self._traced,
                    kernel=given.get(kernel or ""),
                    bias=given.get(bias or ""),
                    below=(numbers | {IMAGES: 0}).get(one.below or "") if kernel in given else None,
                    function=one.key.called[:80],
                    sup_gate=self._sups[one.key],
                )
            )
        return Layout(sites=tuple(sites), arrays=arrays)


def conditions(module: Any) -> dict[str, Any]:
    """Returns on what a module's census is computed, as a record names it."""
    packages = {name: version(name) for name in ("activation-lab", "numpy")}
    device = next((p.device for p in module.parameters() if p.device.type == "cuda"), None)
    return {
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            **packages,
        },
        "processor": torch.cuda.get_device_name(device) if device else machine.processor(),
        "threads_per_operation": torch.get_num_threads(),
    }


def described(module: Any) -> str:
    """Returns what distinguishes a network: its modules' settings and its arrays' shapes."""
    plain = _plain_module(module)
    return "\n".join([repr(plain), *(f"{name} {tuple(t.shape)}" for name, t in _tensors_of(plain))])


def check_module(module: Any) -> None:
    """Checks what is to be observed.

    Raises:
        InputError: If it is no module of PyTorch, or its weights are not there yet.
    """
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"The module must be a torch.nn.Module, not a {type(module).__name__}.")
    if any(torch.nn.parameter.is_lazy(tensor) for tensor in module.parameters()):
        raise InputError(
            f"The module {type(module).__name__} has lazy layers, whose weights are not there "
            f"yet: call it once on some inputs."
        )
    if not any(tensor.is_floating_point() for _, tensor in _tensors_of(module)):
        raise InputError(f"The module {type(module).__name__} must have weights; it has none.")


def arrays_of(given: Any) -> Any:
    """Returns a probe with NumPy's arrays in the place of PyTorch's tensors.

    Raises:
        InputError: If it is a data set or loader of PyTorch, which may differ at every turn.
    """
    if isinstance(given, torch.utils.data.DataLoader | torch.utils.data.Dataset):
        raise InputError(
            f"probe must hold tensors or arrays, not a {type(given).__name__}: take some out of "
            f"it, such as x, y = next(iter(loader))."
        )
    if isinstance(given, torch.Tensor):
        plain = given.detach().cpu()
        return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    if isinstance(given, dict):
        return {name: arrays_of(value) for name, value in given.items()}
    if isinstance(given, tuple | list):
        return type(given)(map(arrays_of, given))
    return given


@contextlib.contextmanager
def _as_it_was(module: Any) -> Iterator[None]:
    """Sets a module to eval mode within a `with` block; afterwards all of it is as before."""
    modes = {one: one.training for one in module.modules()}
    buffers = [
        (one, name, tensor, tensor.clone())
        for one in module.modules()
        for name, tensor in one._buffers.items()
        if tensor is not None
    ]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_same_random_numbers())
        stack.enter_context(_eager())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        try:
            for one in modes:
                one.training = False  # Not eval(): the user's own may do more than that.
            yield
        finally:
            for one, mode in modes.items():
                one.training = mode
            for one, name, tensor, content in buffers:
                if not _is_same(tensor, content):
                    tensor.copy_(content)
                one._buffers[name] = tensor


def _is_same(tensor: Any, content: Any) -> bool:
    """Tells whether a tensor has the same content; NaN is the same as NaN."""
    return bool(((tensor == content) | ((tensor != tensor) & (content != content))).all())


@contextlib.contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Keeps the state of every source of random numbers over a `with` block."""
    cuda = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=cuda):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


@contextlib.contextmanager
def _eager() -> Iterator[None]:
    """Lets nothing run compiled, where its functions cannot be seen.

    Nothing is compiled before PyTorch's compiler is loaded; loaded after TensorFlow, it can end the
    process: both bring an LLVM of their own.
    """
    stance = getattr(torch.compiler, "set_stance", None)
    is_loaded = "torch._dynamo" in sys.modules
    with stance("force_eager") if stance and is_loaded else contextlib.nullcontext():
        yield


def _plain_module(module: Any) -> Any:
    """Returns the module within one that is compiled or runs in parallel."""
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    while isinstance(module, parallel) or hasattr(module, "_orig_mod"):
        module = module.module if isinstance(module, parallel) else module._orig_mod
    return module


def _with_gate(function: Callable[[Any], Any], z: Any) -> tuple[Any, Any]:
    """Returns a = f(z) and f'(z), by PyTorch's own differentiation; no `.grad` is made."""
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        a = function(leaf)
        (gate,) = torch.autograd.grad(a, leaf, a.new_ones(()).expand_as(a))
    return a.detach(), gate


def _blocks(call: Call, shut: float) -> list[Block]:
    """Reduces a call, on a processor by parts that fit into its cache: three times as fast."""
    parts = (call.z,)
    if call.z.device.type == "cpu" and call.axis > 0 and len(call.z):
        fits = IN_CACHE * torch.get_num_threads()
        parts = call.z.split(max(1, fits * len(call.z) // max(1, call.z.numel())))
    return [_reduced(dataclasses.replace(call, z=part), shut) for part in parts]


def _reduced(call: Call, shut: float) -> Block:
    """Reduces what each unit of a layer does in one call, as `units.summarise` takes it.

    NaN passes through every sum and maximum, so values are counted one by one only where one of
    these is not finite. float32 cannot hold the variance of a unit stuck at -1: its sums are
    float64.
    """
    a, gate = _with_gate(call.function, call.z)
    z, a, gate = (_rows(value, call.axis) for value in (call.z, a, gate))
    wide = {"dim": (0, 2), "dtype": torch.float64}
    rows = {
        "zeros": _number(a == 0),
        "shut": _number(gate.abs() <= shut),
        "sum": a.sum(**wide),
        "sum_abs": _total(a.abs()),
        "sum_square": torch.linalg.vector_norm(a, **wide).square(),
        "sum_gate": _total(gate),
        "max_z": z.amax((0, 2)),
        "max_minus_z": -z.amin((0, 2)),
        "max_gate": torch.maximum(gate.amax((0, 2)), -gate.amin((0, 2))),
    }
    rows = {name: row.double() for name, row in rows.items()}
    rows["nonfinite"] = torch.zeros_like(rows["zeros"])
    if not torch.stack(list(rows.values())).isfinite().all():
        rows["nonfinite"] = _number(~(z.isfinite() & a.isfinite() & gate.isfinite())).double()
    stacked = torch.stack([rows[name] for name in units.REDUCTIONS])
    return np.asarray(stacked.cpu().numpy(), np.float64)


def _rows(values: Any, axis: int) -> Any:
    """Returns values as float32 of shape (values, units, values)."""
    return _reducible(values).reshape(values.shape[:axis].numel(), values.shape[axis], -1)


def _number(flags: Any) -> Any:
    """Counts flags by unit; floats are summed faster than flags, and exactly below 2²⁴."""
    few = flags.numel() < 2**24
    return _total(flags.to(torch.float32 if few else torch.float64))


def _total(rows: Any) -> Any:
    """Sums values by unit; PyTorch sums in pairs, which keeps float32 exact enough."""
    return rows.sum(2).sum(0)


def _reducible(values: Any) -> Any:
    """Returns values as float32, on a device that can sum them as float64.

    One that is not 0 in float64 does not become 0.
    """
    if values.device.type == "mps":
        values = values.cpu()
    small = values.float()
    if values.dtype != torch.float64:
        return small
    vanished = (values != 0) & (small == 0)
    tiny = torch.full_like(small, torch.finfo(torch.float32).tiny)
    return torch.where(vanished, torch.copysign(tiny, values.float()), small)


def _summarised(layer: Layer, blocks: list[Block], values: int, sup_gate: float) -> UnitSummaries:
    if not blocks:
        raise InputError(f"The layer {layer.name!r} did not act on any input of the probe.")
    return units.summarise(np.stack(blocks), values, sup_gate)


def _sup_gate(layer: Layer, device: Any) -> float:
    """Returns sup |f'| of a function, found as the module calls it; NaN if it has none."""
    if layer.key.called == "prelu":
        weight = next(iter((*layer.function.rest, *layer.function.named.values())))
        return float(max(1.0, weight.detach().abs().max()))

    def gates(z: Any) -> Any:
        at = torch.tensor(z, dtype=torch.float32, device=device)[:, None]
        return _with_gate(layer.function, at)[1].cpu().numpy()[:, 0]

    try:
        return activations.largest_gate(gates)
    except Exception:
        return float("nan")


def _leading_in(layer: Layer, kinds: dict[str, Any]) -> tuple[str | None, str | None]:
    """Returns the names of the weights and biases that lead into a layer, if they are one's."""
    origins = {source.rpartition(".")[0] for source in layer.key.sources}
    origin = origins.pop() if len(origins) == 1 else ""
    one = kinds.get(origin)
    if not isinstance(one, torch.nn.Linear | _Conv) or getattr(one, "groups", 1) != 1:
        return None, None
    if one.weight.shape[0] != layer.key.units or getattr(one, "transposed", False):
        return None, None
    bias = None if one.bias is None else f"{origin}.bias"
    return f"{origin}.weight", bias


def _units_last(name: str, tensor: Any, kinds: dict[str, Any]) -> Any:
    """Returns weights with the axes of the lab: (inputs, units), (height, width, inputs, units)."""
    owner, _, kind = name.rpartition(".")
    one = kinds.get(owner)
    if kind != "weight" or not isinstance(one, torch.nn.Linear | _Conv):
        return tensor
    return tensor.permute(*range(2, tensor.ndim), 1, 0)


_Conv = torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.Conv3d


def _tensors_of(module: Any) -> Iterator[tuple[str, Any]]:
    """Yields a module's weights and other floating arrays, each with its name."""
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point():
            yield name, tensor


def _arrays(module: Any) -> dict[str, str]:
    """Names a module's arrays as a record can; of one too large to be kept, only the vectors."""
    large = sum(p.numel() for p in module.parameters()) > MOST_WEIGHTS
    names: dict[str, str] = {}
    for name, tensor in _tensors_of(module):
        if tensor.ndim > (1 if large else 8):
            continue
        plain = re.sub(r"[^A-Za-z0-9_.]", "_", name)[-72:]
        numbered = (f"{plain}.{n}" for n in range(2, 10_000))
        names[plain if plain not in names else next(n for n in numbered if n not in names)] = name
    return names


def _scores(labels: Any, outputs: Any) -> Any:
    """Returns number right and number of a batch; zeros where there are no classes."""
    if labels is None or not isinstance(outputs, torch.Tensor) or outputs.ndim != 2:
        return np.zeros(2)
    truth, scores = np.asarray(labels), outputs.float().cpu().numpy()
    if truth.ndim == 2 and truth.shape == scores.shape and scores.shape[1] > 1:
        truth = truth.argmax(axis=1)
    if truth.dtype.kind not in "iu" or truth.size != len(scores) or scores.shape[1] < 2:
        return np.zeros(2)
    return np.array([(scores.argmax(axis=1) == truth.reshape(-1)).sum(), len(scores)], float)


def _shapes(x: Any) -> str:
    arrays = x.values() if isinstance(x, dict) else x if isinstance(x, list) else [x]
    return " and ".join(str(tuple(np.shape(array)[1:])) for array in arrays)
