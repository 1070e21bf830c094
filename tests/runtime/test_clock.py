"""The stopwatch uses the event loop's clock."""

from __future__ import annotations

import asyncio

from quick_loop import QuickLoop

from mountsea_magic.runtime.clock import Stopwatch


def test_it_uses_the_loops_clock() -> None:
    """It starts at 0, and a virtual clock advances it."""

    async def measured() -> tuple[float, float]:
        clock = Stopwatch()
        start = clock.elapsed_s
        await asyncio.sleep(3600)
        return start, clock.elapsed_s

    with asyncio.Runner(loop_factory=QuickLoop) as runner:
        assert runner.run(measured()) == (0.0, 3600.0)
