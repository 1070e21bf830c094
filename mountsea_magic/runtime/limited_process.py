"""A process with limits: what a file of a stranger's costs is bounded there, and it can be killed.

Python code can't interrupt a decoder that runs in C; a process it can. It is started only for what
is large or unusual, since a start takes about 0.1 s.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  # else its threads were joined before we are asked
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
"""The most address space that the process gets; a WebP of 64 million pixels needs 1.3 GB."""

MAX_CPU_S = 60
"""The most processor time that it gets, in seconds; the largest whole images need about 10."""

MAX_WALL_S = 180.0
"""After so many seconds it is killed: for systems that limit no processor time."""

Result: TypeAlias = tuple[list[Any], bytes]
"""What a function answers over there: values for JSON, and bytes."""

_READY = b"ready\n"

_RUNNING: set[tuple[int, subprocess.Popen[bytes]]] = set()
"""The processes that run, each with the id of the one that started it: a fork has the same set."""


class NoProcess(Exception):
    """There can be no such process here: the caller has to do without it."""


class ProcessFailed(Exception):
    """The function raised, ran into a limit, or crashed.

    Attributes:
        kind: The exception's name; ``TimeoutError`` for a limit, nothing for a crash.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        """Say it.

        Args:
            message: What happened.
            kind: See above.
        """
        super().__init__(message)
        self.kind = kind


def run_limited(
    module: str, function: str, arguments: Sequence[Any], abandoned: threading.Event
) -> Result:
    """Run a function of this package in a process with limits, and wait for it.

    Args:
        module: The module's full name.
        function: A function of it that returns a `Result`.
        arguments: What JSON can tell.
        abandoned: Once it is set, the process is killed.

    Raises:
        NoProcess: If none can be started here.
        ProcessFailed: If the function came to no result.
        Abandoned: If `abandoned` was set.
    """
    process = _started()
    own = (os.getpid(), process)
    _RUNNING.add(own)
    try:
        path = [entry for entry in sys.path if entry]
        call = json.dumps([path, module, function, *arguments])
        output = _output(process, call.encode() + b"\n", abandoned)
    finally:
        process.kill()
        process.__exit__(None, None, None)  # closes its pipes, and waits for it
        _RUNNING.discard(own)
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
    """The interpreter is this one, and finds its modules where this one does."""
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
        options["start_new_session"] = True  # the terminal's Ctrl-C is for the parent
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
    """An application that has Python within it would start once more."""
    return os.path.basename(executable).lower().startswith("python")


def _output(process: subprocess.Popen[bytes], call: bytes, abandoned: threading.Event) -> bytes:
    """Return what the process wrote until it ended; its standard input stays open for as long."""
    pipe, process.stdin = process.stdin, None
    assert pipe is not None
    with contextlib.suppress(OSError), pipe:
        pipe.write(call)
        pipe.flush()
        return _awaited(process, abandoned)
    raise NoProcess


def _awaited(process: subprocess.Popen[bytes], abandoned: threading.Event) -> bytes:
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
    """What a process that was ended by its limits, or by a fault, has to say."""
    if sys.platform != "win32":
        import signal

        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return ProcessFailed("it took too much time or memory", "TimeoutError")
    return ProcessFailed("the decoder crashed")


def main(module: str, function: str, *arguments: Any) -> None:
    """Be that process: run the function within the limits, and write its result.

    Args:
        module: See `run_limited`.
        function: See there.
        arguments: See there.
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
    except Exception as error:  # the parent gets it, and knows what it means
        head, content = json.dumps([type(error).__name__, str(error)[:400]]), b""
    pipe.write(head.encode() + b"\n" + content)
    pipe.flush()
    os._exit(0)


def _end_with_parent() -> None:
    """A kernel that is killed can't kill what it started; but its end of the pipe is closed."""
    sys.stdin.buffer.read()
    os._exit(1)


def _limit() -> None:
    """Windows has none of these; there the time is limited by the parent alone."""
    try:
        import resource
    except ImportError:
        return
    for limit, most in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_CPU, MAX_CPU_S),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):  # macOS refuses some
            resource.setrlimit(limit, (most, most))


def _kill_all() -> None:
    """A process that ends waits for no decoder."""
    for starter, process in tuple(_RUNNING):
        if starter == os.getpid():
            process.kill()


# before the thread pools are joined, whose threads may wait for such a process
with contextlib.suppress(RuntimeError):  # it is imported while the process ends
    getattr(threading, "_register_atexit", atexit.register)(_kill_all)
