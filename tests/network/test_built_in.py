"""The built-in networks and their remedies: what the census sees is what NumPy computes."""

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest
from made import mostly_slow
from trained import epoch_ends

import lab
from lab import RunConfig
from lab.analysis import surgery
from lab.census import units
from lab.errors import InputError, RunError
from lab.experiment.data import fitted, split
from lab.figures import portrait
from lab.layout import mlp
from lab.network import networks
from lab.network.keras_model import build_model
from lab.network.networks import Network, network_of
from lab.network.templates import layout_of, template
from lab.runs import neurons
from lab.training.events import EpochEnd
from lab.training.trainer import first_state, train

CNN = {"network": "cnn", "filters": (3, 4), "hidden": (6,)}
DEEP = {"network": "deep", "hidden": (10,), "depth": 4}
MLP = {"hidden": (10, 8)}
CRELU = {"activation": "crelu"}
NETWORKS = {
    "cnn": CNN,
    "cnn, batch": CNN | {"normalization": "batch"},
    "deep": DEEP,
    "deep, layer": DEEP | {"normalization": "layer"},
    "mlp, batch, dropout": MLP | {"normalization": "batch", "dropout": 0.3},
    "mlp, layer": MLP | {"normalization": "layer"},
    "mlp, symmetric": MLP | {"input_scale": "symmetric"},
    "mlp, standard": MLP | {"input_scale": "standard"},
    "mlp, crelu": MLP | CRELU,
    "cnn, crelu, batch": CNN | CRELU | {"normalization": "batch", "filters": (4, 6)},
}
QUICK = ("cnn, batch", "deep")


class ByHand:
    """A network in float64, layer by layer, from its named arrays; keeps every site's z."""

    def __init__(self, config, weights):
        self.config = config
        self.arrays = {name: array.astype(np.float64) for name, array in weights.named.items()}
        self.layer, self.z = 0, []

    def next(self):
        self.layer += 1
        mark = f"layer{self.layer}."
        return {n.removeprefix(mark): a for n, a in self.arrays.items() if n.startswith(mark)}

    def hidden(self, combine, x):
        own = self.next()
        z = combine(x, own["kernel"])
        z = self.normalised(z) if self.config.normalization != "none" else z + own["bias"]
        if self.config.activation == "crelu":
            z = np.concatenate([z, -z], axis=-1)
        self.z.append(z)
        return np.maximum(z, 0)

    def normalised(self, z):
        own = self.next()
        if self.config.normalization == "batch":
            mean, variance = own["moving_mean"], own["moving_variance"]
        else:
            axes = tuple(range(1, z.ndim))[-1:]
            mean, variance = z.mean(axes, keepdims=True), z.var(axes, keepdims=True)
        return (z - mean) / np.sqrt(variance + 1e-3) * own["gamma"] + own["beta"]

    def run(self, images):
        mean, deviation = self.config.pixels or (0.0, 1.0)
        x = (images / 255 - mean) / deviation
        x = 2 * x - 1 if self.config.input_scale == "symmetric" else x
        if self.config.network == "cnn":
            x = x[..., None]
            for _ in self.config.filters:
                x = self.hidden(strided, x)
        x = x.reshape(len(x), -1)
        if self.config.network == "deep":
            x = self.hidden(np.matmul, x)
            for _ in range(self.config.depth - 1):
                x = x + self.hidden(np.matmul, x)
        else:
            for _ in self.config.hidden:
                x = self.hidden(np.matmul, x)
        own = self.next()
        return x @ own["kernel"] + own["bias"]


