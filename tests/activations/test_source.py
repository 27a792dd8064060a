"""A user's own function as text: found where it stands, with all that it takes from outside."""

import functools
import math
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import lab
from lab.activations.custom import register_source
from lab.activations.source import source_of
from lab.errors import InputError
from lab.system.machine import load_tensorflow

tf = load_tensorflow()
import keras  # noqa: E402

slope = 0.25
PAIR = {"relu_of_mine": lambda z: tf.nn.relu(z), "wave": lambda z: tf.sin(z)}
LEAKS = {f"leak{i}": lambda z, a=i / 10: tf.where(z > 0, z, a * z) for i in (1, 2)}


def bent(z):
    return tf.where(z > 0, z, slope * z)


def folded(z):
    return bent(z) - bent(-z)


def leaky(z, a):
    return tf.where(z > 0, z, a * z)


def text(name, function):
    """The lines of a source, but the first, which all have."""
    first, *lines = source_of(name, function).split("\n")
    assert first == "from __future__ import annotations"
    return lines


def values(name, function, z):
    """Registers a function here, and once more by its source alone; both must be of these."""
    at = np.array(z)
    registered = lab.register(name, function)
    again = register_source(name, registered.source)
    assert again.source == registered.source
    made = {}
    exec(registered.source, made)
    np.testing.assert_array_equal(made[name](tf.constant(at, tf.float32)), again.function(at, 0.0))
    return again.function(at, 0.0).tolist()


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


def test_each_lambda_of_a_line_is_found_by_its_position():
    assert [text(name, function)[-1] for name, function in PAIR.items()] == [
        "relu_of_mine = lambda z: tf.nn.relu(z)",
        "wave = lambda z: tf.sin(z)",
    ]
    assert values("relu_of_mine", PAIR["relu_of_mine"], [-2.0, 3.0]) == [0.0, 3.0]
    assert values("wave", PAIR["wave"], [-2.0, 3.0]) == pytest.approx([-math.sin(2), math.sin(3)])


def test_two_statements_on_one_line_are_told_apart():
    é = lambda z: tf.nn.relu(z); two = lambda z: tf.nn.elu(z)  # noqa: E702, E731  # fmt: skip
    assert text("one", é)[-1] == "one = lambda z: tf.nn.relu(z)"
    assert text("two", two)[-1] == "two = lambda z: tf.nn.elu(z)"


def test_a_lambda_in_a_lambda_is_told_from_the_one_around_it():
    def made(f):
        return f(2.0)

    inner = made(lambda k: lambda z: k * z)
    assert text("inner", inner) == ["k = 2.0", "inner = lambda z: k * z"]
    outer = lambda z: (lambda y: slope * y)(z)  # noqa: E731
    assert text("outer", outer) == ["slope = 0.25", "outer = lambda z: (lambda y: slope * y)(z)"]


def test_a_lambda_of_several_lines_in_a_call_is_found_whole():
    def same(_, function):
        return function

    # fmt: off
    wavy = same("wavy",
                lambda z: z
                * tf.sigmoid(z))
    # fmt: on
    assert text("wavy", wavy)[-2:] == ["wavy = (lambda z: z", "* tf.sigmoid(z))"]
    assert values("wavy", wavy, [1.0]) == pytest.approx([1 / (1 + math.exp(-1))])


def test_a_lambda_of_several_lines_loses_the_indent_of_its_statement():
    # fmt: off
    within = lambda z: tf.where(  # noqa: E731
        z > 0, z, slope * z
    )
    # fmt: on
    assert text("within", within)[-3:] == [
        "within = lambda z: tf.where(  # noqa: E731",
        "    z > 0, z, slope * z",
        ")",
    ]
    # fmt: off
    listed = [
        lambda z: tf.nn.elu(
            z
        ),
    ]
    # fmt: on
    assert text("listed", listed[0])[-3:] == ["listed = lambda z: tf.nn.elu(", "    z", ")"]


