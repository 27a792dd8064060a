"""A real browser that shows a real JupyterLab, with the lessons in a folder of their own."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import ConsoleMessage, FloatRect, Locator, Page, Playwright, expect

ROOT = Path(__file__).parent.parent.parent
TOKEN = "classroom"
SECONDS = 60_000  # How long Playwright waits for what must come, in milliseconds.
SETTINGS: dict[str, dict[str, Any]] = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}
expect.set_options(timeout=SECONDS)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@pytest.fixture(scope="session")
def browser_type_launch_args(playwright: Playwright) -> dict[str, Any]:
    """Finds a Chromium: the system's, or the one that Playwright installed."""
    system = shutil.which("chromium") or shutil.which("chromium-browser")
    if not system and not Path(playwright.chromium.executable_path).exists():
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("no Chromium here: install Debian's `chromium`, or run `playwright install chromium`")
    return {"args": QUIET} | ({"executable_path": system} if system else {})


@pytest.fixture(scope="session")
def browser_context_args() -> dict[str, Any]:
    return {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Starts JupyterLab once for all; its address and the folder that it serves."""
    place = tmp_path_factory.mktemp("jupyterlab")
    root = place / "root"
    root.mkdir()
    for name, values in SETTINGS.items():
        file = place / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"),
        *(f"--ServerApp.root_dir={root}", f"--NotebookNotary.data_dir={place}"),
    ]
    folders = {
        "JUPYTERLAB_SETTINGS_DIR": str(place / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(place / "workspaces"),
    }
    with open(place / "server.log", "wb") as log:
        server = subprocess.Popen(command, env=os.environ | folders, stdout=log, stderr=log)
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}", root
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail("JupyterLab does not start")


class Notebook:
    """A notebook in the browser, as its user sees and operates it."""

    def __init__(self, page: Page, address: str, name: str) -> None:
        self.page, self.address, self.name = page, address, name
        self.complaints: list[str] = []
        self._front: Locator | None = None
        page.set_default_timeout(SECONDS)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.open()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def open(self) -> None:
        self.page.goto(f"{self.address}/lab/workspaces/x/tree/{self.name}?reset&token={TOKEN}")
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        self.page.get_by_text(re.compile(r"\| Idle$")).first.wait_for()

    def save(self) -> None:
        self.page.keyboard.press("Control+S")
        self.page.wait_for_timeout(1000)

    def menu(self, name: str, item: str) -> None:
        bar = self.page.get_by_role("menubar")
        bar.get_by_role("menuitem", name=name, exact=True).click()
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def run_all(self) -> None:
        """Runs all cells, and waits until each has its number."""
        self.menu("Run", "Run All Cells")
        self.wait_until_run()

    def run_above(self, text: str) -> None:
        """Runs all cells above the one with this text."""
        self.page.locator(".jp-Cell", has_text=text).last.click()
        self.menu("Run", "Run All Above Selected Cell")

    def wait_until_run(self) -> None:
        prompts = self.page.locator(".jp-Notebook .jp-CodeCell .jp-InputArea-prompt")
        for prompt in prompts.all():
            prompt.filter(has_text=re.compile(r"\[\d+\]")).wait_for(state="attached")

    @property
    def front(self) -> Locator:
        """The front end that the test is about; by default the first."""
        return self._front or self.page.locator(".lab-front").first

    @front.setter
    def front(self, front: Locator) -> None:
        self._front = front

    def button(self, name: str) -> Locator:
        return self.front.locator("button", has_text=re.compile(rf"^\s*{name}$"))

    def set(self, label: str, value: str) -> None:
        box = self.front.get_by_label(label, exact=True)
        box.fill(value)
        box.press("Tab")

    def choose(self, label: str, option: str) -> None:
        box = self.front.get_by_label(label, exact=True)
        wanted = re.compile(option.replace(" ", r"\s"))  # ipywidgets' spaces do not break.
        offered = box.locator("option", has_text=wanted).first
        offered.wait_for(state="attached")
        box.select_option(offered.text_content())

    def tab_to(self, name: str) -> None:
        """Presses Tab until the control of this name has the focus."""
        wanted = self.front.get_by_label(name, exact=True).or_(self.button(name)).first
        expect(wanted).to_be_enabled()
        for _ in range(60):
            if wanted.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        pytest.fail(f"Tab does not reach {name}")

    def says(self, text: str, seconds: float = 60) -> None:
        """Waits until the front end says this in its status line."""
        status = self.front.get_by_role("status")
        expect(status).to_contain_text(text, timeout=1000 * seconds)

    def picture(self) -> Locator:
        return self.front.locator("svg[role=img]")

    def place_of(self, locator: Locator) -> FloatRect:
        """Where an element is, once it has not moved for two seconds: a drawing can move it."""
        places: list[FloatRect | None] = []
        for _ in range(240):
            last = locator.bounding_box()  # None while a drawing replaces it.
            places.append(last)
            if last and places[-9:] == [last] * 9:
                return last
            self.page.wait_for_timeout(250)
        pytest.fail(f"{locator} has not stood still for two seconds within a minute.")

    def words(self) -> str:
        return self.picture().get_attribute("aria-label") or ""

    def epoch(self) -> float:
        """The epoch that the first run of a race has reached, by the words of its picture."""
        return float(re.findall(r"epoch ([0-9.]+) of", self.words())[0])

    def errors(self) -> Locator:
        return self.page.locator('[data-mime-type="application/vnd.jupyter.error"]')


@pytest.fixture
def dark(jupyterlab: tuple[str, Path]) -> Iterator[None]:
    """Shows JupyterLab in its dark theme."""
    extension = jupyterlab[1].parent / "settings" / "@jupyterlab" / "apputils-extension"
    file = extension / "themes.jupyterlab-settings"
    file.write_text(json.dumps({"theme": "JupyterLab Dark"}), encoding="utf-8")
    yield
    file.unlink()


@pytest.fixture
def classroom_folder(jupyterlab: tuple[str, Path], tmp_path: Path) -> Iterator[Path]:
    """A copy of the lessons for one test; the kernels that it started end with it."""
    address, root = jupyterlab
    folder = shutil.copytree(ROOT / "notebooks", root / tmp_path.name)
    yield folder
    for session in _ask(address, "GET"):
        _ask(address, "DELETE", f"/{session['id']}")


def _ask(address: str, method: str, session: str = "") -> Any:
    """Asks the server about its sessions, each a notebook with its kernel."""
    request = Request(
        f"{address}/api/sessions{session}",
        method=method,
        headers={"Authorization": f"token {TOKEN}"},
    )
    with urlopen(request) as answer:
        return json.loads(answer.read() or "null")


@pytest.fixture
def opened(
    page: Page, jupyterlab: tuple[str, Path], classroom_folder: Path
) -> Callable[[str], Notebook]:
    """Opens a notebook of the classroom by its name."""
    return lambda name: Notebook(page, jupyterlab[0], f"{classroom_folder.name}/{name}")


@pytest.fixture
def picture_of(tmp_path: Path) -> Callable[[Notebook, str, str], None]:
    """Takes pictures of a front end on a laptop and on a projector, its words beside them.

    They are kept in the folder that LAB_SCREENSHOTS names.
    """
    folder = Path(os.environ.get("LAB_SCREENSHOTS", tmp_path))

    def take(notebook: Notebook, name: str, words: str) -> None:
        (folder / f"{name}-1280.txt").write_text(f"{words}\n", encoding="utf-8")
        notebook.page.mouse.move(0, 0)  # It points at nothing.
        notebook.page.keyboard.press("Control+B")  # Without the list of a test's files.
        for width, height in ((1024, 768), (1280, 1000)):
            notebook.page.set_viewport_size({"width": width, "height": height})
            notebook.front.locator(".widget-checkbox, select").first.scroll_into_view_if_needed()
            notebook.front.evaluate("element => element.scrollIntoView()")
            notebook.page.wait_for_timeout(300)
            notebook.page.screenshot(path=folder / f"{name}-{width}.png")
        notebook.page.keyboard.press("Control+B")

    return take
