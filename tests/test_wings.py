"""The wings of `lab/`: each imports only from those below it, and what they hand out."""

import ast
import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
LAB = ROOT / "lab"
sys.path.append(str(ROOT / "docs"))

from house import WINGS, imports, page, wing_of  # noqa: E402

FILES = sorted(path for path in LAB.rglob("*.py") if path.parent != LAB or path.stem in WINGS)


def test_every_wing_has_its_place_and_its_words() -> None:
    found = {p.name for p in LAB.iterdir() if (p / "__init__.py").is_file()}
    found |= {p.stem for p in LAB.glob("*.py")} - {"__init__", "__main__"}
    assert found == set(WINGS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LAB)))
def test_a_module_imports_only_from_the_wings_below_and_what_they_hand_out(path: Path) -> None:
    below = WINGS[: WINGS.index(wing_of(path))]
    for source, name in imports(path):
        _, *place = source.split(".") if source != "lab" else ("lab", name)
        if place[0] == wing_of(path):
            continue
        assert place[0] in below, f"{source} is not below {wing_of(path)}"
        assert len(place) == 1, f"{source} is inside of a wing"
        if source != "lab" and (LAB / place[0]).is_dir():
            wing = importlib.import_module(source)
            is_module = (LAB / place[0] / f"{name}.py").is_file()
            assert name in wing.__all__ or is_module, f"{source} does not hand out {name}"


def test_the_map_of_the_house_is_up_to_date() -> None:
    written = (LAB / "README.md").read_text(encoding="utf-8")
    assert written == page(), "Write it again: uv run python docs/house.py"


REFERENCE = re.findall(
    r"^\.\. auto(?:module|function):: ([\w.]+)((?:\n   :.*)*)",
    (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def is_on_the_reference_page(module: str, name: str) -> bool:
    place = getattr(importlib.import_module(module), name)
    whole = place.__name__ if isinstance(place, ModuleType) else f"{module}.{name}"
    members = [re.search(":members:(.*)", options) for of, options in REFERENCE if of == module]
    named = [found[1].strip().split(", ") for found in members if found]
    handed_out = getattr(importlib.import_module(module), "__all__", ())
    return whole in dict(REFERENCE) or any(
        name in (handed_out if some == [""] else some) for some in named
    )


@pytest.mark.parametrize("name", importlib.import_module("lab").__all__)
def test_everything_public_is_on_the_reference_page(name: str) -> None:
    assert is_on_the_reference_page("lab", name)


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_what_a_lesson_imports_is_on_the_reference_page(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    lines = "".join(f"{''.join(c['source'])}\n" for c in cells if c["cell_type"] == "code")
    for module, names in re.findall(r"^from (lab[\w.]*) import (.+)$", lines, re.MULTILINE):
        for name in names.split(", "):
            assert is_on_the_reference_page(module, name), f"{module}: {name}"


def test_code_in_a_docstring_is_marked_so_that_the_reference_page_shows_it_as_code() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                text = ast.get_docstring(node) or ""
                before = re.findall(r"^(\S.*)\n\n    ", text, re.MULTILINE)
                assert all(line.endswith(":") for line in before), f"{path}: {text}"
