"""Grids of runs: which settings are varied, over which values and seeds."""

import itertools
import reprlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lab.errors import InputError, is_whole, unknown
from lab.experiment.config import RunConfig
from lab.experiment.spelling import read_values
from lab.system import at_home

MOST_SEEDS = 10_000
MOST_RUNS = 100_000
LARGEST_FILE = 2**14  # The time to read a TOML file can grow with the square of its size.
# A seed is given as seeds; the rest comes with the function, the network and the data set.
FIXED = ("seed", "source_sha256", "network_sha256", "image_shape", "classes", "pixels", "members")
OF_A_NETWORK = ("hidden", "filters", "depth")
VARIABLE = tuple(name for name in RunConfig.model_fields if name not in FIXED)


def grid(
    vary: Mapping[str, Sequence[Any]],
    seeds: int | Iterable[int] = 1,
    base: RunConfig | Mapping[str, Any] | None = None,
) -> list[RunConfig]:
    """Returns a run for every combination of the varied settings, and for every seed.

    Runs of one seed follow one another, so that a stopped study has whole seeds.

    Args:
        vary: Fields of `RunConfig`, each with its values; all combinations are made.
        seeds: How many seeds, from 0; or the seeds themselves.
        base: The settings that are the same for all runs: a config, or some of its fields.

    Raises:
        InputError: If a field, a value, or the size of the grid is not valid, in one sentence.

    >>> [c.learning_rate for c in grid({"learning_rate": [0.01, 0.1]}, base={"epochs": 2})]
    [0.01, 0.1]
    """
    if not isinstance(vary, Mapping):
        raise InputError(
            f"vary must name settings with their values, such as "
            f"{{'learning_rate': [0.001, 0.01]}}, not {reprlib.repr(vary)}."
        )
    for name, values in vary.items():
        check_values(name, values)
        if not len(values):
            raise InputError(f"{name} must have at least one value to be varied over.")
    settings = _settings_of(base, vary)
    chosen = seed_list(seeds)
    runs = len(chosen) * int(np.prod([len(values) for values in vary.values()], dtype=float))
    if runs > MOST_RUNS:
        raise InputError(
            f"vary and seeds must make at most {MOST_RUNS:,} runs together, not {runs:,}."
        )
    return [
        RunConfig(**{**settings, **dict(zip(vary, values, strict=True)), "seed": seed})
        for seed in chosen
        for values in itertools.product(*vary.values())
    ]


