"""Continual backprop: when a unit is replaced, which one, and with what; worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import mostly_slow
from trained import SMALL, digest, epoch_ends

import lab
from lab import RunConfig
from lab.network import first_weights, gradients_of
from lab.training.replacement import mature_steps, next_step, of_least_use, one_unit
from lab.training.trainer import batch_order, train


def test_a_unit_is_mature_in_the_steps_after_its_age_of_maturity() -> None:
    age = np.array([2.0, 5.0, 6.0, 40.0], np.float32)
    assert mature_steps(age, steps=3, maturity=4) == 0 + 1 + 2 + 3


def test_a_unit_is_replaced_when_all_mature_units_have_come_to_one_by_the_rate() -> None:
    """Maturity 10: one unit of age 20 counts from now on, one of age 8 from the third step on."""
    age = np.array([8.0, 20.0], np.float32)
    counts = [1, 2, 4, 6, 8]
    for count, step in zip(counts, range(1, 6), strict=True):
        assert next_step(age, 0, 1 / count, 10, 100) == step
    assert next_step(age, 3, 1 / 8, 10, 100) == 4  # 5 more.
    assert next_step(age, 0, 0.001, 10, 7) == 7


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=9),
    st.integers(0, 99),
    st.integers(0, 50),
    st.integers(1, 80),
)
def test_the_next_step_is_the_first_at_which_the_count_is_reached(ages, due, maturity, most):
    age = np.array(ages, np.float32)
    step = next_step(age, due, 0.01, maturity, most)

    def count(steps: int) -> int:
        return due + mature_steps(age + steps, steps, maturity)

    assert step == most or count(step) >= 100
    assert step == 1 or count(step - 1) < 100


def test_one_unit_is_due_at_one_by_the_rate() -> None:
    assert [one_unit(rate) for rate in (0.01, 0.0001, 1e-6)] == [100, 10_000, 1_000_000]


def test_the_mature_units_of_least_use_are_chosen() -> None:
    utility = np.array([0.5, 0.2, 0.1, 0.3, 0.0], np.float32)
    age = np.array([1000, 1000, 1000, 1000, 3], np.float32)
    assert of_least_use(utility, age, 100, 2).tolist() == [False, True, True, False, False]
    assert of_least_use(utility, age, 100, 9).tolist() == [True] * 4 + [False]
    assert not of_least_use(utility, age, 100, 0).any()


def test_the_use_of_a_young_unit_is_corrected_for_its_beginning() -> None:
    """1 - 0.99^101 = 0.6376: 0.2 of a young unit is 0.314 in the end."""
    utility, age = np.array([0.3, 0.2], np.float32), np.array([1e6, 101], np.float32)
    assert of_least_use(utility, age, 100, 1).tolist() == [True, False]


RATE, MATURITY = 0.01, 5
SETTINGS = SMALL | {"learning_rate": 0.1, "optimizer": "sgd", "momentum": 0.5}


@pytest.mark.parametrize("optimizer", mostly_slow(["sgd", "adam"], "sgd"))
def test_an_epoch_is_what_numpy_computes_step_by_step(tiny, optimizer: str) -> None:
    """With SGD all is computed by hand; with Adam which units are replaced, and when."""
    settings = SETTINGS if optimizer == "sgd" else SMALL
    settings = settings | {"epochs": 2, "activation": "relu"}
    config = RunConfig(**settings, replacement_rate=RATE, maturity=MATURITY)
    start, *ends = epoch_ends(train([config], tiny))
    if optimizer == "sgd":
        weights, velocity, layers = by_hand(config, tiny, start.state.weights)
        for mine, theirs in zip(ends[-1].state.weights, weights.values(), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)
        for mine, theirs in zip(ends[-1].state.slots, velocity.values(), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-2, atol=1e-5)
        for mine, theirs in zip(ends[-1].state.replacement, layers, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-6)
    ages = ends[-1].state.replacement[1::3]
    steps = 2 * -(-len(batch_order(config, 1, np.arange(240))) // config.batch_size)
    assert all((age < steps).any() and (age == steps).any() for age in ages)


def by_hand(config, dataset, first):
    """SGD with momentum and continual backprop in plain loops."""
    weights = {name: array.astype(np.float64) for name, array in first.named.items()}
    velocity = {name: np.zeros_like(array) for name, array in weights.items()}
    kinds = [(np.zeros(n), np.zeros(n), np.zeros(1)) for n in config.hidden]
    step = 0
    for epoch in (1, 2):
        order = batch_order(config, epoch, np.arange(240))
        for begin in range(0, len(order), config.batch_size):
            batch = order[begin : begin + config.batch_size]
            now = first.with_arrays({n: a.astype(np.float32) for n, a in weights.items()})
            images, labels = dataset.x_train[batch], dataset.y_train[batch]
            slopes = gradients_of(config, now, images, labels, step)
            values, x = [], images.reshape(len(batch), -1) / 255
            for layer in range(1, len(config.hidden) + 1):
                z = x @ weights[f"layer{layer}.kernel"] + weights[f"layer{layer}.bias"]
                x = np.maximum(z, 0)
                values.append(x)
            for name, gradient in slopes.named.items():
                velocity[name] = 0.5 * velocity[name] - 0.1 * gradient
                weights[name] += velocity[name]
            step += 1
            for layer, (a, (utility, age, due)) in enumerate(zip(values, kinds, strict=True), 1):
                above = np.abs(weights[f"layer{layer + 1}.kernel"]).sum(axis=1)
                utility[:] = 0.99 * utility + 0.01 * np.abs(a).mean(axis=0) * above
                age += 1
                due += (age > MATURITY).sum()
            replace(config, weights, velocity, kinds, step)
    return weights, velocity, [array for layer in kinds for array in layer]


def replace(config, weights, velocity, kinds, step):
    (seed,) = np.random.SeedSequence([config.seed, step, 0x7A60]).generate_state(1)
    fresh = first_weights(config.model_copy(update={"seed": int(seed)})).named
    gone = []
    for utility, age, due in kinds:
        some = []
        if due[0] >= 1 / RATE:
            due -= 1 / RATE
            use = np.where(age > MATURITY, utility / (1 - 0.99**age), np.inf)
            some = [int(np.argmin(use))]
        utility[some] = age[some] = 0
        gone.append(some)
    for layer, some in enumerate(gone, start=1):
        for name in (f"layer{layer}.kernel", f"layer{layer}.bias"):
            weights[name][..., some] = fresh[name][..., some]
            velocity[name][..., some] = 0
        weights[f"layer{layer + 1}.kernel"][some] = 0
        velocity[f"layer{layer + 1}.kernel"][some] = 0


def test_dead_units_of_a_run_that_replaces_units_are_woken(tiny, tmp_path) -> None:
    settings = SMALL | {"epochs": 1, "first_bias": -0.3, "replacement_rate": RATE}
    (run,) = lab.compare("relu", 1, tiny, tmp_path, **settings)
    table = lab.surgery.revive(run, "reset", 1, tiny)
    assert table.network.tolist() == ["untouched"] * 2 + ["revived"] * 2
    assert run.config.resets_weights
    assert "the record does not say which units were reset" in lab.causes.story(run, 1, 0)


@pytest.mark.parametrize("optimizer", mostly_slow(["adam", "sgd"], "adam"))
def test_a_run_resumes_to_the_bit(tiny, optimizer: str) -> None:
    settings = SMALL | {"epochs": 4, "optimizer": optimizer}
    config = RunConfig(**settings, replacement_rate=RATE, maturity=7)
    whole = epoch_ends(train([config], tiny))
    assert digest(whole) != digest(epoch_ends(train([RunConfig(**settings)], tiny)))
    for epoch in (1, 3):
        resumed = epoch_ends(train([config], tiny, {0: whole[epoch].state}))
        assert digest(resumed) == digest(whole[epoch + 1 :])
        assert repr(resumed[-1].state.replacement) == repr(whole[-1].state.replacement)
