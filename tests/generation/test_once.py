"""Idempotency keys: at most one paid order under a key, by whatever process shares the journal."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S
from hub_server import Reply, StandInHub, json_reply
from own_session import begin_session

from mountsea_magic.errors import (
    ConfigurationError,
    DownloadFailed,
    InvalidRequest,
    MountseaError,
    SubmissionUncertain,
    TaskFailed,
    WaitTimeout,
)
from mountsea_magic.generation.handle import Generation
from mountsea_magic.hub.status import Status
from mountsea_magic.journal.entry import SUBMISSION_TIMEOUT_S, Entry
from mountsea_magic.journal.journal import Journal
from mountsea_magic.request.request import build_request
from mountsea_magic.session import current_session

pytestmark = pytest.mark.usefixtures("here")

REFUSED = json_reply({"message": "no dogs"}, 422)
LOST = Reply(reset=True)
GONE = json_reply({"message": "no such task"}, 404)


def poster(
    prompt: str = "a poster", key: str = "poster-42", *, timeout_s: float = HANG_S, **more: Any
) -> Generation:
    """Generate once under a key, as `generate(idempotency_key=…)` does."""
    here = current_session()
    generation = Generation(build_request(prompt), idempotency_key=key)
    work = here.generate(generation, here.settings(), timeout_s=timeout_s, **more)
    return here.worker.run(work)


def journal() -> Journal:
    """Return the journal."""
    return current_session().journal(current_session().settings())


def test_a_completed_request_is_answered_from_the_journal(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a restarted kernel, too; nothing is sent."""
    first = poster()
    sent = len(hub.requests)
    begin_session(monkeypatch)
    again = poster()
    assert (again.task_id, again.from_journal) == (first.task_id, True)
    assert (len(hub.requests), len(hub.posts)) == (sent, 1)


def test_files_that_are_gone_are_fetched_again(hub: StandInHub) -> None:
    """Nothing is submitted for that."""
    poster()[0].path.unlink()
    assert poster()[0].path.exists()
    assert (len(hub.posts), len(hub.downloads_seen)) == (1, 2)


def test_what_the_hub_has_no_more_is_submitted_anew(hub: StandInHub) -> None:
    """Under the same key; the next run is answered by the new one."""
    poster()[0].path.unlink()
    hub.polls.append(GONE)
    again = poster()
    assert (again.task_id, len(hub.posts)) == ("hub-0002", 2)
    assert poster().task_id == "hub-0002"
    assert len(hub.posts) == 2


@pytest.mark.parametrize("first", [REFUSED, json_reply({"message": "no"}, 400)])
def test_a_refused_request_frees_its_key(hub: StandInHub, first: Reply) -> None:
    """Also for another request."""
    hub.submits.append(first)
    with pytest.raises(InvalidRequest):
        poster("a bad poster")
    assert poster("a good poster").status == "completed"
    assert len(hub.posts) == 2


@pytest.mark.parametrize("status", ["failed", "timeout", "cancelled"])
def test_a_failed_task_frees_its_key(hub: StandInHub, status: str) -> None:
    """Nothing was charged for it."""
    hub.polls.append({"status": status})
    with pytest.raises(TaskFailed):
        poster()
    assert poster().task_id == "hub-0002"


