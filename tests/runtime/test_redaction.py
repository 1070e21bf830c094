"""Redaction: logs, errors and the journal contain neither signed URLs nor the key."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import re
from pathlib import Path

import httpx
import pytest
from hub_server import KEY, RESET, Reply, Script, StandInHub, data_uri, image, json_reply
from runs import assert_discreet, generate, newest_entry

from mountsea_magic.errors import HubUnavailable, MountseaError
from mountsea_magic.hub.image_downloader import ImageDownloader
from mountsea_magic.hub.responses import ImageSource
from mountsea_magic.runtime.redaction import guard_logs, without_queries

SIGNED = "signature=s3cret-query"
ECHO = "could not fetch https://ann:s3cret-query@cdn.example/in.png?X-Sig=s3cret-query"


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture all logs at DEBUG level."""
    for name in ("httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)
    caplog.set_level(logging.DEBUG)
    return caplog


def records(logs: pytest.LogCaptureFixture, name: str) -> list[str]:
    """Return the messages of a logger and its children."""
    return [
        record.getMessage()
        for record in logs.records
        if record.name == name or record.name.startswith(f"{name}.")
    ]


async def fetched(url: str, folder: Path) -> None:
    """Download an image for a Hub on the same host."""
    async with httpx.AsyncClient() as http:
        with (folder / "part").open("wb") as file:
            await ImageDownloader(http, url).fetch(ImageSource(url), file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("no URL", "no URL"),
        ("is it? yes", "is it? yes"),
        ("https://cdn.example/a.png", "https://cdn.example/a.png"),
        ("GET https://cdn.example/a?sig=1 failed", "GET https://cdn.example/a?… failed"),
        ("'https://a/b?c=1', \"https://a/b?c=2\"", '\'https://a/b?… "https://a/b?…"'),
        ("<https://a/b?c=1>", "<https://a/b?…>"),
        ("/b?c=1&d=2#e f?g=3", "/b?… f?g=3"),
        ("HTTP://A/B?C", "HTTP://A/B?…"),
        ("https://ann:pass@a/b and HTTP://key@c?d=1", "https://…@a/b and HTTP://…@c?…"),
        ("https://a/@b mailto:ann@b", "https://a/@b mailto:ann@b"),
        (f"data:image/png;base64,{'A' * 500} is bad", "data:image/png;base64,… is bad"),
        ("data:,short", "data:,short"),
    ],
)
def test_queries_are_removed_from_a_text(text: str, expected: str) -> None:
    """So are users and passwords of URLs, and the bytes of data URIs."""
    assert without_queries(text) == expected


