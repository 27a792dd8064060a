"""Writes the map of the house, `lab/README.md`, from the docstrings of its wings.

uv run python docs/house.py
"""

import ast
from collections.abc import Iterator
from pathlib import Path

LAB = Path(__file__).parents[1] / "lab"
# From the ground up: a wing imports only from those before it.
WINGS = (
    "errors",
    "words",
    "layout",
    "census",
    "system",
    "activations",
    "experiment",
    "network",
    "training",
    "runs",
    "store",
    "stats",
    "studies",
    "outside",
    "plots",
    "figures",
    "analysis",
    "report",
    "classroom",
    "widgets",
    "cli",
)


def path_of(wing: str) -> Path:
    """Returns the file whose docstring says what a wing is for."""
    folder = LAB / wing
    return folder / "__init__.py" if folder.is_dir() else LAB / f"{wing}.py"


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yields every import from the lab, also those within functions: from where, and what."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "lab":
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((a.name, "") for a in node.names if a.name.partition(".")[0] == "lab")


def wing_of(path: Path) -> str:
    """Returns the wing of a module."""
    return path.relative_to(LAB).parts[0].removesuffix(".py")


def words_of(path: Path) -> str:
    """Returns the first two sentences of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first, _, rest = text.partition("\n\n")
    second = " ".join(rest.split()).partition(". ")[0].rstrip(".")
    return " ".join([*first.split(), *([f"{second}."] if second else [])])


def page() -> str:
    """Returns the map as Markdown."""
    lines = [
        "# The house",
        "",
        "The wings of `lab/`, from the ground up. A wing imports only from those above it in this",
        "table, and only what their `__init__.py` hands out, or a module of theirs as a whole.",
        "`docs/house.py` writes this page from the docstrings.",
        "",
        "| wing | what it is for | modules |",
        "|---|---|---|",
    ]
    for wing in WINGS:
        inside = sorted(
            path.stem for path in (LAB / wing).glob("[a-z]*") if path.suffix in ("", ".py")
        )
        modules = ", ".join(f"`{name}`" for name in inside)
        lines.append(f"| `{wing}` | {words_of(path_of(wing))} | {modules} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (LAB / "README.md").write_text(page(), encoding="utf-8")
