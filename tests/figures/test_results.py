"""What the README and the results page say is what the tables of the recorded runs give."""

import re
import sys
import tomllib
from itertools import product, takewhile
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t, ttest_rel

from lab.runs.spreadsheets import read_csv

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "figures"
sys.path.append(str(FIGURES))

from results import page  # noqa: E402

PAGE = (FIGURES / "results.md").read_text(encoding="utf-8")
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
FINDINGS = README[README.index("## Three findings") :].partition("## A function")[0]
NUMBER = r"−?\d[\d,]*(?:\.\d+)?"


def runs(name: str):
    return read_csv(FIGURES / f"{name}.csv")


def percent(name: str, column: str = "test_accuracy", **where):
    rows = runs(name)
    for key, value in where.items():
        rows = rows[rows[key] == value]
    return 100 * rows.pivot(index="seed", columns="activation", values=column)


def interval(differences) -> tuple[float, float, float]:
    half = t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / np.sqrt(len(differences))
    return differences.mean(), differences.mean() - half, differences.mean() + half


def test_the_page_is_what_the_tables_print():
    assert page() == PAGE, "Write it again: uv run python figures/results.py"


@pytest.mark.parametrize("study", ["ladder", "functions", "twenty-seeds"])
def test_the_runs_are_those_that_were_planned(study):
    plan = tomllib.loads((FIGURES / f"{study}.toml").read_text(encoding="utf-8"))
    rates = plan["vary"].get("learning_rate", [0.001])
    names = plan["vary"]["activation"]
    planned = {(name, seed, rate) for name in names for seed in plan["seeds"] for rate in rates}
    found = runs(study)
    assert len(found) == len(planned)
    assert set(zip(found.activation, found.seed, found.learning_rate, strict=True)) == planned
    assert set(found.status) == {"finished"}


def test_the_remedies_are_those_that_were_planned():
    plan = tomllib.loads((FIGURES / "remedies.toml").read_text(encoding="utf-8"))
    found, vary = runs("remedies"), plan["vary"]
    planned = set(
        product(plan["remedies"], vary["activation"], plan["seeds"], vary["learning_rate"])
    )
    columns = (found.remedy, found.activation, found.seed, found.learning_rate)
    assert len(found) == len(planned) == 216
    assert set(zip(*columns, strict=True)) == planned
    assert set(found.status) == {"finished"}


def test_networks_without_a_remedy_are_those_of_the_ladder():
    ladder, remedies = runs("ladder"), runs("remedies")
    without = remedies[remedies.remedy == "none"]
    both = without.merge(ladder, on=["run_id"], suffixes=("", "_of_the_ladder"))
    assert len(both) == len(without) == 36
    for name in ("test_accuracy", "dead_1", "dead_2"):
        assert (both[name] == both[f"{name}_of_the_ladder"]).all()


def test_what_is_said_of_remedies_is_what_paired_intervals_say():
    table = runs("remedies").set_index(["activation", "remedy", "learning_rate", "seed"])

    def added(column, remedy, rate, activation="relu"):
        one, other = (activation, remedy, rate), (activation, "none", rate)
        one = ("leaky_relu", "none", rate) if remedy == "leak 0.01" else one
        return interval(100 * (table[column].loc[one] - table[column].loc[other]))

    for rate in (0.005, 0.02):
        for remedy in ("batch normalisation", "layer normalisation"):
            assert added("test_accuracy", remedy, rate)[1] > 0
    for rate in (0.001, 0.005, 0.02):
        mean, low, high = added("test_accuracy", "leak 0.01", rate)
        assert low < 0 < high
        words = f"{mean:.2f} ± {high - mean:.2f}".replace("-", "−")
        assert words in next(
            line for line in PAGE.splitlines() if line.startswith("| leak") and "±" in line
        )
    assert added("dead_1", "warm-up 0.1", 0.005)[2] < 0
    assert added("dead_1", "weight decay 0.1", 0.005)[1] > 0


def test_the_gains_that_hold_after_holms_correction_are_those_that_are_named():
    table = runs("remedies").set_index(["activation", "remedy", "learning_rate", "seed"])
    names = [name for name in table.index.unique("remedy") if name != "none"]
    pairs = [((a, r), (a, "none")) for a in ("relu", "leaky_relu") for r in names]
    pairs.append((("leaky_relu", "none"), ("relu", "none")))
    accuracy, p = table.test_accuracy, {}
    for (one, other), rate in product(pairs, (0.001, 0.005, 0.02)):
        p[one, rate] = ttest_rel(accuracy.loc[*one, rate], accuracy.loc[*other, rate]).pvalue
    in_order = sorted(p, key=p.get)
    held = list(takewhile(lambda n: p[in_order[n]] * (len(p) - n) <= 0.05, range(len(p))))
    assert {in_order[n] for n in held} == {
        (("relu", "batch normalisation"), 0.005),
        (("relu", "batch normalisation"), 0.02),
        (("relu", "layer normalisation"), 0.02),
        (("leaky_relu", "batch normalisation"), 0.02),
    }
    assert len(p) == 33
    assert PAGE.count(" * |") == 4
    assert (table.loc["leaky_relu", ["dead_1", "dead_2"]] == 0).all(axis=None)


def test_every_number_of_the_readmes_findings_is_on_the_results_page():
    words = re.sub(r"!?\[[^]]*\]\([^)]*\)|f'\(z\) is 0", "", FINDINGS)
    known = set(re.findall(NUMBER, PAGE))
    said = re.findall(NUMBER, words)
    assert len(said) > 15
    assert [number for number in said if number not in known] == []


