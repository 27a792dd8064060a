"""What CONTRIBUTING.md shows can be done: its diffs apply, and give what they promise."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DIFFS = re.findall(r"```diff\n(.*?)```", TEXT, re.DOTALL)
FILES = ("README.md", "pyproject.toml", "lab", "tests")
ACTIVATION, MEASURE, LESSON = DIFFS


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the diffs change, outside of any git repository."""
    for name in FILES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    return tmp_path


def apply(diff: str, project: Path) -> None:
    subprocess.run(["git", "apply", "-"], input=diff, text=True, cwd=project, check=True)


def passes(project: Path, *tests: str) -> bool:
    options = ("-o", "addopts=", "-q", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *options, *tests]
    return subprocess.run(command, cwd=project, capture_output=True).returncode == 0


@pytest.mark.seldom
def test_an_activation_function_is_added_in_one_place(project: Path) -> None:
    apply(ACTIVATION, project)
    assert passes(project, "tests/activations/test_registry.py", "tests/network/test_networks.py")
    code = "from lab import activations; print(activations.activate('hard_tanh', 7.0))"
    found = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True)
    assert found.stdout.strip() == b"1.0"


@pytest.mark.seldom
def test_a_measure_is_added_in_one_place(project: Path) -> None:
    apply(MEASURE, project)
    assert passes(project, "tests/census/test_units.py", "tests/plots")
    code = "from lab import units; print('always_positive_fraction' in units.LAYER_MEASURES)"
    found = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True)
    assert found.stdout.strip() == b"True"


def test_every_diff_applies(project: Path) -> None:
    for diff in DIFFS:
        apply(diff, project)
    assert "11_my_lesson" in (project / "README.md").read_text(encoding="utf-8")


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", re.sub(r"```diff.*?```", "", TEXT, flags=re.DOTALL))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
