"""Names the tests that a change can break: those of the wings it touches and of all above them.

    git log --since="12 hours ago" --name-only --format= | uv run python tests/affected.py

It reads the changed files and prints folders and files for pytest.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs"))

from house import LAB, WINGS, imports, path_of  # noqa: E402

EVERYTHING = ["tests"]
# Tests of no single wing are always named, but these: for a change of these places, or of these
# wings or of one below them.
ASKED_FOR_BY = {
    "test_any_network.py": {"training"},
    "test_environments.py": {"network"},
    "test_readme.py": {"README.md", "docs", "lab/cli"},
}
READ_BY = {"notebooks": {"classroom", "notebooks"}, "figures": {"figures"}, "docs": {"classroom"}}


def affected(changed: Iterable[str]) -> list[str]:
    """Returns the tests of all that may have changed."""
    folders: set[str] = set()
    places: set[str] = set()
    for name in changed:
        place = Path(name).parts
        places |= {place[0], "/".join(place[:2])}
        if _concerns_all(place):
            return EVERYTHING
        if place[0] == "lab":
            folders |= {place[1].removesuffix(".py"), *above(place[1].removesuffix(".py"))}
        elif place[0] == "tests":
            folders.add(place[1])
        else:
            folders |= READ_BY.get(place[0], set())
    paths = (ROOT / "tests" / folder for folder in sorted(folders))
    asking = folders | places
    alone = (
        path
        for path in sorted((ROOT / "tests").glob("test_*.py"))
        if path.name not in ASKED_FOR_BY or asking & (ASKED_FOR_BY[path.name] | {path.name})
    )
    return [str(path.relative_to(ROOT)) for path in (*filter(Path.is_dir, paths), *alone)]


def _concerns_all(place: tuple[str, ...]) -> bool:
    """Tells whether a file concerns all tests: packages, CI, what tests share, `lab` itself."""
    if place[0] in ("lab", "tests") and len(place) == 2:
        return place[1].removesuffix(".py") not in WINGS and not place[1].startswith("test_")
    return place[0] in ("pyproject.toml", ".ci")


def above(wing: str) -> set[str]:
    """Returns the wings that import a wing, or one that does."""
    found: set[str] = {wing}
    for other in WINGS:
        if imported_by(other) & found:
            found.add(other)
    return found - {wing}


def imported_by(wing: str) -> set[str]:
    """Returns the wings that a wing imports."""
    folder = LAB / wing
    files = folder.rglob("*.py") if folder.is_dir() else [path_of(wing)]
    places = ([*source.split("."), name][1] for file in files for source, name in imports(file))
    return set(places) - {wing}


if __name__ == "__main__":
    sys.stdout.write(" ".join(affected(line for line in sys.stdin.read().split("\n") if line)))
