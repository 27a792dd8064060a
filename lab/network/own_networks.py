"""A user's own network: made from its source, checked and made known to the lab."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from lab import activations
from lab.activations import Source, has_source, is_own_name, made_from, source_of
from lab.errors import InputError, refusing
from lab.experiment import SHAPES
from lab.layout import MOST_WEIGHTS
from lab.network import networks
from lab.network.networks import Network
from lab.network.programs import differentiate
from lab.network.templates import Template, template
from lab.system import compiled, in_own_thread, load_tensorflow

TRIED = 8  # How many random images a network is tried with.


def register_network(name: str, build: Callable[..., Any]) -> Network:
    """Registers your own network: the lab then trains, counts and keeps it like its own.

    Such as::

        import keras
        def build(activation, input_shape, classes):
            return keras.Sequential([
                keras.Input(input_shape), keras.layers.Flatten(),
                keras.layers.Dense(100, activation), keras.layers.Dense(classes, "softmax")])
        lab.register_network("mine", build)
        runs = lab.compare(("relu", "elu"), network="mine")

    Every place that uses `activation` becomes a hidden layer of the record. Kernels start as the
    setting `initializer` says and biases of hidden units as `first_bias` says, whatever the source
    says; all else starts as in the source. Runs keep
    the source, with the functions, classes and plain values that it uses, and so differ from runs
    of another network of this name.

    Args:
        name: Its name: a small letter, then small letters, digits and underscores.
        build: `build(activation, input_shape, classes) -> keras.Model`; a Sequential, functional or
            subclassed model that takes images in [0, 1] of `input_shape` and ends in a dense layer
            of `classes` units with a softmax.

    Returns:
        The network as the lab knows it.

    Raises:
        InputError: If the name is taken or not plain, if its source is not available, or if the lab
            cannot train what it builds.
    """
    plain = isinstance(name, str) and is_own_name(name)
    if not plain or name in SHAPES:
        raise InputError(
            f"name must be 1 to 40 small letters, digits and underscores, a letter first, and not "
            f"one of the lab's own networks, not {name!r}."
        )
    if not has_source(build):
        raise InputError(
            f"build must be a function, made with def, that takes activation, input_shape and "
            f"classes and returns a Keras model, not {build!r}."
        )
    load_tensorflow()
    return register_network_source(name, source_of(name, build))


def register_network_source(name: str, source: str) -> Network:
    """Registers a network from its source, which `register_network` read in another process.

    It runs the source: pass only what this user has registered, never what a file holds.

    Raises:
        InputError: If the source does not run here, or if the lab cannot train what it builds.
    """
    load_tensorflow()
    known = networks.own(name)
    if known and known.source == source:
        return known  # A cell that is run again keeps the compiled programs.
    network = Network(name, made_from(name, source), source=source)
    _check_source(name, source)
    _check(network)
    return networks.add(network)


def _check_source(name: str, source: str) -> None:
    try:
        TypeAdapter(Source).validate_python(source)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise InputError(f"The source of {name} cannot be kept with its runs: {reason}.") from None


def _check(network: Network) -> None:
    """Builds a network twice, computes it twice and differentiates it, as training will.

    Raises:
        InputError: If it cannot be trained.
    """
    name = network.name
    with refusing(
        f"The network {name!r} must be a Keras model that trains in a compiled program; "
        f"it failed with "
    ):
        one, other = (template.__wrapped__(network) for _ in range(2))
        alike = one.layout == other.layout
        (scores, missing), (again, _) = _tried(one), _tried(other if alike else one)
    if not (alike and np.array_equal(scores, again)):
        raise InputError(
            f"The network {name!r} must be the same each time that it is built and computed, "
            f"and two were not: chance belongs into the first weights and into dropout."
        )
    if missing:
        raise InputError(
            f"Every array of the network {name!r} must reach its output, or not be trainable; "
            f"{', '.join(missing)} does not."
        )
    if one.layout.parameters > MOST_WEIGHTS:
        raise InputError(
            f"The network {name!r} must have at most {MOST_WEIGHTS:,} weights, "
            f"not {one.layout.parameters:,}."
        )


@in_own_thread
def _tried(made: Template) -> tuple[NDArray[np.float32], list[str]]:
    """Returns the scores of some images, and the arrays without a gradient."""
    tf = load_tensorflow()
    rng, relu = np.random.default_rng(0), activations.get("relu")
    x = tf.constant(rng.random((TRIED, *made.input_shape), np.float32))
    y = tf.zeros(TRIED, tf.int32)
    weights = [
        tf.Variable(
            rng.normal(0, 0.05, array.shape).astype(np.float32)
            if array.first is None
            else np.full(array.shape, array.first, np.float32)
        )
        for array in made.layout.arrays
    ]
    seeds = [tf.zeros(2, tf.int64) for _ in made.generators]
    by_xla = not made.convolves

    def function(z: Any, _: Any) -> Any:
        return relu.on_tensors(z, 0.0)

    scores = compiled(lambda: made.scores(weights, x, function)[0], by_xla=by_xla)().numpy()
    missing: list[str] = []

    def step() -> list[Any]:
        found = differentiate(made, weights, x, y, TRIED, relu, 0.0, seeds).gradients
        pairs = zip(made.layout.trained, found, strict=True)
        missing.extend(array.name for array, gradient in pairs if gradient is None)
        return [gradient for gradient in found if gradient is not None]

    compiled(step, by_xla=by_xla)()
    return scores, list(dict.fromkeys(missing))
