"""The census as a callback: it changes no bit of a training, and records it as a run."""

import random
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from zoo import dense, numbers, of

from lab import Census, RunStore
from lab.errors import InputError, RunError

layers = keras.layers
X = numbers(90, 6)
Y = (X.sum(axis=1) > 0).astype(np.int32)


def network(*more):
    """A small classifier in which much is random: dropout, noise, shuffling."""
    keras.utils.set_random_seed(3)
    hidden = [layers.GaussianNoise(0.1), layers.Dense(8, "relu", name="one"), layers.Dropout(0.3)]
    hidden += [layers.BatchNormalization(), layers.Dense(4, "elu", name="two"), *more]
    model = of([*hidden, layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Parts(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, number):
        part = slice(30 * number, 30 * number + 30)
        return X[part], Y[part]


def forever():
    while True:
        yield from (Parts()[number] for number in range(3))


def batches():
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(90).batch(30)


FEEDS = {
    "arrays": lambda: {"x": X, "y": Y, "validation_split": 0.2},
    "tf.data": lambda: {"x": batches(), "validation_data": (X[:9], Y[:9])},
    "PyDataset": lambda: {"x": Parts(workers=1)},
    "generator": lambda: {"x": forever(), "steps_per_epoch": 3},
}


def random_states():
    seeds = keras.src.random.seed_generator.global_seed_generator().state
    _, keys, *rest = np.random.get_state()  # noqa: NPY002
    return random.getstate(), keys.tobytes(), rest, np.asarray(seeds).tolist()


def all_bits(feed, callbacks):
    model = network()
    with warnings.catch_warnings(action="ignore"):  # Keras says what it does with `shuffle`.
        history = model.fit(**FEEDS[feed](), epochs=2, verbose=0, callbacks=callbacks)
    weights = [w.tobytes() for w in model.get_weights()]
    slots = [v.numpy().tobytes() for v in model.optimizer.variables]
    return (
        history.history,
        weights,
        slots,
        random_states(),
        tf.random.uniform((3,)).numpy().tolist(),
    )


@pytest.mark.parametrize(
    "feed",
    ["arrays", *(pytest.param(f, marks=pytest.mark.slow) for f in list(FEEDS)[1:])],
)
def test_a_training_has_the_same_bits_with_and_without_the_census(feed):
    assert all_bits(feed, []) == all_bits(feed, [Census((X[:20], Y[:20]))])


def fit(census, model=None, epochs=3, **more):
    model = model or network()
    callbacks = [census, *more.pop("callbacks", [])]
    return model.fit(X, Y, epochs=epochs, verbose=0, callbacks=callbacks, **more)


def test_a_training_is_a_run_with_what_fit_reports_and_what_is_known_of_it(tmp_path):
    census = Census(X[:20], store=tmp_path / "runs")
    model = network()
    history = fit(census, model, validation_split=0.2).history
    (run,) = RunStore(tmp_path / "runs")
    assert run.run_id == census.run.run_id
    assert (run.status, run.last_epoch, run.kept_epochs) == ("finished", 3, [3])
    assert [run.layer_words(n) for n in run.layers] == ["layer 1 · one", "layer 2 · two"]
    epochs = run.record.epochs
    assert [e.train_loss for e in epochs[1:]] == history["loss"]
    assert [e.validation_accuracy for e in epochs[1:]] == history["val_accuracy"]
    assert np.isnan(epochs[0].train_loss)
    assert (run.config.optimizer, run.config.learning_rate) == ("adam", 0.001)
    assert run.knows("learning_rate")
    assert not run.knows("seed")
    for kept, now in zip(run.weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)


@pytest.mark.slow
def test_with_labels_the_loss_is_that_on_the_probe_and_epoch_0_has_one():
    census, model = Census((X[:20], Y[:20])), network()
    before = model.evaluate(X[:20], Y[:20], verbose=0)
    fit(census, model)
    after = model.evaluate(X[:20], Y[:20], verbose=0)
    for epoch, found in ((0, before), (3, after)):
        kept = census.run.record.epochs[epoch]
        np.testing.assert_allclose([kept.train_loss, kept.train_accuracy], found, rtol=1e-5)


def test_a_unit_that_dies_in_training_has_a_story():
    model = network()

    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                one = model.get_layer("one")
                kernel, bias = (np.array(w) for w in one.get_weights())
                kernel[:, 2], bias[2] = 0, -1
                one.set_weights([kernel, bias])

    census = Census(X[:20])
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[Kill(), census])
    (row,) = census.lives().query("layer == 1 and unit == 2").to_dict("records")
    assert (row["died"], row["born_dead"]) == ("2", False)
    assert census.units().query("layer == 1 and unit == 2").dead.tolist() == [False, False, True]


@pytest.mark.slow
def test_a_second_training_is_a_second_run(tmp_path):
    census, model = Census(X[:20], store=tmp_path / "runs"), network()
    fit(census, model, epochs=1)
    first = census.run
    fit(census, model, epochs=2)
    assert census.run.last_epoch == 2
    assert {run.run_id for run in RunStore(tmp_path / "runs")} == {first.run_id, census.run.run_id}


@pytest.mark.slow
def test_every_second_epoch_is_observed():
    census = Census(X[:20], every=2)
    history = fit(census, epochs=5).history
    run = census.run
    assert run.last_epoch == 2
    assert [e.train_loss for e in run.record.epochs[1:]] == history["loss"][1::2]
    assert run.record.outside.every == 2


@pytest.mark.parametrize(("keep", "epochs"), [("last", [2]), ("every", [0, 1, 2]), ("none", [])])
def test_the_weights_of_the_epochs_that_are_wanted_are_kept(keep, epochs):
    census = Census(X[:20], keep_weights=keep)
    fit(census, epochs=2)
    assert census.run.kept_epochs == epochs


def test_only_the_layers_that_are_wanted_are_observed():
    census = Census.of(network(), X[:20], layers=["two"])
    assert census.run.layout.widths == (4,)
    assert census.layers().layer.tolist() == [1]


@pytest.mark.slow
def test_a_failure_within_the_census_is_one_warning_and_the_training_goes_on():
    census = Census(X[:20])

    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                census._observer._program = lambda x: 1 / 0

    with pytest.warns(UserWarning, match="The census stopped") as told:
        history = fit(census, epochs=4, callbacks=[Break()])
    assert [str(one.message) for one in told] == [
        "The census stopped, and the training goes on: ZeroDivisionError: division by zero"
    ]
    assert len(history.history["loss"]) == 4
    assert (census.run.status, census.run.last_epoch) == ("interrupted", 1)


class Stop(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1

    def on_train_batch_end(self, batch, logs=None):
        if self.epochs == 2:
            raise KeyboardInterrupt


def test_a_training_that_the_user_stops_is_an_interrupted_run_with_its_weights():
    census = Census(X[:20])
    with pytest.raises(KeyboardInterrupt):
        fit(census, epochs=5, callbacks=[Stop()])
    assert (census.run.status, census.run.last_epoch) == ("interrupted", 2)
    assert census.run.kept_epochs == [2]


@pytest.mark.slow
def test_in_training_the_run_is_running():
    census, seen = Census(X[:20]), []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((census.run.status, census.run.last_epoch))

    fit(census, epochs=2, callbacks=[Look()])
    assert seen == [("running", 1), ("running", 2)]
    assert census.run.status == "finished"


def test_a_network_whose_weights_are_nan_has_diverged():
    model = network()
    model.get_layer("one").set_weights([np.full((6, 8), np.nan), np.zeros(8)])
    assert Census.of(model, X[:20]).run.status == "diverged"


# Bad input: one sentence, before anything is trained.


def linear():
    return of([dense(3), dense(2)])


@pytest.mark.parametrize(
    ("model", "probe", "choices", "words"),
    [
        (lambda: None, X, {}, "The model must be a Keras model, not a NoneType."),
        (lambda: "m.keras", X, {}, "The model must be a Keras model, not a str."),
        (
            *(lambda: keras.Sequential([layers.Dense(2)], name="new"), X, {}),
            "The model 'new' must be built: call it once on some inputs, or model.build(shape).",
        ),
        (linear, X, {}, "The model must have a hidden layer with an activation function."),
        (
            *(lambda: of([layers.GRU(3, name="gru"), dense(2)], (5, 6)), numbers(4, 5, 6), {}),
            "The model must have a hidden layer with an activation function. gru: its activation "
            "functions act within a loop over time.",
        ),
        (
            *(network, X, {"layers": ["three"]}),
            "There is no layer 'three' to observe. Choose from: one, two.",
        ),
        (network, X, {"layers": []}, "layers must be names of layers, such as ['dense'], not []."),
        (network, X, {"every": 0}, "every must be a whole number from 1 to 10,000, not 0."),
        (network, X, {"every": True}, "every must be a whole number from 1 to 10,000, not True."),
        (
            *(network, X, {"batch_size": 0}),
            "batch_size must be a whole number from 1 to 1,000,000, not 0.",
        ),
        (network, X, {"keep_weights": "all"}, "keep_weights must be last, every, none, not 'all'."),
        (network, X, {"seed": -1}, "seed must be a whole number from 0 to 4,294,967,295, not -1."),
        (network, X, {"store": 5}, "The store must be a folder, such as 'runs', not 5."),
        (network, X, {"name": 5}, "name must be a text of at most 200 characters, not 5."),
        (network, X[:, :5], {}, "does not take the probe, inputs of shape (5,): ValueError: Input"),
        (network, {"a": X, "b": X}, {}, "does not take the probe, inputs of shape (6,) and (6,): "),
    ],
)
def test_what_cannot_be_observed_is_refused_in_one_sentence(model, probe, choices, words):
    with pytest.raises(InputError) as refused:
        Census.of(model(), probe, **choices)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_census_that_cannot_be_taken_is_refused_before_the_first_step():
    model = network()
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises(InputError, match="does not take the probe"):
        fit(Census(X[:, :5]), model)
    assert [w.tobytes() for w in model.get_weights()] == before


def test_before_fit_there_is_nothing_to_see():
    with pytest.raises(RunError, match="Nothing was observed yet"):
        _ = Census(X).run


def test_another_backend_of_keras_is_refused_in_one_sentence(monkeypatch):
    model = network()
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(InputError) as refused:
        Census.of(model, X)
    assert str(refused.value) == (
        "Keras was loaded with the backend 'jax', and the lab trains with TensorFlow's: restart "
        "Python with the environment variable KERAS_BACKEND set to tensorflow."
    )
