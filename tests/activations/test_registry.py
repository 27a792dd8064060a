"""Activation functions: against hand values, published moments, TensorFlow and Keras."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import RunConfig
from lab.activations import registry
from lab.errors import InputError
from lab.system.machine import load_tensorflow

E1 = 0.36787944117144233  # exp(-1)
BUILT_IN = [
    *((name, registry.get(name).default) for name in registry.names()),
    ("leaky_relu", 0.3),
    ("leaky_relu", -2.0),
    ("elu", 0.5),
    ("elu", 2.0),
]
GRID = np.concatenate(
    [
        np.linspace(-20, 20, 4001),
        [0.0, -0.0, 1e-30, -1e-30, 1e-6, -1e-6, -86.0, -104.0, -200.0, 1e4, -1e4, 3e38, -3e38],
    ]
).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "parameter", "z", "value", "gate"),
    [
        ("relu", None, -2.0, 0.0, 0.0),
        ("relu", None, 0.0, 0.0, 0.0),
        ("relu", None, 3.0, 3.0, 1.0),
        ("leaky_relu", 0.01, -2.0, -0.02, 0.01),
        ("leaky_relu", 0.01, 0.0, 0.0, 0.01),
        ("leaky_relu", 0.01, 3.0, 3.0, 1.0),
        ("leaky_relu", 0.3, -2.0, -0.6, 0.3),
        ("leaky_relu", -0.5, -2.0, 1.0, -0.5),
        ("elu", 1.0, -1.0, E1 - 1, E1),
        ("elu", 1.0, 0.0, 0.0, 1.0),
        ("elu", 1.0, 2.0, 2.0, 1.0),
        ("elu", 1.0, -1e-9, -1e-9, 1.0),
        ("elu", 1.0, -50.0, -1.0, 1.9287498479639178e-22),
        ("elu", 0.5, -1.0, 0.5 * (E1 - 1), 0.5 * E1),
        ("elu", 2.0, 0.0, 0.0, 2.0),
        ("elu", 1.0, 800.0, 800.0, 1.0),
        ("selu", None, -1.0, -1.1113307378125625, 0.6467686028067773),
        ("selu", None, 0.0, 0.0, 1.0507009873554805 * 1.6732632423543772),
        ("selu", None, 2.0, 2.101401974710961, 1.0507009873554805),
        ("gelu", None, 1.0, 0.8413447460685429, 1.0833154705876863),
        ("gelu", None, -1.0, -0.15865525393145707, -0.08331547058768632),
        ("gelu", None, -10.0, -7.619853024160526e-23, -7.618400096464814e-22),
        ("silu", None, 1.0, 0.7310585786300049, 0.9276705118714867),
        ("silu", None, 0.0, 0.0, 0.5),
        ("silu", None, -40.0, -1.699341702116e-16, -1.6568581595e-16),
        ("mish", None, 0.0, 0.0, 0.6),  # tanh(log 2) = 3/5
        ("mish", None, 1.0, 0.8650983882673103, 1.0490362200997922),
        ("tanh", None, 1.0, 0.7615941559557649, 0.41997434161402614),
        ("tanh", None, -5.0, -0.9999092042625951, 1.8158323094380672e-4),
        ("sigmoid", None, 0.0, 0.5, 0.25),
        ("sigmoid", None, 2.0, 0.8807970779778823, 0.10499358540350662),
        ("sigmoid", None, -800.0, 0.0, 0.0),
        ("softplus", None, 0.0, 0.6931471805599453, 0.5),
        ("softplus", None, 1.0, 1.3132616875182228, 0.7310585786300049),
        ("softplus", None, -40.0, 4.248354255291589e-18, 4.248354255291589e-18),
        ("softplus", None, 800.0, 800.0, 1.0),
        ("relu6", None, -1.0, 0.0, 0.0),
        ("relu6", None, 2.5, 2.5, 1.0),
        ("relu6", None, 6.0, 6.0, 0.0),
        ("relu6", None, 7.0, 6.0, 0.0),
        ("hard_swish", None, -3.0, 0.0, 0.0),
        ("hard_swish", None, -1.5, -0.375, 0.0),
        ("hard_swish", None, 0.0, 0.0, 0.5),
        ("hard_swish", None, 1.5, 1.125, 1.0),
        ("hard_swish", None, 2.4, 2.16, 1.3),
        ("hard_swish", None, 4.0, 4.0, 1.0),
        ("prelu", 0.25, -2.0, -0.5, 0.25),
        ("prelu", 0.25, 3.0, 3.0, 1.0),
        ("crelu", None, -2.0, 0.0, 0.0),
        ("crelu", None, 3.0, 3.0, 1.0),
        ("squared_relu", None, -2.0, 0.0, 0.0),
        ("squared_relu", None, 0.0, 0.0, 0.0),
        ("squared_relu", None, 1.5, 2.25, 3.0),
    ],
)
def test_value_and_derivative_are_those_worked_out_by_hand(name, parameter, z, value, gate):
    activation = registry.get(name)
    at = np.array([z])
    assert activation.function(at, parameter)[0] == pytest.approx(value, rel=1e-8, abs=0)
    assert activation.derivative(at, parameter)[0] == pytest.approx(gate, rel=1e-8, abs=0)


@pytest.mark.parametrize(("name", "parameter"), BUILT_IN)
def test_the_derivative_is_the_slope_of_the_function(name, parameter):
    activation = registry.get(name)
    z = np.linspace(-8, 8, 1600)  # It leaves out the kink at 0.
    step = 1e-6
    rise = activation.function(z + step, parameter) - activation.function(z - step, parameter)
    np.testing.assert_allclose(activation.derivative(z, parameter), rise / (2 * step), atol=1e-8)


@pytest.mark.parametrize("name", registry.names())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_function_and_derivative_work_elementwise_on_any_shape(name, dtype):
    activation = registry.get(name)
    z = np.linspace(-3, 3, 24, dtype=dtype).reshape(2, 3, 4)
    flat = activation.function(z.ravel(), activation.default)
    assert activation.function(z, activation.default).tolist() == flat.reshape(2, 3, 4).tolist()
    assert activation.derivative(z, activation.default).shape == (2, 3, 4)


@pytest.mark.parametrize("z", [np.nan, np.inf])
@pytest.mark.parametrize("name", registry.names())
def test_nan_and_infinity_are_not_hidden(name, z):
    activation = registry.get(name)
    value, far = activation.function(np.array([z, 1e300]), activation.default)
    limit = far if far < 1e6 else np.inf  # Some functions are bounded.
    assert np.isnan(value) if np.isnan(z) else value == limit


@pytest.fixture(scope="module")
def compiled():
    """Value and gate of an activation function's tensors, as a compiled training step has them."""
    tf = load_tensorflow()

    def run(activation, z, parameter):
        @tf.function(jit_compile=True)
        def both(z, parameter):
            with tf.GradientTape() as tape:
                tape.watch(z)
                a = activation.on_tensors(z, parameter)
            return a, tape.gradient(a, z)

        a, gate = both(tf.constant(z), tf.constant(parameter or 0.0))
        return a.numpy(), gate.numpy()

    return run


