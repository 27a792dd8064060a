"""A user's own function as Python text that makes it again, with all that it uses."""

import ast
import dis
import functools
import inspect
import sys
import textwrap
import tokenize
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lab.errors import InputError

KERAS_LAYERS = ("Activation", "ELU", "LeakyReLU", "ReLU")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def source_of(name: str, function: Any) -> str:
    """Returns Python text that makes the function again, under its name.

    Raises:
        InputError: If the source is not available, or if it takes something from outside that is
            neither a library, a function nor a plain value.
    """
    pieces = ["from __future__ import annotations", *_pieces(name, function, set())]
    return "\n".join(dict.fromkeys(pieces))


def has_source(function: Any) -> bool:
    """Tells whether something is of a kind that `source_of` can write as text."""
    if isinstance(function, functools.partial):
        return has_source(function.func)
    return inspect.isfunction(function) or _is_keras_layer(function)


def _pieces(name: str, value: Any, seen: set[str]) -> Iterator[str]:
    """Yields the statements that give a value this name; `seen` are the functions written."""
    if isinstance(value, ModuleType) and _is_library(value.__name__):
        yield f"import {value.__name__} as {name}"
    elif _is_of_a_library(value):
        yield f"from {value.__module__} import {value.__qualname__.partition('.')[0]}"
        yield f"{name} = {value.__qualname__}"
    elif inspect.isfunction(value):
        if name not in seen:
            seen.add(name)
            yield from _function(name, value, seen)
    elif isinstance(value, functools.partial):
        yield from _partial(name, value, seen)
    elif inspect.isclass(value):
        if name not in seen:
            seen.add(name)
            yield from _class(name, value, seen)
    elif _is_keras_layer(value):
        yield from _keras_layer(name, value, seen)
    else:
        yield f"{name} = {_plain(name, value)!r}"


def _function(name: str, function: FunctionType, seen: set[str]) -> Iterator[str]:
    text, definition = _definition(name, function)
    text, outside = _with_defaults(function, text, definition)
    for outer, value in sorted(outside.items()):
        yield from _pieces(outer, value, seen)
    if isinstance(definition, ast.Lambda):
        yield f"{name} = {text}"
        return
    yield text
    if name != definition.name:
        yield f"{name} = {definition.name}"


def _class(name: str, value: type, seen: set[str]) -> Iterator[str]:
    """Yields a user's own class, found by the code of one of its methods."""
    methods = [each for each in vars(value).values() if inspect.isfunction(each)]
    try:
        lines, _ = inspect.findsource(methods[0].__code__)
        (definition,) = (
            node
            for node in ast.walk(ast.parse("".join(lines)))
            if isinstance(node, ast.ClassDef) and node.name == value.__name__
            if node.lineno <= methods[0].__code__.co_firstlineno <= (node.end_lineno or 0)
        )
    except (OSError, TypeError, SyntaxError, IndexError, ValueError):
        raise InputError(
            f"The source of the class {value.__name__} cannot be read: define it in a file or in a "
            f"notebook's cell, with a method."
        ) from None
    known = methods[0].__globals__
    inside = set().union(*(_global_names(method.__code__) for method in methods))
    names = inside.union(*map(_names, (*definition.bases, *definition.decorator_list)))
    for outer in sorted(names & known.keys() - {value.__name__}):
        yield from _pieces(outer, known[outer], seen)
    first, last = definition.lineno - 1, definition.end_lineno
    yield textwrap.dedent("".join(lines[first:last])).rstrip()
    if name != value.__name__:
        yield f"{name} = {value.__name__}"


def _partial(name: str, value: functools.partial[Any], seen: set[str]) -> Iterator[str]:
    whole = f"_{name}"
    yield from _pieces(whole, value.func, seen)
    arguments = [repr(_plain("an argument of partial", given)) for given in value.args]
    arguments += [f"{key}={_plain(key, given)!r}" for key, given in value.keywords.items()]
    yield "import functools"
    yield f"{name} = functools.partial({', '.join([whole, *arguments])})"


