"""Convolutions, batch normalisation and dropout keep every promise that the textbook's keeps."""

import contextlib
import dataclasses
import functools
import itertools
import subprocess
import sys

import numpy as np
import pytest
from made import convolutional, make_dataset, mostly_slow, normalised
from trained import digest, epoch_ends, run_end, scaled

from lab import RunConfig, RunStore
from lab.analysis import gradients, probes, surgery
from lab.census import units
from lab.errors import InputError, RunError
from lab.experiment.data import split, stratified_order
from lab.figures import of_neurons, of_runs
from lab.layout import Weights, mlp
from lab.network import forward, gradients_of
from lab.network import networks as networks
from lab.network.initial_weights import first_weights
from lab.network.keras_model import build_model
from lab.network.networks import Network, network_of
from lab.network.programs import GOLDEN, RANDOM_NUMBERS
from lab.network.templates import layout_of, template
from lab.plots import one_neuron
from lab.runs import causes, neurons
from lab.runs.collection import Runs
from lab.studies.study import gather
from lab.system import load_tensorflow
from lab.training.events import EpochEnd, RunEnd, State
from lab.training.trainer import batch_order, first_state, train

OTHERS = ("convolutional", "normalised")
EVERY = ("mlp", *OTHERS)
SMALL = {"batch_size": 25, "epochs": 10}


def make_known():
    networks.add(Network("convolutional", convolutional))
    networks.add(Network("normalised", normalised))


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    monkeypatch.setattr(networks, "_NETWORKS", {})
    make_known()


# ---------------------------------------------------------------------------- what it is made of


def test_the_textbooks_layout_is_what_is_found_on_its_model():
    for hidden in ((5,), (7, 4, 3)):
        assert template(network_of(RunConfig(hidden=hidden))).layout == mlp(hidden)


def test_the_sites_of_a_convolutional_network_are_its_channels_at_their_positions():
    sites = layout_of(RunConfig(network="convolutional")).sites
    assert [(site.name, site.kind, site.units, site.positions) for site in sites] == [
        ("edges", "convolution", 4, 12 * 12),
        ("conv2_d_2", "convolution", 6, 4 * 4),
        ("dense_1", "dense", 8, 1),
    ]
    assert [(site.kernel, site.bias) for site in sites] == [
        (f"layer{n}.kernel", f"layer{n}.bias") for n in (1, 2, 3)
    ]
    assert [site.below for site in sites] == [0, 1, 2]


def test_behind_a_normalisation_no_single_layers_weights_lead_in():
    layout = layout_of(RunConfig(network="normalised"))
    assert [(site.name, site.units, site.kernel, site.below) for site in layout.sites] == [
        ("activation_1", 16, None, None),
        ("activation_2", 12, None, None),
    ]
    untrained = [array.name for array in layout.arrays if not array.trained]
    assert untrained == [f"layer{n}.moving_{what}" for n in (2, 4) for what in ("mean", "variance")]
    assert (layout.kernel, layout.bias) == ("layer5.kernel", "layer5.bias")


