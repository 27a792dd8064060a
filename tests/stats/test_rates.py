"""Best learning rates: chosen on validation, never one that diverged, told with their edges."""

import numpy as np
import pytest

from lab import Runs, stats


@pytest.fixture
def ladder(record):
    """ReLU is best at 0.01 on validation, at 0.1 on the test set; ELU's 0.1 diverged once."""
    validation = {"relu": (0.90, 0.95, 0.94), "elu": (0.90, 0.91, 0.99)}
    test = {"relu": (0.90, 0.93, 0.99), "elu": (0.90, 0.94, 0.99)}
    return Runs(
        [
            record(
                *(name, seed, test[name][place] + 0.001 * seed * place, rate),
                "diverged" if (name, seed, rate) == ("elu", 1, 0.1) else "finished",
                validation[name][place],
            )
            for name in ("relu", "elu")
            for seed in range(6)
            for place, rate in enumerate((0.001, 0.01, 0.1))
        ]
    )


def test_the_best_rate_is_chosen_on_validation_and_never_one_that_diverged(ladder):
    table = stats.best_rates(ladder)
    assert table.activation.tolist() == ["ReLU", "ELU α=1"]
    assert table.learning_rate.tolist() == [0.01, 0.01]
    assert table.validation_accuracy.tolist() == pytest.approx([95, 91])
    assert table.test_accuracy.tolist() == pytest.approx([93.25, 94.25])
    assert table.diverged.tolist() == [0, 1]
    assert table.rates.tolist() == [3, 3]
    assert table.seeds.tolist() == [6, 6]
    assert table["where"].tolist() == ["mnist"] * 2
    assert table.note.tolist() == ["", ""]


def test_a_rate_that_diverged_does_not_hide_the_better_ones_after_it(record):
    low = record("relu", 0, 0.1, 0.001, status="diverged")
    runs = [low, record("relu", 0, 0.9, 0.01, validation=0.8), record("relu", 0, 0.9, 0.1)]
    assert stats.best_rates(runs).learning_rate.tolist() == [0.1]


def test_each_function_can_be_compared_at_its_own_best_rate(one, ladder):
    runs = [run for run in ladder if run.config.learning_rate < 0.1]
    slow = [r for r in runs if (r.config.activation, r.config.learning_rate) != ("elu", 0.01)]
    verdict = one(slow, best_rate=True)
    assert verdict.where == "mnist, each at its best learning rate (ReLU: 0.01, ELU α=1: 0.001)"
    expected = [-3 - 0.1 * seed for seed in range(6)]
    assert verdict.paired.differences == pytest.approx(expected)
    chosen = stats.at_best_rates(slow)
    assert {(r.config.activation, r.config.learning_rate) for r in chosen} == {
        *(("relu", 0.01), ("elu", 0.001))
    }


@pytest.mark.parametrize(
    ("rates", "note"),
    [
        ((0.01, 0.1), "the lowest learning rate tried: try lower ones"),
        ((0.001, 0.01), "the highest learning rate tried: try higher ones"),
        ((0.01,), "only one learning rate was tried"),
    ],
)
def test_a_sentence_says_that_the_best_rate_is_at_the_edge(ladder, rates, note):
    runs = [run for run in ladder if run.config.learning_rate in rates]
    assert stats.best_rates(runs).note.tolist() == [note] * 2


def test_a_function_that_diverged_at_every_rate_has_no_best_one(record, study):
    runs = [*study(relu=[0] * 6), record("elu", 0, 0.1, status="diverged")]
    row = stats.best_rates(runs).set_index("activation").loc["ELU α=1"]
    assert np.isnan([row.learning_rate, row.validation_accuracy, row.test_accuracy]).all()
    assert (row.seeds, row.rates, row.diverged) == (0, 1, 1)
    assert row.note == "a run diverged at every learning rate tried: try lower ones"
    assert stats.verdicts(runs, best_rate=True) == []
    assert stats.best_rates([]).empty


def test_of_equally_good_rates_the_lowest_is_the_best(record):
    runs = [record("relu", 0, 0.9, rate) for rate in (0.1, 0.01, 0.001)]
    assert stats.best_rates(runs).learning_rate.tolist() == [0.001]
