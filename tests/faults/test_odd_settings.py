"""Settings drawn at random: refused before training in one sentence, or trained to an end.

What is valid is written down here again, field by field, from the documentation.
"""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import make_dataset

from lab import RunConfig
from lab.errors import InputError
from lab.training.events import EpochEnd, RunEnd
from lab.training.trainer import train

pytestmark = pytest.mark.faults

NAMES = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "gelu", "softplus")
WITH_PARAMETER = ("leaky_relu", "elu")
TASKS = ("permuted", "shuffled_labels", "class_pairs", "datasets")
INITIALIZERS = tuple(
    f"{n}_{kind}" for n in ("glorot", "he", "lecun") for kind in ("uniform", "normal")
)
JUNK = st.sampled_from(
    [None, "", "abc", "🙂", b"x", [], {}, (), object(), math.nan, math.inf, -math.inf, 1e400,
     10**400, -1, "nan", "1; import os", [1, 2], {"a": 1}, 2.5, -0.5, 2**32, 2**64, "relu=", "=",
     "rellu"]
)  # fmt: skip
WHOLE = st.integers(-3, 12) | st.sampled_from([127, 8192, 8193, 10_000, 10_001, 70_000, 70_001,
                                               2**32 - 1, 2**32])  # fmt: skip
NUMBERS = st.floats(-2, 2) | st.sampled_from(
    [0.0, 1.0, 1e-12, 9e-13, 1000.0, 1000.1, -1000.0, -1001.0]
)
FIELDS = {
    "activation": st.sampled_from(
        [*NAMES, "swishy", "ReLU", "relu=1", "elu=2", "leaky_relu=x", ""]
    ),
    "parameter": st.none() | NUMBERS,
    "hidden": st.lists(st.integers(0, 40) | st.sampled_from([8192, 8193]), max_size=66).map(tuple),
    "optimizer": st.sampled_from(["adam", "adamw", "sgd", "rmsprop", "Adam", "adagrad"]),
    "momentum": NUMBERS,
    "learning_rate": NUMBERS,
    "initializer": st.sampled_from([*INITIALIZERS, "zeros", "he"]),
    "first_bias": NUMBERS,
    "batch_size": WHOLE,
    "epochs": WHOLE,
    "seed": WHOLE,
    "validation_split": NUMBERS,
    "train_size": st.none() | WHOLE,
    "probe_size": WHOLE | st.sampled_from(["all", "none"]),
    "keep_weights": st.sampled_from(["last", "every", "best"]),
    "source_sha256": st.none() | st.sampled_from(["0" * 64, "g" * 64, "0" * 63]),
    "dropout": NUMBERS,
    "label_smoothing": NUMBERS,
    "warmup": NUMBERS,
    "clip_norm": NUMBERS,
    "schedule": st.sampled_from(["constant", "cosine", "step", "linear"]),
    "input_scale": st.sampled_from(["unit", "symmetric", "standard", "0-1"]),
    "tasks": st.sampled_from(["none", *TASKS, "rotated"]),
    "task_epochs": WHOLE,
    "l2": NUMBERS,
    "l2_init": NUMBERS,
    "shrink": NUMBERS,
    "perturb": NUMBERS,
    "redo_steps": WHOLE,
    "redo_threshold": NUMBERS,
}
ANY = {name: field | JUNK for name, field in FIELDS.items()}
ONE_BY_ONE = [
    st.fixed_dictionaries(
        {name: value}, optional={} if name == "optimizer" else {"optimizer": st.just("sgd")}
    )
    for name, value in ANY.items()
]
ODD = st.fixed_dictionaries({}, optional=ANY) | st.one_of(ONE_BY_ONE)


def whole(value, low, high) -> bool:
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return is_whole and low <= value <= high


def number(value, low, high) -> bool:
    return isinstance(value, int | float) and low <= value <= high


