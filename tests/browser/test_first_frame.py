"""What a student waits for after Train, where the notebook had time to prepare the training."""

import re

import nbformat
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
WATCH = """
import asyncio, threading, time
from lab.system import is_tensorflow_loaded
from lab.widgets import Race

blocks, shown = [], time.perf_counter()

async def watch():
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.01)
        blocks.append(time.perf_counter() - began - 0.01)

Race()
"""
WAIT = """
watching = asyncio.ensure_future(watch())
while not any(thread.name == "lab-prepare" for thread in threading.enumerate()):
    await asyncio.sleep(0.1)
while any(thread.name == "lab-prepare" for thread in threading.enumerate()):
    await asyncio.sleep(0.1)
watching.cancel()
print(f"TensorFlow is loaded: {is_tensorflow_loaded()}. The kernel is prepared "
      f"{time.perf_counter() - shown:.1f} s after the race is shown and was never blocked "
      f"for more than {1000 * max(blocks):.0f} ms.")
"""


@pytest.fixture
def prepared(classroom_folder, opened):
    """A notebook in which a race is shown and prepared, and nothing trained."""
    notebook = nbformat.read(classroom_folder / "03_compare.ipynb", as_version=4)  # Its kernel.
    notebook.cells = [nbformat.v4.new_code_cell(cell.strip()) for cell in (WATCH, WAIT)]
    nbformat.write(notebook, classroom_folder / "first.ipynb")
    shown = opened("first.ipynb")
    shown.run_all()
    return shown


def test_a_training_is_prepared_while_the_student_reads(prepared, record_property):
    said = prepared.page.get_by_text("TensorFlow is loaded: ").last
    expect(said).to_contain_text("loaded: True")
    began = prepared.page.evaluate("performance.now()")
    prepared.button("Train").click()
    prepared.picture().wait_for()
    seconds = (prepared.page.evaluate("performance.now()") - began) / 1000
    words = re.sub(r"^.*?\. ", "", said.inner_text().strip())
    record_property("figures", f"{words} The first frame comes {seconds:.2f} s after Train.")
    prepared.button("Stop").click()
    prepared.says("Stopped.")
    assert prepared.complaints == []
