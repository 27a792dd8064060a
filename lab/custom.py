"""A user's own activation function: made from its source, checked and made known to the lab.

What is trained is the recorded source itself, run once more by itself: nothing that changes later
outside can change the function, and two functions of one source are one.
"""

import ast
import dis
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from lab import activations
from lab.activations import Activation, FloatArray
from lab.errors import InputError
from lab.machine import load_tensorflow
from lab.records import OwnActivation

Function = Callable[[Any], Any]
Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def register(name: str, function: Callable[[Any], Any]) -> Activation:
    """Makes your own activation function known to the lab: it trains and is counted as the rest.

        import tensorflow as tf
        lab.register("swoosh", lambda z: z * tf.sigmoid(2 * z))
        runs = lab.compare(("relu", "swoosh"))

    Its source, with the helper functions and plain values that it takes from outside, is kept
    with its runs and tells them apart from those of another function of this name. Later changes
    of those values do not reach it: to change it, register it again.

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
    if not isinstance(name, str) or not activations.is_own_name(name):
        raise InputError(
            f"name must be 1 to 40 small letters, digits and underscores, a letter first, and not "
            f"one of the lab's own functions, not {name!r}."
        )
    if not inspect.isfunction(function):
        raise InputError(f"{name} must be a function, made with def or lambda, not {function!r}.")
    load_tensorflow()
    source = source_of(name, function)
    made = _made_from(name, source)
    _check(name, function, made)
    return _made_known(name, source, made)


def register_source(name: str, source: str) -> Activation:
    """Makes a function known by its source, as `register` has taken it in another process.

    The source is run: give it only what this user has registered, never what a file holds.

    Raises:
        InputError: If the source does not run here, such as for a library that is missing.
    """
    load_tensorflow()
    return _made_known(name, source, _made_from(name, source))


def _made_known(name: str, source: str, made: Function) -> Activation:
    known = activations.get(name) if name in activations.names() else None
    if known and known.source == source:
        return known  # A cell that is run again keeps the compiled programs.
    colour, line = activations.own_style(name)
    activation = Activation(
        name=name,
        label=name,
        formula="a user's own function",
        reference="registered with lab.register",
        function=lambda z, _: _with_gate(made, z)[0],
        derivative=lambda z, _: _with_gate(made, z)[1],
        on_tensors=lambda z, _: made(z),
        in_keras=lambda _: made,
        colour=colour,
        line=line,
        source=source,
    )
    try:
        OwnActivation(source=source, sup_gate=activation.largest_gate(None))
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise InputError(f"The source of {name} cannot be kept with its runs: {reason}.") from None
    return activations.add(activation)


def _with_gate(function: Function, z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns f and f' of an array, computed in float32 as in training."""
    tf = load_tensorflow()
    at = tf.constant(z, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(at)
        a = function(at)
    gate = tf.convert_to_tensor(tape.gradient(a, at))
    return a.numpy().astype(z.dtype), gate.numpy().astype(z.dtype)


def source_of(name: str, function: FunctionType) -> str:
    """Returns Python text that makes the function anew, under its name.

    Raises:
        InputError: If the source cannot be had, or if it takes something from outside that is
            neither a library, a function nor a plain value.
    """
    pieces = ["from __future__ import annotations", *_pieces(name, function, set())]
    return "\n".join(dict.fromkeys(pieces))


def _made_from(name: str, source: str) -> Function:
    """Runs a source, which the user has just given, and returns the function of this name."""
    scope: dict[str, Any] = {}
    try:
        exec(compile(source, f"<{name}>", "exec", dont_inherit=True), scope)  # noqa: S102
        made: Function = scope[name]
    except Exception as error:
        raise InputError(
            f"{name} cannot be made from its source alone ({type(error).__name__}: {error}). "
            f"Write it as one def, with plain numbers."
        ) from None
    return made


def _pieces(name: str, function: FunctionType, seen: set[str]) -> Iterator[str]:
    if _is_of_a_library(function):
        yield f"from {function.__module__} import {function.__qualname__.partition('.')[0]}"
        yield f"{name} = {function.__qualname__}"
        return
    seen.add(name)
    text, definition = _definition(name, function)
    for outside, value in sorted(_outside(function, definition).items()):
        if isinstance(value, ModuleType) and _is_library(value.__name__):
            yield f"import {value.__name__} as {outside}"
        elif inspect.isfunction(value) or _is_of_a_library(value):
            yield from _pieces(outside, value, seen) if outside not in seen else ()
        else:
            yield f"{outside} = {_plain(outside, value)!r}"
    yield text
    if name != definition.name:
        yield f"{name} = {definition.name}"


def _definition(name: str, function: FunctionType) -> tuple[str, ast.FunctionDef]:
    """Returns the text of a function and its syntax; a lambda is written as an assignment."""
    try:
        text = textwrap.dedent(inspect.getsource(function.__code__)).strip()
        tree = ast.parse(text)
        statement = tree.body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        raise InputError(
            f"The source of {function.__name__} cannot be read: define it with def, in a "
            f"notebook's cell or in a file."
        ) from None
    if isinstance(statement, ast.FunctionDef):
        return text, statement
    lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    if len(lambdas) != 1:
        raise InputError(
            "An activation function's lambda must be the only one on its line: give it a "
            "line of its own, or write it with def."
        )
    found = ast.FunctionDef(name=name, args=lambdas[0].args, body=[], decorator_list=[])
    return f"{name} = {ast.get_source_segment(text, lambdas[0])}", found


def _outside(function: FunctionType, definition: ast.FunctionDef) -> dict[str, Any]:
    """Returns what a function takes from outside, by name."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    known = function.__globals__
    at_definition = [
        *definition.decorator_list,
        *definition.args.defaults,
        *filter(None, definition.args.kw_defaults),
    ]
    names = {
        node.id
        for expression in at_definition
        for node in ast.walk(expression)
        if isinstance(node, ast.Name)
    }
    return {
        **{n: known[n] for n in names | _global_names(function.__code__) if n in known},
        **{name: cell.cell_contents for name, cell in cells},
    }


def _global_names(code: CodeType) -> set[str]:
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    inner = (c for c in code.co_consts if isinstance(c, CodeType))
    return names.union(*map(_global_names, inner))


def _is_library(module: str) -> bool:
    """Tells whether a module is Python's own or installed, and not a file that is being edited."""
    file = str(getattr(sys.modules.get(module), "__file__", None) or "")
    installed = "site-packages" in file or "dist-packages" in file
    return installed or module.partition(".")[0] in sys.stdlib_module_names - {"__main__"}


def _is_of_a_library(value: Any) -> bool:
    """Tells whether a library has this very object under its name."""
    module = str(getattr(value, "__module__", ""))
    found: Any = sys.modules.get(module)
    for part in str(getattr(value, "__qualname__", "?")).split("."):
        found = getattr(found, part, None)
    return _is_library(module) and found is value


def _plain(name: str, value: Any) -> Any:
    """Returns a value as Python writes it.

    Raises:
        InputError: If it is not a finite number, a text, True, False, None or some of these.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple | list):
        return type(value)(_plain(name, part) for part in value)
    if isinstance(value, bool | int | str | None) or (
        isinstance(value, float) and np.isfinite(value)
    ):
        return value
    raise InputError(
        f"An activation function can take libraries, functions and plain values from outside; "
        f"{name} is of the type {type(value).__name__}. Write it as a plain number, or import "
        f"the function itself."
    )


def _check(name: str, given: Function, made: Function) -> None:
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
    a, gate = _compiled(name, given, z)
    if not np.isfinite([a[0, 0], gate[0, 0]]).all() or np.isnan(a + gate).any():
        at_zero = not np.isfinite([a[0, 0], gate[0, 0]]).all()
        at = 0.0 if at_zero else z[np.isnan(a + gate)][0]
        raise InputError(
            f"{name} must have a number as value and slope for every z from -10 to 10; at "
            f"z = {at:g} they are not finite. Keep logarithms, roots and divisions from 0 with "
            f"tf.where or tf.maximum."
        )
    again, turned, flat, mixed = (
        _compiled(name, given, values)[0] for values in (z, z.T, z.ravel(), among_others)
    )
    alike = (again, turned.T, flat.reshape(z.shape), np.where(others, a, mixed))
    if not all(np.allclose(a, b, rtol=1e-5, atol=1e-6) for b in alike):
        raise InputError(
            f"{name} must be elementwise: each value of f(z) must depend on its own z alone, not "
            f"on its neighbours, its place or on chance."
        )
    if not gate.any():
        raise InputError(f"{name} must have a gradient: its slope is 0 for every z tried.")
    if not all(map(np.array_equal, (a, gate), _compiled(name, made, z))):
        raise InputError(
            f"The source of {name} that can be read is not what was given: the file was edited "
            f"since, or it was put together from several functions. Write it as one def."
        )


def _compiled(name: str, function: Function, z: NDArray[np.float32]) -> Pair:
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
        return a, tf.convert_to_tensor(gate)

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
