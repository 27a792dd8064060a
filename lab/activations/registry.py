"""Activation functions: one entry each, with everything the lab needs to know about it.

To add one, add an `Activation` to `_BUILT_IN` at the end of this file. The command line, the
tables, the figures and the trainer find it in the registry. Users register their own with
`lab.register`.
"""

import functools
import hashlib
import itertools
import math
import re
import reprlib
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import InputError, unknown

FloatArray = NDArray[np.floating[Any]]
NumpyFunction = Callable[[FloatArray, float], FloatArray]
LARGEST_PARAMETER = 1000
OKABE_ITO = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky blue": "#56B4E9",
    "green": "#009E73",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
}
LINES = ("-", "--", "-.", ":")


@dataclass(frozen=True, repr=False)
class Activation:
    """An elementwise activation function f(z).

    Attributes:
        name: What the user types, such as `leaky_relu`.
        label: What tables and figures show, such as `Leaky ReLU`.
        formula: f in plain text.
        reference: The work that introduced it.
        function: f on NumPy arrays: `(z, parameter) -> a`, both of one shape.
        derivative: f' on NumPy arrays: `(z, parameter) -> f'(z)`; what training uses at a kink.
        on_tensors: f on TensorFlow tensors: `(z, parameter) -> a`. Training uses it; automatic
            differentiation gives its gate.
        in_keras: `(parameter) -> activation`, Keras's own form of f, for a `Dense` layer; it
            differs from `on_tensors` only by rounding.
        colour: Its colour in every figure, of Okabe and Ito's palette for colour-blind eyes.
        line: Its line style in every figure, as Matplotlib writes it.
        parameter: The symbol of its parameter, or None if it has none.
        default: The parameter's value if none is given; None if there is no parameter.
        learned: Whether each unit has a parameter of its own, which is trained from this value on.
        paired: Whether units come in pairs with one weight vector: f acts on z in the first half of
            a layer and on -z in the second.
        source: The source of a user's own function, with all that it uses from outside.
        overflows: For a user's own function: the first z to the left and to the right at which its
            value or slope is not finite in float32; None if both sides are finite.
    """

    name: str
    label: str
    formula: str
    reference: str
    function: NumpyFunction
    derivative: NumpyFunction
    on_tensors: Callable[[Any, Any], Any]
    in_keras: Callable[[float | None], Any]
    colour: str
    line: str
    parameter: str | None = None
    default: float | None = None
    learned: bool = False
    paired: bool = False
    source: str | None = None
    overflows: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Silences overflow and underflow, whatever NumPy's error state."""
        for name in ("function", "derivative"):
            quiet = np.errstate(all="ignore")(getattr(self, name))
            object.__setattr__(self, name, quiet)

    def __repr__(self) -> str:
        """Shows only the name."""
        return f"Activation({self.name!r})"

    @property
    def source_sha256(self) -> str | None:
        """The identity of a user's own function; None for a built-in one."""
        return None if self.source is None else hashlib.sha256(self.source.encode()).hexdigest()

    def resolve(self, parameter: Any) -> float | None:
        """Returns the parameter to use: the one given, as a checked number, or else the default.

        Raises:
            InputError: If this function has no parameter, or it is not a number within limits.
        """
        if parameter is None:
            return self.default
        if self.parameter is None:
            raise InputError(f"{self.name} takes no parameter, so {parameter!r} cannot be set.")
        try:
            value = float(parameter) + 0.0  # -0.0 is 0.0: equal settings have one identity.
        except (OverflowError, TypeError, ValueError):
            value = math.nan
        if not abs(value) <= LARGEST_PARAMETER:
            raise InputError(
                f"The parameter {self.parameter} of {self.name} must be a finite number "
                f"from -{LARGEST_PARAMETER} to {LARGEST_PARAMETER}, not {parameter!r}."
            )
        return value

    def largest_gate(self, parameter: float | None) -> float:
        """Returns sup |f'(z)|, read off a grid of z from -50 to 50 in steps of 0.001.

        NaN where f' is not bounded: infinite somewhere, or over 1 % larger further out, up to
        |z| = 5,000.
        """
        return _largest_gate(self, self.resolve(parameter) or 0.0)

    def title(self, parameter: float | None) -> str:
        """Returns the label with its parameter, as tables and figures show it."""
        return self.label if parameter is None else f"{self.label} {self.parameter}={parameter:g}"


