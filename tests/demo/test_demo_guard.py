"""The demo Hub's guard: which web pages, hosts and bodies it rejects, and what it serves."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_server import image
from starlette.types import ASGIApp, Message

from mountsea_magic.demo.server.app import create_app
from mountsea_magic.demo.server.guard import Guard
from mountsea_magic.demo.server.hosts import AllowedHosts
from mountsea_magic.demo.server.limits import Limits, WeightedSemaphore
from mountsea_magic.demo.server.submissions import RequestRejected

ORIGIN = "http://localhost:8787"
SUBMISSION = json.dumps({"model": "nano-banana", "input": {"prompt": "a dog"}}).encode()
JSON = {"Content-Type": "application/json"}


def guarded(folder: Path, **limits: Any) -> Guard:
    """Guard a demo Hub whose tasks complete at once."""
    app = create_app(folder, seconds=0, painter=lambda task, number: image())
    return Guard(app, AllowedHosts(), Limits(**limits))


def send(app: ASGIApp, method: str, path: str, **more: Any) -> httpx.Response:
    """Send one request."""

    async def inner() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            return await client.request(method, path, **more)

    return asyncio.run(inner())


def submit(app: ASGIApp, content: Any = SUBMISSION, **headers: str) -> httpx.Response:
    """Submit a body."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return send(app, "POST", "/hub/v1/image", content=content, headers=JSON | headers)


def task_count(folder: Path) -> int:
    """Count the tasks that were created."""
    return len(list(folder.glob("hub-*.json")))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": ORIGIN, "Sec_Fetch_Site": "same-origin"},
        {"Content_Type": "Application/JSON; charset=utf-8"},
        {"Host": "127.0.0.1:8787"},
        {"Content_Encoding": "identity"},
    ],
)
def test_programs_and_same_origin_pages_can_submit(tmp_path: Path, headers: dict[str, str]) -> None:
    """Programs send no Origin; no response allows cross-origin reads."""
    response = submit(guarded(tmp_path), **headers)
    assert response.status_code == 200, response.text
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert response.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:8888"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        (
            {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_User": "?1", "Sec_Fetch_Dest": "document"},
            403,
        ),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": "multipart/form-data; boundary=application/json"}, 415),
        ({"Content_Type": ""}, 415),
        ({"Host": "evil.example:8787"}, 421),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
        ({"X_Many": "x" * 40_000}, 431),
        ({"Content_Encoding": "gzip"}, 415),
        ({"Content_Encoding": "identity, br"}, 415),
    ],
)
def test_requests_from_web_pages_create_no_task(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    """Other origins, forms, DNS rebinding and compressed bodies get an error as in the contract."""
    content = gzip.compress(SUBMISSION) if headers.get("Content_Encoding") == "gzip" else SUBMISSION
    response = submit(guarded(tmp_path), content, **headers)
    assert response.status_code == status
    assert response.json()["statusCode"] == status
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert task_count(tmp_path) == 0


def test_cors_preflight_is_rejected(tmp_path: Path) -> None:
    """So that a browser does not send the actual request."""
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    assert send(guarded(tmp_path), "OPTIONS", "/hub/v1/image", headers=headers).status_code == 403


def test_images_cannot_be_embedded_but_links_work(tmp_path: Path) -> None:
    """A page of another origin can't embed an image, but clicking a link opens it."""
    app = guarded(tmp_path)
    task_id = submit(app).json()["task_id"]
    url = send(app, "GET", f"/hub/v1/tasks/{task_id}").json()["data"]["images"][0]["url"]
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}
    clicked = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
    assert send(app, "GET", url).content == image()
    assert send(app, "GET", url, headers=embedded).status_code == 403
    assert send(app, "GET", url, headers=clicked).content == image()
    assert send(app, "GET", url, headers={"Host": "evil.example"}).status_code == 421


async def in_chunks(count: int, size: int) -> AsyncIterator[bytes]:
    """Yield a body without a declared length."""
    for _ in range(count):
        yield b" " * size


@pytest.mark.parametrize(
    "content", [b" " * 10_001, lambda: in_chunks(11, 1000)], ids=["declared", "chunked"]
)
def test_large_body_is_rejected(tmp_path: Path, content: Any) -> None:
    """By its declared length, or once too much has arrived."""
    app = guarded(tmp_path, body_bytes=10_000)
    response = submit(app, content() if callable(content) else content)
    assert response.status_code == 413
    assert submit(app).status_code == 200


@pytest.mark.parametrize("declared", ["-1", "1e9", "9" * 40, "99999999999999"])
def test_invalid_content_length_is_rejected(tmp_path: Path, declared: str) -> None:
    """Before any byte of the body is read."""
    assert submit(guarded(tmp_path), Content_Length=declared).status_code == 413


