"""Settings of a run: the textbook's by default, and refused in one sentence where impossible."""

import ast
import math
import re
import reprlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from lab import RunConfig
from lab.errors import InputError, LabError

FIELDS = (
    "activation",
    "parameter",
    "hidden",
    "optimizer",
    "momentum",
    "learning_rate",
    "initializer",
    "first_bias",
    "batch_size",
    "epochs",
    "seed",
    "validation_split",
    "train_size",
    "probe_size",
    "keep_weights",
    "dropout",
    "weight_decay",
    "nesterov",
    "clip_norm",
    "label_smoothing",
    "warmup",
    "schedule",
    "input_scale",
    "l2",
    "l2_init",
    "tasks",
    "task_epochs",
    "shrink",
    "perturb",
    "redo_steps",
    "redo_threshold",
    "image_shape",
    "classes",
    "members",
    "pixels",
)
OF_OTHERS = (
    *("network", "network_sha256", "filters", "depth", "normalization", "source_sha256"),
    *("replacement_rate", "maturity"),
)
INITIALIZERS = (
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
)
UNLIKE = RunConfig(
    activation="leaky_relu",
    parameter=0.3,
    hidden=(7, 5, 3),
    optimizer="sgd",
    momentum=0.9,
    learning_rate=0.1,
    initializer="he_normal",
    first_bias=-0.5,
    batch_size=32,
    epochs=3,
    seed=2**32 - 1,
    validation_split=0.25,
    train_size=100,
    probe_size="all",
    keep_weights="every",
    dropout=0.5,
    weight_decay=0.01,
    nesterov=True,
    clip_norm=1.0,
    label_smoothing=0.1,
    warmup=0.1,
    schedule="cosine",
    input_scale="standard",
    l2=0.1,
    l2_init=0.2,
    tasks="datasets",
    task_epochs=3,
    shrink=0.6,
    perturb=0.01,
    redo_steps=1000,
    redo_threshold=0.1,
    image_shape=(32, 32, 3),
    classes=5,
    members=(2, 3),
    pixels=(0.5, 0.25),
)


def test_the_defaults_are_the_textbooks_experiment():
    assert RunConfig().model_dump() == {
        "activation": "relu",
        "parameter": None,
        "hidden": (512, 512),
        "optimizer": "adam",
        "momentum": 0.0,
        "learning_rate": 0.001,
        "initializer": "glorot_uniform",
        "first_bias": 0.0,
        "batch_size": 128,
        "epochs": 10,
        "seed": 0,
        "validation_split": 0.2,
        "train_size": None,
        "probe_size": 10_000,
        "keep_weights": "last",
        "source_sha256": None,
    }


@pytest.mark.parametrize(
    ("hidden", "weights"),
    [((512, 512), 669_706), ((1,), 785 + 20), ((3, 2), 785 * 3 + 4 * 2 + 3 * 10)],
)
def test_the_number_of_weights_counts_kernels_and_biases(hidden, weights):
    assert RunConfig(hidden=hidden).weights == weights
    assert RunConfig(hidden=hidden).size == "-".join(map(str, (784, *hidden, 10)))


