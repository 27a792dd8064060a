"""What is kept of a batch: for each unit some sums and maxima of z, a and the gate."""

from collections.abc import Callable
from typing import Any

from lab.system import load_tensorflow

STRIP = 25  # Within so many values sums are float32; over the strips, float64.
SHUT = 2**8  # Two counts in one float32: a strip has fewer values.


def reductions(z: Any, a: Any, gate: Any, shut: Any, copies: Any = 0) -> dict[str, Any]:
    """Reduces each column of some values, each to a float64 of shape (columns,).

    XLA is quick where there are hundreds of columns: a unit may have one for each position, which
    `of_units` joins.

    float32 cannot hold the variance of a unit stuck at -1: sums are of values less the first one,
    so that copies of it, which only fill a column, add nothing. What is rare has a slower way of
    its own: non-finite values, and squares that overflow.

    Args:
        z: Pre-activations, float32 of shape (rows, columns), of at least one row.
        a: Activations, of that shape.
        gate: Gates, of that shape.
        shut: The largest |gate| of a shut gate.
        copies: How many values at the end of a column are copies of its first and do not count: a
            number, or one for each column.

    Returns:
        By name what `units.summarise` takes, for one block.
    """
    tf = load_tensorflow()
    copies = tf.cast(copies, tf.float64)
    number = tf.cast(tf.shape(a)[0], tf.float64) - copies
    flags = _flags(a, gate, shut)
    start, moved, size = tf.cast(a[0], tf.float64), a - a[0], tf.abs(a)
    above = _sum(moved)
    sums = {
        "sum": above + number * start,
        "sum_abs": _sum(size - size[0]) + number * tf.abs(start),
        "sum_square": _sum(moved * moved) + 2 * start * above + number * start**2,
        "sum_gate": _sum(gate - gate[0]) + number * tf.cast(gate[0], tf.float64),
    }
    counts = {
        "zeros": _count(flags, lambda both: both % SHUT, copies),
        "shut": _count(flags, lambda both: both // SHUT, copies),
    }
    largest = {
        "max_z": _largest(z),
        "max_minus_z": _largest(-z),
        "max_gate": _largest(tf.abs(gate)),
    }
    finite = tf.reduce_all(tf.math.is_finite(tf.stack([*sums.values(), _sum(z)])))
    rare: dict[str, Any] = tf.cond(
        finite,
        lambda: {"nonfinite": tf.zeros_like(start), "sum_square": sums["sum_square"]},
        lambda: {"nonfinite": _nonfinite(z, a, gate, copies), "sum_square": _squares(a, copies)},
    )
    return {**sums, **counts, **largest, **rare}


def _flags(a: Any, gate: Any, shut: Any) -> Any:
    """Returns for each value whether a = 0, and whether the gate is shut, in one number."""
    tf = load_tensorflow()
    zero, closed = tf.equal(a, 0.0), tf.abs(gate) <= shut
    return tf.cast(zero, tf.float32) + SHUT * tf.cast(closed, tf.float32)


def _count(flags: Any, of_both: Callable[[Any], Any], copies: Any) -> Any:
    """Counts one of two flags, without the copies."""
    tf = load_tensorflow()
    counted, first = (of_both(tf.cast(n, tf.int32)) for n in (_strips(flags), flags[0]))
    return _total(counted) - copies * tf.cast(first, tf.float64)


def _nonfinite(z: Any, a: Any, gate: Any, copies: Any) -> Any:
    """Counts the values that are NaN or infinite in z, a or the gate."""
    tf = load_tensorflow()
    finite = tf.math.is_finite(z) & tf.math.is_finite(a) & tf.math.is_finite(gate)
    found = tf.cast(~finite, tf.float64)
    return tf.reduce_sum(found, axis=0) - copies * found[0]


def _squares(a: Any, copies: Any) -> Any:
    """Returns the sum of a², all in float64."""
    tf = load_tensorflow()
    squares = tf.cast(a, tf.float64) ** 2
    return tf.reduce_sum(squares, axis=0) - copies * squares[0]


def _sum(values: Any) -> Any:
    return _total(_strips(values))


def _strips(values: Any) -> Any:
    """Returns the sums over each strip, and over the rest: shape (strips, columns)."""
    tf = load_tensorflow()
    whole = tf.shape(values)[0] // STRIP * STRIP
    strips = tf.reduce_sum(tf.reshape(values[:whole], (-1, STRIP, values.shape[1])), axis=1)
    return tf.concat([strips, tf.reduce_sum(values[whole:], axis=0, keepdims=True)], axis=0)


def _total(strips: Any) -> Any:
    tf = load_tensorflow()
    return tf.reduce_sum(tf.cast(strips, tf.float64), axis=0)


def _largest(values: Any) -> Any:
    tf = load_tensorflow()
    return tf.cast(tf.reduce_max(values, axis=0), tf.float64)
