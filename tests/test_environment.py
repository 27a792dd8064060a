"""environment.yml and pyproject.toml: one list of dependencies, available on every platform."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
needs_uv = pytest.mark.skipif(not shutil.which("uv"), reason="uv is not installed")


def test_conda_gets_python_and_pip_and_the_rest_comes_from_this_project() -> None:
    assert CONDA["dependencies"] == ["python=3.12", "pip", {"pip": ["-e .[test]"]}]
    assert list(EXTRAS) == ["cluster", "docs", "test", "torch"]
    assert "activation-lab[cluster,docs]" in EXTRAS["test"]


def test_every_dependency_has_a_lower_bound_and_an_upper_cap() -> None:
    everything = [*PROJECT["dependencies"], *itertools.chain(*EXTRAS.values())]
    everything.remove("activation-lab[cluster,docs]")
    for dependency in everything:
        assert re.fullmatch(r"[a-z0-9-]+>=[0-9.]+,<[0-9.]+", dependency)


@pytest.mark.seldom
@needs_uv
@pytest.mark.parametrize(
    ("platform", "python"),
    [
        ("x86_64-manylinux_2_28", "3.11"),
        ("aarch64-manylinux_2_28", "3.12"),
        ("x86_64-pc-windows-msvc", "3.13"),
        ("aarch64-apple-darwin", "3.12"),
    ],
)
def test_the_dependencies_are_available_on_other_machines(platform: str, python: str) -> None:
    command = ["uv", "pip", "compile", "pyproject.toml", "--extra=test", "--only-binary=:all:"]
    options = [f"--python-platform={platform}", f"--python-version={python}", "--quiet"]
    ended = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "tensorflow==2.21" in ended.stdout


@pytest.mark.seldom
@needs_uv
@pytest.mark.parametrize("versions", ["highest", "lowest-direct"])
def test_what_conda_installs_runs_the_main_job(tmp_path: Path, versions: str) -> None:
    """In the newest and in the oldest versions allowed; on conda's Python where it is here."""
    conda = CONDA["dependencies"][0].removeprefix("python=")
    for python in (conda, sys.executable):
        made = subprocess.run(["uv", "venv", "--quiet", "--python", python, tmp_path / "env"])
        if made.returncode == 0:
            break
    (wanted,) = CONDA["dependencies"][2]["pip"]
    environment = {**os.environ, "VIRTUAL_ENV": str(tmp_path / "env")}
    install = ["uv", "pip", "install", "--quiet", "--resolution", versions, *wanted.split()]
    subprocess.run(install, cwd=ROOT, env=environment, check=True)
    job = [tmp_path / "env" / "bin" / "lab", "compare", "--dataset=mnist-5k", "--epochs=1"]
    ended = subprocess.run([*job, "--seeds=1"], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "mnist-5k: 784-512-512-10" in ended.stdout


def test_the_citation_is_of_this_version_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # All it must have.
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert set(citation["keywords"]) == set(PROJECT["keywords"])
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {PROJECT['version']} – {citation['date-released']}\n" in changes
