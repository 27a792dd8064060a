"""Every activation function against the baseline, wherever all other settings agree."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from lab.errors import InputError, unknown
from lab.experiment import RunConfig
from lab.runs import Measure, Run, Runs, each, measures
from lab.stats.groups import at_each_rate, at_rate, by_activation, places
from lab.stats.pairs import holm, paired
from lab.stats.rates import at_best_rates
from lab.stats.verdict import Verdict


def verdicts(
    runs: Iterable[Run],
    measure: str = "test_accuracy",
    layer: int | None = None,
    baseline: str | None = None,
    best_rate: bool = False,
) -> list[Verdict]:
    """Compares every activation function with the baseline, wherever all other settings agree.

    Runs that have not ended are left out. Holm's correction is over all comparisons returned.

    Args:
        runs: Recorded runs.
        measure: One of `measures.NAMES`.
        layer: The hidden layer, from 1, of a layer's measure; networks without it are left out.
        baseline: The activation function to compare with, such as `relu` or `leaky_relu=0.1`; by
            default ReLU where it is among the runs, else the first. Where it is missing,
            nothing is compared.
        best_rate: Whether to compare each activation function at its own best learning rate,
            chosen by `best_rates`, in place of all at the same.

    Raises:
        InputError: If there is no such measure, layer or baseline, or if `runs` are not runs.
    """
    wanted = measures.measure(measure, layer)
    ended = _with_layer(Runs(runs).ended().in_order(), layer)
    if best_rate:
        ended = at_best_rates(ended)
    groups = ended.comparisons(*(["learning_rate"] if best_rate else []))
    known = dict(each(ended, lambda run: (run.run_id, wanted.printed(run))))
    where = places(groups, at_each_rate if best_rate else at_rate)
    _check_baseline(ended, baseline)
    found = [
        verdict
        for group, place in zip(groups, where, strict=True)
        for verdict in _compare(group, place, wanted, known, baseline)
    ]
    return corrected(found)


def between(
    groups: Mapping[str, Iterable[Run]],
    baseline: str,
    measure: str = "test_accuracy",
    layer: int | None = None,
) -> list[Verdict]:
    """Compares named groups of runs with one of them, whatever settings they differ in.

    A group is what you make it: runs with a remedy, with another network, at another rate. Seeds
    are paired, so each may come once in a group. Holm's correction is over all verdicts returned.

    Args:
        groups: The runs of each group, by its name.
        baseline: The name of the group to compare the others with.
        measure: One of `measures.NAMES`.
        layer: The hidden layer, from 1, of a layer's measure.

    Raises:
        InputError: If there is no such baseline, measure or layer, if a group is empty or has a
            seed twice, or if the groups are not of one data set.
    """
    wanted = measures.measure(measure, layer)
    ended = {name: Runs(runs).ended() for name, runs in groups.items()}
    if baseline not in ended:
        raise unknown("baseline", baseline, ended)
    for name, runs in ended.items():
        _check_group(name, runs)
    everything = [run for runs in ended.values() for run in runs]
    if len({run.record.dataset_digest for run in everything}) > 1:
        raise InputError("groups must have one data set to be compared, and they have several.")
    known = dict(each(everything, lambda run: (run.run_id, wanted.printed(run))))
    where, against = everything[0].record.dataset, ended.pop(baseline)
    found = [
        replace(_verdict(runs, against, where, wanted, known), names=(name, baseline))
        for name, runs in ended.items()
    ]
    return corrected(found)


def _check_group(name: str, runs: Runs) -> None:
    seeds = [run.config.seed for run in runs]
    if not seeds:
        raise InputError(f"groups must hold runs that have ended, and {name!r} holds none.")
    if len(set(seeds)) < len(seeds):
        raise InputError(f"groups must have each seed once, and {name!r} has one several times.")


def _with_layer(runs: Runs, layer: int | None) -> Runs:
    if layer is None or not len(runs):
        return runs
    kept = Runs([run for run in runs if layer in run.layers])
    if not len(kept):
        most = max(len(run.layers) for run in runs)
        limits = f"from 1 to {most}" if most > 1 else "1"
        raise InputError(f"layer must be {limits} in these runs, not {layer}.")
    return kept


def _compare(
    runs: Runs, where: str, measure: Measure, known: Mapping[str, float], baseline: str | None
) -> list[Verdict]:
    """Compares every activation function of a comparison with the baseline, if that is there."""
    groups = by_activation(Runs([run for run in runs if run.run_id in known]))
    chosen = _baseline(groups, baseline)
    if chosen is None:
        return []
    return [
        _verdict(group, chosen, where, measure, known) for group in groups if group is not chosen
    ]


def _baseline(groups: Sequence[Runs], wanted: str | None) -> Runs | None:
    fitting = [group for group in groups if _is(group[0].config, wanted or "relu")]
    return next(iter(fitting), None if wanted or not groups else groups[0])


def _is(config: RunConfig, choice: str) -> bool:
    """Tells whether an activation function is the one of a choice such as `leaky_relu=0.1`."""
    name, _, parameter = choice.partition("=")
    if config.activation != name.strip():
        return False
    try:
        return not parameter or float(parameter) == config.parameter
    except ValueError:
        return False


def _check_baseline(runs: Runs, wanted: str | None) -> None:
    if wanted is None or any(_is(run.config, wanted) for run in runs):
        return
    choices = dict.fromkeys(_choice(run.config) for run in runs)
    raise unknown("baseline", wanted, choices)


def _choice(config: RunConfig) -> str:
    """Returns an activation function as a user names it: `leaky_relu=0.1`."""
    return config.activation + ("" if config.parameter is None else f"={config.parameter:g}")


def _verdict(
    group: Runs, baseline: Runs, where: str, measure: Measure, known: Mapping[str, float]
) -> Verdict:
    own, other = ({run.config.seed: run for run in side} for side in (group, baseline))
    seeds = sorted(own.keys() & other.keys())
    pairs = [own[seed] for seed in seeds], [other[seed] for seed in seeds]
    values = [[known[run.run_id] for run in side] for side in pairs]
    return Verdict(
        config=group[0].config,
        against=baseline[0].config,
        where=where,
        measure=measure,
        seeds=tuple(seeds),
        paired=paired(values[0], values[1], measure.better),
        left_out=tuple(sorted(own.keys() ^ other.keys())),
        problem=" and ".join(_problems([*pairs[0], *pairs[1]], known, measure)),
    )


def _problems(runs: Sequence[Run], known: Mapping[str, float], measure: Measure) -> list[str]:
    """Says of each activation function with which seeds it diverged or has no finite value."""
    problems = []
    for group in by_activation(Runs([r for r in runs if not math.isfinite(known[r.run_id])])):
        diverged = Runs([run for run in group if run.diverged])
        valueless = Runs([run for run in group if not run.diverged])
        title = group[0].config.title
        if len(diverged):
            problems.append(f"{title} diverged with {diverged.seed_words()}")
        if len(valueless):
            problems.append(f"{title} has no finite {measure.label} with {valueless.seed_words()}")
    return problems


def corrected(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Returns the verdicts with Holm's correction over all of them that can be decided."""
    verdicts = list(verdicts)
    decidable = [verdict for verdict in verdicts if verdict.decidable]
    p_values = dict(
        zip(map(id, decidable), holm([verdict.paired.p for verdict in decidable]), strict=True)
    )
    return [
        replace(one, p_holm=p_values.get(id(one), math.nan), comparisons=max(1, len(decidable)))
        for one in verdicts
    ]
