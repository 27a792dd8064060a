"""Folders of class folders with PNG or JPEG images, read into one array of bytes."""

import contextlib
import struct
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lab.errors import InputError
from lab.experiment.config import MOST_CLASSES, MOST_PIXELS
from lab.experiment.conversion import FEWEST_PIXELS
from lab.system import progress_bar
from lab.words import counted, join_words, time_left

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".png", ".jpg", ".jpeg")
FORMATS = ("PNG", "JPEG")
TRAIN, TEST = "train", "test"
GREY, DEEP = ("1", "L", "LA"), ("I", "F")
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
PROGRESS_AFTER = 1.0


@dataclass(frozen=True, eq=False)
class Pictures:
    """What a folder of class folders holds.

    Attributes:
        images: uint8 of shape (n, height, width), or (n, height, width, 3) if any is in colour.
        labels: Their classes: positions in `classes`.
        classes: The names of the class folders, in order.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.intp]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class _Listed:
    """The images of a folder, before they are read, and how many other files are with them."""

    classes: tuple[str, ...]
    paths: list[Path]
    labels: list[int]
    others: int


def parts(folder: Path) -> tuple[Path, ...]:
    """Returns the folders for training and for testing, or the only folder of class folders.

    Raises:
        InputError: If there is one of `train` and `test` without the other.
    """
    here = {path.name.lower(): path for path in _folders(folder)}
    found = [here[name] for name in (TRAIN, TEST) if name in here]
    if len(found) == 1:
        raise InputError(
            f"{folder} must hold both {TRAIN}/ and {TEST}/, or class folders alone, not only "
            f"{found[0].name}/: give it the other, or name {found[0]} itself."
        )
    return tuple(found) or (folder,)


def read(folders: Sequence[Path], most_bytes: int) -> tuple[list[Pictures], list[str]]:
    """Reads folders of class folders with the same classes, and says what was left out.

    Args:
        folders: As `parts` returns them.
        most_bytes: How many bytes all images may have together.

    Raises:
        InputError: If there are too few classes, a broken image, or images of several sizes.
    """
    first = _listed(folders[0], None)
    listed = [first, *(_listed(folder, first.classes) for folder in folders[1:])]
    files = [path for one in listed for path in one.paths]
    shape, transparent = _shape(files)
    if len(files) * int(np.prod(shape)) > most_bytes:
        raise InputError(
            f"{folders[0]} must hold at most {most_bytes:,} bytes of pixels, not {len(files):,} "
            f"images of {'×'.join(map(str, shape))}: make them fewer or smaller."
        )
    images = _pixels(files, shape, folders[0].name)
    ends = np.cumsum([len(one.paths) for one in listed])[:-1]
    pictures = [
        Pictures(pixels, np.array(one.labels), one.classes)
        for one, pixels in zip(listed, np.split(images, ends), strict=True)
    ]
    return pictures, _left_out(sum(one.others for one in listed), transparent)


def _visible(folder: Path) -> list[Path]:
    """Lists a folder without what systems and programs hide in it."""
    try:
        found = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}.") from None
    return [path for path in found if not path.name.startswith((".", "__"))]


def _folders(folder: Path) -> list[Path]:
    """Returns the folders in a folder, in the order of their names, or of their numbers."""
    found = [path for path in _visible(folder) if path.is_dir()]
    if all(path.name.isdecimal() for path in found):
        found.sort(key=lambda path: int(path.name))
    return found


def _listed(folder: Path, classes: tuple[str, ...] | None) -> _Listed:
    inside = {path.name: _visible(path) for path in _folders(folder)}
    found = {name: [path for path in paths if _is_image(path)] for name, paths in inside.items()}
    names = classes or tuple(found)
    if not 2 <= len(names) <= MOST_CLASSES:
        raise InputError(
            f"{folder} must hold 2 to {MOST_CLASSES:,} folders, one for each class, with PNG or "
            f"JPEG images in them, not {counted(len(names), 'folder')}: name the folder that holds "
            f"the class folders."
        )
    if odd := sorted(set(found) - set(names)):
        raise InputError(
            f"{folder} must hold only the classes of {TRAIN}/, not {join_words(odd)}: give both "
            f"the same class folders."
        )
    if classes is None and (empty := [name for name in names if not found[name]]):
        raise InputError(
            f"{folder / empty[0]} must hold PNG or JPEG images, not none: put some of its class "
            f"there, or take it away."
        )
    pairs = [(path, k) for k, name in enumerate(names) for path in found.get(name, ())]
    if not pairs:
        raise InputError(f"{folder} must hold PNG or JPEG images in its class folders, not none.")
    paths, labels = map(list, zip(*pairs, strict=True))
    return _Listed(names, paths, labels, sum(map(len, inside.values())) - len(paths))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and path.is_file()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator["Image"]:
    """Opens an image; whatever Pillow raises on a broken one is a sentence."""
    from PIL import Image

    try:
        with warnings.catch_warnings(), Image.open(path, formats=FORMATS) as image:
            warnings.simplefilter("ignore")  # Size is checked below, transparency is reported.
            yield image
    except InputError:
        raise
    except (
        OSError,
        EOFError,
        LookupError,
        MemoryError,
        OverflowError,
        SyntaxError,
        TypeError,
        ValueError,
        struct.error,
        Image.DecompressionBombError,
    ) as error:
        raise InputError(
            f"{path} is broken: expected a PNG or JPEG image ({error}). Replace or remove the file."
        ) from None


def _shape(files: Sequence[Path]) -> tuple[tuple[int, ...], int]:
    """Returns the one shape of all images, and how many have transparent pixels."""
    first, colour, transparent = None, False, 0
    for path in files:
        with _opened(path) as image:
            size = _checked_size(image, path)
            if first is not None and size != first:
                raise InputError(
                    f"{path} must have {first[0]} × {first[1]} pixels, as {files[0]} has, not "
                    f"{size[0]} × {size[1]}: give all images one size first."
                )
            first, colour = size, colour or image.mode not in GREY
            transparent += image.has_transparency_data
    width, height = first or (0, 0)
    return ((height, width, 3) if colour else (height, width)), transparent


def _checked_size(image: "Image", path: Path) -> tuple[int, int]:
    """Returns width and height as the image is looked at: a camera may have been held upright."""
    size = image.size
    if not (min(size) >= FEWEST_PIXELS and max(size) <= MOST_PIXELS):
        raise InputError(
            f"{path} must have {FEWEST_PIXELS} to {MOST_PIXELS:,} pixels a side, not "
            f"{size[0]:,} × {size[1]:,}: make it smaller or larger first."
        )
    if image.mode.startswith(DEEP):
        raise InputError(
            f"{path} must have 8 bits a pixel and colour, not more (Pillow's mode {image.mode}): "
            f"save it with 8 bits first."
        )
    return size[::-1] if image.getexif().get(ORIENTATION) in TURNED else size


def _pixels(files: Sequence[Path], shape: tuple[int, ...], name: str) -> NDArray[np.uint8]:
    from PIL import ImageOps

    pixels, began = np.empty((len(files), *shape), np.uint8), time.monotonic()
    about, how = f"Reading {name}", {"delay": PROGRESS_AFTER, "leave": False}
    with progress_bar(len(files), about, "images", **how) as bar:
        for number, path in enumerate(files):
            with _opened(path) as image:
                upright = ImageOps.exif_transpose(image)
                pixels[number] = np.asarray(upright.convert("RGB" if len(shape) == 3 else "L"))
            left = (time.monotonic() - began) * (len(files) / (number + 1) - 1)
            bar.set_postfix_str(time_left(left), refresh=False)
            bar.update()
    return pixels


def _left_out(others: int, transparent: int) -> list[str]:
    words = {
        f"{counted(others, 'other file')} in the class folders left out": others,
        f"transparency left out in {counted(transparent, 'image')}": transparent,
    }
    return [note for note, count in words.items() if count]
