"""Submissions over real sockets: how often the POST is sent, and what is journaled."""

from __future__ import annotations

import _thread
import asyncio
import email.utils
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import pytest
from hang import HANG_S
from hub_server import (
    BAD_GATEWAY,
    KEY,
    RESET,
    SILENT,
    Reply,
    Script,
    StandInHub,
    closed_port,
    image,
    json_reply,
)
from own_session import begin_session

from mountsea_magic import generate
from mountsea_magic.errors import (
    AuthenticationError,
    ConfigurationError,
    HubUnavailable,
    InsufficientCredits,
    Interrupted,
    InvalidRequest,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
)
from mountsea_magic.generation.events import Event, RetryScheduled, Submitting
from mountsea_magic.generation.handle import Generation
from mountsea_magic.generation.submit import MAX_SUBMISSIONS, PendingSubmissions, submit
from mountsea_magic.hub import error_mapping, exchange
from mountsea_magic.hub.client import HubClient
from mountsea_magic.journal.database import JournalError
from mountsea_magic.journal.entry import Entry
from mountsea_magic.journal.journal import Journal, JournaledSubmission
from mountsea_magic.journal.writer import JournalWriter
from mountsea_magic.request.request import build_request
from mountsea_magic.session import Session
from mountsea_magic.settings import Secret

DOG = build_request("a dog")


@dataclass
class Submission:
    """One call of `submit` and its outcome.

    Attributes:
        record: The journal entry.
        pending: Keeps the POST alive.
        task_ids: The arguments of `on_task_id`.
        events: The events.
        returned: The task id that was returned, or None.
        error: The error, or None.
    """

    record: JournaledSubmission
    pending: PendingSubmissions
    task_ids: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    returned: str | None = None
    error: MountseaError | None = None

    async def submit(self, hub: HubClient, *, timeout_s: float = 600.0) -> None:
        """Submit the request, and record the outcome."""
        try:
            self.returned = await submit(
                hub,
                DOG,
                self.record,
                self.pending,
                on_event=self.on_event,
                on_task_id=self.task_ids.append,
                timeout_s=timeout_s,
            )
        except MountseaError as error:
            self.error = error

    def on_event(self, event: Event) -> None:
        """Record an event."""
        self.events.append(event)


@pytest.fixture
def path(home: Path) -> Path:
    """The path of the journal."""
    return home / "journal.sqlite"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Skip the pauses between retries, and record their lengths."""
    recorded: list[float] = []
    sleep = asyncio.sleep

    async def no_sleep(delay_s: float) -> None:
        recorded.append(delay_s)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    return recorded


@asynccontextmanager
async def prepared(url: str, path: Path) -> AsyncIterator[tuple[Submission, HubClient]]:
    """Return a submission that has not started yet, and the Hub's client."""
    client = HubClient(url, Secret(KEY))
    try:
        yield (
            Submission(
                JournaledSubmission(Journal(path), Entry.begin(url, DOG)), PendingSubmissions()
            ),
            client,
        )
    finally:
        await client.aclose()


def submit_once(url: str, path: Path, *, timeout_s: float = 600.0) -> Submission:
    """Submit one request and return the outcome."""

    async def work() -> Submission:
        async with prepared(url, path) as (submission, hub):
            await submission.submit(hub, timeout_s=timeout_s)
            await submission.pending.drain()
            return submission

    return asyncio.run(work())


def status(path: Path) -> tuple[str, str | None]:
    """Return the status and the task id of the only entry in the journal."""
    (entry,) = Journal(path).search()
    return entry.status, entry.task_id


