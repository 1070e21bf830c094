"""The faults of a request to the Hub, by name."""

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
from fault_layer import HUB, SIGNATURE, Fault, FaultLayer, breaks, changes_json, one_of, responds

from mountsea_magic.images.files import MAX_BYTES

HTML = b"<html><body><h1>502 Bad Gateway</h1><p>The request quota is exhausted.</p></body></html>"
AS_HTML = {"Content-Type": "text/html; charset=utf-8"}


def declared_png(width: int, height: int) -> bytes:
    """Encode a tiny PNG that declares any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"few")) + chunk(b"IEND", b"")


async def _tls(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """A TLS error in the response, which httpx passes on as an `ssl.SSLError`."""
    await layer.forward(request)
    raise ssl.SSLError(1, "[SSL] decryption failed or bad record mac")


async def _slow(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """Each chunk arrives before the read time-out, but the whole body may not."""
    response = await layer.forward(request)
    pause_s, count = layer.rng.choice(((0.5, 8), (1.5, 8), (5.0, 8), (9.0, 20)))
    return layer.deliver(request, response, pauses_s=(pause_s,) * count)


async def _held(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """The headers arrive at once, the body just before the read time-out."""
    response = await layer.forward(request)
    pause_s = layer.rng.uniform(0.1, 0.9) * request.extensions["timeout"]["read"]
    return layer.deliver(request, response, pauses_s=(pause_s,))


async def _late(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """Headers and body arrive just before the read time-out."""
    await asyncio.sleep(layer.rng.uniform(0.1, 0.9) * request.extensions["timeout"]["read"])
    return layer.deliver(request, await layer.forward(request))


async def _cut(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """The connection breaks in the middle of the body."""
    response = await layer.forward(request)
    return layer.deliver(request, response, keep=layer.rng.randrange(len(response.content)))


async def _short(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """The body is too short, and Content-Length does not show it."""
    response = await layer.forward(request)
    size, tail = len(response.content), layer.rng.randrange(1, 22)
    end = layer.rng.choice((layer.rng.randrange(size - 22), size - tail))
    return layer.deliver(request, response, content=response.content[:end])


async def _relabelled(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """The right body with a wrong Content-Type."""
    kind = layer.rng.choice(("text/html", "text/plain; charset=utf-7", "image/gif", "", "/;;"))
    return layer.deliver(request, await layer.forward(request), headers={"Content-Type": kind})


async def _unpackable(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """Content-Encoding says gzip, but the body is not compressed."""
    response = await layer.forward(request)
    return layer.deliver(
        request, response, headers={"Content-Encoding": "gzip"}, keep=len(response.content)
    )


async def _echo(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """The Hub echoes the API key in its response."""
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
    return layer.deliver(request, echo)


async def _round(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
    """A redirect to itself, or to an unusable URL."""
    urls = (
        str(request.url),
        "https://",
        "file:///etc/passwd",
        "ftp://a.example/b",
        "http://[::1",
    )
    location = {"Location": layer.rng.choice(urls)}
    return layer.deliver(request, httpx.Response(layer.rng.choice((302, 307)), headers=location))


NOT_JSON: tuple[Any, ...] = (b"", HTML, b"\xff\xfe\x00", b"[" * 100_000, b'{"task_id": "hub-')
ODD_BODIES: tuple[Any, ...] = (
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
ODD_STATUSES = ("queued", "ready", "QUEUED", "", None, 7, "processing\x1b[2J", "😀")
BAD_URLS: tuple[Any, ...] = (
    *(None, 5, "", [], {"url": None}, "file:///etc/passwd", "ftp://a.example/b", "http://"),
    *("https://[::1", "javascript:alert(1)", "//hub.example/a", "https://a b/\x00", "\ud83d"),
    *("data:image/png;base64,!!", "data:,", "data:image/png;base64,iVBORw0KGgo=", "x" * 9000),
    *(f"{HUB}/pictures/hub-0/0?{SIGNATURE}", "https://u:p@hub.example/a", "https://..%00/"),
)


def _odd_submission(rng: random.Random, body: Any) -> Any:
    """A response to a submission without a usable task id."""
    return rng.choice(
        ({"task_id": None}, {"taskId": "", "id": True}, [body], *NOT_JSON, *ODD_BODIES)
    )


def _odd_id(rng: random.Random, body: Any) -> Any:
    """A wrong task id that is awkward in a URL, a file name or a message."""
    ids = ["../../hub/v1/image", "..", "a\x00b\n", "x" * 5000, "hub-[key]", "hub-\ud83d"]
    return {"task_id": rng.choice(ids)}


def _renamed_submission(rng: random.Random, body: Any) -> Any:
    """The field names of another version of the vendor's documentation."""
    return {rng.choice(("taskId", "id")): body["task_id"], "task_id": None, "model": "veo-3.1"}


