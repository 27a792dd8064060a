"""Prints a table on a terminal: short numbers, as many columns as have room, the others named.

A file or another program gets every column, and no column is cut.
"""

import math
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.experiment import value_words, words_of

if TYPE_CHECKING:
    import pandas as pd

SHARES = ("accuracy", "fraction")  # From 0 to 1 in the tables, in % for people.
NONE = "-"
IN_RUN_ID = ("seed", "activation", "parameter", "dataset")  # Most of these are in the id of a run.
EDGES = 2  # The width of a table beside its columns.


def print_frame(frame: "pd.DataFrame", console: Console, more: str = "") -> None:
    """Prints a table; on a terminal, the columns that have no room are left out, and named.

    A column with the same value in all rows is printed above the table.

    Args:
        frame: The table.
        console: Where to.
        more: What shows all columns, in words.
    """
    cells = {_head(name): [_cell(name, v) for v in frame[name]] for name in frame.columns}
    same = [name for name, values in cells.items() if len(values) > 1 and len(set(values)) == 1]
    empty = [name for name, values in cells.items() if set(values) == {NONE}]
    shown = {name: values for name, values in cells.items() if name not in (*same, *empty)}
    common = [f"{name} {cells[name][0]}" for name in same if cells[name][0] != NONE]
    if common:
        console.print(Text(f"In all rows: {', '.join(common)}."), soft_wrap=not console.is_terminal)
    left_out = _without_room(shown, console.width) if console.is_terminal else []
    _wide(console).print(_table({n: v for n, v in shown.items() if n not in left_out}))
    if left_out:
        console.print(Text(f"No room for: {', '.join(left_out)}.{more}"))


def _wide(console: Console) -> Console:
    """Returns a console that cuts nothing where there is no terminal."""
    return console if console.is_terminal else Console(file=console.file, width=100_000)


def _head(name: Any) -> str:
    words = words_of(name).removesuffix(" fraction")
    return f"{words} %" if _is_share(name) else words


def _is_share(name: Any) -> bool:
    return str(name).endswith(SHARES)


def _cell(name: Any, value: Any) -> str:
    """Returns a value for people: a share in %, four digits of a number, `-` for nothing."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return NONE
    if not isinstance(value, float):
        return value_words(value)
    return f"{100 * value:.2f}" if _is_share(name) else f"{value:.4g}"


def _without_room(columns: dict[str, list[str]], width: int) -> list[str]:
    """Returns the names of the columns that a terminal has no room for.

    Columns that a run's id contains are left out first, then the last ones.
    """
    needed = {name: _width(name, values) + 1 for name, values in columns.items()}
    in_id = [name for name in IN_RUN_ID if "run id" in columns and name in columns]
    going = [*in_id, *(name for name in reversed(list(columns)[1:]) if name not in in_id)]
    left_out: list[str] = []
    while going and sum(needed.values()) > width - EDGES:
        left_out.append(going.pop(0))
        del needed[left_out[-1]]
    return [name for name in columns if name in left_out]


def _width(name: str, values: list[str]) -> int:
    return max(map(len, [*name.split(), *values]))


def _table(columns: dict[str, list[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name, values in columns.items():
        numbers = all(value[:1] in "0123456789.-−" for value in values)
        width = _width(name, values)
        table.add_column(
            name, justify="right" if numbers else "left", min_width=width, max_width=width
        )
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, row))
    return table
