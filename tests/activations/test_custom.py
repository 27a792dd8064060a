"""A user's own activation function: registered, refused, told apart, trained, kept and read."""

import functools
import json
import math
import re
import shutil
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest

import lab
from lab import RunConfig, RunStore
from lab.activations import custom, registry
from lab.errors import InputError, LabError, RunError
from lab.studies.study import plan
from lab.system.machine import load_tensorflow

tf = load_tensorflow()
import keras  # noqa: E402

slope, table = 0.25, np.linspace(0, 1, 5)


def bent(z):
    return tf.where(z > 0, z, slope * z)


def folded(z):
    return bent(z) - bent(-z)


def test_three_lines_make_a_function_known_by_name_value_and_gate():
    swoosh = lab.register("swoosh", lambda z: z * tf.sigmoid(2 * z))
    assert registry.names()[-1] == "swoosh"
    z = np.array([-1.0, 0.0, 3.0])
    expected = z / (1 + np.exp(-2 * z))
    np.testing.assert_allclose(swoosh.function(z, 0.0), expected, rtol=1e-6)
    assert swoosh.derivative(z, 0.0)[1] == pytest.approx(0.5)
    assert swoosh.largest_gate(None) == pytest.approx(1.0998393, rel=1e-6)  # As SiLU's.
    assert RunConfig(activation="swoosh").title == f"swoosh #{swoosh.source_sha256[:4]}"


def test_the_same_function_registered_again_is_the_one_that_is_known():
    assert lab.register("bent", bent) is lab.register("bent", bent)


def test_another_function_of_the_name_takes_its_place_and_is_another_setting():
    lab.register("mine", lambda z: tf.nn.relu(z))
    before = RunConfig(activation="mine")
    lab.register("mine", lambda z: tf.nn.relu6(z))
    assert RunConfig(activation="mine") != before
    with pytest.raises(InputError, match="'mine' is registered here with another source"):
        _ = before.function


def test_a_changed_value_outside_makes_another_function(monkeypatch):
    first = lab.register("folded", folded).source_sha256
    monkeypatch.setattr(sys.modules[__name__], "slope", 0.5)
    assert lab.register("folded", folded).source_sha256 != first


def test_a_value_changed_after_registration_does_not_reach_the_function(monkeypatch):
    registered = lab.register("folded", folded)
    at = np.array([-2.0, 1.0])
    before = registered.function(at, 0.0)
    monkeypatch.setattr(sys.modules[__name__], "slope", 0.9)
    np.testing.assert_array_equal(registered.function(at, 0.0), before)
    np.testing.assert_allclose(before, [-1.5 * 1.0 + 0.0 - 1.0, 1.25], rtol=1e-6)


def test_functions_made_in_a_loop_keep_the_value_they_were_made_with():
    for k in (0.1, 0.2):
        lab.register(f"leak{int(10 * k)}", lambda z: tf.where(z > 0, z, k * z))  # noqa: B023
    at = np.array([-1.0])
    assert registry.get("leak1").function(at, 0.0)[0] == pytest.approx(-0.1)
    assert registry.get("leak2").function(at, 0.0)[0] == pytest.approx(-0.2)


def test_a_library_function_can_be_registered():
    assert lab.register("softsign", tf.nn.softsign).largest_gate(None) == 1.0


@pytest.mark.slow
def test_functions_put_together_are_never_taken_for_one_another():
    def p(z):
        return tf.tanh(z)

    def q(z):
        return 2.0 * z + p(z)

    def compose(f, g):
        def both(z):
            return f(g(z))

        return both

    at, kept = np.array([1.0]), {}
    for name, function in {
        "pq": compose(p, q),
        "qp": compose(q, p),
        "ppq": compose(p, compose(p, q)),
    }.items():
        try:
            kept[name] = lab.register("mine", function).function(at, 0.0)[0]
        except InputError:
            continue
    pq = np.tanh(2 + np.tanh(1))
    right = {"pq": pq, "qp": 2 * np.tanh(1) + np.tanh(np.tanh(1)), "ppq": np.tanh(pq)}
    assert kept
    assert all(kept[name] == pytest.approx(right[name], rel=1e-5) for name in kept)


