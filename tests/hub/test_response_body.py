"""Bodies of responses over real sockets: bounded by what they become, and by one deadline."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hub_server import KEY, Reply, StandInHub, data_uri, image, json_reply
from test_client import DOG, looked, submitted, with_client

import mountsea_magic.hub.exchange
from mountsea_magic.errors import HubUnavailable, MountseaError, SubmissionUncertain
from mountsea_magic.hub import downloads, response_body
from mountsea_magic.hub.bounded_json import JsonBody
from mountsea_magic.hub.client import HubClient
from mountsea_magic.hub.responses import ImageSource
from mountsea_magic.images.files import TooLarge
from mountsea_magic.request.request import ImageRequest

TASK = {"task_id": "hub-1", "status": "pending"}
MANY = "[" + "[]," * 134_000 + "0]"


def coded(content: bytes, coding: str = "gzip", status: int = 200) -> Reply:
    """Reply with a body that is said to be coded."""
    return Reply(status, content, {"Content-Encoding": coding})


def zipped(body: Any) -> bytes:
    """Compress a JSON value."""
    return gzip.compress(json.dumps(body).encode())


def test_nothing_but_identity_is_asked_for() -> None:
    """What is not compressed becomes no more than it is."""
    with StandInHub(submits=[TASK], polls=[TASK]) as hub:
        submitted(hub)
        looked(hub)
    assert {seen.headers["accept-encoding"] for seen in hub.requests} == {"identity"}


def test_a_response_that_a_proxy_compresses_is_read() -> None:
    """Once, that is; the key that it echoes is blotted all the same."""
    refused = coded(zipped({"message": f"bad {KEY}"}), status=422)
    with StandInHub(submits=[coded(zipped(TASK)), refused], polls=[coded(zipped(TASK))]) as hub:
        assert submitted(hub) == "hub-1"
        assert looked(hub).status == "pending"
        with pytest.raises(MountseaError, match=r"bad \[key\]"):
            submitted(hub)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (coded(zipped(TASK), "br"), "coded as br"),
        (coded(gzip.compress(zipped(TASK)), "gzip, gzip"), "coded as gzip and gzip"),
        (coded(zipped(TASK)[:-9]), "ends too early"),
        (coded(zipped(TASK)[:10] + b"\xff" * 99), "damaged"),
        (Reply(200, b'{"a": ' + MANY.encode() + b"}"), "too many values"),
        (Reply(200, b"[" * 9999), "nested"),
        (coded(zipped({}), "br", 429), "coded as br"),
        (coded(gzip.compress(b" " * (5 << 20))), "too large"),
    ],
    ids=["br", "twice", "cut", "damaged", "many", "deep", "429", "blanks"],
)
def test_a_submission_whose_response_cant_be_read_is_uncertain_and_sent_once(
    reply: Reply, why: str
) -> None:
    """The error says what was odd, and nothing sends the POST a second time."""
    with StandInHub(submits=[reply]) as hub:
        if "early" in why:  # the task's id was there before
            assert submitted(hub) == "hub-1"
        else:
            with pytest.raises(SubmissionUncertain, match=why):
                submitted(hub)
        assert len(hub.requests) == 1


def test_the_task_id_of_a_response_that_is_too_large_is_not_lost() -> None:
    """It may be paid for, whatever stands before or behind it."""
    text = f'{{"a": {MANY}, "task_id": "hub-7", "b": {MANY}}}'
    with StandInHub(submits=[Reply(200, text.encode())]) as hub:
        assert submitted(hub) == "hub-7"


def test_what_cant_be_read_is_not_the_hubs_word_about_a_task() -> None:
    """An unreadable 404 is a proxy's, perhaps: the task is not forgotten for it."""
    replies = [
        coded(b"?", "br", 404),
        Reply(404, b"[" * 9999),
        coded(b"?", "br"),
        coded(b"?", "zstd"),
    ]
    with StandInHub(polls=replies) as hub:
        for _ in replies:
            with pytest.raises(HubUnavailable):
                looked(hub)


def test_other_responses_than_a_tasks_bear_no_images() -> None:
    """A list of models has a few megabytes of text at most."""
    long = {"data": ["data:image/png;base64," + "A" * (5 << 20)]}
    with StandInHub(listing=long) as hub, pytest.raises(HubUnavailable, match="too large"):
        with_client(hub.url, lambda client: client.model_ids())


