"""Bodies of responses over real sockets: limits of size and time."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from clocks import AdvancingClock
from hang import HANG_S
from hub_server import KEY, Reply, StandInHub, data_uri, image, json_reply
from test_client import DOG, polled, submitted, with_client

from mountsea_magic.errors import HubUnavailable, MountseaError, SubmissionUncertain
from mountsea_magic.hub import image_downloader, response_body
from mountsea_magic.hub.bounded_json import JsonBody
from mountsea_magic.hub.client import HubClient
from mountsea_magic.hub.responses import ImageSource
from mountsea_magic.images.files import TooLarge
from mountsea_magic.request.request import ImageRequest

TASK = {"task_id": "hub-1", "status": "pending"}
MANY = "[" + "[]," * 134_000 + "0]"


def encoded(content: bytes, coding: str = "gzip", status: int = 200) -> Reply:
    """Reply with a Content-Encoding header."""
    return Reply(status, content, {"Content-Encoding": coding})


def zipped(body: Any) -> bytes:
    """Compress a JSON value."""
    return gzip.compress(json.dumps(body).encode())


def test_requests_accept_only_identity() -> None:
    """An uncompressed body can't expand."""
    with StandInHub(submits=[TASK], polls=[TASK]) as hub:
        submitted(hub)
        polled(hub)
    assert {seen.headers["accept-encoding"] for seen in hub.requests} == {"identity"}


def test_a_response_that_a_proxy_compressed_is_read() -> None:
    """An echoed key is redacted in it, too."""
    refused = encoded(zipped({"message": f"bad {KEY}"}), status=422)
    with StandInHub(submits=[encoded(zipped(TASK)), refused], polls=[encoded(zipped(TASK))]) as hub:
        assert submitted(hub) == "hub-1"
        assert polled(hub).status == "pending"
        with pytest.raises(MountseaError, match=r"bad \[key\]"):
            submitted(hub)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (encoded(zipped(TASK), "br"), "content coding br"),
        (encoded(gzip.compress(zipped(TASK)), "gzip, gzip"), "content coding gzip and gzip"),
        (encoded(zipped(TASK)[:-9]), "ends too early"),
        (encoded(zipped(TASK)[:10] + b"\xff" * 99), "damaged"),
        (Reply(200, b'{"a": ' + MANY.encode() + b"}"), "too many values"),
        (Reply(200, b"[" * 9999), "nested"),
        (encoded(zipped({}), "br", 429), "content coding br"),
        (encoded(gzip.compress(b" " * (5 << 20))), "too large"),
    ],
    ids=["br", "twice", "cut", "damaged", "many", "deep", "429", "blanks"],
)
def test_a_submission_with_an_unreadable_response_is_uncertain_and_sent_once(
    reply: Reply, why: str
) -> None:
    """The error says what was wrong with the response; there is no second POST."""
    with StandInHub(submits=[reply]) as hub:
        if "early" in why:  # after the task id
            assert submitted(hub) == "hub-1"
        else:
            with pytest.raises(SubmissionUncertain, match=why):
                submitted(hub)
        assert len(hub.requests) == 1


def test_the_task_id_is_found_in_a_response_that_is_too_large() -> None:
    """Wherever it is: the task may be charged."""
    text = f'{{"a": {MANY}, "task_id": "hub-7", "b": {MANY}}}'
    with StandInHub(submits=[Reply(200, text.encode())]) as hub:
        assert submitted(hub) == "hub-7"


def test_an_unreadable_response_says_nothing_about_a_task() -> None:
    """Even a 404: it may be a proxy's."""
    replies = [
        encoded(b"?", "br", 404),
        Reply(404, b"[" * 9999),
        encoded(b"?", "br"),
        encoded(b"?", "zstd"),
    ]
    with StandInHub(polls=replies) as hub:
        for _ in replies:
            with pytest.raises(HubUnavailable):
                polled(hub)


def test_only_task_responses_may_contain_images() -> None:
    """Any other response has a few megabytes of text at most."""
    long = {"data": ["data:image/png;base64," + "A" * (5 << 20)]}
    with StandInHub(listing=long) as hub, pytest.raises(HubUnavailable, match="too large"):
        with_client(hub.url, lambda client: client.model_ids())


def test_an_error_response_may_echo_the_input_images() -> None:
    """A validation error repeats the input as data URIs; the submission is not uncertain."""
    image = data_uri(bytes(6 << 20))
    request = ImageRequest("nano-banana-edit", {"prompt": "a dog", "image_urls": [image]})
    echo = {"detail": [{"loc": ["a"], "msg": "no dogs", "input": image, "ctx": [image]}]}
    refused = json_reply(echo, 422)
    with StandInHub(submits=[refused]) as hub, pytest.raises(MountseaError, match="no dogs"):
        with_client(hub.url, lambda client: client.submit(request))


