"""An event loop with virtual time: it jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from asyncio import Future
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

import pytest

from mountsea_magic.journal.writer import IDLE_S, JournalWriter

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Deadlock(Exception):
    """Nothing is ready and no timer is set, so the loop would wait forever."""


class QuickLoop(asyncio.SelectorEventLoop):
    """An event loop on which sleeping takes no real time, and runs are deterministic.

    Attributes:
        unhandled: The contexts of unhandled exceptions, from the loop's exception handler.

    Example:
        >>> with QuickLoop() as loop:
        ...     loop.run(asyncio.sleep(600))
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        self._patch = pytest.MonkeyPatch()
        self._writers = set[JournalWriter]()
        self.unhandled: list[dict[str, Any]] = []
        super().__init__(_Jumping(self._jump))
        self.set_exception_handler(lambda _, context: self.unhandled.append(context))

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._now_s

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> Future[T]:
        """Run the function right here: threads can't follow a clock that jumps."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to completion, as this thread's loop."""
        asyncio.set_event_loop(self)
        try:
            return self.run_until_complete(work)
        finally:
            self.run_until_complete(self.shutdown_asyncgens())
            asyncio.set_event_loop(None)

    def __enter__(self) -> QuickLoop:
        self._patch.setattr(JournalWriter, "_start", lambda writer: self._write_here(writer))
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.undo()
        self._close_journals()
        self.close()

    def _write_here(self, writer: JournalWriter) -> None:
        """Do what the journal's thread does, right here, too; the file stays open for a moment."""
        writer._run_queued()
        writer._is_serving = False
        self._writers.add(writer)

    def _close_journals(self) -> None:
        while self._writers:
            self._writers.pop().flush()

    def _jump(self, seconds: float) -> None:
        self._now_s += seconds
        if seconds >= IDLE_S:
            self._close_journals()


class _Jumping(selectors.SelectSelector):
    """A selector that advances the virtual time instead of blocking."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock
        if timeout > 0:
            self._jump(timeout)
        return super().select(0)
