"""The compiled programs: training steps, evaluation and census, as TensorFlow runs them.

Built to be shared: a program takes a run's weights and optimiser state as `tf.Variable`
arguments and works on them in place, so runs of one activation function, optimiser and shape
need one compilation. What an epoch or a block holds comes in as tensors.
"""

import functools
from dataclasses import dataclass
from typing import Any

from lab.activations import Activation
from lab.machine import load_tensorflow

STRIPS = 8  # A block's images are a multiple of it.
ADAM_BETA_1, ADAM_BETA_2, ADAM_EPSILON = 0.9, 0.999, 1e-7


@dataclass(frozen=True)
class Program:
    """The compiled programs that runs of one activation function and optimiser share.

    TensorFlow keeps one compiled version for each network shape and batch size.

    Attributes:
        train: Trains steps `counts[0]` to `counts[1]` of an epoch, in place.
        evaluate: Loss and number correct, summed over a block of images.
        census: float64 of shape (rows, 2 + units of all hidden layers): first the same two sums
            (in every row), then each unit's summaries in the rows that `units.summarise` reads.
    """

    train: Any
    evaluate: Any
    census: Any


@functools.cache
def program(activation: Activation, optimizer: str) -> Program:
    """Returns the programs for an activation function and an optimiser; compiled at first use."""
    tf = load_tensorflow()
    update = UPDATES[optimizer]

    def train(
        weights: Any,
        slots: Any,
        totals: Any,
        pixels: Any,
        labels: Any,
        order: Any,
        counts: Any,
        rates: Any,
        parameter: Any,
    ) -> None:
        start, stop, steps_before, images = tf.unstack(counts)
        batch = order.shape[1]

        def step(i: Any) -> tuple[Any]:
            x, y = _images(pixels, labels, order[i])
            count = tf.minimum(batch, images - i * batch)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(weights)
                losses, correct = _scores(_logits(weights, x, activation, parameter), y, count)
                loss = tf.reduce_sum(losses)
                mean = loss / tf.cast(count, tf.float32)
            gradients = tape.gradient(mean, weights)
            update(weights, slots, gradients, tf.cast(steps_before + i + 1, tf.float32), rates)
            totals.assign_add(tf.cast(tf.stack([loss, tf.reduce_sum(correct)]), tf.float64))
            return (i + 1,)

        # A Python or tf.range loop would make its bounds compile-time constants.
        tf.while_loop(lambda i: i < stop, step, (start,))

    def evaluate(
        weights: Any, pixels: Any, labels: Any, block: Any, count: Any, parameter: Any, shut: Any
    ) -> Any:
        x, y = _images(pixels, labels, block)
        del shut  # Only the census needs it.
        return _sums(_scores(_logits(weights, x, activation, parameter), y, count))

    def census(
        weights: Any, pixels: Any, labels: Any, block: Any, count: Any, parameter: Any, shut: Any
    ) -> Any:
        a, y = _images(pixels, labels, block)
        layers = []
        for kernel, bias in _pairs(weights)[:-1]:
            z = a @ kernel + bias
            with tf.GradientTape() as tape:
                tape.watch(z)
                a = activation.on_tensors(z, parameter)
            layers.append(_observe(z, a, tape.gradient(a, z), count, shut))
        scores = _sums(_scores(a @ weights[-2] + weights[-1], y, count))
        return tf.concat([tf.broadcast_to(scores, (layers[0].shape[0], 2)), *layers], axis=1)

    compiled = functools.partial(tf.function, jit_compile=True, autograph=False)
    return Program(compiled(train), compiled(evaluate), compiled(census))


def _images(pixels: Any, labels: Any, block: Any) -> tuple[Any, Any]:
    tf = load_tensorflow()
    x = tf.cast(tf.gather(pixels, block), tf.float32) / 255.0
    return x, tf.gather(labels, block)


