"""The client against real HTTP servers: what leaves, whither, and what is made of the answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from hub_server import (
    BAD_GATEWAY,
    RESET,
    Reply,
    Script,
    StandInHub,
    data_uri,
    json_reply,
    picture,
    told,
)

import mountsea_magic.client
from mountsea_magic.client import MAX_REDIRECTS, HubClient
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
from mountsea_magic.pictures import BadPicture
from mountsea_magic.protocol import PictureSource, TaskState
from mountsea_magic.request import build_request
from mountsea_magic.settings import Secret

T = TypeVar("T")
KEY = "sk-stand-in-123456"
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
    """Order a dog."""
    return with_client(hub.url, lambda client: client.submit(DOG))


def looked(hub: StandInHub, task_id: str = "hub-x") -> TaskState:
    """Ask for a task once."""
    return with_client(hub.url, lambda client: client.task(task_id))


def downloaded(hub: StandInHub, source: PictureSource, folder: Path) -> bytes:
    """Download one picture."""
    part = folder / "part"
    with_client(hub.url, lambda client: client.download(source, part))
    return part.read_bytes()


@pytest.fixture
def gone() -> str:
    """Return an address at which nobody listens any more."""
    with StandInHub() as hub:
        return hub.url


def test_an_order_is_exactly_model_and_input_with_json_types() -> None:
    """The body holds the two documented members, each value of the schema's type, nothing else."""
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


def test_only_what_was_set_is_sent() -> None:
    """Defaults of the model are the Hub's to know: a bare prompt sends nothing but the prompt."""
    with StandInHub() as hub:
        submitted(hub)
        assert hub.posts[0].json == {"model": "nano-banana", "input": {"prompt": "a dog"}}


@pytest.mark.parametrize("status", [200, 201, 202])
def test_every_shape_of_the_task_id_is_read(status: int) -> None:
    """Names and statuses of both versions of the vendor's page are accepted."""
    shapes: list[tuple[dict[str, Any], str]] = [
        ({"task_id": "hub-1", "status": "pending"}, "hub-1"),
        (
            {"taskId": "0b8c0a7e-8f7b-4d5c-9c1e-1f6d7f3a2b10"},
            "0b8c0a7e-8f7b-4d5c-9c1e-1f6d7f3a2b10",
        ),
        ({"id": "seven", "task_id": None}, "seven"),
        ({"id": 7}, "7"),
    ]
    with StandInHub(submits=[json_reply(answer, status) for answer, _ in shapes]) as hub:

        async def work(client: HubClient) -> list[str]:
            return [await client.submit(DOG) for _ in shapes]

        assert with_client(hub.url, work) == [task_id for _, task_id in shapes]


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
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
        (429, {"message": "slow down"}, RateLimited, "Nothing was ordered"),
    ],
)
def test_a_refused_order_says_why_and_is_not_sent_again(
    status: int, body: Any, kind: type[MountseaError], said: str
) -> None:
    """Each refusal has its type, its status and the Hub's reason, after one single POST."""
    with StandInHub(submits=[json_reply(body, status)]) as hub:
        with pytest.raises(MountseaError) as caught:
            submitted(hub)
        assert len(hub.requests) == 1
    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert said in str(caught.value)
    assert "iVBOR" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "pause_s"), [("17", 17.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", None)]
)
def test_the_pause_that_the_hub_asks_for_is_kept(header: str, pause_s: float | None) -> None:
    """`Retry-After` is read as seconds or as a date; what is neither is no pause."""
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
        Reply(200, b"<html>welcome</html>"),
        RESET,
        Reply(200, b'{"task_id": "hub', length=500),
    ],
    ids=["500", "502", "408", "no id", "list", "empty id", "html", "reset", "cut"],
)
def test_an_order_without_a_clear_answer_is_uncertain_and_sent_once(reply: Reply) -> None:
    """Where the Hub may have taken the order, the error says so, and no second POST is sent."""
    with StandInHub(submits=[reply]) as hub:
        with pytest.raises(SubmissionUncertain, match="credits"):
            submitted(hub)
        assert len(hub.requests) == 1


