"""How the pages are made of their templates."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent


def templates() -> "Environment":
    """Returns the pages' templates: names are escaped, and what is not given is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def part(name: str) -> str:
    """Returns a style sheet or a script of a page."""
    return (HERE / name).read_text(encoding="utf-8")


def page_of(made: "Environment", name: str, **about: Any) -> str:
    """Fills a template in; half a character, which a name may hold, is written as its number."""
    text = made.get_template(name).render(**about)
    return text.encode("utf-8", "backslashreplace").decode()
