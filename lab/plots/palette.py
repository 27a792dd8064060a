"""Colours of all but activation functions, and how a picture's colours follow a page's theme.

The colours of Okabe and Ito belong to the functions. All else is drawn in ink, in greys or in the
colours below, which are seen on white paper and on a dark screen alike. In the dark, ink and greys
change places; colours stay.
"""

import re

VIOLET, BROWN, PLUM = "#6a5acd", "#8b5a2b", "#aa3377"
INK, GREY, SILVER, PALE, PAPER = "#000000", "#777777", "#b8b8b8", "#dddddd", "#ffffff"
NIGHT, MOON = 0x11, 0xE8  # What white paper and black ink become in the dark.
MOST_TINT = 8  # The most by which red, green and blue of a grey differ.


def shades(count: int) -> list[str]:
    """Returns colours for things that have an order, such as layers, from the first to the last.

    >>> shades(3)
    ['#6a5acd', '#7b5a7c', '#8b5a2b']
    """
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    scale = LinearSegmentedColormap.from_list("order", [VIOLET, BROWN])
    return [to_hex(scale(place / max(count - 1, 1))) for place in range(count)]


def in_the_dark(colour: str) -> str:
    """Returns what a colour becomes on a dark page: greys change places, others stay.

    >>> in_the_dark("#000000"), in_the_dark("#ffffff"), in_the_dark("#0072b2")
    ('#e8e8e8', '#111111', '#0072b2')
    """
    parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    if max(parts) - min(parts) > MOST_TINT:
        return colour
    grey = round(MOON - sum(parts) / 3 * (MOON - NIGHT) / 255)
    return f"#{grey:02x}{grey:02x}{grey:02x}"


def by_theme(colour: str) -> str:
    """Returns a colour as CSS writes it for pages that are bright or dark.

    >>> by_theme("#000000"), by_theme("#0072b2")
    ('light-dark(#000000, #e8e8e8)', '#0072b2')
    """
    dark = in_the_dark(colour)
    return colour if dark == colour else f"light-dark({colour}, {dark})"


def follow_theme(svg: str) -> str:
    """Makes the greys of an SVG follow the `color-scheme` of the page that shows it.

    A browser that does not know `light-dark` keeps the bright ones.
    """
    return re.sub(r"\b(fill|stroke): (#[0-9a-f]{6})\b", _either, svg)


def _either(found: re.Match[str]) -> str:
    name, colour = found.groups()
    both = by_theme(colour)
    return found[0] if both == colour else f"{name}: {colour}; {name}: {both}"
