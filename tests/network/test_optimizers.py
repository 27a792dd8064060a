"""The optimisers: step by step beside Keras's own, and learning rates worked out by hand."""

import numpy as np
import pytest

from lab import RunConfig
from lab.errors import InputError
from lab.network.optimizers import (
    Numbers,
    Recipe,
    build_optimizer,
    learning_rates,
    numbers_of,
    recipe_of,
    update,
)
from lab.system.machine import load_tensorflow

SGD = {"optimizer": "sgd", "momentum": 0.9}
SETTINGS = {
    "adam": {},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "rmsprop": {"optimizer": "rmsprop"},
    "plain sgd": {"optimizer": "sgd", "momentum": 0.0},
    "momentum": SGD,
    "nesterov": SGD | {"nesterov": True},
    "sgd with decay": SGD | {"weight_decay": 0.05},
    "clipped": {"clip_norm": 0.5},
    "sgd, clipped": SGD | {"clip_norm": 0.5},
    "warm-up": {"warmup": 0.3},
    "cosine": SGD | {"warmup": 0.2, "schedule": "cosine"},
    "steps down": SGD | {"schedule": "step"},
}


@pytest.mark.parametrize("name", list(SETTINGS))
def test_twenty_steps_are_those_that_keras_takes(name):
    """Of both arrays, with gradients so small that what keeps off a division by 0 counts."""
    tf = load_tensorflow()
    rng = np.random.default_rng(3)
    config = RunConfig(learning_rate=0.05, epochs=4, **SETTINGS[name])
    first = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 2), (2,))]
    theirs, ours = ([tf.Variable(array) for array in first] for _ in range(2))
    moments = 2 if recipe_of(config).optimizer == "adam" else 1
    slots = [tf.Variable(np.zeros_like(array)) for array in first * moments]
    optimizer = build_optimizer(config, steps=5)
    rates, numbers = (
        learning_rates(config, 0, 20, 5),
        Numbers(*map(tf.constant, numbers_of(config))),
    )
    sizes = np.array([[1, 1], [1e-3, 1e-3], [1e-6, 1e-6]]), np.array([0.1, 1e-7])
    for step, rate in enumerate(rates):
        drawn = [size * rng.normal(size=size.shape) for size in sizes]
        slopes = [tf.constant(slope, tf.float32) for slope in drawn]
        optimizer.apply(slopes, theirs)
        update(recipe_of(config), ours, slots, slopes, tf.constant(step + 1.0), rate, numbers)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-6)
    assert all((one.numpy() != start).all() for one, start in zip(ours, first, strict=True))


def test_a_gradient_within_the_limit_is_not_clipped():
    tf = load_tensorflow()
    config = RunConfig(optimizer="sgd", momentum=0.0, clip_norm=5.0)
    for size, step in ((1.0, (3.0, 4.0)), (2.0, (3.0, 4.0)), (0.5, (1.5, 2.0))):
        weights, slots = ([tf.Variable([0.0]) for _ in range(2)] for _ in range(2))
        slopes, numbers = (
            [tf.constant([s * size]) for s in (3.0, 4.0)],
            Numbers(*numbers_of(config)),
        )
        update(recipe_of(config), weights, slots, slopes, tf.constant(1.0), -1.0, numbers)
        assert [float(w[0]) for w in weights] == pytest.approx(step)


def rates(first=0, last=8, steps=4, **settings):
    config = RunConfig(learning_rate=0.5, epochs=2, **settings)
    found = learning_rates(config, first, last, steps)
    assert found.dtype == np.float32
    return found


def test_a_warm_up_rises_from_0_in_equal_steps():
    np.testing.assert_allclose(rates(), [0.5] * 8)
    np.testing.assert_allclose(rates(warmup=0.5), [0, 0.125, 0.25, 0.375, *[0.5] * 4])
    np.testing.assert_allclose(rates(1, 3, warmup=0.5), [0.125, 0.25])
    np.testing.assert_allclose(rates(warmup=0.3), [0, 0.25, *[0.5] * 6])  # 2.4 steps are 2.
    np.testing.assert_allclose(rates(warmup=0.13), [0, *[0.5] * 7])


def test_a_cosine_falls_from_the_end_of_the_warm_up_towards_0():
    root = np.sqrt(0.5)
    fall = [1, (1 + root) / 2, 0.5, (1 - root) / 2]
    np.testing.assert_allclose(rates(schedule="cosine")[::2], np.multiply(fall, 0.5), rtol=1e-6)
    late = rates(schedule="cosine", warmup=0.5)
    np.testing.assert_allclose(late[4:], np.multiply(fall, 0.5), rtol=1e-6)
    assert late[:4].tolist() == rates(warmup=0.5)[:4].tolist()