@functools.lru_cache(maxsize=256)
def _largest_gate(activation: Activation, parameter: float) -> float:
    return largest_gate(lambda z: activation.derivative(z, parameter))


def largest_gate(derivative: Callable[[FloatArray], FloatArray]) -> float:
    """Returns sup |f'(z)| of any function, as `Activation.largest_gate` does."""
    near = np.abs(derivative(np.linspace(-50.0, 50.0, 100_001)))
    far = np.abs(derivative(np.array([-5e3, -500.0, 500.0, 5e3])))
    largest = np.nanmax(near)  # NaN: exp overflows in float32; infinity: a slope without bound.
    bounded = np.nanmax([largest, *far]) <= 1.01 * largest < math.inf
    return float(largest) if bounded else math.nan


_REGISTRY: dict[str, Activation] = {}
# Other names that the field and Keras use; a user's own function may have one of them.
ALIASES = {"swish": "silu", "lrelu": "leaky_relu", "hard_silu": "hard_swish"}


def add(activation: Activation) -> Activation:
    """Puts an activation function into the registry, under its name."""
    _REGISTRY[activation.name] = activation
    return activation


def is_own_name(name: str) -> bool:
    """Tells whether a user's own function can have this name: short, plain and not built in."""
    plain = re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) is not None
    return plain and name not in {activation.name for activation in _BUILT_IN}


def names() -> tuple[str, ...]:
    """Returns the names of all registered activation functions, in order of registration."""
    return tuple(_REGISTRY)


def get(name: str) -> Activation:
    """Returns the activation function of this name, or of another name that the field uses.

    >>> get("swish")
    Activation('silu')

    Raises:
        InputError: If there is none; the message suggests the nearest name and lists them all.
    """
    found = _REGISTRY.get(name) or _REGISTRY.get(ALIASES.get(name, name))
    if found is None:
        raise unknown("activation", name, _REGISTRY)
    return found


def parse(text: str) -> tuple[str, float | None]:
    """Splits `NAME` or `NAME=PARAMETER` into its parts.

    >>> parse("leaky_relu=0.1")
    ('leaky_relu', 0.1)

    Raises:
        InputError: If the name is unknown or the parameter is not a number within limits.
    """
    name, separator, value = text.partition("=")
    activation = get(name.strip())
    return activation.name, activation.resolve(value) if separator else None


def checked_names(choices: Any) -> list[str]:
    """Returns chosen activation functions as a list; a single name is a list of one.

    Raises:
        InputError: If they are no names.
    """
    names = [choices] if isinstance(choices, str) else choices
    names = list(names) if isinstance(names, Iterable) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"activations must be one or more names, such as ['relu', 'elu'], "
            f"not {reprlib.repr(choices)}."
        )
    return names


def beyond(limits: tuple[float, float]) -> str:
    """Says where a function overflows, given its `overflows`.

    >>> beyond((-89.0, 89.0))
    'from z = -89 down and from z = 89 on'
    """
    left, right = limits
    down, on = f"from z = {left:g} down", f"from z = {right:g} on"
    return " and ".join([*[down] * math.isfinite(left), *[on] * math.isfinite(right)])


def activate(choice: str, z: Any) -> FloatArray:
    """Returns the activations f(z) of a function named `NAME` or `NAME=PARAMETER`.

    >>> activate("leaky_relu=0.1", [-2.0, 3.0])
    array([-0.2,  3. ])

    Args:
        choice: The function.
        z: Pre-activations of any shape; the result has this shape, and its type if z is float.

    Raises:
        InputError: If the name is unknown or the parameter is not a number within limits.
    """
    activation, parameter = _chosen(choice)
    return activation.function(_floats(z), parameter)