@pytest.mark.parametrize(
    ("settings", "size", "weights"),
    [
        ({"network": "cnn"}, "cnn 16-32-64", 160 + 4640 + (7 * 7 * 32 * 64 + 64) + 650),
        (
            {"network": "cnn", "filters": (3,), "hidden": (5, 4), "image_shape": (9, 8, 2)},
            "cnn 3-5-4",
            (9 * 2 * 3 + 3) + (5 * 4 * 3 * 5 + 5) + 24 + 50,
        ),
        ({"network": "deep"}, "deep 8 × 128", 785 * 128 + 7 * 129 * 128 + 1290),
        (
            {"network": "deep", "hidden": (9,), "depth": 2, "classes": 3},
            "deep 2 × 9",
            785 * 9 + 90 + 30,
        ),
        ({"image_shape": (8, 8), "hidden": (4,), "classes": 2}, "64-4-2", 65 * 4 + 10),
        ({"network": "mine"}, "mine", 0),
    ],
)
def test_every_network_tells_its_size(settings, size, weights):
    config = RunConfig(**settings)
    assert config.size == size
    assert config.weights == weights or config.network == "mine"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"weight_decay": 0.1}, "weight_decay must be 0 where optimizer is adam, not 0.1: Adam"),
        ({"nesterov": True}, "nesterov must be false unless optimizer is sgd with a momentum."),
        ({"nesterov": True, "optimizer": "sgd"}, "nesterov must be false unless"),
        ({"filters": (3,)}, "filters must be left out for the network 'mlp', not (3,): it is for"),
        ({"network": "cnn", "depth": 3}, "depth must be left out for the network 'cnn', not 3"),
        ({"network": "cnn", "filters": ()}, "filters must be 1 to 8 whole numbers from 1 to 512"),
        ({"network": "deep", "depth": 1}, "depth must be a whole number from 2 to 64, not 1."),
        ({"network": "deep", "hidden": (3, 4)}, "hidden must be one width for the network 'deep'"),
        ({"network": "mine", "hidden": (3,)}, "hidden must be left out for the network 'mine'"),
        ({"network": "mine", "dropout": 0.5}, "dropout must be left out for the network 'mine'"),
        ({"network": "mine", "normalization": "batch"}, "normalization must be left out for the"),
        ({"first_bias": 1, "normalization": "batch"}, "first_bias must be 0 with normalization"),
        ({"pixels": (0.1, 0.3)}, "pixels must be left out unless input_scale is standard."),
        ({"dropout": 1}, "dropout must be a number from 0 to below 1, not 1."),
        ({"warmup": 1}, "warmup must be a number from 0 to below 1, not 1."),
        ({"schedule": "linear"}, "schedule must be constant, cosine (falls to 0) or step"),
        ({"clip_norm": -1}, "clip_norm must be a number from 0 (no limit) to 1,000,000, not -1."),
        (
            {"tasks": "rotated"},
            "tasks must be none, permuted (pixels), shuffled_labels, class_pair",
        ),
        ({"l2_init": -1}, "l2_init must be a number from 0 to 100, not -1."),
        ({"redo_threshold": 0.1}, "redo_threshold must be left out unless redo_steps is given, n"),
        ({"redo_steps": 9, "network": "cnn"}, "redo_steps must be 0, not 9, unless the network i"),
        ({"redo_steps": 9, "activation": "prelu"}, "redo_steps must be 0, not 9, unless the netwo"),
        ({"redo_steps": -1}, "redo_steps must be a whole number from 0 (never) to 1,000,000,000"),
        (
            {"replacement_rate": 0.1},
            "replacement_rate must be 0, or a number from 1e-06 to 0.01, n",
        ),
        ({"replacement_rate": 1e-7}, "replacement_rate must be 0, or a number from 1e-06 to 0.01"),
        (
            {"replacement_rate": 0.001, "normalization": "layer"},
            "replacement_rate must be 0, not 0.001, unless the network is an mlp without normaliz",
        ),
        (
            {"replacement_rate": 0.001, "redo_steps": 9},
            "redo_steps must be 0 with a replacement_rate, not 9: both reset units.",
        ),
        ({"maturity": 5}, "maturity must be left out unless replacement_rate is given, not 5."),
        ({"shrink": 0.6}, "shrink must be left out where tasks is none, not 0.6: it comes before"),
        ({"perturb": 0.1}, "perturb must be left out where tasks is none, not 0.1: it comes"),
        ({"tasks": "permuted", "shrink": 2}, "shrink must be a number from 0 to 1, not 2."),
        ({"task_epochs": 2}, "task_epochs must be left out where tasks is none, not 2: choose"),
        (
            {"tasks": "permuted", "task_epochs": 3},
            "task_epochs must be a divisor of epochs, 10, so",
        ),
        (
            {"tasks": "permuted", "task_epochs": 20},
            "task_epochs must be a divisor of epochs, 10, s",
        ),
        ({"tasks": "class_pairs", "classes": 3}, "tasks must not be class_pairs where there are 3"),
        ({"members": (5, 5)}, "members must be left out unless tasks is datasets, and else add up"),
        ({"tasks": "datasets", "members": (5, 6)}, "members must be left out unless tasks is data"),
        ({"tasks": "datasets", "members": (1, 9)}, "members must be up to 10 whole numbers from 2"),
        ({"image_shape": (28,)}, "image_shape must be height and width in pixels"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        RunConfig(**settings)


def test_a_strength_of_0_is_the_same_run_as_none():
    none = {"weight_decay": 0, "dropout": 0.0, "clip_norm": -0.0, "warmup": 0}
    assert RunConfig(**none) == RunConfig()
    assert RunConfig(**none).model_dump_json() == RunConfig().model_dump_json()


def test_each_epoch_belongs_to_a_task():
    config = RunConfig(tasks="permuted", epochs=6, task_epochs=2)
    assert [config.task_at(epoch) for epoch in range(7)] == [1, 1, 1, 2, 2, 3, 3]
    assert config.task_count == 3
    assert [epoch for epoch in range(7) if config.begins_task(epoch)] == [3, 5]
    assert not any(map(RunConfig().begins_task, range(11)))
    assert [RunConfig().task_at(epoch) for epoch in (0, 1, 10)] == [1, 1, 1]
    assert RunConfig().task_count == 1


def test_adamw_decays_as_in_keras_unless_something_else_is_asked_for():
    assert RunConfig(optimizer="adamw").weight_decay == 0.004
    without = RunConfig(optimizer="adamw", weight_decay=0)
    assert without.weight_decay == 0
    assert RunConfig.model_validate_json(without.model_dump_json()) == without


def test_a_config_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig().epochs = 3
    assert RunConfig().epochs == 10


def test_equal_settings_are_one_key_and_each_setting_tells_configs_apart():
    assert len({RunConfig(), RunConfig(), RunConfig(learning_rate=1e-3, hidden=[512, 512])}) == 1
    changed = {
        RunConfig(activation="elu"),
        RunConfig(activation="leaky_relu"),
        RunConfig(activation="leaky_relu", parameter=0.3),
        RunConfig(hidden=(512,)),
        RunConfig(optimizer="sgd"),
        RunConfig(optimizer="sgd", momentum=0.9),
        RunConfig(learning_rate=0.002),
        *(RunConfig(initializer=initializer) for initializer in INITIALIZERS),
        RunConfig(first_bias=0.1),
        RunConfig(batch_size=64),
        RunConfig(epochs=11),
        RunConfig(seed=1),
        RunConfig(validation_split=0.1),
        RunConfig(train_size=100),
        RunConfig(probe_size="all"),
        RunConfig(keep_weights="every"),
        RunConfig(network="another"),
    }
    assert len(changed) == 22


@pytest.mark.parametrize("config", [RunConfig(), UNLIKE], ids=["defaults", "all other"])
def test_json_gives_back_an_equal_config(config):
    again = RunConfig.model_validate_json(config.model_dump_json())
    assert again == config
    assert hash(again) == hash(config)
    assert type(again.hidden) is tuple
    assert again.model_dump_json() == config.model_dump_json()


def test_the_example_of_all_other_settings_differs_in_every_field():
    assert [name for name in FIELDS if getattr(UNLIKE, name) == getattr(RunConfig(), name)] == []
    assert {*FIELDS, *OF_OTHERS} == set(RunConfig.model_fields)


@pytest.mark.parametrize(
    ("settings", "name", "parameter", "title"),
    [
        ({}, "relu", None, "ReLU"),
        ({"activation": "leaky_relu"}, "leaky_relu", 0.01, "Leaky ReLU α=0.01"),
        ({"activation": "leaky_relu=0.1"}, "leaky_relu", 0.1, "Leaky ReLU α=0.1"),
        ({"activation": "leaky_relu", "parameter": 0.2}, "leaky_relu", 0.2, "Leaky ReLU α=0.2"),
        ({"activation": "elu"}, "elu", 1.0, "ELU α=1"),
        ({"activation": "elu=0"}, "elu", 0.0, "ELU α=0"),
    ],
)
def test_an_activation_carries_its_parameter(settings, name, parameter, title):
    config = RunConfig(**settings)
    assert (config.activation, config.parameter, config.title) == (name, parameter, title)


def test_a_default_parameter_written_out_is_the_same_config():
    assert RunConfig(activation="leaky_relu") == RunConfig(activation="leaky_relu=0.01")


HIDDEN = "1 to 64 whole numbers from 1 to 8,192"
RATE = "a number from 1e-12 to 1,000"
BIAS = "a number from -1,000 to 1,000"
SPLIT = "a number between 0 and 1, both excluded"
BATCH = "a whole number from 1 to the number of training images"
EPOCHS = "a whole number from 1 to 10,000"
SEED = "a whole number from 0 to 4,294,967,295"
TRAIN = "a whole number from 10 to the number of images not kept for validation"
PROBE = "a whole number of at least 1, or 'all'"
INITIALIZER = "glorot, he or lecun, with _uniform or _normal (such as he_normal)"


@pytest.mark.parametrize(
    ("field", "value", "limits"),
    [
        ("hidden", (), HIDDEN),
        ("hidden", (0,), HIDDEN),
        ("hidden", (512, -1), HIDDEN),
        ("hidden", (8193,), HIDDEN),
        ("hidden", (1,) * 65, HIDDEN),
        ("hidden", (1.5,), HIDDEN),
        ("hidden", 512, HIDDEN),
        ("hidden", "512,512", HIDDEN),
        ("hidden", None, HIDDEN),
        ("optimizer", "Adam", "adam, adamw, sgd or rmsprop"),
        ("optimizer", None, "adam, adamw, sgd or rmsprop"),
        ("momentum", 1, "a number from 0 to below 1"),
        ("momentum", -0.1, "a number from 0 to below 1"),
        ("momentum", math.nan, "a number from 0 to below 1"),
        ("learning_rate", 0, RATE),
        ("learning_rate", -0.001, RATE),
        ("learning_rate", 1000.1, RATE),
        ("learning_rate", math.nan, RATE),
        ("learning_rate", math.inf, RATE),
        ("learning_rate", "fast", RATE),
        ("initializer", "he", INITIALIZER),
        ("initializer", "zeros", INITIALIZER),
        ("first_bias", 1000.5, BIAS),
        ("first_bias", -math.inf, BIAS),
        ("first_bias", math.nan, BIAS),
        ("batch_size", 0, BATCH),
        ("batch_size", 70_001, BATCH),
        ("batch_size", 1.5, BATCH),
        ("epochs", 0, EPOCHS),
        ("epochs", -3, EPOCHS),
        ("epochs", 10_001, EPOCHS),
        ("epochs", 2.5, EPOCHS),
        ("epochs", None, EPOCHS),
        ("seed", -1, SEED),
        ("seed", 2**32, SEED),
        ("seed", "one", SEED),
        ("validation_split", 0, SPLIT),
        ("validation_split", 1, SPLIT),
        ("validation_split", -0.2, SPLIT),
        ("validation_split", math.nan, SPLIT),
        ("train_size", 9, TRAIN),
        ("train_size", "all", TRAIN),
        ("probe_size", 0, PROBE),
        ("probe_size", "most", PROBE),
        ("probe_size", None, PROBE),
        ("keep_weights", "some", "last, every or none"),
    ],
)
def test_an_impossible_value_is_refused_in_one_sentence(field, value, limits):
    with pytest.raises(InputError) as refused:
        RunConfig(**{field: value})
    assert str(refused.value) == f"{field} must be {limits}, not {reprlib.repr(value)}."


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden", (8192,)),
        ("hidden", (1,) * 64),
        ("learning_rate", 1000.0),
        ("learning_rate", 1e-12),
        ("first_bias", -1000.0),
        ("first_bias", 1000.0),
        ("batch_size", 1),
        ("batch_size", 70_000),
        ("epochs", 1),
        ("epochs", 10_000),
        ("seed", 2**32 - 1),
        ("validation_split", 0.999),
        ("train_size", 10),
        ("probe_size", 1),
        ("probe_size", "all"),
        *(("initializer", initializer) for initializer in INITIALIZERS),
    ],
)
def test_a_value_at_its_limit_is_taken(field, value):
    assert getattr(RunConfig(**{field: value}), field) == value


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"activation": "rellu"}, "Unknown activation 'rellu'. Did you mean 'relu'?"),
        ({"activation": "relu", "parameter": 0.1}, "relu takes no parameter, so 0.1 cannot be set"),
        ({"activation": "leaky_relu=nan"}, "The parameter α of leaky_relu must be a finite number"),
        (
            {"activation": "elu", "parameter": math.inf},
            "The parameter α of elu must be a finite number from -1000 to 1000, not inf.",
        ),
        ({"momentum": 0.9}, "momentum must be 0 unless optimizer is sgd, not 0.9."),
        (
            {"hidden": (8192, 8192)},
            "hidden must give a network of at most 50,000,000 weights, "
            "not 73,629,706 as (8192, 8192) does.",
        ),
        ({"learnign_rate": 1}, "Unknown setting 'learnign_rate'. Did you mean 'learning_rate'?"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings, sentence):
    with pytest.raises(InputError) as refused:
        RunConfig(**settings)
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)


