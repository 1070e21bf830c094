"""The body of a response of the Hub: received, decoded and parsed within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from ..runtime.clock import Stopwatch
from .bounded_json import JsonBody
from .content_coding import UndecodableBody, open_body
from .downloads import is_too_slow
from .error_mapping import ACCEPTED, HubResponse

INLINE_S = 600.0
"""How long a response with inline images may take, in seconds: four of 4K are some 100 MB."""

_SMALL_BYTES = 256 * 1024
"""What is parsed at once, since handing it to another thread would take longer."""

_WORK = 256 * 1024
_CHUNK_WORK = 1024
"""After so many decoded bytes others have their turn; a chunk costs as much time as this many.

None of it between a small response and the journal: a kill there would lose the task's id.
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why no response came.

    Attributes:
        cause: httpx's error, without its frames.
        message: What to tell the user, or None if httpx's words must do.
        maybe_sent: Whether the request may have reached the host.

    Example:
        >>> Failure(httpx.ReadTimeout("no answer came")).maybe_sent
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
    to_the_end: bool = False,
) -> None:
    """Receive a body and parse it.

    Args:
        response: The response, which the caller closes.
        body: What takes it; knows then what is wrong with it, if anything.
        deadline: The exchange's; later if there are inline images.
        max_bytes: The most bytes that are taken, on the wire and decoded.
        to_the_end: Whether it is awaited and searched to the end, however slow or odd it is.

    Raises:
        httpx.ReadTimeout: If it comes in too slowly.
        Exception: Whatever httpx raises if the connection breaks.
    """
    received, work, watch, extended = 0, 0, Stopwatch(), False
    try:
        decoder, chunks = open_body(response, max_bytes=max_bytes)
        async for chunk in chunks:
            for piece in decoder.feed(chunk):
                received += len(piece)
                body.feed(piece)
                if (body.problem and not to_the_end) or received > max_bytes:
                    body.give_up(body.problem or "it is too large")
                    return
                work += len(piece)
                if work > _WORK:
                    work = 0
                    await asyncio.sleep(0)
            if not to_the_end and is_too_slow(received, watch.elapsed_s):
                raise httpx.ReadTimeout("the answer trickles in too slowly")
            if body.inline_bytes and not extended:
                extended = True
                deadline.reschedule(asyncio.get_running_loop().time() + INLINE_S)
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


def unreadable(
    status: int, headers: Mapping[str, str], body: JsonBody, *, submitting: bool
) -> HubResponse | Failure | None:
    """Say what a body that is over a limit still tells.

    Args:
        status: The response's HTTP status.
        headers: Its headers.
        body: Its body, with a problem.
        submitting: Whether it answers a submission: then a task's id in it counts.

    Returns:
        An answer, a failure, or None where the status says enough by itself.

    Example:
        >>> body = JsonBody()
        >>> body.feed(b'{"task_id": "hub-1", "more": ' + b"[" * 500_000)
        >>> answer = unreadable(200, {}, body, submitting=True)
        >>> answer.body if isinstance(answer, HubResponse) else None
        {'task_id': 'hub-1'}
    """
    if status in ACCEPTED and submitting and body.task_id is not None:
        return HubResponse(status, headers, {"task_id": body.task_id})
    # a 429 whose body can't be read must not send the POST a second time: it may be about money
    if status in ACCEPTED or (status == 429 and submitting):
        said = f"The Hub's response can't be read: {body.problem}."
        cure = "Ask whoever runs the Hub, or check MOUNTSEA_BASE_URL."
        return Failure(httpx.DecodingError(body.problem), f"{said} {cure}")
    return None
