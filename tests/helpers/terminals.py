"""Processes in a terminal of their own, which end when their test does."""

from __future__ import annotations

import os
import signal

import pexpect


def end_terminal(child: pexpect.spawn) -> None:
    """Kill a process and wait for its end, for which pexpect itself gives it 0.1 seconds."""
    if child.isalive():
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    child.close()