def busy(retry_after: str | None = None, body: object = None) -> Reply:
    """A 429, with or without `Retry-After`."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return json_reply(body or {"message": "Slow down."}, 429, headers=headers)


def test_an_accepted_request_is_sent_once(path: Path) -> None:
    """Its task id is passed on, journaled and returned."""
    with StandInHub() as hub:
        submission = submit_once(hub.url, path)
        assert len(hub.posts) == 1
    assert (submission.events, submission.returned) == ([Submitting()], "hub-0001")
    assert (submission.task_ids, submission.error) == (["hub-0001"], None)
    assert status(path) == ("submitted", "hub-0001")


@pytest.mark.parametrize(
    ("script", "kind", "journaled"),
    [
        ([RESET], SubmissionUncertain, "uncertain"),
        ([json_reply({"message": "oops"}, 500)], SubmissionUncertain, "uncertain"),
        ([BAD_GATEWAY], SubmissionUncertain, "uncertain"),
        ([json_reply({}, 503, headers={"Retry-After": "1"})], SubmissionUncertain, "uncertain"),
        ([json_reply({"message": "slow"}, 504)], SubmissionUncertain, "uncertain"),
        ([json_reply({"message": "slow"}, 408)], SubmissionUncertain, "uncertain"),
        ([Reply(200, b"<html>Sign in</html>")], SubmissionUncertain, "uncertain"),
        ([json_reply({"status": "pending"})], SubmissionUncertain, "uncertain"),
        ([json_reply({"task_id": ""}, 201)], SubmissionUncertain, "uncertain"),
        ([json_reply(["hub-1"], 202)], SubmissionUncertain, "uncertain"),
        ([Reply(200, b'{"task_id": "hub-1"', length=90)], SubmissionUncertain, "uncertain"),
        ([Reply(204)], SubmissionUncertain, "uncertain"),
        ([json_reply({"message": "no"}, 400)], InvalidRequest, "refused"),
        ([json_reply({"message": "no"}, 401)], AuthenticationError, "refused"),
        ([json_reply({"message": "no"}, 402)], InsufficientCredits, "refused"),
        ([json_reply({"message": "no"}, 403)], AuthenticationError, "refused"),
        ([json_reply({"message": "no"}, 404)], InvalidRequest, "refused"),
        ([json_reply({"message": "no"}, 409)], InvalidRequest, "refused"),
        ([json_reply({"message": "no"}, 422)], InvalidRequest, "refused"),
        ([Reply(307, headers={"Location": "/elsewhere"})], ConfigurationError, "refused"),
        ([busy("31")], RateLimited, "refused"),
        ([busy("999999999")], RateLimited, "refused"),
        ([busy("Wed, 21 Oct 2122 07:28:00 GMT")], RateLimited, "refused"),
        ([busy("1", {"message": "You have no credits left"})], RateLimited, "refused"),
        ([busy(None, {"error": {"code": "quota_exceeded"}})], RateLimited, "refused"),
        ([busy(None, {"detail": [{"msg": "balance too low"}]})], RateLimited, "refused"),
    ],
    ids=repr,
)
def test_other_responses_are_not_retried(
    path: Path, script: Sequence[Script], kind: type[MountseaError], journaled: str
) -> None:
    """One POST, one journaled error; the same for a 429 about credits or with a long pause."""
    with StandInHub(submits=script) as hub:
        submission = submit_once(hub.url, path)
        assert len(hub.requests) == len(hub.posts) == 1
    assert type(submission.error) is kind
    assert (submission.task_ids, submission.events) == ([], [Submitting()])
    assert status(path) == (journaled, None)
    (entry,) = Journal(path).search()
    assert entry.error == str(submission.error)


NOW = datetime(2026, 5, 18, 9, tzinfo=UTC)


class StoppedClock(datetime):
    """A clock that is stopped, so that HTTP dates lead to exact pauses."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Return the fixed time."""
        return cls.fromtimestamp(NOW.timestamp(), tz)


