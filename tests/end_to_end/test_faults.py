"""Fault suite: no double submission, no lost task, no leaked key, no partial file."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from fault_layer import HUB, KEY
from fault_sequences import OVER_SOCKETS, SEQUENCES, logged, run_sequence
from hub_server import BAD_GATEWAY, RESET, Reply, Script, StandInHub, all_text_of, image, json_reply

from mountsea_magic.errors import Interrupted, MountseaError, SubmissionUncertain
from mountsea_magic.generation import admission, download
from mountsea_magic.generation.events import Event
from mountsea_magic.generation.handle import Generation
from mountsea_magic.generation.schedule import LearnedSchedule
from mountsea_magic.hub.retry import submit_retry_pause
from mountsea_magic.journal.journal import Journal
from mountsea_magic.request.request import ImageRequest
from mountsea_magic.session import Session
from mountsea_magic.settings import Secret, Settings

CHUNKS = 20
CONCURRENT = 5


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Use a folder in memory if possible: SQLite waits for the disk at every write."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="mountsea-faults-", dir=memory) as created:
        yield Path(created)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_faults_neither_submit_twice_nor_lose_a_task(
    chunk: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of seeded sequences keep all guarantees; a failure names its seed."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", HUB)
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
    outcomes = {run_sequence(seed, folder, monkeypatch) for seed in range(chunk, SEQUENCES, CHUNKS)}
    assert outcomes >= {"accepted", "lost", "refused"}, "some outcomes never occurred"


def truncated(body: bytes) -> Reply:
    """Return a response that is shorter than its Content-Length."""
    return Reply(200, body[: len(body) // 2], {"Content-Type": "image/png"}, length=len(body))


BUSY = json_reply({"message": "Slow down."}, 429, headers={"Retry-After": "0"})
ECHO = json_reply(
    {"message": f"Authorization: Bearer {KEY} is not good."},
    401,
    headers={"X-Your-Authorization": KEY},
)
PROXY = Reply(200, b"<html>Welcome to the campus</html>", {"Content-Type": "text/html"})
TRUNCATED = truncated(b'{"task_id": "hub-0001", "status": "pending"}')
SUBMITS: dict[str, tuple[Script, ...]] = {
    "accepted": (None,),
    "lost": (RESET, BAD_GATEWAY, PROXY, TRUNCATED, json_reply({}), json_reply([], 500), Reply(408)),
    "refused": (ECHO, json_reply({"message": "no credits"}, 402), json_reply({"detail": []}, 422)),
}
POLLS: tuple[Script, ...] = (
    *(RESET, BAD_GATEWAY, PROXY, TRUNCATED, BUSY, ECHO),
    *("queued", json_reply([])),
)
DOWNLOADS: tuple[Script, ...] = (
    *(RESET, BAD_GATEWAY, PROXY, BUSY, Reply(403), Reply(410), truncated(image())),
    *(Reply(200, image()[:99]), Reply(200, b"GIF89a"), Reply(200, b"", length=10**9)),
)


async def over_sockets(seed: int, home: Path, messages: list[str]) -> None:
    """Submit to a stand-in Hub that misbehaves, then resume when it works again."""
    rng = random.Random(seed)
    outcome = rng.choice(("accepted", "accepted", "accepted", "lost", "refused"))
    busy = [BUSY] * (rng.random() < 0.2)
    count = rng.choice((1, 2))
    request = ImageRequest("nano-banana", {"prompt": f"a dog {seed}", "num_images": count})
    with StandInHub(
        submits=[*busy, rng.choice(SUBMITS[outcome])],
        polls=rng.choices((None, *POLLS), k=rng.randrange(3)),
        downloads=rng.choices((None, *DOWNLOADS), k=rng.randrange(4)),
    ) as hub:
        settings = Settings(hub.url, Secret(KEY), "a test", None, home)
        first, dog, events = Session(), Generation(request), list[Event]()
        run = asyncio.ensure_future(first.generate(dog, settings, on_event=events.append))
        if rng.random() < 0.3:
            asyncio.get_running_loop().call_later(rng.random() / 4, run.cancel)
        await asyncio.wait([run])
        await first.drain()
        error = dog.interrupted() if run.cancelled() else run.exception()
        if error is not None:
            assert isinstance(error, MountseaError | Interrupted)
            assert (outcome, type(error)) != ("refused", SubmissionUncertain)
            messages.append(all_text_of(error))
        hub.polls.clear()
        hub.downloads.clear()
        posts = len(hub.posts)
        assert posts <= 1 + len(busy)
        journal = Journal(home / "journal.sqlite")
        entries = [entry for entry in journal.search(limit=99) if entry.hub == hub.url]
        if not entries:
            assert run.cancelled() and posts == 0  # cancelled before the journal entry was written
            await first.clients.aclose()
            return
        (entry,) = entries
        expected_status = {"lost": "uncertain", "refused": "refused"}.get(outcome, entry.status)
        # cancelled after the entry was written, and before the POST
        unsent = run.cancelled() and entry.status == "unsent" and posts <= len(busy)
        assert unsent or entry.status in (expected_status, "submitting")
        assert entry.task_id == (hub.task_ids[0] if hub.task_ids else None)
        if entry.task_id is not None:
            second = Session()
            found = Generation(None, task_id=entry.task_id)
            await second.generate(found, settings, on_event=events.append)
            assert [got.bytes for got in found] == [image("png", n) for n in range(count)]
            await second.clients.aclose()
        await first.clients.aclose()
        assert len(hub.posts) == posts
        assert not any(KEY in str(seen.headers) for seen in hub.downloads_seen)
        messages += map(repr, events)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry and poll without pauses."""

    def retry(error: MountseaError, **given: float) -> float | None:
        return None if submit_retry_pause(error, **given) is None else 0.0  # type: ignore[arg-type]  # its own arguments

    monkeypatch.setattr(admission, "submit_retry_pause", retry)
    monkeypatch.setattr(download, "PAUSES_S", (0.0,) * len(download.PAUSES_S))
    often = partial(LearnedSchedule, min_interval_s=0.02, max_interval_s=0.05)
    monkeypatch.setattr(admission, "LearnedSchedule", often)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("chunk", range(OVER_SOCKETS // CONCURRENT))
def test_faults_over_sockets(chunk: int, folder: Path) -> None:
    """Several Hubs misbehave concurrently; they share one journal, and no key is shown."""
    messages: list[str] = []
    home = folder / "home"

    async def work() -> None:
        seeds = range(chunk * CONCURRENT, (chunk + 1) * CONCURRENT)
        await asyncio.gather(*(over_sockets(seed, home, messages) for seed in seeds))

    with logged(messages):
        asyncio.run(work())
    assert not any(KEY in text or "s3cret-query" in text for text in messages)
    files = [path for path in home.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in path.read_bytes() for path in files)
    expected = {image("png", number) for number in range(2)}
    assert {path.read_bytes() for path in files if "originals" in path.parts} <= expected
