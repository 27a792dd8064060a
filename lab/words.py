"""Numbers, lists and names in words.

Messages, tables and captions write them with these functions.
"""

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

MOST_LAYERS = 3
LETTERS = 76  # Of a line in the output of a cell, beside JupyterLab's list of files.


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun: `counted(1, "epoch")` is `1 epoch`, else `2 epochs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def by_layer(values: Iterable[Any]) -> str:
    """Joins a value for each layer; of more than three layers it keeps the first and the last.

    >>> by_layer([1.5, 0.0])
    '1.5 / 0.0'
    >>> by_layer(range(1, 7))
    '1 / … / 6'
    """
    words = [str(value) for value in values]
    shown = words if len(words) <= MOST_LAYERS else [words[0], "…", words[-1]]
    return " / ".join(shown) or "-"


def number(value: float) -> str:
    """Writes a number for prose: three digits, no powers of ten, and a true minus sign."""
    if abs(value) < 0.001:
        value = round(value, 4) or 0.0
    digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return digits.replace("-", "−")


def fixed(value: float, digits: int) -> str:
    """Writes a number with some decimals: no -0.0, and a true minus sign.

    >>> fixed(-0.456, 2), fixed(-0.001, 2)
    ('−0.46', '0.00')
    """
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def wrapped(text: str) -> str:
    """Breaks a text between words, for a notebook: JupyterLab breaks printed lines inside them.

    >>> print(wrapped(20 * "dead "))
    dead dead dead dead dead dead dead dead dead dead dead dead dead dead dead
    dead dead dead dead dead
    """
    return textwrap.fill(text, LETTERS, break_long_words=False, break_on_hyphens=False)


MOST_NAMES = 5


def duration(seconds: float) -> str:
    """Returns a time in words, rounded up.

    >>> duration(4.2), duration(61), duration(4000)
    ('5 s', '2 min', '1 h 7 min')
    """
    if seconds <= 59:
        return f"{math.ceil(seconds)} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def time_left(seconds: float) -> str:
    """Returns in words how long the rest takes; empty if nothing is left.

    >>> time_left(4.2), time_left(0.0)
    ('about 5 s left', '')
    """
    return f"about {duration(seconds)} left" if seconds > 0 else ""


def join_words(words: Iterable[str], mark: str = ",") -> str:
    """Joins words for a sentence; a long list keeps the first ones, and says how many more.

    >>> join_words("abc")
    'a, b and c'
    >>> join_words("abcdefg")
    'a, b, c, d and 3 more'
    """
    words = list(words)
    if len(words) > MOST_NAMES:
        words = [*words[: MOST_NAMES - 1], f"{len(words) - MOST_NAMES + 1} more"]
    return " and ".join(filter(None, [f"{mark} ".join(words[:-1]), *words[-1:]]))


def shortened(parts: Sequence[str], most: int, noun: str) -> list[str]:
    """Returns the parts of a list; a long one keeps its ends, and says how many it leaves out.

    >>> shortened("abcdefg", 4, "letter")
    ['a', 'b', '… 3 more letters …', 'f', 'g']
    """
    if len(parts) <= most:
        return list(parts)
    half = most // 2
    return [*parts[:half], f"… {counted(len(parts) - 2 * half, f'more {noun}')} …", *parts[-half:]]