def test_slow_body_times_out(tmp_path: Path) -> None:
    """The time limit is for the whole body, even if data still arrives; no task is created."""
    app = guarded(tmp_path, body_s=0.05)
    sent: list[Message] = []
    parts = iter([SUBMISSION[:20]])

    async def receive() -> Message:
        body = next(parts, None)
        if body is None:
            await asyncio.sleep(0.02)
        over = bool(sent) or gave_up.is_set()
        return {"type": "http.request", "body": body or b"", "more_body": not over}

    async def send(message: Message) -> None:
        sent.append(message)

    async def inner() -> None:
        asyncio.get_running_loop().call_later(0.2, gave_up.set)
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        headers.append((b"content-length", b"100"))
        scope = {"type": "http", "method": "POST", "path": "/hub/v1/image", "headers": headers}
        await app(scope, receive, send)

    gave_up = asyncio.Event()
    asyncio.run(inner())
    assert sent[0]["status"] == 408
    assert task_count(tmp_path) == 0


def test_concurrent_bodies_use_bounded_memory(tmp_path: Path) -> None:
    """Of forty bodies of 200 kB two are read at a time, and all are handled in the end."""
    app = guarded(tmp_path, body_bytes=200_000, bodies_bytes=400_000, free_bytes=1000)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 10_000
            await asyncio.sleep(0)

    async def flood() -> list[int]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            headers = JSON | {"Content-Length": "200000"}
            posts = [
                client.post("/hub/v1/image", content=body(), headers=headers) for _ in range(40)
            ]
            return [response.status_code for response in await asyncio.gather(*posts)]

    send(app, "GET", "/hub/v1/models")
    tracemalloc.start()
    statuses = asyncio.run(flood())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert statuses == [400] * 40
    assert peak < 4_000_000


def test_waiting_body_times_out_with_429() -> None:
    """429 before anything is read, so nothing was submitted; its amount is released."""

    async def inner() -> None:
        semaphore = WeightedSemaphore(10)
        async with semaphore.acquire(8, timeout_s=1):
            with pytest.raises(RequestRejected) as caught:
                async with semaphore.acquire(3, timeout_s=0.01):
                    raise AssertionError
            assert (caught.value.status, caught.value.retry_after_s) == (429, 3)
        async with semaphore.acquire(10, timeout_s=0.01):
            pass

    asyncio.run(inner())


def test_large_body_is_not_starved_by_small_ones() -> None:
    """Amounts are granted in the order of the requests."""

    async def inner() -> list[int]:
        semaphore, order = WeightedSemaphore(10), list[int]()

        async def take(amount: int) -> None:
            async with semaphore.acquire(amount, timeout_s=5):
                order.append(amount)
                await asyncio.sleep(0)

        async with semaphore.acquire(6, timeout_s=1):
            waiting = [asyncio.ensure_future(take(amount)) for amount in (9, 1, 2, 3)]
            await asyncio.sleep(0)
            assert order == []
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(inner()) == [9, 1, 2, 3]


@pytest.mark.parametrize(
    "content",
    [
        b'{"input":{"prompt":' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
        b'{"input":[' + b"[],".ljust(3) * 50_000 + b"[]]}",
        b'{"input":{' + b'"a":1,' * 50_000 + b'"b":2}}',
        b'{"input":{"prompt":"' + rb"\u4e00" * 1_100_000 + b'"}}',
    ],
    ids=["deep", "lists", "members", "escapes"],
)
def test_json_with_too_many_elements_is_not_parsed(content: bytes) -> None:
    """Elements are counted in the text, before parsing; commas in a long prompt are fine."""
    with pytest.raises(RequestRejected, match="too many JSON elements"):
        Limits().check_json(content)
    prompt = ", ".join(["dogs"] * 5000)
    Limits().check_json(json.dumps({"input": {"prompt": prompt}}).encode())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prompt": "x" * 20_001}, "20000"),
        ({"prompt": "x", "output_format": "p" * 20_001}, "output_format"),
        ({"prompt": "x", "image_urls": ["https://x.example/" + "a" * 5000]}, "image_urls"),
        ({"prompt": "x", "image_urls": "https://x.example/" + "a" * 5000}, "image_urls"),
        ({"prompt": "x", "mask_url": "data:," + "%41" * 500_000}, "mask_url"),
        ({"prompt": "x", "mask_url": "data:;base64," + "A " * 500_000}, "mask_url"),
    ],
)
def test_overlong_texts_are_rejected(given: dict[str, Any], message: str) -> None:
    """Prompts, other texts and URLs, but not data URIs of images, with line breaks or without."""
    with pytest.raises(RequestRejected, match=message) as caught:
        Limits().check_input(given)
    assert caught.value.status == 422
    image = "data:image/png;base64," + ("A" * 76 + "\r\n") * 100_000
    Limits().check_input({"prompt": "x" * 20_000, "image_urls": [image, 5], "mask_url": None})
