"""A real Jupyter kernel for tests: run cells, collect their outputs, interrupt them."""

from __future__ import annotations

import json
import os
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hang import HANG_S
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

Message = dict[str, Any]
RESET = Path(__file__).with_name("kernel_reset.py")


@dataclass
class CellRun:
    """The result of one cell.

    Attributes:
        status: ``ok`` or ``error``.
        error: The name of the exception, or an empty string.
        error_message: The message of the exception.
        traceback: The traceback lines, as displayed.
        outputs: The outputs as a saved notebook has them, with updated displays replaced.
        text: The stdout and stderr output.
        messages: All IOPub messages, in order.
        message_id: The id of the execute request.
        ended: Whether the cell has ended.
        ended_at: When it ended, in seconds since 1970, by the kernel's clock.
    """

    message_id: str = ""
    ended: bool = False
    ended_at: float = 0.0
    status: str = "unknown"
    error: str = ""
    error_message: str = ""
    traceback: list[str] = field(default_factory=list)
    outputs: list[Message] = field(default_factory=list)
    text: str = ""
    messages: list[Message] = field(default_factory=list)
    displays: dict[str, Message] = field(default_factory=dict, repr=False)

    def take(self, message: Message) -> None:
        """Process a message as a front end does, also after the cell has ended."""
        content, kind = message["content"], message["msg_type"]
        self.messages.append(message)
        if kind == "update_display_data":
            display = self.displays.get(content["transient"]["display_id"])
            if display is not None:
                display.update(data=content["data"], metadata=content["metadata"])
        if message["parent_header"].get("msg_id") != self.message_id:
            return
        if kind == "stream":
            self.text += content["text"]
        elif kind in ("display_data", "execute_result"):
            output = {"data": content["data"], "metadata": content["metadata"]}
            self.outputs.append(output)
            display_id = content.get("transient", {}).get("display_id")
            if display_id:
                self.displays[display_id] = output
        elif kind == "error":
            self.error, self.error_message = content["ename"], content["evalue"]
            self.traceback = content["traceback"]
        elif kind == "status" and content["execution_state"] == "idle" and not self.ended:
            self.ended = True
            self.ended_at = message["header"]["date"].timestamp()
            self.status = "error" if self.error else "ok"

    def images(self) -> list[tuple[str, str, Message]]:
        """Return media type, base64 text and metadata of each image."""
        return [
            (kind, data, output["metadata"].get(kind, {}))
            for output in self.outputs
            for kind, data in output["data"].items()
            if kind.startswith("image/")
        ]

    def html(self) -> str:
        """Return all HTML output of the cell."""
        return "\n".join(output["data"].get("text/html", "") for output in self.outputs)

    def widgets(self) -> list[Message]:
        """Return the outputs that are widgets."""
        return [out for out in self.outputs if any("widget" in kind for kind in out["data"])]