def test_an_order_whose_answer_does_not_come_is_uncertain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Giving up on the answer is no proof that the order was not taken."""
    monkeypatch.setattr(mountsea_magic.client, "SUBMIT_READ_S", 0.05)
    with StandInHub(submits=[Reply(hold=threading.Event())]) as hub:
        with pytest.raises(SubmissionUncertain, match="ReadTimeout"):
            submitted(hub)
        assert len(hub.requests) == 1


def test_an_order_that_never_left_is_no_uncertain_one(gone: str) -> None:
    """Where nobody listens nothing was ordered: that is the network's trouble only."""
    with pytest.raises(HubUnavailable, match="MOUNTSEA_BASE_URL") as caught:
        with_client(gone, lambda client: client.submit(DOG))
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


def test_the_key_goes_to_the_api_as_a_bearer(tmp_path: Path) -> None:
    """Orders and looks bear the key in one header, and in nothing else."""
    with StandInHub(key=KEY) as hub:

        async def work(client: HubClient) -> None:
            state = await client.task(await client.submit(DOG))
            await client.download(state.sources[0], tmp_path / "part")

        with_client(hub.url, work)
        for seen in hub.requests:
            assert seen.headers["authorization"] == f"Bearer {KEY}"
            assert "x-api-key" not in seen.headers
            assert KEY not in seen.path + seen.body.decode()
        (download,) = hub.downloads_seen
    assert "authorization" not in download.headers
    assert KEY not in repr(download)


def test_without_a_key_no_header_is_sent() -> None:
    """A Hub that needs no key is given none, not an empty one."""
    with StandInHub() as hub:
        with_client(hub.url, lambda client: client.submit(DOG), key=None)
        assert "authorization" not in hub.requests[0].headers


def test_credits_are_asked_with_the_other_header_and_no_query() -> None:
    """The credits endpoint wants `X-API-Key`; the vendor's `?key=` would leak into logs."""
    with StandInHub(key=KEY, credits=10000) as hub:
        left = with_client(hub.url, lambda client: client.credits(), credits_url=hub.credits_url)
        (seen,) = hub.requests
    assert left == 10000
    assert (seen.method, seen.path) == ("GET", "/api-user/credits")
    assert seen.headers["x-api-key"] == KEY
    assert "authorization" not in seen.headers


def test_credits_may_be_another_origin_than_the_api() -> None:
    """The whole address counts: the API's own origin is not asked."""
    with StandInHub() as hub, StandInHub(credits=5) as bank:
        assert with_client(hub.url, lambda c: c.credits(), credits_url=bank.credits_url) == 5
        assert (len(hub.requests), len(bank.requests)) == (0, 1)


def test_credits_without_an_address_are_not_guessed() -> None:
    """A key is not sent to an endpoint that nobody named."""
    with StandInHub() as hub:
        with pytest.raises(ConfigurationError, match="MOUNTSEA_CREDITS_URL"):
            with_client(hub.url, lambda client: client.credits())
        assert hub.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_api_is_not_followed_elsewhere(status: int) -> None:
    """A redirect takes neither key nor order to another place, and says what to check."""
    with StandInHub() as hub, StandInHub() as thief:
        away = Reply(status, headers={"Location": f"{thief.url}/hub/v1/image"})
        hub.submits.append(away)
        hub.looks.append(away)
        with pytest.raises(ConfigurationError, match="MOUNTSEA_BASE_URL"):
            submitted(hub)
        with pytest.raises(ConfigurationError, match="MOUNTSEA_BASE_URL"):
            looked(hub)
        assert len(hub.requests) == 2
        assert thief.requests == []


def test_a_task_id_stays_one_part_of_the_path() -> None:
    """An id with slashes, queries and fragments asks for that id and nothing else."""
    with StandInHub(looks=["pending"]) as hub:
        looked(hub, "a/b?c#d e")
        assert hub.requests[0].path == "/hub/v1/tasks/a%2Fb%3Fc%23d%20e"


