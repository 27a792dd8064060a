"""What is kept of a batch: for each unit some sums and maxima of z, a and the gate.

XLA makes one quick pass for each of them, if eight slices are first folded into one, value by
value. The trainer's own (`lab.network.tiles`) suit runs side by side; of a convolutional network
outside the lab they took a quarter to a half more core-seconds.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from lab.system import load_tensorflow

FOLDED, STRIP = 8, 16  # In a strip of folded values sums are float32; over the strips, float64.
SHUT = 2**8  # Two counts in one float32: a strip has 128 values.
Values = list[Any]


def reduced(z: Any, a: Any, gate: Any, shut: Any) -> dict[str, Any]:
    """Reduces what each unit does on some inputs, each to a float64 of shape (units,).

    float32 cannot hold the variance of a unit stuck at -1: sums are of a less its first value.
    Non-finite values are counted only if some sum is not finite: they would make it so.

    Args:
        z: Pre-activations, float32 of shape (values, units), of at least one value.
        a: Activations, of that shape.
        gate: Gates, of that shape.
        shut: The largest |gate| of a shut gate.

    Returns:
        Each of `units.REDUCTIONS` by its name.
    """
    tf = load_tensorflow()
    cut_z, cut_a, cut_gate, first = _cut(z), _cut(a), _cut(gate), a[0]
    lively = [values - first for values in cut_a]
    sums = {
        "flags": list(map(functools.partial(_flags, shut), cut_a, cut_gate)),
        "sum_z": cut_z,
        "from_first": lively,
        "square_from_first": [values * values for values in lively],
        "sum_abs": list(map(tf.abs, cut_a)),
        "sum_gate": cut_gate,
    }
    strips = {name: _strips(values) for name, values in sums.items()}
    flags = tf.cast(strips.pop("flags"), tf.int32)
    counts = {"zeros": flags % SHUT, "shut": flags // SHUT}
    total = {name: _total(values) for name, values in (strips | counts).items()}
    total["nonfinite"] = _nonfinite([z, a, gate], list(total.values()))
    del total["sum_z"]
    largest = {
        "max_z": _largest(cut_z),
        "max_minus_z": _largest([-values for values in cut_z]),
        "max_gate": _largest(list(map(tf.abs, cut_gate))),
    }
    return _sums(tf.shape(a)[0], first, total) | total | largest


def reduced_of_relu(z: Any) -> dict[str, Any]:
    """Reduces what each unit does on some inputs, as `reduced` does; for ReLU z is enough.

    Args:
        z: Pre-activations, float32 of shape (values, units), of at least one value.

    Returns:
        Each of `units.REDUCTIONS` by its name.
    """
    tf = load_tensorflow()
    cut_z, first = _cut(z), tf.nn.relu(z[0])
    lively = [tf.nn.relu(values) - first for values in cut_z]
    strips = {
        "open": _strips([tf.cast(values > 0, tf.float32) for values in cut_z]),
        "from_first": _strips(lively),
        "square_from_first": _strips([values * values for values in lively]),
    }
    total = {name: _total(values) for name, values in strips.items()}
    largest = {
        "max_z": _largest(cut_z),
        "max_minus_z": _largest([-values for values in cut_z]),
        "max_gate": tf.cast(total["open"] > 0, tf.float64),
    }
    nonfinite = _nonfinite([z], [*total.values(), *largest.values()])
    opened = total.pop("open")
    shut = tf.cast(tf.shape(z)[0], tf.float64) - opened
    sums = _sums(tf.shape(z)[0], first, total)
    known = {"zeros": shut, "shut": shut, "sum_abs": sums["sum"], "sum_gate": opened}
    return sums | known | largest | {"nonfinite": nonfinite}


def _sums(count: Any, first: Any, total: dict[str, Any]) -> dict[str, Any]:
    """Returns the sums of a and a², and takes those of a less its first value out of `total`."""
    tf = load_tensorflow()
    number, start = tf.cast(count, tf.float64), tf.cast(first, tf.float64)
    moved, square = total.pop("from_first"), total.pop("square_from_first")
    return {
        "sum": moved + number * start,
        "sum_square": square + 2 * start * moved + number * start**2,
    }


def _cut(values: Any) -> Values:
    """Cuts values into as many slices as are folded into one, and a rest of less than a strip."""
    tf = load_tensorflow()
    whole = tf.shape(values)[0] // (FOLDED * STRIP) * (FOLDED * STRIP)
    slices = tf.reshape(values[:whole], (FOLDED, whole // FOLDED, values.shape[1]))
    return [*(slices[number] for number in range(FOLDED)), values[whole:]]


def _flags(shut: Any, a: Any, gate: Any) -> Any:
    """Returns for each value whether a = 0, and whether the gate is shut, in one number."""
    tf = load_tensorflow()
    zero, closed = tf.equal(a, 0.0), tf.abs(gate) <= shut
    return tf.cast(zero, tf.float32) + SHUT * tf.cast(closed, tf.float32)


def _nonfinite(arrays: Values, sums: Values) -> Any:
    """Counts the values of each unit that are NaN or infinite in one of the arrays."""
    tf = load_tensorflow()

    def count() -> Any:
        finite = tf.reduce_all(tf.math.is_finite(tf.stack(arrays)), axis=0)
        return tf.cast(tf.reduce_sum(tf.cast(~finite, tf.int32), axis=0), tf.float64)

    all_finite = tf.reduce_all(tf.math.is_finite(tf.stack(sums)))
    return tf.cond(all_finite, lambda: tf.zeros(arrays[0].shape[1], tf.float64), count)


def _strips(values: Values) -> Any:
    """Returns the sums over each strip, and over the rest: shape (strips, units)."""
    tf = load_tensorflow()
    folded = _folded(tf.add, values[:-1])
    sums = tf.reduce_sum(tf.reshape(folded, (-1, STRIP, folded.shape[1])), axis=1)
    return tf.concat([sums, tf.reduce_sum(values[-1], axis=0, keepdims=True)], axis=0)


def _total(strips: Any) -> Any:
    tf = load_tensorflow()
    return tf.reduce_sum(tf.cast(strips, tf.float64), axis=0)


def _largest(values: Values) -> Any:
    tf = load_tensorflow()
    folded = tf.reduce_max(_folded(tf.maximum, values[:-1]), axis=0)
    return tf.cast(tf.maximum(folded, tf.reduce_max(values[-1], axis=0)), tf.float64)


def _folded(pair: Callable[[Any, Any], Any], values: Sequence[Any]) -> Any:
    """Folds slices into one, two by two."""
    while len(values) > 1:
        values = [pair(*two) for two in zip(values[::2], values[1::2], strict=True)]
    return values[0]
