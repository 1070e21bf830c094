"""The faults that may happen to a request to the Hub, by name."""

from __future__ import annotations

import asyncio
import random
import ssl
import struct
import time
import zlib
from email.utils import formatdate
from typing import Any

import httpx
from fault_layer import HUB, SIGNATURE, Fault, FaultLayer, bent, breaks, one_of, says

from mountsea_magic.images.files import MAX_BYTES

HTML = b"<html><body><h1>502 Bad Gateway</h1><p>The quota of patience is spent.</p></body></html>"
AS_HTML = {"Content-Type": "text/html; charset=utf-8"}


def declared_png(width: int, height: int) -> bytes:
    """Encode a PNG of a few bytes that declares any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"few")) + chunk(b"IEND", b"")


async def _tls(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """A middlebox garbles an encrypted answer; httpx does not translate what OpenSSL says then."""
    await layer.ask(request)
    raise ssl.SSLError(1, "[SSL] decryption failed or bad record mac")


async def _slow(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """Each byte comes in time, but not all of them do."""
    answer = await layer.ask(request)
    pause_s, count = layer.rng.choice(((0.5, 8), (1.5, 8), (5.0, 8), (9.0, 20)))
    return layer.delivered(request, answer, pauses_s=(pause_s,) * count)


async def _held(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """The headers come at once, the body as late as the request's own time-out lets it."""
    answer = await layer.ask(request)
    pause_s = layer.rng.uniform(0.1, 0.9) * request.extensions["timeout"]["read"]
    return layer.delivered(request, answer, pauses_s=(pause_s,))


