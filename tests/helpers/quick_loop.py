"""An event loop whose time is a number: it jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from asyncio import Future
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Deadlock(Exception):
    """Nothing is ready and no timer is set: what is awaited can never come."""


class QuickLoop(asyncio.SelectorEventLoop):
    """A loop that passes ten minutes of waiting in no time, the same way each time.

    Attributes:
        slips: What nobody caught: the contexts that the loop's exception handler was given.

    Example:
        >>> with QuickLoop() as loop:
        ...     loop.run(asyncio.sleep(600))
    """

    def __init__(self) -> None:
        """Begin at 0 s."""
        self._now_s = 0.0
        self.slips: list[dict[str, Any]] = []
        super().__init__(_Jumping(self._jump))
        self.set_exception_handler(lambda _, context: self.slips.append(context))

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._now_s

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> Future[T]:
        """Run the function here and now: no thread races with a time that jumps."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, as this thread's loop."""
        asyncio.set_event_loop(self)
        try:
            return self.run_until_complete(work)
        finally:
            self.run_until_complete(self.shutdown_asyncgens())
            asyncio.set_event_loop(None)

    def __enter__(self) -> QuickLoop:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _jump(self, seconds: float) -> None:
        self._now_s += seconds


class _Jumping(selectors.SelectSelector):
    """Where the loop would sleep, time jumps."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock
        if timeout > 0:
            self._jump(timeout)
        return super().select(0)