def gate(choice: str, z: Any) -> FloatArray:
    """Returns the gates f'(z), with arguments as for `activate`.

    >>> gate("elu", [-1.0, 0.5]).round(4)
    array([0.3679, 1.    ])
    """
    activation, parameter = _chosen(choice)
    return activation.derivative(_floats(z), parameter)


def _chosen(choice: str) -> tuple[Activation, float]:
    name, parameter = parse(choice)
    activation = get(name)
    return activation, activation.resolve(parameter) or 0.0


def _floats(z: Any) -> FloatArray:
    array = np.asarray(z)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def own_style(name: str) -> tuple[str, str]:
    """Returns a colour and line style for a user's own function that no built-in one has."""
    taken = {(activation.colour, activation.line) for activation in _BUILT_IN}
    free = [pair for pair in itertools.product(OKABE_ITO.values(), LINES) if pair not in taken]
    return free[zlib.crc32(name.encode()) % len(free)]


def _tf() -> Any:
    import tensorflow

    return tensorflow


def _joined(z: Any, left: Callable[[Any], Any], passed: Callable[[Any, Any], Any]) -> Any:
    """Returns z where z > 0, else `left(z)`, which is 0 at 0.

    Equal to `tf.where` and, where all is finite, its derivative, but for the last bits of an ELU;
    up to four times as fast where XLA does not compile it.

    Args:
        z: Pre-activations.
        left: The function for z <= 0.
        passed: `passed(gradient, z)`: the gradient by z for z <= 0, given that by `left(z)`.
    """
    tf = _tf()

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def join(z: Any) -> Any:
        low = tf.minimum(z, 0.0)

        def backward(gradient: Any) -> Any:
            right = tf.raw_ops.ReluGrad(gradients=gradient, features=z)
            return right + passed(gradient - right, low)

        return tf.nn.relu(z) + left(low), backward

    return join(z)


def _keras() -> Any:
    import keras

    return keras


def _special() -> Any:
    import scipy.special

    return scipy.special


def _density(z: FloatArray) -> FloatArray:
    """Density of the standard normal distribution."""
    return np.asarray(np.exp(-z * z / 2) / math.sqrt(2 * math.pi))


def _mish_slope(z: FloatArray) -> FloatArray:
    inner = np.tanh(np.logaddexp(0.0, z))
    return np.asarray(inner + z * (1 - inner**2) * _special().expit(z))


def _squared_relu(z: Any) -> Any:
    """Squared ReLU in Keras, which has none of its own."""
    return _keras().ops.square(_keras().ops.relu(z))


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