def _odd_task(rng: random.Random, body: Any) -> Any:
    """An invalid or incomplete response to a poll."""
    running = {"task_id": body.get("task_id"), "status": rng.choice(ODD_STATUSES), "ready": None}
    without_images = body | {"data": rng.choice((None, {}, {"images": []}, {"images": [None]}, 5))}
    return rng.choice((*NOT_JSON, *ODD_BODIES, running, without_images))


def _renamed_task(rng: random.Random, body: Any) -> Any:
    """The response shapes and statuses of a related API."""
    images = (body.get("data") or {}).get("images")
    if not images:
        return body | {"status": rng.choice(("queued", "ready", "starting"))}
    urls = [image["url"] for image in images]
    data = rng.choice(({"images": urls}, [{"url": url} for url in urls], {"image": images}))
    return {"status": "succeeded", "ready": True, "output": data, "elapsed_ms": None}


def _bad_image_urls(rng: random.Random, body: Any) -> Any:
    """Image URLs that are unusable or must not be requested."""
    for image in (body.get("data") or {}).get("images", []):
        image["url"] = rng.choice(BAD_URLS)
    return body


def _too_many_requests(after: str | None, body: Any = b"") -> Fault:
    return responds(429, body, {"Retry-After": after} if after is not None else None)


def _no_credits(status: int) -> Fault:
    return responds(status, {"message": "Your credit balance is empty."})


_ANYWHERE: dict[str, Fault] = {
    "connection refused": breaks(httpx.ConnectError),
    "no connection in time": breaks(httpx.ConnectTimeout, wait="connect"),
    "reset before it is read": one_of(breaks(httpx.WriteError), breaks(httpx.ReadError)),
    "reset after it is read": breaks(httpx.ReadError, reached=True),
    "closed without a response": breaks(httpx.RemoteProtocolError, reached=True),
    "TLS error": _tls,
    "stall before it is read": breaks(httpx.ReadTimeout, wait="read"),
    "stall after it is read": breaks(httpx.ReadTimeout, reached=True, wait="read"),
    "slow body": _slow,
    "late": _late,
    "headers early, body late": _held,
    "cut body": _cut,
    "short body": _short,
    "wrong content type": _relabelled,
    "wrong content encoding": _unpackable,
    "HTML page": one_of(responds(200, HTML, AS_HTML), responds(200, HTML, AS_HTML, reached=True)),
    "empty body": responds(200, b"", reached=True),
    "5xx": one_of(
        responds(500, {"statusCode": 500, "message": "oops"}, reached=True),
        *(
            responds(502, HTML, AS_HTML),
            responds(503, b"", {"Retry-After": "2"}),
            responds(504, reached=True),
        ),
    ),
    "408": one_of(responds(408), responds(408, reached=True)),
    "429": one_of(
        *map(_too_many_requests, (None, "0", "2", "7", "3600", "-5", "soon", "1e9", "9" * 30)),
        _too_many_requests(formatdate(time.time() + 3, usegmt=True), {"message": "Slow down."}),
        _too_many_requests("Thu, 99 Nov 2026 99:99:99 GMT", HTML),
    ),
    "429 about credits": one_of(
        _no_credits(429), _too_many_requests("1", b"The quota of this month is used up.")
    ),
    "401": responds(401, {"message": "Unauthorized"}),
    "402 or 403": one_of(
        _no_credits(402), _no_credits(403), responds(403, {"message": "Forbidden"})
    ),
    "another 4xx": one_of(
        responds(400), responds(409), responds(418, HTML), responds(422, {"detail": [{}]})
    ),
    "404": responds(404, {"statusCode": 404, "message": ["not found"]}),
    "echo of the key": _echo,
    "redirect": _round,
}
FAULTS: dict[str, dict[str, Fault]] = {
    "submission": _ANYWHERE
    | {
        "odd response": changes_json(_odd_submission),
        "odd id": changes_json(_odd_id),
        "other field names": changes_json(_renamed_submission),
    },
    "poll": _ANYWHERE
    | {
        "odd response": changes_json(_odd_task),
        "other field names": changes_json(_renamed_task),
        "bad image URLs": changes_json(_bad_image_urls),
    },
    "download": _ANYWHERE
    | {
        "expired": one_of(
            responds(403, HTML), responds(404), responds(410), responds(403, b"<Error/>")
        ),
        "no image": one_of(responds(200, b"GIF89a\x01\x00\x01\x00"), responds(200, b"<svg/>")),
        "huge declared size": one_of(
            *(responds(200, declared_png(side, side)) for side in (9_000, 30_000, 2**31 - 1)),
            responds(200, declared_png(10_000, 10_000)),
        ),
        "huge Content-Length": responds(200, b"\x89PNG", {"Content-Length": str(MAX_BYTES + 1)}),
    },
}
"""The faults for each kind of request: submission, poll, download."""
