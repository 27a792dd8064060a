"""A user's own network: known by its source, or refused in one sentence."""

import numpy as np
import pytest
from made import mostly_slow

import lab
from lab import RunConfig
from lab.errors import InputError, RunError
from lab.experiment import config as experiment_config
from lab.network import networks, register_network, register_network_source
from lab.network.networks import Network
from lab.network.templates import layout_of, template

WIDTH = 6


@pytest.fixture(autouse=True)
def _own_networks(monkeypatch):
    monkeypatch.setattr(networks, "_NETWORKS", {})
    monkeypatch.setattr(networks, "OWN_NETWORKS", own := {})
    monkeypatch.setattr(experiment_config, "OWN_NETWORKS", own)


def sequential(activation, input_shape, classes):
    import keras

    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(WIDTH, activation),
            keras.layers.Dense(classes, "softmax"),
        ]
    )


def functional(activation, input_shape, classes):
    import keras

    x = images = keras.Input(input_shape)
    x = keras.layers.Flatten()(x)
    for _ in range(2):
        x = activation(keras.layers.Dense(WIDTH)(x))
    return keras.Model(images, keras.layers.Dense(classes, "softmax")(x))


def subclassed(activation, input_shape, classes):
    import keras

    class Mine(keras.Model):
        def __init__(self):
            super().__init__()
            self.flatten = keras.layers.Flatten()
            self.first = keras.layers.Dense(WIDTH, activation)
            self.last = keras.layers.Dense(classes, "softmax")

        def call(self, images):
            return self.last(self.first(self.flatten(images)))

    return Mine()


BUILDERS = {"sequential": sequential, "functional": functional, "subclassed": subclassed}


@pytest.mark.parametrize("kind", mostly_slow(BUILDERS, "subclassed"))
def test_a_network_of_ones_own_trains_and_is_kept_like_the_labs(kind, tiny, tmp_path):
    register_network("mine", BUILDERS[kind])
    settings = {"network": "mine", "epochs": 2, "batch_size": 20, "learning_rate": 0.01}
    (run,) = lab.compare(("elu",), seeds=1, dataset=tiny, store=tmp_path, **settings)
    model = run.model()
    x, y = tiny.x_test.astype(np.float32) / 255, np.eye(10)[tiny.y_test]
    assert model.evaluate(x, y, verbose=0)[1] == pytest.approx(run.record.test_accuracy)
    assert set(run.layout.widths) == {WIDTH}
    assert "keras.layers.Dense(WIDTH" in run.record.own_network
    assert "WIDTH = 6" in run.record.own_network
    (again,) = lab.compare(("elu",), seeds=1, dataset=tiny, store=tmp_path, **settings)
    assert again.record == run.record


@pytest.mark.slow
def test_a_function_and_a_network_of_ones_own_go_together(tiny, tmp_path, own_registry):
    import tensorflow as tf

    lab.register("bent", lambda z: tf.where(z > 0, z, 0.3 * z))
    register_network("mine", functional)
    of = {"dataset": tiny, "store": tmp_path, "epochs": 1, "batch_size": 20, "network": "mine"}
    runs = lab.compare(("bent", "leaky_relu=0.3"), seeds=1, **of)
    for one, other in zip(*(run.weights() for run in runs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert runs[0].model().count_params() == 785 * WIDTH + 7 * WIDTH + 10 * (WIDTH + 1)


def test_a_network_without_its_own_weights_is_the_textbooks_to_the_bit(tiny, tmp_path):
    register_network("mine", sequential)
    of = {"dataset": tiny, "store": tmp_path, "epochs": 2, "batch_size": 20}
    (mine,) = lab.compare(("relu",), seeds=1, network="mine", **of)
    (textbook,) = lab.compare(("relu",), seeds=1, hidden=(WIDTH,), **of)
    for one, other in zip(mine.weights(), textbook.weights(), strict=True):
        assert one.tobytes() == other.tobytes()
    assert mine.run_id != textbook.run_id


def test_another_source_is_another_network(monkeypatch):
    register_network("mine", sequential)
    one = RunConfig(network="mine")
    monkeypatch.setitem(globals(), "WIDTH", 7)
    register_network("mine", sequential)
    other = RunConfig(network="mine")
    assert one != other
    assert one.size != other.size
    assert layout_of(other).widths == (7,)
    with pytest.raises(InputError, match=r"another source.*lab.register_network\('mine', build\)"):
        layout_of(one)


def test_the_same_source_keeps_what_is_compiled():
    assert register_network("mine", sequential) is register_network("mine", sequential)


@pytest.mark.slow
def test_a_run_of_a_network_that_is_not_registered_shows_its_source(tiny, tmp_path):
    register_network("mine", sequential)
    (run,) = lab.compare(("relu",), 1, tiny, tmp_path, network="mine", epochs=1, batch_size=20)
    networks._NETWORKS.clear()
    assert run.layer(1).zeros.shape == (2, WIDTH)
    with pytest.raises(RunError, match=r"(?s)Unknown network 'mine'.*def sequential"):
        run.model()
    register_network_source("mine", run.record.own_network)
    assert run.model().count_params() == 785 * WIDTH + 10 * (WIDTH + 1)


class Doubled:
    """A helper class of the test's own."""

    def __init__(self, activation):
        self.activation = activation

    def __call__(self, z):
        return self.activation(z + z)


def with_a_class(activation, input_shape, classes):
    import keras

    function = Doubled(activation)
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(4, function),
            keras.layers.Dense(classes, "softmax"),
        ]
    )


