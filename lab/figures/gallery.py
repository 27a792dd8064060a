"""A page of all figures of a folder, each with its words."""

import html
import re
from pathlib import Path

from lab.errors import StoreError

TITLE = "# Gallery"
ENDINGS = (".gif", ".svg", ".png")  # The gallery shows the first of these that exists.


def gallery(folder: Path) -> str:
    """Returns the figures of a folder as a page of Markdown, with the words of each below it.

    Args:
        folder: Where figures were saved: each has a text of its name beside it.
    """
    pairs = ((text, _picture(text)) for text in sorted(folder.glob("*.txt")))
    parts = [_part(text, picture) for text, picture in pairs if picture]
    return "\n\n".join([TITLE, "Every figure of this folder, with its words.", *parts]) + "\n"


def write_gallery(folder: Path) -> None:
    """Writes the gallery of a folder as its `README.md`; a README of another kind stays.

    Raises:
        StoreError: If it cannot be written.
    """
    page = folder / "README.md"
    try:
        if not page.exists() or page.read_text(encoding="utf-8").startswith(TITLE):
            page.write_text(gallery(folder), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{page} cannot be written: {error.strerror}.") from None


def _picture(text: Path) -> Path | None:
    """Returns the picture that a text belongs to, if there is one."""
    found = (text.with_suffix(ending) for ending in ENDINGS)
    return next((path for path in found if path.exists()), None)


def _part(text: Path, picture: Path) -> str:
    title = re.sub(r"\blr\b", "learning rate", text.stem.replace("-", " "))
    words = " ".join(html.escape(text.read_text(encoding="utf-8")).split())
    return (
        f"## {title}\n\n![{title}]({picture.name})\n\n"
        f"<details><summary>In words</summary><p>{words}</p></details>"
    )
