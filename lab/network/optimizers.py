"""The optimisers: as Keras has them, and the lab's own, which work in place."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import InputError
from lab.experiment import RunConfig
from lab.system import load_tensorflow

if TYPE_CHECKING:
    import keras

ADAM_BETA_1, ADAM_BETA_2, ADAM_EPSILON = 0.9, 0.999, 1e-7
RMSPROP_RHO, RMSPROP_EPSILON = 0.9, 1e-7
STEPS_DOWN = (0.5, 0.75)  # The shares of the steps from which on the rate is a tenth (He 2016).


@dataclass(frozen=True)
class Recipe:
    """What a training step does, apart from its numbers: runs of one recipe share a program.

    Attributes:
        optimizer: The optimiser's name.
        nesterov: Whether its momentum is Nesterov's.
        decays: Whether weights decay apart from the gradient.
        clips: Whether the norm of all gradients together has a limit.
        smooths: Whether the targets are smoothed.
        pulls: Whether the loss pulls the weights toward 0 or toward the first ones.
        replaces: Whether units with a low utility are replaced.
    """

    optimizer: str
    nesterov: bool
    decays: bool
    clips: bool
    smooths: bool
    pulls: bool = False
    replaces: bool = False


def recipe_of(config: RunConfig) -> Recipe:
    """Returns what a run's training step does."""
    return Recipe(
        "adam" if config.optimizer == "adamw" else config.optimizer,
        config.nesterov,
        bool(config.weight_decay),
        bool(config.clip_norm),
        bool(config.label_smoothing),
        bool(config.l2 or config.l2_init),
        bool(config.replacement_rate),
    )


@dataclass(frozen=True)
class Numbers:
    """The numbers of a run that its training step takes, each a float32 scalar tensor."""

    momentum: Any
    weight_decay: Any
    clip_norm: Any
    label_smoothing: Any
    l2: Any = 0.0
    l2_init: Any = 0.0


def numbers_of(config: RunConfig) -> NDArray[np.float32]:
    """Returns the numbers of a run's training step, in the order of `Numbers`."""
    decay = config.weight_decay or 0.0
    numbers = [config.momentum, decay, config.clip_norm, config.label_smoothing]
    pulls = [config.l2, config.l2_init] * recipe_of(config).pulls
    return np.array(numbers + pulls, np.float32)


def learning_rates(config: RunConfig, first: int, last: int, steps: int) -> NDArray[np.float32]:
    """Returns the learning rates of some training steps.

    Args:
        config: The settings, for learning rate, warm-up and schedule.
        first: The first step, from 0 for the run's first.
        last: The step after the last one.
        steps: The steps of an epoch.
    """
    done = np.arange(first, last)
    total = steps * config.epochs
    rising = math.floor(config.warmup * total)
    share = (done - rising) / max(total - rising, 1)
    factors = {
        "constant": np.ones(len(done)),
        "cosine": (1 + np.cos(np.pi * share)) / 2,
        "step": 0.1 ** np.sum([done >= math.floor(part * total) for part in STEPS_DOWN], axis=0),
    }
    factor = np.where(done < rising, done / max(rising, 1), factors[config.schedule])
    return (config.learning_rate * factor).astype(np.float32)


def update(
    recipe: Recipe,
    weights: Any,
    slots: Any,
    gradients: Any,
    step: Any,
    rate: Any,
    numbers: Numbers,
    first: Any = (),
) -> None:
    """Does a training step in place: pulls, clips, decays, and moves the weights.

    Args:
        recipe: What the step does.
        weights: The trained arrays, as variables.
        slots: The optimiser's arrays, as variables.
        gradients: The gradient of each trained array.
        step: The number of this step, from 1, float32.
        rate: Its learning rate.
        numbers: The numbers of the recipe.
        first: The first values of the trained arrays, if the recipe pulls.
    """
    if recipe.pulls:
        gradients = _pulled(gradients, weights, first, numbers)
    if recipe.clips:
        gradients = _clipped(gradients, numbers.clip_norm)
    if recipe.decays:
        for w in weights:
            w.assign_sub(w * numbers.weight_decay * rate)
    if recipe.optimizer == "adam":
        adam(weights, slots, gradients, step, rate)
    elif recipe.optimizer == "rmsprop":
        _rmsprop(weights, slots, gradients, rate)
    else:
        _sgd(weights, slots, gradients, rate, numbers.momentum, recipe.nesterov)


