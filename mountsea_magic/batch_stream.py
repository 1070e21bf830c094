"""Batches for asyncio code: each generation is yielded as it ends, in constant memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import suppress
from typing import Any

from .batches import STOP_TIMEOUT_S, BatchRun
from .generation.handle import Generation
from .request.many import is_sequence
from .runtime.loop_thread import cancel_all


async def stream(run: BatchRun, requests: Any) -> AsyncGenerator[Generation, None]:
    """Yield generations as they end; runs on the caller's event loop.

    Args:
        run: The batch.
        requests: As for `agenerate_many`.

    Raises:
        Exception: What the iterator raises, after what was submitted has ended.
    """
    drawn = _draw(run, requests)
    drawing: asyncio.Future[Generation] | None = None
    under_way: dict[asyncio.Future[Any], Generation] = {}
    more, failure = True, None
    try:
        while more or under_way:
            if more and drawing is None and len(under_way) < run.runner.ahead:
                drawing = asyncio.ensure_future(anext(drawn))
            waited_for = [*under_way, *([drawing] if drawing is not None else [])]
            await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
            if drawing is not None and drawing.done():
                try:
                    generation = drawing.result()
                    under_way[_launch(run, generation)] = generation
                except StopAsyncIteration:
                    more = False
                except Exception as error:  # of the iterator: what it gave before is yielded first
                    more, failure = False, error
                drawing = None
            for ended in [each for each in under_way if each.done()]:
                generation = under_way.pop(ended)
                if not ended.cancelled():
                    ended.exception()  # the handle has it; asyncio would log it
                yield generation
        if failure is not None:
            raise failure
    finally:
        jobs = (generation.job for generation in under_way.values())
        cancel_all(job for job in jobs if job is not None)
        closing = asyncio.ensure_future(_close(drawn, drawing))
        await asyncio.wait([*under_way, closing], timeout=STOP_TIMEOUT_S)


async def _close(
    drawn: AsyncGenerator[Generation, None], drawing: asyncio.Future[Generation] | None
) -> None:
    """Draw nothing more; what the iterator raises now concerns nobody."""
    if drawing is not None:
        drawing.cancel()
        await asyncio.wait([drawing])
        if not drawing.cancelled():
            drawing.exception()
    with suppress(Exception):
        await drawn.aclose()


async def _draw(run: BatchRun, requests: Any) -> AsyncGenerator[Generation, None]:
    """Build one generation after the other on a thread, since images may have to be read."""
    if isinstance(requests, AsyncIterable):
        number = 1
        async for request in requests:
            items = await asyncio.to_thread(run.read_drawn, request, number)
            number += len(items)
            for item in items:
                if run.runner.stopped_by is not None:
                    return
                yield await asyncio.to_thread(run.generation, item)
        return
    if is_sequence(requests):
        await asyncio.to_thread(run.check_all, requests)
    for item in run.read(requests):
        if run.runner.stopped_by is not None:
            return
        yield await asyncio.to_thread(run.generation, item)


def _launch(run: BatchRun, generation: Generation) -> asyncio.Future[Any]:
    """Start a generation, and return a future of the caller's loop for its end."""
    if generation.error is not None:
        ended = asyncio.get_running_loop().create_future()
        ended.set_result(None)
        return ended
    job = run.runner.prepare(generation)
    job.launch()
    return asyncio.wrap_future(job.outcome)