_BUILT_IN = (
    Activation(
        name="relu",
        label="ReLU",
        formula="max(0, z)",
        reference="Nair & Hinton 2010; Glorot, Bordes & Bengio 2011",
        function=lambda z, _: np.maximum(z, 0.0),
        derivative=lambda z, _: (z > 0).astype(z.dtype),
        on_tensors=lambda z, _: _tf().nn.relu(z),
        in_keras=lambda _: "relu",
        colour=OKABE_ITO["blue"],
        line="-",
    ),
    Activation(
        name="leaky_relu",
        label="Leaky ReLU",
        formula="z if z > 0, else α z",
        reference="Maas, Hannun & Ng 2013",
        function=lambda z, slope: np.where(z > 0, z, slope * z),
        derivative=lambda z, slope: np.where(z > 0, 1.0, slope),
        on_tensors=lambda z, slope: _joined(z, lambda z: slope * z, lambda dy, _: slope * dy),
        in_keras=lambda slope: _keras().layers.LeakyReLU(negative_slope=slope),
        parameter="α",
        default=0.01,
        colour=OKABE_ITO["orange"],
        line="--",
    ),
    Activation(
        name="elu",
        label="ELU",
        formula="z if z > 0, else α (exp(z) - 1)",
        reference="Clevert, Unterthiner & Hochreiter 2015",
        function=lambda z, alpha: np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0.0))),
        derivative=lambda z, alpha: np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0.0))),
        on_tensors=lambda z, alpha: _joined(
            z,
            lambda z: alpha * _tf().nn.elu(z),  # As expm1 under XLA; outside, much quicker.
            lambda dy, z: alpha * dy * _tf().exp(z),
        ),
        in_keras=lambda alpha: _keras().layers.ELU(alpha=alpha),
        parameter="α",
        default=1.0,
        colour=OKABE_ITO["green"],
        line="-.",
    ),
    Activation(
        name="selu",
        label="SELU",
        formula="λ z if z > 0, else λ α (exp(z) - 1), with λ = 1.0507, α = 1.6733",
        reference="Klambauer, Unterthiner, Mayr & Hochreiter 2017",
        function=lambda z, _: (
            _SELU_SCALE * np.where(z > 0, z, _SELU_ALPHA * np.expm1(np.minimum(z, 0.0)))
        ),
        derivative=lambda z, _: (
            _SELU_SCALE * np.where(z > 0, 1.0, _SELU_ALPHA * np.exp(np.minimum(z, 0.0)))
        ),
        on_tensors=lambda z, _: (
            _SELU_SCALE
            * _tf().where(z > 0, z, _SELU_ALPHA * _tf().math.expm1(_tf().minimum(z, 0.0)))
        ),
        in_keras=lambda _: "selu",
        colour=OKABE_ITO["vermillion"],
        line="--",
    ),
    Activation(
        name="gelu",
        label="GELU",
        formula="z Φ(z), with Φ the normal distribution function",
        reference="Hendrycks & Gimpel 2016",
        function=lambda z, _: z * _special().ndtr(z),
        derivative=lambda z, _: _special().ndtr(z) + z * _density(z),
        # erfc, and not 1 + erf, keeps the tail on the left from rounding to 0 too early.
        on_tensors=lambda z, _: 0.5 * z * _tf().math.erfc(-math.sqrt(0.5) * z),
        in_keras=lambda _: "gelu",
        colour=OKABE_ITO["purple"],
        line="-",
    ),
    Activation(
        name="silu",
        label="SiLU",
        formula="z σ(z), with σ(z) = 1 / (1 + exp(-z))",
        reference="Elfwing, Uchibe & Doya 2017; Ramachandran, Zoph & Le 2017 (Swish)",
        function=lambda z, _: z * _special().expit(z),
        derivative=lambda z, _: _special().expit(z) * (1 + z * _special().expit(-z)),
        on_tensors=lambda z, _: _tf().nn.silu(z),
        in_keras=lambda _: "silu",
        colour=OKABE_ITO["sky blue"],
        line="-.",
    ),
    Activation(
        name="mish",
        label="Mish",
        formula="z tanh(log(1 + exp(z)))",
        reference="Misra 2019",
        function=lambda z, _: z * np.tanh(np.logaddexp(0.0, z)),
        derivative=lambda z, _: _mish_slope(z),
        on_tensors=lambda z, _: z * _tf().tanh(_tf().math.softplus(z)),
        in_keras=lambda _: "mish",
        colour=OKABE_ITO["black"],
        line="--",
    ),
    Activation(
        name="tanh",
        label="tanh",
        formula="(exp(z) - exp(-z)) / (exp(z) + exp(-z))",
        reference="LeCun, Bottou, Orr & Müller 1998",
        function=lambda z, _: np.tanh(z),
        derivative=lambda z, _: 4 * _special().expit(2 * z) * _special().expit(-2 * z),
        on_tensors=lambda z, _: _tf().tanh(z),
        in_keras=lambda _: "tanh",
        colour=OKABE_ITO["vermillion"],
        line=":",
    ),
    Activation(
        name="sigmoid",
        label="Sigmoid",
        formula="1 / (1 + exp(-z))",
        reference="Rumelhart, Hinton & Williams 1986",
        function=lambda z, _: _special().expit(z),
        derivative=lambda z, _: _special().expit(z) * _special().expit(-z),
        on_tensors=lambda z, _: _tf().sigmoid(z),
        in_keras=lambda _: "sigmoid",
        colour=OKABE_ITO["black"],
        line=":",
    ),
    Activation(
        name="softplus",
        label="Softplus",
        formula="log(1 + exp(z))",
        reference="Dugas, Bengio, Bélisle, Nadeau & Garcia 2001",
        function=lambda z, _: np.logaddexp(0.0, z),
        derivative=lambda z, _: _special().expit(z),
        on_tensors=lambda z, _: _tf().math.softplus(z),
        in_keras=lambda _: "softplus",
        colour=OKABE_ITO["green"],
        line=":",
    ),
    Activation(
        name="relu6",
        label="ReLU6",
        formula="min(max(0, z), 6)",
        reference="Krizhevsky 2010",
        function=lambda z, _: np.clip(z, 0.0, 6.0),
        derivative=lambda z, _: np.where((z > 0) & (z < 6), 1.0, z * 0.0),
        on_tensors=lambda z, _: _tf().nn.relu6(z),
        in_keras=lambda _: "relu6",
        colour=OKABE_ITO["blue"],
        line="--",
    ),
    Activation(
        name="hard_swish",
        label="Hard-swish",
        formula="z min(max(0, z + 3), 6) / 6",
        reference="Howard et al. 2019",
        function=lambda z, _: z * (np.clip(z + 3, 0.0, 6.0) / 6),
        derivative=lambda z, _: np.where(z <= -3, z * 0.0, np.where(z >= 3, 1.0, (2 * z + 3) / 6)),
        on_tensors=lambda z, _: z * (_tf().nn.relu6(z + 3) / 6),
        in_keras=lambda _: "hard_silu",
        colour=OKABE_ITO["sky blue"],
        line=":",
    ),
    Activation(
        name="prelu",
        label="PReLU",
        formula="z if z > 0, else a z, with a learned for each unit",
        reference="He, Zhang, Ren & Sun 2015",
        function=lambda z, slope: np.where(z > 0, z, slope * z),
        derivative=lambda z, slope: np.where(z > 0, 1.0, slope),
        on_tensors=lambda z, slope: _tf().where(z > 0, z, slope * z),
        in_keras=lambda start: _keras().layers.LeakyReLU(negative_slope=start),
        parameter="a",
        default=0.25,
        learned=True,
        colour=OKABE_ITO["orange"],
        line="-",
    ),
    Activation(
        name="squared_relu",
        label="Squared ReLU",
        formula="max(0, z)²",
        reference="So et al. 2021",
        function=lambda z, _: np.square(np.maximum(z, 0.0)),
        derivative=lambda z, _: 2 * np.maximum(z, 0.0),
        on_tensors=lambda z, _: _tf().square(_tf().nn.relu(z)),
        in_keras=lambda _: _squared_relu,
        colour=OKABE_ITO["purple"],
        line="--",
    ),
    Activation(
        name="crelu",
        label="CReLU",
        formula="max(0, z) in the first half of a layer, max(0, -z) in the second",
        reference="Shang, Sohn, Almeida & Lee 2016",
        function=lambda z, _: np.maximum(z, 0.0),
        derivative=lambda z, _: (z > 0).astype(z.dtype),
        on_tensors=lambda z, _: _tf().nn.relu(z),
        in_keras=lambda _: "relu",
        paired=True,
        colour=OKABE_ITO["purple"],
        line="-.",
    ),
)

for _activation in _BUILT_IN:
    add(_activation)
