"""The Hub that this process has chosen, which holds for the processes that it starts, too.

A worker that a kernel starts inherits its environment, with the user's key, but not what
`%mountsea demo` and `%config` have set in its memory: it would submit to the real Hub.
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
from .private_files import private_folder, read_plain, write_private

_MAX_BYTES = 1000
"""The largest file that is read, in bytes; ours have about 50."""

_SAME_START_S = 2.0
"""By how much two readings of one process's start may differ, in seconds: clocks are adjusted."""


class ChildProcesses:
    """What this process has passed on to those that it starts.

    Processes that are started later find it in their environment, and the workers of a pool that
    is there already find the choice of the demo Hub in a file.

    Example:
        >>> ChildProcesses().publish(Path("data"), demo=None, base_url=None)
    """

    def __init__(self) -> None:
        """Tell nothing yet."""
        self._before: dict[str, str | None] = {}

    def publish(self, home: Path, *, demo: str | None, base_url: str | None) -> None:
        """Tell what is chosen now.

        Args:
            home: The user's data folder.
            demo: What MOUNTSEA_DEMO can say, or None where nothing was chosen.
            base_url: What `%config` says of the Hub, or None.
        """
        self._export("MOUNTSEA_DEMO", demo)
        self._export("MOUNTSEA_BASE_URL", base_url)
        if base_url == "demo:" and demo is None:
            demo = "on"
        try:
            # "off" is not passed on: a worker whose own environment says "on" must be believed
            _write(home, None if demo == "off" else demo)
        except OSError:
            return  # the environment tells all but old pools, and a full disk stops no lesson

    def _export(self, name: str, value: str | None) -> None:
        """Without a value a variable is again what it was before."""
        if value is None and name not in self._before:
            return
        before = self._before.setdefault(name, variable(name))
        set_variable(name, before if value is None else value)


def _write(home: Path, demo: str | None) -> None:
    """One small file for each process that has chosen, for as long as it runs."""
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
    """Return what the nearest process above this one says of the demo Hub, or None.

    Args:
        home: The user's data folder.
    """
    if not os.path.isdir(_file(home, 0).parent):  # `Path.is_dir` raises where it may not look
        return None
    above = (_read(_file(home, pid), started_s) for pid, started_s in _ancestors(os.getpid()))
    return next(filter(None, above), None)


def _file(home: Path, pid: int) -> Path:
    """Several machines may share a home."""
    return home / "demo" / "processes" / f"{socket.gethostname()}-{pid}.json"


def _read(path: Path, started_s: float) -> str | None:
    """A file of an earlier process with the same id says nothing."""
    try:
        content: dict[str, Any] = json.loads(read_plain(path, _MAX_BYTES))
        choice: str = content["demo"]
        same = abs(content["started_s"] - started_s) < _SAME_START_S
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None
    return choice if same and choice in ("on", "if-no-key") else None


@cache
def _ancestors(pid: int) -> Sequence[tuple[int, float]]:
    """Ids and start times of the processes above one; none without psutil, which ipykernel has."""
    try:
        import psutil
    except ImportError:
        return ()
    try:
        return [(parent.pid, parent.create_time()) for parent in psutil.Process(pid).parents()]
    except psutil.Error:
        return ()


def _start_of(pid: int) -> float | None:
    """When a process was started, in seconds since 1970; None if that can't be known."""
    try:
        import psutil
    except ImportError:
        return None
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _remove_stale(home: Path) -> None:
    """Kernels that were killed have left theirs."""
    own = f"{socket.gethostname()}-"
    for path in _file(home, 0).parent.glob("*.json"):
        pid = path.stem.removeprefix(own)
        if path.stem.startswith(own) and pid.isdecimal():
            started_s = _start_of(int(pid))
            if started_s is None or _read(path, started_s) is None:
                path.unlink(missing_ok=True)


def _remove_own(path: Path, pid: int) -> None:
    """A forked process has the same functions to call at its end."""
    if os.getpid() == pid:
        path.unlink(missing_ok=True)
