"""What the census keeps of a block of images: some sums and maxima of each unit, tile by tile.

A loop goes over tiles of five rows. Of so few rows XLA makes one pass for each sum. Of more rows it
first writes to memory what it then sums, which takes two to seven times as long.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lab.census import COUNTS, GREATEST, SUMMED, SUMS
from lab.system import load_tensorflow

TILE = 5  # Rows.
NARROW = 1000  # A row of fewer values joins several of them, so that the loop takes fewer steps.
MOST_ROWS, BASE = 1000, 1024  # The three counts of a column are the digits of one number.

# Returns z, a and the gate of a tile, by its number, and which values count.
Tile = Callable[[Any], tuple[Any, Any, Any, Any]]


def reduced(
    arrays: Sequence[Any], complete: Callable[..., tuple[Any, Any, Any]], counted: Any, shut: Any
) -> Any:
    """Reduces what each unit of a layer does; to be compiled by XLA.

    Args:
        arrays: What z, a and the gate are made of: float32 of one shape (values, …, units).
        complete: Makes z, a and the gate of a tile, given its part of each of the arrays; all of
            shape (rows, columns). Units take turns along the columns.
        counted: Which of the values count, bool of shape (values,).
        shut: The largest |gate| of a shut gate.

    Returns:
        What `units.summarise` takes, a row for each of `REDUCTIONS`: float64 of shape (10, units).
    """
    tf = load_tensorflow()
    values, units = tf.shape(counted)[0], arrays[0].shape[-1]
    width = tf.size(arrays[0]) // values
    joined = tf.maximum(-(-NARROW // width), -(-values // MOST_ROWS))
    tiles = -(-values // (joined * TILE))

    def in_tiles(array: Any) -> Any:
        rest = tiles * TILE * joined - values
        padded = tf.pad(tf.reshape(array, (values, -1)), [[0, rest], [0, 0]])
        return tf.reshape(padded, (tiles, TILE, -1))

    cut = [in_tiles(array) for array in arrays]
    real = tf.repeat(in_tiles(counted), width, axis=2)

    def tile(number: Any) -> tuple[Any, Any, Any, Any]:
        return *complete(*(array[number] for array in cut)), real[number]

    return _by_unit(_over_tiles(tile, tiles, joined * width, shut), units)


def _over_tiles(tile: Tile, tiles: Any, width: Any, shut: Any) -> dict[str, Any]:
    """Reduces some tiles of one width to a float64 of shape (width,) for each of `REDUCTIONS`.

    Sums are float64, because float32 cannot hold the variance of a unit stuck at -1. XLA's maximum
    drops NaN, so non-finite values are counted separately.
    """
    tf = load_tensorflow()
    wide, lowest = tf.zeros(width, tf.float64), tf.fill([width], tf.float32.min)
    none = {"counts": tf.zeros(width, tf.int32)}
    none |= dict.fromkeys(SUMS, wide) | dict.fromkeys(GREATEST, lowest)

    def with_tile(number: Any, so_far: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        more = _of_tile(*tile(number), shut)
        pair = {name: tf.maximum if name in GREATEST else tf.add for name in more}
        return number + 1, {name: pair[name](so_far[name], more[name]) for name in more}

    _, found = tf.while_loop(lambda number, _: number < tiles, with_tile, (0, none))
    digits = found.pop("counts")
    counts = {name: digits // BASE**n % BASE for n, name in enumerate(COUNTS)}
    return {name: tf.cast(values, tf.float64) for name, values in (counts | found).items()}


def _of_tile(z: Any, a: Any, gate: Any, counted: Any, shut: Any) -> dict[str, Any]:
    """Reduces one tile; see `_over_tiles`. The counts are the digits of one number."""
    tf = load_tensorflow()

    def kept(values: Any, otherwise: float = 0) -> Any:
        return tf.where(counted, values, tf.constant(otherwise, values.dtype))

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
        "max_gate": tf.reduce_max(tf.abs(gate), axis=0),
    }


def _by_unit(found: Mapping[str, Any], units: int) -> Any:
    """Joins what was found in all columns of a unit; see `reduced`."""
    tf = load_tensorflow()

    def joined(names: Sequence[str], over: Callable[..., Any]) -> Any:
        together = tf.stack([tf.reshape(found[name], (-1, units)) for name in names])
        return over(together, axis=1)

    return tf.concat([joined(SUMMED, tf.reduce_sum), joined(GREATEST, tf.reduce_max)], axis=0)


def join(found: Any, more: Any) -> Any:
    """Joins what `reduced` returns of some values with what it returns of more."""
    tf = load_tensorflow()
    summed = len(SUMMED)
    sums, largest = found[:summed] + more[:summed], tf.maximum(found[summed:], more[summed:])
    return tf.concat([sums, largest], axis=0)


def nothing(units: int) -> Any:
    """Returns what `reduced` returns if no value counts."""
    tf = load_tensorflow()
    sums = tf.zeros((len(SUMMED), units), tf.float64)
    lowest = tf.constant(tf.float32.min, tf.float64)
    return tf.concat([sums, tf.fill((len(GREATEST), units), lowest)], axis=0)
