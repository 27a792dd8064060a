"""The probe: what it takes, and what it refuses in one sentence before anything is trained."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from zoo import dense, numbers, of

from lab import Census
from lab.errors import InputError
from lab.outside.probe import WANTED, Probe

X = numbers(12, 6)


class Parts(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, number):
        return X, X[:, 0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, f"{WANTED}, not None."),
        ("text", f"{WANTED}, not 'text'."),
        (5, f"{WANTED}, not 5."),
        ([[1.0, 2.0]], f"{WANTED}, not [[1.0, 2.0]]."),
        (iter([X]), f"{WANTED}, not <list_itera"),
        (Parts(), f"{WANTED}, not <"),
        (X[:0], "probe must hold at least one input; it is empty."),
        ([], "probe must hold at least one input; it is empty."),
        ({}, "probe must hold at least one input; it is empty."),
        (np.float32(3), "probe must hold at least one input; it is empty."),
        ([X, X[:3]], "probe must hold as many of each input and label: these are [3, 12]."),
        ((X, X[:3, 0]), "probe must hold as many of each input and label: these are [3, 12]."),
        ((X, 3), f"{WANTED}; these labels are 3."),
        (np.array(["a"]), "probe must hold numbers, not the type <U1."),
        (X.astype(object), "probe must hold numbers, not the type object."),
        (X + 1j, "probe must hold numbers, not the type complex64."),
        (
            np.where(np.arange(12)[:, None] == 7, np.nan, X),
            "probe must hold only finite numbers; input 7 has NaN or infinity in it.",
        ),
        ((X, np.full(12, np.inf)), "probe must hold only finite numbers; input 0 has NaN"),
    ],
)
def test_what_is_no_probe_is_refused_in_one_sentence(given, words):
    with pytest.raises(InputError) as refused:
        Census(given)
    assert str(refused.value).startswith(words)
    assert "\n" not in str(refused.value)


def test_a_dataset_without_inputs_is_refused():
    with pytest.raises(InputError, match=r"^probe must hold at least one input; it is empty"):
        Census(tf.data.Dataset.from_tensor_slices(X[:0]).batch(3))


def memmap(folder):
    kept = np.memmap(folder / "probe", np.float32, "w+", shape=X.shape)
    kept[:] = X
    return kept


@pytest.mark.parametrize(
    "kind", ["memmap", "tensor", "Dataset", "labels", "Dataset with labels", "one batch"]
)
def test_a_probe_of_each_kind_has_the_same_inputs(kind, tmp_path):
    labels = np.arange(12)
    given = {
        "memmap": memmap(tmp_path),
        "tensor": tf.constant(X),
        "Dataset": tf.data.Dataset.from_tensor_slices(X).batch(5),
        "labels": (X, labels),
        "Dataset with labels": tf.data.Dataset.from_tensor_slices((X, labels)).batch(5),
        "one batch": X,
    }[kind]
    probe = Probe(given)
    batches = list(probe.batches(5))
    assert probe.images == 12
    assert [len(x) for x, _ in batches] == [5, 5, 2]
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), X)
    if "labels" in kind:
        np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), labels)


def test_only_a_batch_of_a_memmap_is_read_at_a_time(tmp_path):
    class Counting(np.memmap):
        def __getitem__(self, part):
            found = super().__getitem__(part)
            sizes.append(len(found))
            return found

    sizes: list[int] = []
    kept = Counting(tmp_path / "probe", np.float32, "w+", shape=(2500, 6))
    model = of([dense(3, "relu"), dense(2)])
    assert Census.of(model, kept, batch_size=200).run.record.probe_images == 2500
    assert max(sizes) == 1000


def test_the_digest_tells_probes_apart_and_not_how_they_are_given():
    assert Probe(X).digest == Probe(X.copy()).digest
    assert len({Probe(given).digest for given in (X, X + 1, X[:6], X.reshape(12, 3, 2))}) == 4