def strided(images, kernel):
    """3 x 3 in steps of 2, as wide as TensorFlow pads an even side: one row and column of zeros."""
    n, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (0, height % 2 == 0), (0, width % 2 == 0), (0, 0)))
    if height % 2:
        padded = np.pad(padded, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows, columns = -(-height // 2), -(-width // 2)
    z = np.zeros((n, rows, columns, kernel.shape[-1]))
    for row, column in itertools.product(range(rows), range(columns)):
        patch = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        z[:, row, column] = np.tensordot(patch, kernel, axes=3)
    return z


@pytest.mark.parametrize("name", mostly_slow(NETWORKS, *QUICK))
def test_the_census_is_what_numpy_computes(name, tiny):
    settings = {"epochs": 2, "batch_size": 50, "learning_rate": 0.01} | NETWORKS[name]
    config = fitted(RunConfig(**settings), tiny)
    end = epoch_ends(train([config], tiny))[-1]
    images = tiny.x_train[split(tiny, config).probe]
    by_hand = ByHand(config, end.state.weights)
    by_hand.run(images)
    assert len(by_hand.z) == len(end.layers)
    for layer, z in zip(end.layers, by_hand.z, strict=True):
        z = z.reshape(-1, z.shape[-1])
        a, near = np.maximum(z, 0), (np.abs(z) < 1e-4).sum(axis=0)
        assert layer.images == len(z)
        assert (np.abs(layer.zeros - (a == 0).sum(axis=0)) <= near).all()
        np.testing.assert_allclose(layer.max_z, z.max(axis=0), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(layer.min_z, z.min(axis=0), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(layer.mean, a.mean(axis=0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", mostly_slow(NETWORKS, *QUICK))
def test_the_keras_model_gives_the_scores_that_numpy_computes(name, tiny):
    config = fitted(RunConfig(seed=5, batch_size=50, **NETWORKS[name]), tiny)
    model = build_model(config)
    weights = epoch_ends(train([config.model_copy(update={"epochs": 1})], tiny))[0].state.weights
    scores = ByHand(config, weights).run(tiny.x_test)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found = model.predict(tiny.x_test.astype(np.float32) / 255, verbose=0)
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), atol=1e-5)


def test_hidden_layers_have_the_names_of_their_kind():
    names = {
        name: [site.name for site in layout_of(RunConfig(**NETWORKS[name])).sites]
        for name in ("cnn", "cnn, batch", "deep", "mlp, layer")
    }
    assert names == {
        "cnn": ["conv_1", "conv_2", "dense_1"],
        "cnn, batch": ["conv_1", "conv_2", "dense_1"],
        "deep": ["dense_1", "dense_2", "dense_3", "dense_4"],
        "mlp, layer": ["dense_1", "dense_2"],
    }


def test_sites_know_what_they_take_in():
    below = {
        name: [site.below for site in layout_of(RunConfig(**NETWORKS[name])).sites]
        for name in ("cnn", "deep", "mlp, symmetric", "mlp, layer")
    }
    assert below == {
        "cnn": [0, 1, 2],
        "deep": [0, 1, None, None],  # From the third on, sums of several layers.
        "mlp, symmetric": [None, 1],  # Not the pixels themselves.
        "mlp, layer": [None, None],
    }


@pytest.mark.parametrize("settings", [CNN, DEEP, MLP, MLP | CRELU, DEEP | CRELU])
def test_a_network_has_as_many_weights_as_its_settings_say(settings):
    for more in ({}, {"image_shape": (9, 12), "classes": 3}, {"image_shape": (8, 8, 3)}):
        config = RunConfig(**settings, **more)
        assert layout_of(config).parameters == config.weights


@pytest.mark.parametrize(
    "network", [MLP, pytest.param(CNN, marks=pytest.mark.slow)], ids=["mlp", "cnn"]
)
def test_learned_slopes_are_recorded_and_make_the_gate(network, tiny, tmp_path):
    settings = {"batch_size": 20, "epochs": 2, "learning_rate": 0.05, "keep_weights": "every"}
    (run,) = lab.compare(("prelu=0.3",), 1, tiny, tmp_path, **settings | network)
    for number in run.layers:
        slopes, layer = run.slopes(number), run.layer(number)
        assert slopes[0].tolist() == [np.float32(0.3)] * slopes.shape[1]
        assert (np.ptp(slopes[1:], axis=1) > 0).all()
        name = run.layout.sites[number - 1].slope
        for epoch in run.kept_epochs:
            assert run.weights(epoch).named[name].reshape(-1).tolist() == slopes[epoch].tolist()
        share = layer.zeros / layer.images  # z of exactly 0 is not met.
        assert (share == 0).all()
        z = run.pre_activations(tiny, number).reshape(-1, slopes.shape[1])
        gate = np.where(z > 0, 1, slopes[-1])
        np.testing.assert_allclose(layer.mean_gate[-1], gate.mean(axis=0), atol=1e-3)
        np.testing.assert_allclose(layer.max_gate[-1], np.abs(gate).max(axis=0), rtol=1e-4)
    x, y = tiny.x_test.astype(np.float32) / 255, np.eye(10)[tiny.y_test]
    assert run.model().evaluate(x, y, verbose=0)[1] == pytest.approx(run.record.test_accuracy)


def test_units_of_crelu_come_in_pairs_that_share_a_weight_vector(tiny, tmp_path):
    settings = {"batch_size": 20, "epochs": 2, "learning_rate": 0.05}
    (run,) = lab.compare("crelu", 1, tiny, tmp_path, **settings | MLP)
    assert [array.shape for array in run.weights()][::2] == [(784, 5), (10, 4), (8, 10)]
    for number, pairs in ((1, 5), (2, 4)):
        layer = run.last_summaries(number)
        np.testing.assert_array_equal(layer.max_z[:pairs], -layer.min_z[pairs:])
        np.testing.assert_array_equal(layer.max_z[pairs:], -layer.min_z[:pairs])
    x, y = tiny.x_test.astype(np.float32) / 255, np.eye(10)[tiny.y_test]
    assert run.model().evaluate(x, y, verbose=0)[1] == pytest.approx(run.record.test_accuracy)


@pytest.mark.slow
def test_a_model_with_crelu_loads_where_there_is_no_lab(tmp_path):
    model = build_model(RunConfig(**MLP | CRELU))
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).random((5, 28, 28), np.float32)
    np.save(tmp_path / "images.npy", images)
    script = (
        "import keras, numpy as np; model = keras.saving.load_model('model.keras');"
        "np.save('scores.npy', model.predict(np.load('images.npy'), verbose=0))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    expected = model.predict(images, verbose=0)
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), expected)


def test_a_sentence_says_that_units_of_a_pair_share_weights_and_bias(tiny, tmp_path):
    settings = {"batch_size": 20, "epochs": 2, "learning_rate": 0.05}
    (run,) = lab.compare("crelu", 1, tiny, tmp_path, **settings | MLP)
    neuron = neurons.look(run, 1, dataset=tiny).neuron(0)
    picture = portrait(neuron)
    drawn = [text.get_text() for ax in picture.figure.axes for text in ax.texts]
    assert "it has no weights of its own\nto show here" in drawn
    with pytest.raises(RunError, match="with CReLU; neurons can be taken out or reset only in an"):
        surgery.ablate(run, {1: [0]}, tiny)
    for how in ("leaky", "reset"):
        with pytest.raises(RunError, match="has CReLU, which decides which weights a network has"):
            surgery.revive(run, how, 1, tiny)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"hidden": (5, 4)}, r"hidden must be even numbers with crelu, .* not \(5, 4\)\."),
        ({"network": "cnn", "filters": (3, 4)}, "filters must be even numbers with crelu"),
        ({"first_bias": 0.1}, "first_bias must be 0 with crelu, not 0.1: what opens one unit"),
        ({"network": "mine"}, "activation must not be crelu for the network 'mine': .* in pairs"),
    ],
)
def test_what_units_in_pairs_cannot_have_is_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        RunConfig(**CRELU | settings)