@pytest.mark.parametrize("name", OTHERS)
def test_first_weights_depend_on_the_seed_alone(name):
    one, again, other = (
        first_weights(RunConfig(network=name, seed=seed)).named for seed in (3, 3, 4)
    )
    model = build_model(RunConfig(network=name, seed=3, activation="elu"))
    for array, kept in zip(one.values(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(array, kept)
    for key in one:
        assert (one[key] == again[key]).all()
        assert (one[key] == other[key]).all() == (not key.endswith("kernel"))


def test_the_first_bias_is_that_of_the_units_alone():
    weights = first_weights(RunConfig(network="convolutional", first_bias=-0.5))
    assert [set(weights.bias(layer)) for layer in (1, 2, 3, 4)] == [{-0.5}] * 3 + [{0.0}]


def test_a_network_that_was_not_used_before_is_built_as_plain_keras():
    template.cache_clear()
    assert build_model(RunConfig(network="convolutional")).output_shape == (None, 10)


def test_a_network_without_the_activation_function_is_refused():
    def without(activation, input_shape, classes):
        return convolutional("relu", input_shape, classes)

    networks.add(Network("without", without))
    with pytest.raises(InputError, match="'without' must use the activation function"):
        layout_of(RunConfig(network="without"))


def test_a_network_without_a_softmax_at_its_end_is_refused():
    def without(activation, input_shape, classes):
        model = convolutional(activation, input_shape, classes)
        model.layers[-1].activation = None
        return model

    networks.add(Network("without", without))
    with pytest.raises(InputError, match="'without' must end in a dense layer with a softmax"):
        layout_of(RunConfig(network="without"))


def test_a_network_that_is_not_known_is_refused(tiny):
    with pytest.raises(InputError, match="Unknown network 'convolutionl'"):
        list(train([RunConfig(network="convolutionl")], tiny))


# ---------------------------------------------------------------------------- Keras, step for step


def dropped(layer, inputs, training=False):
    """Dropout, worked out: what is kept is divided by the share that is kept."""
    tf = load_tensorflow()
    if not training:
        return inputs
    state = layer.seed_generator.next()
    draws = tf.random.stateless_uniform(tf.shape(inputs), state, alg="threefry")
    return tf.where(draws >= layer.rate, inputs / (1 - layer.rate), 0)


def dropouts(model):
    return [layer for layer in model.layers if "dropout" in layer.name]


def train_in_keras(model, config, dataset):
    """Trains a compiled model on the run's batches; before each step it sets dropout's states."""
    states = [layer.seed_generator.state for layer in dropouts(model)]
    sequence = np.random.SeedSequence([config.seed, RANDOM_NUMBERS])
    seeds = sequence.generate_state(max(len(states), 1))
    x, y = scaled(dataset.x_train), np.eye(10, dtype=np.float32)[dataset.y_train]
    step = 0
    for epoch in range(1, config.epochs + 1):
        order = batch_order(config, epoch, split(dataset, config).train)
        for begin in range(0, len(order), config.batch_size):
            for state, seed in zip(states, seeds, strict=False):
                state.assign([(int(seed) + step * GOLDEN) % 2**31, 0])
            batch = order[begin : begin + config.batch_size]
            model.train_on_batch(x[batch], y[batch])
            step += 1


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_hundred_steps_follow_keras(tiny, name, optimizer):
    """Ten steps an epoch, the last of 15 images; the bound is argued in test_training.

    Keras's dropout draws by the state of its generator, which is set here before each step as the
    trainer documents it, and by the algorithm that the trainer takes where XLA compiles.
    """
    config = RunConfig(network=name, optimizer=optimizer, learning_rate=0.005, **SMALL)
    ours = epoch_ends(train([config], tiny))
    model = build_model(config)
    model.compile(model.optimizer, "categorical_crossentropy", jit_compile=name == "normalised")
    for layer in dropouts(model):
        layer.call = functools.partial(dropped, layer)
    start = model.get_weights()
    train_in_keras(model, config, tiny)
    layout = layout_of(config)
    pairs = zip(layout.arrays, ours[-1].state.weights, model.get_weights(), start, strict=True)
    for array, mine, keras, first in pairs:
        moved = np.linalg.norm(keras - first)
        assert np.linalg.norm(mine - keras) <= 1e-3 * moved > 0, array.name
    held_out = split(tiny, config).validation
    x, y = scaled(tiny.x_train), np.eye(10, dtype=np.float32)[tiny.y_train]
    loss = np.ravel(model.evaluate(x[held_out], y[held_out], verbose=0))[0]
    assert ours[-1].validation_loss == pytest.approx(loss, rel=1e-4)


def with_dropouts(activation, input_shape, classes):
    """A network with another network in it, and dropout of five kinds."""
    import keras

    layers = keras.layers
    inner = keras.Sequential([keras.Input((6,)), layers.Dropout(0.25, name="inner")])
    model = keras.Sequential([keras.Input(input_shape), layers.Flatten()])
    model.add(layers.Dense(6, activation))
    model.add(inner)
    model.add(layers.Dropout(0.5, name="plain"))
    model.add(layers.Dropout(0.5, noise_shape=(None, 1), name="by_image"))
    model.add(layers.Dropout(0.0, name="none"))
    model.add(layers.Dense(classes, activation="softmax"))
    return model


def test_only_plain_dropout_draws_otherwise_than_keras_made_it():
    networks.add(Network("with_dropouts", with_dropouts))
    model = template(network_of(RunConfig(network="with_dropouts"))).model
    inner = next(layer for layer in model.layers if hasattr(layer, "layers"))
    found = {layer.name: "call" in vars(layer) for layer in (*inner.layers, *model.layers)}
    assert {name for name, changed in found.items() if changed} == {"inner", "plain"}


def test_a_network_with_dropout_of_several_kinds_trains(tiny):
    networks.add(Network("with_dropouts", with_dropouts))
    (_, end) = epoch_ends(
        train([RunConfig(network="with_dropouts", **SMALL | {"epochs": 1})], tiny)
    )
    assert np.isfinite(end.train_loss)


def test_dropout_that_is_always_on_is_on_where_units_are_looked_at(tiny):
    def always(activation, input_shape, classes):
        import keras

        class Always(keras.Model):
            def __init__(self):
                super().__init__()
                self.flatten = keras.layers.Flatten()
                self.hidden = keras.layers.Dense(200, activation)
                self.dropout = keras.layers.Dropout(0.5)
                self.scores = keras.layers.Dense(classes, "softmax")

            def call(self, images):
                return self.scores(self.dropout(self.hidden(self.flatten(images)), training=True))

        return Always()

    networks.add(Network("always", always))
    config = RunConfig(network="always", **SMALL | {"epochs": 1})
    (_, end) = epoch_ends(train([config], tiny))
    weights = end.state.weights
    z, scores = forward(config, weights, tiny.x_train[:1])
    without = np.maximum(z, 0) @ weights.kernel(2) + weights.bias(2)
    assert not np.allclose(scores, without, rtol=1e-3)


def test_dropout_after_convolutions_follows_keras(tiny):
    config = RunConfig(
        network="cnn", filters=(3, 4), hidden=(6,), dropout=0.3, **SMALL | {"epochs": 1}
    )
    (_, end) = epoch_ends(train([config], tiny))
    model = build_model(config)
    model.compile(model.optimizer, "categorical_crossentropy", jit_compile=False)
    train_in_keras(model, config, tiny)
    assert len(dropouts(model)) == 3
    for mine, keras in zip(end.state.weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, keras, atol=1e-5)


# ---------------------------------------------------------------------------- bits


def company():
    return [
        RunConfig(network=name, epochs=3, batch_size=25, seed=1)
        for name in ("convolutional", "normalised")
    ]


@pytest.mark.parametrize(
    "activation", ["relu", *(pytest.param(a, marks=pytest.mark.slow) for a in ("elu", "tanh"))]
)
@pytest.mark.parametrize("name", mostly_slow(OTHERS, "normalised"))
def test_a_run_is_the_same_to_the_bit_alone_in_company_and_resumed(tiny, name, activation):
    config = RunConfig(network=name, activation=activation, **SMALL | {"epochs": 3})
    alone = epoch_ends(train([config], tiny))
    assert digest(alone) == digest(epoch_ends(train([*company(), config], tiny), run=2))
    resumed = train([config], tiny, {0: alone[1].state})
    assert digest(epoch_ends(resumed)) == digest(alone[2:])


FRESH = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
sys.path.insert(0, sys.argv[1])
from made import make_dataset
from test_any_network import *
make_known()
configs = [RunConfig(network=name, **SMALL | {"epochs": 3}) for name in OTHERS]
events = list(train([*configs, *company()], make_dataset(300, 100)))
print(*(digest(epoch_ends(events, run)) for run in range(2)))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(__import__("os"), "sched_setaffinity"), reason="needs Linux")
def test_a_run_is_the_same_to_the_bit_on_one_core_in_a_fresh_process(tiny, request):
    arguments = [sys.executable, "-c", FRESH, str(request.path.parent)]
    fresh = subprocess.run(arguments, capture_output=True, text=True, check=True)
    configs = [RunConfig(network=name, **SMALL | {"epochs": 3}) for name in OTHERS]
    here = [digest(epoch_ends(train([config], tiny))) for config in configs]
    assert fresh.stdout.split() == here


@pytest.mark.slow
def test_dropout_draws_by_seed_epoch_and_step_alone(tiny):
    """With a learning rate of next to nothing only dropout tells the epochs' losses apart."""
    still = SMALL | {"epochs": 2, "learning_rate": 1e-12, "batch_size": 240}
    losses = [
        [end.train_loss for end in epoch_ends(train([RunConfig(network="normalised", **s)], tiny))]
        for s in (still, still, still | {"activation": "elu"}, still | {"seed": 1})
    ]
    assert losses[0] == losses[1] != losses[3]
    assert losses[0][1] != pytest.approx(losses[0][2], rel=1e-4)
    assert losses[0][0] != pytest.approx(losses[0][1], rel=1e-4)  # Untrained: no dropout.


# ---------------------------------------------------------------------------- the census


def convolved(images, kernel, bias, stride=1):
    """A convolution worked out position by position; images of shape (n, height, width, in)."""
    side = kernel.shape[0]
    size = (images.shape[1] - side) // stride + 1
    z = np.zeros((len(images), size, size, kernel.shape[-1]))
    for row, column in itertools.product(range(size), repeat=2):
        top, left = row * stride, column * stride
        patch = images[:, top : top + side, left : left + side]
        z[:, row, column] = np.tensordot(patch, kernel, axes=3) + bias
    return z


def pooled(a):
    n, height, width, channels = a.shape
    height, width = height // 2, width // 2
    cut = a[:, : 2 * height, : 2 * width].reshape(n, height, 2, width, 2, channels)
    return cut.max(axis=(2, 4))


def by_numpy(name, weights, images):
    """The z of every site in float64, of shape (images, ..., units)."""
    w = {key: array.astype(np.float64) for key, array in weights.named.items()}
    if name == "convolutional":
        first = convolved(images[..., None], w["layer1.kernel"], w["layer1.bias"], 2)
        second = convolved(pooled(np.maximum(first, 0)), w["layer2.kernel"], w["layer2.bias"])
        flat = np.maximum(second, 0).reshape(len(images), -1)
        return [first, second, flat @ w["layer3.kernel"] + w["layer3.bias"]]
    a, found = images.reshape(len(images), -1), []
    for dense, norm in ((1, 2), (3, 4)):
        z = a @ w[f"layer{dense}.kernel"]
        spread = np.sqrt(w[f"layer{norm}.moving_variance"] + 1e-3)
        z = (z - w[f"layer{norm}.moving_mean"]) / spread
        found.append(z * w[f"layer{norm}.gamma"] + w[f"layer{norm}.beta"])
        a = np.maximum(found[-1], 0)
    return found


@pytest.mark.parametrize("name", mostly_slow(OTHERS, "convolutional"))
def test_the_census_agrees_with_numpy_in_inference_mode(name):
    """On 1,200 images, more than one block, and after training, so that moving means have moved."""
    dataset = make_dataset(1500, 100)
    config = RunConfig(network=name, epochs=2, batch_size=100, learning_rate=0.01)
    end = epoch_ends(train([config], dataset))[-1]
    images = dataset.x_train[split(dataset, config).probe] / 255.0
    for layer, z in zip(end.layers, by_numpy(name, end.state.weights, images), strict=True):
        z = z.reshape(-1, z.shape[-1])
        a, near = np.maximum(z, 0), (np.abs(z) < 1e-6).sum(axis=0)
        assert layer.images == len(z)
        assert (layer.nonfinite == 0).all()
        assert (np.abs(layer.zeros - (a == 0).sum(axis=0)) <= near).all()
        assert (layer.shut == layer.zeros).all()
        np.testing.assert_allclose(layer.max_z, z.max(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.min_z, z.min(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.mean, a.mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.sd, a.std(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.mean_gate, (z > 0).mean(axis=0), rtol=1e-4, atol=1e-5)


def observed(config, dataset, changes):
    """The record of an untrained network of which some arrays are changed."""
    start = first_state(config)
    weights = start.weights.with_arrays(changes(start.weights.named))
    events = train([config], dataset, {0: State(0, weights, start.slots)})
    return next(event for event in events if isinstance(event, EpochEnd))


@pytest.mark.parametrize("dead", [0, 1, 3])
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_planted_dead_filters_and_units_are_found_at_every_layer(tiny, layer, dead):
    def plant(arrays):
        kernels = {k: np.abs(a) for k, a in arrays.items() if k.endswith("kernel")}
        bias = np.where(np.arange(len(arrays[f"layer{layer}.bias"])) < dead, -1e4, 1.0)
        return kernels | {f"layer{layer}.bias": bias.astype(np.float32)}

    end = observed(RunConfig(network="convolutional", **SMALL), tiny, plant)
    for number, found in enumerate(end.layers, start=1):
        width = len(found.zeros)
        expected = [number == layer and unit < dead for unit in range(width)]
        assert units.dead(found).tolist() == expected


def test_a_filter_that_fires_at_one_position_of_one_image_is_alive(tiny):
    config = RunConfig(network="convolutional", **SMALL)
    images = tiny.x_train[split(tiny, config).probe][..., None] / 255.0
    kernel = first_weights(config).kernel(1).astype(np.float64)
    highest = np.sort(convolved(images, kernel, 0, 2).reshape(-1, 4), axis=0)[-2:].mean(axis=0)
    bias = np.array([-highest[0], -highest[1] - 10, 0, 0], np.float32)
    layer = observed(config, tiny, lambda _: {"layer1.bias": bias}).layers[0]
    assert units.dead(layer).tolist() == [False, True, False, False]
    assert (layer.images - layer.zeros)[:2].tolist() == [1, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", OTHERS)
def test_a_unit_that_is_not_finite_is_neither_dead_nor_alive(tiny, name, value):
    array = {"convolutional": "layer1.bias", "normalised": "layer2.beta"}[name]

    def plant(arrays):
        return {array: np.where(np.arange(len(arrays[array])) == 1, value, 0).astype(np.float32)}

    layer = observed(RunConfig(network=name, **SMALL), tiny, plant).layers[0]
    assert (layer.nonfinite > 0).tolist() == [unit == 1 for unit in range(len(layer.zeros))]
    assert layer.nonfinite[1] == layer.images
    assert not units.dead(layer)[1]


# ---------------------------------------------------------------------------- kept and read


@pytest.mark.parametrize("name", OTHERS)
def test_a_run_is_kept_read_and_rebuilt(tiny, name, tmp_path):
    config = RunConfig(network=name, **SMALL | {"epochs": 2})
    study = gather([config], tiny, tmp_path / "runs")
    events = list(study.events())
    (run,) = RunStore(tmp_path / "runs")
    assert run.config == config
    assert run.layout == layout_of(config)
    end = epoch_ends(events)[-1]
    for mine, kept in zip(end.state.weights, run.weights(), strict=True):
        np.testing.assert_array_equal(mine, kept)
    for number, layer in enumerate(end.layers, start=1):
        np.testing.assert_array_equal(run.layer(number).max_z[-1], layer.max_z)
        assert run.layer(number).images == layer.images
        assert run.confirmed(number).tolist() == run_end(events).confirmed[number - 1].tolist()
    y = np.eye(10, dtype=np.float32)[tiny.y_test]
    loss, accuracy = run.model().evaluate(scaled(tiny.x_test), y, verbose=0)
    assert run.record.test_loss == pytest.approx(loss, rel=1e-4)
    assert run.record.test_accuracy == pytest.approx(accuracy)
    assert len(study.runs().layers()) == 3 * len(run.layers)
    assert len(study.runs().units()) == 3 * sum(run.layout.widths)


@pytest.mark.parametrize("name", OTHERS)
def test_a_stopped_run_goes_on_to_the_same_bits(tiny, name, tmp_path):
    config = RunConfig(network=name, **SMALL | {"epochs": 3})
    whole = epoch_ends(train([config], tiny))
    study = gather([config], tiny, tmp_path / "runs")
    with contextlib.closing(study.events()) as events:
        next(e for e in events if isinstance(e, EpochEnd) and e.epoch == 1)
    resumed = epoch_ends(study.events())
    assert [end.epoch for end in resumed] == [2, 3]
    assert digest(resumed) == digest(whole[2:])


# ---------------------------------------------------------------------------- what reads it


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A recorded run of each network that keeps the weights of every epoch, with a dead filter."""
    make_known()
    dataset = make_dataset(300, 100)
    folder = tmp_path_factory.mktemp("kept")
    settings = SMALL | {"epochs": 2, "learning_rate": 0.03, "keep_weights": "every"}
    configs = [RunConfig(network=name, **settings) for name in OTHERS]
    study = gather(configs, dataset, folder / "runs")
    list(study.events())
    return dataset, {run.config.network: run for run in study.runs()}


@pytest.mark.parametrize("name", OTHERS)
def test_pre_activations_are_those_of_numpy(kept, name):
    dataset, runs = kept
    run = runs[name]
    images = dataset.x_train[split(dataset, run.config).probe] / 255.0
    for layer, z in enumerate(by_numpy(name, run.weights(1), images), start=1):
        mine = run.pre_activations(dataset, layer, 1)
        assert mine.shape == z.shape
        np.testing.assert_allclose(mine, z, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            mine.reshape(-1, z.shape[-1]).max(axis=0),
            run.layer(layer).max_z[1],
            rtol=1e-4,
            atol=1e-5,
        )


def test_a_filter_is_known_by_its_weights_its_largest_z_and_its_images(kept):
    dataset, runs = kept
    run = runs["convolutional"]
    z = run.pre_activations(dataset, 1, 2)[..., 3].reshape(-1, 144).max(axis=1)
    neuron = neurons.look(run, 1, 2, dataset).neuron(3)
    assert neuron.incoming.shape == (5, 5, 1)
    assert neuron.bias == run.weights(2).bias(1)[3]
    assert neuron.image_z.tolist() == np.sort(z)[::-1][:8].tolist()
    probe = dataset.x_train[split(dataset, run.config).probe]
    assert (neuron.images[0] == probe[z.argmax()]).all()
    maps = run.pre_activations(dataset, 1, 2)[..., 3]
    first = maps[z.argmax()]
    assert (neuron.feature_map == first).all()
    row, column = np.argwhere(first == first.max())[0]
    assert neuron.peaks[0].tolist() == [(row + 0.5) / 12, (column + 0.5) / 12]
    opened = (maps > 0).any(axis=0)
    assert (neuron.opened == opened).all()
    assert neuron.name == "channel 3 of layer 1 · edges"
    drawn = one_neuron.feature_map(neuron)
    assert (drawn.images[0].get_array() == first).all()
    assert drawn.get_xlabel() == f"× dead here: {(~opened).sum()} of 144"
    picture = one_neuron.weights(neuron).images[0].get_array()
    assert (picture == run.weights(2).kernel(1)[:, :, 0, 3]).all()
    second = one_neuron.weights(neurons.look(run, 2).neuron(5))
    assert second.get_xlabel() == "by channel of layer 1"
    tiles, kernel = second.images[0].get_array(), run.weights(2).kernel(2)[..., 5]
    assert (tiles[:3, :3] == kernel[:, :, 0]).all()
    assert (tiles[:3, 4:] == kernel[:, :, 1]).all()
    assert (tiles[4:, :3] == kernel[:, :, 2]).all()
    assert one_neuron.weights(neurons.look(run, 3).neuron(0)).get_xlabel() == "weights from layer 2"


@pytest.mark.parametrize(
    ("shut", "words"),
    [
        (0, "Some probe image opens it at each of its 144 positions."),
        (5, "It is dead at 5 of its 144 positions: no probe image opens it there."),
        (144, "No probe image opens it at any of its 144 positions."),
    ],
)
def test_a_dead_channel_and_one_dead_at_positions_are_told_apart(kept, shut, words):
    dataset, runs = kept
    neuron = neurons.look(runs["convolutional"], 1, 2, dataset).neuron(3)
    opened = np.arange(144).reshape(12, 12) >= shut
    assert dataclasses.replace(neuron, opened=opened).by_position == words
    assert neurons.look(runs["convolutional"], 3, 2, dataset).neuron(3).by_position == ""


def test_a_neuron_behind_a_normalisation_has_no_weights_of_its_own(kept):
    dataset, runs = kept
    neuron = neurons.look(runs["normalised"], 2, 2, dataset).neuron(3)
    assert (neuron.incoming, neuron.bias) == (None, None)
    assert neuron.z.shape == (240,)
    of_neurons.portrait(neuron).figure.canvas.draw()


def test_how_many_images_it_takes_counts_every_position(kept):
    """One image opens a filter if it does at any position; by the definition, image by image."""
    dataset, runs = kept
    run = runs["convolutional"]
    order = split(dataset, run.config).train
    order = order[stratified_order(dataset.y_train[order])]
    for layer, z in enumerate(
        by_numpy("convolutional", run.weights(), dataset.x_train[order] / 255.0), start=1
    ):
        opens = (z > 0).reshape(len(order), -1, z.shape[-1]).any(axis=1)
        first = np.where(opens.any(axis=0), opens.argmax(axis=0) + 1, len(order) + 1)
        assert probes.first_open(run, layer, dataset).tolist() == first.tolist()


def by_changes(dataset, folder, changes, network="convolutional"):
    """Records a network, untrained and then changed by hand, with its census."""
    config = RunConfig(network=network, keep_weights="every", **SMALL | {"epochs": 1})
    store = RunStore(folder)
    with contextlib.closing(store.writer(config, dataset)) as writer:
        for epoch, change in enumerate((lambda arrays: {}, changes)):
            end = observed(config, dataset, change)
            state = dataclasses.replace(end.state, epoch=epoch)
            writer.add(dataclasses.replace(end, epoch=epoch, state=state))
        confirmed = tuple(units.dead(layer) for layer in end.layers)
        writer.end(RunEnd(0, False, 0.5, 0.5, confirmed))
    return store.find(config, dataset)


def test_a_filter_whose_bias_fell_and_one_whose_weights_turned_are_told_apart(tiny, tmp_path):
    def changes(arrays):
        kernel, bias = arrays["layer1.kernel"].copy(), arrays["layer1.bias"].copy()
        bias[0], kernel[..., 1] = -100, -1
        return {"layer1.kernel": kernel, "layer1.bias": bias}

    run = by_changes(tiny, tmp_path, changes)
    found = causes.find(run, 1)
    assert [found[unit].name for unit in (0, 1)] == ["bias", "weights"]
    assert found[0].by_bias == pytest.approx(100)
    assert "it was its weights" in causes.story(run, 1, 1)


def test_behind_a_convolution_weights_count_at_every_position_they_look_at(tiny, tmp_path):
    """Filters of layer 2 fall silent but one; layer 3 dies of that, or it may be of its weights."""

    def changes(arrays):
        below, kernel = arrays["layer2.bias"] - 1e3, arrays["layer3.kernel"].copy()
        below[0] = 0
        kernel[:, 1] -= 10
        bias = arrays["layer3.bias"] - 1e-3
        return {"layer2.bias": below, "layer3.kernel": kernel, "layer3.bias": bias}

    run = by_changes(tiny, tmp_path, changes)
    largest = np.maximum(run.layer(2).max_z[1], 0)
    finder = causes._CauseFinder(run, 3)
    assert finder._most_by_weights(0, 1) == 0
    assert finder._most_by_weights(1, 1) == pytest.approx(10 * 16 * largest.sum(), rel=1e-4)


def test_behind_a_normalisation_the_cause_of_a_death_is_not_known(tiny, tmp_path):
    def changes(arrays):
        return {"layer2.beta": np.where(np.arange(16) == 3, -100, 0).astype(np.float32)}

    run = by_changes(tiny, tmp_path, changes, "normalised")
    assert causes.find(run, 1)[3].name == "unknown"
    assert "is not known: no single kernel and bias lead straight into it." in causes.story(
        run, 1, 3
    )


def test_neurons_are_taken_out_of_the_textbooks_network_only(kept):
    dataset, runs = kept
    words = "network convolutional with .*; neurons can be taken out or reset only in an mlp"
    for act in (surgery.ablate, surgery.removal_curve, surgery.revive):
        with pytest.raises(RunError, match=words):
            act(runs["convolutional"], dataset=dataset)


@pytest.mark.slow
def test_every_network_is_trained_on_with_a_leaky_slope(kept):
    dataset, runs = kept
    table = surgery.revive(runs["convolutional"], "leaky", 1, dataset)
    assert (table[table.network == "revived"][["dead_1", "dead_2", "dead_3"]] == 0).all(axis=None)


@pytest.mark.parametrize("name", OTHERS)
def test_every_figure_of_a_network_is_drawn(kept, name, tmp_path):
    _, runs = kept
    drawn = list(of_runs.pictures(Runs([runs[name]])))
    assert drawn
    for picture in drawn:
        picture.figure.canvas.draw()


def test_gradients_are_those_that_keras_finds(tiny):
    import tensorflow as tf

    config = RunConfig(network="convolutional", **SMALL | {"epochs": 1})
    table = gradients.flow(config, tiny).table
    batch = batch_order(config, 1, split(tiny, config).train)[:25]
    model, y = build_model(config), np.eye(10, dtype=np.float32)[tiny.y_train[batch]]
    with tf.GradientTape() as tape:
        chances = model(scaled(tiny.x_train[batch]), training=True)
        loss = tf.reduce_mean(tf.keras.losses.categorical_crossentropy(y, chances))
    found = tape.gradient(loss, model.trainable_variables)
    norms = [float(np.linalg.norm(np.ravel(gradient))) for gradient in found[::2]]
    np.testing.assert_allclose(table[table.epoch == 0].gradient_norm, norms, rtol=1e-3)


@pytest.mark.slow
def test_the_update_is_what_the_next_step_adds_with_its_draws_of_dropout(tiny):
    config = RunConfig(network="normalised", epochs=2, batch_size=240, learning_rate=0.01)
    table = gradients.flow(config, tiny).table
    kernels = [end.state.weights.kernel(3) for end in epoch_ends(train([config], tiny))]
    norms = [float(np.linalg.norm(kernel)) for kernel in kernels]
    steps = [float(np.linalg.norm(b - a)) for a, b in itertools.pairwise(kernels)]
    found = table[(table.layer == 3) & (table.epoch < 2)].update_ratio
    np.testing.assert_allclose(found, np.divide(steps, norms[:2]), rtol=1e-3)


@pytest.mark.slow
def test_a_layer_behind_a_normalisation_has_the_gradient_norm_of_the_kernel_behind_it(tiny):
    config = RunConfig(network="normalised", **SMALL | {"epochs": 1})
    flow = gradients.flow(config, tiny)
    weights = first_weights(config)
    batch = batch_order(config, 1, split(tiny, config).train)[:25]
    found = gradients_of(config, weights, tiny.x_train[batch], tiny.y_train[batch], 0)
    kernels = [array for array in found if array.ndim > 1]
    norms = [float(np.linalg.norm(np.ravel(kernel))) for kernel in kernels]
    untrained = flow.table[flow.table.epoch == 0]
    np.testing.assert_allclose(untrained.gradient_norm, norms, rtol=1e-5)
    assert not flow.table[flow.table.layer < 3].mean_gate.isna().any()
    flow.by_depth()
    flow.over_epochs()


def test_weights_are_found_by_their_names():
    layout = mlp((3, 2))
    arrays = tuple(np.full(array.shape, n, np.float32) for n, array in enumerate(layout.arrays))
    weights = Weights(layout, arrays)
    assert [int(weights.kernel(n)[0, 0]) for n in (1, 2, 3)] == [0, 2, 4]
    assert [int(weights.bias(n)[0]) for n in (1, 2, 3)] == [1, 3, 5]
    changed = weights.with_arrays({"layer2.bias": np.zeros(2, np.float32)})
    assert changed.bias(2).tolist() == [0, 0]
    assert len(changed) == len(weights[:]) == 6
