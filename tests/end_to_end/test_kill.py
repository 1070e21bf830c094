"""A kernel killed by SIGKILL loses no task with a known id, and pays for none twice."""

from __future__ import annotations

import base64
import random
import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hang import HANG_S
from hub_server import SILENT, Reply, StandInHub, image, json_reply
from kernel_driver import Kernel, started_kernel

from mountsea_magic.journal.entry import SUBMISSION_TIMEOUT_S, Entry
from mountsea_magic.journal.journal import Journal
from mountsea_magic.request.request import build_request

pytestmark = pytest.mark.kernel

CELL = "%%mountsea -n 2\na dog that outlives its kernel"


def load(kernel: Kernel) -> Kernel:
    """Load the extension."""
    assert kernel.run("%load_ext mountsea_magic").status == "ok"
    return kernel


def record_short_tasks(journal: Journal, hub: StandInHub) -> None:
    """Fill the journal with short tasks of the same kind, so that kernels poll early."""
    request = build_request("a quick dog", parameters={"num_images": 2})
    for _ in range(10):
        journal.write(replace(Entry.begin(hub.url, request), status="failed", elapsed_s=0.1))


def kill(kernel: Kernel) -> None:
    """Send SIGKILL to a kernel, as the OOM killer does."""
    kernel.manager.signal_kernel(signal.SIGKILL)


def run_until(kernel: Kernel, hub: StandInHub, journal: Journal, moment: str, size: int) -> None:
    """Run the cell until the task id is saved, the task is polled, or its images are downloaded."""
    posts, polls, downloads = len(hub.posts), len(hub.polls_seen), len(hub.downloads_seen)
    if moment == "downloaded":
        hub.downloads.extend([Reply(200, image(), length=size), SILENT, SILENT])
    else:
        hub.polls.append(json_reply({"status": "processing"}, repeat=True))
    kernel.client.execute(CELL)
    hub.wait_until(lambda: len(hub.posts) > posts)
    if moment == "saved":
        deadline = time.monotonic() + HANG_S
        while len(journal.open_entries()) != 1:
            assert time.monotonic() < deadline, "the task id was never saved"
            time.sleep(0.002)  # only the file itself shows it
    elif moment == "polled":
        hub.wait_until(lambda: len(hub.polls_seen) >= polls + size % 3 + 1)
    else:
        hub.wait_until(lambda: len(hub.downloads_seen) >= downloads + 2)


@pytest.mark.parametrize("seed", range(2))
def test_task_of_a_killed_kernel_is_resumed_by_the_next(
    seed: int, hub: StandInHub, home: Path
) -> None:
    """Kernels are killed at seeded moments; the next one fetches the images without a POST."""
    rng, journal = random.Random(seed), Journal(home / "journal.sqlite")
    record_short_tasks(journal, hub)
    moments = rng.sample(("saved", "polled", "downloaded"), k=3)
    with ExitStack() as kernels:
        kernel = load(kernels.enter_context(started_kernel()))
        for kills, moment in enumerate(moments, start=1):
            size = rng.choice((len(image()), 10**6))
            run_until(kernel, hub, journal, moment, size)
            kill(kernel)
            hub.polls.clear()
            hub.downloads.clear()
            kernel = load(kernels.enter_context(started_kernel()))
            run = kernel.run("%mountsea resume")
            assert run.status == "ok", run.traceback
            shown = [base64.b64decode(data) for _, data, _ in run.images()]
            assert shown == [image("png", number) for number in range(2)], moment
            assert len(hub.posts) == kills
            assert journal.open_entries() == []


def test_unanswered_submission_is_reported_and_not_retried(hub: StandInHub, home: Path) -> None:
    """Killed while its POST is in flight: first submitting, then uncertain, never sent again."""
    respond = threading.Event()
    hub.submits.append(json_reply({"task_id": "hub-lost"}, hold=respond))
    with started_kernel() as first:
        load(first)
        first.client.execute(CELL)
        hub.wait_until(lambda: len(hub.posts) == 1)
        kill(first)
    respond.set()
    journal = Journal(home / "journal.sqlite")
    with started_kernel() as second:
        load(second)
        assert "got no response" not in second.run("%mountsea").text
        assert "submitting" in str(second.run("%mountsea history").outputs)
        (entry,) = journal.unanswered()
        long_ago = time.time() - SUBMISSION_TIMEOUT_S - 1
        journal.write(replace(entry, created=long_ago, updated=long_ago))
        assert "1 submission got no response" in second.run("%mountsea").text
        assert "uncertain" in str(second.run("%mountsea history").outputs)
        assert "1 submission got no response" in second.run("%mountsea resume").text
    assert len(hub.posts) == 1