@pytest.mark.parametrize(("activation", "name"), [("leaky_relu", "Leaky ReLU"), ("elu", "ELU")])
def test_the_differences_of_twenty_seeds_are_paired_t_intervals(activation, name):
    table = percent("twenty-seeds")
    mean, low, high = interval(table[activation] - table["relu"])
    words = " ".join(PAGE.split())
    found = re.search(rf"{name}'s[^.]*?({NUMBER}) points[^()]*\(?.{{0,4}}95 % interval", words)
    ends = f"95 % interval {low:.2f} to {high:.2f}".replace("-", "−")
    assert abs(float(found[1].replace("−", "-"))) == round(abs(mean), 2)
    assert ends in words


def test_the_verdicts_of_twenty_seeds_hold_after_holms_correction():
    table = percent("twenty-seeds")
    p = sorted(ttest_rel(table[name], table["relu"]).pvalue for name in ("leaky_relu", "elu"))
    told_apart = [2 * p[0] <= 0.05, 2 * p[0] <= 0.05 and p[1] <= 0.05]
    assert PAGE.count("it holds after Holm's correction") == sum(told_apart)
    assert FINDINGS.count("not distinguishable from") == 2 - sum(told_apart)


def test_accuracy_falls_behind_at_the_highest_rate_alone():
    """What the page and the README say of six seeds in pairs."""
    for rate in (0.001, 0.005, 0.02, 0.1):
        table = percent("ladder", learning_rate=rate)
        for name in ("leaky_relu", "elu"):
            _, low, high = interval(table[name] - table["relu"])
            assert (low <= 0 <= high) == (rate < 0.1), (name, rate)


@pytest.mark.parametrize("column", ["dead_1", "dead_2", "test_accuracy"])
def test_the_means_of_six_seeds_are_in_the_table(column):
    row = next(line for line in PAGE.splitlines() if line.startswith("| 0.02 |") and "%" in line)
    digits = 2 if column == "test_accuracy" else 1
    mean, low, _ = interval(percent("ladder", column, learning_rate=0.02)["relu"])
    assert f" {mean:.{digits}f} ± {mean - low:.{digits}f} %" in row


def test_none_but_relu_and_its_kin_lose_neurons():
    """Of the ten functions at the two lower rates."""
    table = runs("functions")
    losers = table[(table.dead_1 > 0) | (table.dead_2 > 0)].activation.unique()
    assert list(losers) == ["relu"]


LEARNERS = ("relu", "leaky_relu", "elu", "tanh", "crelu")


def of_tasks(measure, remedy="none"):
    """What changes from the first tasks to the last: a column for each function, a row a seed."""
    found = runs("tasks")
    found = found[found.remedy == remedy]
    found = found.assign(change=found[f"{measure}_last"] - found[f"{measure}_first"])
    return found.pivot(index="seed", columns="activation", values="change")


def test_the_tasks_are_those_that_were_planned():
    plan = tomllib.loads((FIGURES / "tasks.toml").read_text(encoding="utf-8"))
    found, without = runs("tasks"), plan["without"]
    planned = {
        (remedy, activation, seed)
        for remedy, activation, seed in product(plan["remedies"], LEARNERS, plan["seeds"])
        if activation not in without.get(remedy, [])
    }
    assert tuple(plan["vary"]["activation"]) == LEARNERS
    assert set(zip(found.remedy, found.activation, found.seed, strict=True)) == planned
    assert len(found) == len(planned) == 228


def test_what_is_said_of_tasks_without_a_remedy_is_what_intervals_say():
    online = of_tasks("online")
    assert set(online) == set(LEARNERS)
    for name in LEARNERS:
        assert interval(online[name])[2] < 0
        assert interval(of_tasks("online", "larger steps")[name] - online[name])[2] < 0
        assert interval(of_tasks("norm")[name])[1] > 0
        _, low, high = interval(of_tasks("rank")[name])
        assert low < 0 < high if name == "crelu" else high < 0
    dead = of_tasks("dead")
    assert all(interval(dead[name])[1] > 0 for name in ("relu", "crelu"))
    assert not dead[["leaky_relu", "elu", "tanh"]].any(axis=None)
    for name in ("elu", "tanh", "leaky_relu"):  # As much as ReLU, or more.
        assert interval(online[name] - online["relu"])[1] < 0


def test_what_is_said_of_remedies_for_tasks_is_what_intervals_say():
    online = of_tasks("online")
    for name in LEARNERS:
        assert interval(of_tasks("online", "l2 0.001")[name] - online[name])[1] > 0
        assert interval(of_tasks("online", "layer normalisation")[name] - online[name])[0] < 0
    shares = {}
    for name in LEARNERS[:4]:
        kept = of_tasks("online", "continual backprop")[name] - online[name]
        assert interval(kept)[1] > 0
        shares[name] = kept.mean() / -online[name].mean()
    assert min(shares, key=shares.get) == "elu"
    assert max(shares, key=shares.get) == "relu"
    assert 0.45 < shares["elu"] < shares["relu"] < 0.8
    redo = of_tasks("online", "ReDo, 25 steps")
    assert all(interval(redo[name])[1] > 0 for name in ("relu", "leaky_relu"))
    assert (redo[["elu", "tanh"]] == online[["elu", "tanh"]]).all(axis=None)