def _is_keras_layer(value: Any) -> bool:
    """Tells whether this is one of Keras's own activation layers that have no weights."""
    layers = getattr(sys.modules.get("keras"), "layers", None)
    return type(value) in [getattr(layers, name, None) for name in KERAS_LAYERS]


def _keras_layer(name: str, layer: Any, seen: set[str]) -> Iterator[str]:
    kind = type(layer).__name__
    if kind == "Activation":
        yield from _pieces(name, layer.activation, seen)
        return
    settings = {
        key: _plain(key, value)
        for key, value in layer.get_config().items()
        if key not in ("name", "trainable", "dtype")
    }
    arguments = [f"{key}={value!r}" for key, value in (settings | {"dtype": "float32"}).items()]
    yield "import keras"
    yield f"{name} = keras.layers.{kind}({', '.join(arguments)})"


def _definition(name: str, function: FunctionType) -> tuple[str, Definition]:
    """Returns the text of a function, and its syntax with positions in that text."""
    code = function.__code__
    is_lambda = code.co_name == "<lambda>"
    try:
        return _lambda(code) if is_lambda else _def(code)
    except (OSError, TypeError, SyntaxError, IndexError, tokenize.TokenError):
        raise InputError(
            f"The source of {name if is_lambda else function.__name__} cannot be read: define it "
            f"in a file or in a notebook's cell without %time, and again if that was edited since."
        ) from None


def _def(code: CodeType) -> tuple[str, Definition]:
    text = textwrap.dedent(inspect.getsource(code)).strip()
    statement = ast.parse(text).body[0]
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        raise SyntaxError("no def where there was one")
    return text, statement


def _lambda(code: CodeType) -> tuple[str, ast.Lambda]:
    """Finds a lambda by line and column: its own body alone holds its instructions."""
    lines, _ = inspect.findsource(code)
    tree = ast.parse("".join(lines))
    spots = [spot for spot in code.co_positions() if None not in spot and spot[::2] < spot[1::2]]
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno
        if all(_holds(node.body, *spot) for spot in spots)
    ]
    if len(found) > 1 and not spots:  # Python ran with -X no_debug_ranges.
        raise InputError(
            "A lambda that is registered must be the only one on its line: give it a "
            "line of its own, or write it with def."
        )
    if not found:
        raise SyntaxError("no lambda where there was one")
    innermost = max(found, key=lambda node: node.col_offset)
    text = _cut(lines, innermost)
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:  # Brackets outside it join its lines.
        text = f"({text})"
    expression = ast.parse(text, mode="eval").body
    if not isinstance(expression, ast.Lambda):
        raise SyntaxError("no lambda where there was one")
    return text, expression


def _holds(node: ast.expr, line: Any, end_line: Any, column: Any, end_column: Any) -> bool:
    end = (node.end_lineno or 0, node.end_col_offset or 0)
    return (node.lineno, node.col_offset) <= (line, column) and (end_line, end_column) <= end


def _cut(lines: list[str], node: ast.Lambda) -> str:
    """Returns the text of a lambda; its lines are indented as if the first had no indent."""
    first, last = node.lineno - 1, node.end_lineno or 0
    block = textwrap.dedent("".join(lines[first:last]))
    margin = len(lines[first].rstrip("\n")) - len(block.partition("\n")[0])
    ast.increment_lineno(node, -first)
    node.col_offset -= margin
    node.end_col_offset = (node.end_col_offset or 0) - margin
    return ast.get_source_segment(block, node) or ""


