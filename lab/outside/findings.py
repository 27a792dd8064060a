"""The result of a health check: what was measured in each layer, and what is wrong."""

from typing import Literal

from lab.activations import Strict
from lab.census import units
from lab.outside.rules import Kind
from lab.words import counted, join_words


class LayerHealth(Strict):
    """What was measured of one hidden layer; None where a measure has no meaning or is not known.

    A unit counts once: as dead, else as nearly dead, constant or dormant.

    Attributes:
        layer: Its name.
        function: Its activation function.
        units: How many units it has.
        nonfinite: Units with a value that is NaN or infinite.
        dead: Units whose gate f'(z) is 0 on every input.
        nearly_dead: Other units whose gate never exceeds 0.001 · sup |f'|.
        constant: Others that give the same for every input: their standard deviation is at most
            0.025 of the layer's mean of it, or 0.001 of their own mean |a|.
        dormant: Others whose mean |a| is at most 0.025 of the layer's mean (Sokar et al. 2023).
        saturated: Share of all values of a that are not 0, and where the gate is at most
            0.001 · sup |f'|.
        gradient: Size of the gradient of the loss by z, relative to that at the last hidden layer.
    """

    layer: str
    function: str
    units: int
    nonfinite: int
    dead: int
    nearly_dead: int | None
    constant: int
    dormant: int
    saturated: float | None
    gradient: float | None


class Finding(Strict):
    """One thing that is wrong in one layer.

    Attributes:
        kind: What is wrong.
        layer: Where: a layer's name, or `output`.
        value: What was measured: a share of the layer's units or values, or a relative gradient.
        limit: From where on it is wrong.
        what: The same in words.
        sure: How sure that is, and how that was measured.
        bound: At 95 % confidence, the largest share of such inputs on which one of these units
            does otherwise (Clopper and Pearson 1934, corrected for the number of units); of
            saturated values, of the values that are not. None for gradients and numbers that are
            not finite.
        cause: The likely cause.
        advice: What to try.
        evidence: The file of this project that shows it.
        follows: The layer whose finding explains this one, if there is one.
    """

    kind: Kind
    layer: str
    value: float
    limit: float
    what: str
    sure: str
    bound: float | None
    cause: str
    advice: str
    evidence: str
    follows: str | None

    def __str__(self) -> str:
        """The finding as text."""
        more = [f"  {name}: {words}" for name, words in self.parts]
        return "\n".join([f"{self.layer}: {self.kind}", f"  {self.what}", *more])

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The details of the finding: names and texts."""
        return (
            ("How sure", self.sure),
            ("Likely cause", self.cause),
            ("Try", self.advice),
            ("See", self.evidence),
        )


class Diagnosis(Strict):
    """What a health check found; `model_dump_json()` writes it, `model_validate_json()` reads it.

    Attributes:
        format: The kind of this file.
        model: The network's name.
        inputs: On how many inputs it was observed.
        loss: The loss whose gradient was measured; None if it was not.
        layers: What was measured of each hidden layer.
        findings: What is wrong, in the order of computation; empty if nothing is.
        not_checked: What could not be checked, a sentence each.
    """

    format: Literal["activation-lab diagnosis"] = "activation-lab diagnosis"
    model: str
    inputs: int
    loss: str | None
    layers: tuple[LayerHealth, ...]
    findings: tuple[Finding, ...]
    not_checked: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The result in one sentence."""
        where = f"of {self.model}, on {counted(self.inputs, 'input')}"
        if not self.findings:
            return f"Nothing wrong was found in the {counted(len(self.layers), 'layer')} {where}."
        layers = dict.fromkeys(finding.layer for finding in self.findings)
        found = counted(len(self.findings), "thing")
        are = "is" if len(self.findings) == 1 else "are"
        return f"{found} {are} wrong in {join_words(layers)} {where}."

    def __str__(self) -> str:
        """The diagnosis as text."""
        return "\n".join([self.summary, *map(str, self.findings), *self.not_checked])


LAYER_COLUMNS = (
    *("layer", "function", "units", "dead", "nearly dead", "constant", "dormant", "saturated %"),
    "gradient",
)
LAYER_LEGEND = (
    f"dead: no gradient on any input; nearly dead: gate at most {units.NEARLY} of its largest; "
    f"constant: the same for every input; dormant: mean size at most {units.DORMANT_TAU} of the "
    f"layer's; saturated: values, not 0, where the function is flat; gradient: relative to that at "
    f"the last layer; -: not known."
)


def layer_rows(diagnosis: Diagnosis) -> list[list[str]]:
    """Returns what was measured of each layer in words, by `LAYER_COLUMNS`."""
    return [[one.layer, one.function, f"{one.units:,}", *_cells(one)] for one in diagnosis.layers]


def _cells(one: LayerHealth) -> list[str]:
    if one.nonfinite:
        return [f"{one.nonfinite:,} not finite", *["-"] * 5]
    return [
        f"{one.dead:,}",
        "-" if one.nearly_dead is None else f"{one.nearly_dead:,}",
        f"{one.constant:,}",
        f"{one.dormant:,}",
        "-" if one.saturated is None else f"{100 * one.saturated:.1f}",
        "-" if one.gradient is None else f"{one.gradient:.2g}",
    ]
