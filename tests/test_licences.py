"""LICENSES.md: every package that the lab depends on, with the licence that it declares.

`python tests/test_licences.py` writes the file anew.
"""

import re
import tomllib
from importlib.metadata import files, metadata
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILE = ROOT / "LICENSES.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDED = PROJECT["dependencies"]
FOR_MORE = sorted(
    one
    for extra in PROJECT["optional-dependencies"].values()
    for one in extra
    if not one.startswith(PROJECT["name"])
)
VAGUE = ("OSI Approved", "Other/Proprietary License")
FAMILIES = "MIT|BSD|Apache|MPL|Mozilla|HPND|PSF|Python Software|Unlicense|ISC|CC0|GPL"


def name_of(dependency: str) -> str:
    return re.split(r"[<>=\[]", dependency)[0]


def declared(package: str) -> str:
    """Returns a package's licence as its metadata tells it."""
    about = metadata(package)
    if expression := about.get("License-Expression"):
        return expression
    classifiers = [c for c in about.get_all("Classifier", []) if c.startswith("License ::")]
    named = [c.rpartition(" :: ")[2] for c in classifiers if not c.endswith(VAGUE)]
    text = " and ".join(named) or (about.get("License") or "").strip().split("\n")[0][:80]
    return text or _first_line_of_its_file(package)


def _first_line_of_its_file(package: str) -> str:
    found = [path for path in files(package) or () if "LICEN" in path.name.upper()]
    return found[0].read_text().strip().split("\n")[0].strip() if found else "not declared"


def families(licence: str) -> set[str]:
    """Returns whose licence it is; packages change their spelling from version to version."""
    return set(re.findall(FAMILIES, licence))


def rows() -> dict[str, str]:
    return dict(
        re.findall(r"^\| ([a-z0-9-]+) \| ([^|]+) \|", FILE.read_text(encoding="utf-8"), re.M)
    )


def test_every_direct_dependency_is_listed_with_the_licence_it_declares():
    names = {name_of(one) for one in (*NEEDED, *FOR_MORE)}
    assert set(rows()) == names
    for name, licence in rows().items():
        assert families(licence), name
        if name != "torch" or find_spec(name):  # The tests need all others.
            assert families(licence) == families(declared(name)), name


def test_none_of_what_the_lab_needs_is_under_a_licence_that_would_bind_it():
    assert not [one for one in NEEDED if "GPL" in rows()[name_of(one)]]


def written() -> str:
    def table(dependencies: list[str]) -> str:
        lines = [f"| {name_of(one)} | {declared(name_of(one))} |" for one in dependencies]
        return "\n".join(["| Package | Licence |", "|---|---|", *lines])

    return (
        "# Licences\n\nThe lab itself is under the [MIT licence](LICENSE). It installs these "
        "packages, each under the licence that it declares itself, and what they need in turn:\n\n"
        f"{table(NEEDED)}\n\nIts tests and its extras need these, too:\n\n{table(FOR_MORE)}\n"
    )


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
