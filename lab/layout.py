"""What a network is made of: its activation sites and its named arrays. No TensorFlow is needed."""

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

FloatArray = NDArray[np.float32]
IMAGE_SHAPE, CLASSES = (28, 28), 10
MOST_WEIGHTS = 50_000_000
SLOTS = {
    "adam": ("m", "v"),
    "adamw": ("m", "v"),
    "sgd": ("velocity",),
    "rmsprop": ("velocity",),
}
Kind = Literal["dense", "convolution"]
Size = Annotated[int, Field(ge=0, le=MOST_WEIGHTS)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]{1,80}$")]


def _is_none(value: object) -> bool:
    return value is None


class _Value(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", ser_json_inf_nan="strings"
    )


class Array(_Value):
    """One array of a network's weights.

    Attributes:
        name: Its name, such as `layer1.kernel`.
        shape: Its shape.
        first: The value of all its elements in the untrained network; None if they are drawn.
        trained: Whether the optimiser changes it. Moving means, for example, are not.
    """

    name: Name
    shape: Annotated[tuple[Size, ...], Field(max_length=8)]
    first: float | None = None
    trained: bool = True


class Site(_Value):
    """Where an activation function sits in a network: a hidden layer, to most people.

    Attributes:
        name: The name of its layer, such as `dense_1`.
        kind: What gives it its pre-activations. A unit of a convolution is a channel, observed
            over images × positions.
        units: How many units it has.
        positions: At how many places of an image a unit is observed; 1 for a dense layer.
        kernel: The array of weights that lead into it, if they are a single layer's.
        bias: The array of biases that lead into it, if they are a single layer's.
        below: The only input of that layer: the number of a site, from 1, for its activations, or 0
            for the images; None for any other input.
        slope: The array of slopes that its units learn, if its activation function has such.
        function: The activation function's name, where the layers of a network may differ in it.
        sup_gate: sup |f'| of that function; NaN where f' is not bounded.
    """

    name: Name
    kind: Kind
    units: Size
    positions: Annotated[int, Field(ge=1, le=2**24)] = 1
    kernel: Name | None = None
    bias: Name | None = None
    below: Annotated[int, Field(ge=0)] | None = None
    slope: Name | None = Field(None, exclude_if=_is_none)
    function: Annotated[str, Field(max_length=80)] | None = Field(None, exclude_if=_is_none)
    sup_gate: float | None = Field(None, exclude_if=_is_none)


class Layout(_Value):
    """The activation sites of a network, from the images to the output, and all its arrays.

    Attributes:
        sites: The activation sites, in the order of computation; layer 1 is the first.
        arrays: All arrays, in the order of Keras's `get_weights`.
        kernel: The array of weights that lead into the output, if they are a single layer's.
        bias: The array of biases that lead into the output, if they are a single layer's.
    """

    sites: Annotated[tuple[Site, ...], Field(min_length=1, max_length=1000)]
    arrays: Annotated[tuple[Array, ...], Field(min_length=1, max_length=10_000)]
    kernel: Name | None = None
    bias: Name | None = None

    @property
    def layers(self) -> range:
        """The numbers of the hidden layers, from 1."""
        return range(1, len(self.sites) + 1)

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return tuple(site.units for site in self.sites)

    @property
    def trained(self) -> tuple[Array, ...]:
        """The arrays that the optimiser changes, in order."""
        return tuple(array for array in self.arrays if array.trained)

    @property
    def parameters(self) -> int:
        """How many numbers are trained (669,706 in the textbook's network)."""
        return sum(math.prod(array.shape) for array in self.trained)

    @property
    def replacement(self) -> list[Array]:
        """The arrays of continual backprop: for each layer of units utility and age, and a count.

        `lab.training.replacement` says what they are.
        """
        return [
            Array(name=f"{kind}.layer{number}", shape=(units,), first=0.0)
            for number, site in enumerate(self.sites, start=1)
            for kind, units in (("utility", site.units), ("age", site.units), ("due", 1))
        ]

    def slots(self, optimizer: str) -> list[Array]:
        """Returns the optimiser's arrays: Adam's m and v, or one velocity, by trained array."""
        return [
            array.model_copy(update={"name": f"{slot}.{array.name}", "first": 0.0})
            for slot in SLOTS[optimizer]
            for array in self.trained
        ]

    def kernels(self) -> tuple[str, ...]:
        """Returns the kernel behind each layer and the output, by order, where that is clear.

        Between a kernel and its layer there may be a normalisation. Empty if the network has more
        or fewer kernels than layers, or if what is known of the layers contradicts the order.
        """
        found = [array for array in self.arrays if array.name.endswith(".kernel")]
        fits = len(found) == len(self.sites) + 1 and all(
            site.kernel in (None, array.name) and not site.units % array.shape[-1]
            for site, array in zip(self.sites, found, strict=False)
        )
        return tuple(array.name for array in found) if fits else ()

    def incoming(self, layer: int) -> tuple[str | None, str | None]:
        """Returns the names of kernel and bias of a layer, from 1; the last is the output layer."""
        of: Site | Layout = self if layer == len(self.sites) + 1 else self.sites[layer - 1]
        return of.kernel, of.bias


