"""Activation functions: one entry each, with everything the lab needs to know about it.

To add one, add an `Activation` to `_BUILT_IN` at the end of this file. The command line, the
tables and the trainer find it in the registry.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import InputError, unknown

FloatArray = NDArray[np.floating[Any]]
NumpyFunction = Callable[[FloatArray, float], FloatArray]
LARGEST_PARAMETER = 1000


@dataclass(frozen=True)
class Activation:
    """An elementwise activation function f(z).

    Attributes:
        name: What the user types, such as `leaky_relu`.
        label: What tables and figures show, such as `Leaky ReLU`.
        formula: f in plain text.
        reference: The work that introduced it.
        function: f on NumPy arrays: `(z, parameter) -> a`, both of one shape.
        derivative: f' on NumPy arrays: `(z, parameter) -> f'(z)`; what training uses at a kink.
        on_tensors: f on TensorFlow tensors: `(z, parameter) -> a`. The function that is trained;
            its gate is found by automatic differentiation.
        in_keras: `(parameter) -> activation`, Keras's own form of f, for a `Dense` layer; it
            differs from `on_tensors` by rounding alone.
        parameter: The symbol of its parameter, or None if it has none.
        default: The parameter's value if none is given; None if there is no parameter.
    """

    name: str
    label: str
    formula: str
    reference: str
    function: NumpyFunction
    derivative: NumpyFunction
    on_tensors: Callable[[Any, Any], Any]
    in_keras: Callable[[float | None], Any]
    parameter: str | None = None
    default: float | None = None

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
        """Returns sup |f'(z)|, read off a grid of z from -50 to 50 in steps of 0.001."""
        grid = np.linspace(-50.0, 50.0, 100_001)
        return float(np.abs(self.derivative(grid, self.resolve(parameter) or 0.0)).max())

    def title(self, parameter: float | None) -> str:
        """Returns the label with its parameter, as tables and figures show it."""
        return self.label if parameter is None else f"{self.label} {self.parameter}={parameter:g}"


_REGISTRY: dict[str, Activation] = {}


def register(activation: Activation) -> Activation:
    """Makes an activation function known to the lab by its name."""
    _REGISTRY[activation.name] = activation
    return activation


def names() -> tuple[str, ...]:
    """Returns the names of all registered activation functions, in order of registration."""
    return tuple(_REGISTRY)


def get(name: str) -> Activation:
    """Returns the activation function of this name.

    Raises:
        InputError: If there is none; the message suggests the nearest name and lists them all.
    """
    if name not in _REGISTRY:
        raise unknown("activation", name, _REGISTRY)
    return _REGISTRY[name]


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


def _relu(z: Any, _: Any) -> Any:
    import tensorflow as tf

    return tf.nn.relu(z)


def _leaky_relu(z: Any, slope: Any) -> Any:
    import tensorflow as tf

    return tf.where(z > 0, z, slope * z)


def _elu(z: Any, alpha: Any) -> Any:
    import tensorflow as tf

    return tf.where(z > 0, z, alpha * tf.math.expm1(tf.minimum(z, 0.0)))


def _keras_leaky_relu(slope: float | None) -> Any:
    import keras

    return keras.layers.LeakyReLU(negative_slope=slope)


def _keras_elu(alpha: float | None) -> Any:
    import keras

    return keras.layers.ELU(alpha=alpha)


_BUILT_IN = (
    Activation(
        name="relu",
        label="ReLU",
        formula="max(0, z)",
        reference="Nair & Hinton 2010; Glorot, Bordes & Bengio 2011",
        function=lambda z, _: np.maximum(z, 0.0),
        derivative=lambda z, _: (z > 0).astype(z.dtype),
        on_tensors=_relu,
        in_keras=lambda _: "relu",
    ),
    Activation(
        name="leaky_relu",
        label="Leaky ReLU",
        formula="z if z > 0, else α z",
        reference="Maas, Hannun & Ng 2013",
        function=lambda z, slope: np.where(z > 0, z, slope * z),
        derivative=lambda z, slope: np.where(z > 0, 1.0, slope),
        on_tensors=_leaky_relu,
        in_keras=_keras_leaky_relu,
        parameter="α",
        default=0.01,
    ),
    Activation(
        name="elu",
        label="ELU",
        formula="z if z > 0, else α (exp(z) - 1)",
        reference="Clevert, Unterthiner & Hochreiter 2015",
        function=lambda z, alpha: np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0.0))),
        derivative=lambda z, alpha: np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0.0))),
        on_tensors=_elu,
        in_keras=_keras_elu,
        parameter="α",
        default=1.0,
    ),
)

for _activation in _BUILT_IN:
    register(_activation)
