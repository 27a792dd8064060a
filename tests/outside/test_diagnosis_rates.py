"""How often the health check is right: the recorded rates, what the pages say of them, and anew."""

import importlib.util
from pathlib import Path

import pytest

from lab.outside import RULES

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "diagnose.py"
MEASURES = {
    "dead": "dead",
    "nearly dead": "nearly_dead",
    "saturated": "saturated",
    "constant": "constant",
    "dormant": "dormant",
    "exploding gradient": "largest_gradient",
    "vanishing gradient": "smallest_gradient",
}


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("diagnose", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def table(benchmark):
    if not benchmark.TABLE.exists():
        pytest.skip("no table is recorded: run tests/benchmarks/diagnose.py")
    return benchmark.read()


def test_each_draw_has_200_healthy_networks_that_learned_and_25_of_each_fault(benchmark, table):
    counts = table.groupby(["draw", "planted"]).size()
    for draw in benchmark.DRAWS:
        assert dict(counts[draw]) == {"": 200, **dict.fromkeys(RULES, 25)}
    assert table[table.planted == ""].accuracy.min() >= 0.85


def test_rates_are_at_most_5_percent_and_the_held_back_ones_within_the_first_intervals(
    benchmark, table
):
    first, held_back = (
        {row.what: row for row in benchmark.rates(table).itertuples() if row.draw == draw}
        for draw in benchmark.DRAWS
    )
    for what, row in held_back.items():
        assert max(row.rate, first[what].rate) <= 0.05
        assert first[what].low <= row.rate <= first[what].high


def test_what_was_found_follows_from_what_was_measured_and_the_limits(table):
    for row in table[table.planted.isin(["", *MEASURES])].itertuples():
        found = {one.partition(" at ")[0] for one in row.found.split("; ")}
        if "dead" in found:
            found.add("nearly dead")  # It is said once.
        for kind in [row.planted] if row.planted else MEASURES:
            value, limit = float(getattr(row, MEASURES[kind])), RULES[kind].limit
            is_wrong = value <= limit if kind == "vanishing gradient" else value >= limit
            assert (kind in found) == is_wrong, (row, kind)


def test_the_pages_say_the_recorded_rates(benchmark, table):
    for path, text in benchmark.pages(table).items():
        assert path.read_text(encoding="utf-8") == text


@pytest.mark.slow
@pytest.mark.parametrize("number", range(8))
def test_networks_made_anew_are_judged_as_recorded(benchmark, table, number):
    """One network of each kind of fault, of the draw that was held back."""
    anew = benchmark.pair(1, number)
    recorded = table[(table.draw == "held-back") & (table.number == number)]
    for row, before in zip(anew, recorded.itertuples(), strict=True):
        assert (row["planted"], row["network"]) == (before.planted, before.network)
        assert row["layer"] == before.layer
    assert [bool(row["found"]) for row in anew] == list(recorded.found != "")