def test_a_request_that_was_never_sent_frees_its_key(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub was out of reach."""
    with monkeypatch.context() as patch:
        patch.setenv("MOUNTSEA_BASE_URL", "http://127.0.0.1:9")
        with pytest.raises(MountseaError):
            poster(timeout_s=0.01)
    assert poster().task_id == "hub-0001"


def test_a_task_that_is_open_is_followed(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever submitted it."""
    hub.ready_after_polls = 1000
    with pytest.raises(WaitTimeout):
        poster(timeout_s=0.1)
    begin_session(monkeypatch)
    hub.ready_after_polls = 0
    assert poster().task_id == "hub-0001"
    assert len(hub.posts) == 1


def test_an_uncertain_request_is_not_sent_again(hub: StandInHub) -> None:
    """It may have been charged; `fresh` submits anew, and from then on that one counts."""
    hub.submits.append(LOST)
    for earlier in (False, True):
        with pytest.raises(SubmissionUncertain) as caught:
            poster()
        assert caught.value.of_earlier_run is earlier
    assert len(hub.posts) == 1
    assert "--fresh" in str(caught.value) and "poster-42" in str(caught.value)
    assert poster(fresh=True).status == "completed"
    assert (poster().from_journal, len(hub.posts)) == (True, 2)


def test_another_request_under_a_used_key_is_refused(hub: StandInHub) -> None:
    """The key names one request; `fresh` submits the other one under it."""
    poster()
    with pytest.raises(InvalidRequest, match="used for another request"):
        poster("another poster")
    assert len(hub.posts) == 1
    poster("another poster", fresh=True)
    with pytest.raises(InvalidRequest, match="used for another request"):
        poster()
    assert len(hub.posts) == 2


def test_cache_changes_nothing_and_seeds_do_not_matter(hub: StandInHub) -> None:
    """Two keys are two orders of one request."""
    for key in ("a", "b"):
        poster(key=key, cache=True)
    assert (len(hub.posts), poster(key="b", cache=True).task_id) == (2, "hub-0002")


def test_keys_of_two_hubs_are_independent(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one Hub has made never answers for another."""
    poster()
    with StandInHub() as other:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", other.url)
        assert not poster().from_journal
        assert len(other.posts) == 1


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return an event that is set once the journal was asked for a key."""
    event, find = threading.Event(), Journal.find_by_key

    async def note(self: Journal, hub: str, key: str) -> Entry | None:
        found = await find(self, hub, key)
        event.set()
        return found

    monkeypatch.setattr(Journal, "find_by_key", note)
    return event


def test_a_submission_of_another_process_is_waited_for(
    hub: StandInHub, looked: threading.Event
) -> None:
    """Then it is followed."""
    entry = _submitting(hub)
    journal().write(entry)

    def respond() -> None:
        looked.wait(HANG_S)
        task = hub_task(hub)
        journal().write(replace(entry, task_id=task, status=Status.SUBMITTED))

    answering = threading.Thread(target=respond)
    answering.start()
    assert poster().task_id == "hub-0001"
    answering.join()
    assert len(hub.posts) == 1


def hub_task(hub: StandInHub) -> str:
    """Create a task at the Hub, as another process would."""
    generation = Generation(build_request("a poster"))
    here = current_session()
    here.worker.run(here.generate(generation, here.settings()))
    return str(generation.task_id)


@pytest.mark.parametrize("age_s", [SUBMISSION_TIMEOUT_S + 1, 10 * SUBMISSION_TIMEOUT_S])
def test_an_old_submission_without_a_response_is_uncertain(hub: StandInHub, age_s: float) -> None:
    """Nobody waits for it any more."""
    entry = _submitting(hub)
    journal().write(replace(entry, updated=entry.updated - age_s))
    with pytest.raises(SubmissionUncertain):
        poster()
    assert hub.posts == []


def _submitting(hub: StandInHub) -> Entry:
    return Entry.begin(hub.url, build_request("a poster"), idempotency_key="poster-42")


def test_without_a_journal_nothing_is_submitted_under_a_key(hub: StandInHub, home: Path) -> None:
    """Nobody could say whether it was submitted before."""
    (home / "journal.sqlite").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="journal can't be used"):
        poster()
    assert hub.posts == []


def test_a_download_that_failed_is_fetched_under_the_key(hub: StandInHub) -> None:
    """The task was paid for."""
    hub.downloads += [json_reply({}, 500)] * 4
    with pytest.raises(DownloadFailed):
        poster()
    assert poster().task_id == "hub-0001"
    assert len(hub.posts) == 1


def test_two_processes_that_begin_at_once_submit_once(hub: StandInHub, home: Path) -> None:
    """One submits, the other follows; each gets the images."""
    hub.ready_after_polls = 2
    code = textwrap.dedent(
        """
        import sys
        from mountsea_magic.generation.handle import Generation
        from mountsea_magic.request.request import build_request
        from mountsea_magic.session import current_session
        here = current_session()
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(5):
            poster = Generation(build_request("a poster"), idempotency_key=f"poster-{number}")
            here.worker.run(here.generate(poster, here.settings()))
            print(poster.task_id, poster[0].path.exists(), flush=True)
        """
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=HANG_S)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    assert len(hub.posts) == len(outputs[0]) == 5


def test_a_cancelled_wait_for_another_process_sends_nothing(
    hub: StandInHub, looked: threading.Event
) -> None:
    """The other process goes on."""
    journal().write(_submitting(hub))

    async def work() -> None:
        here = current_session()
        generation = Generation(build_request("a poster"), idempotency_key="poster-42")
        waiting = asyncio.ensure_future(here.generate(generation, here.settings()))
        await asyncio.to_thread(looked.wait, HANG_S)
        waiting.cancel()
        await asyncio.wait([waiting])

    current_session().worker.run(work())
    assert hub.posts == []