CHANGED_HELPER = """
    import pathlib
    import lab, helper

    lab.register("first", helper.bump)
    pathlib.Path("helper.py").write_text(
        "import tensorflow as tf\\ndef bump(z):\\n    return tf.nn.relu(z)\\n"
    )
    import linecache

    linecache.clearcache()
    lab.register("second", helper.bump)
"""
BY_ATTRIBUTE = """
    import lab, helper

    lab.register("mine", lambda z: helper.bump(z))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "words"),
    [
        (CHANGED_HELPER, "The source of second that can be read is not what was given"),
        (BY_ATTRIBUTE, "helper is of the type module. .* import the function itself"),
    ],
)
def test_a_source_that_is_not_what_runs_is_refused(script, words, tmp_path):
    (tmp_path / "helper.py").write_text(
        "import tensorflow as tf\ndef bump(z):\n    return tf.tanh(z)\n"
    )
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert re.search(words, ended.stderr.splitlines()[-1]), ended.stderr


def test_a_function_that_only_some_places_can_use_is_refused():
    def wrapped(z):
        return tf.identity(z)[:, :]

    with pytest.raises(InputError, match="must work on a whole float32 tensor"):
        lab.register("mine", wrapped)


def test_a_gradient_given_in_slices_is_a_gradient():
    assert lab.register("mine", lambda z: tf.gather(z, tf.range(tf.shape(z)[0]))).source


def test_a_source_that_cannot_be_kept_is_refused():
    def odd(z):
        return tf.nn.relu(z)  # a​b

    with pytest.raises(InputError, match="The source of mine cannot be kept with its runs"):
        lab.register("mine", odd)


class Bent:
    def __call__(self, z):
        return bent(z)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda z: tf.nn.softmax(z), "must be elementwise"),
        (lambda z: z - tf.reduce_mean(z), "must be elementwise"),
        (lambda z: tf.cumsum(z), "must be elementwise"),
        (lambda z: z * tf.random.uniform(tf.shape(z)), "must be elementwise"),
        (lambda z: z + tf.range(32, dtype=tf.float32), "must"),
        (lambda z: tf.reduce_sum(z), r"of the shape of z, .* not float32 of shape \(\)"),
        (lambda z: tf.cast(z, tf.float64), "must return a float32 tensor .* not float64"),
        (lambda z: tf.cast(z > 0, tf.int32), "must return a float32 tensor .* not int32"),
        (lambda z: 1.0, "must return a tensor, not a float"),
        (lambda z: None, "must return a tensor, not a NoneType"),
        (lambda z: z / z, r"at z = 0 they are not finite"),
        (lambda z: tf.math.log(z), r"at z = 0 they are not finite"),
        (lambda z: tf.sqrt(tf.abs(z)), r"at z = 0 they are not finite"),
        (lambda z: z * tf.math.log(z + 2), r"at z = -\d"),
        (lambda z: tf.stop_gradient(z), "must have a gradient"),
        (lambda z: 0.0 * z, "must have a gradient"),
        (lambda z: z if z > 0 else 0 * z, "tf.where in place of if"),
        (lambda z: math.exp(z) + z, "tf.exp in place of math.exp"),
        (lambda: 1, "it failed with TypeError"),
        (lambda z: table[0] * z, "table is of the type ndarray. Write it as a plain number"),
        (max, "must be a function, made with def or lambda"),
        ("relu", "must be a function, made with def or lambda, not 'relu'"),
        (Bent(), r"not an object of the class Bent\. Write what it .* def mine\(z\): return tf\."),
        (Bent().__call__, r"not an object of the class method\. Write"),
        (functools.partial(Bent(), a=1.0), r"not an object of the class partial\. Write"),
        (keras.layers.PReLU(), r"class PReLU\. .* Keras's layers Activation, ELU, "),
        (keras.layers.Dropout(0.5), r"class Dropout\. .* Keras's layers Activation, ELU, "),
        (tf.function(bent), "leave @tf.function away"),
    ],
)
def test_what_does_not_do_is_refused_in_a_sentence_and_not_registered(function, words):
    with pytest.raises(InputError, match=words):
        lab.register("mine", function)
    assert "mine" not in registry.names()


@pytest.mark.parametrize(
    "name", ["relu", "", 3, None, "Mine", "my fn", "1x", "a-b", "x" * 41, "../x", "é"]
)
def test_a_name_that_is_taken_or_not_plain_is_refused(name):
    with pytest.raises(InputError, match="name must be 1 to 40 small letters"):
        lab.register(name, bent)


def test_a_function_without_a_source_is_refused():
    scope = {"tf": tf}
    exec("def unseen(z): return tf.nn.relu(z)", scope)
    with pytest.raises(InputError, match="source of unseen cannot be read"):
        lab.register("mine", scope["unseen"])


@pytest.mark.slow
def test_an_unbounded_slope_has_no_largest_gate():
    def steep_at_1(z):
        return tf.where(z >= 1, tf.sqrt(tf.where(z >= 1, z - 1, 1.0)), 0.1 * z)

    assert math.isnan(lab.register("square", lambda z: z * z).largest_gate(None))
    assert math.isnan(lab.register("grows", lambda z: z * tf.math.log1p(z * z)).largest_gate(None))
    assert math.isnan(lab.register("steep", steep_at_1).largest_gate(None))


@pytest.mark.slow
def test_a_bounded_slope_has_one_though_it_comes_near_slowly_or_exp_overflows():
    def slow(z):
        return 0.5 * (z + tf.sqrt(z * z + 4))

    assert lab.register("slow", slow).largest_gate(None) == pytest.approx(1, abs=1e-3)
    with pytest.warns(UserWarning, match="overflows from z = 45 on"):
        overflows = lab.register("over", lambda z: tf.math.log(1 + tf.exp(2 * z)) / 2)
    assert overflows.largest_gate(None) == pytest.approx(1, abs=1e-3)


# The largest number of float32 is exp(88.72): from there on exp is infinite.
@pytest.mark.parametrize(
    ("function", "where"),
    [
        (lambda z: tf.where(z > 0, z, tf.exp(z) - 1), "from z = 89 on"),  # ELU
        (lambda z: z / (1 + tf.exp(-z)), "from z = -89 down"),  # SiLU
        (
            lambda z: (tf.exp(z) - tf.exp(-z)) / (tf.exp(z) + tf.exp(-z)),  # tanh
            "from z = -89 down and from z = 89 on",
        ),
        (lambda z: tf.sqrt(z + 99.5), "from z = -100 down"),
        *(
            pytest.param(function, where, marks=pytest.mark.slow)
            for function, where in (
                (lambda z: tf.exp(z), "from z = 89 on"),
                (lambda z: tf.math.log(1 + tf.exp(z)), "from z = 89 on"),  # softplus
                (lambda z: z * tf.tanh(tf.math.log(1 + tf.exp(z))), "from z = 89 on"),  # Mish
                (lambda z: 1 / (1 + tf.exp(-z)), "from z = -89 down"),  # sigmoid
                (lambda z: z / (1 + tf.exp(-1.702 * z)), "from z = -53 down"),  # GELU by a sigmoid
            )
        ),
    ],
)
def test_a_function_that_overflows_is_registered_with_a_line_that_says_where(function, where):
    with pytest.warns(UserWarning, match="overflows") as told:
        lab.register("mine", function)
    assert [str(warning.message) for warning in told] == [
        f"mine is registered, but in float32 its value or slope overflows {where}, and a run "
        f"whose neurons reach it diverges. Clamp z inside tf.where, as in "
        f"tf.where(z > 0, z, tf.math.expm1(tf.minimum(z, 0.0))), or use what TensorFlow has, "
        f"such as tf.nn.softplus, tf.sigmoid and tf.tanh."
    ]
    assert told[0].filename == __file__
    assert "mine" in registry.names()


@pytest.mark.parametrize(
    "function",
    [
        lambda z: tf.where(z > 0, z, tf.math.expm1(tf.minimum(z, 0.0))),
        lambda z: 0.5 * z * (1 + tf.math.erf(z / 1.4142135)),  # GELU
        lambda z: 1 / (z - 50.0),  # Infinite in one place, and in no other.
        *(
            pytest.param(function, marks=pytest.mark.slow)
            for function in (
                lambda z: tf.where(z > 0, z, tf.exp(tf.minimum(z, 0.0)) - 1),
                lambda z: z * tf.tanh(tf.nn.softplus(z)),
                lambda z: 0.5 * z * (1 + tf.tanh(0.7978846 * (z + 0.044715 * z**3))),  # by tanh
                lambda z: z**4,
            )
        ),
    ],
)
def test_a_function_that_does_not_overflow_is_registered_without_a_word(function):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lab.register("mine", function).overflows is None


@pytest.mark.parametrize("built_in", registry._BUILT_IN, ids=lambda one: one.name)
@pytest.mark.parametrize("parameter", [None, -1000.0, 1000.0])
def test_no_built_in_function_overflows(built_in, parameter):
    number = built_in.default if built_in.parameter is None or parameter is None else parameter
    assert custom._overflows("it", lambda z: built_in.on_tensors(z, number or 0.0)) is None


def textbook_elu(z):
    return tf.where(z > 0, z, tf.exp(z) - 1)


@pytest.mark.slow
def test_a_run_that_diverged_says_that_its_own_function_overflowed(tiny):
    with pytest.warns(UserWarning, match="overflows from z = 89 on"):
        lab.register("textbook", textbook_elu)
    settings = {"hidden": (12,), "epochs": 1, "first_bias": 100.0}
    lost, kept = lab.compare(["textbook", "elu"], 1, tiny, **settings)
    assert kept.layer(1).min_z[0].min() > 89  # Finite, as all that the built-in one makes of it.
    assert kept.status == "finished"
    assert lost.divergence == (
        "Diverged in epoch 1: layer 1 was the first whose neurons went non-finite, in epoch 0. "
        "Its function overflowed: in float32 value or slope is not finite from z = 89 on."
    )


@pytest.mark.slow
def test_where_a_function_overflows_is_recorded_and_read(tiny):
    with pytest.warns(UserWarning, match="overflows from z = 89 on"):
        lab.register("textbook", textbook_elu)
    settings = {"hidden": (4,), "epochs": 1}
    with_limits, without = lab.compare("textbook", 2, tiny, **settings)
    assert with_limits.record.own_activation.overflows == (-math.inf, 89.0)
    path = without.folder / "run.json"
    raw = json.loads(path.read_text())
    assert raw["own_activation"].pop("overflows") == ["-Infinity", 89.0]
    path.write_text(json.dumps(raw))  # As a version wrote it that did not look.
    store = RunStore()
    assert store[without.run_id].record.own_activation.overflows is None
    raw["own_activation"]["overflows"] = ["NaN", 89.0]
    path.write_text(json.dumps(raw))
    assert "run.json has a wrong own_activation.overflows" in RunStore().refused[without.run_id]


@pytest.mark.slow
def test_the_record_of_a_function_that_does_not_overflow_is_as_it_always_was(trained):
    raw = json.loads((trained[0].folder / "run.json").read_text())
    assert set(raw["own_activation"]) == {"source", "sup_gate"}


PAIR, SMALL = ["bent", "leaky_relu=0.25"], {"hidden": (12,), "epochs": 2, "batch_size": 20}


@pytest.fixture(scope="module")
def recorded(tiny, tmp_path_factory):
    """The function as it was registered once, and the folder of the runs of it and of its equal."""
    store = RunStore(tmp_path_factory.mktemp("own") / "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
        known = lab.register("bent", bent)
        lab.compare(PAIR, 1, tiny, store, **SMALL)
    return known, store.path


@pytest.fixture
def trained(recorded, tiny):
    known, folder = recorded
    registry.add(known)
    shutil.copytree(folder, RunStore().path)
    return list(lab.compare(PAIR, 1, tiny, **SMALL))


def test_an_own_function_trains_to_the_bits_of_the_built_in_one_that_it_equals(trained):
    own, built_in = trained
    for mine, theirs in zip(own.weights(), built_in.weights(), strict=True):
        assert mine.tobytes() == theirs.tobytes()
    assert own.layer(1).mean_gate.tobytes() == built_in.layer(1).mean_gate.tobytes()
    assert own.record.test_loss == built_in.record.test_loss


def test_its_model_is_a_keras_model_with_that_function(trained, tiny):
    model = trained[0].model()
    x = tiny.x_test.astype("float32") / 255
    theirs = trained[1].model()
    np.testing.assert_allclose(model.predict(x, verbose=0), theirs.predict(x, verbose=0), 1e-5)


@pytest.mark.parametrize("ending", ["keras", pytest.param("h5", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "function",
    [
        lambda z: z * tf.sigmoid(2 * z),
        *(
            pytest.param(function, marks=pytest.mark.slow)
            for function in (
                bent,
                functools.partial(tf.nn.leaky_relu, alpha=0.3),
                keras.layers.LeakyReLU(0.3),
                tf.nn.softsign,
            )
        ),
    ],
)
def test_its_model_is_saved_and_loads_with_the_function_it_was_given(
    function, ending, tiny, tmp_path
):
    lab.register("swoosh", function)
    runs = lab.compare("swoosh", 1, tiny, hidden=(12, 8), epochs=1, batch_size=20)
    model, path = runs[0].model(), tmp_path / f"x.{ending}"
    model.save(path)
    loaded = keras.models.load_model(path, custom_objects={"swoosh": function})
    x = tiny.x_test.astype("float32") / 255
    assert model.predict(x, verbose=0).std() > 0
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.slow
def test_an_unbounded_function_is_nan_where_measures_compare_with_the_largest_gate(tiny):
    lab.register("square", lambda z: z * z)
    runs = lab.compare("square", 1, tiny, hidden=(12,), epochs=1, batch_size=20)
    layers, every = runs.layers(), runs.units()
    assert layers["nearly_dead_fraction"].isna().all()
    assert layers["saturated_fraction"].isna().all()
    assert every[["nearly_dead", "saturated", "shut"]].isna().all(axis=None)
    assert (layers["dead_fraction"] == 0).all()
    assert math.isnan(runs.summary()["nearly_dead"][0][0])


def test_a_recorded_run_is_loaded_and_another_function_of_the_name_is_another_run(trained, tiny):
    assert plan("bent", 1, tiny, **SMALL).missing() == []
    lab.register("bent", lambda z: tf.maximum(z, 0.5 * z))
    assert len(plan("bent", 1, tiny, **SMALL).missing()) == 1


@pytest.mark.slow
def test_a_store_with_an_own_function_is_read_where_it_is_not_registered(trained, monkeypatch):
    monkeypatch.delitem(registry._REGISTRY, "bent")
    store = RunStore()
    assert store.refused == {}
    runs = store.runs
    assert sorted(runs.layers()["activation"].unique()) == ["bent", "leaky_relu"]
    own = store["bent"]
    assert own.layer(1).sup_gate == 1.0
    assert set(runs.summary()["activation"]) == {own.config.title, "Leaky ReLU α=0.25"}
    with pytest.raises(RunError) as refused:
        own.model()
    assert str(refused.value) == (
        "The activation function 'bent' is not registered here. Register the one of this run "
        "first: lab.register('bent', function). Its recorded source:\n"
        "from __future__ import annotations\nslope = 0.25\nimport tensorflow as tf\n"
        "def bent(z):\n    return tf.where(z > 0, z, slope * z)"
    )


def test_a_record_whose_source_was_changed_is_refused(trained):
    path = trained[0].folder / "run.json"
    path.write_text(path.read_text().replace("slope = 0.25", "slope = 0.35"))
    assert "source of its activation function" in RunStore().refused[trained[0].run_id]


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "relu", "source_sha256": "0" * 64},
        {"activation": "mine", "parameter": 1.0, "source_sha256": "0" * 64},
        {"activation": "../mine", "source_sha256": "0" * 64},
        {"activation": "mine", "source_sha256": "x"},
        {"activation": "mine"},
    ],
)
def test_settings_that_only_claim_an_own_function_are_refused(settings):
    with pytest.raises(InputError):
        RunConfig(**settings)


def test_training_one_that_is_not_registered_is_refused_before_any_work(tiny):
    config = RunConfig(activation="mine", source_sha256="0" * 64, hidden=(4,), epochs=1)
    with pytest.raises(LabError, match="'mine' is not registered here"):
        lab.RunStore().writer(config, tiny)


@pytest.mark.slow
def test_it_is_read_without_loading_tensorflow(trained):
    script = f"""
        import sys, lab
        runs = lab.RunStore({str(trained[0].folder.parent)!r}).runs
        assert len(runs.layers()) == 6 and len(runs.summary()) == 2
        assert "tensorflow" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