def _pairs(weights: Any) -> list[tuple[Any, Any]]:
    return list(zip(weights[::2], weights[1::2], strict=True))


def _logits(weights: Any, x: Any, activation: Activation, parameter: Any) -> Any:
    for kernel, bias in _pairs(weights)[:-1]:
        x = activation.on_tensors(x @ kernel + bias, parameter)
    return x @ weights[-2] + weights[-1]


def _scores(logits: Any, y: Any, count: Any) -> tuple[Any, Any]:
    """Returns each image's loss and whether it is classified right; 0 beyond the first `count`.

    An image with a non-finite output is not classified right, whatever its label.
    """
    tf = load_tensorflow()
    real = tf.range(y.shape[0]) < count
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
    finite = tf.reduce_all(tf.math.is_finite(logits), axis=1)
    correct = finite & (tf.argmax(logits, axis=1, output_type=tf.int32) == y)
    return tf.where(real, losses, 0.0), tf.cast(real & correct, tf.float32)


def _sums(scores: tuple[Any, Any]) -> Any:
    tf = load_tensorflow()
    return tf.reduce_sum(tf.cast(tf.stack(scores), tf.float64), axis=1)


def adam(weights: Any, slots: Any, gradients: Any, t: Any, rates: Any) -> None:
    """Adam as Keras has it (Kingma & Ba 2015, with epsilon outside the correction)."""
    tf = load_tensorflow()
    rate = rates[0] * tf.sqrt(1 - ADAM_BETA_2**t) / (1 - ADAM_BETA_1**t)
    means, squares = slots[: len(weights)], slots[len(weights) :]
    for w, m, v, g in zip(weights, means, squares, gradients, strict=True):
        m.assign_add((g - m) * (1 - ADAM_BETA_1))
        v.assign_add((g * g - v) * (1 - ADAM_BETA_2))
        w.assign_sub(rate * m / (tf.sqrt(v) + ADAM_EPSILON))


def sgd(weights: Any, slots: Any, gradients: Any, _: Any, rates: Any) -> None:
    """Gradient descent with momentum as Keras has it."""
    for w, velocity, g in zip(weights, slots, gradients, strict=True):
        velocity.assign(rates[1] * velocity - rates[0] * g)
        w.assign_add(velocity)


UPDATES = {"adam": adam, "sgd": sgd}


def _observe(z: Any, a: Any, gate: Any, count: Any, shut: Any) -> Any:
    """Summarises a block: rows as `units.summarise` reads them, one column for each unit.

    XLA's maximum drops NaN, so non-finite values are counted by themselves. The sums that give
    the variance are float64: a unit stuck at -1 has one that float32 cannot hold. The others are
    float32 over strips of a block, three times as fast, and float64 over the strips.
    """
    tf = load_tensorflow()
    real = (tf.range(z.shape[0]) < count)[:, None]
    wide = tf.cast(a, tf.float64)
    finite = tf.math.is_finite(z) & tf.math.is_finite(a) & tf.math.is_finite(gate)
    counts = [~finite, a == 0, tf.abs(gate) <= shut]
    in_strips = (STRIPS, z.shape[0] // STRIPS, z.shape[1])
    strips = [tf.reshape(tf.where(real, v, 0.0), in_strips) for v in (tf.abs(a), gate)]
    size, total_gate = (tf.cast(tf.reduce_sum(strip, axis=1), tf.float64) for strip in strips)
    lowest = tf.float32.min
    highs = [tf.where(real, value, lowest) for value in (z, -z, tf.abs(gate))]
    rows = [tf.reduce_sum(tf.cast(real & flags, tf.int32), axis=0) for flags in counts]
    total, squares = (tf.where(real, value, 0.0) for value in (wide, wide * wide))
    rows += [tf.reduce_sum(value, axis=0) for value in (total, size, squares, total_gate)]
    rows += [tf.reduce_max(value, axis=0) for value in highs]
    return tf.stack([tf.cast(row, tf.float64) for row in rows])
