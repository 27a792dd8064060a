"""No network: importing the lab, reading runs, and every lesson ask nobody outside this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RECORDED = ROOT / "notebooks" / "recorded"
LESSONS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
READING = f"""
import os, sys
import lab, lab.cli
from lab import widgets
commands = ("table", "runs"), ("table", "layers"), ("verdict",), ("show", "relu-seed0-64712f7c")
os._exit = lambda code: None
for command in commands:
    sys.argv = ["lab", *command, "--store", {str(RECORDED)!r}]
    try:
        lab.cli.main()
    except SystemExit as left:
        assert left.code == 0, command
widgets.Compare(lab.RunStore({str(RECORDED)!r}))
"""


@pytest.fixture
def run(tmp_path):
    """Runs Python without a network; returns what it printed and whom it asked for."""

    def python(*arguments, cwd=tmp_path):
        tried = tmp_path / "tried"
        paths = [str(ROOT / "tests" / "no_network"), os.environ.get("PYTHONPATH", "")]
        env = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "LAB_TRIED": str(tried),
            "LAB_STORE": str(tmp_path / "runs"),
        }
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
        return done, tried.read_text() if tried.exists() else ""

    return python


def test_the_watch_sees_and_refuses_whoever_asks_outside(run):
    done, tried = run("-c", "import socket; socket.create_connection(('192.0.2.1', 80), 1)")
    assert "The test allows no network" in done.stderr
    assert "192.0.2.1" in tried
    loopback = "import socket; s = socket.create_server(('127.0.0.1', 0)); "
    done, tried = run("-c", f"{loopback}socket.create_connection(s.getsockname())")
    assert done.returncode == 0, done.stderr


def test_importing_and_reading_ask_nobody(run):
    done, tried = run("-c", READING)
    assert (done.returncode, tried) == (0, ""), done.stderr
    assert "relu-seed0-64712f7c" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_asks_nobody(run, lesson):
    code = (
        "import nbclient, nbformat, sys\n"
        f"lesson = nbformat.read({str(ROOT / 'notebooks' / lesson)!r}, as_version=4)\n"
        "nbclient.NotebookClient(lesson, timeout=300, kernel_name='python3').execute()"
    )
    done, tried = run("-c", code, cwd=ROOT / "notebooks")
    assert (done.returncode, tried) == (0, ""), done.stderr
