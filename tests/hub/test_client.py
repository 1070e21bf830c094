"""The client against real HTTP servers: its requests, and how it reads the responses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from clocks import AdvancingClock
from hub_server import (
    BAD_GATEWAY,
    KEY,
    RESET,
    SILENT,
    Reply,
    Script,
    StandInHub,
    all_text_of,
    closed_port,
    image,
    json_reply,
)

import mountsea_magic.hub.exchange
from mountsea_magic.errors import (
    AuthenticationError,
    ConfigurationError,
    HubUnavailable,
    InsufficientCredits,
    InvalidRequest,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
)
from mountsea_magic.hub.client import HubClient
from mountsea_magic.hub.responses import HubTask, ImageSource
from mountsea_magic.request.request import build_request
from mountsea_magic.settings import Secret

T = TypeVar("T")
DOG = build_request("a dog")


def with_client(
    url: str,
    work: Callable[[HubClient], Awaitable[T]],
    *,
    key: str | None = KEY,
    credits_url: str | None = None,
) -> T:
    """Run a coroutine with a client, and close it."""

    async def run() -> T:
        client = HubClient(url, Secret(key) if key else None, credits_url=credits_url)
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(run())


def submitted(hub: StandInHub) -> str:
    """Submit a request."""
    return with_client(hub.url, lambda client: client.submit(DOG))


def polled(hub: StandInHub, task_id: str = "hub-x") -> HubTask:
    """Poll a task once."""
    return with_client(hub.url, lambda client: client.task(task_id))


def serve_slowly(head: bytes, rest: bytes, work: Callable[[HubClient], Awaitable[None]]) -> int:
    """Run a coroutine with a Hub that sends a byte every second of the loop's clock.

    Return the number of requests.
    """

    async def run() -> int:
        ended, clock = list[asyncio.Event](), AdvancingClock()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            end = asyncio.Event()
            ended.append(end)
            await reader.readuntil(b"\r\n\r\n")
            with suppress(ConnectionError):  # the client may hang up
                writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + head)
                for byte in rest:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    for _ in range(10):  # the client reads it
                        await asyncio.sleep(0)
                    clock.advance(1.0)
            writer.close()
            end.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        client = HubClient(f"http://{host}:{port}", Secret(KEY))
        await work(client)
        await client.aclose()
        for end in ended:
            await end.wait()
        server.close()
        await server.wait_closed()
        return len(ended)

    return asyncio.run(run())


@pytest.fixture
def unreachable() -> Iterator[str]:
    """Return a URL at which no server listens."""
    with closed_port() as url:
        yield url


def test_a_submission_has_exactly_model_and_input_with_json_types() -> None:
    """The two documented members, with values of the schema's types."""
    request = build_request(
        "a dög, {braces} “and quotes”",
        parameters={
            "num_images": "2",
            "seed": "7",
            "safety_tolerance": 4,
            "sync_mode": "true",
            "aspect_ratio": "16:9",
        },
    )
    with StandInHub() as hub:
        assert with_client(hub.url, lambda client: client.submit(request)) == "hub-0001"
        (seen,) = hub.requests
    assert (seen.method, seen.path) == ("POST", "/hub/v1/image")
    assert seen.headers["content-type"] == "application/json"
    assert seen.json == {
        "model": "nano-banana",
        "input": {
            "prompt": "a dög, {braces} “and quotes”",
            "num_images": 2,
            "seed": 7,
            "safety_tolerance": "4",
            "sync_mode": True,
            "aspect_ratio": "16:9",
        },
    }
    assert seen.json["input"]["sync_mode"] is True


def test_only_given_parameters_are_sent() -> None:
    """The model's defaults are left to the Hub."""
    with StandInHub() as hub:
        submitted(hub)
        assert hub.posts[0].json == {"model": "nano-banana", "input": {"prompt": "a dog"}}


