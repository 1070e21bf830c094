"""A helper process of the demo Hub over HTTP: what takes long or much memory happens there."""

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
"""The address space of a helper, where the system can limit it: a drawing of 4096×4096 needs 1."""

_START_S = 60.0
"""How long a helper may take to start, in seconds: a busy machine imports slowly."""

_LENGTH = struct.Struct("<Q")

_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; from mountsea_magic.demo.server.helper import work; work()"
)
"""`multiprocessing` would run the program's main module again, which may be anything."""


class HelperFailed(Exception):
    """A helper process died or took too long; the next call starts another."""


class Helper:
    """A process that calls functions, one after the other, and is killed if one takes too long.

    Example:
        >>> helper = Helper()
        >>> helper.call(abs, -3, timeout_s=30)
        3
        >>> helper.stop()
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def call(self, function: Callable[..., T], *arguments: Any, timeout_s: float) -> T:
        """Call a function in the process, and wait for its result.

        Args:
            function: A function of a module.
            *arguments: Its arguments, which are pickled.
            timeout_s: How long it may take, in seconds.

        Raises:
            HelperFailed: If it took longer, or the process died.
            Exception: What the function raised.
        """
        with self._lock:
            try:
                if self._process is None:
                    self._process = self._start()
                worked, result = _asked(self._process, (function, arguments), timeout_s)
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                self._end()
                raise HelperFailed(f"{function.__name__} was given up") from error
            if not worked:
                raise result
            return result  # type: ignore[no-any-return]  # what the pipe brings has no type

    def stop(self) -> None:
        """End the process for good, whatever it does; a call that waits for it fails."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._end()

    def _start(self) -> subprocess.Popen[bytes]:
        """The first call brings the imports, which are not the function's time."""
        if self._stopped:
            raise EOFError
        command = [sys.executable, "-c", _PROGRAM.format(path=sys.path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._process = process
        _asked(process, (abs, (0,)), _START_S)
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(OSError):  # what was not written yet has no reader
                process.communicate()


def _asked(process: subprocess.Popen[bytes], call: Any, timeout_s: float) -> tuple[bool, Any]:
    """A process that is killed ends its pipe, whatever we are waiting for."""
    assert process.stdin is not None
    assert process.stdout is not None
    timer = threading.Timer(timeout_s, process.kill)
    timer.daemon = True
    timer.start()
    try:
        _write(process.stdin, call)
        worked, result = _read(process.stdout)
    finally:
        timer.cancel()
    return bool(worked), result


def _write(pipe: IO[bytes], message: Any) -> None:
    content = pickle.dumps(message)
    pipe.write(_LENGTH.pack(len(content)))
    pipe.write(content)
    pipe.flush()


def _read(pipe: IO[bytes]) -> Any:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    return pickle.loads(pipe.read(*_LENGTH.unpack(head)))  # noqa: S301  # a process of ours wrote it


def work() -> None:
    """Answer calls on the standard streams until the server is gone: then its pipe has ended."""
    # Ctrl+C in a terminal reaches the whole group; the server ends its helpers itself
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    if sys.platform != "win32":
        import resource

        os.nice(5)  # polls are answered first
        with suppress(ValueError, OSError):  # a lower limit may hold already
            resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    with suppress(EOFError, OSError):
        while True:
            function, arguments = _read(sys.stdin.buffer)
            _write(answers, _called(function, arguments))
    os._exit(0)  # no answer is left to be flushed: nobody reads it


def _called(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    """Whatever a function raises is for the caller, who is in the other process."""
    try:
        return True, function(*arguments)
    except Exception as error:  # the border: any image, drawn or read by Pillow
        error.__cause__ = error.__context__ = error.__traceback__ = None
        return False, error