def test_the_logs_of_a_generation_contain_no_query_and_no_key(
    logs: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """At INFO and DEBUG, each request is logged, without the signature of an image's URL."""
    with StandInHub(key=KEY) as hub:
        generate(hub, tmp_path / "originals")
        paths = [seen.path.partition("?")[0] for seen in (*hub.requests, *hub.downloads_seen)]
    lines = records(logs, "httpx")
    assert [path for path in paths if sum(path in line for line in lines) == 1] == paths
    assert sum("?…" in line for line in lines) == 1
    assert len(records(logs, "httpcore")) > len(lines)
    assert "s3cret-query" not in logs.text
    assert KEY not in logs.text


@pytest.mark.parametrize(
    "first",
    [
        Reply(302, headers={"Location": f"/b?{SIGNED}"}),
        Reply(302, headers={"Location": f"http://[::1/?{SIGNED}"}),
        Reply(403, b"expired"),
        RESET,
    ],
    ids=["redirect", "nowhere", "403", "reset"],
)
def test_the_logs_of_a_failed_download_contain_no_query(
    logs: pytest.LogCaptureFixture, tmp_path: Path, first: Reply
) -> None:
    """Neither after a redirect nor after a reset connection."""
    with StandInHub(downloads=[first, Reply(404)]) as hub:
        with pytest.raises(HubUnavailable):
            asyncio.run(fetched(hub.image_url("a"), tmp_path))
        assert len(hub.downloads_seen) in (1, 2)
    assert records(logs, "httpcore")
    assert "s3cret-query" not in logs.text


@pytest.mark.parametrize(
    ("submits", "polls"),
    [
        ([json_reply({"message": ECHO}, 422)], []),
        ([json_reply({"detail": [{"loc": ["image_urls", 0], "msg": ECHO}]}, 422)], []),
        ([json_reply({"error": {"code": "E1", "message": ECHO}}, 403)], []),
        ([json_reply({"message": ECHO}, 502)], []),
        ([], [{"status": "failed", "ready": True, "error_message": ECHO}]),
        ([], [{"status": "error", "error": {"message": ECHO}}]),
        ([], [json_reply({"message": [ECHO]}, 400)]),
        ([], [{"status": "completed", "data": {"images": [], "description": ECHO}}]),
        ([], [{"status": "completed", "data": None, "error_message": ECHO}]),
    ],
    ids=[
        *("refused", "refused in detail", "forbidden", "uncertain"),
        *("failed", "error", "refused poll", "description", "no data"),
    ],
)
def test_a_signed_url_in_a_message_of_the_hub_is_redacted(
    submits: list[Script], polls: list[Script], tmp_path: Path
) -> None:
    """Errors and the journal have its host and path, and nothing of its query."""
    cut = re.escape("could not fetch https://…@cdn.example/in.png")
    with StandInHub(submits=submits, polls=polls) as hub:
        with pytest.raises(MountseaError, match=cut) as caught:
            generate(hub, tmp_path / "originals")
        assert len(hub.posts) == 1
    assert_discreet(caught.value)
    journal = b"".join(file.read_bytes() for file in tmp_path.glob("journal*"))
    assert b"cdn.example/in.png" in journal
    assert b"s3cret-query" not in journal


def test_a_signed_url_in_the_models_description_is_redacted(tmp_path: Path) -> None:
    """The description of a completed task keeps all but the query."""
    folder = tmp_path / "originals"
    with StandInHub() as hub:
        hub.polls.append(hub.done({"url": data_uri(image()), "description": ECHO}))
        generate(hub, folder)
    assert newest_entry(folder).description == "could not fetch https://…@cdn.example/in.png?…"


def test_the_users_own_requests_are_logged_unchanged(
    logs: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Before, during and after ours in the same process."""
    with StandInHub(downloads=[Reply(200, image())] * 4) as hub:

        async def mine(name: str) -> None:
            async with httpx.AsyncClient() as http:
                await http.get(f"{hub.image_origin}/mine?which={name}")

        async def work() -> None:
            await mine("before")
            ours = asyncio.create_task(fetched(hub.image_url("a"), tmp_path))
            await asyncio.gather(ours, mine("beside"))
            await mine("after")

        asyncio.run(work())
        assert len(hub.downloads_seen) == 4
    lines = records(logs, "httpx")
    for name in ("before", "beside", "after"):
        assert sum(f"/mine?which={name} " in line for line in lines) == 1
    assert sum("/a?… " in line for line in lines) == 1
    assert "s3cret-query" not in logs.text


def test_redaction_applies_to_a_task_and_its_children(
    logs: pytest.LogCaptureFixture,
) -> None:
    """It does not apply to its parent and siblings."""
    logger = logging.getLogger("httpx")

    async def child(name: str) -> None:
        logger.info("%s", f"https://a/b?{name}")

    async def ours() -> None:
        guard_logs(str)
        await asyncio.create_task(child("ours"))
        await asyncio.to_thread(logger.info, "https://a/b?thread")

    async def work() -> None:
        await asyncio.gather(asyncio.create_task(ours()), asyncio.create_task(child("sibling")))
        await child("parent")

    asyncio.run(work())
    lines = sorted(records(logs, "httpx"))
    assert lines == ["https://a/b?parent", "https://a/b?sibling", "https://a/b?…", "https://a/b?…"]


def test_guarding_twice_adds_one_filter() -> None:
    """Filters do not accumulate in a kernel that runs for weeks."""
    context = contextvars.copy_context()  # or redaction would apply to later tests
    context.run(guard_logs, str)
    before = list(logging.getLogger("httpx").filters)
    context.run(guard_logs, str)
    assert logging.getLogger("httpx").filters == before
