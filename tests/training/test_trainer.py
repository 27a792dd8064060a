"""The trainer: it follows Keras step for step, and its bits depend on nothing but the settings."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from made import make_dataset, mostly_slow
from trained import SMALL, TRIO, digest, epoch_ends, many_shapes, run_end, scaled

from lab import Dataset, RunConfig
from lab.census import units
from lab.experiment.data import fitted, split
from lab.layout import Weights, mlp
from lab.network import forward, program
from lab.network.keras_model import build_model
from lab.training.events import EpochEnd, Phase, Progress, State
from lab.training.trainer import batch_order, first_state, prepare, train

ADAM = {"optimizer": "adam", "learning_rate": 0.001}
SGD = {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9}
REMEDIES = {
    "weight decay": {"optimizer": "adamw", "weight_decay": 0.1},
    "weight decay of SGD": SGD | {"weight_decay": 0.05},
    "RMSprop": {"optimizer": "rmsprop"},
    "Nesterov": SGD | {"nesterov": True},
    "clipped": SGD | {"clip_norm": 0.5},
    "smoothed targets": ADAM | {"label_smoothing": 0.2},
    "warm-up": ADAM | {"warmup": 0.3},
    "cosine": SGD | {"schedule": "cosine"},
    "warm-up and cosine": ADAM | {"warmup": 0.2, "schedule": "cosine"},
    "step": SGD | {"schedule": "step"},
    "symmetric pixels": ADAM | {"input_scale": "symmetric"},
    "standard pixels": ADAM | {"input_scale": "standard"},
    "batch normalisation": SGD | {"normalization": "batch"},
    "layer normalisation": SGD | {"normalization": "layer"},
}


@pytest.mark.parametrize("activation", mostly_slow(TRIO, "relu"))
@pytest.mark.parametrize(
    "optimizer", [ADAM, pytest.param(SGD, marks=pytest.mark.slow)], ids=["adam", "sgd"]
)
def test_a_hundred_steps_follow_keras(
    tiny: Dataset, activation: str, optimizer: dict[str, object]
) -> None:
    """Both sides round to 6e-8 of a value, in another order, and a hundred steps carry it on.

    Measured against the way that the weights have gone, that is 4e-6 at the most here. The bound
    is 25 times that; a wrong coefficient or a wrong batch is beyond a hundredth.
    """
    assert_follows_keras(RunConfig(activation=activation, **SMALL, **optimizer), tiny, 1e-4)


@pytest.mark.parametrize("remedy", mostly_slow(REMEDIES, "weight decay"))
def test_every_remedy_follows_keras(tiny: Dataset, remedy: str) -> None:
    assert_follows_keras(RunConfig(**SMALL | REMEDIES[remedy]), tiny, 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["cnn", "deep"])
def test_every_network_follows_keras(tiny: Dataset, network: str) -> None:
    shape = {"cnn": {"filters": (3, 4), "hidden": (8,)}, "deep": {"hidden": (12,), "depth": 3}}
    config = RunConfig(network=network, **SMALL | SGD | shape[network])
    assert_follows_keras(config, tiny, 1e-3)


@pytest.mark.parametrize(
    "more", mostly_slow([{}, {"normalization": "layer"}, {"network": "cnn"}], {})
)
def test_learned_slopes_follow_keras(tiny: Dataset, more: dict[str, object]) -> None:
    shape = {"filters": (3, 4), "hidden": (8,)} if "network" in more else {}
    config = RunConfig(activation="prelu=0.1", **SMALL | SGD | shape | more)
    assert_follows_keras(config, tiny, 1e-3)


@pytest.mark.parametrize(
    "more", mostly_slow([{}, {"normalization": "layer"}, {"network": "cnn"}], {})
)
def test_units_in_pairs_follow_keras(tiny: Dataset, more: dict[str, object]) -> None:
    shape = {"filters": (4, 4), "hidden": (8,), "learning_rate": 0.01} if "network" in more else {}
    assert_follows_keras(RunConfig(activation="crelu", **SMALL | SGD | shape | more), tiny, 1e-3)


def assert_follows_keras(config: RunConfig, dataset: Dataset, bound: float) -> None:
    config = fitted(config, dataset)
    ours = epoch_ends(train([config], dataset))
    parts = split(dataset, config)
    model = build_model(config, -(-len(parts.train) // 25))
    start = model.get_weights()
    x, y = scaled(dataset.x_train), np.eye(10, dtype=np.float32)[dataset.y_train]
    for epoch in range(1, 11):
        order = batch_order(config, epoch, parts.train)
        for begin in range(0, len(order), 25):
            batch = order[begin : begin + 25]
            model.train_on_batch(x[batch], y[batch])
        for mine, keras, first in zip(
            ours[epoch].state.weights, model.get_weights(), start, strict=True
        ):
            moved = np.linalg.norm(keras - first)
            assert moved > 0
            assert np.linalg.norm(mine - keras) <= bound * moved


def test_losses_and_accuracies_are_those_that_keras_fit_prints(tiny: Dataset) -> None:
    config = RunConfig(**SMALL | {"epochs": 2})
    parts = split(tiny, config)
    ours = epoch_ends(train([config], tiny))
    model = build_model(config)
    x, y = scaled(tiny.x_train), np.eye(10, dtype=np.float32)[tiny.y_train]
    held_out = (x[parts.validation], y[parts.validation])
    untrained = model.evaluate(x[parts.probe], y[parts.probe], verbose=0)
    assert (ours[0].train_loss, ours[0].train_accuracy) == pytest.approx(untrained, rel=1e-5)
    for epoch in (1, 2):
        order = batch_order(config, epoch, parts.train)
        history = model.fit(
            x[order], y[order], 25, shuffle=False, verbose=0, validation_data=held_out
        ).history
        assert ours[epoch].train_loss == pytest.approx(history["loss"][0], rel=1e-5)
        assert ours[epoch].train_accuracy == pytest.approx(history["accuracy"][0], rel=1e-5)
        assert ours[epoch].validation_loss == pytest.approx(history["val_loss"][0], rel=1e-5)
        assert ours[epoch].validation_accuracy == pytest.approx(history["val_accuracy"][0])


@pytest.mark.slow
def test_test_loss_and_accuracy_are_those_of_keras_evaluate(tiny: Dataset) -> None:
    config = RunConfig(**SMALL | {"epochs": 3}, activation="elu")
    events = list(train([config], tiny))
    model = build_model(config)
    model.set_weights(epoch_ends(events)[-1].state.weights)
    y = np.eye(10, dtype=np.float32)[tiny.y_test]
    loss, accuracy = model.evaluate(scaled(tiny.x_test), y, verbose=0)
    assert run_end(events).test_loss == pytest.approx(loss, rel=1e-5)
    assert run_end(events).test_accuracy == pytest.approx(accuracy)


def test_every_training_image_is_trained_on_once_an_epoch(tiny: Dataset) -> None:
    config = RunConfig(**SMALL)
    parts = split(tiny, config)
    for epoch in (1, 2):
        assert sorted(batch_order(config, epoch, parts.train)) == list(parts.train)
    first, second = (batch_order(config, epoch, parts.train) for epoch in (1, 2))
    assert (first != second).any()
    other = RunConfig(**SMALL, activation="elu", learning_rate=0.5)
    assert (batch_order(other, 1, parts.train) == first).all()
    assert (batch_order(RunConfig(**SMALL, seed=1), 1, parts.train) != first).any()


# ---------------------------------------------------------------------------- bits


@pytest.mark.parametrize("activation", mostly_slow(TRIO, "relu"))
def test_a_run_is_the_same_to_the_bit_alone_and_in_company(tiny: Dataset, activation: str) -> None:
    config = RunConfig(activation=activation, **SMALL | {"epochs": 4})
    alone = epoch_ends(train([config], tiny))
    company = epoch_ends(train([*many_shapes(), config], tiny), run=3)
    assert len(alone) == 5
    assert digest(alone) == digest(company)


FRESH = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
sys.path.insert(0, sys.argv[1])
from made import make_dataset
from lab import RunConfig
from lab.training import train
from trained import SMALL, TRIO, digest, epoch_ends, many_shapes
configs = [RunConfig(activation=a, **SMALL | {"epochs": 4}) for a in TRIO]
events = list(train([*configs, *many_shapes()], make_dataset(300, 100)))
print(*(digest(epoch_ends(events, run)) for run in range(3)))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(__import__("os"), "sched_setaffinity"), reason="needs Linux")
def test_a_run_is_the_same_to_the_bit_on_one_core_in_a_fresh_process(
    tiny: Dataset, request: pytest.FixtureRequest
) -> None:
    arguments = [sys.executable, "-c", FRESH, str(request.path.parents[1])]
    fresh = subprocess.run(arguments, capture_output=True, text=True, check=True)
    configs = [RunConfig(activation=a, **SMALL | {"epochs": 4}) for a in TRIO]
    here = [digest(epoch_ends(train([config], tiny))) for config in configs]
    assert fresh.stdout.split() == here


@pytest.mark.parametrize("optimizer", mostly_slow(["adam", "sgd"], "adam"))
def test_a_resumed_run_equals_an_uninterrupted_one(tiny: Dataset, optimizer: str) -> None:
    config = RunConfig(**SMALL | {"epochs": 5}, optimizer=optimizer)
    whole = list(train([config], tiny))
    resumed = list(train([config], tiny, {0: epoch_ends(whole)[2].state}))
    assert digest(epoch_ends(resumed)) == digest(epoch_ends(whole)[3:])
    assert run_end(resumed).test_loss == run_end(whole).test_loss


def test_a_longer_run_repeats_the_shorter_one(tiny: Dataset) -> None:
    short, long = (epoch_ends(train([RunConfig(**SMALL | {"epochs": n})], tiny)) for n in (2, 4))
    assert digest(short) == digest(long[:3])


@pytest.mark.slow
def test_finite_weights_with_losses_that_are_not_have_diverged(tiny: Dataset) -> None:
    blown_up = RunConfig(
        activation="leaky_relu=1",
        hidden=(8,) * 14,
        optimizer="sgd",
        learning_rate=100,
        initializer="he_normal",
        epochs=1,
        batch_size=240,
    )
    events = list(train([blown_up], tiny))
    last = epoch_ends(events)[-1]
    assert all(np.isfinite(array).all() for array in last.state.weights)
    assert np.isnan([last.validation_loss, run_end(events).test_loss]).all()
    assert run_end(events).diverged
    resumed = list(train([blown_up], tiny, {0: last.state}))  # Stopped between epoch and end.
    assert run_end(resumed).diverged


def test_a_diverging_run_does_not_touch_its_neighbour(tiny: Dataset) -> None:
    healthy = RunConfig(**SMALL | {"epochs": 3})
    wild = RunConfig(
        **SMALL | {"epochs": 3}, activation="leaky_relu=0.5", optimizer="sgd", learning_rate=1000
    )
    alone = epoch_ends(train([healthy], tiny))
    events = list(train([wild, healthy], tiny))
    assert run_end(events, 0).diverged
    assert np.isnan(run_end(events, 0).test_loss)
    assert not run_end(events, 1).diverged
    assert digest(epoch_ends(events, 1)) == digest(alone)


# ---------------------------------------------------------------------------- the census


def untrained(config: RunConfig, dataset: Dataset, weights: list[np.ndarray]) -> EpochEnd:
    """The record of a network with these weights."""
    slots = first_state(config).slots
    events = train(
        [config], dataset, {0: State(0, Weights(mlp(config.hidden), tuple(weights)), slots)}
    )
    return next(e for e in events if isinstance(e, EpochEnd))


@pytest.mark.parametrize("dead", [0, 1, 5, 16])
def test_a_layer_with_k_units_far_below_zero_has_k_dead_units(tiny: Dataset, dead: int) -> None:
    config = RunConfig(**SMALL)
    weights = list(first_state(config).weights)
    weights[0] = np.abs(weights[0])
    weights[1] = np.where(np.arange(16) < dead, -1000.0, 1.0).astype(np.float32)
    layer = untrained(config, tiny, weights).layers[0]
    assert units.dead(layer).tolist() == [True] * dead + [False] * (16 - dead)
    assert layer.zeros.tolist() == [240] * dead + [0] * (16 - dead)


@pytest.mark.parametrize("activation", mostly_slow(["leaky_relu", "elu"], "elu"))
def test_the_same_units_are_always_negative_but_not_dead_elsewhere(
    tiny: Dataset, activation: str
) -> None:
    config = RunConfig(**SMALL, activation=activation)
    weights = list(first_state(config).weights)
    weights[0] = np.abs(weights[0]) / 100
    weights[1] = np.where(np.arange(16) < 5, -3.0, 1.0).astype(np.float32)
    layer = untrained(config, tiny, weights).layers[0]
    assert units.always_negative(layer).tolist() == [True] * 5 + [False] * 11
    assert not units.dead(layer).any()


def test_far_out_an_elu_unit_is_dead_in_float32(tiny: Dataset) -> None:
    config = RunConfig(**SMALL, activation="elu")
    weights = list(first_state(config).weights)
    weights[1] = np.where(np.arange(16) < 5, -1000.0, 0.0).astype(np.float32)
    layer = untrained(config, tiny, weights).layers[0]
    assert units.dead(layer).tolist() == [True] * 5 + [False] * 11
    assert layer.mean[:5].tolist() == [-1.0] * 5
    assert layer.sd[:5].tolist() == [0.0] * 5
    assert not units.dormant(layer)[:5].any()
    assert units.constant(layer)[:5].all()


FUNCTIONS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0),
    "leaky_relu=0.1": (lambda z: np.where(z > 0, z, 0.1 * z), lambda z: np.where(z > 0, 1, 0.1)),
    "elu=0.5": (
        lambda z: np.where(z > 0, z, 0.5 * (np.exp(np.minimum(z, 0)) - 1)),
        lambda z: np.where(z > 0, 1, 0.5 * np.exp(np.minimum(z, 0))),
    ),
}


@pytest.mark.parametrize("activation", mostly_slow(TRIO, "relu"))
def test_the_census_agrees_with_a_forward_pass_in_numpy(activation: str) -> None:
    """On 1,200 images, so that the census takes more than one block, the last one short."""
    dataset = make_dataset(1500, 100)
    config = RunConfig(activation=activation, first_bias=-0.2, **SMALL | {"epochs": 2})
    end = epoch_ends(train([config], dataset))[-1]
    f, gate = FUNCTIONS[activation]
    a = dataset.x_train[split(dataset, config).probe].reshape(-1, 784) / 255.0
    weights = [w.astype(np.float64) for w in end.state.weights]
    for number, layer in enumerate(end.layers):
        z = a @ weights[2 * number] + weights[2 * number + 1]
        assert np.abs(z).min() > 1e-7, "a borderline image: choose another seed"
        a = f(z)
        assert layer.images == 1200
        assert (layer.nonfinite == 0).all()
        assert (layer.zeros == (a == 0).sum(axis=0)).all()
        assert (layer.shut == (gate(z) <= 0.001).sum(axis=0)).all()
        np.testing.assert_allclose(layer.max_z, z.max(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.min_z, z.min(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.mean, a.mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.mean_abs, np.abs(a).mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.sd, a.std(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.mean_gate, gate(z).mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.max_gate, gate(z).max(axis=0), rtol=1e-4, atol=1e-5)


def test_the_loss_is_the_mean_over_all_blocks_whose_last_one_is_short() -> None:
    """The probe of 1,200 images is all that there is to train on; a block has 1,000."""
    dataset = make_dataset(1500, 100)
    config = RunConfig(**SMALL)
    end = epoch_ends(train([config], dataset))[0]
    probe = split(dataset, config).probe
    assert len(probe) == 1200
    *_, scores = forward(config, end.state.weights, dataset.x_train[probe])
    scores, labels = scores.astype(np.float64), dataset.y_train[probe]
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(1200), labels]
    assert end.train_loss == pytest.approx(losses.mean(), rel=1e-5)
    assert end.train_accuracy == pytest.approx((scores.argmax(axis=1) == labels).mean())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_unit_that_is_not_finite_is_neither_dead_nor_alive(tiny: Dataset, value: float) -> None:
    """Compiled, the maximum of a column of NaN is -inf, which would read as dead."""
    config = RunConfig(**SMALL)
    weights = list(first_state(config).weights)
    weights[1] = weights[1].copy()
    weights[1][3] = value
    end = untrained(config, tiny, weights)
    layer = end.layers[0]
    assert layer.nonfinite.tolist() == [240 * (unit == 3) for unit in range(16)]
    assert not units.dead(layer)[3]
    assert units.nonfinite(layer)[3]
    assert np.isnan(units.LAYER_MEASURES["dead_fraction"](layer))
    assert units.LAYER_MEASURES["nonfinite_fraction"](layer) == 1 / 16
    assert np.isnan(layer.max_z[3])
    assert np.isnan(units.LAYER_MEASURES["dead_fraction"](end.layers[1])) == (value != -np.inf)


def test_dead_units_are_confirmed_on_all_training_images(tiny: Dataset) -> None:
    """Unit 0 fires on one training image, which is not in the probe; unit 1 on none."""
    config = RunConfig(
        hidden=(3,), epochs=1, probe_size=20, optimizer="sgd", learning_rate=1e-12, batch_size=240
    )
    parts = split(tiny, config)
    x = scaled(tiny.x_train).reshape(-1, 784)
    target = np.setdiff1d(parts.train, parts.probe)[0]
    kernel = x[target] - x[parts.train].mean(axis=0)
    responses = x[parts.train] @ kernel
    assert parts.train[responses.argmax()] == target
    threshold = np.sort(responses)[-2:].mean()
    weights = list(first_state(config).weights)
    weights[0] = np.stack([kernel, kernel, kernel], axis=1)
    weights[1] = np.array([-threshold, -2 * responses.max(), 100], np.float32)
    start = State(0, Weights(mlp(config.hidden), tuple(weights)), first_state(config).slots)
    events = list(train([config], tiny, {0: start}))
    assert units.dead(epoch_ends(events)[-1].layers[0]).tolist() == [True, True, False]
    assert run_end(events).confirmed[0].tolist() == [False, True, False]


# ---------------------------------------------------------------------------- events


def test_events_come_in_order_and_runs_advance_evenly(tiny: Dataset) -> None:
    configs = [RunConfig(**SMALL, seed=seed) for seed in range(5)]
    events = list(train(configs, tiny))
    phases = [e.text for e in events if isinstance(e, Phase)]
    assert phases[-1] == "compiling"
    done = [-1] * 5
    for event in events:
        if isinstance(event, EpochEnd):
            assert event.epoch == done[event.run] + 1
            done[event.run] = event.epoch
            assert max(done) - min(done) <= 2
        elif isinstance(event, Progress):
            assert event.epoch == done[event.run] + 1
            assert 0 < event.share <= 1
    assert done == [10] * 5


def test_to_stop_pulling_stops_the_training(tiny: Dataset) -> None:
    events = train([RunConfig(**SMALL | {"epochs": 10_000})], tiny)
    for event in events:
        if isinstance(event, EpochEnd) and event.epoch == 2:
            break
    events.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("lab-train")]


PRECONFIGURED = """
import sys, warnings
import tensorflow as tf
tf.constant(1.0) + 1.0
sys.path.insert(0, sys.argv[1])
from made import make_dataset
from lab import RunConfig
from lab.training import train
from trained import SMALL, run_end
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    events = list(train([RunConfig(**SMALL)], make_dataset(300, 100)))
print(run_end(events).test_accuracy)
print(*(w.message for w in caught if "lab" in str(w.message)))
"""


@pytest.mark.slow
def test_where_tensorflow_was_used_before_it_trains_and_says_so(
    request: pytest.FixtureRequest,
) -> None:
    arguments = [sys.executable, "-c", PRECONFIGURED, str(request.path.parents[1])]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=True)
    accuracy, message = ended.stdout.strip().split("\n")
    assert float(accuracy) > 0.5
    assert "TensorFlow was in use before the lab" in message


def test_what_is_prepared_is_not_compiled_when_it_trains(tiny: Dataset) -> None:
    configs = [RunConfig(activation="elu", hidden=(11,), epochs=1, seed=seed) for seed in (0, 1)]
    steps = list(prepare(configs, tiny))
    assert len(steps) == 2  # TensorFlow, and the one program that both share.
    programs = program(configs[0])
    traced = [
        made.args[0].experimental_get_tracing_count() for made in (programs.train, programs.observe)
    ]
    assert traced == [1, 1]
    list(train(configs, tiny))
    for made in (programs.train, programs.observe):
        assert made.args[0].experimental_get_tracing_count() == 1
