"""Of changes made on purpose in the scientific core, the tests notice most; see `mutation.py`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = "cosmic-ray>=8.7,<9"


@pytest.mark.seldom
@pytest.mark.skipif(not shutil.which("uv"), reason="uv is not installed")
def test_a_sample_of_changes_is_noticed():
    script = Path(__file__).with_name("mutation.py")
    command = ["uv", "run", "--with", TOOL, "python", script, "--sample", "3", "--least", "85"]
    subprocess.run(command, check=True, stdout=sys.stderr)