def http_date(seconds: float) -> str:
    """Return an HTTP date this many seconds from now."""
    return email.utils.format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("responses", "expected"),
    [
        (lambda: [busy("2")], [2.0]),
        (lambda: [busy("0")], [1.0]),
        (lambda: [busy()], [1.0]),
        (lambda: [busy("soon")], [1.0]),
        (lambda: [busy("-5")], [1.0]),
        (lambda: [busy(http_date(10))], [10.0]),
        (lambda: [busy(http_date(-3600))], [1.0]),
        (lambda: [Reply(429, b"<html>quota page of a proxy</html>")], [1.0]),
        (lambda: [busy("5"), busy(), busy("1")], [5.0, 2.0, 4.0]),
    ],
    ids=["2 s", "0 s", "none", "word", "negative", "date", "past date", "HTML", "several"],
)
def test_a_429_is_retried_after_the_requested_pause(
    path: Path,
    pauses: list[float],
    responses: Callable[[], list[Script]],
    expected: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One POST for each 429 and a last one, whose task id is returned."""
    monkeypatch.setattr(error_mapping, "datetime", StoppedClock)
    with StandInHub(submits=responses()) as hub:
        submission = submit_once(hub.url, path)
        assert len(hub.posts) == len(expected) + 1
        assert len({seen.body for seen in hub.posts}) == 1
    assert (submission.task_ids, submission.returned) == (["hub-0001"], "hub-0001")
    assert [type(event) for event in submission.events] == [
        *[Submitting, RetryScheduled] * len(expected),
        Submitting,
    ]
    assert status(path) == ("submitted", "hub-0001")
    for pause_s, least_s in zip(pauses, expected, strict=True):
        assert least_s <= pause_s <= least_s * 1.25


def test_no_retry_is_started_past_the_timeout(path: Path, pauses: list[float]) -> None:
    """With a timeout of 4 s a 429 is retried after 1 and 2 s, and not after 4 s more."""
    with StandInHub(submits=[busy()] * 9) as hub:
        submission = submit_once(hub.url, path, timeout_s=4.0)
        assert len(hub.posts) == 3
    assert isinstance(submission.error, RateLimited)
    assert len(pauses) == 2
    assert status(path) == ("refused", None)


def test_a_429_is_retried_four_times(path: Path, pauses: list[float]) -> None:
    """Five POSTs within the retry budget; then the error says that nothing was submitted."""
    with StandInHub(submits=[busy()] * 9) as hub:
        submission = submit_once(hub.url, path)
        assert len(hub.posts) == 5
    assert isinstance(submission.error, RateLimited)
    assert "Nothing was submitted" in str(submission.error)
    assert len(pauses) == 4 and sum(pauses) <= 30
    assert status(path) == ("refused", None)


@pytest.mark.parametrize(
    ("last", "journaled"),
    [(RESET, "uncertain"), (busy(None, {"message": "no credits"}), "refused")],
)
def test_after_a_429_the_retry_is_judged_like_the_first_attempt(
    path: Path, pauses: list[float], last: Reply, journaled: str
) -> None:
    """A second POST whose outcome is uncertain, or that is refused, is not retried."""
    with StandInHub(submits=[busy(), last]) as hub:
        submission = submit_once(hub.url, path)
        assert len(hub.posts) == 2
    assert submission.error is not None
    assert (submission.task_ids, status(path)) == ([], (journaled, None))


def test_a_refused_connection_is_retried_twice(path: Path, pauses: list[float]) -> None:
    """A closed port: three attempts, then it is journaled as not sent."""
    with closed_port() as url:
        submission = submit_once(url, path)
    assert isinstance(submission.error, HubUnavailable)
    assert submission.events.count(Submitting()) == 3
    assert len(pauses) == 2
    assert status(path) == ("unsent", None)


def test_a_hub_that_comes_back_receives_one_post(path: Path) -> None:
    """After refused connections, the first that succeeds carries the only POST."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        seen = bytearray()

        def respond_once() -> None:
            reserved.listen()
            connection, _ = reserved.accept()
            with connection:
                while not seen.endswith(b"}}"):
                    seen.extend(connection.recv(65536))
                body = b'{"task_id": "hub-1"}'
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                connection.sendall(body)

        async def work() -> Submission:
            async with prepared(url, path) as (submission, hub):
                await submit(
                    hub,
                    DOG,
                    submission.record,
                    submission.pending,
                    on_event=serve_once,
                    on_task_id=submission.task_ids.append,
                )
                return submission

        def serve_once(event: Event) -> None:
            if isinstance(event, RetryScheduled) and not serving.is_alive():
                serving.start()

        serving = threading.Thread(target=respond_once)
        submission = asyncio.run(work())
        serving.join()
    assert (submission.task_ids, seen.count(b"POST /hub/v1/image")) == (["hub-1"], 1)
    assert status(path) == ("submitted", "hub-1")


def test_a_read_timeout_is_not_retried(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub may have accepted the request, so the submission is uncertain."""
    monkeypatch.setattr(exchange, "SUBMIT_READ_TIMEOUT_S", 0.2)
    with StandInHub(submits=[SILENT]) as hub:
        submission = submit_once(hub.url, path)
        hub.wait_until(lambda: len(hub.posts) == 1)
    assert isinstance(submission.error, SubmissionUncertain)
    assert "ReadTimeout" in str(submission.error)
    assert status(path) == ("uncertain", None)


@pytest.mark.parametrize(
    ("response", "journaled", "task_ids"),
    [
        (lambda hold: json_reply({"task_id": "hub-7"}, hold=hold), "submitted", ["hub-7"]),
        (lambda hold: json_reply({"message": "busy"}, 429, hold=hold), "refused", []),
        (lambda hold: json_reply({"message": "no"}, 422, hold=hold), "refused", []),
        (lambda hold: json_reply({"message": "oops"}, 500, hold=hold), "uncertain", []),
        (lambda hold: Reply(reset=True, hold=hold), "uncertain", []),
    ],
    ids=["accepted", "429", "422", "500", "reset"],
)
def test_a_cancelled_submission_is_completed_in_the_background(
    path: Path, response: Callable[[threading.Event], Reply], journaled: str, task_ids: list[str]
) -> None:
    """The entry exists before the POST arrives; its response is journaled; nothing is resent."""
    hold = threading.Event()

    async def work(hub: StandInHub) -> None:
        async with prepared(hub.url, path) as (submission, hub_client):
            submitting = asyncio.ensure_future(submission.submit(hub_client))
            await asyncio.to_thread(hub.wait_until, lambda: len(hub.posts) == 1)
            assert status(path) == ("submitting", None)
            submitting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await submitting
            assert (submission.pending.count, hold.is_set(), submission.task_ids) == (1, False, [])
            hold.set()
            await submission.pending.drain()
            assert (submission.pending.count, submission.task_ids) == (0, task_ids)

    with StandInHub(submits=[response(hold)]) as hub:
        asyncio.run(work(hub))
        assert len(hub.requests) == 1
    assert status(path) == (journaled, task_ids[0] if task_ids else None)


def test_a_callback_that_raises_before_the_post_frees_its_slot(path: Path) -> None:
    """Nothing is sent, however often that happens, and the next submission is not blocked."""

    def stop(event: Event) -> None:
        raise LookupError(event)

    async def work(hub: StandInHub) -> Submission:
        async with prepared(hub.url, path) as (submission, hub_client):
            for _ in range(MAX_SUBMISSIONS):
                with pytest.raises(LookupError):
                    await submit(
                        hub_client,
                        DOG,
                        submission.record,
                        submission.pending,
                        on_event=stop,
                        on_task_id=submission.task_ids.append,
                    )
            assert (hub.requests, submission.pending.count) == ([], 0)
            async with asyncio.timeout(HANG_S):
                await submission.submit(hub_client)
            return submission

    with StandInHub() as hub:
        submission = asyncio.run(work(hub))
        assert len(hub.posts) == 1
    assert submission.returned == "hub-0001"


def test_a_task_id_is_journaled_once_the_lock_is_released(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the cell has ended by then; only then it is reported."""
    hold = threading.Event()

    async def work(hub: StandInHub) -> None:
        locked, write = asyncio.Event(), JournalWriter.run

        async def note(self: JournalWriter, *given: Any, **more: Any) -> Any:
            try:
                return await write(self, *given, **more)
            except JournalError:
                locked.set()
                raise

        monkeypatch.setattr(JournalWriter, "run", note)
        async with prepared(hub.url, path) as (submission, hub_client):
            submitting = asyncio.ensure_future(submission.submit(hub_client))
            await asyncio.to_thread(hub.wait_until, lambda: len(hub.posts) == 1)
            submitting.cancel()
            await asyncio.wait([submitting])
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                hold.set()
                await locked.wait()
                assert submission.task_ids == []
                other.execute("ROLLBACK")
            await submission.pending.drain()

    with StandInHub(submits=[json_reply({"task_id": "hub-7"}, hold=hold)]) as hub:
        asyncio.run(work(hub))
    assert status(path) == ("submitted", "hub-7")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A new session, and a SIGINT that raises KeyboardInterrupt as in a kernel."""
    fresh = begin_session(monkeypatch)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield fresh
    signal.signal(signal.SIGINT, before)
    fresh.worker.run(fresh.clients.aclose())


def test_an_interrupt_during_a_submission_loses_no_task(
    path: Path, here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cell ends before the response arrives; a resume needs no second POST."""
    hold = threading.Event()
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
    with StandInHub() as hub:
        accepted = {"task_id": "hub-0001"}
        hub.submits.append(json_reply(accepted, hold=hold))
        hub.polls.append(hub.done(hub.data([image()])))
        monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)

        def press_stop() -> None:
            hub.wait_until(lambda: len(hub.posts) == 1)
            _thread.interrupt_main()

        stopping = threading.Thread(target=press_stop)
        stopping.start()
        with pytest.raises(
            Interrupted, match=r"already being submitted.*charged if it\s+completes.*resume"
        ):
            generate("a dog")
        stopping.join()
        assert (here.pending_submissions, hold.is_set()) == (1, False)
        hold.set()
        here.worker.run(here.drain())
        assert status(path) == ("submitted", "hub-0001")
        (dog,) = here.open
        assert (dog.task_id, dog.status) == ("hub-0001", "submitted")
        resumed = Generation(None, task_id="hub-0001")
        here.worker.run(here.generate(resumed, here.settings()))
        assert len(hub.posts) == 1
    assert resumed[0].bytes == image()
    assert status(path) == ("completed", "hub-0001")


def test_a_process_waits_at_exit_for_a_pending_submission(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted script waits a moment for the response, and journals the task id."""
    hold = threading.Event()
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
    with StandInHub(submits=[json_reply({"task_id": "hub-7"}, hold=hold)]) as hub:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
        script = subprocess.Popen(
            [sys.executable, "-c", "import mountsea_magic as m; m.generate('a dog')"],
            stderr=subprocess.PIPE,
            text=True,
        )
        hub.wait_until(lambda: len(hub.posts) == 1)
        script.send_signal(signal.SIGINT)
        assert script.stderr is not None
        while "Interrupted: Stopped waiting" not in (line := script.stderr.readline()):
            assert line
        hold.set()
        _, rest = script.communicate(timeout=HANG_S)
        assert len(hub.requests) == 1
    assert (rest, status(path)) == ("", ("submitted", "hub-7"))