ALONE = {  # Whether a value of a field is valid, by itself.
    "hidden": lambda v: (
        isinstance(v, list | tuple) and 1 <= len(v) <= 64 and all(whole(n, 1, 8192) for n in v)
    ),
    "optimizer": lambda v: v in ("adam", "adamw", "sgd", "rmsprop"),
    "momentum": lambda v: number(v, 0, 1) and v < 1,
    "learning_rate": lambda v: number(v, 1e-12, 1000),
    "initializer": lambda v: isinstance(v, str) and v in INITIALIZERS,
    "first_bias": lambda v: number(v, -1000, 1000),
    "batch_size": lambda v: whole(v, 1, 70_000),
    "epochs": lambda v: whole(v, 1, 10_000),
    "seed": lambda v: whole(v, 0, 2**32 - 1),
    "validation_split": lambda v: number(v, 0, 1) and 0 < v < 1,
    "train_size": lambda v: v is None or whole(v, 10, math.inf),
    "probe_size": lambda v: v == "all" or whole(v, 1, math.inf),
    "keep_weights": lambda v: v in ("last", "every"),
    "source_sha256": lambda v: v is None or v == "0" * 64,
    "dropout": lambda v: number(v, 0, 1) and v < 1,
    "label_smoothing": lambda v: number(v, 0, 1) and v < 1,
    "warmup": lambda v: number(v, 0, 1) and v < 1,
    "clip_norm": lambda v: number(v, 0, 1e6),
    "schedule": lambda v: v in ("constant", "cosine", "step"),
    "input_scale": lambda v: v in ("unit", "symmetric", "standard"),
    "tasks": lambda v: v in ("none", *TASKS),
    "task_epochs": lambda v: whole(v, 1, 10_000),
    "l2": lambda v: number(v, 0, 100),
    "l2_init": lambda v: number(v, 0, 100),
    "shrink": lambda v: number(v, 0, 1),
    "perturb": lambda v: number(v, 0, 1),
    "redo_steps": lambda v: whole(v, 0, 10**9),
    "redo_threshold": lambda v: number(v, 0, 1) and v < 1,
}


def function_is_valid(activation, parameter) -> bool:
    if not isinstance(activation, str):
        return False
    name, equals, text = activation.partition("=")
    if name not in NAMES or (equals and name not in WITH_PARAMETER):
        return False
    try:
        given = float(text) if equals else None
    except ValueError:
        return False
    if parameter is None:
        return given is None or number(given, -1000, 1000)
    if name not in WITH_PARAMETER or not isinstance(parameter, int | float | str | bytes):
        return False
    try:
        value = float(parameter)
    except (ValueError, OverflowError):
        return False
    return number(value, -1000, 1000) and given in (None, value)


def is_own_name(name) -> bool:
    plain = isinstance(name, str) and re.fullmatch("[a-z][a-z0-9_]{0,39}", name) is not None
    return plain and name not in NAMES


def wrong_fields(odd: dict) -> set[str]:
    """Names the fields that are not valid, by the rules written here."""
    wrong = {name for name, is_valid in ALONE.items() if name in odd and not is_valid(odd[name])}
    activation, parameter = odd.get("activation", "relu"), odd.get("parameter")
    if odd.get("source_sha256") is not None:
        # Of a user's own function, registered or not: a plain name, and no parameter.
        if parameter is not None or not is_own_name(activation):
            wrong |= {"activation", "parameter", "source_sha256"}
    elif not function_is_valid(activation, parameter):
        wrong |= {"activation", "parameter"} & (set(odd) | {"parameter"})
    if not wrong & {"momentum", "optimizer"} and odd.get("momentum"):
        wrong |= {"momentum"} if odd.get("optimizer", "adam") != "sgd" else set()
    if "tasks" not in wrong and odd.get("tasks", "none") == "none":
        wrong |= {n for n, left in (("shrink", 1), ("perturb", 0)) if odd.get(n, left) != left}
    if not wrong & {"redo_steps", "redo_threshold"} and not odd.get("redo_steps"):
        wrong |= {"redo_threshold"} if odd.get("redo_threshold", 0.025) != 0.025 else set()
    if "task_epochs" in odd and not wrong & {"tasks", "task_epochs", "epochs"}:
        each, without = odd["task_epochs"], odd.get("tasks", "none") == "none"
        if (without and each != 1) or odd.get("epochs", 10) % each:
            wrong |= {"task_epochs"}
    if "hidden" in odd and "hidden" not in wrong:
        sizes = (784, *odd["hidden"], 10)
        weights = sum((i + 1) * o for i, o in itertools.pairwise(sizes))
        wrong |= {"hidden"} if weights > 50_000_000 else set()
    return wrong