class Kernel:
    """A running kernel and its client."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    def run(
        self,
        code: str,
        *,
        on_message: Callable[[Message], None] | None = None,
        attended: bool = True,
    ) -> CellRun:
        """Run a cell to its end.

        Args:
            code: The cell.
            on_message: Called with each message as it arrives, for example to interrupt.
            attended: Whether to execute as an interactive front end does, rather than as nbclient.
        """
        message_id = self.begin(code, attended=attended)
        return self.collect(message_id, on_message=on_message)

    def begin(self, code: str, *, attended: bool = True) -> str:
        """Start a cell with no others queued behind it; return its message id, for `collect`."""
        # for a moment after an error, ipykernel 6 drops new requests as if they had been queued
        return str(self.client.execute(code, stop_on_error=False, allow_stdin=attended))

    def run_all(self, codes: list[str]) -> list[CellRun]:
        """Queue several cells at once, as Run All does, then collect each."""
        ids = [self.client.execute(code) for code in codes]
        return [self.collect(message_id) for message_id in ids]

    def collect(
        self,
        message_id: str,
        *,
        on_message: Callable[[Message], None] | None = None,
    ) -> CellRun:
        """Collect the messages of a started cell until it has ended."""
        run = CellRun(message_id)
        return self.follow(run, lambda: run.ended, "the cell has ended", on_message=on_message)

    def follow(
        self,
        run: CellRun,
        until: Callable[[], bool],
        condition: str,
        *,
        on_message: Callable[[Message], None] | None = None,
    ) -> CellRun:
        """Keep collecting a cell's messages, as a front end does after it has ended.

        Args:
            run: The cell.
            until: Returns whether to stop; called after each message.
            condition: Describes `until`, for the error message.
            on_message: Called with each message as it arrives.
        """
        deadline = time.monotonic() + HANG_S
        while not until():
            try:
                message = self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not within {HANG_S:g} s: {condition}") from None
            run.take(message)
            if on_message is not None:
                on_message(message)
        return run

    def renew(self, scratch: Path) -> None:
        """Reset the kernel, with this process's environment and working folder.

        Args:
            scratch: A temporary folder.
        """
        message_id = self.client.execute(reset_code(scratch), silent=True, store_history=False)
        assert self.collect(str(message_id)).status == "ok"

    def interrupt(self) -> None:
        """Interrupt the kernel, as the Stop button does."""
        self.manager.interrupt_kernel()

    def stop(self, message_id: str) -> tuple[CellRun, float]:
        """Interrupt a cell, collect it, and return how long it took to end, in seconds.

        By the kernel's clock. The time in which threads were ready to run while other processes had
        the processors, or waited for the disk, does not count: it says how busy the machine is.
        """
        pressed, before = time.time(), self._waits_s()
        self.interrupt()
        run = self.collect(message_id)
        # not the difference of two sums: a thread that has ended since is in the first one only
        held_up_s = sum(
            waited_s - before.get(path, 0.0) for path, waited_s in self._waits_s().items()
        )
        return run, run.ended_at - pressed - held_up_s

    def _waits_s(self) -> dict[Path, float]:
        """Return how long this thread, those of the kernel and the disk have been waited for."""
        threads = Path(f"/proc/{getattr(self.manager.provisioner, 'pid', 0)}/task")
        waits_s: dict[Path, float] = {}
        for path in (Path("/proc/thread-self/schedstat"), *threads.glob("*/schedstat")):
            with suppress(OSError):  # the thread has ended, or the system does not count it
                waits_s[path] = int(path.read_text().split()[1]) / 1e9
        disk = Path("/proc/pressure/io")
        with suppress(OSError):  # as above; of all processes, since it is not counted for each
            some, *_ = disk.read_text().splitlines()
            waits_s[disk] = int(some.rpartition("total=")[2]) / 1e6
        return waits_s


def reset_code(scratch: Path) -> str:
    """Return code that resets an IPython, with this process's environment and folder.

    Args:
        scratch: A temporary folder.
    """
    # through a file, so that no message and no history contains the environment
    arguments = scratch / "given.json"
    arguments.write_text(json.dumps({"environ": dict(os.environ), "folder": os.getcwd()}))
    return (
        f"import json\nmodule = {{}}\nexec(open({str(RESET)!r}).read(), module)\n"
        f"module['renew'](**json.load(open({str(arguments)!r})))"
    )


@contextmanager
def started_kernel() -> Iterator[Kernel]:
    """Start a kernel with this process's environment, and shut it down after the block."""
    # IPC sockets in a temporary folder: TCP ports are chosen before the kernel binds them, and
    # another process may get one of them meanwhile
    with TemporaryDirectory(prefix="k") as folder:
        manager = KernelManager(kernel_name="python3", transport="ipc", ip=f"{folder}/k")
        manager.start_kernel()
        client = manager.client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=HANG_S)
            yield Kernel(manager, client)
        finally:
            client.stop_channels()
            # at once, unless coverage is measured: it is saved at the kernel's exit
            manager.shutdown_kernel(now="COVERAGE_PROCESS_CONFIG" not in os.environ)
