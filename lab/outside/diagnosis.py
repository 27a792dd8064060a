"""`diagnose`: what is wrong in each layer of a network, how sure that is, and what to try."""

from collections.abc import Iterator

import numpy as np

from lab.census import BoolArray, units
from lab.errors import InputError, reason_of
from lab.outside.backward import Reached, reached
from lab.outside.findings import Diagnosis, Finding, LayerHealth
from lab.outside.health import Health, Measured
from lab.outside.observer import Observer
from lab.outside.recorder import Recorder
from lab.outside.rules import CONFIDENCE, FEWEST_INPUTS, RULES, Kind
from lab.runs import Run
from lab.words import counted, number

OUTPUT = "output"
# What a unit with this finding does on few inputs only, and on which share of them at most. (By the
# inequalities of Chebyshev and Markov, for a unit that is constant or dormant.)
OTHERWISE: dict[Kind, tuple[str, float]] = {
    "dead": ("opens", 0.0),
    "nearly dead": ("opens by more than a thousandth", 0.0),
    "constant": (
        "is further from its mean than 40 of its standard deviations",
        units.CONSTANT_TAU**2,
    ),
    "dormant": ("gives more than the layer's mean", units.DORMANT_TAU),
}
GRADIENTS: dict[Kind, int] = {"exploding gradient": 1, "vanishing gradient": -1}


def diagnose(source: Recorder | Run) -> Diagnosis:
    """Checks the health of every layer of a network, as it was at its last census.

    ::

        lab.diagnose(lab.Census.of(model, (x, y)))

    Gradients are checked for Keras models, as they are now, if the census has labels.

    Args:
        source: A census that has observed a network, of `lab.Census` or `lab.watch`; or a run.

    Returns:
        What was measured in each layer, and the findings: none if nothing is wrong.

    Raises:
        InputError: If `source` is neither.
        RunError: If nothing was observed yet, or the run cannot be read.
    """
    if not isinstance(source, Recorder | Run):
        raise InputError(
            f"diagnose takes a census, such as lab.Census.of(model, (x, y)), or a run, "
            f"not a {type(source).__name__}."
        )
    run = source if isinstance(source, Run) else source.run
    gradient, why_not = _gradient(source)
    measured = Measured(run, gradient)
    outside = run.record.outside
    return Diagnosis(
        model=outside.model if outside else run.title,
        inputs=measured.inputs,
        loss=gradient.loss if gradient else None,
        layers=tuple(_health(measured, place) for place in range(len(measured.layers))),
        findings=tuple(_findings(measured)),
        not_checked=tuple(f"Not checked: {words}." for words in _not_checked(measured, why_not)),
    )


def _gradient(source: Recorder | Run) -> tuple[Reached | None, str]:
    """Returns the gradient at each site, or the reason why it is not known."""
    observer = source.observer if isinstance(source, Recorder) else None
    if not isinstance(observer, Observer):
        return None, "they need the census of a Keras model, with labels"
    try:
        found = reached(observer)
    except InputError as error:
        return None, str(error)
    except Exception as error:  # A loss of the user's own.
        return None, f"the loss cannot be taken: {reason_of(error)}"
    if found.fits:
        return None, "the loss is 0 on these inputs"
    return found, "" if found.loss else "what the network gives is not finite"


def _not_checked(measured: Measured, why_not: str) -> Iterator[str]:
    outside = measured.run.record.outside
    yield from outside.unseen if outside else ()
    if measured.inputs < FEWEST_INPUTS:
        yield (
            f"units that are dead, nearly dead, saturated, constant or dormant: {FEWEST_INPUTS} "
            f"inputs are needed to know, and there are {measured.inputs}"
        )
    if why_not:
        yield f"gradients: {why_not}"
    if measured.weights is None:
        yield "whether the weights are finite: the run does not keep them"


def _health(measured: Measured, place: int) -> LayerHealth:
    one = measured.layers[place]
    known = units.applies(one.summaries, "nearly_dead")
    ratio = float(measured.ratios[-1, place])
    return LayerHealth(
        layer=one.site.name,
        function=one.site.function or measured.run.config.title,
        units=one.site.units,
        nonfinite=int(units.nonfinite(one.summaries).sum()),
        dead=int(one.dead.sum()),
        nearly_dead=int((one.shut & ~one.dead).sum()) if known else None,
        constant=int(one.constant.sum()),
        dormant=int(one.dormant.sum()),
        saturated=one.saturated,
        gradient=ratio if np.isfinite(ratio) else None,
    )


