"""Whatever breaks: never two orders, never a lost task, never a leaked key, nothing half done."""

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
from mountsea_magic.generation import download, poll, submit
from mountsea_magic.generation.events import Event
from mountsea_magic.generation.handle import Generation
from mountsea_magic.generation.schedule import LearnedSchedule
from mountsea_magic.hub.retry import submit_retry_pause
from mountsea_magic.journal.journal import Journal
from mountsea_magic.request.request import ImageRequest
from mountsea_magic.session import Session
from mountsea_magic.settings import Secret, Settings

CHUNKS = 20
AT_ONCE = 5


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: SQLite waits for the disk at each of its writes."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="mountsea-faults-", dir=memory) as made:
        yield Path(made)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_fault_costs_twice_or_loses_a_task(
    chunk: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of seeded sequences hold all promises; a failure names its seed."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", HUB)
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
    ends = {run_sequence(seed, folder, monkeypatch) for seed in range(chunk, SEQUENCES, CHUNKS)}
    assert ends >= {"told", "lost", "refused"}, "the dice are loaded"


def broken(body: bytes) -> Reply:
    """An answer that ends before the length that it claims."""
    return Reply(200, body[: len(body) // 2], {"Content-Type": "image/png"}, length=len(body))


BUSY = json_reply({"message": "Slow down."}, 429, headers={"Retry-After": "0"})
ECHO = json_reply(
    {"message": f"Authorization: Bearer {KEY} is not good."},
    401,
    headers={"X-Your-Authorization": KEY},
)
PROXY = Reply(200, b"<html>Welcome to the campus</html>", {"Content-Type": "text/html"})
HALF = broken(b'{"task_id": "hub-0001", "status": "pending"}')
SUBMITS: dict[str, tuple[Script, ...]] = {
    "told": (None,),
    "lost": (RESET, BAD_GATEWAY, PROXY, HALF, json_reply({}), json_reply([], 500), Reply(408)),
    "refused": (ECHO, json_reply({"message": "no credits"}, 402), json_reply({"detail": []}, 422)),
}
LOOKS: tuple[Script, ...] = (RESET, BAD_GATEWAY, PROXY, HALF, BUSY, ECHO, "queued", json_reply([]))
DOWNLOADS: tuple[Script, ...] = (
    *(RESET, BAD_GATEWAY, PROXY, BUSY, Reply(403), Reply(410), broken(image())),
    *(Reply(200, image()[:99]), Reply(200, b"GIF89a"), Reply(200, b"", length=10**9)),
)


async def over_sockets(seed: int, home: Path, heard: list[str]) -> None:
    """Order from a stand-in Hub that misbehaves, then resume from one that does not."""
    rng = random.Random(seed)
    fate = rng.choice(("told", "told", "told", "lost", "refused"))
    busy = [BUSY] * (rng.random() < 0.2)
    count = rng.choice((1, 2))
    request = ImageRequest("nano-banana", {"prompt": f"a dog {seed}", "num_images": count})
    with StandInHub(
        submits=[*busy, rng.choice(SUBMITS[fate])],
        polls=rng.choices((None, *LOOKS), k=rng.randrange(3)),
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
            assert (fate, type(error)) != ("refused", SubmissionUncertain)
            heard.append(all_text_of(error))
        hub.polls.clear()
        hub.downloads.clear()
        posts = len(hub.posts)
        assert posts <= 1 + len(busy)
        journal = Journal(home / "journal.sqlite")
        entries = [entry for entry in journal.search(limit=99) if entry.hub == hub.url]
        if not entries:
            assert run.cancelled() and posts == 0  # stopped before it was written down
            await first.clients.aclose()
            return
        (entry,) = entries
        state = {"lost": "uncertain", "refused": "refused"}.get(fate, entry.state)
        assert entry.state in (state, "submitting")
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
        heard += map(repr, events)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send and poll again at once what may be sent and polled again."""

    def retry(error: MountseaError, **given: float) -> float | None:
        return None if submit_retry_pause(error, **given) is None else 0.0  # type: ignore[arg-type]  # its own arguments

    monkeypatch.setattr(submit, "submit_retry_pause", retry)
    monkeypatch.setattr(download, "PAUSES_S", (0.0,) * len(download.PAUSES_S))
    often = partial(LearnedSchedule, shortest_s=0.02, longest_s=0.05)
    monkeypatch.setattr(poll, "LearnedSchedule", often)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("chunk", range(OVER_SOCKETS // AT_ONCE))
def test_the_same_holds_over_sockets(chunk: int, folder: Path) -> None:
    """Several Hubs at once misbehave on the wire; all share one journal, and no key is said."""
    heard: list[str] = []
    home = folder / "home"

    async def work() -> None:
        seeds = range(chunk * AT_ONCE, (chunk + 1) * AT_ONCE)
        await asyncio.gather(*(over_sockets(seed, home, heard) for seed in seeds))

    with logged(heard):
        asyncio.run(work())
    assert not any(KEY in text or "s3cret-query" in text for text in heard)
    files = [path for path in home.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in path.read_bytes() for path in files)
    drawn = {image("png", number) for number in range(2)}
    assert {path.read_bytes() for path in files if "originals" in path.parts} <= drawn