def test_odd_settings_are_refused_with_field_and_limits_or_accepted(promise, many):
    counts = {"refused": 0, "accepted": 0}
    with promise("odd settings: refused with field and limits, or accepted") as tally:

        @settings(
            max_examples=many(5_000, 200),
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(odd=ODD)
        def check(odd):
            tally.tried += 1
            wrong = wrong_fields(odd)
            try:
                config = RunConfig(**odd)
            except InputError as error:
                counts["refused"] += 1
                assert_tells_field_and_limits(str(error), wrong)
            else:
                counts["accepted"] += 1
                assert not wrong, f"{odd} was accepted"
                assert RunConfig(**config.model_dump()) == config

        try:
            check()
        except AssertionError as error:
            tally.failures.append(f"{error}\n" + "\n".join(getattr(error, "__notes__", ())))
    assert min(counts.values()) > 10


def assert_tells_field_and_limits(sentence: str, wrong: set[str]) -> None:
    assert wrong, f"refused without a reason: {sentence}"
    assert "\n" not in sentence
    assert len(sentence) < 600
    named = [name for name in wrong if name in sentence]
    assert named, f"{sentence!r} names none of {wrong}"
    limits = ("must be", "Choose from", "takes no parameter", "must give", "must be left out")
    assert any(words in sentence for words in limits), sentence


FEW = st.fixed_dictionaries(
    {
        "activation": st.sampled_from(NAMES),
        "hidden": st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
        "learning_rate": st.sampled_from([1e-12, 1e-3, 0.1, 1.0, 1000.0]),
        "initializer": st.sampled_from(INITIALIZERS),
        "first_bias": st.sampled_from([-1000.0, -1.0, 0.0, 0.5, 1000.0]),
        "batch_size": st.integers(1, 160),
        "epochs": st.integers(1, 3),
        "seed": st.integers(0, 2**32 - 1),
        "validation_split": st.sampled_from([0.01, 0.2, 0.5]),
        "train_size": st.none() | st.integers(10, 200),
        "probe_size": st.integers(1, 400) | st.just("all"),
        "keep_weights": st.sampled_from(["last", "every"]),
    }
)
OPTIMIZERS = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"optimizer": st.just("sgd"), "momentum": st.floats(0, 0.99)}),
)
PARAMETERS = st.sampled_from([-1000.0, -1.0, 0.0, 0.1, 1.0, 1000.0])


def test_accepted_settings_are_trained_to_a_finite_or_honestly_diverged_end(promise, many):
    data, drawn = make_dataset(300, 100), []

    @settings(max_examples=many(105, 5), derandomize=True, database=None, deadline=None)
    @given(few=FEW, optimizer=OPTIMIZERS, parameter=PARAMETERS)
    def draw(few, optimizer, parameter):
        own = {"parameter": parameter} if few["activation"] in WITH_PARAMETER else {}
        size = few["train_size"] or 150
        limits = {"batch_size": min(few["batch_size"], size, 150)}
        if few["train_size"]:
            limits["train_size"] = min(few["train_size"], 150)
        drawn.append(RunConfig(**(few | optimizer | own | limits)))

    draw()
    configs = list(dict.fromkeys(drawn))
    ends, epochs = {}, {}
    for event in train(configs, data):
        if isinstance(event, RunEnd):
            ends[event.run] = event
        elif isinstance(event, EpochEnd):
            epochs.setdefault(event.run, []).append(event)
    with promise("odd settings: trained to a finite or honestly diverged end") as tally:
        for number_of, config in enumerate(configs):
            with tally.case(config):
                assert_an_honest_end(config, ends[number_of], epochs[number_of])


def assert_an_honest_end(config: RunConfig, end: RunEnd, epochs: list[EpochEnd]) -> None:
    last = epochs[-1]
    finite = all(np.isfinite(array).all() for array in last.state.weights)
    losses = (last.validation_loss, end.test_loss)
    assert end.diverged == (not (finite and all(map(math.isfinite, losses))))
    if finite:
        assert last.epoch == config.epochs
        assert 0 <= end.test_accuracy <= 1
    assert [len(flags) for flags in end.confirmed] == list(config.hidden)