@pytest.mark.parametrize(("name", "parameter"), BUILT_IN)
def test_compiled_tensors_and_their_gradient_agree_with_numpy(compiled, name, parameter):
    """Float32 against float64; what is below float32's smallest normal number may read 0.

    Where a gate is a difference (tanh's is 1 - a²), float32's rounding of the terms remains.
    """
    activation = registry.get(name)
    value, gate = compiled(activation, GRID, parameter)
    assert value.dtype == gate.dtype == np.float32
    wide = GRID.astype(np.float64)
    with np.errstate(over="ignore"):
        expected = activation.function(wide, parameter).astype(np.float32)
    tiny = {"gelu": 2e-8, "silu": 1e-8, "mish": 4e-6, "tanh": 5e-7, "sigmoid": 1e-7}
    tiny["hard_swish"] = 1e-8
    left = tiny.get(name, 1.2e-38)
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=left)
    slope = activation.derivative(wide, parameter).astype(np.float32)
    np.testing.assert_allclose(gate, slope, 1e-6, left)


def test_the_gate_at_zero_is_that_of_the_left_side(compiled):
    at = np.zeros(1, np.float32)
    for name, parameter, gate in [("relu", None, 0.0), ("leaky_relu", 0.25, 0.25), ("elu", 2.0, 2)]:
        assert compiled(registry.get(name), at, parameter)[1].tolist() == [gate]


