"""The optimisers: as Keras has them, and the lab's own, which work in place."""

from typing import TYPE_CHECKING, Any

from lab.experiment import RunConfig
from lab.system import load_tensorflow

if TYPE_CHECKING:
    import keras


def build_optimizer(config: RunConfig) -> "keras.optimizers.Optimizer":
    """Returns the Keras optimiser of a run: Adam with its defaults, or SGD with momentum."""
    import keras

    if config.optimizer == "adam":
        return keras.optimizers.Adam(config.learning_rate)
    return keras.optimizers.SGD(config.learning_rate, momentum=config.momentum)


ADAM_BETA_1, ADAM_BETA_2, ADAM_EPSILON = 0.9, 0.999, 1e-7


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
