"""A worker process of the demo Hub over HTTP, for work that is slow or needs much memory."""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, TypeVar

T = TypeVar("T")

MAX_MEMORY_BYTES = 3 * 1024**3
"""The address space of a worker in bytes, where the system can limit it; a drawing of 4096×4096
pixels needs 1 GiB."""

_START_S = 60.0
"""How long a worker may take to start, in seconds: imports are slow on a busy machine."""

_LENGTH = struct.Struct("<Q")

_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; "
    "from mountsea_magic.demo.server.worker import run_worker; run_worker()"
)
"""Not `multiprocessing`, which would import the main module again, whatever that is."""


class WorkerFailed(Exception):
    """A worker process died or took too long; the next call starts another one."""


class Worker:
    """A process that runs one function at a time, and is killed if one takes too long.

    Example:
        >>> worker = Worker()
        >>> worker.call(abs, -3, timeout_s=30)
        3
        >>> worker.stop()
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def call(self, function: Callable[..., T], *arguments: Any, timeout_s: float) -> T:
        """Run a function in the process, and wait for its result.

        Args:
            function: A module-level function.
            *arguments: Its arguments, which are pickled.
            timeout_s: How long it may take, in seconds.

        Raises:
            WorkerFailed: If the function took longer, or the process died.
            Exception: Whatever the function raised.
        """
        with self._lock:
            try:
                if self._process is None:
                    self._process = self._start()
                succeeded, result = _exchange(self._process, (function, arguments), timeout_s)
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                self._end()
                raise WorkerFailed(f"{function.__name__} timed out or crashed") from error
            if not succeeded:
                raise result
            return result  # type: ignore[no-any-return]  # unpickled, so untyped

    def stop(self) -> None:
        """Kill the process for good; a call in progress fails."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._end()

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the process and wait for its imports, which must not count as the call's time."""
        if self._stopped:
            raise EOFError
        command = [sys.executable, "-c", _PROGRAM.format(path=sys.path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._process = process
        _exchange(process, (abs, (0,)), _START_S)
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(OSError):  # flushing to a dead process
                process.communicate()


def _exchange(process: subprocess.Popen[bytes], call: Any, timeout_s: float) -> tuple[bool, Any]:
    """Send a call and read its result; after the time-out the process is killed."""
    assert process.stdin is not None
    assert process.stdout is not None
    timer = threading.Timer(timeout_s, process.kill)
    timer.daemon = True
    timer.start()
    try:
        _write(process.stdin, call)
        succeeded, result = _read(process.stdout)
    finally:
        timer.cancel()
    return bool(succeeded), result


def _write(pipe: IO[bytes], message: Any) -> None:
    content = pickle.dumps(message)
    pipe.write(_LENGTH.pack(len(content)))
    pipe.write(content)
    pipe.flush()


def _read(pipe: IO[bytes]) -> Any:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    return pickle.loads(pipe.read(*_LENGTH.unpack(head)))  # noqa: S301  # written by our own process


def run_worker() -> None:
    """Serve calls on stdin and stdout, until the server closes the pipe."""
    # Ctrl+C reaches the whole process group, but the server stops its workers itself
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keep output of libraries out of the result stream
    if sys.platform != "win32":
        import resource

        os.nice(5)  # the server, which responds to polls, goes first
        with suppress(ValueError, OSError):  # the limit may already be lower
            resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    with suppress(EOFError, OSError):
        while True:
            function, arguments = _read(sys.stdin.buffer)
            _write(results, _run_call(function, arguments))
    os._exit(0)  # skip flushing: the server no longer reads the results


def _run_call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    """Return (True, result), or (False, exception) for the other process to raise."""
    try:
        return True, function(*arguments)
    except Exception as error:  # process boundary: Pillow may raise anything
        error.__cause__ = error.__context__ = error.__traceback__ = None
        return False, error
