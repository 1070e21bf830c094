"""Batches that are killed, cut, refused and shared: at most one paid order a key, nothing lost."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S
from hub_server import KEY, Reply, Script, StandInHub, json_reply
from own_session import begin_session

import mountsea_magic as mm
from mountsea_magic.errors import MountseaError
from mountsea_magic.session import current_session

pytestmark = pytest.mark.usefixtures("here")

PROMPTS = [f"a dog, number {number}" for number in range(12)]
BATCH = textwrap.dedent(
    f"""
    import json, sys
    import mountsea_magic as mm
    batch = mm.generate_many({PROMPTS!r}, batch="kennel", concurrency=4, progress=False)
    print(json.dumps([[each.prompt, each.status, each.task_id] for each in batch]))
    """
)
BUSY = json_reply({"message": "busy"}, 429)
LOST = Reply(reset=True)


def start_batch() -> subprocess.Popen[str]:
    """Run the batch in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", BATCH],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def kill_after(count: int, hub: StandInHub) -> None:
    """Run the batch, and kill it when the Hub has received so many requests of it."""
    process, limit = start_batch(), len(hub.requests) + count
    hub.wait_until(lambda: len(hub.requests) >= limit or process.poll() is not None)
    process.kill()
    process.communicate()


def leaves_no_key(home: Path, *outputs: str) -> bool:
    """Whether the key is in no file and no output."""
    texts = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    return not any(KEY.encode() in text for text in (*texts, *map(str.encode, outputs)))


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_that_is_killed_goes_on(hub: StandInHub, home: Path, seed: int) -> None:
    """At any moment; the second run submits only what is not there."""
    rng = random.Random(seed)
    hub.ready_after_polls = 1
    for _ in range(2):
        kill_after(rng.randrange(1, 25), hub)
    output, errors = start_batch().communicate(timeout=HANG_S)
    found = json.loads(output)
    ended = Counter(status for _, status, _ in found)
    assert set(ended) <= {"completed", "uncertain"}, errors
    counts = hub.accepted
    assert max(counts.values()) == 1
    # a submission that was killed before its response is uncertain; nothing else is missing
    assert set(counts) | {prompt for prompt, status, _ in found if status == "uncertain"} == set(
        PROMPTS
    )
    assert {task for _, status, task in found if status == "completed"} <= set(hub.task_ids)
    assert leaves_no_key(home, output, errors)


def test_two_processes_with_one_batch_submit_each_request_once(hub: StandInHub, home: Path) -> None:
    """Each of them has all images in the end."""
    hub.ready_after_polls = 1
    processes = [start_batch(), start_batch()]
    outputs = [process.communicate(timeout=HANG_S) for process in processes]
    found = [json.loads(output) for output, _ in outputs]
    assert found[0] == found[1]
    assert {status for _, status, _ in found[0]} == {"completed"}
    assert hub.accepted == Counter(PROMPTS)
    assert leaves_no_key(home, *(text for output in outputs for text in output))


SCRIPTS: dict[str, Callable[[random.Random], list[Script]]] = {
    "429 storm": lambda rng: [rng.choice([None, BUSY, BUSY]) for _ in range(20)],
    "cuts": lambda rng: [rng.choice([None, None, LOST]) for _ in range(12)],
    "refused": lambda rng: [
        rng.choice([None, json_reply({"message": "no"}, rng.choice([400, 422, 402]))])
        for _ in range(12)
    ],
    "all": lambda rng: [
        rng.choice([None, BUSY, LOST, json_reply({"message": "no"}, 422)]) for _ in range(24)
    ],
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_batch_under_fire_pays_once(
    hub: StandInHub,
    home: Path,
    script: str,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until all is there, it is run again; uncertain requests are never sent again."""
    monkeypatch.setattr("mountsea_magic.generation.window.FIRST_PAUSE_S", 0.01)
    rng = random.Random(seed)
    hub.submits += SCRIPTS[script](rng)
    hub.polls += [rng.choice([None, {"status": "processing"}, Reply(reset=True)]) for _ in range(9)]
    uncertain: set[str] = set()
    for _ in range(12):
        batch = mm.generate_many(PROMPTS, batch="kennel", concurrency=4)
        uncertain |= {each.prompt for each in batch.uncertain}
        assert [each.prompt for each in batch] == PROMPTS
        assert current_session().pending_submissions == 0
        begin_session(monkeypatch)
        if len(batch.completed) + len(batch.uncertain) == len(PROMPTS):
            break
    counts = hub.accepted
    assert {each.prompt for each in batch.completed} | uncertain == set(PROMPTS)
    assert max(counts.values()) == 1
    assert not uncertain & set(counts)  # the stand-in resets before it makes a task
    assert leaves_no_key(home, *(str(each.error) for each in batch))


def test_a_locked_journal_stops_a_durable_batch(
    hub: StandInHub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is submitted that could not be recorded; later it goes on."""
    for name in ("LOCK_TIMEOUT_S", "SHORT_LOCK_TIMEOUT_S"):
        monkeypatch.setattr(f"mountsea_magic.journal.journal.{name}", 0.05)
    mm.generate_many(PROMPTS[:1], batch="kennel")
    path = home / "journal.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        batch = mm.generate_many(PROMPTS, batch="kennel")
        error: Any = batch.error()
        assert isinstance(error, MountseaError) and "journal can't be used" in str(error)
        other.execute("ROLLBACK")
    assert len(hub.posts) == 1
    batch.retry_failed()
    assert hub.accepted == Counter(PROMPTS)
