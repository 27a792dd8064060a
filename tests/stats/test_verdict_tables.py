"""The tables of verdicts hold every number and every seed."""

import numpy as np
import pytest

from lab import stats

LOWER = [-0.1, -0.2, -0.3, -0.1, -0.2, -0.3]  # Mean -0.2, sd 0.08944, t(5) 2.5706: ± 0.0939.
MIXED = [0.1, -0.2, 0.3, -0.1, 0.2, 0.0]


def test_the_tables_hold_every_number_and_every_seed(study):
    found = stats.verdicts(study(relu=[0] * 6, elu=LOWER, tanh=MIXED))
    table, seeds = stats.table(found), stats.by_seed(found)
    assert table.activation.tolist() == ["ELU α=1", "tanh"]
    first = ["baseline", "where", "measure", "n", "left_out", "worth", "comparisons"]
    assert (
        table[first].values.tolist()
        == [["ReLU", "mnist, learning rate 0.001", "test accuracy", 6, 0, 0.1, 2]] * 2
    )
    pairs = [verdict.paired for verdict in found]
    for name in ("low", "high", "p", "correlation", "probability_of_improvement"):
        assert table[name].tolist() == [getattr(paired, name) for paired in pairs]
    assert table.seeds_for_worth.tolist() == [paired.seeds_for(0.1) for paired in pairs]
    assert table["mean"].tolist() == pytest.approx([-0.2, 0.05])
    assert table.p_holm.tolist() == pytest.approx(stats.holm(table.p.tolist()))
    assert table.p_sign_flip[0] == 2 / 64
    assert table.distinguishable.tolist() == [True, False]
    assert table.sentence.tolist() == [verdict.sentence for verdict in found]
    assert seeds.groupby("activation").difference.mean().tolist() == pytest.approx([-0.2, 0.05])
    np.testing.assert_allclose(seeds.value - seeds.baseline_value, seeds.difference)
    assert seeds.seed.tolist() == [*range(6)] * 2
    assert list(stats.table([])) == list(stats.COLUMNS)
    assert stats.by_seed([]).empty


def test_more_seeds_than_10000_are_no_number_in_the_table(study):
    wide = [9, -9, 9, -9, 9, -9]
    assert stats.table(stats.verdicts(study(relu=[0] * 6, elu=wide))).seeds_for_worth.isna().all()