@pytest.mark.parametrize("by_xla", [False, True])
@pytest.mark.parametrize(
    ("name", "parameter"), [("leaky_relu", 0.01), ("leaky_relu", -2.0), ("elu", 1.0), ("elu", 0.5)]
)
def test_both_sides_and_what_they_pass_back_are_those_of_where_to_the_bit(name, parameter, by_xla):
    tf = load_tensorflow()
    left = {"leaky_relu": lambda z: z, "elu": lambda z: tf.math.expm1(tf.minimum(z, 0.0))}[name]
    joined = {
        "where": lambda z, alpha: tf.where(z > 0, z, alpha * left(z)),
        "lab": registry.get(name).on_tensors,
    }
    z = tf.constant(np.append(GRID, [-np.inf, -0.0, 0.0, np.inf, np.nan]).astype(np.float32))
    dy = tf.constant(np.random.default_rng(0).normal(size=len(z)).astype(np.float32))
    found = {}
    for way, function in joined.items():

        @tf.function(jit_compile=by_xla)
        def both(z, alpha, dy, function=function):
            with tf.GradientTape() as tape:
                tape.watch(z)
                a = function(z, alpha)
            return a, tape.gradient(a, z, dy)

        found[way] = [x.numpy() for x in both(z, tf.constant(parameter), dy)]
    (a, passed_back), (wanted, from_where) = found["lab"], found["where"]
    # A NaN stays one. Outside XLA an ELU takes 1 from exp(z), as Keras's does.
    last_place = 1.2e-7 if name == "elu" and not by_xla else 0
    np.testing.assert_allclose(a, wanted, rtol=0, atol=last_place)
    if last_place:
        theirs = tf.where(z > 0, z, parameter * tf.nn.elu(tf.minimum(z, 0.0)))
        np.testing.assert_array_equal(a, theirs)
    np.testing.assert_array_equal(passed_back[:-1], from_where[:-1])


def test_a_nan_input_gives_a_nan_output_under_compilation(compiled):
    for name in registry.names():
        value, _ = compiled(registry.get(name), np.full(3, np.nan, np.float32), 0.5)
        assert np.isnan(value).all(), name


@pytest.mark.parametrize(("name", "parameter"), BUILT_IN)
def test_tensors_agree_with_keras(name, parameter):
    """Keras takes 1 from exp(z), or erf from 1, and so loses what is below 1's last place."""
    load_tensorflow()
    import keras

    z = keras.ops.convert_to_tensor(GRID)
    settings = {"leaky_relu": {"negative_slope": parameter}, "elu": {"alpha": parameter}}
    if name == "squared_relu":  # Keras has none.
        theirs = keras.ops.square(keras.activations.relu(z))
    elif name == "crelu":  # Of one unit.
        theirs = keras.activations.relu(z)
    elif name == "prelu":
        start = keras.initializers.Constant(parameter)
        theirs = keras.layers.PReLU(start)(z[:, None])[:, 0]
    else:
        theirs = getattr(keras.activations, name)(z, **settings.get(name, {}))
    ours = registry.get(name).on_tensors(z, parameter)
    lost = {"elu": 1.2e-7 * (parameter or 0.0), "selu": 2e-7, "gelu": 6e-7}.get(name, 1e-37)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=lost)


@pytest.mark.parametrize(
    ("name", "parameter", "largest"),
    [
        ("relu", None, 1),
        ("leaky_relu", 0.01, 1),
        ("leaky_relu", 5.0, 5),
        ("leaky_relu", -3.0, 3),
        ("elu", 1.0, 1),
        ("elu", 0.5, 1),
        ("elu", 2.0, 2),
        ("elu", -3.0, 3),
        ("selu", None, 1.7580993408473766),
        ("gelu", None, 1.1289041451),  # Φ(√2) + √2 φ(√2)
        ("silu", None, 1.0998393194),
        ("mish", None, 1.0884981613),
        ("tanh", None, 1),
        ("sigmoid", None, 0.25),
        ("softplus", None, 1),
        ("relu6", None, 1),
        ("hard_swish", None, 1.4996666666666667),  # At 2.999 of the grid; 1.5 is the limit.
    ],
)
def test_the_largest_gate_is_the_steepest_slope_on_either_side(name, parameter, largest):
    assert registry.get(name).largest_gate(parameter) == pytest.approx(largest, rel=1e-7)


def test_the_defaults_are_those_of_the_papers():
    found = {name: registry.get(name).default for name in ("relu", "leaky_relu", "elu")}
    assert found == {"relu": None, "leaky_relu": 0.01, "elu": 1.0}


def test_no_parameter_means_the_default_and_a_number_stays_itself():
    leaky = registry.get("leaky_relu")
    assert leaky.resolve(None) == 0.01
    assert leaky.resolve("0.1") == 0.1
    assert leaky.resolve(0) == 0.0
    assert leaky.resolve(-1000) == -1000.0
    assert registry.get("relu").resolve(None) is None


