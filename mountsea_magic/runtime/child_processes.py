"""Share this process's choice of Hub with its child processes.

A worker inherits the kernel's environment, and so the user's key, but not what `%mountsea demo` and
`%config` have set in the kernel's memory: without this it would submit to the real Hub.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from .environment import set_variable, variable
from .private_files import private_folder, read_regular, write_private

_MAX_BYTES = 1000
"""The largest file that is read, in bytes; a valid one has about 50."""

_SAME_START_S = 2.0
"""Tolerance for a process's start time, in seconds: the system clock may be adjusted."""


class ChildProcesses:
    """Publishes the choice of Hub to child processes.

    Processes started later read it from their environment; workers of a pool that is already
    running read the choice of the demo Hub from a file.

    Example:
        >>> ChildProcesses().publish(Path("data"), demo=None, base_url=None)
    """

    def __init__(self) -> None:
        self._before: dict[str, str | None] = {}

    def publish(self, home: Path, *, demo: str | None, base_url: str | None) -> None:
        """Publish the current choice.

        Args:
            home: The user's data folder.
            demo: A value of MOUNTSEA_DEMO, or None if nothing was chosen.
            base_url: The base URL of `%config`, or None.
        """
        self._export("MOUNTSEA_DEMO", demo)
        self._export("MOUNTSEA_BASE_URL", base_url)
        if base_url == "demo:" and demo is None:
            demo = "on"
        try:
            # not "off": it must not override a worker whose own environment says "on"
            _write(home, None if demo == "off" else demo)
        except OSError:
            return  # only running pools need the file; a full disk must not stop the kernel

    def _export(self, name: str, value: str | None) -> None:
        """Set a variable, or with None restore its original value."""
        if value is None and name not in self._before:
            return
        before = self._before.setdefault(name, variable(name))
        set_variable(name, before if value is None else value)


def _write(home: Path, demo: str | None) -> None:
    """Write the file of this process, which is removed at its exit."""
    path = _file(home, os.getpid())
    if demo is None:
        path.unlink(missing_ok=True)
        return
    started_s = _start_of(os.getpid())
    if started_s is not None:
        private_folder(path.parent, ours=True)
        _remove_stale(home)
        write_private(path, json.dumps({"demo": demo, "started_s": started_s}).encode())
        atexit.register(_remove_own, path, os.getpid())


def inherited_demo(home: Path) -> str | None:
    """Return the demo choice of the nearest ancestor process, or None.

    Args:
        home: The user's data folder.
    """
    if not os.path.isdir(_file(home, 0).parent):  # `Path.is_dir` may raise PermissionError
        return None
    choices = (_read(_file(home, pid), started_s) for pid, started_s in _ancestors(os.getpid()))
    return next(filter(None, choices), None)


def _file(home: Path, pid: int) -> Path:
    """The host name is part of it, since several machines may share a home folder."""
    return home / "demo" / "processes" / f"{socket.gethostname()}-{pid}.json"


def _read(path: Path, started_s: float) -> str | None:
    """Return the choice, unless the file is from an earlier process with the same id."""
    try:
        content: dict[str, Any] = json.loads(read_regular(path, _MAX_BYTES))
        choice: str = content["demo"]
        same = abs(content["started_s"] - started_s) < _SAME_START_S
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None
    return choice if same and choice in ("on", "if-no-key") else None


@cache
def _ancestors(pid: int) -> Sequence[tuple[int, float]]:
    """Ids and start times of ancestors; none without psutil, which ipykernel depends on."""
    try:
        import psutil
    except ImportError:
        return ()
    try:
        return [(parent.pid, parent.create_time()) for parent in psutil.Process(pid).parents()]
    except psutil.Error:
        return ()


def _start_of(pid: int) -> float | None:
    """A process's start time in seconds since 1970, or None if unknown."""
    try:
        import psutil
    except ImportError:
        return None
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _remove_stale(home: Path) -> None:
    """Remove the files that killed kernels have left."""
    own = f"{socket.gethostname()}-"
    for path in _file(home, 0).parent.glob("*.json"):
        pid = path.stem.removeprefix(own)
        if path.stem.startswith(own) and pid.isdecimal():
            started_s = _start_of(int(pid))
            if started_s is None or _read(path, started_s) is None:
                path.unlink(missing_ok=True)


def _remove_own(path: Path, pid: int) -> None:
    """A forked child inherits the exit handlers, so check the process id."""
    if os.getpid() == pid:
        path.unlink(missing_ok=True)
