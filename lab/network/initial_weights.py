"""First weights, which depend only on a run's settings."""

import math
from collections.abc import Callable

import numpy as np

from lab.activations import FloatArray
from lab.experiment import RunConfig
from lab.layout import Weights
from lab.network.templates import layout_of
from lab.system import in_own_thread, load_tensorflow

VARIANCES: dict[str, Callable[[int, int], float]] = {
    "glorot": lambda inputs, outputs: 1 / ((inputs + outputs) / 2),
    "he": lambda inputs, _: 2 / inputs,
    "lecun": lambda inputs, _: 1 / inputs,
}


SD_OF_TRUNCATED = 0.87962566103423978  # Of a standard normal distribution cut at two sigma.


def first_weights(config: RunConfig) -> Weights:
    """Returns the untrained weights of a run's network, equal to `build_model`'s to the bit.

    They depend only on the run's settings, not on the user's Keras settings. Kernels (all arrays
    of two or more dimensions) are drawn from the run's distribution, each with its own seed. Biases
    that lead into an activation function are `first_bias`.
    """
    layout = layout_of(config)
    biases = {site.bias for site in layout.sites}
    arrays: list[FloatArray] = []
    kernels = 0
    for array in layout.arrays:
        if array.first is None:
            arrays.append(first_kernel(config, kernels, array.shape))
            kernels += 1
        else:
            value = config.first_bias if array.name in biases else array.first
            arrays.append(np.full(array.shape, value, np.float32))
    return Weights(layout, tuple(arrays))


def _seed(config: RunConfig, kernel: int) -> int:
    (seed,) = np.random.SeedSequence([config.seed, kernel]).generate_state(1)
    return int(seed)


@in_own_thread
def first_kernel(config: RunConfig, kernel: int, shape: tuple[int, ...]) -> FloatArray:
    """Draws what Keras's initializer of this kind and seed draws on TensorFlow, to the bit.

    Args:
        config: The settings, for the kind of initializer and the seed.
        kernel: Which kernel, from 0.
        shape: Inputs and outputs; of a convolution with height and width before them.
    """
    tf = load_tensorflow()
    family, form = config.initializer.split("_")
    positions = math.prod(shape[:-2])
    variance = VARIANCES[family](positions * shape[-2], positions * shape[-1])
    seed = [_seed(config, kernel) % (2**31 - 2), 0]
    with tf.device("CPU:0"):
        if form == "uniform":
            limit = np.float32(math.sqrt(3 * variance))
            drawn = tf.random.stateless_uniform(shape, seed, -limit, limit, alg="philox")
        else:
            deviation = math.sqrt(variance) / SD_OF_TRUNCATED
            drawn = tf.random.stateless_truncated_normal(shape, seed, 0, deviation, alg="philox")
    return np.array(drawn)