def _findings(measured: Measured) -> Iterator[Finding]:
    """Yields all that is wrong, in the order of computation."""
    for place in range(len(measured.layers)):
        yield from _nonfinite(measured, place)
        if measured.inputs >= FEWEST_INPUTS:
            yield from _units(measured, place)
            yield from _saturated(measured, place)
        yield from _gradients(measured, place)
    yield from _elsewhere(measured)


# Units.


def _units(measured: Measured, place: int) -> Iterator[Finding]:
    one = measured.layers[place]
    for kind in OTHERWISE:
        which = _which(kind, one)
        if which.mean() < RULES[kind].limit or (kind == "nearly dead" and _is_wrong("dead", one)):
            continue
        inputs, count = measured.inputs, int(which.sum())
        otherwise, share = OTHERWISE[kind]
        bound = most_otherwise(np.floor(share * inputs), inputs, count)
        yield _finding(
            kind,
            one,
            float(which.mean()),
            f"{count:,} of {counted(one.site.units, 'unit')} ({number(100 * which.mean())} %)",
            f"measured on {inputs:,} inputs. At 95 % confidence each of them {otherwise} on at "
            f"most {number(100 * bound)} % of such inputs.",
            bound=bound,
            cause=" ".join(_causes(kind, measured, place)),
            follows=_silent_below(measured, place),
        )


def _which(kind: Kind, one: Health) -> BoolArray:
    return {
        "dead": one.dead,
        "nearly dead": one.shut,
        "constant": one.constant,
        "dormant": one.dormant,
    }[kind]


def _is_wrong(kind: Kind, one: Health) -> bool:
    return bool(_which(kind, one).mean() >= RULES[kind].limit)


def most_otherwise(often: float, inputs: int, several: int = 1) -> float:
    """Returns the upper limit of a share, at 95 % confidence (Clopper and Pearson 1934).

    Args:
        often: On how many inputs something was seen.
        inputs: How many inputs there are.
        several: For how many units it is to hold at once (Bonferroni).

    >>> round(most_otherwise(0, 59), 3), round(most_otherwise(0, 1000, several=50), 4)
    (0.05, 0.0069)
    """
    from scipy.stats import beta

    return float(beta.ppf(1 - (1 - CONFIDENCE) / several, often + 1, inputs - often))


def _causes(kind: Kind, measured: Measured, place: int) -> Iterator[str]:
    one = measured.layers[place]
    low, high = one.z_range(_which(kind, one))
    yield f"{RULES[kind].causes}."
    yield f"Their z lies between {number(low)} and {number(high)}."
    yield from _since(kind, measured, place)
    yield from _by_bias(_which(kind, one), measured, place)


def _since(kind: Kind, measured: Measured, place: int) -> Iterator[str]:
    """Says since when a layer is so, where that was recorded."""
    run = measured.run
    if run.last_epoch == 0:
        return
    was_so = [_is_wrong(kind, one) for one in measured.history(place)]
    if all(was_so):
        yield "It was so before the first step: its first weights and biases are the cause."
        return
    since = len(was_so) - was_so[::-1].index(False)
    every = run.record.outside.every if run.record.outside else 1
    yield f"It has been so since epoch {since * every:,}."


def _by_bias(which: BoolArray, measured: Measured, place: int) -> Iterator[str]:
    """Says how many units their biases alone keep below zero."""
    one = measured.layers[place]
    bias = (measured.weights or {}).get(one.site.bias or "")
    if bias is None or bias.shape != which.shape:
        return
    largest = one.summaries.max_z
    freed = which & (largest <= 0) & (largest - bias > 0)
    if freed.sum() >= which.sum() / 2:
        yield (
            f"Their biases keep them there (mean {number(float(bias[freed].mean()))}): without "
            f"them, {freed.sum():,} would have a z above 0 on some input."
        )


def _silent_below(measured: Measured, place: int) -> str | None:
    """Returns the layer below, if it gives the same for every input."""
    below = measured.below(place)
    return below.site.name if below and below.is_still else None


