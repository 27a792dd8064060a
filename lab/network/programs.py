"""The compiled programs: training steps, evaluation and census, as TensorFlow runs them.

Built to be shared: a program takes a run's weights and optimiser state as `tf.Variable`
arguments and works on them in place, so runs of one network, activation function and optimiser
need one compilation. What an epoch or a block holds comes in as tensors. The network is any Keras
model: see `templates.Template`.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.activations import Activation
from lab.census import GREATEST, SUMMED
from lab.experiment import RunConfig
from lab.layout import FloatArray, Layout, Weights
from lab.network.networks import Network, network_of
from lab.network.optimizers import Numbers, Recipe, recipe_of, update
from lab.network.templates import Template, template
from lab.system import compiled, in_own_thread, load_tensorflow

STRIP = 125  # Images whose values are summed in float32; a block holds a multiple of it.
LARGEST_BLOCK, LARGEST_VALUES = 1000, 4_000_000
BASE = 128  # More than a strip has images: its counts are the digits of one number.
UTILITY_DECAY = 0.99  # For continual backprop, as in its paper.
GOLDEN = 0x9E3779B9  # Spreads the numbers of the steps over all seeds.
RANDOM_NUMBERS = 2**32  # Keeps their seeds apart from those of the first weights.


@dataclass(frozen=True)
class Program:
    """The compiled programs that runs of one network, activation function and optimiser share.

    TensorFlow keeps one compiled version for each batch size.

    Attributes:
        layout: What the network is made of.
        generators: How many generators of random numbers it has.
        block: How many images `observe` takes at once.
        train: Trains steps `counts[0]` to `counts[1]` of an epoch, in place.
        observe: Loss and number correct, summed over a block of images; and for each hidden layer
            each unit's reductions, by name, as `units.summarise` takes them. Of a network that
            convolves it gives them for each 125 images of the block, on a first axis.
    """

    layout: Layout
    generators: int
    block: int
    train: Any
    observe: Any


def program(config: RunConfig) -> Program:
    """Returns the programs of a run, which others may share; compiled at first use.

    Raises:
        InputError: If its network is not known here, or the lab cannot train it.
    """
    return _program(network_of(config), config.function, recipe_of(config))


@functools.cache
def _program(network: Network, activation: Activation, recipe: Recipe) -> Program:
    tf = load_tensorflow()
    made = template(network)

    def train(
        weights: Any,
        slots: Any,
        first: Any,
        totals: Any,
        inputs: Any,
        order: Any,
        counts: Any,
        rates: Any,
        numbers: Any,
        parameter: Any,
        seeds: Any,
        replacement: Any = (),
    ) -> None:
        start, stop, steps_before, images = tf.unstack(counts)
        recipe_numbers = Numbers(*tf.unstack(numbers))
        batch = order.shape[1]

        def step(i: Any) -> tuple[Any]:
            x, y = _images(inputs, order[i])
            number = steps_before + i
            count = tf.minimum(batch, images - i * batch)
            states = _at(seeds, number)
            smoothing = recipe_numbers.label_smoothing if recipe.smooths else None
            found = differentiate(
                made, weights, x, y, count, activation, parameter, states, smoothing
            )
            trained, t = _trained(made, weights), _count(number)
            update(recipe, trained, slots, found.gradients, t, rates[i], recipe_numbers, first)
            for variable, value in found.moved:
                variable.assign(value)
            if recipe.replaces:
                _follow_use(made, weights, replacement, found.activations, count)
            totals.assign_add(tf.cast(tf.stack([found.loss, found.correct]), tf.float64))
            return (i + 1,)

        # A Python or tf.range loop would make its bounds compile-time constants.
        tf.while_loop(lambda i: i < stop, step, (start,))

    observe = _in_parts(made, activation) if made.convolves else _observer(made, activation)
    return Program(
        layout=made.layout,
        generators=len(made.generators),
        block=_block(made.layout),
        train=compiled(train, by_xla=not made.convolves),
        observe=compiled(observe, by_xla=not made.convolves),
    )


def _observer(made: Template, activation: Activation) -> Callable[..., Any]:
    """Returns what observes some images at once, not yet compiled."""
    tf = load_tensorflow()

    def reduce(at_sites: list[tuple[Any, Any]], *given: Any) -> list[dict[str, Any]]:
        return [_reduce(activation, own, z, *given) for own, z in at_sites]

    # XLA is slow at convolutions: there it compiles only this.
    reduced = _if_counting(compiled(reduce)) if made.convolves else reduce

    def observe(
        weights: Any,
        inputs: Any,
        block: Any,
        count: Any,
        parameter: Any,
        shut: Any,
        counting: Any,
    ) -> Any:
        x, y = _images(inputs, block)
        scores, at_sites = _forward(made, weights, x, activation, parameter)
        real = tf.range(block.shape[0]) < count
        return _sums(_losses(scores, y, count)), reduced(at_sites, counting, shut, real)

    return observe


def _if_counting(reduce: Callable[..., Any]) -> Callable[..., Any]:
    """Calls a compiled reduction only if units are counted: what XLA compiles is slow to start."""
    tf = load_tensorflow()

    def reduced(at_sites: list[tuple[Any, Any]], counting: Any, *given: Any) -> Any:
        def nothing() -> list[dict[str, Any]]:
            return [_nothing(z.shape[-1]) for _, z in at_sites]

        return tf.cond(counting, lambda: reduce(at_sites, counting, *given), nothing)

    return reduced


def _in_parts(made: Template, activation: Activation) -> Callable[..., Any]:
    """Returns what observes a block of images in parts, not yet compiled.

    The values of a part fit into a processor's cache, although convolutions make many of an image.
    """
    tf = load_tensorflow()
    observe, sites = _observer(made, activation), made.layout.sites
    signature = tf.float64, [dict.fromkeys((*SUMMED, *GREATEST), tf.float64) for _ in sites]

    def in_parts(weights: Any, inputs: Any, block: Any, count: Any, *others: Any) -> Any:
        def part(given: tuple[Any, Any]) -> Any:
            places, before = given
            return observe(weights, inputs, places, count - before, *others)

        parts = tf.reshape(block, (-1, STRIP)), tf.range(0, block.shape[0], STRIP)
        return tf.map_fn(part, parts, fn_output_signature=signature, parallel_iterations=1)

    return in_parts


def _forward(
    made: Template, weights: Any, images: Any, activation: Activation, parameter: Any
) -> tuple[Any, list[tuple[Any, Any]]]:
    """Returns the scores in inference mode, and parameter and z of every site in order."""
    at_sites: list[tuple[Any, Any]] = []

    def function(z: Any, slopes: Any) -> Any:
        own = parameter if slopes is None else slopes
        at_sites.append((own, z))
        return activation.on_tensors(z, own)

    scores, _ = made.scores(weights, images, function)
    return scores, at_sites


def _block(layout: Layout) -> int:
    """Returns how many images fit into a block: fewer if a layer gives many values of each."""
    most = max(site.units * site.positions for site in layout.sites)
    return max(STRIP, min(LARGEST_BLOCK, LARGEST_VALUES // max(most, 1) // STRIP * STRIP))


@dataclass(frozen=True)
class Differentiated:
    """What one batch gives.

    Attributes:
        loss: The sum of the images' cross-entropies.
        correct: How many images are classified right.
        gradients: The gradients of the mean loss, by each trained array.
        moved: State that training changes without gradients, with its new value.
        activations: Those of each hidden layer, shape (images, units).
    """

    loss: Any
    correct: Any
    gradients: Any
    moved: Any
    activations: list[Any]


def differentiate(
    made: Template,
    weights: Any,
    images: Any,
    labels: Any,
    count: Any,
    activation: Activation,
    parameter: Any,
    seeds: Sequence[Any],
    smoothing: Any = None,
) -> Differentiated:
    """Computes a batch's losses, and the gradients of their mean by the weights, in training mode.

    Args:
        made: The network.
        weights: All its arrays, in the layout's order, as variables.
        images: float32 in [0, 1].
        labels: Their classes, int32.
        count: How many images count; the others, at the end, only fill the batch.
        activation: The activation function.
        parameter: Its parameter, a float32 scalar.
        seeds: For each generator of random numbers its state.
        smoothing: The share of the target that is spread over all classes; the losses that are
            returned are without it, so that runs compare.
    """
    tf = load_tensorflow()
    trained = _trained(made, weights)

    activations: list[Any] = []

    def function(z: Any, slopes: Any) -> Any:
        activations.append(activation.on_tensors(z, parameter if slopes is None else slopes))
        return activations[-1]

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(trained)
        scores, moved = made.scores(weights, images, function, seeds)
        losses, correct = _losses(scores, labels, count)
        loss = tf.reduce_sum(losses)
        least = loss if smoothing is None else _smoothed(scores, labels, count, smoothing)
        mean = least / tf.cast(count, tf.float32)
    gradients = tape.gradient(mean, trained)
    return Differentiated(loss, tf.reduce_sum(correct), gradients, moved, activations)


def _follow_use(
    made: Template, weights: Any, replacement: Any, activations: Sequence[Any], count: Any
) -> None:
    """Updates the contribution utility of each unit, for continual backprop.

    It is a running mean of mean |a| on the batch, times the sum of the unit's outgoing |weights|
    (Dohare et al. 2024). Every unit is a step older, too.
    """
    tf = load_tensorflow()
    names = [array.name for array in made.layout.arrays]
    for number, a in enumerate(activations, start=1):
        above = str(made.layout.incoming(number + 1)[0])
        utility, age, _ = replacement[3 * (number - 1) : 3 * number]
        real = tf.cast(tf.range(a.shape[0]) < count, tf.float32)
        size = tf.reduce_sum(tf.abs(a) * real[:, None], axis=0) / tf.cast(count, tf.float32)
        use = size * tf.reduce_sum(tf.abs(weights[names.index(above)]), axis=1)
        utility.assign(UTILITY_DECAY * utility + (1 - UTILITY_DECAY) * use)
        age.assign_add(tf.ones_like(age))


@in_own_thread
def gradients_of(
    config: RunConfig,
    weights: Weights,
    images: NDArray[np.uint8],
    labels: NDArray[Any],
    step: int,
) -> Weights:
    """Computes how the mean loss of some images in training changes with each of a run's weights.

    Args:
        config: The settings, for network and activation function.
        weights: The weights.
        images: uint8 of shape (n, height, width).
        labels: Their classes, shape (n,).
        step: How many training steps come before; dropout draws depend on it.

    Returns:
        For each array of `weights` its gradient, of the same shape; 0 for what is not trained.
    """
    tf = load_tensorflow()
    made = template(network_of(config))

    def compute(weights: Any, x: Any, y: Any, parameter: Any, seeds: Any) -> Any:
        function, smoothing = config.function, config.label_smoothing or None
        states, count = _at(seeds, step), len(labels)
        found = differentiate(made, weights, x, y, count, function, parameter, states, smoothing)
        return found.gradients

    if made.generators:  # XLA draws other numbers, and XLA compiles most networks' training.
        compute = compiled(compute, by_xla=not made.convolves)
    with tf.device("CPU:0"):
        variables = [tf.Variable(array) for array in weights]
        x = tf.constant(images, tf.float32) / 255.0
        y = tf.constant(labels.astype(np.int32))
        parameter = tf.constant(config.alpha, tf.float32)
        seeds = tf.constant(generator_seeds(config, len(made.generators)), tf.int64)
        found = compute(variables, x, y, parameter, seeds)
    names = (array.name for array in made.layout.trained)
    gradients = dict(zip(names, (gradient.numpy() for gradient in found), strict=True))
    zeros = {name: np.zeros_like(array) for name, array in weights.named.items()}
    return Weights(weights.layout, tuple((zeros | gradients).values()))


@in_own_thread
def gates(config: RunConfig, z: ArrayLike, slope: float | None = None) -> FloatArray:
    """Returns the gates f'(z) as the census computes them; `config.gate` is the formula, in NumPy.

    It computes compiled, in float32, and flushes numbers below 1.18e-38 to 0.

    Args:
        config: The settings, for the activation function.
        z: Pre-activations of any shape.
        slope: The slope that the unit has learned, if any.
    """
    tf = load_tensorflow()
    parameter = config.alpha if slope is None else slope
    with tf.device("CPU:0"):
        given = tf.constant(np.asarray(z, np.float32))
        found = _gates(config.function)(given, tf.constant(parameter, tf.float32))
    return np.asarray(found.numpy())


@functools.cache
def _gates(activation: Activation) -> Any:
    return compiled(lambda given, parameter: _with_gate(activation, parameter, given)[1])


@in_own_thread
def first_open(
    config: RunConfig, weights: Weights, images: NDArray[np.uint8], order: NDArray[np.intp]
) -> list[NDArray[np.intp]]:
    """Finds for every unit the first image that opens its gate, with the census's own gate.

    Args:
        config: The settings, for network and activation function.
        weights: The weights.
        images: uint8 of shape (n, height, width).
        order: Which of them are looked at, one after the other.

    Returns:
        For each hidden layer, shape (units,): the image's position in the order, from 0; the
        order's length if none opens it.
    """
    tf = load_tensorflow()
    find, size = _first_open(network_of(config), config.function), STRIP  # Little memory.
    with tf.device("CPU:0"):
        variables = [tf.Variable(array) for array in weights]
        parameter = tf.constant(config.alpha, tf.float32)
        found = [np.full(site.units, len(order)) for site in weights.layout.sites]
        for start in reversed(range(0, len(order), size)):
            block = images[np.resize(order[start : start + size], size)]
            layers = find(variables, tf.constant(block), parameter)
            for known, first in zip(found, layers, strict=True):
                opened = first.numpy() < size
                known[opened] = start + first.numpy()[opened]
    return found


@functools.cache
def _first_open(network: Network, activation: Activation) -> Callable[..., Any]:
    tf = load_tensorflow()
    made = template(network)

    def first(parameter: Any, z: Any) -> Any:
        gate = _with_gate(activation, parameter, z)[1]
        opened = tf.reshape(gate != 0, (z.shape[0], -1, z.shape[-1]))
        positions = tf.range(z.shape[0])[:, None]
        return tf.reduce_min(tf.where(tf.reduce_any(opened, 1), positions, z.shape[0]), axis=0)

    if made.convolves:  # As the census.
        first = compiled(first)

    def find(weights: Any, pixels: Any, parameter: Any) -> list[Any]:
        x = tf.cast(pixels, tf.float32) / 255.0
        _, at_sites = _forward(made, weights, x, activation, parameter)
        return [first(own, z) for own, z in at_sites]

    return compiled(find, by_xla=not made.convolves)


def _trained(made: Template, weights: Any) -> list[Any]:
    return [w for w, array in zip(weights, made.layout.arrays, strict=True) if array.trained]


def generator_seeds(config: RunConfig, generators: int) -> list[int]:
    """Returns for each generator of random numbers, such as of dropout, a seed of its own."""
    sequence = np.random.SeedSequence([config.seed, RANDOM_NUMBERS])
    return [int(seed) for seed in sequence.generate_state(max(generators, 1))]


def _at(seeds: Any, number: Any) -> list[Any]:
    """Returns the states of the generators at a step: they depend only on seed and step."""
    tf = load_tensorflow()
    mixed = [seed + tf.cast(number, tf.int64) * GOLDEN for seed in tf.unstack(seeds)]
    return [tf.stack([state % 2**31, tf.zeros_like(state)]) for state in mixed]


def _count(number: Any) -> Any:
    tf = load_tensorflow()
    return tf.cast(number + 1, tf.float32)


def _images(inputs: Sequence[Any], block: Any) -> tuple[Any, Any]:
    """Returns the images and labels at some places, as `train` and `observe` take them in.

    Args:
        inputs: All images and their labels; and where a task permutes the pixels, for each place
            which pixel of an image goes there. A program without it holds no permutation.
        block: The places of the images.
    """
    tf = load_tensorflow()
    pixels, labels, *order = inputs
    x = tf.gather(pixels, block)
    for of_pixels in order:
        x = tf.reshape(tf.gather(tf.reshape(x, (x.shape[0], -1)), of_pixels, axis=1), x.shape)
    return tf.cast(x, tf.float32) / 255.0, tf.gather(labels, block)


def _losses(scores: Any, y: Any, count: Any) -> tuple[Any, Any]:
    """Returns each image's loss, and 1 if it is classified right, else 0; 0 beyond the count.

    An image with a non-finite output is not classified right, whatever its label.
    """
    tf = load_tensorflow()
    real = tf.range(y.shape[0]) < count
    # The operation itself: tf.nn takes another where the user's code asks for determinism.
    losses = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=scores, labels=y).loss
    finite = tf.reduce_all(tf.math.is_finite(scores), axis=1)
    correct = finite & tf.equal(tf.argmax(scores, axis=1, output_type=tf.int32), y)
    return tf.where(real, losses, 0.0), tf.cast(real & correct, tf.float32)


def _smoothed(scores: Any, y: Any, count: Any, smoothing: Any) -> Any:
    """Returns the sum of the images' cross-entropies with smoothed targets."""
    tf = load_tensorflow()
    classes = scores.shape[-1]
    targets = tf.one_hot(y, classes) * (1 - smoothing) + smoothing / classes
    losses = tf.raw_ops.SoftmaxCrossEntropyWithLogits(features=scores, labels=targets).loss
    return tf.reduce_sum(tf.where(tf.range(y.shape[0]) < count, losses, 0.0))