@pytest.mark.slow
def test_only_learned_slopes_are_recorded(tiny, tmp_path):
    (run,) = lab.compare(("leaky_relu",), 1, tiny, tmp_path, batch_size=20, epochs=1, hidden=(4,))
    with pytest.raises(RunError, match=r"Leaky ReLU α=0\.01 learns no slopes"):
        run.slopes(1)
    with pytest.raises(InputError, match="activation must not be prelu for the network 'mine'"):
        RunConfig(activation="prelu", network="mine")


def as_large_as_the_picture(activation, input_shape, classes):
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Reshape((*input_shape, 1)),
            layers.Conv2D(12, 28, activation=activation),
            layers.Flatten(),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def test_a_kernel_as_large_as_the_picture_gives_the_dense_layers_census(tiny, monkeypatch):
    """A third of the units is planted dead; the same images open the gates of the others."""
    monkeypatch.setattr(networks, "_NETWORKS", {})
    networks.add(Network("whole", as_large_as_the_picture))
    ends = []
    for config in (RunConfig(hidden=(12,), seed=4), RunConfig(network="whole", seed=4)):
        start = first_state(config)
        kernel, bias = start.weights.layout.incoming(1)
        dense = first_state(RunConfig(hidden=(12,), seed=4)).weights.kernel(1)
        planted = {
            kernel: dense.reshape(start.weights.named[kernel].shape),
            bias: np.repeat(np.float32([-1000, 0.1, -0.1]), 4),
        }
        state = dataclasses.replace(start, weights=start.weights.with_arrays(planted))
        events = train([config.model_copy(update={"epochs": 1})], tiny, {0: state})
        ends.append(next(event for event in events if isinstance(event, EpochEnd)).layers[0])
    dense, convolution = ends
    assert units.dead(convolution).tolist() == [True] * 4 + [False] * 8
    for name in ("images", "zeros", "shut", "nonfinite", "max_gate", "mean_gate"):
        assert np.array_equal(getattr(dense, name), getattr(convolution, name)), name
    np.testing.assert_allclose(convolution.max_z, dense.max_z, rtol=1e-5)
    np.testing.assert_allclose(convolution.mean, dense.mean, rtol=1e-5)


def test_dropout_alone_leaves_the_textbooks_layout():
    assert template(network_of(RunConfig(dropout=0.5, **MLP))).layout == mlp((10, 8))
    assert RunConfig(dropout=0.5).is_textbook


def test_a_dead_layer_of_the_deep_network_passes_its_input_on(tiny):
    """With every bias at -1000 each block adds nothing: the scores are those of the first layer."""
    config = RunConfig(**DEEP, seed=3)
    model = build_model(config)
    for layer in model.layers:
        if layer.name in ("dense_2", "dense_3", "dense_4"):
            layer.set_weights([layer.get_weights()[0], np.full(10, -1000.0)])
    w = {layer.name: layer.get_weights() for layer in model.layers if layer.get_weights()}
    x = tiny.x_test.astype(np.float32) / 255
    first = np.maximum(x.reshape(len(x), -1) @ w["dense_1"][0] + w["dense_1"][1], 0)
    scores = first @ w["output"][0] + w["output"][1]
    found = model.predict(x, verbose=0)
    np.testing.assert_allclose(
        np.log(found) - np.log(found[:, :1]), scores - scores[:, :1], atol=1e-4
    )