@pytest.mark.parametrize(
    ("answer", "ended", "succeeded"),
    [
        ({"status": "queued"}, False, False),
        ({"status": "ready", "ready": False}, False, False),
        ({"status": "ready", "ready": None}, False, False),
        ({"status": None, "data": None}, False, False),
        ({"status": "a-new-word", "elapsed_ms": None}, False, False),
        ({"status": "succeeded"}, True, True),
        ({"status": "completed", "ready": False}, True, True),
        ({"status": "COMPLETED"}, True, True),
        ({"status": "canceled"}, True, False),
        ({"status": "error", "error": {"code": "E", "message": "no"}}, True, False),
        ({"status": "a-new-word", "ready": True, "output": {"url": "https://x/y"}}, True, True),
        ({"ready": True, "errorMessage": "no"}, True, False),
    ],
)
def test_ended_and_succeeded_are_read_from_any_dialect(
    answer: dict[str, Any], ended: bool, succeeded: bool
) -> None:
    """Only a final status or a true `ready` ends a task; all other words mean still running."""
    with StandInHub(looks=[answer]) as hub:
        state = looked(hub)
    assert (state.ended, state.succeeded) == (ended, succeeded)


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
def test_a_look_that_fails_is_no_refusal(reply: Reply) -> None:
    """What is not the Hub's answer is the network's trouble: asking again is free."""
    with StandInHub(looks=[reply]) as hub, pytest.raises(HubUnavailable):
        looked(hub)


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hub that never stops talking fills no memory."""
    monkeypatch.setattr(mountsea_magic.client, "MAX_ANSWER_BYTES", 100_000)
    endless = Reply(200, b'{"a": "' + b"x" * 10_000, endless=True)
    with StandInHub(submits=[endless], looks=[endless]) as hub:
        with pytest.raises(HubUnavailable, match="too large"):
            looked(hub)
        with pytest.raises(SubmissionUncertain):
            submitted(hub)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 422, 429, 500])
def test_a_key_that_the_hub_echoes_is_blotted(status: int) -> None:
    """A key in the Hub's own message reaches neither the screen nor any cause of the error."""
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
                assert KEY not in told(caught.value)

        with_client(hub.url, work)


@pytest.mark.parametrize("script", [RESET, BAD_GATEWAY, json_reply({}, 401)])
def test_no_error_bears_the_key_or_a_request(script: Script) -> None:
    """Neither errors, nor their causes, nor the frames of either hold the key; causes no frames."""
    with StandInHub(submits=[script], looks=[script]) as hub:
        for work in (submitted, looked):
            with pytest.raises(MountseaError) as caught:
                work(hub)
            assert KEY not in told(caught.value)
            cause = caught.value.__cause__
            if cause is not None:
                assert isinstance(cause, httpx.RequestError)
                assert cause.__traceback__ is None
                with pytest.raises(RuntimeError):
                    _ = cause.request


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_download_is_byte_for_byte(kind: str, tmp_path: Path) -> None:
    """What is written is what the host has sent; it is asked not to compress it."""
    content = picture(kind)
    with StandInHub(downloads=[Reply(200, content, {"Content-Type": "text/html"})]) as hub:
        source = PictureSource(hub.image_url("a.png"))
        assert downloaded(hub, source, tmp_path) == content
        (seen,) = hub.downloads_seen
    assert seen.path == "/a.png?signature=s3cret-query"
    assert seen.headers["accept-encoding"] == "identity"


def test_a_picture_is_followed_through_redirects_without_the_key(tmp_path: Path) -> None:
    """Picture hosts may redirect, even back to the API's origin: the key is not sent along."""
    with StandInHub(looks=[Reply(200, picture())]) as hub:
        hub.downloads += [
            Reply(302, headers={"Location": "/b.png?signature=other"}),
            Reply(307, headers={"Location": f"{hub.url}/hub/v1/tasks/x"}),
        ]
        assert downloaded(hub, PictureSource(hub.image_url("a.png")), tmp_path) == picture()
        for seen in [*hub.downloads_seen, *hub.requests]:
            assert "authorization" not in seen.headers
            assert "x-api-key" not in seen.headers
        assert (len(hub.downloads_seen), len(hub.requests)) == (2, 1)


def test_redirects_without_end_are_given_up(tmp_path: Path) -> None:
    """A picture that is always elsewhere is not there."""
    with StandInHub(downloads=[Reply(302, headers={"Location": "/b"})] * 9) as hub:
        with pytest.raises(HubUnavailable):
            downloaded(hub, PictureSource(hub.image_url("a.png")), tmp_path)
        assert len(hub.downloads_seen) == MAX_REDIRECTS + 1


@pytest.mark.parametrize("status", [204, 304, 400, 403, 404, 410, 500, 503])
def test_a_refused_download_bears_its_status(status: int, tmp_path: Path) -> None:
    """Whoever asks again for fresh addresses needs to know what the host has said."""
    with StandInHub(downloads=[Reply(status)]) as hub, pytest.raises(HubUnavailable) as caught:
        downloaded(hub, PictureSource(hub.image_url("a.png")), tmp_path)
    assert caught.value.status_code == status
    assert "s3cret-query" not in str(caught.value)