def _pulled(gradients: Any, weights: Any, first: Any, numbers: Numbers) -> list[Any]:
    """Adds the gradients of l2 · |w|² + l2_init · |w - first|² to those of the loss.

    The pull toward the first weights is regenerative regularization, L2 Init (Kumar et al. 2023):
    of the strengths from 1e-5 to 0.1, 0.01 was the best there. Adam scales it with the gradients.
    """
    strings = zip(gradients, weights, first, strict=True)
    return [g + 2 * (numbers.l2 * w + numbers.l2_init * (w - f)) for g, w, f in strings]


def adam(weights: Any, slots: Any, gradients: Any, t: Any, rate: Any) -> None:
    """Adam as Keras has it (Kingma & Ba 2015, with epsilon outside the correction)."""
    tf = load_tensorflow()
    rate = rate * tf.sqrt(1 - ADAM_BETA_2**t) / (1 - ADAM_BETA_1**t)
    means, squares = slots[: len(weights)], slots[len(weights) :]
    for w, m, v, g in zip(weights, means, squares, gradients, strict=True):
        m.assign_add((g - m) * (1 - ADAM_BETA_1))
        v.assign_add((g * g - v) * (1 - ADAM_BETA_2))
        w.assign_sub(rate * m / (tf.sqrt(v) + ADAM_EPSILON))


def _sgd(
    weights: Any, slots: Any, gradients: Any, rate: Any, momentum: Any, nesterov: bool
) -> None:
    """Gradient descent with momentum as Keras has it."""
    for w, velocity, g in zip(weights, slots, gradients, strict=True):
        velocity.assign(momentum * velocity - rate * g)
        w.assign_add(momentum * velocity - rate * g if nesterov else velocity)


def _rmsprop(weights: Any, slots: Any, gradients: Any, rate: Any) -> None:
    """RMSprop as Keras has it (Tieleman & Hinton 2012), without momentum."""
    tf = load_tensorflow()
    for w, square, g in zip(weights, slots, gradients, strict=True):
        square.assign(RMSPROP_RHO * square + (1 - RMSPROP_RHO) * g * g)
        w.assign_sub(rate * g / tf.sqrt(square + RMSPROP_EPSILON))


def _clipped(gradients: Any, largest: Any) -> list[Any]:
    """Scales all gradients together so that their norm is not above the limit."""
    tf = load_tensorflow()
    norm = tf.sqrt(tf.add_n([tf.reduce_sum(g * g) for g in gradients]))
    return [g * (largest / tf.maximum(norm, largest)) for g in gradients]


def build_optimizer(config: RunConfig, steps: int | None = None) -> "keras.optimizers.Optimizer":
    """Returns the Keras optimiser of a run, with Keras's own defaults for what it does not set.

    Args:
        config: The settings of the run.
        steps: The steps of an epoch; needed for a warm-up or a schedule.
    """
    import keras

    shared: dict[str, Any] = {
        "learning_rate": _keras_rate(config, steps),
        "weight_decay": config.weight_decay,
        "global_clipnorm": config.clip_norm or None,
    }
    if config.optimizer == "sgd":
        sgd = keras.optimizers.SGD
        return sgd(momentum=config.momentum, nesterov=config.nesterov, **shared)
    kinds = {"rmsprop": keras.optimizers.RMSprop, "adamw": keras.optimizers.AdamW}
    return kinds.get(config.optimizer, keras.optimizers.Adam)(**shared)


def _keras_rate(config: RunConfig, steps: int | None) -> Any:
    """Returns a learning rate or a schedule of it, as Keras takes it."""
    import keras

    if not config.warmup and config.schedule == "constant":
        return config.learning_rate
    if steps is None:
        raise InputError("steps must be the number of steps of an epoch, for warm-up or schedule.")
    table = learning_rates(config, 0, config.epochs * steps, steps)

    class Schedule(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            last = len(table) - 1
            return keras.ops.take(table, keras.ops.minimum(keras.ops.cast(step, "int32"), last))

    return Schedule()
