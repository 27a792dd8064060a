"""A small data set made by hand, what is counted of it, and names made to do harm."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from lab import Dataset


def mostly_slow(values: Iterable[Any], *quick: Any) -> list[Any]:
    """What a test is tried with: a few of the values always, all of them in the slow tests."""
    return [
        pytest.param(v, marks=[] if v in quick else pytest.mark.slow, id=str(v)) for v in values
    ]


def make_dataset(train: int, test: int) -> Dataset:
    rng = np.random.default_rng(7)
    labels = rng.permutation(np.arange(train + test) % 10).astype(np.uint8)
    images = rng.integers(0, 60, (train + test, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 4)
        image[7 * row : 7 * row + 7, 7 * column : 7 * column + 7] += 150
    return Dataset("tiny", images[:train], labels[:train], images[train:], labels[train:])


def reduced_by_numpy(z: Any, a: Any, gate: Any, shut: float) -> dict[str, Any]:
    """What `units.summarise` takes of one block, by name: of values of shape (images, units)."""
    z, a, gate = (np.asarray(values, np.float64) for values in (z, a, gate))
    return {
        "nonfinite": (~(np.isfinite(z) & np.isfinite(a) & np.isfinite(gate))).sum(axis=0),
        "zeros": (a == 0).sum(axis=0),
        "shut": (abs(gate) <= shut).sum(axis=0),
        "sum": a.sum(axis=0),
        "sum_abs": abs(a).sum(axis=0),
        "sum_square": (a**2).sum(axis=0),
        "sum_gate": gate.sum(axis=0),
        "max_z": z.max(axis=0),
        "max_minus_z": (-z).max(axis=0),
        "max_gate": abs(gate).max(axis=0),
    }


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


def convolutional(activation, input_shape, classes):
    """A small network with convolutions and pooling."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Reshape((*input_shape, 1)),
            layers.Conv2D(4, 5, strides=2, activation=activation, name="edges"),
            layers.MaxPooling2D(2),
            layers.Conv2D(6, 3, activation=activation),
            layers.Flatten(),
            layers.Dense(8, activation=activation),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def normalised(activation, input_shape, classes):
    """A functional network with batch normalisation before the activation, and dropout."""
    import keras

    layers = keras.layers
    x = images = keras.Input(input_shape)
    x = layers.Flatten()(x)
    for units in (16, 12):
        x = layers.Dense(units, use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation(activation)(x)
        x = layers.Dropout(0.2, seed=0)(x)
    return keras.Model(images, layers.Dense(classes, activation="softmax")(x))
