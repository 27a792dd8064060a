"""A user's own activation function: checked, given an identity and made known to the lab."""

import dis
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import packages_distributions
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab import activations
from lab.activations import Activation, FloatArray
from lab.errors import InputError
from lab.machine import load_tensorflow

LONGEST_SOURCE = 20_000
PLAIN = (bool, int, float, str, type(None), np.generic)


def register(name: str, function: Callable[[Any], Any]) -> Activation:
    """Makes your own activation function known to the lab: it trains and is counted as the rest.

        import tensorflow as tf
        lab.register("swoosh", lambda z: z * tf.sigmoid(2 * z))
        runs = lab.compare(("relu", "swoosh"))

    Its runs are told apart from those of another function of this name by its source and by the
    helper functions and plain values that it takes from outside. A changed comment or line break
    is another source, too.

    Args:
        name: How it is called: a small letter, then small letters, digits and underscores.
        function: f on a float32 tensor z of any shape; it returns f(z) for each element. It is
            compiled, so choose between values with `tf.where`, not with `if`.

    Returns:
        The function as the lab knows it, with f and f' for NumPy arrays.

    Raises:
        InputError: If the name is taken or not plain, if the function is not elementwise, returns
            the wrong shape or dtype, is NaN between -10 and 10 or has no gradient, or if its
            source cannot be had.
    """
    if not activations.is_own_name(name):
        raise InputError(
            f"name must be 1 to 40 small letters, digits and underscores, a letter first, and not "
            f"one of the lab's own functions, not {name!r}."
        )
    if not inspect.isfunction(function):
        raise InputError(f"{name} must be a function, made with def or lambda, not {function!r}.")
    source = source_of(function)
    known = activations.get(name) if name in activations.names() else None
    if known and known.source == source:
        return known  # A cell that is run again keeps the compiled programs.
    _check(name, function)
    colour, line = activations.own_style(name)
    return activations.add(
        Activation(
            name=name,
            label=name,
            formula="a user's own function",
            reference="registered with lab.register",
            function=lambda z, _: _with_gate(function, z)[0],
            derivative=lambda z, _: _with_gate(function, z)[1],
            on_tensors=lambda z, _: function(z),
            in_keras=lambda _: function,
            colour=colour,
            line=line,
            source=source,
        )
    )


def _with_gate(function: Callable[[Any], Any], z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns f and f' of an array, computed in float32 as in training."""
    tf = load_tensorflow()
    at = tf.constant(z, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(at)
        a = function(at)
    return a.numpy().astype(z.dtype), tape.gradient(a, at).numpy().astype(z.dtype)


def source_of(function: FunctionType) -> str:
    """Returns a function's source, after all that it takes from outside.

    Raises:
        InputError: If the source cannot be had, or if it takes something from outside that is
            neither a module, a function nor a plain value.
    """
    text = "\n".join(dict.fromkeys(_pieces(function, set())))
    if len(text) > LONGEST_SOURCE:
        raise InputError(
            f"The source of an activation function must have at most {LONGEST_SOURCE:,} "
            f"characters with its helpers, not {len(text):,}."
        )
    return text


def _pieces(function: FunctionType, seen: set[FunctionType]) -> Iterator[str]:
    seen.add(function)
    for name, value in sorted(_outside(function).items()):
        if isinstance(value, ModuleType):
            yield f"import {value.__name__} as {name}"
        elif _is_of_a_library(value):
            yield f"from {value.__module__} import {value.__qualname__} as {name}"
        elif inspect.isfunction(value):
            yield from _pieces(value, seen) if value not in seen else ()
        elif _is_plain(value):
            yield f"{name} = {value!r}"
        else:
            raise InputError(
                f"An activation function can take modules, functions, numbers and texts from "
                f"outside, and {name} is a {type(value).__name__}. Write it as a plain number."
            )
    if _is_of_a_library(function):
        yield f"from {function.__module__} import {function.__qualname__}"
    else:
        yield _own_source(function)


def _outside(function: FunctionType) -> dict[str, Any]:
    """Returns what a function takes from outside: globals, enclosing variables and defaults."""
    if _is_of_a_library(function):
        return {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    known = function.__globals__
    return {
        **{name: known[name] for name in _global_names(function.__code__) if name in known},
        **{name: cell.cell_contents for name, cell in cells},
        **{
            name: parameter.default
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.default is not parameter.empty
        },
    }


def _global_names(code: CodeType) -> set[str]:
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    inner = (c for c in code.co_consts if isinstance(c, CodeType))
    return names.union(*map(_global_names, inner))


def _is_of_a_library(value: Any) -> bool:
    """Tells whether a name in an installed package or in Python's own library leads to it."""
    module = str(getattr(value, "__module__", ""))
    package = module.partition(".")[0]
    if package not in sys.stdlib_module_names and package not in packages_distributions():
        return False
    found: Any = sys.modules.get(module)
    for part in str(getattr(value, "__qualname__", "?")).split("."):
        found = getattr(found, part, None)
    return found is value and package != "__main__"


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, PLAIN)


def _own_source(function: FunctionType) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(function.__code__)).strip()
    except (OSError, TypeError):
        raise InputError(
            f"The source of {function.__name__} cannot be read: define it in a notebook's cell "
            f"or in a file."
        ) from None
    if function.__name__ == "<lambda>" and len(re.findall(r"\blambda\b", text)) != 1:
        raise InputError(
            "An activation function's lambda must be the only one in its statement: give it a "
            "line of its own, or write it with def."
        )
    return text


def _check(name: str, function: Callable[[Any], Any]) -> None:
    """Tries a function compiled, as it will be trained.

    Raises:
        InputError: If it does not do; see `register`.
    """
    rng = np.random.default_rng(0)
    z = rng.permutation(np.linspace(-10, 10, 2048)).astype(np.float32).reshape(64, 32)
    z[0, 0] = 0.0
    among_others = z.copy()
    others = np.indices(z.shape).sum(axis=0) % 2 == 1
    among_others[others] = rng.uniform(-10, 10, others.sum())
    (a, gate), (again, _), (turned, _), (mixed, _) = (
        _compiled(name, function, values) for values in (z, z, z.T, among_others)
    )
    if np.isnan(a).any() or np.isnan(gate).any() or not np.isfinite([a[0, 0], gate[0, 0]]).all():
        at = 0.0 if not np.isfinite([a[0, 0], gate[0, 0]]).all() else z[np.isnan(a + gate)][0]
        raise InputError(
            f"{name} must have a number as value and slope for every z from -10 to 10; at "
            f"z = {at:g} they are not finite. Keep logarithms, roots and divisions from 0 with "
            f"tf.where or tf.maximum."
        )
    alike = (again, turned.T, np.where(others, a, mixed))
    if not all(np.allclose(a, b, rtol=1e-5, atol=1e-6) for b in alike):
        raise InputError(
            f"{name} must be elementwise: each value of f(z) must depend on its own z alone, not "
            f"on its neighbours, its place or on chance."
        )


def _compiled(
    name: str, function: Callable[[Any], Any], z: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns f and f' of an array from a compiled program."""
    tf = load_tensorflow()

    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
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
        return a, gate

    try:
        a, gate = both(tf.constant(z))
    except InputError:
        raise
    except Exception as error:  # Whatever the user's own code raises.
        reason = textwrap.shorten(str(error).strip().split("\n")[0], 200)
        raise InputError(
            f"{name} must work on a whole float32 tensor in a compiled program (tf.where in place "
            f"of if, tf.exp in place of math.exp); it failed with {type(error).__name__}: {reason}"
        ) from error
    return a.numpy(), gate.numpy()