def test_a_refusal_can_be_caught_as_a_value_error_and_as_the_labs_own():
    with pytest.raises(ValueError, match="epochs"):
        RunConfig(epochs=0)
    with pytest.raises(LabError, match="epochs"):
        RunConfig(epochs=0)


def test_impossible_settings_in_json_are_refused_by_their_name():
    with pytest.raises(ValueError, match="epochs must be a whole number from 1 to 10,000, not 0"):
        RunConfig.model_validate_json('{"epochs": 0}')


def _texts_but(*taken):
    return st.text(alphabet="abcxyz_", min_size=1).filter(lambda text: text not in taken)


def _whole(low, high):
    good = st.integers(low, high)
    bad = st.integers(max_value=low - 1) | st.integers(min_value=high + 1) | _texts_but()
    fractions = st.floats(low, min(high, 1e6)).filter(lambda value: value != int(value))
    return good, bad | fractions | st.just(math.nan)


def _number(low, high, *excluded):
    good = st.floats(low, high).filter(lambda value: value not in excluded)
    outside = st.floats(max_value=low, exclude_max=True) | st.floats(min_value=high).filter(
        lambda value: value > high
    )
    edges = [*excluded, math.nan, math.inf, -math.inf, None, "much"]
    return good, outside | st.sampled_from(edges)


