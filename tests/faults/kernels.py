"""A notebook's kernel, driven from a test: cells are run, interrupted, and read to their end."""

import contextlib
import queue
import time
from dataclasses import dataclass, field

from jupyter_client.manager import start_new_kernel


@dataclass
class Reply:
    """What became of a cell: its status, its error's name, and all that it printed."""

    status: str = ""
    error: str = ""
    text: str = ""
    traceback: list[str] = field(default_factory=list)


class Notebook:
    """A kernel and the cells that are run in it, one at a time."""

    def __init__(self) -> None:
        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def begin(self, code: str, cell_id: str | None = None) -> str:
        """Starts a cell and returns its id, once the kernel is at work on it."""
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        metadata = {"cellId": cell_id} if cell_id else {}  # As JupyterLab names its cells.
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        cell = message["header"]["msg_id"]
        self._read_until(cell, "busy", Reply())
        return cell

    def end(self, cell: str, seconds: float = 120) -> Reply:
        """Waits until a cell has ended."""
        reply = Reply()
        self._read_until(cell, "idle", reply, seconds)
        while True:
            message = self.client.get_shell_msg(timeout=seconds)
            if message["parent_header"].get("msg_id") == cell:
                reply.status = message["content"]["status"]
                return reply

    def run(self, code: str, seconds: float = 120) -> str:
        """Runs a cell that must succeed; returns what it printed."""
        reply = self.end(self.begin(code), seconds)
        assert reply.status == "ok", f"{code}\n{reply.error}\n" + "\n".join(reply.traceback)
        return reply.text

    def _read_until(self, cell: str, state: str, reply: Reply, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while True:
            assert self.manager.is_alive(), "the kernel died"
            assert time.monotonic() < end, f"the cell was not {state} after {seconds} s"
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != cell:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                reply.text += content["text"]
            elif kind == "error":
                reply.error, reply.traceback = content["ename"], content["traceback"]
            elif kind == "status" and content["execution_state"] == state:
                return

    def interrupt(self) -> None:
        """Sends SIGINT, as the button does."""
        self.manager.interrupt_kernel()

    def restart(self, now: bool) -> None:
        """Starts the kernel afresh; `now` kills it, else it is asked to end first."""
        self.manager.restart_kernel(now=now)
        self.client.wait_for_ready(timeout=60)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
