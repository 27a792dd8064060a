"""A user's own activation function: made from its source, checked and made known to the lab.

Training runs only the recorded source: no later change outside it can change the function, and
functions with the same source are the same.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from lab.activations import registry
from lab.activations.registry import Activation, FloatArray
from lab.activations.source import KERAS_LAYERS, OwnActivation, has_source, source_of
from lab.errors import InputError, refusing
from lab.system import compiled, in_own_thread, load_tensorflow

Function = Callable[[Any], Any]
Pair = tuple[NDArray[np.float32], NDArray[np.float32]]
# The |z| at which overflow is checked: every whole number to 1,000, then on to 10,000.
FAR = np.concatenate([np.arange(1.0, 1001.0), np.geomspace(1000.0, 10_000.0, 25)[1:]])


def register(name: str, function: Callable[[Any], Any]) -> Activation:
    """Registers your own activation function: the lab then trains and counts it like the others.

    ::

        import tensorflow as tf
        lab.register("swoosh", lambda z: z * tf.sigmoid(2 * z))
        runs = lab.compare(("relu", "swoosh"))

    Its runs keep its source, with the helper functions and plain values that it uses, and so differ
    from runs of another function of this name. Later changes of those values do not reach it: to
    change it, register it again.

    Args:
        name: Its name: a small letter, then small letters, digits and underscores.
        function: f on a float32 tensor z of any shape; it returns f(z) for each element. It is
            compiled, so choose between values with `tf.where`, not with `if`. Give a def, a lambda,
            a `functools.partial` of one with plain values, or one of Keras's layers `Activation`,
            `ELU`, `LeakyReLU` and `ReLU`.

    Warns:
        UserWarning: If its value or slope overflows in float32 for some z of at most 10,000. A
            neuron whose z goes that far makes the whole run diverge.

    Returns:
        The function as the lab knows it, with f and f' for NumPy arrays.

    Raises:
        InputError: If the name is taken or not plain, if the function is not elementwise, returns
            the wrong shape or dtype, is NaN between -10 and 10 or has no gradient, or if its
            source is not available.
    """
    if not isinstance(name, str) or not registry.is_own_name(name):
        raise InputError(
            f"name must be 1 to 40 small letters, digits and underscores, a letter first, and not "
            f"one of the lab's own functions, not {name!r}."
        )
    if not has_source(function):
        raise InputError(_no_function(name, function))
    load_tensorflow()
    source = source_of(name, function)
    made = made_from(name, source)
    _check(name, function, made)
    activation = _made_known(name, source, made)
    if activation.overflows:
        where = registry.beyond(activation.overflows)
        warnings.warn(
            f"{name} is registered, but in float32 its value or slope overflows {where}, and a "
            f"run whose neurons reach it diverges. Clamp z inside tf.where, as in "
            f"tf.where(z > 0, z, tf.math.expm1(tf.minimum(z, 0.0))), or use what TensorFlow has, "
            f"such as tf.nn.softplus, tf.sigmoid and tf.tanh.",
            stacklevel=2,
        )
    return activation


def _no_function(name: str, given: Any) -> str:
    """Says why something cannot be registered, and how to write it."""
    if hasattr(given, "python_function"):
        return f"{name} must be a plain function: leave @tf.function away, the lab compiles it."
    what = f"an object of the class {type(given).__name__}" if callable(given) else repr(given)
    return (
        f"{name} must be a function, made with def or lambda, not {what}. Write what it computes "
        f"with plain numbers, as def {name}(z): return tf.where(z > 0, z, 0.1 * z). "
        f"Keras's layers {', '.join(KERAS_LAYERS)} are accepted, too."
    )


def register_source(name: str, source: str) -> Activation:
    """Registers a function from its source, which `register` read in another process.

    It runs the source: pass only what this user has registered, never what a file holds.

    Raises:
        InputError: If the source does not run here, such as for a library that is missing.
    """
    load_tensorflow()
    return _made_known(name, source, made_from(name, source))


def _made_known(name: str, source: str, made: Function) -> Activation:
    known = registry.get(name) if name in registry.names() else None
    if known and known.source == source:
        return known  # A cell that is run again keeps the compiled programs.
    colour, line = registry.own_style(name)
    activation = Activation(
        name=name,
        label=name,
        formula="a user's own function",
        reference="registered with lab.register",
        function=lambda z, _: _with_gate(made, z)[0],
        derivative=lambda z, _: _with_gate(made, z)[1],
        on_tensors=lambda z, _: made(z),
        in_keras=lambda _: _named(name, made),
        colour=colour,
        line=line,
        source=source,
        overflows=_overflows(name, made),
    )
    try:
        OwnActivation(source=source, sup_gate=activation.largest_gate(None))
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise InputError(f"The source of {name} cannot be kept with its runs: {reason}.") from None
    return registry.add(activation)


def _named(name: str, made: Function) -> Function:
    """Returns the function under the name by which a saved Keras model knows it."""

    def function(z: Any) -> Any:
        import keras

        if isinstance(z, keras.KerasTensor):  # A functional model is built.
            return keras.layers.Activation(function)(z)
        return made(z)

    function.__name__ = function.__qualname__ = name
    return function


def _overflows(name: str, function: Function) -> tuple[float, float] | None:
    """Returns the first z, to the left and to the right, whose value or slope is not finite.

    Infinite on a side where both are finite up to 10,000; None if both sides are.
    """
    z = np.stack([-FAR, FAR]).astype(np.float32)
    a, gate = _compiled(name, function)(z)
    found = [math.inf, math.inf]
    for side, finite in enumerate(np.isfinite(a) & np.isfinite(gate)):
        first = 1 + max(np.flatnonzero(finite), default=-1)
        if first < len(FAR):
            found[side] = float(FAR[first])
    left, right = found
    return None if left == right == math.inf else (-left, right)


@in_own_thread
def _with_gate(function: Function, z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns f and f' of an array, computed in float32 as in training."""
    tf = load_tensorflow()
    at = tf.constant(z, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(at)
        a = function(at)
    gate = tf.convert_to_tensor(tape.gradient(a, at))
    return a.numpy().astype(z.dtype), gate.numpy().astype(z.dtype)


def made_from(name: str, source: str) -> Callable[..., Any]:
    """Runs a source, which the user has just given, and returns the function of this name.

    Raises:
        InputError: If the source alone does not make it.
    """
    scope: dict[str, Any] = {}
    try:
        exec(compile(source, f"<{name}>", "exec", dont_inherit=True), scope)  # noqa: S102
        made: Callable[..., Any] = scope[name]
    except Exception as error:
        raise InputError(
            f"{name} cannot be made from its source alone ({type(error).__name__}: {error}). "
            f"Write it as one def, with plain numbers."
        ) from None
    return made


def _check(name: str, given: Function, made: Function) -> None:
    """Tries a compiled function, as training will use it.

    Raises:
        InputError: If it cannot be trained; see `register`.
    """
    rng = np.random.default_rng(0)
    z = rng.permutation(np.linspace(-10, 10, 2048)).astype(np.float32).reshape(64, 32)
    z[0, 0] = 0.0
    among_others = z.copy()
    others = np.indices(z.shape).sum(axis=0) % 2 == 1
    among_others[others] = rng.uniform(-10, 10, others.sum())
    program = _compiled(name, given)
    a, gate = program(z)
    if not np.isfinite([a[0, 0], gate[0, 0]]).all() or np.isnan(a + gate).any():
        at_zero = not np.isfinite([a[0, 0], gate[0, 0]]).all()
        at = 0.0 if at_zero else z[np.isnan(a + gate)][0]
        raise InputError(
            f"{name} must have a number as value and slope for every z from -10 to 10; at "
            f"z = {at:g} they are not finite. Keep logarithms, roots and divisions from 0 with "
            f"tf.where or tf.maximum."
        )
    again, turned, flat, mixed = (
        program(values)[0] for values in (z, z.T, z.ravel(), among_others)
    )
    alike = (again, turned.T, flat.reshape(z.shape), np.where(others, a, mixed))
    if not all(np.allclose(a, b, rtol=1e-5, atol=1e-6) for b in alike):
        raise InputError(
            f"{name} must be elementwise: each value of f(z) must depend only on its own z, not "
            f"on its neighbours, its place or on chance."
        )
    if not gate.any():
        raise InputError(f"{name} must have a gradient: its slope is 0 for every z tried.")
    if not all(map(np.array_equal, (a, gate), _compiled(name, made)(z))):
        raise InputError(
            f"The source of {name} that can be read is not what was given: the file was edited "
            f"since, or it was put together from several functions. Write it as one def."
        )


def _compiled(name: str, function: Function) -> Callable[[NDArray[np.float32]], Pair]:
    """Returns a program that gives f and f' of an array; each shape is compiled once."""
    tf = load_tensorflow()

    @compiled
    def both(z: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(z)
            a = function(z)
        if not tf.is_tensor(a):
            raise InputError(f"{name} must return a tensor, not a {type(a).__name__}.")
        if a.dtype != z.dtype or a.shape != z.shape:
            raise InputError(
                f"{name} must return a float32 tensor of the shape of z, {tuple(z.shape)} in this "
                f"trial, not {a.dtype.name} of shape {tuple(a.shape)}."
            )
        gate = tape.gradient(a, z)
        if gate is None:
            raise InputError(f"{name} must have a gradient: no change of z changes its value.")
        return a, tf.convert_to_tensor(gate)

    @in_own_thread
    def run(z: NDArray[np.float32]) -> Pair:
        with refusing(
            f"{name} must work on a whole float32 tensor in a compiled program (tf.where in "
            f"place of if, tf.exp in place of math.exp); it failed with "
        ):
            a, gate = both(tf.constant(z))
        return a.numpy(), gate.numpy()

    return run