def _name(*names):
    return st.sampled_from(names), _texts_but(*names) | st.none()


UNITS = st.lists(st.integers(1, 500), min_size=1, max_size=64).map(tuple)
BAD_UNITS = st.one_of(
    st.just(()),
    st.integers(),
    st.lists(st.integers(max_value=0), min_size=1),
    st.lists(st.integers(min_value=8193), min_size=1),
    st.lists(st.integers(1, 5), min_size=65, max_size=70),
)
VALUES = {
    "hidden": (UNITS, BAD_UNITS),
    "optimizer": (st.just("sgd"), _texts_but("adam", "sgd")),
    "momentum": _number(0.0, 1.0, 1.0),
    "learning_rate": _number(1e-12, 1000.0),
    "initializer": _name(*INITIALIZERS),
    "first_bias": _number(-1000.0, 1000.0),
    "batch_size": _whole(1, 70_000),
    "epochs": _whole(1, 10_000),
    "seed": _whole(0, 2**32 - 1),
    "validation_split": _number(0.0, 1.0, 0.0, 1.0),
    "train_size": (st.none() | st.integers(10), st.integers(max_value=9) | _texts_but()),
    "probe_size": (st.just("all") | st.integers(1), st.integers(max_value=0) | _texts_but("all")),
    "keep_weights": _name("last", "every"),
}
GOOD = st.fixed_dictionaries({}, optional={name: good for name, (good, _) in VALUES.items()})
BAD = st.sampled_from(list(VALUES)).flatmap(lambda name: st.tuples(st.just(name), VALUES[name][1]))


