"""A user's own activation function: registered, refused, told apart, trained, kept and read."""

import math
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import lab
from lab import RunConfig, RunStore, activations
from lab.custom import source_of
from lab.errors import InputError, LabError, RunError
from lab.machine import load_tensorflow
from lab.studies import plan

tf = load_tensorflow()
slope, table = 0.25, np.linspace(0, 1, 5)


def bent(z):
    return tf.where(z > 0, z, slope * z)


def folded(z):
    return bent(z) - bent(-z)


def test_three_lines_make_a_function_known_by_name_value_and_gate():
    swoosh = lab.register("swoosh", lambda z: z * tf.sigmoid(2 * z))
    assert activations.names()[-1] == "swoosh"
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


def test_the_source_is_python_that_makes_the_function_with_all_it_takes_from_outside():
    assert source_of("mine", folded).split("\n") == [
        "from __future__ import annotations",
        "slope = 0.25",
        "import tensorflow as tf",
        "def bent(z):",
        "    return tf.where(z > 0, z, slope * z)",
        "def folded(z):",
        "    return bent(z) - bent(-z)",
        "mine = folded",
    ]


def test_a_lambda_is_kept_as_an_assignment():
    make = lambda z: tf.nn.relu(z) - 0.5  # noqa: E731
    assert source_of("mine", make).split("\n")[1:] == [
        "import tensorflow as tf",
        "mine = lambda z: tf.nn.relu(z) - 0.5",
    ]


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
    assert activations.get("leak1").function(at, 0.0)[0] == pytest.approx(-0.1)
    assert activations.get("leak2").function(at, 0.0)[0] == pytest.approx(-0.2)


def test_enclosing_variables_and_defaults_are_part_of_the_source():
    def make(height, step=1.0):
        def capped(z, low=-2.0):
            return tf.clip_by_value(z, low, height * step)

        return capped

    sources = {source_of("m", make(*values)) for values in [(2.0,), (3.0,), (2.0, 0.5)]}
    assert len(sources) == 3
    assert "height = 2.0" in source_of("m", make(2.0))


def test_a_value_used_in_an_inner_function_is_part_of_the_source():
    def outer(z):
        return (lambda y: slope * y)(z)

    assert "slope = 0.25" in source_of("outer", outer)


def test_a_library_function_is_named_and_not_unrolled():
    assert "from tensorflow" in source_of("softsign", tf.nn.softsign)
    assert lab.register("softsign", tf.nn.softsign).largest_gate(None) == 1.0


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


CUT_OFF = """
    import tensorflow as tf
    import lab

    lab.register("wavy", lambda z: z)
    lab.register(
        "wavy",
        lambda z: z
        * tf.sigmoid(z),
    )
"""
MULTI_LINE = """
    import tensorflow as tf
    import lab

    lab.register(
        "wavy",
        lambda z: z
        * tf.sigmoid(z),
    )
"""
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


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (MULTI_LINE, "The source of (wavy|<lambda>)"),
        (CUT_OFF, "The source of (wavy|<lambda>)"),
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
    if ended.returncode == 0:  # Python 3.13 reads lambdas of several lines whole.
        assert script in (MULTI_LINE, CUT_OFF)
        assert sys.version_info >= (3, 13)
    else:
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
    ],
)
def test_what_does_not_do_is_refused_in_a_sentence_and_not_registered(function, words):
    with pytest.raises(InputError, match=words):
        lab.register("mine", function)
    assert "mine" not in activations.names()


@pytest.mark.parametrize(
    "name", ["relu", "", 3, None, "Mine", "my fn", "1x", "a-b", "x" * 41, "../x", "é"]
)
def test_a_name_that_is_taken_or_not_plain_is_refused(name):
    with pytest.raises(InputError, match="name must be 1 to 40 small letters"):
        lab.register(name, bent)


def test_two_lambdas_in_one_statement_are_refused_because_their_sources_are_alike():
    pair = [lambda z: tf.nn.relu(z), lambda z: tf.nn.elu(z)]
    with pytest.raises(InputError, match="must be the only one on its line"):
        lab.register("mine", pair[0])


def test_two_lambdas_on_one_line_are_refused_for_the_same_reason():
    one = lambda z: tf.nn.relu(z); two = lambda z: tf.nn.elu(z)  # noqa: E702, E731  # fmt: skip
    for function in (one, two):
        with pytest.raises(InputError, match="must be the only one on its line"):
            lab.register("mine", function)


def test_a_function_without_a_source_is_refused():
    scope = {"tf": tf}
    exec("def unseen(z): return tf.nn.relu(z)", scope)
    with pytest.raises(InputError, match="source of unseen cannot be read"):
        lab.register("mine", scope["unseen"])


def test_an_unbounded_slope_has_no_largest_gate():
    def steep_at_1(z):
        return tf.where(z >= 1, tf.sqrt(tf.where(z >= 1, z - 1, 1.0)), 0.1 * z)

    assert math.isnan(lab.register("square", lambda z: z * z).largest_gate(None))
    assert math.isnan(lab.register("grows", lambda z: z * tf.math.log1p(z * z)).largest_gate(None))
    assert math.isnan(lab.register("steep", steep_at_1).largest_gate(None))


def test_a_bounded_slope_has_one_though_it_comes_near_slowly_or_exp_overflows():
    def slow(z):
        return 0.5 * (z + tf.sqrt(z * z + 4))

    assert lab.register("slow", slow).largest_gate(None) == pytest.approx(1, abs=1e-3)
    overflows = lab.register("over", lambda z: tf.math.log(1 + tf.exp(2 * z)) / 2)
    assert overflows.largest_gate(None) == pytest.approx(1, abs=1e-3)


@pytest.fixture
def trained(tiny):
    lab.register("bent", bent)
    runs = lab.compare(["bent", "leaky_relu=0.25"], 1, tiny, hidden=(12,), epochs=2, batch_size=20)
    return list(runs)


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
    settings = {"hidden": (12,), "epochs": 2, "batch_size": 20}
    assert plan("bent", 1, tiny, **settings).missing() == []
    lab.register("bent", lambda z: tf.maximum(z, 0.5 * z))
    assert len(plan("bent", 1, tiny, **settings).missing()) == 1


def test_a_store_with_an_own_function_is_read_where_it_is_not_registered(trained, monkeypatch):
    monkeypatch.delitem(activations._REGISTRY, "bent")
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


def test_it_is_read_without_loading_tensorflow(trained):
    script = f"""
        import sys, lab
        runs = lab.RunStore({str(trained[0].folder.parent)!r}).runs
        assert len(runs.layers()) == 6 and len(runs.summary()) == 2
        assert "tensorflow" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
