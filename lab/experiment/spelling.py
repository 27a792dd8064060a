"""How settings and their values are written for people, and read."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lab.experiment.config import RunConfig

# What may differ between the runs of one comparison.
VARIED = ("activation", "parameter", "source_sha256", "seed")
# The settings that say how a network is trained beyond the textbook's way.
BEYOND_TEXTBOOK = (
    "normalization",
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
    "replacement_rate",
    "maturity",
)


def option_of(setting: str) -> str:
    """Returns the option of the command line that sets a setting, such as `--learning-rate`."""
    return f"--{setting.replace('_', '-')}"


def differences(configs: Sequence[RunConfig], *aside: str) -> list[list[str]]:
    """Returns for each the settings that differ among them, except those in `VARIED`.

    A remedy is left out where it is not applied.

    >>> differences([RunConfig(warmup=warmup) for warmup in (0, 0.1)])
    [[], ['warmup 0.1']]

    Args:
        configs: The settings.
        *aside: Further names of settings to leave out.
    """
    fields = [name for name in differing(configs) if name not in aside]
    return [
        [f"{words_of(n)} {value_words(_value(c, n))}" for n in fields if not _is_left(c, n)]
        for c in configs
    ]


def _is_left(config: RunConfig, name: str) -> bool:
    """Tells whether a remedy is not applied."""
    return name in BEYOND_TEXTBOOK and getattr(config, name) == RunConfig.model_fields[name].default


def _value(config: RunConfig, name: str) -> Any:
    """Returns the value of a setting; two networks of one name differ by their sources."""
    own = name == "network" and config.network_sha256
    return config.size if own else getattr(config, name)


def remedies(config: RunConfig) -> list[str]:
    """Returns the settings beyond the textbook's in words: `dropout 0.2`, `nesterov`.

    >>> remedies(RunConfig(normalization="batch", dropout=0.2))
    ['normalization batch', 'dropout 0.2']
    """
    applied = [
        (name, getattr(config, name)) for name in BEYOND_TEXTBOOK if not _is_left(config, name)
    ]
    return [
        words_of(name) + ("" if value is True else f" {value_words(value)}")
        for name, value in applied
    ]


def differing(configs: Sequence[RunConfig]) -> list[str]:
    """Returns the names of the settings that differ, except those in `VARIED`."""
    return [
        name
        for name in RunConfig.model_fields
        if name not in (*VARIED, "network_sha256", "pixels", "members")
        and len({_value(config, name) for config in configs}) > 1
    ]


def words_of(setting: Any) -> str:
    """Returns the name of a setting as words: `learning_rate` as `learning rate`."""
    return str(setting).replace("_", " ")


def read_widths(text: str) -> list[str]:
    """Reads the widths of the hidden layers: `512-512`, `512x512`, `512 × 512` or `512,512`."""
    return [width.strip() for width in re.split(r"[x×,]|(?<=\d)-(?=\d)", text)]


def read_values(name: str, text: str) -> list[Any]:
    """Reads the values of a setting from text: `0.01, 0.1`, or for widths `128, 64-64`."""
    items = [item.strip() for item in text.split(",") if item.strip()]
    return list(map(read_widths, items)) if name in ("hidden", "filters") else list(items)


def write_values(values: Iterable[Any]) -> str:
    """Writes values as `read_values` reads them."""
    return ", ".join(map(value_words, values))


def value_words(value: Any) -> str:
    """Returns a value of a setting for people: widths as `512-512`, numbers short."""
    if isinstance(value, list | tuple):
        return "-".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