@pytest.mark.parametrize("status", [200, 201, 202])
def test_every_shape_of_the_task_id_is_read(status: int) -> None:
    """Names and statuses of both versions of the vendor's documentation."""
    shapes: list[tuple[dict[str, Any], str]] = [
        ({"task_id": "hub-1", "status": "pending"}, "hub-1"),
        (
            {"taskId": "0b8c0a7e-8f7b-4d5c-9c1e-1f6d7f3a2b10"},
            "0b8c0a7e-8f7b-4d5c-9c1e-1f6d7f3a2b10",
        ),
        ({"id": "seven", "task_id": None}, "seven"),
        ({"id": 7}, "7"),
    ]
    with StandInHub(submits=[json_reply(body, status) for body, _ in shapes]) as hub:

        async def work(client: HubClient) -> list[str]:
            return [await client.submit(DOG) for _ in shapes]

        assert with_client(hub.url, work) == [task_id for _, task_id in shapes]


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (400, {"statusCode": 400, "message": ["seed must be a number"]}, InvalidRequest, "seed"),
        (
            422,
            {"detail": [{"loc": ["body", "n"], "msg": "too many", "input": "iVBORw0KGgo"}]},
            InvalidRequest,
            "body.n: too many",
        ),
        (401, {"message": "Unauthorized"}, AuthenticationError, "%mountsea login"),
        (403, {"message": "not your model"}, AuthenticationError, "not your model"),
        (403, {"detail": "Insufficient credits"}, InsufficientCredits, "%mountsea credits"),
        (402, {"error": {"code": "x", "message": "pay"}}, InsufficientCredits, "pay"),
        (404, {"message": "no route"}, InvalidRequest, "404"),
        (409, {"message": "twice"}, InvalidRequest, "twice"),
        (429, {"message": "slow down"}, RateLimited, "Nothing was submitted"),
        (429, {"message": "no credits"}, RateLimited, "%mountsea credits"),
    ],
)
def test_a_rejected_submission_says_why_and_is_sent_once(
    status: int, body: Any, kind: type[MountseaError], text: str
) -> None:
    """The error has a type, the status and the Hub's message; the client itself does not retry."""
    with StandInHub(submits=[json_reply(body, status)]) as hub:
        with pytest.raises(MountseaError) as caught:
            submitted(hub)
        assert len(hub.requests) == 1
    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert text in str(caught.value)
    assert "iVBOR" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "pause_s"), [("17", 17.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", None)]
)
def test_retry_after_is_in_the_error(header: str, pause_s: float | None) -> None:
    """As seconds or as a date; anything else is ignored."""
    reply = json_reply({}, 429, headers={"Retry-After": header})
    with StandInHub(submits=[reply]) as hub, pytest.raises(RateLimited) as caught:
        submitted(hub)
    assert caught.value.retry_after_s == pause_s


@pytest.mark.parametrize(
    "reply",
    [
        json_reply({"message": "oops"}, 500),
        BAD_GATEWAY,
        json_reply({}, 408),
        json_reply({"status": "pending"}),
        json_reply(["hub-1"]),
        json_reply({"task_id": ""}),
        json_reply({"code": 1001, "message": "no credits", "data": None}),
        Reply(200, b"<html>welcome</html>"),
        RESET,
        Reply(200, b'{"task_id": "hub', length=500),
    ],
    ids=["500", "502", "408", "no id", "list", "empty id", "error code", "html", "reset", "cut"],
)
def test_a_submission_without_a_valid_response_is_uncertain_and_sent_once(reply: Reply) -> None:
    """The Hub may have accepted it, so there is no second POST."""
    with StandInHub(submits=[reply]) as hub:
        with pytest.raises(SubmissionUncertain, match="credits"):
            submitted(hub)
        assert len(hub.requests) == 1


def test_a_submission_in_an_envelope_is_sent_once_and_its_task_is_polled() -> None:
    """Some gateways wrap every response."""
    done = {"task_id": "hub-7", "status": "completed", "data": {"url": "https://a.example/b"}}
    wrapped = {"code": 0, "message": "success", "data": {"task_id": "hub-7", "status": "pending"}}
    with StandInHub(submits=[wrapped], polls=[{"code": 0, "data": done}]) as hub:
        assert submitted(hub) == "hub-7"
        assert polled(hub).succeeded
        assert len(hub.posts) == 1


def test_a_submission_that_times_out_is_uncertain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time-out does not prove that the Hub did not accept it."""
    monkeypatch.setattr(mountsea_magic.hub.exchange, "SUBMIT_READ_TIMEOUT_S", 0.2)
    with StandInHub(submits=[SILENT]) as hub:
        with pytest.raises(SubmissionUncertain, match="ReadTimeout"):
            submitted(hub)
        hub.wait_until(lambda: len(hub.requests) == 1)


def test_a_submission_that_was_never_sent_is_not_uncertain(unreachable: str) -> None:
    """Without a connection nothing was submitted."""
    with pytest.raises(HubUnavailable, match="MOUNTSEA_BASE_URL") as caught:
        with_client(unreachable, lambda client: client.submit(DOG))
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


def test_a_url_that_httpx_rejects_is_an_invalid_setting() -> None:
    """The error names the variable, and its traceback does not have the key."""
    with pytest.raises(ConfigurationError, match="Check MOUNTSEA_BASE_URL") as caught:
        with_client("https://hub.example\x01", lambda client: client.submit(DOG))
    assert KEY not in all_text_of(caught.value)


def test_no_cookies_are_stored(tmp_path: Path) -> None:
    """Neither of the Hub nor of an image host."""
    given = {"Set-Cookie": "session=abc; Path=/"}
    found = Reply(200, image(), given)
    hop = Reply(302, headers={"Location": "/b", **given})
    with StandInHub(
        submits=[json_reply({"task_id": "hub-1"}, headers=given)] * 2,
        polls=[json_reply({"status": "processing"}, headers=given)] * 2,
        downloads=[hop, found, hop, found],
    ) as hub:

        async def work(client: HubClient) -> None:
            for _ in range(2):
                await client.task(await client.submit(DOG))
                await client.download(ImageSource(hub.image_url("a")), tmp_path / "part")

        with_client(hub.url, work)
        seen = [*hub.requests, *hub.downloads_seen]
    assert len(seen) == 8
    assert [one.path for one in seen if "cookie" in one.headers] == []


def test_the_key_is_sent_to_the_api_as_a_bearer_token(tmp_path: Path) -> None:
    """Submissions and polls have it in one header, and nowhere else."""
    with StandInHub(key=KEY) as hub:

        async def work(client: HubClient) -> None:
            task = await client.task(await client.submit(DOG))
            await client.download(task.sources[0], tmp_path / "part")

        with_client(hub.url, work)
        for seen in hub.requests:
            assert seen.headers["authorization"] == f"Bearer {KEY}"
            assert "x-api-key" not in seen.headers
            assert KEY not in seen.path + seen.body.decode()
        (download,) = hub.downloads_seen
    assert "authorization" not in download.headers
    assert KEY not in repr(download)


def test_without_a_key_no_header_is_sent() -> None:
    """Not even an empty one."""
    with StandInHub() as hub:
        with_client(hub.url, lambda client: client.submit(DOG), key=None)
        assert "authorization" not in hub.requests[0].headers


def test_credits_are_requested_with_x_api_key_and_no_query() -> None:
    """The vendor's alternative `?key=` would leak into logs."""
    with StandInHub(key=KEY, credits=10000) as hub:
        left = with_client(hub.url, lambda client: client.credits(), credits_url=hub.credits_url)
        (seen,) = hub.requests
    assert left == 10000
    assert (seen.method, seen.path) == ("GET", "/api-user/credits")
    assert seen.headers["x-api-key"] == KEY
    assert "authorization" not in seen.headers


def test_the_credits_url_may_have_another_origin_than_the_api() -> None:
    """The API itself then gets no request."""
    with StandInHub() as hub, StandInHub(credits=5) as other:
        assert with_client(hub.url, lambda c: c.credits(), credits_url=other.credits_url) == 5
        assert (len(hub.requests), len(other.requests)) == (0, 1)


def test_without_a_credits_url_nothing_is_requested() -> None:
    """The key is not sent to a guessed endpoint."""
    with StandInHub() as hub:
        with pytest.raises(ConfigurationError, match="MOUNTSEA_CREDITS_URL"):
            with_client(hub.url, lambda client: client.credits())
        assert hub.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_of_the_api_are_not_followed(status: int) -> None:
    """Neither the key nor a submission reaches another host; the error says what to check."""
    with StandInHub() as hub, StandInHub() as thief:
        away = Reply(status, headers={"Location": f"{thief.url}/hub/v1/image"})
        hub.submits.append(away)
        hub.polls.append(away)
        with pytest.raises(ConfigurationError, match="MOUNTSEA_BASE_URL"):
            submitted(hub)
        with pytest.raises(ConfigurationError, match="MOUNTSEA_BASE_URL"):
            polled(hub)
        assert len(hub.requests) == 2
        assert thief.requests == []


def test_a_task_id_stays_one_path_segment() -> None:
    """Slashes, queries and fragments are quoted."""
    with StandInHub(polls=["pending"]) as hub:
        polled(hub, "a/b?c#d e")
        assert hub.requests[0].path == "/hub/v1/tasks/a%2Fb%3Fc%23d%20e"


@pytest.mark.parametrize(
    ("body", "ended", "succeeded"),
    [
        ({"status": "queued"}, False, False),
        ({"status": "ready", "ready": False}, False, False),
        ({"status": "ready", "ready": None}, False, False),
        ({"status": None, "data": None}, False, False),
        ({"status": "a-new-status", "elapsed_ms": None}, False, False),
        ({"status": "succeeded"}, True, True),
        ({"status": "completed", "ready": False}, True, True),
        ({"status": "COMPLETED"}, True, True),
        ({"status": "canceled"}, True, False),
        ({"status": "error", "error": {"code": "E", "message": "no"}}, True, False),
        ({"status": "a-new-status", "ready": True, "output": {"url": "https://x/y"}}, True, True),
        ({"ready": True, "errorMessage": "no"}, True, False),
    ],
)
def test_ended_and_succeeded_are_read_from_any_variant(
    body: dict[str, Any], ended: bool, succeeded: bool
) -> None:
    """Only a final status or a true `ready` ends a task; any other status means still running."""
    with StandInHub(polls=[body]) as hub:
        task = polled(hub)
    assert (task.ended, task.succeeded) == (ended, succeeded)


@pytest.mark.parametrize(
    "reply",
    [
        BAD_GATEWAY,
        RESET,
        Reply(200, b"<html>"),
        json_reply([]),
        json_reply(None),
        json_reply({}, 408),
    ],
    ids=["502", "reset", "html", "list", "null", "408"],
)
def test_a_poll_without_a_valid_response_is_hub_unavailable(reply: Reply) -> None:
    """It may be retried, since polling is free."""
    with StandInHub(polls=[reply]) as hub, pytest.raises(HubUnavailable):
        polled(hub)


def test_an_endless_response_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not fill the memory."""
    monkeypatch.setattr(mountsea_magic.hub.exchange, "MAX_TASK_BYTES", 100_000)
    endless = Reply(200, b'{"a": "' + b"x" * 10_000, endless=True)
    with StandInHub(submits=[endless], polls=[endless]) as hub:
        with pytest.raises(HubUnavailable, match="too large"):
            polled(hub)
        with pytest.raises(SubmissionUncertain):
            submitted(hub)


@pytest.mark.parametrize(
    ("submitting", "kind"), [(False, HubUnavailable), (True, SubmissionUncertain)]
)
@pytest.mark.parametrize(
    "head", [b"X-Slow: ", b"Content-Length: 9999\r\n\r\n"], ids=["head", "body"]
)
def test_a_response_that_is_too_slow_is_aborted(
    head: bytes, submitting: bool, kind: type[MountseaError]
) -> None:
    """Byte by byte no read times out, so there is a deadline for the whole response."""

    async def work(client: HubClient) -> None:
        with pytest.raises(kind, match="ReadTimeout"):
            await (client.submit(DOG) if submitting else client.task("hub-1"))

    assert serve_slowly(head, b"x" * 9999, work) == 1


def test_a_slow_response_to_a_submission_is_read_to_the_end() -> None:
    """It contains the task id; a poll at the same speed is aborted."""
    body = b'{"task_id": "hub-slow"}'

    async def work(client: HubClient) -> None:
        assert await client.submit(DOG) == "hub-slow"
        with pytest.raises(HubUnavailable, match="too slowly"):
            await client.task("hub-slow")

    assert serve_slowly(b"Content-Length: %d\r\n\r\n" % len(body), body, work) == 2


@pytest.mark.parametrize("status", [400, 401, 402, 403, 422, 429, 500])
def test_a_key_that_the_hub_echoes_is_redacted(status: int) -> None:
    """In the error and in all of its causes."""
    bodies: list[Any] = [
        {"message": f"bad key {KEY}"},
        {"message": [f"bad key {KEY}"]},
        {"detail": [{"loc": [KEY], "msg": f"bad {KEY}"}]},
        {"error": {"code": "E", "message": f"Bearer {KEY} is not known"}},
    ]
    with StandInHub(submits=[json_reply(body, status) for body in bodies]) as hub:

        async def work(client: HubClient) -> None:
            for _ in bodies:
                with pytest.raises(MountseaError, match=r"\[key\]") as caught:
                    await client.submit(DOG)
                assert KEY not in all_text_of(caught.value)

        with_client(hub.url, work)


@pytest.mark.parametrize("script", [RESET, BAD_GATEWAY, json_reply({}, 401)])
def test_no_error_contains_the_key_or_a_request(script: Script) -> None:
    """The key is in no error, cause or frame; causes have no frames."""
    with StandInHub(submits=[script], polls=[script]) as hub:
        for work in (submitted, polled):
            with pytest.raises(MountseaError) as caught:
                work(hub)
            assert KEY not in all_text_of(caught.value)
            cause = caught.value.__cause__
            if cause is not None:
                assert isinstance(cause, httpx.RequestError)
                assert cause.__traceback__ is None
                with pytest.raises(RuntimeError):
                    _ = cause.request