def test_a_refusal_may_echo_the_image_that_was_sent() -> None:
    """A validation error repeats the input, as data URIs: that is no uncertain submission."""
    image = data_uri(bytes(6 << 20))
    request = ImageRequest("nano-banana-edit", {"prompt": "a dog", "image_urls": [image]})
    echo = {"detail": [{"loc": ["a"], "msg": "no dogs", "input": image, "ctx": [image]}]}
    refused = json_reply(echo, 422)
    with StandInHub(submits=[refused]) as hub, pytest.raises(MountseaError, match="no dogs"):
        with_client(hub.url, lambda client: client.submit(request))


def raw(head: bytes, piece: bytes, work: Callable[[str], Any]) -> bool:
    """Run a coroutine with a server that sends without end; say whether it was hung up on."""

    async def run() -> bool:
        gone = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            try:
                writer.write(head)
                while True:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.002)
            except ConnectionError:
                gone.set()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        async with asyncio.timeout(30):
            await work(f"http://{host}:{port}")
            await gone.wait()
        server.close()
        return gone.is_set()

    return asyncio.run(run())


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
def test_an_exchange_has_one_deadline_and_hangs_up(
    kind: str, submitting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps coming, nothing of it being an answer."""
    for name in ("READ_S", "SUBMIT_READ_S"):
        monkeypatch.setattr(mountsea_magic.hub.exchange, name, 0.1)
    monkeypatch.setattr(mountsea_magic.hub.exchange, "CONNECT_S", 0.1)
    error = SubmissionUncertain if submitting else HubUnavailable

    async def work(url: str) -> None:
        client = HubClient(url)
        with pytest.raises(error):
            await (client.submit(DOG) if submitting else client.task("hub-1"))
        await client.aclose()

    assert raw(HEADS[kind], PIECES[kind], work)


def test_a_stop_does_not_wait_until_a_large_response_is_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Parsing goes on in a thread of its own for a moment, and nobody waits for it."""
    parsing, go_on = threading.Event(), threading.Event()

    def parse(body: JsonBody) -> None:
        parsing.set()
        go_on.wait(30)

    monkeypatch.setattr(response_body, "_SMALL_BYTES", 1)
    monkeypatch.setattr(JsonBody, "finish", parse)

    async def work(client: HubClient) -> None:
        look = asyncio.ensure_future(client.task("hub-1"))
        await asyncio.to_thread(parsing.wait, 30)
        look.cancel()
        with pytest.raises(asyncio.CancelledError):
            await look
        assert not go_on.is_set()
        go_on.set()

    with StandInHub(polls=[TASK]) as hub:
        with_client(hub.url, work)


def test_four_images_within_a_response_are_brought(tmp_path: Path) -> None:
    """As data URIs, beside the echo of an input, however large they are."""
    images = [image("png", number) + bytes(1 << 20) for number in range(4)]
    done = {"status": "completed", "input": {"image_urls": [data_uri(images[0])]}}
    with StandInHub() as hub:
        hub.polls.append(done | {"data": hub.data(images)})

        async def work(client: HubClient) -> list[bytes]:
            state = await client.task("hub-1")
            for number, source in enumerate(state.sources):
                await client.download(source, tmp_path / str(number))
            return [(tmp_path / str(number)).read_bytes() for number in range(4)]

        assert with_client(hub.url, work) == images


@pytest.mark.parametrize(
    ("reply", "error", "why"),
    [
        (coded(gzip.compress(bytes(1 << 20))), TooLarge, "larger than"),
        (coded(gzip.compress(gzip.compress(image())), "gzip, gzip"), HubUnavailable, "gzip and"),
        (coded(gzip.compress(image())[:-9]), HubUnavailable, "ends too early"),
        (coded(gzip.compress(image())), None, ""),
    ],
    ids=["bomb", "twice", "cut", "once"],
)
def test_an_image_that_its_host_compresses_is_bounded_too(
    reply: Reply,
    error: type[Exception] | None,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once is decoded; what becomes too large is given up before it is there."""
    monkeypatch.setattr(downloads, "MAX_BYTES", 100_000)
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


def test_a_download_has_one_deadline_and_hangs_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fast enough for its pace, and without an end."""
    monkeypatch.setattr(downloads, "DOWNLOAD_S", 0.3)

    async def work(url: str) -> None:
        client = HubClient(url)
        with pytest.raises(HubUnavailable, match=r"more than 0\.3 s"):
            await client.download(ImageSource(url), tmp_path / "part")
        await client.aclose()

    assert raw(HEADS["body"], PIECES["body"], work)