@pytest.mark.parametrize(
    "parameter",
    ["", "x", "nan", "inf", math.nan, -math.inf, 1000.1, [1], pytest.param(10**400, id="huge")],
)
def test_a_parameter_that_is_no_number_within_limits_is_refused(parameter):
    with pytest.raises(InputError) as refused:
        registry.get("elu").resolve(parameter)
    assert str(refused.value) == (
        f"The parameter α of elu must be a finite number from -1000 to 1000, not {parameter!r}."
    )


def test_a_parameter_for_a_function_without_one_is_refused():
    with pytest.raises(InputError, match=r"relu takes no parameter, so 0\.1 cannot be set\."):
        registry.get("relu").resolve(0.1)


@pytest.mark.parametrize(
    ("typed", "meant"), [("rellu", "relu"), ("leaky-relu", "leaky_relu"), ("elu1", "elu")]
)
def test_an_unknown_name_is_answered_with_the_nearest_one_and_all_choices(typed, meant):
    with pytest.raises(InputError) as refused:
        registry.get(typed)
    assert str(refused.value).startswith(
        f"Unknown activation {typed!r}. Did you mean {meant!r}? Choose from: relu, leaky_relu, elu"
    )


def test_a_name_like_no_other_gets_the_choices_without_a_guess():
    with pytest.raises(InputError) as refused:
        registry.get("zzz")
    assert "Did you mean" not in str(refused.value)
    assert all(name in str(refused.value) for name in registry.names())


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("relu", ("relu", None)),
        ("leaky_relu", ("leaky_relu", None)),
        ("leaky_relu=0.1", ("leaky_relu", 0.1)),
        (" elu = 2 ", ("elu", 2.0)),
        ("elu=-1e-3", ("elu", -0.001)),
    ],
)
def test_a_name_with_or_without_a_parameter_is_parsed(text, parsed):
    assert registry.parse(text) == parsed


@pytest.mark.parametrize("text", ["relu=1", "relu=", "leaky_relu=", "elu=0.1=0.2", "", "=0.1"])
def test_a_text_that_is_no_activation_is_refused(text):
    with pytest.raises(InputError):
        registry.parse(text)


@given(st.sampled_from(["leaky_relu", "elu"]), st.floats(-1000, 1000))
def test_every_parameter_survives_being_written_and_parsed(name, parameter):
    assert registry.parse(f"{name}={parameter!r}") == (name, parameter)


@given(st.text() | st.from_regex(r"(relu|elu|leaky_relu)=.*", fullmatch=True))
def test_any_text_is_parsed_to_a_known_name_or_refused(text):
    try:
        name, parameter = registry.parse(text)
    except InputError:
        return
    assert name in registry.names()
    assert parameter is None or abs(parameter) <= 1000


def test_a_title_shows_the_parameter():
    assert registry.get("relu").title(None) == "ReLU"
    assert registry.get("leaky_relu").title(0.01) == "Leaky ReLU α=0.01"
    assert registry.get("elu").title(1.0) == "ELU α=1"


def test_an_activation_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        registry.get("relu").name = "other"


def test_a_function_and_its_gate_are_asked_for_by_name_and_parameter() -> None:
    z = [-2, 0, 3]
    assert registry.activate("leaky_relu=0.1", z).tolist() == [-0.2, 0, 3]
    assert registry.gate("leaky_relu", z).tolist() == [0.01, 0.01, 1]
    assert registry.gate("relu", z).tolist() == [0, 0, 1]
    assert registry.activate("elu", np.float32([[-1]])).dtype == np.float32
    with pytest.raises(InputError, match="Did you mean 'relu'"):
        registry.gate("rellu", z)


@pytest.mark.parametrize(
    ("alias", "name"), [("swish", "silu"), ("lrelu=0.2", "leaky_relu"), ("hard_silu", "hard_swish")]
)
def test_other_names_of_the_field_mean_the_same_function(alias: str, name: str) -> None:
    assert registry.parse(alias)[0] == name
    assert RunConfig(activation=alias).activation == name


def test_a_function_of_ones_own_may_have_such_a_name() -> None:
    known = dict(registry._REGISTRY)
    try:
        own = dataclasses.replace(registry.get("relu"), name="swish")
        registry.add(own)
        assert registry.get("swish") is own
    finally:
        registry._REGISTRY.clear()
        registry._REGISTRY.update(known)
