"""What the census keeps of a block of images: some sums and maxima of each unit, tile by tile.

A loop goes over tiles of five rows. Of so few rows XLA makes one pass for each sum. Of more rows it
first writes to memory what it then sums, which takes two to seven times as long.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lab.census import COUNTS, GREATEST, SUMMED, SUMS
from lab.system import load_tensorflow

TILE = 5  # Rows.
NARROW = 1000  # A row of fewer values joins several images, so that the loop takes fewer steps.
MOST_ROWS, BASE = 1000, 1024  # The three counts of a column are the digits of one number.

# Returns z, a and the gate of a tile, by its number, and which of them count.
Tile = Callable[[Any], tuple[Any, Any, Any, Any]]


def reduced(z: Any, a: Any, gate_of: Callable[[Any], Any], real: Any, shut: Any) -> Any:
    """Reduces what each unit of a layer does on some images; to be compiled by XLA.

    Args:
        z: Pre-activations, float32 of shape (images, …, units).
        a: Activations, of that shape.
        gate_of: Returns the gates of a tile's z, of shape (rows, columns). Units take turns along
            the columns.
        real: Which images count, bool of shape (images,).
        shut: The largest |gate| of a shut gate.

    Returns:
        What `units.summarise` takes, a row for each of `units.REDUCTIONS`: float64 of shape
        (10, units).
    """
    tf = load_tensorflow()
    images, width = real.shape[0], math.prod(z.shape[1:])
    joined = max(-(-NARROW // width), -(-images // MOST_ROWS))
    tiles = -(-images // (joined * TILE))

    def in_tiles(array: Any) -> Any:
        rest = tiles * TILE * joined - images
        padded = tf.pad(tf.reshape(array, (images, -1)), [[0, rest], [0, 0]])
        return tf.reshape(padded, (tiles, TILE, -1))

    z_tiles, a_tiles = in_tiles(z), in_tiles(a)
    real_tiles = tf.repeat(in_tiles(real), width, axis=2)

    def tile(number: Any) -> tuple[Any, Any, Any, Any]:
        z = z_tiles[number]
        return z, a_tiles[number], gate_of(z), real_tiles[number]

    return _by_unit(_over_tiles(tile, tiles, joined * width, shut), z.shape[-1])


def _over_tiles(tile: Tile, tiles: int, columns: int, shut: Any) -> dict[str, Any]:
    """Reduces some tiles to a float64 of shape (columns,) for each of `units.REDUCTIONS`.

    Sums are float64, because float32 cannot hold the variance of a unit stuck at -1. XLA's maximum
    drops NaN, so non-finite values are counted separately.
    """
    tf = load_tensorflow()
    sums, lowest = tf.zeros(columns, tf.float64), tf.fill([columns], tf.float32.min)
    none = {"counts": tf.zeros(columns, tf.int32)}
    none |= dict.fromkeys(SUMS, sums) | dict.fromkeys(GREATEST, lowest)

    def with_tile(number: Any, so_far: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        more = _of_tile(*tile(number), shut)
        pair = {name: tf.maximum if name in GREATEST else tf.add for name in more}
        return number + 1, {name: pair[name](so_far[name], more[name]) for name in more}

    _, found = tf.while_loop(lambda number, _: number < tiles, with_tile, (0, none))
    digits = found.pop("counts")
    counts = {name: digits // BASE**n % BASE for n, name in enumerate(COUNTS)}
    return {name: tf.cast(values, tf.float64) for name, values in (counts | found).items()}


def _of_tile(z: Any, a: Any, gate: Any, real: Any, shut: Any) -> dict[str, Any]:
    """Reduces one tile; see `_over_tiles`. The counts are the digits of one number."""
    tf = load_tensorflow()

    def kept(values: Any, otherwise: float = 0) -> Any:
        return tf.where(real, values, tf.constant(otherwise, values.dtype))

    def total(values: Any) -> Any:
        return tf.reduce_sum(tf.cast(values, tf.float64), axis=0)

    def largest(values: Any) -> Any:
        return tf.reduce_max(kept(values, tf.float32.min), axis=0)

    finite = tf.math.is_finite(z) & tf.math.is_finite(a) & tf.math.is_finite(gate)
    flags = {"nonfinite": ~finite, "zeros": tf.equal(a, 0.0), "shut": tf.abs(gate) <= shut}
    digits = sum(BASE**n * tf.cast(flags[name], tf.int32) for n, name in enumerate(COUNTS))
    a, gate = kept(a), kept(gate)
    return {
        "counts": tf.reduce_sum(kept(digits), axis=0),
        "sum": total(a),
        "sum_abs": total(tf.abs(a)),
        "sum_square": tf.reduce_sum(tf.cast(a, tf.float64) ** 2, axis=0),
        "sum_gate": total(gate),
        "max_z": largest(z),
        "max_minus_z": largest(-z),
        "max_gate": largest(tf.abs(gate)),
    }


def _by_unit(found: Mapping[str, Any], units: int) -> Any:
    """Joins what was found in all columns of a unit; see `reduced`."""
    tf = load_tensorflow()

    def joined(names: Sequence[str], over: Callable[..., Any]) -> Any:
        together = tf.stack([tf.reshape(found[name], (-1, units)) for name in names])
        return over(together, axis=1)

    return tf.concat([joined(SUMMED, tf.reduce_sum), joined(GREATEST, tf.reduce_max)], axis=0)


def join(found: Any, more: Any) -> Any:
    """Joins what `reduced` returns of some images with what it returns of others."""
    tf = load_tensorflow()
    summed = len(SUMMED)
    sums, largest = found[:summed] + more[:summed], tf.maximum(found[summed:], more[summed:])
    return tf.concat([sums, largest], axis=0)


def nothing(units: int) -> Any:
    """Returns what `reduced` returns if no image counts."""
    tf = load_tensorflow()
    sums = tf.zeros((len(SUMMED), units), tf.float64)
    lowest = tf.constant(tf.float32.min, tf.float64)
    return tf.concat([sums, tf.fill((len(GREATEST), units), lowest)], axis=0)