def test_a_class_that_it_uses_is_part_of_its_source():
    network = register_network("mine", with_a_class)
    assert "class Doubled" in network.source
    assert layout_of(RunConfig(network="mine")).widths == (4,)


def without_softmax(activation, input_shape, classes):
    import keras

    layers = keras.layers
    return keras.Sequential(
        [keras.Input(input_shape), layers.Flatten(), layers.Dense(4, activation), layers.Dense(10)]
    )


def without_activation(activation, input_shape, classes):
    return sequential("relu", input_shape, classes)


def of_every_row(activation, input_shape, classes):
    import keras

    layers = keras.layers
    return keras.Sequential(
        [keras.Input(input_shape), layers.Dense(4, activation), layers.Dense(classes, "softmax")]
    )


def of_one_class_too_few(activation, input_shape, classes):
    return sequential(activation, input_shape, classes - 1)


def with_first_weights(values):
    import keras

    first = keras.initializers.Constant(np.array(values, np.float32))

    def build(activation, input_shape, classes):
        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input(input_shape),
                layers.Flatten(),
                layers.Dense(2, activation, bias_initializer=first),
                layers.Dense(classes, "softmax"),
            ]
        )

    return Network("drawn", build)


@pytest.mark.parametrize("values", [(0, 1), (1, 0)])
def test_biases_that_do_not_start_alike_are_refused(values):
    with pytest.raises(InputError, match=r"layer1\.bias .*'drawn' must start with one value"):
        template(with_first_weights(values))


def of_many_kinds(activation, input_shape, classes):
    """Reshaped, of one unit, at positions in a row, and a layer that is used twice."""
    import keras

    layers = keras.layers

    class Scaled(layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

        def call(self, x):
            return x * self.scale

    twice = layers.Dense(1, activation)
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Reshape((784,)),
            layers.Dense(20, activation),
            layers.Reshape((4, 5)),
            layers.Dense(3, activation),
            layers.Flatten(),
            layers.Reshape((12, 1)),
            twice,
            twice,
            layers.Flatten(),
            layers.Dense(2, activation),
            Scaled(),
            layers.Dense(classes, "softmax"),
        ]
    )


def test_sites_and_arrays_of_unusual_networks_are_what_they_are():
    layout = template(Network("many", of_many_kinds)).layout
    assert [(site.kind, site.units, site.positions) for site in layout.sites] == [
        ("dense", 20, 1),
        ("convolution", 3, 4),
        ("convolution", 1, 12),
        ("convolution", 1, 12),
        ("dense", 2, 1),
    ]
    # The first two take in what is reshaped; the others are a layer used twice, or behind it.
    assert [site.below for site in layout.sites] == [None] * 5
    first = [array.first for array in layout.arrays if array.first is not None]
    assert first == [0, 0, 0, 0, 1, 0]  # The biases, and the scale before the last.


