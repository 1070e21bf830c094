"""Stop processes that run in a pseudo-terminal."""

from __future__ import annotations

import os
import signal

import pexpect


def end_terminal(child: pexpect.spawn) -> None:
    """Kill a process and wait until it has ended; pexpect's `close` gives up after 0.1 s."""
    if child.isalive():
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    child.close()
