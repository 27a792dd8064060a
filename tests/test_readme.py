"""Every command of the README and of the pages on using the lab runs as written."""

import itertools
import os
import re
import shlex
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "docs").glob("*.md"))
GUIDE = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
FIRST, SECOND = (f"python -m pip install uv && uv run {what}" for what in ("lab compare", "pytest"))
SITE = "uv run --extra docs sphinx-build -W -c docs . site/html"
IN_CI = {FIRST, SECOND, SITE}
needs_uv = pytest.mark.skipif(not shutil.which("uv"), reason="uv is not installed")


def commands(text: str) -> list[str]:
    """The lines of the shell blocks, the commands of the tables, and those in a sentence."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return lines + re.findall(r"^\| `(uv run [^`]+)` \|", text, re.MULTILINE)


def test_ci_runs_the_two_first_commands_and_builds_the_site_as_written() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert commands(README)[:2] == [FIRST, SECOND]
    assert f"`{SITE}`" in README
    assert set(ci) >= IN_CI


def test_the_readme_can_be_read_in_three_minutes() -> None:
    assert len(README.encode()) <= 12_000
    assert len(README.splitlines()) <= 180


@pytest.mark.slow
@needs_uv
def test_every_other_command_of_the_readme_runs_as_written(tmp_path, monkeypatch) -> None:
    run_all(README, tmp_path, monkeypatch)


@pytest.mark.seldom
@needs_uv
def test_every_command_of_the_pages_runs_as_written(tmp_path, monkeypatch) -> None:
    run_all(GUIDE, tmp_path, monkeypatch)


def run_all(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_DATA_DIR", raising=False)
    others = [command for command in commands(text) if command not in IN_CI]
    assert len(others) >= 5
    for command in sorted(others, key=lambda command: "delete" in command):
        if "jupyter" in command:
            continue  # It never ends: it has a test of its own.
        command = command.replace("uv run", f"uv run --project {ROOT}")
        if command.endswith("lab compare"):
            command += " --dataset mnist-5k --epochs 1"  # CI runs it as it stands.
        if "prepare-class" in command:
            command += " --dataset mnist-5k --epochs 1 --seeds 1"
        if "student-copies" in command:
            command += f" --lessons {ROOT / 'notebooks'}"
        command = (
            command.replace("RUN", "relu-seed0")
            .replace("TEXT", "'a label'")
            .replace("DIR", "shared")
            .replace("NAME", "Ada")
            .replace("SUBMISSIONS", os.environ["LAB_STORE"])
        )
        if re.search(" (show|label|delete|ablate|verify) ", command):
            command = command.replace("relu-seed0", newest())
        ended = subprocess.run(
            command, shell=True, cwd=folder, input="y\n", text=True, capture_output=True
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
        assert ended.stdout.strip()


@pytest.mark.slow
@needs_uv
def test_the_command_that_opens_the_lessons_starts_jupyterlab() -> None:
    (command,) = (command for command in commands(README) if "jupyter" in command)
    quietly = shlex.split(f"{command} --no-browser --allow-root --port=0")
    server = subprocess.Popen(quietly, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        lines = itertools.takewhile(lambda line: "is running at" not in line, server.stderr)
        said = "".join(lines)
        assert f"Serving notebooks from local directory: {ROOT / 'notebooks'}" in said
    finally:
        server.terminate()
        server.communicate(timeout=60)


def newest() -> str:
    return min(path.name for path in Path(os.environ["LAB_STORE"]).iterdir())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(README, id="README", marks=pytest.mark.slow),
        pytest.param(GUIDE, id="pages", marks=pytest.mark.seldom),
    ],
)
@needs_uv
def test_the_python_that_is_shown_runs(text: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        if "import torch" in block and not find_spec("torch"):
            continue
        script = tmp_path / "shown.py"
        script.write_text(block, encoding="utf-8")
        ended = subprocess.run(["uv", "run", "--project", ROOT, "python", script], cwd=tmp_path)
        assert ended.returncode == 0


@pytest.mark.parametrize("place", [ROOT / "README.md", *PAGES, ROOT / "figures" / "results.md"])
def test_every_picture_is_there_and_said_in_a_few_words(place: Path) -> None:
    for words, file in re.findall(r"!\[([^]]*)\]\(([^)]+)\)", place.read_text(encoding="utf-8")):
        picture = place.parent / file
        assert picture.is_file()
        assert picture.with_suffix(".txt").is_file()  # The long description.
        assert 20 <= len(words) <= 200


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