def with_shared_layers(activation, input_shape, classes):
    """One layer that holds the activation function, and one Dropout, at two places each."""
    import keras

    layers = keras.layers
    acts, drops = layers.Activation(activation), layers.Dropout(0.5)
    images = keras.Input(input_shape)
    x = drops(acts(layers.Dense(6)(layers.Flatten()(images))))
    x = drops(acts(layers.Dense(6)(x)))
    x = layers.Dense(4, activation)(x)
    return keras.Model(images, layers.Dense(classes, "softmax")(x))


def test_of_a_layer_used_at_two_places_nothing_wrong_is_said_of_what_leads_into_it():
    layout = template(Network("shared", with_shared_layers)).layout
    assert [site.units for site in layout.sites] == [6, 6, 4]
    assert [site.kernel for site in layout.sites[:2]] == [None, None]
    assert layout.sites[2].kernel is not None
    assert [site.below for site in layout.sites] == [None, None, None]


def by_chance(activation, input_shape, classes):
    import random

    import keras

    units, layers = random.SystemRandom().randint(2, 5000), keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Flatten(),
            layers.Dense(units, activation),
            layers.Dense(classes, "softmax"),
        ]
    )


def of_rows_as_images(activation, input_shape, classes):
    import keras

    layers = keras.layers
    inputs = keras.Input(input_shape)
    rows = layers.Lambda(lambda x: keras.ops.reshape(x, (-1, 28)))(inputs)
    rows = layers.Dense(16, activation)(rows)
    flat = layers.Lambda(lambda x: keras.ops.reshape(x, (-1, 28 * 16)))(rows)
    return keras.Model(inputs, layers.Dense(classes, "softmax")(flat))


def with_noise(activation, input_shape, classes):
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Flatten(),
            layers.Lambda(lambda x: x + keras.random.uniform((1,))),
            layers.Dense(4, activation),
            layers.Dense(classes, "softmax"),
        ]
    )


def with_a_loose_end(activation, input_shape, classes):
    import keras

    layers = keras.layers

    class Loose(keras.layers.Layer):
        def build(self, shape):
            self.unused = self.add_weight(shape=(3,), initializer="zeros", name="unused")

        def call(self, x):
            return x

    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Flatten(),
            Loose(),
            layers.Dense(4, activation),
            layers.Dense(classes, "softmax"),
        ]
    )


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (without_softmax, "must end in a dense layer with a softmax"),
        (without_activation, "must use the activation function that it is given"),
        (of_one_class_too_few, r"10 scores, one for each class, not the shape \(9,\)"),
        (of_every_row, r"10 scores, one for each class, not the shape \(28, 10\)"),
        (of_rows_as_images, "must keep one row for each image where .* acts, not 28: positions"),
        (by_chance, "must be the same each time that it is built and computed"),
        (with_noise, "must be the same each time that it is built and computed"),
        (with_a_loose_end, "layer1.unused does not"),
        (lambda activation, input_shape, classes: None, "must be a Keras model, not a NoneType"),
        (lambda activation: None, r"cannot be built for images of shape \(28, 28\): TypeError"),
        (BUILDERS, "build must be a function, made with def"),
    ],
    ids=lambda value: getattr(value, "__name__", "_")[:20],
)
def test_what_cannot_be_trained_is_refused_in_one_sentence(build, sentence):
    with pytest.raises(InputError, match=sentence) as refused:
        register_network("mine", build)
    assert "\n" not in str(refused.value)
    assert networks.own("mine") is None


def test_a_source_that_is_too_long_to_be_kept_is_refused_before_any_training(monkeypatch):
    monkeypatch.setitem(globals(), "WIDTH", tuple(range(10_000)))
    with pytest.raises(InputError, match="source of mine cannot be kept with its runs"):
        register_network("mine", sequential)


@pytest.mark.parametrize("name", ["mlp", "cnn", "deep", "Mine", "9", "a b", "", 3])
def test_a_name_that_is_taken_or_not_plain_is_refused(name):
    with pytest.raises(InputError, match="name must be 1 to 40 small letters"):
        register_network(name, sequential)
