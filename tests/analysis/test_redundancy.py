"""Redundant units of runs whose every number is worked out by hand."""

import numpy as np
import pytest
from made import mostly_slow

import lab
from lab import LabError
from lab.analysis import redundancy

OUT = np.eye(3, 10, dtype=np.float32)


def test_the_table_has_clones_and_ranks_beside_the_dead(with_clones, two_kinds):
    run = with_clones()
    found = redundancy.table(run, two_kinds)
    assert found[["epoch", "layer", "units", "dead", "clones"]].to_numpy().tolist()[-1] == [
        run.last_epoch,
        1,
        3,
        1,
        1,
    ]
    # Half of the rows are (1, 0, 1) and half (0.2, 0, 0): squares add up to 2.04, product 0.2.
    ends = np.roots([1, -2.04, 0.04])
    first, second = np.sqrt(ends) / np.sqrt(ends).sum()
    entropy = -first * np.log(first) - second * np.log(second)
    last = found.iloc[-1]
    assert last.stable_rank == pytest.approx(2.04 / ends.max(), rel=1e-5)
    assert last.effective_rank == pytest.approx(np.exp(entropy), rel=1e-5)
    assert len(found) == len(run.kept_epochs)


def test_groups_name_the_units(with_clones, two_kinds):
    assert redundancy.groups(with_clones(), dataset=two_kinds) == [[0, 2]]


def test_exact_clones_merge_and_the_outputs_stay(with_clones, two_kinds):
    merged = lab.surgery.merge(with_clones(), two_kinds)
    assert [of.tolist() for of in merged.removed] == [[2]]
    # The third gives 1.25 times the first, less 0.25.
    np.testing.assert_allclose(merged.weights[2], [OUT[0] + 1.25 * OUT[2], OUT[1]], atol=1e-6)
    np.testing.assert_allclose(merged.weights[3], -0.25 * OUT[2], atol=1e-6)
    assert merged.largest_change < 1e-6
    assert (merged.changed, merged.accuracy) == (0, merged.accuracy_before)


def test_clones_of_two_layers_merge_at_once(by_hand, two_kinds):
    kernel = np.zeros((784, 2), np.float32)
    kernel[0] = 1, 3
    middle = np.array([[1.0, 2, -3], [4, 5, 6]])
    weights = [kernel, np.array([0, 1]), middle, np.array([0.5, 0, 0]), OUT, np.zeros(10)]
    merged = lab.surgery.merge(by_hand(two_kinds, [weights, weights]), two_kinds)
    assert merged.hidden == (1, 1)
    assert merged.largest_change < 1e-5 * merged.largest_score


def test_what_cannot_be_measured_is_one_sentence(with_clones, two_kinds):
    run = with_clones()
    with pytest.raises(LabError, match="epoch"):
        redundancy.groups(run, dataset=two_kinds, epoch=7)
    with pytest.raises(LabError, match="layer"):
        redundancy.groups(run, 5, two_kinds)
    with pytest.raises(LabError, match="run"):
        redundancy.groups("mine", 1, two_kinds)
    for threshold in (-0.1, 1, 95, "high"):
        with pytest.raises(LabError, match="threshold must be a number of at least 0 and below 1"):
            redundancy.groups(run, 1, two_kinds, threshold=threshold)
        with pytest.raises(LabError, match="threshold must be"):
            lab.surgery.merge(run, two_kinds, threshold)


def test_a_run_without_weights_is_refused_and_not_left_out(by_hand, two_kinds):
    weights = [np.zeros((784, 3)), np.zeros(3), OUT, np.zeros(10)]
    run = by_hand(two_kinds, [weights, weights], keep_weights="none")
    with pytest.raises(LabError, match="keeps no weights"):
        redundancy.table(run, two_kinds)


def test_a_layer_that_is_not_finite_has_no_clones_and_no_rank(by_hand, two_kinds):
    kernel = np.zeros((784, 3), np.float32)
    kernel[0] = 1, np.nan, 2
    weights = [kernel, np.zeros(3), OUT, np.zeros(10)]
    found = redundancy.table(by_hand(two_kinds, [weights, weights]), two_kinds)
    assert found[["clones", "effective_rank", "stable_rank"]].isna().all(axis=None)


@pytest.mark.parametrize("activation", mostly_slow(["prelu=0.25", "elu"], "elu"))
def test_activations_are_those_of_the_census(tiny, tmp_path, activation):
    (run,) = lab.compare((activation,), 1, tiny, tmp_path, hidden=(6, 5), epochs=1, batch_size=30)
    values = run.activations(tiny, 1)
    np.testing.assert_allclose(values.mean(axis=0), run.last_summaries(1).mean, rtol=1e-5)


def test_the_table_of_several_runs_says_what_they_are_and_is_the_same(with_clones, two_kinds):
    runs = lab.Runs([with_clones(learning_rate=0.1), with_clones(learning_rate=0.2)])
    found = runs.redundancy(two_kinds)
    assert found.learning_rate.tolist() == [0.1, 0.1, 0.2, 0.2]
    assert found.clones.tolist() == [1] * 4
    assert found.equals(redundancy.table(runs, two_kinds))


def test_without_runs_the_table_is_empty():
    assert lab.Runs([]).redundancy().empty
