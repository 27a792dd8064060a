"""Groups of runs in words; each may be of a single run."""

from pathlib import Path

from lab.stats import groups
from lab.store import RunStore

FOLDER = Path(__file__).parents[2] / "notebooks" / "recorded"
RECORDED = RunStore(FOLDER).runs.where(dataset="mnist", seed=0)


def test_a_group_of_one_run_is_named_by_what_it_is():
    some = RECORDED.where(activation="relu").groups()
    assert [len(group) for group in some] == [1, 1]
    assert groups.places(some, groups.at_rate) == [
        "mnist, learning rate 0.001",
        "mnist, learning rate 0.005",
    ]
    assert groups.places(some) == ["mnist", "mnist"]


def test_each_functions_best_rate_is_said():
    runs = RECORDED.where(learning_rate=0.001)
    assert groups.at_each_rate(runs) == (
        "each at its best learning rate (ReLU: 0.001, Leaky ReLU α=0.01: 0.001, ELU α=1: 0.001)"
    )
