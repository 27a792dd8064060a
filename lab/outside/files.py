"""A network and its probe from files, which a stranger may have made: nothing in them is run."""

import contextlib
import os
import textwrap
from pathlib import Path
from typing import Any

from lab.errors import InputError, reason_of
from lab.experiment import BROKEN, open_archive
from lab.system import load_tensorflow

MOST_BYTES = 8 * 10**9
LABELS = "y"


def read_model(path: Path) -> Any:
    """Reads a model that Keras saved.

    Args:
        path: A file such as `model.keras`.

    Raises:
        InputError: If it is not a model, or would run code that the file contains.
    """
    if path.suffix != ".keras" or not os.path.isfile(path):
        found = "" if os.path.exists(path) else ": there is no such file"
        raise InputError(
            f"The model must be a file that Keras saved, such as model.keras, "
            f"not {str(path)!r}{found}."
        )
    load_tensorflow()  # In silence, before Keras.
    from keras import saving

    try:
        with contextlib.redirect_stdout(None):
            return saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Whatever Keras raises on a broken or hostile file.
        if "safe_mode" in str(error) or "unsafe" in str(error):
            raise InputError(
                f"{path.name} is refused: it contains code that would run, such as a Lambda "
                f"layer. If you trust it, load it in Python and call lab.Census.of(model, x)."
            ) from None
        raise InputError(
            f"{path.name} cannot be read: {reason_of(error)}. A model with layers of your own can "
            f"be loaded in Python: lab.Census.of(model, x)."
        ) from None


def read_probe(path: Path) -> Any:
    """Reads a probe from an archive.

    Args:
        path: An .npz file. Its array `y`, if there is one, has the labels; its array `x` has the
            inputs. For a model of several inputs it has an array for each, by name.

    Returns:
        The inputs, or a tuple of inputs and labels, as `Census` takes them.

    Raises:
        InputError: If it cannot be used, with the reason.
    """
    try:
        with open_archive(path, MOST_BYTES) as archive:
            arrays = {name: archive[name] for name in archive.names}
    except BROKEN as error:
        reason = getattr(error, "strerror", None) or textwrap.shorten(str(error), 200)
        raise InputError(
            f"The data must be an .npz file; {path} cannot be read: {reason}"
        ) from None
    labels = arrays.pop(LABELS, None)
    if not arrays:
        raise InputError(
            f"{path.name} must hold an array x of inputs, as np.savez(file, x=x) does."
        )
    inputs: Any = arrays["x"] if set(arrays) == {"x"} else arrays
    return inputs if labels is None else (inputs, labels)
