"""Progress bars for callers from Python: what is done, and in words how long the rest takes."""

from typing import Any

WORDS = "{l_bar}{bar}| {n_fmt}/{total_fmt}{unit}{postfix}"


def progress_bar(total: int, about: str, unit: str, **more: Any) -> Any:
    """Returns a bar on stderr, or in a notebook; `set_postfix_str` adds words at its end.

    Args:
        total: How much is to be done.
        about: What is done.
        unit: What is counted, such as `epochs`.
        **more: Further arguments of `tqdm`.
    """
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=about, unit=f" {unit}", bar_format=WORDS, **more)
