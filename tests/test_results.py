"""What the README says of a planned study is what the table of its recorded runs gives."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t, ttest_rel

from lab.runs.spreadsheets import read_csv

ROOT = Path(__file__).parent.parent
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
WORDS = README[README.index("A study of twenty seeds") :].partition("![")[0]
PLAN = tomllib.loads((ROOT / "figures" / "twenty-seeds.toml").read_text(encoding="utf-8"))
RUNS = read_csv(ROOT / "figures" / "twenty-seeds.csv")


def test_the_runs_are_those_that_were_planned():
    planned = {(name, seed) for name in PLAN["vary"]["activation"] for seed in PLAN["seeds"]}
    assert set(zip(RUNS.activation, RUNS.seed, strict=True)) == planned
    assert len(RUNS) == len(planned) == 60
    assert set(RUNS.status) == {"finished"}
    assert set(RUNS.epochs) == {10}


@pytest.mark.parametrize(("activation", "name"), [("leaky_relu", "Leaky ReLU"), ("elu", "ELU")])
def test_the_readmes_differences_are_the_paired_t_intervals(activation, name):
    """What stands in the README, computed by SciPy from the table of the runs."""
    percent = RUNS.pivot(index="seed", columns="activation", values="test_accuracy") * 100
    difference = percent[activation] - percent["relu"]
    half = t.ppf(0.975, 19) * difference.std(ddof=1) / np.sqrt(20)
    found = re.search(
        rf"{name}'s[^.]*?\(?(?:mean difference )?(−?[\d.]+) points"
        r"[^()]*\(?.{0,4}95 % interval (−?[\d.]+) to (−?[\d.]+)",
        WORDS,
    )
    mean, low, high = (text.replace("−", "-") for text in found.groups())
    digits = len(low.partition(".")[2])
    wanted = [difference.mean(), difference.mean() - half, difference.mean() + half]
    assert [float(low), float(high)] == [round(value, digits) for value in wanted[1:]]
    assert abs(float(mean)) == abs(round(wanted[0], digits))


def test_the_readmes_verdicts_hold_after_holms_correction():
    percent = RUNS.pivot(index="seed", columns="activation", values="test_accuracy")
    p = sorted(ttest_rel(percent[name], percent["relu"]).pvalue for name in ("leaky_relu", "elu"))
    told_apart = [2 * p[0] <= 0.05, 2 * p[0] <= 0.05 and p[1] <= 0.05]
    assert WORDS.count("it holds after Holm's correction") == sum(told_apart)
