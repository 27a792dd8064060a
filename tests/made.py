"""A small data set made by hand, and names that somebody made to do harm."""

import numpy as np

from lab import Dataset


def make_dataset(train: int, test: int) -> Dataset:
    rng = np.random.default_rng(7)
    labels = rng.permutation(np.arange(train + test) % 10).astype(np.uint8)
    images = rng.integers(0, 60, (train + test, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 4)
        image[7 * row : 7 * row + 7, 7 * column : 7 * column + 7] += 150
    return Dataset("tiny", images[:train], labels[:train], images[train:], labels[train:])


# Names that would break a page, a table, a figure or a terminal.
ODD_NAMES = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; &amp; \"quoted\" 'single'",
    "</div></table><h1>",
    "$$",
    r"$\frac{1}{0}$",
    r"\input{/etc/passwd}",
    "_hidden",
    "__init__",
    "%s%n%d",
    "{0.__class__} {config!r}",
    "[link](javascript:alert(1)) **bold** | cell |",
    "=cmd|'/c calc'!A1",
    "[bold red]rich[/]",
    "[/]",
    "a" * 200,
    "x" * 10_000,
    "\u202eevil\u202c",
    "\u200f\u200e",
    "\x00",
    "\x1b[2J",
    "line\nline",
    "é́́́" * 40,
    "\ud800",
    "../../etc/passwd",
    "",
    " ",
    "😀" * 50,
    "نص عربي",
)
