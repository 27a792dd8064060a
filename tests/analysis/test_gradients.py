"""Gradients and updates by layer, against Keras, against the trainer's own steps, and by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from numpy.linalg import norm

from lab import LabError, RunConfig
from lab.analysis import gradients
from lab.experiment.data import fitted, split
from lab.network.forward_pass import forward
from lab.network.initial_weights import first_weights
from lab.network.keras_model import build_model
from lab.network.programs import gradients_of
from lab.training.events import EpochEnd
from lab.training.trainer import batch_order, train

SMALL = {"hidden": (6, 5, 4), "batch_size": 50, "epochs": 2}
ONE_STEP = SMALL | {"batch_size": 240}  # All training images of `tiny` in one step.


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "selu", "gelu", "sigmoid", "tanh"])
def test_the_gradients_are_those_that_keras_finds(tiny, name):
    import tensorflow as tf

    config = RunConfig(activation=name, **SMALL)
    model = build_model(config)
    images, labels = tiny.x_train[:20], tiny.y_train[:20]
    with tf.GradientTape() as tape:
        loss = tf.keras.losses.sparse_categorical_crossentropy(labels, model(images / 255.0))
        mean = tf.reduce_mean(loss)
    wanted = tape.gradient(mean, model.trainable_variables)
    found = gradients_of(config, first_weights(config), images, labels, 0)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "elu"},
        pytest.param({"optimizer": "sgd", "momentum": 0.9}, marks=pytest.mark.slow),
    ],
)
def test_the_update_is_what_the_next_training_step_adds(tiny, settings):
    config = RunConfig(learning_rate=0.01, **ONE_STEP | settings)
    ends = [event for event in train([config], tiny) if isinstance(event, EpochEnd)]
    table = gradients.flow(config, tiny).table
    for before, after in itertools.pairwise(ends):
        pairs = zip(before.state.weights[::2], after.state.weights[::2], strict=True)
        wanted = [np.linalg.norm(new - old) / np.linalg.norm(old) for old, new in pairs]
        found = table[table.epoch == before.epoch].update_ratio
        np.testing.assert_allclose(found, wanted, rtol=1e-3)


def test_the_gradient_is_of_the_batch_that_comes_next(tiny):
    """With plain gradient descent a step is the learning rate times the gradient."""
    config = RunConfig(optimizer="sgd", momentum=0.0, learning_rate=0.5, **ONE_STEP)
    first, second, _ = (e for e in train([config], tiny) if isinstance(e, EpochEnd))
    pairs = zip(first.state.weights[::2], second.state.weights[::2], strict=True)
    wanted = [np.linalg.norm(new - old) / 0.5 for old, new in pairs]
    table = gradients.flow(config, tiny).table
    np.testing.assert_allclose(table[table.epoch == 0].gradient_norm, wanted, rtol=1e-3)


def test_the_gradient_and_the_update_are_those_of_the_next_step_of_the_run(tiny, monkeypatch):
    """240 images in batches of 100 are 3 steps an epoch; of 6 steps the rate rises for 3."""
    more = {"optimizer": "sgd", "momentum": 0.0, "warmup": 0.5, "schedule": "cosine"}
    more |= {"learning_rate": 0.5}
    config = fitted(RunConfig(**SMALL | more | {"batch_size": 100}), tiny)
    given = []

    def watched(*arguments):
        given.append(arguments)
        return gradients_of(*arguments)

    monkeypatch.setattr(gradients, "gradients_of", watched)
    table = gradients.flow(config, tiny).table
    assert [step for *_, step in given] == [0, 3, 6]  # By which dropout draws.
    ends = [event for event in train([config], tiny) if isinstance(event, EpochEnd)]
    for end, rate in zip(ends, (0.0, 0.5, 0.0), strict=True):
        weights, rows = end.state.weights, table[table.epoch == end.epoch]
        batch = batch_order(config, end.epoch + 1, split(tiny, config).train)[:100]
        images, labels = tiny.x_train[batch], tiny.y_train[batch]
        slopes = gradients_of(config, weights, images, labels, 3 * end.epoch)
        wanted, sizes = (
            np.array([norm(of.kernel(n)) for n in rows.layer]) for of in (slopes, weights)
        )
        np.testing.assert_allclose(rows.gradient_norm, wanted, rtol=1e-4)
        np.testing.assert_allclose(rows.update_ratio, rate * wanted / sizes, rtol=1e-3, atol=1e-9)


def test_the_mean_gate_is_that_of_each_hidden_layer_on_the_probe(tiny):
    config = fitted(RunConfig(activation="elu", **ONE_STEP), tiny)
    table = gradients.flow(config, tiny).table
    probe = tiny.x_train[split(tiny, config).probe]
    *hidden, _ = forward(config, first_weights(config), probe)
    wanted = [np.exp(np.minimum(z, 0)).mean() for z in hidden]
    np.testing.assert_allclose(table.mean_gate[:4], [*wanted, np.nan], rtol=1e-4)


def test_a_layer_whose_gradients_are_not_finite_later_is_not_left_out():
    table = pd.DataFrame({"network": 0, "epoch": [0, 0, 1, 1], "layer": [1, 2, 1, 2]})
    table["gradient_norm"] = [1.0, 2.0, np.nan, np.nan]
    found = gradients.Flow((RunConfig(hidden=(3,)),), table)._mean([0], "gradient_norm")
    np.testing.assert_array_equal(found, [[1, 2], [np.nan, np.nan]])


def test_behind_a_dead_layer_nothing_arrives(tiny):
    config = RunConfig(first_bias=-1000, optimizer="sgd", **ONE_STEP)
    table = gradients.flow(config, tiny).table
    hidden = table[table.layer <= 3]
    assert (hidden[["mean_gate", "gradient_norm", "update_ratio"]] == 0).all(axis=None)
    assert table[table.layer == 4].gradient_norm.tolist() == [0, 0, 0]  # Its inputs are all 0.
    assert table[table.layer == 4].mean_gate.isna().all()


@pytest.mark.slow
def test_sigmoid_lets_little_through_from_layer_to_layer_and_relu_much(tiny):
    deep = SMALL | {"hidden": (16,) * 8, "epochs": 1}
    configs = [RunConfig(activation=name, **deep) for name in ("sigmoid", "relu")]
    table = gradients.flow(configs, tiny).table.query("epoch == 0")
    norms = {name: rows.gradient_norm.to_numpy() for name, rows in table.groupby("activation")}
    assert norms["Sigmoid"][1] < 1e-3 * norms["Sigmoid"][-1]  # Layer 1 has other inputs.
    assert norms["ReLU"][1] > 0.1 * norms["ReLU"][-1]
    gates = table[table.activation == "Sigmoid"].mean_gate.dropna()
    assert gates.between(0, 0.25).all()


@pytest.mark.slow
def test_the_pictures_show_means_over_seeds_and_their_words_name_them(tiny):
    configs = [RunConfig(activation=n, seed=s, **SMALL) for n in ("relu", "elu") for s in (0, 1)]
    reached = gradients.flow(configs, tiny)
    table = reached.table
    assert table.index.tolist() == list(range(4 * 3 * 4))  # Networks, epochs, layers.
    wanted = (
        table[(table.activation == "ELU α=1") & (table.epoch == 2)]
        .groupby("layer")
        .mean(numeric_only=True)
    )
    picture = reached.by_depth()
    for ax, measure in zip(picture.figure.axes, gradients.REACHED, strict=True):
        (line,) = [line for line in ax.lines if line.get_label() == "ELU α=1"]
        np.testing.assert_allclose(line.get_ydata(), wanted[measure].dropna())
    assert "784-6-5-4-10" in picture.alt
    assert "means of 2 seeds" in picture.alt
    assert f"{wanted.gradient_norm[1]:.2g}" in picture.alt
    over = reached.over_epochs("update_ratio")
    assert [ax.get_title(loc="left") for ax in over.figure.axes] == ["ReLU", "ELU α=1"]
    assert over.figure.axes[1].lines[0].get_ydata()[2] == pytest.approx(wanted.update_ratio[1])


def test_what_cannot_be_is_refused_in_a_sentence(tiny):
    with pytest.raises(LabError, match="configs must hold at least one network"):
        gradients.flow([], tiny)
    for wrong in ("relu", ["relu"], None):
        with pytest.raises(LabError, match=r"configs must be lab\.RunConfig\(…\), or a list"):
            gradients.flow(wrong, tiny)
    with pytest.raises(LabError, match="batch_size must be at most 240"):
        gradients.flow(RunConfig(batch_size=1000), tiny)
    one = RunConfig(activation="elu", **ONE_STEP | {"epochs": 1})
    reached = gradients.flow(one, tiny)
    assert "learning rate 0.001, untrained and after 1 epochs, one seed" in reached.by_depth().alt
    two = (
        *reached.configs,
        RunConfig(hidden=(3,), epochs=1),
    )  # What they do not share is not said.
    assert (
        gradients.Flow(two, reached.table)._settings() == "untrained and after 1 epochs, one seed"
    )
    assert len({reached, gradients.Flow(two, reached.table)}) == 2
    with pytest.raises(LabError, match="Unknown measure 'gradient'"):
        reached.over_epochs("gradient")