@given(GOOD)
def test_settings_within_limits_are_taken_as_they_are_and_survive_json(settings):
    settings = {"optimizer": "sgd"} | settings
    config = RunConfig(**settings)
    assert {name: getattr(config, name) for name in settings} == settings
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


@given(GOOD, BAD)
def test_one_value_beyond_its_limits_is_refused_by_its_name(settings, bad):
    name, value = bad
    with pytest.raises(InputError) as refused:
        RunConfig(**{"optimizer": "sgd"} | settings | {name: value})
    assert str(refused.value).startswith(f"{name} must be ")
    assert str(refused.value).endswith(f", not {reprlib.repr(value)}.")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def _refused_fields(sentence):
    """The fields that a refusal may be about."""
    name, hint = r"('.*?'|\".*?\")", r"( Did you mean '\w+'\?)?"
    if unknown := re.match(rf"Unknown setting {name}\.{hint} Choose from: activation", sentence):
        return {ast.literal_eval(unknown[1])} - set(FIELDS)
    if re.match(
        r"Unknown activation |The parameter . of \w+ must |\w+ takes no parameter", sentence
    ):
        return {"activation", "parameter"}
    return {sentence.split(" must ")[0]} & set(FIELDS)


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), ANYTHING, max_size=4))
@example({"PEER": None})  # Near to a setting's name.
def test_whatever_is_given_is_taken_or_refused_by_a_name_that_was_given(settings):
    settings.pop("self", None)
    try:
        config = RunConfig(**settings)
    except InputError as error:
        refused = str(error)
    else:
        assert RunConfig.model_validate_json(config.model_dump_json()) == config
        return
    assert _refused_fields(refused) & set(settings), refused