def _saturated(measured: Measured, place: int) -> Iterator[Finding]:
    one, rule = measured.layers[place], RULES["saturated"]
    if one.saturated is None or one.saturated < rule.limit:
        return
    bound = most_otherwise((1 - one.saturated) * measured.inputs, measured.inputs)
    low, high = one.z_range(one.summaries.finite)
    yield _finding(
        "saturated",
        one,
        one.saturated,
        f"{number(100 * one.saturated)} % of its values",
        f"a mean over {measured.inputs:,} inputs. At 95 % confidence at most "
        f"{number(100 * bound)} % of the values for such inputs are not so.",
        bound=bound,
        cause=f"{rule.causes}. Its z lies between {number(low)} and {number(high)}.",
        follows=_silent_below(measured, place),
    )


# Numbers that are not finite.


def _nonfinite(measured: Measured, place: int) -> Iterator[Finding]:
    one = measured.layers[place]
    bad, weights = units.nonfinite(one.summaries), measured.broken[one.site.name]
    if not bad.any() and not weights:
        return
    before = [b.site.name for b in measured.layers[:place] if not b.summaries.finite.all()]
    earlier = [*measured.broken, *before]
    what = f"{bad.sum():,} of {counted(one.site.units, 'unit')}"
    yield _finding(
        "non-finite",
        one,
        float(bad.mean()),
        what + (f" and {counted(weights, 'weight')}" if weights else ""),
        f"certain: on {one.summaries.nonfinite.max() / one.summaries.images:.0%} of the inputs.",
        follows=earlier[0] if earlier and not weights else None,
    )


def _elsewhere(measured: Measured) -> Iterator[Finding]:
    """Yields what is not finite in layers without an activation function, or in the loss alone."""
    names = {one.site.name for one in measured.layers}
    for layer in measured.broken.keys() - names:
        many = counted(measured.broken[layer], "weight")
        yield _finding("non-finite", layer, 1.0, many, "certain: the weights were read.")
    known = measured.broken or not all(one.summaries.finite.all() for one in measured.layers)
    if measured.reached and not known and not np.isfinite(measured.reached.norms).all():
        where = f"certain: seen on the {measured.inputs:,} inputs."
        yield _finding("non-finite", OUTPUT, 1.0, "the loss or its gradient", where)


# Gradients.


def _gradients(measured: Measured, place: int) -> Iterator[Finding]:
    one, ratios = measured.layers[place], measured.ratios[:, place]
    if one.is_shut:  # It is the cause itself, and has a finding of its own.
        return
    *parts, ratio = ratios
    for kind, sign in GRADIENTS.items():
        limit = RULES[kind].limit
        if not sign * ratio >= sign * limit:
            continue
        so = sum(sign * part >= sign * limit for part in parts)
        shut = [above.site.name for above in measured.layers[place + 1 :] if above.is_shut]
        yield _finding(
            kind,
            one,
            float(ratio),
            f"the gradient is {ratio:.2g} times that at the last hidden layer",
            f"so in {so} of {counted(len(parts), 'part')} of the inputs, each by itself.",
            cause=f"{RULES[kind].causes}.{_steepest(measured, place, sign)}",
            follows=shut[0] if shut else None,
        )


def _steepest(measured: Measured, place: int, sign: int) -> str:
    """Says between which layers the gradient changes most on its way down to a layer."""
    ratios = measured.ratios[-1, place:]
    if not np.all(ratios > 0) or len(ratios) < 2:
        return ""
    steps = np.log(ratios[:-1] / ratios[1:])
    most = int((sign * steps).argmax())
    upper, lower = (measured.layers[place + most + n].site.name for n in (1, 0))
    return (
        f" It changes most from {upper} down to {lower}: by a factor of "
        f"{number(float(np.exp(steps[most])))}."
    )


def _finding(
    kind: Kind,
    layer: Health | str,
    value: float,
    what: str,
    sure: str,
    *,
    bound: float | None = None,
    cause: str = "",
    follows: str | None = None,
) -> Finding:
    rule = RULES[kind]
    return Finding(
        kind=kind,
        layer=layer if isinstance(layer, str) else layer.site.name,
        value=value,
        limit=rule.limit,
        what=_sentence(f"{what}: {rule.means}."),
        sure=_sentence(sure),
        bound=bound,
        cause=_sentence(f"what happens in {follows}." if follows else cause or f"{rule.causes}."),
        advice=f"Mend {follows} first." if follows else rule.advice,
        evidence=rule.evidence,
        follows=follows,
    )


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]
