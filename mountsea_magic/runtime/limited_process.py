"""Run a function in a subprocess with memory and time limits, for decoding untrusted files.

Python can't interrupt a decoder that runs in C, but it can kill a process. Starting one takes about
0.1 s, so it is used for large or unusual files only.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  # registers its exit hook first, so that ours runs before it
import contextlib
import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, TypeAlias

from .daemon_threads import TICK_S, Abandoned
from .environment import minimal_environment

MAX_MEMORY_BYTES = 1536 * 1024 * 1024
"""The limit of its address space; a WebP of 64 million pixels needs 1.3 GB."""

MAX_CPU_S = 60
"""The limit of its CPU time, in seconds; the largest valid images need about 10."""

MAX_WALL_S = 180.0
"""When it is killed, in seconds: for systems that can't limit CPU time."""

Result: TypeAlias = tuple[list[Any], bytes]
"""What the function returns: JSON values, and bytes."""

_READY = b"ready\n"

_RUNNING: set[tuple[int, subprocess.Popen[bytes]]] = set()
"""Running processes with the id of their parent, since a forked child inherits this set."""


class NoProcess(Exception):
    """A process can't be started here: the caller has to run the function itself."""


class ProcessFailed(Exception):
    """The function raised, exceeded a limit, or crashed.

    Attributes:
        kind: The exception's name; ``TimeoutError`` for a limit, empty for a crash.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


def run_limited(
    module: str, function: str, arguments: Sequence[Any], abandoned: threading.Event
) -> Result:
    """Run a function of this package in a process with limits, and wait for its result.

    Args:
        module: The module's full name.
        function: The name of a function in it that returns a `Result`.
        arguments: Its arguments, which must be JSON values.
        abandoned: Kills the process once it is set.

    Raises:
        NoProcess: If a process can't be started here.
        ProcessFailed: If the function returned no result.
        Abandoned: If `abandoned` was set.
    """
    process = _started()
    entry = (os.getpid(), process)
    _RUNNING.add(entry)
    try:
        path = [entry for entry in sys.path if entry]
        call = json.dumps([path, module, function, *arguments])
        output = _output(process, call.encode() + b"\n", abandoned)
    finally:
        process.kill()
        process.__exit__(None, None, None)  # closes its pipes and waits for it
        _RUNNING.discard(entry)
    if not output.startswith(_READY):
        raise NoProcess
    head, newline, content = output[len(_READY) :].partition(b"\n")
    if not newline:
        raise _ended_early(process.returncode)
    kind, *values = json.loads(head)
    if kind:
        raise ProcessFailed(str(values[0]), kind)
    return values, content


def _started() -> subprocess.Popen[bytes]:
    """Start the same interpreter, with the same `sys.path`."""
    executable = sys.executable or ""
    if getattr(sys, "frozen", False) or not _is_python(executable):
        raise NoProcess
    code = (
        "import json, sys; call = json.loads(sys.stdin.readline()); sys.path[:] = call[0]\n"
        f"from {__name__} import main; main(*call[1:])"
    )
    options: dict[str, Any] = {}
    if sys.platform == "win32":
        options["creationflags"] = subprocess.CREATE_NO_WINDOW
    else:
        options["start_new_session"] = True  # Ctrl-C in the terminal must reach only the parent
    try:
        return subprocess.Popen(
            [executable, "-I", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=minimal_environment(),
            **options,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise NoProcess from error


def _is_python(executable: str) -> bool:
    """False in an application with embedded Python, which would start itself again."""
    return os.path.basename(executable).lower().startswith("python")


def _output(process: subprocess.Popen[bytes], call: bytes, abandoned: threading.Event) -> bytes:
    """Return the process's output; its standard input stays open until it ends."""
    pipe, process.stdin = process.stdin, None
    assert pipe is not None
    with contextlib.suppress(OSError), pipe:
        pipe.write(call)
        pipe.flush()
        return _communicate(process, abandoned)
    raise NoProcess


def _communicate(process: subprocess.Popen[bytes], abandoned: threading.Event) -> bytes:
    deadline = time.monotonic() + MAX_WALL_S
    while True:
        try:
            return process.communicate(timeout=TICK_S)[0]
        except subprocess.TimeoutExpired:
            if abandoned.is_set():
                raise Abandoned from None
            if time.monotonic() > deadline:
                raise ProcessFailed(f"it took more than {MAX_WALL_S:g} s", "TimeoutError") from None


def _ended_early(code: int) -> ProcessFailed:
    """The error for an exit code without a result."""
    if sys.platform != "win32":
        import signal

        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return ProcessFailed("it took too much time or memory", "TimeoutError")
    return ProcessFailed("the decoder crashed")


def main(module: str, function: str, *arguments: Any) -> None:
    """Entry point of the subprocess: run the function within the limits and write its result.

    Args:
        module: As for `run_limited`.
        function: As for `run_limited`.
        arguments: As for `run_limited`.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run = getattr(importlib.import_module(module), function)
    _limit()
    pipe = sys.stdout.buffer
    pipe.write(_READY)
    pipe.flush()
    try:
        values, content = run(*arguments)
        head = json.dumps(["", *values])
    except Exception as error:  # reported to the parent, which handles it
        head, content = json.dumps([type(error).__name__, str(error)[:400]]), b""
    pipe.write(head.encode() + b"\n" + content)
    pipe.flush()
    os._exit(0)


def _end_with_parent() -> None:
    """Exit once the parent is gone, even if it was killed: its end of the pipe then closes."""
    sys.stdin.buffer.read()
    os._exit(1)


def _limit() -> None:
    """Set the resource limits; Windows has none, so there only the parent limits the time."""
    try:
        import resource
    except ImportError:
        return
    for limit, maximum in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_CPU, MAX_CPU_S),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):  # macOS does not support all of them
            resource.setrlimit(limit, (maximum, maximum))


def _kill_all() -> None:
    """At exit, do not wait for decoders."""
    for parent, process in tuple(_RUNNING):
        if parent == os.getpid():
            process.kill()


# must run before the thread pools are joined: their threads may wait for such a process
with contextlib.suppress(RuntimeError):  # raised if this is imported at interpreter shutdown
    getattr(threading, "_register_atexit", atexit.register)(_kill_all)