def test_where_python_keeps_no_columns_two_lambdas_on_a_line_are_refused(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            from lab.activations.source import source_of
            one = lambda z: z + slope
            two = lambda z: 2 * z; three = lambda z: 3 * z
            slope = 0.5
            print(source_of("one", one))
            source_of("two", two)
        """)
    )
    python = [sys.executable, "-X", "no_debug_ranges", script]
    ended = subprocess.run(python, capture_output=True, text=True)
    assert ended.stdout.splitlines()[1:] == ["slope = 0.5", "one = lambda z: z + slope"]
    assert "must be the only one on its line" in ended.stderr.splitlines()[-1]


def test_a_default_of_a_loop_is_the_value_that_the_function_was_made_with():
    assert text("leak1", LEAKS["leak1"])[-1] == (
        "leak1 = lambda z, a=0.1: tf.where(z > 0, z, a * z)"
    )
    assert values("leak1", LEAKS["leak1"], [-1.0, 2.0]) == pytest.approx([-0.1, 2.0])
    assert values("leak2", LEAKS["leak2"], [-1.0, 2.0]) == pytest.approx([-0.2, 2.0])


def test_a_default_of_the_same_name_is_bound_to_its_value_whatever_came_of_the_name_since():
    made = [lambda z, a=a, *, b=a + 1: a * b * z for a in (0.5, 2.0)]
    assert text("mine", made[0]) == ["a = 0.5", "mine = lambda z, a=a, *, b=1.5: a * b * z"]
    assert values("mine", made[0], [1.0]) == [0.75]
    assert values("mine", made[1], [1.0]) == [6.0]


def test_a_default_whose_name_the_function_uses_for_another_value_is_written_out(monkeypatch):
    shifted = lambda z, a=slope: a * z + slope  # noqa: E731
    before = text("shifted", shifted)
    assert before == ["slope = 0.25", "shifted = lambda z, a=slope: a * z + slope"]
    monkeypatch.setattr(sys.modules[__name__], "slope", 2.0)
    assert text("shifted", shifted) == ["slope = 2.0", "shifted = lambda z, a=0.25: a * z + slope"]
    assert values("shifted", shifted, [4.0]) == [3.0]


def test_a_default_of_a_def_can_be_a_value_of_a_dict_or_a_function_of_a_list():
    settings, functions = {"a": 3.0}, [bent, tf.nn.relu]

    def taken(z, a=settings["a"], f=functions[1]):
        return a * f(z)

    assert text("taken", taken)[-2:] == ["def taken(z, a=3.0, f=f):", "    return a * f(z)"]
    assert values("taken", taken, [-1.0, 2.0]) == [0.0, 6.0]


@pytest.mark.slow
def test_a_partial_of_a_plain_function_is_written_with_its_values():
    assert text("mine", functools.partial(leaky, a=0.2))[-3:] == [
        "_mine = leaky",
        "import functools",
        "mine = functools.partial(_mine, a=0.2)",
    ]
    assert values("mine", functools.partial(leaky, a=0.2), [-1.0, 2.0]) == pytest.approx([-0.2, 2])
    first = functools.partial(lambda a, z: a * z, np.float32(0.5))
    assert values("half", first, [3.0]) == [1.5]
    library = functools.partial(tf.nn.leaky_relu, alpha=0.5)
    assert values("library", library, [-3.0]) == [-1.5]


def test_a_partial_can_be_a_helper_too():
    steep = functools.partial(leaky, a=0.5)
    twice = lambda z: 2 * steep(z)  # noqa: E731
    assert values("twice", twice, [-1.0, 1.0]) == [-1.0, 2.0]


def test_a_partial_with_what_is_no_plain_value_is_refused():
    with pytest.raises(InputError, match=r"a is of the type ndarray\. Write it as a plain number"):
        source_of("mine", functools.partial(leaky, a=np.ones(3)))


@pytest.mark.slow
def test_keras_layers_without_weights_are_written_with_their_settings():
    assert text("mine", keras.layers.LeakyReLU(0.25)) == [
        "import keras",
        "mine = keras.layers.LeakyReLU(negative_slope=0.25, dtype='float32')",
    ]
    z = [-1.0, 0.5, 7.0]
    assert values("leaking", keras.layers.LeakyReLU(0.25), z) == [-0.25, 0.5, 7.0]
    assert values("capped", keras.layers.ReLU(max_value=6), z) == [0.0, 0.5, 6.0]
    elu = [2 * math.expm1(-1), 0.5, 7.0]
    assert values("elu_2", keras.layers.ELU(alpha=2.0), z) == pytest.approx(elu)
    assert values("bent", keras.layers.Activation(bent), z) == [-0.25, 0.5, 7.0]
    tanh = [math.tanh(x) for x in z]
    assert values("named", keras.layers.Activation("tanh"), z) == pytest.approx(tanh)


def test_a_keras_layer_can_be_a_helper_too():
    layer = keras.layers.LeakyReLU(0.5)

    def around(z):
        return layer(z) + 1.0

    assert values("around", around, [-1.0, 1.0]) == [0.5, 2.0]
