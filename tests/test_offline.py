"""No network: importing the lab and reading runs ask nobody outside this machine.

The lessons are run without a network in `notebooks/test_lessons.py`.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RECORDED = ROOT / "notebooks" / "recorded"
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


def run(*arguments):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_watch_sees_and_refuses_whoever_asks_outside(without_network):
    done = run("-c", "import socket; socket.create_connection(('192.0.2.1', 80), 1)")
    assert "The test allows no network" in done.stderr
    assert "192.0.2.1" in without_network()


def test_the_watch_lets_this_machine_talk_to_itself(without_network):
    loopback = "import socket; s = socket.create_server(('127.0.0.1', 0)); "
    done = run("-c", f"{loopback}socket.create_connection(s.getsockname())")
    assert (done.returncode, without_network()) == (0, ""), done.stderr


def test_importing_and_reading_ask_nobody(without_network):
    done = run("-c", READING)
    assert (done.returncode, without_network()) == (0, ""), done.stderr
    assert "relu-seed0-64712f7c" in done.stdout