def serve_endlessly(
    head: bytes, piece: bytes, work: Callable[[str], Any], *, every_s: float = 1.0
) -> bool:
    """Run a coroutine with a server that sends a piece every so many seconds of the loop's clock.

    Return whether the client hung up.
    """
    hung_up = list[bool]()

    async def run() -> None:
        ended, clock = asyncio.Event(), AdvancingClock()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            try:
                writer.write(head)
                for _ in range(10_000):
                    writer.write(piece)
                    await writer.drain()
                    for _ in range(10):  # the client reads it
                        await asyncio.sleep(0)
                    clock.advance(every_s)
            except ConnectionError:
                hung_up.append(True)
            writer.close()
            ended.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        await work(f"http://{host}:{port}")
        await ended.wait()
        server.close()

    asyncio.run(run())
    return bool(hung_up)


HEADS: Mapping[str, bytes] = {
    "empty blocks": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00" + bytes(5) + b"\xff"
    ),
    "head": b"HTTP/1.1 200 OK\r\n",
    "100": b"",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
    "body": b"HTTP/1.1 200 OK\r\n\r\n",
}
PIECES = {
    "empty blocks": b"\x00\x00\x00\xff\xff",
    "head": b"A: b\r\n",
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "chunk": b"a",
    "body": b" " * 100,
}


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("submitting", [False, True])
def test_a_request_has_a_deadline_after_which_the_client_hangs_up(
    kind: str, submitting: bool
) -> None:
    """Whatever the server keeps sending."""
    error = SubmissionUncertain if submitting else HubUnavailable

    async def work(url: str) -> None:
        client = HubClient(url)
        with pytest.raises(error):
            await (client.submit(DOG) if submitting else client.task("hub-1"))
        await client.aclose()

    assert serve_endlessly(HEADS[kind], PIECES[kind], work)


def test_cancelling_does_not_wait_for_a_large_response_to_be_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Parsing continues in a separate thread."""
    parsing, go_on = threading.Event(), threading.Event()

    def parse(body: JsonBody) -> None:
        parsing.set()
        go_on.wait(HANG_S)

    monkeypatch.setattr(response_body, "_SMALL_BYTES", 1)
    monkeypatch.setattr(JsonBody, "finish", parse)

    async def work(client: HubClient) -> None:
        poll = asyncio.ensure_future(client.task("hub-1"))
        await asyncio.to_thread(parsing.wait, 30)
        poll.cancel()
        with pytest.raises(asyncio.CancelledError):
            await poll
        assert not go_on.is_set()
        go_on.set()

    with StandInHub(polls=[TASK]) as hub:
        with_client(hub.url, work)


def test_four_inline_images_are_downloaded(tmp_path: Path) -> None:
    """Large data URIs, beside an echoed input."""
    images = [image("png", number) + bytes(1 << 20) for number in range(4)]
    done = {"status": "completed", "input": {"image_urls": [data_uri(images[0])]}}
    with StandInHub() as hub:
        hub.polls.append(done | {"data": hub.data(images)})

        async def work(client: HubClient) -> list[bytes]:
            task = await client.task("hub-1")
            for number, source in enumerate(task.sources):
                await client.download(source, tmp_path / str(number))
            return [(tmp_path / str(number)).read_bytes() for number in range(4)]

        assert with_client(hub.url, work) == images


@pytest.mark.parametrize(
    ("reply", "error", "why"),
    [
        (encoded(gzip.compress(bytes(1 << 20))), TooLarge, "larger than"),
        (encoded(gzip.compress(gzip.compress(image())), "gzip, gzip"), HubUnavailable, "gzip and"),
        (encoded(gzip.compress(image())[:-9]), HubUnavailable, "ends too early"),
        (encoded(gzip.compress(image())), None, ""),
    ],
    ids=["bomb", "twice", "cut", "once"],
)
def test_a_compressed_image_is_limited_after_decompression(
    reply: Reply,
    error: type[Exception] | None,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One coding is decoded; an image that gets too large is aborted."""
    monkeypatch.setattr(image_downloader, "MAX_BYTES", 100_000)
    with StandInHub(downloads=[reply]) as hub:
        source = ImageSource(hub.image_url("a"))

        def work(client: HubClient) -> Any:
            return client.download(source, tmp_path / "part")

        if error is None:
            with_client(hub.url, work)
            assert (tmp_path / "part").read_bytes() == image()
        else:
            with pytest.raises(error, match=why):
                with_client(hub.url, work)
            assert (tmp_path / "part").stat().st_size <= 100_000


def test_a_download_has_a_deadline_after_which_the_client_hangs_up(tmp_path: Path) -> None:
    """Even if it is fast enough, but endless."""

    async def work(url: str) -> None:
        client = HubClient(url)
        with pytest.raises(HubUnavailable, match="more than 900 s"):
            await client.download(ImageSource(url), tmp_path / "part")
        await client.aclose()

    assert serve_endlessly(HEADS["body"], bytes(50_000), work, every_s=10.0)