async def _late(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """Neither headers nor body come before the request's time-out is nearly over."""
    await asyncio.sleep(layer.rng.uniform(0.1, 0.9) * request.extensions["timeout"]["read"])
    return layer.delivered(request, await layer.ask(request))


async def _cut(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """The connection breaks in mid-body."""
    answer = await layer.ask(request)
    return layer.delivered(request, answer, keep=layer.rng.randrange(len(answer.content)))


async def _short(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """The body ends too early, and nothing says so."""
    answer = await layer.ask(request)
    size, tail = len(answer.content), layer.rng.randrange(1, 22)
    end = layer.rng.choice((layer.rng.randrange(size - 22), size - tail))
    return layer.delivered(request, answer, content=answer.content[:end])


async def _relabelled(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """The right body under a wrong name."""
    kind = layer.rng.choice(("text/html", "text/plain; charset=utf-7", "image/gif", "", "/;;"))
    return layer.delivered(request, await layer.ask(request), headers={"Content-Type": kind})


async def _unpackable(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """A proxy says that it has packed what it has not."""
    answer = await layer.ask(request)
    return layer.delivered(
        request, answer, headers={"Content-Encoding": "gzip"}, keep=len(answer.content)
    )


async def _echo(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """A careless Hub says the key aloud."""
    key = request.headers.get("authorization", "nothing")
    status = layer.rng.choice((400, 401, 402, 403, 404, 409, 422, 429, 500))
    body = layer.rng.choice(
        (
            {"statusCode": status, "message": f"The header Authorization: {key} is not good."},
            {"detail": [{"loc": ["header", key], "msg": f"bad {key}", "input": key}]},
            {"error": {"code": key, "message": ""}},
            {key: {"message": key}, "error": "odd"},
            f"bad {key}",
        )
    )
    headers = {"X-Your-Authorization": key}
    echo = httpx.Response(status, json=body, headers=headers)
    return layer.delivered(request, echo)


async def _round(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """A redirect to itself, to nowhere, or to what is no web address."""
    places = (
        str(request.url),
        "https://",
        "file:///etc/passwd",
        "ftp://a.example/b",
        "http://[::1",
    )
    location = {"Location": layer.rng.choice(places)}
    return layer.delivered(request, httpx.Response(layer.rng.choice((302, 307)), headers=location))


NOT_JSON: tuple[Any, ...] = (b"", HTML, b"\xff\xfe\x00", b"[" * 100_000, b'{"task_id": "hub-')
ODD: tuple[Any, ...] = (
    None,
    [],
    {},
    "text",
    17,
    [{}],
    {"status": None},
    {"status": ["x"]},
    {"a": 1},
)
WORDS = ("queued", "ready", "QUEUED", "", None, 7, "processing\x1b[2J", "😀")
NO_URLS: tuple[Any, ...] = (
    *(None, 5, "", [], {"url": None}, "file:///etc/passwd", "ftp://a.example/b", "http://"),
    *("https://[::1", "javascript:alert(1)", "//hub.example/a", "https://a b/\x00", "\ud83d"),
    *("data:image/png;base64,!!", "data:,", "data:image/png;base64,iVBORw0KGgo=", "x" * 9000),
    *(f"{HUB}/pictures/hub-0/0?{SIGNATURE}", "https://u:p@hub.example/a", "https://..%00/"),
)


def _odd_order(rng: random.Random, body: Any) -> Any:
    """The order was taken, but who knows as which task?"""
    return rng.choice(({"task_id": None}, {"taskId": "", "id": True}, [body], *NOT_JSON, *ODD))


def _odd_id(rng: random.Random, body: Any) -> Any:
    """An id that no task has, and that is awkward in an address, a file or a message."""
    ids = ["../../hub/v1/image", "..", "a\x00b\n", "x" * 5000, "hub-[key]", "hub-\ud83d"]
    return {"task_id": rng.choice(ids)}


def _renamed_order(rng: random.Random, body: Any) -> Any:
    """Another version of the vendor's page."""
    return {rng.choice(("taskId", "id")): body["task_id"], "task_id": None, "model": "veo-3.1"}


def _odd_task(rng: random.Random, body: Any) -> Any:
    """Not what a Hub says of a task, or but the half of it."""
    running = {"task_id": body.get("task_id"), "status": rng.choice(WORDS), "ready": None}
    hollow = body | {"data": rng.choice((None, {}, {"images": []}, {"images": [None]}, 5))}
    return rng.choice((*NOT_JSON, *ODD, running, hollow))


def _renamed_task(rng: random.Random, body: Any) -> Any:
    """The shapes and words of a neighbour."""
    images = (body.get("data") or {}).get("images")
    if not images:
        return body | {"status": rng.choice(("queued", "ready", "starting"))}
    urls = [image["url"] for image in images]
    data = rng.choice(({"images": urls}, [{"url": url} for url in urls], {"image": images}))
    return {"status": "succeeded", "ready": True, "output": data, "elapsed_ms": None}


def _misled_task(rng: random.Random, body: Any) -> Any:
    """An image's address that leads nowhere, or where nobody should go."""
    for image in (body.get("data") or {}).get("images", []):
        image["url"] = rng.choice(NO_URLS)
    return body


def _busy(after: str | None, body: Any = b"") -> Fault:
    return says(429, body, {"Retry-After": after} if after is not None else None)


def _money(status: int) -> Fault:
    return says(status, {"message": "Your credit balance is empty."})


_ANYWHERE: dict[str, Fault] = {
    "connection refused": breaks(httpx.ConnectError),
    "no connection in time": breaks(httpx.ConnectTimeout, wait="connect"),
    "reset before it is read": one_of(breaks(httpx.WriteError), breaks(httpx.ReadError)),
    "reset after it is read": breaks(httpx.ReadError, reached=True),
    "closed without an answer": breaks(httpx.RemoteProtocolError, reached=True),
    "garbled encryption": _tls,
    "stall before it is read": breaks(httpx.ReadTimeout, wait="read"),
    "stall after it is read": breaks(httpx.ReadTimeout, reached=True, wait="read"),
    "slow bytes": _slow,
    "late": _late,
    "headers early, body late": _held,
    "cut body": _cut,
    "short body": _short,
    "wrong content type": _relabelled,
    "packed by name only": _unpackable,
    "html for an answer": one_of(says(200, HTML, AS_HTML), says(200, HTML, AS_HTML, reached=True)),
    "empty answer": says(200, b"", reached=True),
    "5xx": one_of(
        says(500, {"statusCode": 500, "message": "oops"}, reached=True),
        *(says(502, HTML, AS_HTML), says(503, b"", {"Retry-After": "2"}), says(504, reached=True)),
    ),
    "408": one_of(says(408), says(408, reached=True)),
    "429": one_of(
        *map(_busy, (None, "0", "2", "7", "3600", "-5", "soon", "1e9", "9" * 30)),
        _busy(formatdate(time.time() + 3, usegmt=True), {"message": "Slow down."}),
        _busy("Thu, 99 Nov 2026 99:99:99 GMT", HTML),
    ),
    "429 about money": one_of(_money(429), _busy("1", b"The quota of this month is used up.")),
    "401": says(401, {"message": "Unauthorized"}),
    "402 or 403": one_of(_money(402), _money(403), says(403, {"message": "Forbidden"})),
    "another 4xx": one_of(says(400), says(409), says(418, HTML), says(422, {"detail": [{}]})),
    "404": says(404, {"statusCode": 404, "message": ["no such thing"]}),
    "the key said aloud": _echo,
    "redirect": _round,
}
FAULTS: dict[str, dict[str, Fault]] = {
    "order": _ANYWHERE
    | {
        "odd answer": bent(_odd_order),
        "odd id": bent(_odd_id),
        "other names": bent(_renamed_order),
    },
    "task": _ANYWHERE
    | {
        "odd answer": bent(_odd_task),
        "other names": bent(_renamed_task),
        "misleading addresses": bent(_misled_task),
    },
    "picture": _ANYWHERE
    | {
        "expired": one_of(says(403, HTML), says(404), says(410), says(403, b"<Error/>")),
        "no image": one_of(says(200, b"GIF89a\x01\x00\x01\x00"), says(200, b"<svg/>")),
        "huge by its header": one_of(
            *(says(200, declared_png(side, side)) for side in (9_000, 30_000, 2**31 - 1)),
            says(200, declared_png(10_000, 10_000)),
        ),
        "huge by its length": says(200, b"\x89PNG", {"Content-Length": str(MAX_BYTES + 1)}),
    },
}
"""What may happen to a request, by the part of the contract that it is about."""