def test_the_rate_steps_down_to_a_tenth_at_half_and_at_three_quarters():
    np.testing.assert_allclose(rates(schedule="step"), [*[0.5] * 4, *[0.05] * 2, *[0.005] * 2])
    odd = rates(last=10, steps=5, schedule="step")  # 7.5 steps are 7.
    np.testing.assert_allclose(odd, [*[0.5] * 5, *[0.05] * 2, *[0.005] * 3])


def test_keras_is_given_the_same_rates_and_keeps_the_last_one():
    config = RunConfig(learning_rate=0.5, epochs=2, schedule="step", warmup=0.25)
    schedule = build_optimizer(config, steps=4)._learning_rate
    found = [float(schedule(step)) for step in (0, 1, 2, 7, 8, 99)]
    assert found == pytest.approx([0, 0.25, 0.5, 0.005, 0.005, 0.005])
    for settings in ({"warmup": 0.1}, {"schedule": "cosine"}):
        with pytest.raises(InputError, match="steps must be the number of steps of an epoch"):
            build_optimizer(RunConfig(**settings))


def test_a_pull_adds_the_gradient_of_the_squared_distances():
    """By hand: 3 - 0.1 · (0.5 + 2 · 0.25 · 3 + 2 · 0.125 · (3 - 1)) = 2.75."""
    tf = load_tensorflow()
    config = RunConfig(optimizer="sgd", l2=0.25, l2_init=0.125)
    weights, slots, first = [tf.Variable([3.0])], [tf.Variable([0.0])], [tf.constant([1.0])]
    numbers = Numbers(*map(tf.constant, numbers_of(config)))
    gradients = [tf.constant([0.5])]
    update(recipe_of(config), weights, slots, gradients, tf.constant(1.0), 0.1, numbers, first)
    assert weights[0].numpy() == pytest.approx([2.75])


def test_adam_scales_a_pull_with_the_gradients():
    """Its first step is the learning rate in the direction of the sum, here of -0.5 + 1."""
    tf = load_tensorflow()
    config = RunConfig(l2_init=0.25)
    weights, first = [tf.Variable([3.0])], [tf.constant([1.0])]
    slots = [tf.Variable([0.0]), tf.Variable([0.0])]
    numbers = Numbers(*map(tf.constant, numbers_of(config)))
    gradients = [tf.constant([-0.5])]
    update(recipe_of(config), weights, slots, gradients, tf.constant(1.0), 0.1, numbers, first)
    assert weights[0].numpy() == pytest.approx([2.9])


def test_keras_is_given_the_kind_and_the_numbers_of_the_settings():
    kinds = {"adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "sgd": "SGD"}
    for name, kind in kinds.items():
        decay = {"weight_decay": 0.1} if name != "adam" else {}
        made = build_optimizer(RunConfig(optimizer=name, clip_norm=2.0, **decay))
        assert type(made).__name__ == kind
        assert (made.global_clipnorm, made.weight_decay) == (2.0, decay.get("weight_decay"))
    assert build_optimizer(RunConfig()).global_clipnorm is None
    nesterov = build_optimizer(RunConfig(**SGD, nesterov=True))
    assert (nesterov.momentum, nesterov.nesterov) == (0.9, True)


def test_runs_that_differ_in_numbers_alone_have_one_recipe():
    plain = Recipe("adam", nesterov=False, decays=False, clips=False, smooths=False)
    assert recipe_of(RunConfig()) == recipe_of(RunConfig(learning_rate=0.5)) == plain
    decayed = RunConfig(optimizer="adamw", weight_decay=0.1, clip_norm=2.0, label_smoothing=0.2)
    assert recipe_of(decayed) == Recipe("adam", False, decays=True, clips=True, smooths=True)
    nesterov = RunConfig(**SGD, nesterov=True)
    assert recipe_of(nesterov) == Recipe("sgd", True, decays=False, clips=False, smooths=False)
    assert len({recipe_of(one) for one in (RunConfig(), decayed, nesterov)}) == 3
    assert numbers_of(decayed).tolist() == np.float32([decayed.momentum, 0.1, 2.0, 0.2]).tolist()
    assert numbers_of(nesterov).tolist() == np.float32([0.9, 0, 0, 0]).tolist()
