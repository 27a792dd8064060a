"""Every command of the README runs as written; the two first ones are run by `.ci/run`."""

import itertools
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """The lines of the shell blocks and the commands of the table, in their order."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return lines + re.findall(r"^\| `(uv run [^`]+)` \|", README, re.MULTILINE)


def test_ci_runs_the_two_first_commands_as_written() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    first, second, *_ = commands()
    assert first == "python -m pip install uv && uv run lab compare"
    assert second == "python -m pip install uv && uv run pytest"
    assert {first, second} <= set(ci.splitlines())


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("uv"), reason="uv is not installed")
def test_every_other_command_runs_as_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LAB_DATA_DIR", raising=False)
    _, _, *others = commands()
    assert len(others) >= 10
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
            command, shell=True, cwd=tmp_path, input="y\n", text=True, capture_output=True
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
        assert ended.stdout.strip()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("uv"), reason="uv is not installed")
def test_the_command_that_opens_the_lessons_starts_jupyterlab() -> None:
    (command,) = (command for command in commands() if "jupyter" in command)
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


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        script = tmp_path / "readme.py"
        script.write_text(block, encoding="utf-8")
        ended = subprocess.run(["uv", "run", "--project", ROOT, "python", script], cwd=tmp_path)
        assert ended.returncode == 0


def test_every_picture_is_there_and_has_its_words() -> None:
    pictures = re.findall(r"!\[([^]]*)\]\(([^)]+)\)", README)
    assert len(pictures) >= 3
    for words, place in pictures:
        assert (ROOT / place).is_file()
        assert words == (ROOT / place).with_suffix(".txt").read_text(encoding="utf-8").strip()