def _sums(scores: tuple[Any, Any]) -> Any:
    tf = load_tensorflow()
    return tf.reduce_sum(tf.cast(tf.stack(scores), tf.float64), axis=1)


def _reduce(
    activation: Activation, parameter: Any, z: Any, counting: Any, shut: Any, real: Any
) -> dict[str, Any]:
    """Reduces what each unit of a layer does on a block of images, if it is to be counted.

    In a branch for each layer XLA does one reduction after the other. Where many could be done at
    once it would hand them to TensorFlow's one other thread, which all runs share.
    """
    tf = load_tensorflow()
    images, units = z.shape[0], z.shape[-1]

    def reduced() -> dict[str, Any]:
        flat = tf.reshape(z, (images, -1))  # XLA is slow where the last axis is short.
        learned = parameter.shape.rank > 0
        own = tf.tile(parameter, [flat.shape[1] // units]) if learned else parameter
        a, gate = _with_gate(activation, own, flat)
        by_position = reductions(flat, a, gate, real, shut)
        return {name: _over_positions(name, sums, units) for name, sums in by_position.items()}

    found: dict[str, Any] = tf.cond(counting, reduced, lambda: _nothing(units))
    return found


def _over_positions(name: str, found: Any, units: int) -> Any:
    """Joins what was found at each position for all channels; returns shape (channels,)."""
    tf = load_tensorflow()
    over = tf.reduce_sum if name in SUMMED else tf.reduce_max
    return over(tf.reshape(found, (-1, units)), axis=0)


def reductions(z: Any, a: Any, gate: Any, real: Any, shut: Any) -> dict[str, Any]:
    """Reduces what each unit of a layer does on some images, each to a float64 of (units,).

    XLA's maximum drops NaN, so non-finite values are counted separately. The sums for the variance
    are float64, because float32 cannot hold the variance of a unit stuck at -1. The others are
    float32 within a strip of a block, three times as fast, and float64 over the strips. The counts
    of a strip are the digits of one number, so that one sum gives all three.

    Args:
        z: Pre-activations, float32 of shape (images, units); a multiple of 125 images. The
            channels at each position of a convolution are units of their own here.
        a: Activations, of that shape.
        gate: Gates, of that shape.
        real: Which images count, bool of shape (images,).
        shut: The largest |gate| of a shut gate.

    Returns:
        By name what `units.summarise` takes, for one block.
    """
    tf = load_tensorflow()

    def kept(values: Any, otherwise: float = 0) -> Any:
        return tf.where(real[:, None], values, tf.constant(otherwise, values.dtype))

    def by_strip(values: Any) -> Any:
        return tf.reduce_sum(tf.reshape(values, (-1, STRIP, z.shape[1])), axis=1)

    def total(values: Any) -> Any:
        return tf.reduce_sum(tf.cast(values, tf.float64), axis=0)

    def largest(values: Any) -> Any:
        return tf.cast(tf.reduce_max(kept(values, tf.float32.min), axis=0), tf.float64)

    finite = tf.math.is_finite(z) & tf.math.is_finite(a) & tf.math.is_finite(gate)
    flags = [~finite, tf.equal(a, 0.0), tf.abs(gate) <= shut]
    digits = sum(BASE**n * tf.cast(flag, tf.int32) for n, flag in enumerate(flags))
    counts = by_strip(kept(digits))
    nonfinite, zeros, shut_gates = (total(counts // BASE**n % BASE) for n in range(len(flags)))
    counted_a, counted_gate = kept(a), kept(gate)
    return {
        "nonfinite": nonfinite,
        "zeros": zeros,
        "shut": shut_gates,
        "sum": total(counted_a),
        "sum_abs": total(by_strip(tf.abs(counted_a))),
        "sum_square": tf.reduce_sum(tf.cast(counted_a, tf.float64) ** 2, axis=0),
        "sum_gate": total(by_strip(counted_gate)),
        "max_z": largest(z),
        "max_minus_z": largest(-z),
        "max_gate": largest(tf.abs(gate)),
    }


def _with_gate(activation: Activation, parameter: Any, z: Any) -> tuple[Any, Any]:
    """Returns a = f(z), and f'(z) by automatic differentiation: all that the lab calls a gate."""
    tf = load_tensorflow()
    with tf.GradientTape() as tape:
        tape.watch(z)
        a = activation.on_tensors(z, parameter)
    return a, tape.gradient(a, z)


def _nothing(units: int) -> dict[str, Any]:
    """Returns what `_reduce` returns, for a block that is not observed."""
    tf = load_tensorflow()
    return {name: tf.zeros(units, tf.float64) for name in (*SUMMED, *GREATEST)}