@dataclass(frozen=True, eq=False)
class Weights(Sequence[FloatArray]):
    """The arrays of a network, each under its name; as a sequence, in the order of Keras.

    Attributes:
        layout: What the network is made of.
        arrays: The arrays, float32, in the layout's order.
    """

    layout: Layout
    arrays: tuple[FloatArray, ...]

    @overload
    def __getitem__(self, index: int) -> FloatArray: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[FloatArray, ...]: ...
    def __getitem__(self, index: int | slice) -> FloatArray | tuple[FloatArray, ...]:
        """Returns an array by its place."""
        return self.arrays[index]

    def __len__(self) -> int:
        """The number of arrays."""
        return len(self.arrays)

    def __iter__(self) -> Iterator[FloatArray]:
        """Yields the arrays."""
        return iter(self.arrays)

    @property
    def named(self) -> dict[str, FloatArray]:
        """The arrays by name."""
        names = (array.name for array in self.layout.arrays)
        return dict(zip(names, self.arrays, strict=True))

    def kernel(self, layer: int) -> FloatArray:
        """Returns the weights that lead into a layer, from 1; the last is the output layer.

        Shape (inputs, units) for a dense layer, (height, width, channels, units) for a convolution.

        Raises:
            KeyError: If these are not a single layer's weights.
        """
        return self.named[str(self.layout.incoming(layer)[0])]

    def bias(self, layer: int) -> FloatArray:
        """Returns the biases of a layer, shape (units,), as `kernel` returns its weights."""
        return self.named[str(self.layout.incoming(layer)[1])]

    def norm(self, layer: int) -> float:
        """Returns the Euclidean norm of the kernel behind a layer; NaN if that is not clear."""
        name, _ = self.layout.incoming(layer)
        if not name and self.layout.kernels():
            name = self.layout.kernels()[layer - 1]
        kernel = self.named[name] if name else np.array(np.nan)
        return float(np.linalg.norm(kernel.astype(np.float64).ravel()))

    def minus(self, others: "Weights") -> "Weights":
        """Returns for each array how it differs from another network's of the same layout."""
        pairs = zip(self.arrays, others.arrays, strict=True)
        return Weights(self.layout, tuple(array - other for array, other in pairs))

    def with_reset(self, units: Sequence[NDArray[np.bool_]], fresh: "Weights") -> "Weights":
        """Returns the weights with some units reset, as ReDo does (Sokar et al. 2023).

        A unit gets fresh incoming weights and a fresh bias, and outgoing weights of 0, so that what
        a dead ReLU gives to the next layer does not change. A unit above that is reset, too, has
        fresh incoming weights from all units.

        Args:
            units: For each hidden layer which units, bool of shape (units,). The layers must be
                dense, each with the next one directly above it.
            fresh: The weights that the units get.
        """
        changed = {name: array.copy() for name, array in self.named.items()}
        for layer, some in enumerate(units, start=1):
            kernel, bias = map(str, self.layout.incoming(layer))
            above, _ = map(str, self.layout.incoming(layer + 1))
            changed[kernel][:, some] = fresh.named[kernel][:, some]
            changed[bias][some] = fresh.named[bias][some]
            changed[above][some] = 0
        return self.with_arrays(changed)

    def with_arrays(self, changed: Mapping[str, FloatArray]) -> "Weights":
        """Returns the weights with some arrays, given by name, replaced."""
        return Weights(self.layout, tuple((self.named | dict(changed)).values()))


@functools.lru_cache(maxsize=256)
def mlp(
    hidden: tuple[int, ...], image_shape: tuple[int, ...] = IMAGE_SHAPE, classes: int = CLASSES
) -> Layout:
    """Returns what the textbook's network is made of: dense layers, one after the other."""
    sizes = itertools.pairwise((math.prod(image_shape), *hidden, classes))
    arrays = [
        array
        for number, (inputs, outputs) in enumerate(sizes, start=1)
        for array in (
            Array(name=f"layer{number}.kernel", shape=(inputs, outputs)),
            Array(name=f"layer{number}.bias", shape=(outputs,), first=0.0),
        )
    ]
    sites = [
        Site(
            name=f"dense_{number}",
            kind="dense",
            units=units,
            kernel=f"layer{number}.kernel",
            bias=f"layer{number}.bias",
            below=number - 1,
        )
        for number, units in enumerate(hidden, start=1)
    ]
    last = f"layer{len(hidden) + 1}"
    return Layout(
        sites=tuple(sites), arrays=tuple(arrays), kernel=f"{last}.kernel", bias=f"{last}.bias"
    )
