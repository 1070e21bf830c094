"""The stopwatch: seconds by the loop's clock."""

from __future__ import annotations

import asyncio

from quick_loop import QuickLoop

from mountsea_magic.runtime.clock import Stopwatch


def test_it_counts_by_the_loops_own_clock() -> None:
    """A virtual clock turns it, and it begins at nothing."""

    async def measured() -> tuple[float, float]:
        clock = Stopwatch()
        start = clock.elapsed_s
        await asyncio.sleep(3600)
        return start, clock.elapsed_s

    with asyncio.Runner(loop_factory=QuickLoop) as runner:
        assert runner.run(measured()) == (0.0, 3600.0)
