"""The compiled programs: training steps, evaluation and census, as TensorFlow runs them.

Built to be shared: a program takes a run's weights and optimiser state as `tf.Variable`
arguments and works on them in place, so runs of one network, activation function and optimiser
need one compilation. Which images an epoch or a census takes comes in as tensors. The network is
any Keras model: see `templates.Template`.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.activations import Activation
from lab.experiment import RunConfig
from lab.layout import FloatArray, Layout, Weights
from lab.network import tiles
from lab.network.networks import Network, network_of
from lab.network.optimizers import Numbers, Recipe, recipe_of, update
from lab.network.templates import Template, template
from lab.system import compiled, in_own_thread, load_tensorflow

SMALLEST_BLOCK = 125  # A block holds a multiple of it; where a network convolves, exactly it.
LARGEST_BLOCK, LARGEST_VALUES = 1000, 4_000_000
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
        block: How many images `observe` takes at once: their places have shape (blocks, block).
        train: Trains steps `counts[0]` to `counts[1]` of an epoch, in place.
        observe: Loss and number correct, summed over the first `count` images; and for each hidden
            layer a float64 of shape (10, units), with a row for each of `units.REDUCTIONS`.
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

    size = SMALLEST_BLOCK if made.convolves else _block(made.layout)
    return Program(
        layout=made.layout,
        generators=len(made.generators),
        block=size,
        train=compiled(train, by_xla=not made.convolves),
        observe=compiled(_observer(made, activation, size), by_xla=not made.convolves),
    )


class _AtSite(NamedTuple):
    """The tensors at one activation site.

    Attributes:
        parameter: The parameter of the activation function, or each unit's slope; float32.
        z: Pre-activations, float32 of shape (images, …, units).
        a: Activations f(z), of that shape.
    """

    parameter: Any
    z: Any
    a: Any


def _observer(made: Template, activation: Activation, size: int) -> Callable[..., Any]:
    """Returns what observes images, one block after the other, not yet compiled."""
    tf = load_tensorflow()

    def reduce(at_sites: list[_AtSite], *given: Any) -> list[Any]:
        return [_reduced(activation, site, *given) for site in at_sites]

    # XLA is slow at convolutions: there it compiles only this.
    by_layer = _if_counting(compiled(reduce)) if made.convolves else reduce

    def observe(
        weights: Any,
        inputs: Any,
        places: Any,
        count: Any,
        parameter: Any,
        shut: Any,
        counting: Any,
    ) -> Any:
        def block(number: Any, sums: Any, layers: list[Any]) -> tuple[Any, Any, list[Any]]:
            x, y = _images(inputs, places[number])
            left = count - number * size
            scores, at_sites = _forward(made, weights, x, activation, parameter)
            more = by_layer(at_sites, counting, shut, tf.range(size) < left)
            joined = [tiles.join(*two) for two in zip(layers, more, strict=True)]
            return number + 1, sums + _sums(_losses(scores, y, left)), joined

        none = [tiles.nothing(site.units) for site in made.layout.sites]
        first = 0, tf.zeros(2, tf.float64), none
        _, *found = tf.while_loop(
            lambda number, *_: number * size < count, block, first, parallel_iterations=1
        )
        return found

    return observe


def _if_counting(reduce: Callable[..., Any]) -> Callable[..., Any]:
    """Calls a compiled reduction only if units are counted: what XLA compiles is slow to start."""
    tf = load_tensorflow()

    def by_layer(at_sites: list[_AtSite], counting: Any, *given: Any) -> Any:
        def uncounted() -> list[Any]:
            return [tiles.nothing(site.z.shape[-1]) for site in at_sites]

        return tf.cond(counting, lambda: reduce(at_sites, counting, *given), uncounted)

    return by_layer


def _forward(
    made: Template, weights: Any, images: Any, activation: Activation, parameter: Any
) -> tuple[Any, list[_AtSite]]:
    """Returns the scores in inference mode, and what is at every site in order."""
    at_sites: list[_AtSite] = []

    def function(z: Any, slopes: Any) -> Any:
        own = parameter if slopes is None else slopes
        at_sites.append(_AtSite(own, z, activation.on_tensors(z, own)))
        return at_sites[-1].a

    scores, _ = made.scores(weights, images, function)
    return scores, at_sites


def _block(layout: Layout) -> int:
    """Returns how many images fit into a block: fewer if a layer gives many values of each."""
    most = max(site.units * site.positions for site in layout.sites)
    return max(
        SMALLEST_BLOCK,
        min(LARGEST_BLOCK, LARGEST_VALUES // max(most, 1) // SMALLEST_BLOCK * SMALLEST_BLOCK),
    )


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
    return compiled(lambda given, parameter: _gate(activation, parameter, given))


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
    find, size = _first_open(network_of(config), config.function), SMALLEST_BLOCK  # Little memory.
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
        gate = _gate(activation, parameter, z)
        opened = tf.reshape(gate != 0, (z.shape[0], -1, z.shape[-1]))
        positions = tf.range(z.shape[0])[:, None]
        return tf.reduce_min(tf.where(tf.reduce_any(opened, 1), positions, z.shape[0]), axis=0)

    if made.convolves:  # As the census.
        first = compiled(first)

    def find(weights: Any, pixels: Any, parameter: Any) -> list[Any]:
        x = tf.cast(pixels, tf.float32) / 255.0
        _, at_sites = _forward(made, weights, x, activation, parameter)
        return [first(site.parameter, site.z) for site in at_sites]

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


def _reduced(activation: Activation, site: _AtSite, counting: Any, shut: Any, real: Any) -> Any:
    """Reduces what each unit of a layer does on a block of images, if it is to be counted.

    In a branch for each layer XLA does one reduction after the other. Where many could be done at
    once it would hand them to TensorFlow's one other thread, which all runs share.
    """
    tf = load_tensorflow()

    slopes, units = site.parameter, site.z.shape[-1]

    def gate_of(z: Any) -> Any:
        own = tf.tile(slopes, [tf.shape(z)[-1] // units]) if slopes.shape.rank else slopes
        return _gate(activation, own, z)

    def found() -> Any:
        return tiles.reduced(site.z, site.a, gate_of, real, shut)

    return tf.cond(counting, found, lambda: tiles.nothing(units))


def _gate(activation: Activation, parameter: Any, z: Any) -> Any:
    """Returns f'(z) by automatic differentiation: all that the lab calls a gate."""
    tf = load_tensorflow()
    with tf.GradientTape() as tape:
        tape.watch(z)
        a = activation.on_tensors(z, parameter)
    return tape.gradient(a, z)