def _with_defaults(
    function: FunctionType, text: str, definition: Definition
) -> tuple[str, dict[str, Any]]:
    """Returns a function's text and, by name, what it uses from outside, its defaults included.

    If a default's expression no longer gives its value, as for a function made in a loop, the value
    is used.
    """
    known, code = function.__globals__, function.__code__
    inside = _global_names(code)
    at_definition = list(getattr(definition, "decorator_list", ()))
    bound: dict[str, Any] = {}
    for parameter, expression, value in reversed(_defaults(function, definition.args)):
        if _still_gives(expression, value, known):
            at_definition.append(expression)
        elif isinstance(expression, ast.Name) and expression.id not in inside:
            bound[expression.id] = value
        elif has_source(value):
            bound[parameter] = value
            text = _replaced(text, expression, parameter)
        else:
            text = _replaced(text, expression, repr(_plain(parameter, value)))
    names = inside.union(*map(_names, at_definition))
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    return text, {
        **{name: known[name] for name in names if name in known},
        **{name: cell.cell_contents for name, cell in cells},
        **bound,
    }


def _defaults(function: FunctionType, arguments: ast.arguments) -> list[tuple[str, ast.expr, Any]]:
    """Returns parameter, expression and value of each default, in the order of the text."""
    values, by_name = function.__defaults__ or (), function.__kwdefaults__ or {}
    positional = [*arguments.posonlyargs, *arguments.args]
    last = positional[len(positional) - len(arguments.defaults) :]
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [
        *((p.arg, e, v) for p, e, v in zip(last, arguments.defaults, values, strict=False)),
        *((p.arg, e, by_name[p.arg]) for p, e in named if e and p.arg in by_name),
    ]


def _still_gives(expression: ast.expr, value: Any, known: dict[str, Any]) -> bool:
    """Tells whether a default's expression gives this value where the source runs."""
    names = _names(expression)
    if not names:
        return True
    code = compile(ast.Expression(expression), "<default>", "eval")
    try:
        found = eval(code, dict(known))  # noqa: S307
        for name in names & known.keys():
            list(_pieces(name, known[name], set()))
    except Exception:
        return False
    return found is value or repr(found) == repr(value) or not _is_written_out(value)


def _is_written_out(value: Any) -> bool:
    plain = isinstance(value, bool | int | float | str | tuple | list | np.generic | None)
    return plain or has_source(value)


def _replaced(text: str, node: ast.expr, words: str) -> str:
    """Returns a text with a part of it replaced; columns count bytes."""
    content = text.encode()
    starts = [0, *(end + 1 for end, byte in enumerate(content) if byte == ord("\n"))]
    start = starts[node.lineno - 1] + node.col_offset
    end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
    return (content[:start] + words.encode() + content[end:]).decode()


def _names(expression: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}


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
        f"What is registered can take libraries, functions, classes and plain values from outside; "
        f"{name} is of the type {type(value).__name__}. Write it as a plain number, or import "
        f"the function itself."
    )


def printable(text: str) -> str:
    """Returns a text that was read.

    Raises:
        ValueError: If it has characters that cannot be printed.
    """
    if not text.isprintable():
        raise ValueError("it has characters that cannot be printed")
    return text


def _printable_lines(text: str) -> str:
    for line in text.splitlines():
        printable(line.replace("\t", " "))
    return text


Source = Annotated[str, Field(max_length=20_000), AfterValidator(_printable_lines)]


class Strict(BaseModel):
    """Data from a file that anyone may have written: no extra field, and no field can change."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", ser_json_inf_nan="strings"
    )


class OwnActivation(Strict):
    """The record of a user's own activation function: text to read, which nothing here runs.

    Attributes:
        source: Its source, with all that it takes from outside.
        sup_gate: sup |f'|; NaN where f' is not bounded.
        overflows: The first z to the left and to the right at which its value or slope is not
            finite in float32; infinite on a finite side. None if both sides are finite, or if an
            older version, which did not check, made the run.
    """

    source: Source
    sup_gate: float
    overflows: tuple[Annotated[float, Field(le=0)], Annotated[float, Field(ge=0)]] | None = Field(
        None, exclude_if=lambda limits: limits is None
    )