def _settings_of(
    base: RunConfig | Mapping[str, Any] | None, vary: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the settings that all runs share; what is varied is not among them."""
    if isinstance(base, RunConfig):
        kept = base.model_dump(exclude={*FIXED, *vary})
        # The parameter of one activation function means nothing to another; so with networks.
        aside = {"parameter"} if "activation" in vary else set()
        aside |= set(OF_A_NETWORK if "network" in vary else ())
        return {name: value for name, value in kept.items() if name not in aside}
    if base is not None and not isinstance(base, Mapping):
        raise InputError(f"base must be a RunConfig or a dict of settings, not {base!r}.")
    settings = dict(base or {})
    for name in settings:
        if name not in RunConfig.model_fields:
            raise unknown("setting", name, VARIABLE)
        if name == "seed":
            raise InputError(f"seed must be given as seeds, such as seeds=[{settings[name]!r}].")
        if name in vary:
            raise InputError(f"{name} must be varied or fixed, not both.")
    return settings


def check_values(name: str, values: Any) -> None:
    """Checks that a field can be varied and that its values are a list.

    Raises:
        InputError: If not, with the choices.
    """
    if name == "seed":
        raise InputError("seed cannot be varied: say how many seeds, such as seeds=10.")
    if name not in VARIABLE:
        raise unknown("setting", name, VARIABLE)
    if isinstance(values, str) or not (isinstance(values, Sequence) or np.ndim(values)):
        raise InputError(f"{name} must be a list of values, not {reprlib.repr(values)}.")


def seed_list(seeds: int | Iterable[int]) -> list[int]:
    """Returns the seeds 0 to n - 1 for a number n, and a list of seeds unchanged.

    Raises:
        InputError: If it is neither.
    """
    counted = is_whole(seeds) and 1 <= seeds <= MOST_SEEDS
    listed = isinstance(seeds, Iterable) and not isinstance(seeds, str | Mapping)
    listed = listed and not (isinstance(seeds, np.ndarray) and seeds.ndim == 0)
    asked = range(seeds) if counted else seeds if listed else ()  # type: ignore
    chosen = list(itertools.islice(asked, MOST_SEEDS + 1))  # type: ignore
    if not 1 <= len(chosen) <= MOST_SEEDS:
        raise InputError(
            f"seeds must be a number from 1 to {MOST_SEEDS:,} or a list of seeds, "
            f"not {reprlib.repr(seeds)}."
        )
    return chosen


def read_seeds(text: str) -> list[int]:
    """Reads `N` as the seeds 0 to N - 1 and `A-B` as the seeds A to B.

    Raises:
        InputError: If it is neither.

    >>> read_seeds("3-5")
    [3, 4, 5]
    """
    first, dash, last = text.partition("-")
    try:
        low, high = (int(first), int(last) + 1) if dash else (0, int(first))
    except ValueError:
        low, high = 0, 0
    if not low < high <= low + MOST_SEEDS:
        raise InputError(
            f"seeds must be a number from 1 to {MOST_SEEDS:,}, or the first and the last seed "
            f"as in 5-9, not {text!r}."
        )
    return list(range(low, high))


def read_vary(texts: Iterable[str]) -> dict[str, list[Any]]:
    """Reads varied settings as they are typed: `learning_rate=0.1,0.2`, `hidden=64-64,128`.

    Raises:
        InputError: If a text is not of this form, or if a setting comes twice.
    """
    varied: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals:
            raise InputError(f"vary must be NAME=VALUE,VALUE,…, not {text!r}.")
        if name in varied:
            raise InputError(f"vary must name each setting once, and {name} comes twice.")
        varied[name] = read_values(name, values)
    return varied


@dataclass(frozen=True)
class Plan:
    """A study as a TOML file describes it, fixed before any training.

    Attributes:
        question: The question that it answers, in words.
        dataset: A name for `load_dataset`.
        seeds: How many seeds, from 0; or the seeds themselves.
        settings: Fields of `RunConfig`, the same for all runs.
        vary: Fields of `RunConfig`, each with its values.
    """

    question: str | None = None
    dataset: str = "auto"
    seeds: int | list[int] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    vary: dict[str, list[Any]] = field(default_factory=dict)


_TYPES: Mapping[str, tuple[type, ...]] = {
    "question": (str,),
    "dataset": (str,),
    "seeds": (int, list),
    "settings": (dict,),
    "vary": (dict,),
}
_WORDS = {str: "a text", int: "a whole number", list: "a list", dict: "a table"}


def read_plan(path: str | Path) -> Plan:
    """Reads a study from a TOML file.

    ::

        question = "Does Leaky ReLU survive higher learning rates?"
        dataset = "mnist-5k"
        seeds = 10
        [settings]
        epochs = 3
        [vary]
        activation = ["relu", "leaky_relu"]
        learning_rate = [0.001, 0.01]

    Raises:
        InputError: If it cannot be read, is not TOML, or has a field that studies do not have.
    """
    path = at_home(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path} must have at most {LARGEST_FILE:,} bytes to be a study.")
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a TOML file: {error}.") from None
    for name, value in content.items():
        if name not in _TYPES:
            raise unknown(f"field of the study {path}", name, _TYPES)
        if not isinstance(value, _TYPES[name]) or isinstance(value, bool):
            words = " or ".join(_WORDS[kind] for kind in _TYPES[name])
            raise InputError(
                f"{name} of the study {path} must be {words}, not {reprlib.repr(value)}."
            )
    return Plan(**content)
