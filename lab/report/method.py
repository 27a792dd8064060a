"""How the runs of a report were made: settings, versions, machines, and the commands to repeat."""

import itertools
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from lab import activations
from lab.experiment import VARIABLE, VARIED, RunConfig, sources, spelling
from lab.runs import Run, Runs

MOST_VALUES = 12
MOST_COMMANDS = 20


def method(runs: Runs) -> dict[str, Any]:
    """Returns what the template says about how the runs were made."""
    settings = _settings(runs)
    commands = _commands(runs)
    return {
        "same": [(name, values[0]) for name, values in settings if len(values) == 1],
        "differing": [(name, _shortened(values)) for name, values in settings if len(values) > 1],
        "datasets": _datasets(runs),
        "machines": _machines(runs),
        "recorded": sorted({run.record.created for run in runs}),
        "commands": commands[:MOST_COMMANDS],
        "more_commands": max(0, len(commands) - MOST_COMMANDS),
        "unrepeated": _unique(
            run.config.title
            for run in runs
            if not _is_repeatable(run) and run.record.outside is None
        ),
        "own_sources": _own_sources(runs),
    }


def _own_sources(runs: Runs) -> dict[str, str]:
    """Returns the sources of the user's own functions and networks, by their titles."""
    functions = {
        r.config.title: r.record.own_activation.source for r in runs if r.record.own_activation
    }
    return functions | {r.config.size: r.record.own_network for r in runs if r.record.own_network}


def _settings(runs: Runs) -> list[tuple[str, list[str]]]:
    """Returns what each setting means, with every value that it has."""
    fields = {
        name: field.title or name
        for name, field in RunConfig.model_fields.items()
        if name not in VARIED and any(name in run.config.model_dump() for run in runs)
    }
    functions = _unique(run.config.title for run in runs)
    seeds = [runs.seed_words().partition(" ")[2]] if len(runs) else []
    return [
        ("activation function of the hidden layers", functions),
        *((title, _unique(_value(run, name) for run in runs)) for name, title in fields.items()),
        ("seeds, which fix first weights and order of batches", seeds),
    ]


def _value(run: Run, name: str) -> str:
    value = getattr(run.config, name)
    if name == "train_size":
        return f"{run.record.train_images:,}"
    if value is None:
        return "none"
    return spelling.value_words(value)


def _datasets(runs: Runs) -> list[tuple[str, str, str]]:
    """Returns name, images and SHA-256 of each data set, as it was split."""
    return list(
        dict.fromkeys(
            (
                record.dataset,
                f"{record.train_images:,} to train on, {record.validation_images:,} to validate, "
                f"{record.test_images:,} to test, a probe of {record.probe_images:,}",
                record.dataset_digest,
            )
            for record in (run.record for run in runs)
        )
    )[:MOST_VALUES]


def _machines(runs: Runs) -> list[tuple[str, str]]:
    """Returns every software version that computed the runs, and the processors."""
    every = [run.record.versions for run in runs]
    names = _unique(name for versions in every for name in versions)[:MOST_VALUES]
    return [
        *((name, _shortened(_unique(v[name] for v in every if name in v))) for name in names),
        ("processor", _shortened(_unique(run.record.processor for run in runs))),
    ]


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _shortened(values: list[str]) -> str:
    left = len(values) - MOST_VALUES
    return ", ".join(values[:MOST_VALUES]) + (f" and {left:,} more" if left > 0 else "")


def _commands(runs: Runs) -> list[str]:
    """Returns the commands that train these runs again."""
    repeatable = Runs([run for run in runs if _is_repeatable(run)])
    return [
        _command(comparison[0], names, seeds)
        for comparison in repeatable.comparisons()
        for seeds, names in _together(comparison).items()
    ]


def _is_repeatable(run: Run) -> bool:
    own = run.config.source_sha256 or run.config.network_sha256
    return own is None and run.record.outside is None and run.record.dataset in sources.NAMES


def _together(comparison: Runs) -> dict[str, list[str]]:
    """Returns for each range of seeds the activation functions with runs of these seeds."""
    together: dict[str, list[str]] = {}
    for group in comparison.groups():
        for seeds in _ranges(sorted({run.config.seed for run in group})):
            together.setdefault(seeds, []).append(_choice(group[0].config))
    return together


def _ranges(seeds: Sequence[int]) -> list[str]:
    """Returns seeds as `lab compare` reads them.

    >>> _ranges([0, 1, 2]), _ranges([0, 2, 3])
    (['3'], ['1', '2-3'])
    """
    blocks = itertools.groupby(enumerate(seeds), lambda pair: pair[1] - pair[0])
    ends = [(block[0][1], block[-1][1]) for block in (list(pairs) for _, pairs in blocks)]
    return [f"{last + 1}" if first == 0 else f"{first}-{last}" for first, last in ends]


def _choice(config: RunConfig) -> str:
    default = activations.get(config.activation).default
    plain = config.parameter is None or config.parameter == default
    return config.activation if plain else f"{config.activation}={config.parameter!r}"


def _command(run: Run, choices: Sequence[str], seeds: str) -> str:
    words = ["uv", "run", "lab", "compare", "--dataset", run.record.dataset]
    for choice in choices:
        words += ["--activation", choice]
    for name, value in run.config.model_dump(exclude_defaults=True).items():
        if name in VARIABLE and name not in VARIED:
            text = str(value) if isinstance(value, float) else spelling.value_words(value)
            words += [spelling.option_of(name), text]
    return shlex.join([*words, "--seeds", seeds])
