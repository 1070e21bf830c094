"""Receive, decode and parse the body of a Hub response within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from ..runtime.clock import Stopwatch
from ..runtime.httpx_import import httpx
from .bounded_json import JsonBody
from .content_coding import UndecodableBody, open_body
from .http_response import ACCEPTED, HubResponse
from .image_downloader import is_too_slow

INLINE_TIMEOUT_S = 600.0
"""How long a response with inline images may take, in seconds: four 4K images are some 100 MB."""

_SMALL_BYTES = 256 * 1024
"""Bodies up to this size are parsed here: a thread would take longer."""

_WORK = 256 * 1024
_CHUNK_WORK = 1024
"""Yield to the event loop after `_WORK` decoded bytes; a chunk costs like `_CHUNK_WORK` bytes.

A small response is read without yielding: a kill before it is journaled would lose the task id.
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no response.

    Attributes:
        cause: httpx's error, without its frames.
        message: The message for the user, or None to use that of httpx.
        maybe_sent: Whether the request may have reached the host.

    Example:
        >>> Failure(httpx.ReadTimeout("no response arrived")).maybe_sent
        True
    """

    cause: httpx.RequestError
    message: str | None = None
    maybe_sent: bool = True


async def receive(
    response: httpx.Response,
    body: JsonBody,
    deadline: asyncio.Timeout,
    *,
    max_bytes: int,
    read_to_end: bool = False,
) -> None:
    """Receive a body and parse it.

    Args:
        response: The response, which the caller closes.
        body: The parser; its ``problem`` then says what is wrong with the body, if anything.
        deadline: The deadline of the exchange; extended if there are inline images.
        max_bytes: The most bytes to accept, both compressed and decoded.
        read_to_end: Whether to read to the end even if the body is slow or has a problem.

    Raises:
        httpx.ReadTimeout: If it arrives too slowly.
        Exception: Any error of httpx, if the connection breaks.
    """
    received, work, clock, extended = 0, 0, Stopwatch(), False
    try:
        decoder, chunks = open_body(response, max_bytes=max_bytes)
        async for chunk in chunks:
            for piece in decoder.feed(chunk):
                received += len(piece)
                body.feed(piece)
                if (body.problem and not read_to_end) or received > max_bytes:
                    body.give_up(body.problem or "it is too large")
                    return
                work += len(piece)
                if work > _WORK:
                    work = 0
                    await asyncio.sleep(0)
            if not read_to_end and is_too_slow(received, clock.elapsed_s):
                raise httpx.ReadTimeout("the response arrives too slowly")
            if body.inline_bytes and not extended:
                extended = True
                deadline.reschedule(asyncio.get_running_loop().time() + INLINE_TIMEOUT_S)
            work += _CHUNK_WORK
            if work > _WORK:
                work = 0
                await asyncio.sleep(0)
        decoder.finish()
    except UndecodableBody as error:
        body.give_up(str(error))
    if body.text_bytes + body.inline_bytes > _SMALL_BYTES:
        await asyncio.to_thread(body.finish)
    else:
        body.finish()


def fallback_response(
    status: int, headers: Mapping[str, str], body: JsonBody, *, submitting: bool
) -> HubResponse | Failure | None:
    """Return what can be known about a response whose body exceeds a limit.

    Args:
        status: The response's HTTP status.
        headers: Its headers.
        body: Its body, with a problem.
        submitting: Whether this is the response to a submission: then a task id in it is used.

    Returns:
        A response, a failure, or None if the status is enough by itself.

    Example:
        >>> body = JsonBody()
        >>> body.feed(b'{"task_id": "hub-1", "more": ' + b"[" * 500_000)
        >>> response = fallback_response(200, {}, body, submitting=True)
        >>> response.body if isinstance(response, HubResponse) else None
        {'task_id': 'hub-1'}
    """
    if status in ACCEPTED and submitting and body.task_id is not None:
        return HubResponse(status, headers, {"task_id": body.task_id})
    # do not retry a POST after an unreadable 429: it may be about credits
    if status in ACCEPTED or (status == 429 and submitting):
        message = (
            f"The Hub's response could not be read: {body.problem}. Check MOUNTSEA_BASE_URL, or "
            "ask the Hub's administrator."
        )
        return Failure(httpx.DecodingError(body.problem), message)
    return None