@pytest.mark.parametrize(
    "reply", [RESET, Reply(200, picture()[:40], length=4000)], ids=["reset", "cut"]
)
def test_a_broken_download_tells_no_signed_address(reply: Reply, tmp_path: Path) -> None:
    """The query of a signed address is a secret too: it is in no error and in no cause."""
    with StandInHub(downloads=[reply]) as hub, pytest.raises(HubUnavailable) as caught:
        downloaded(hub, PictureSource(hub.image_url("a.png")), tmp_path)
    cause = caught.value.__cause__
    assert isinstance(cause, httpx.RequestError)
    assert cause.__traceback__ is None
    assert caught.value.__context__ in (None, cause)
    assert "s3cret-query" not in str(caught.value) + str(cause)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/a?s3cret-query",
        "file:///etc/passwd",
        "http://",
        "http://[::1/a?s3cret-query",
        "http://127.0.0.1:x/a?s3cret-query",
        "http://a\x00b/a?s3cret-query",
    ],
)
def test_an_address_that_is_none_is_the_hosts_fault(url: str, tmp_path: Path) -> None:
    """Whatever the Hub calls an address: no file is read, and the error is one of ours."""
    with StandInHub() as hub, pytest.raises(HubUnavailable) as caught:
        downloaded(hub, PictureSource(url), tmp_path)
    assert "s3cret-query" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"\x89PNG" + b"x" * 9_996, endless=True),
        Reply(200, b"x" * 100_001),
        Reply(200, b"x" * 200_000, length=400_000),
    ],
    ids=["endless", "one too many", "cut and too large"],
)
def test_a_picture_that_is_too_large_is_given_up(
    reply: Reply, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes are counted as they come, whatever was declared; not one more is written."""
    monkeypatch.setattr(mountsea_magic.client, "MAX_BYTES", 100_000)
    with StandInHub(downloads=[reply]) as hub, pytest.raises(BadPicture, match=r"larger|more than"):
        downloaded(hub, PictureSource(hub.image_url("a.png")), tmp_path)
    assert (tmp_path / "part").stat().st_size <= 100_000


def test_a_picture_of_exactly_the_limit_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit itself is allowed."""
    monkeypatch.setattr(mountsea_magic.client, "MAX_BYTES", 100_000)
    with StandInHub(downloads=[Reply(200, b"x" * 100_000)]) as hub:
        assert len(downloaded(hub, PictureSource(hub.image_url("a.png")), tmp_path)) == 100_000


def test_more_than_was_declared_is_not_taken(tmp_path: Path) -> None:
    """A body that goes on after its declared length is cut there, as HTTP says."""
    with StandInHub(downloads=[Reply(200, picture() * 50, length=len(picture()))]) as hub:
        assert downloaded(hub, PictureSource(hub.image_url("a.png")), tmp_path) == picture()


@pytest.mark.parametrize(
    "source",
    [
        PictureSource(data_uri(picture("webp"), "webp")),
        PictureSource(data_uri(picture("webp"), "webp").replace("data:", "DATA:")),
        PictureSource("data:image/webp," + "".join(f"%{byte:02x}" for byte in picture("webp"))),
        PictureSource(None, data_uri(picture("webp")).partition(",")[2]),
        PictureSource(None, "\n ".join(data_uri(picture("webp")).partition(",")[2])),
    ],
    ids=["data", "DATA", "percent", "b64", "b64 in lines"],
)
def test_a_picture_within_the_answer_needs_no_request(
    source: PictureSource, tmp_path: Path
) -> None:
    """Data URIs and base64 are decoded here, byte for byte."""
    with StandInHub() as hub:
        assert downloaded(hub, source, tmp_path) == picture("webp")
        assert hub.downloads_seen == hub.requests == []


@pytest.mark.parametrize("text", ["data:image/png;base64,a*b", "data:image/png;base64,abc"])
def test_damaged_base64_is_a_bad_picture(text: str, tmp_path: Path) -> None:
    """Letters that are no base64 are not skipped silently."""
    with StandInHub() as hub, pytest.raises(BadPicture, match="base64"):
        downloaded(hub, PictureSource(text), tmp_path)


def test_a_data_uri_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit holds for pictures within the answer too, before they are decoded."""
    monkeypatch.setattr(mountsea_magic.client, "MAX_BYTES", 1000)
    with StandInHub() as hub, pytest.raises(BadPicture, match=r"larger|more than"):
        downloaded(hub, PictureSource(data_uri(b"x" * 2000)), tmp_path)
