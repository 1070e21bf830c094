"""Placing an order over real sockets: how often it is sent, and what the journal then says."""

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
from typing import Self

import pytest
from hub_server import (
    BAD_GATEWAY,
    KEY,
    RESET,
    SILENT,
    Reply,
    Script,
    StandInHub,
    image,
    json_reply,
    nobody,
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
from mountsea_magic.generation.events import Event, RetryScheduled, Submitted, Submitting
from mountsea_magic.generation.handle import Generation
from mountsea_magic.generation.submit import PendingSubmissions, submit
from mountsea_magic.hub import error_mapping, exchange
from mountsea_magic.hub.client import HubClient
from mountsea_magic.journal.entry import Entry
from mountsea_magic.journal.journal import Journal, JournaledSubmission
from mountsea_magic.request.request import build_request
from mountsea_magic.session import Session
from mountsea_magic.settings import Secret

DOG = build_request("a dog")


@dataclass
class Order:
    """One order on its way through `submit`.

    Attributes:
        record: Its entry.
        pending: What keeps it alive.
        told: The task ids it told.
        events: What it yielded.
        error: What it raised.
    """

    record: JournaledSubmission
    pending: PendingSubmissions
    told: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    error: MountseaError | None = None

    async def submit(self, hub: HubClient, *, timeout_s: float = 600.0) -> None:
        """Place it, and keep what comes of it."""
        try:
            steps = submit(
                hub, DOG, self.record, self.pending, self.told.append, timeout_s=timeout_s
            )
            async for event in steps:
                self.events.append(event)
        except MountseaError as error:
            self.error = error


@pytest.fixture
def path(home: Path) -> Path:
    """Where the journal is."""
    return home / "journal.sqlite"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Make the pauses between the tries short, and list how long they would have been."""
    found: list[float] = []
    sleep = asyncio.sleep

    async def brief(delay_s: float) -> None:
        found.append(delay_s)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", brief)
    return found


@asynccontextmanager
async def desk(url: str, path: Path) -> AsyncIterator[tuple[Order, HubClient]]:
    """Give an order that is about to be placed at a Hub, and that Hub's client."""
    made = HubClient(url, Secret(KEY))
    try:
        yield (
            Order(JournaledSubmission(Journal(path), Entry.begin(url, DOG)), PendingSubmissions()),
            made,
        )
    finally:
        await made.aclose()


def placed(url: str, path: Path, *, timeout_s: float = 600.0) -> Order:
    """Place one order and return what came of it."""

    async def work() -> Order:
        async with desk(url, path) as (order, hub):
            await order.submit(hub, timeout_s=timeout_s)
            await order.pending.drain()
            return order

    return asyncio.run(work())


def state(path: Path) -> tuple[str, str | None]:
    """Return state and task of the only entry in the journal."""
    (entry,) = Journal(path).search()
    return entry.state, entry.task_id


def busy(after: str | None = None, body: object = None) -> Reply:
    """A 429, with or without a wish for a pause."""
    headers = {} if after is None else {"Retry-After": after}
    return json_reply(body or {"message": "Slow down."}, 429, headers=headers)


def test_an_order_that_is_taken_is_sent_once(path: Path) -> None:
    """Its task is told, written down and yielded."""
    with StandInHub() as hub:
        order = placed(hub.url, path)
        assert len(hub.posts) == 1
    assert order.events == [Submitting(), Submitted("hub-0001")]
    assert (order.told, order.error) == (["hub-0001"], None)
    assert state(path) == ("submitted", "hub-0001")


@pytest.mark.parametrize(
    ("script", "kind", "said"),
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
def test_an_order_is_sent_once_whatever_the_answer(
    path: Path, script: Sequence[Script], kind: type[MountseaError], said: str
) -> None:
    """One POST, one short error, its reason in the journal; no task is told."""
    with StandInHub(submits=script) as hub:
        order = placed(hub.url, path)
        assert len(hub.requests) == len(hub.posts) == 1
    assert type(order.error) is kind
    assert (order.told, order.events) == ([], [Submitting()])
    assert state(path) == (said, None)
    (entry,) = Journal(path).search()
    assert entry.error == str(order.error)


NOW = datetime(2026, 5, 18, 9, tzinfo=UTC)


class StoppedClock(datetime):
    """A clock that does not go on between the Hub's date and when it is read."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Return the one moment."""
        return cls.fromtimestamp(NOW.timestamp(), tz)


def in_seconds(seconds: float) -> str:
    """Write a moment as an HTTP date."""
    return email.utils.format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (lambda: [busy("2")], [2.0]),
        (lambda: [busy("0")], [1.0]),
        (lambda: [busy()], [1.0]),
        (lambda: [busy("soon")], [1.0]),
        (lambda: [busy("-5")], [1.0]),
        (lambda: [busy(in_seconds(10))], [10.0]),
        (lambda: [busy(in_seconds(-3600))], [1.0]),
        (lambda: [Reply(429, b"<html>quota page of a proxy</html>")], [1.0]),
        (lambda: [busy("5"), busy(), busy("1")], [5.0, 2.0, 4.0]),
    ],
    ids=["2 s", "0 s", "none", "word", "negative", "date", "past date", "HTML", "several"],
)
def test_a_busy_hub_is_asked_again_after_the_pause_it_wants(
    path: Path,
    pauses: list[float],
    answers: Callable[[], list[Script]],
    expected: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One POST more than there were refusals, and the task of the last."""
    monkeypatch.setattr(error_mapping, "datetime", StoppedClock)
    with StandInHub(submits=answers()) as hub:
        order = placed(hub.url, path)
        assert len(hub.posts) == len(expected) + 1
        assert len({seen.body for seen in hub.posts}) == 1
    assert order.told == ["hub-0001"]
    assert [type(event) for event in order.events] == [
        *[Submitting, RetryScheduled] * len(expected),
        *[Submitting, Submitted],
    ]
    assert state(path) == ("submitted", "hub-0001")
    for pause_s, least_s in zip(pauses, expected, strict=True):
        assert least_s <= pause_s <= least_s * 1.25


def test_no_retry_is_begun_past_the_timeout(path: Path, pauses: list[float]) -> None:
    """With a timeout of 4 s a busy Hub is asked again after 1 and 2 s, and not after 4 s more."""
    with StandInHub(submits=[busy()] * 9) as hub:
        order = placed(hub.url, path, timeout_s=4.0)
        assert len(hub.posts) == 3
    assert isinstance(order.error, RateLimited)
    assert len(pauses) == 2
    assert state(path) == ("refused", None)


def test_a_hub_that_stays_busy_is_given_up(path: Path, pauses: list[float]) -> None:
    """Five tries within the budget; the last refusal is told, and nothing was ordered."""
    with StandInHub(submits=[busy()] * 9) as hub:
        order = placed(hub.url, path)
        assert len(hub.posts) == 5
    assert isinstance(order.error, RateLimited)
    assert "Nothing was ordered" in str(order.error)
    assert len(pauses) == 4 and sum(pauses) <= 30
    assert state(path) == ("refused", None)


@pytest.mark.parametrize(
    ("last", "said"), [(RESET, "uncertain"), (busy(None, {"message": "no credits"}), "refused")]
)
def test_a_refusal_gives_no_licence_for_what_comes_after(
    path: Path, pauses: list[float], last: Reply, said: str
) -> None:
    """After a 429 the second POST is as precious as the first."""
    with StandInHub(submits=[busy(), last]) as hub:
        order = placed(hub.url, path)
        assert len(hub.posts) == 2
    assert order.error is not None
    assert (order.told, state(path)) == ([], (said, None))


def test_an_order_that_never_arrived_is_tried_a_few_times(path: Path, pauses: list[float]) -> None:
    """A closed port: three tries, then the journal says that it was not sent."""
    with nobody() as url:
        order = placed(url, path)
    assert isinstance(order.error, HubUnavailable)
    assert order.events.count(Submitting()) == 3
    assert len(pauses) == 2
    assert state(path) == ("unsent", None)


def test_a_hub_that_comes_back_gets_the_order_once(path: Path) -> None:
    """Refused connections cost nothing; the first that stands carries the only POST."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        seen = bytearray()

        def answer_one() -> None:
            reserved.listen()
            connection, _ = reserved.accept()
            with connection:
                while not seen.endswith(b"}}"):
                    seen.extend(connection.recv(65536))
                body = b'{"task_id": "hub-1"}'
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                connection.sendall(body)

        async def work() -> Order:
            async with desk(url, path) as (order, hub):
                async for event in submit(hub, DOG, order.record, order.pending, order.told.append):
                    if isinstance(event, RetryScheduled) and not serving.is_alive():
                        serving.start()
                return order

        serving = threading.Thread(target=answer_one)
        order = asyncio.run(work())
        serving.join()
    assert (order.told, seen.count(b"POST /hub/v1/image")) == (["hub-1"], 1)
    assert state(path) == ("submitted", "hub-1")


def test_a_hub_that_says_nothing_is_not_asked_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the read time-out has passed the order may have been taken all the same."""
    monkeypatch.setattr(exchange, "SUBMIT_READ_S", 0.2)
    with StandInHub(submits=[SILENT]) as hub:
        order = placed(hub.url, path)
        hub.wait_until(lambda: len(hub.posts) == 1)
    assert isinstance(order.error, SubmissionUncertain)
    assert "ReadTimeout" in str(order.error)
    assert state(path) == ("uncertain", None)


@pytest.mark.parametrize(
    ("answer", "said", "told"),
    [
        (lambda hold: json_reply({"task_id": "hub-7"}, hold=hold), "submitted", ["hub-7"]),
        (lambda hold: json_reply({"message": "busy"}, 429, hold=hold), "refused", []),
        (lambda hold: json_reply({"message": "no"}, 422, hold=hold), "refused", []),
        (lambda hold: json_reply({"message": "oops"}, 500, hold=hold), "uncertain", []),
        (lambda hold: Reply(reset=True, hold=hold), "uncertain", []),
    ],
    ids=["taken", "429", "422", "500", "reset"],
)
def test_a_cancel_gives_back_at_once_and_the_order_flies_on(
    path: Path, answer: Callable[[threading.Event], Reply], said: str, told: list[str]
) -> None:
    """Its row is there before it arrives; its answer is written down; it is never sent again."""
    hold = threading.Event()

    async def work(hub: StandInHub) -> None:
        async with desk(hub.url, path) as (order, hub_client):
            placing = asyncio.ensure_future(order.submit(hub_client))
            await asyncio.to_thread(hub.wait_until, lambda: len(hub.posts) == 1)
            assert state(path) == ("submitting", None)
            placing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await placing
            assert (order.pending.count, hold.is_set(), order.told) == (1, False, [])
            hold.set()
            await order.pending.drain()
            assert (order.pending.count, order.told) == (0, told)

    with StandInHub(submits=[answer(hold)]) as hub:
        asyncio.run(work(hub))
        assert len(hub.requests) == 1
    assert state(path) == (said, told[0] if told else None)


def test_an_id_that_comes_while_the_journal_is_locked_is_written_later(path: Path) -> None:
    """Even if the cell is long gone by then."""
    hold = threading.Event()

    async def work(hub: StandInHub) -> None:
        async with desk(hub.url, path) as (order, hub_client):
            placing = asyncio.ensure_future(order.submit(hub_client))
            await asyncio.to_thread(hub.wait_until, lambda: len(hub.posts) == 1)
            placing.cancel()
            await asyncio.wait([placing])
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                hold.set()
                while not order.told:
                    await asyncio.sleep(0.01)
                other.execute("ROLLBACK")
            await order.pending.drain()

    with StandInHub(submits=[json_reply({"task_id": "hub-7"}, hold=hold)]) as hub:
        asyncio.run(work(hub))
    assert state(path) == ("submitted", "hub-7")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A fresh session on the process's loop thread, and a SIGINT that interrupts as in a kernel."""
    fresh = begin_session(monkeypatch)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield fresh
    signal.signal(signal.SIGINT, before)
    fresh.worker.run(fresh.clients.aclose())


def test_an_interrupt_in_mid_flight_loses_no_task(
    path: Path, here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cell is back before the answer is; later the images come without a second POST."""
    hold = threading.Event()
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
    with StandInHub() as hub:
        taken = {"task_id": "hub-0001"}
        hub.submits.append(json_reply(taken, hold=hold))
        hub.polls.append(hub.done(hub.data([image()])))
        monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)

        def press_stop() -> None:
            hub.wait_until(lambda: len(hub.posts) == 1)
            _thread.interrupt_main()

        stopping = threading.Thread(target=press_stop)
        stopping.start()
        with pytest.raises(Interrupted, match=r"on its way.*charged if it completes.*resume"):
            generate("a dog")
        stopping.join()
        assert (here.pending_submissions, hold.is_set()) == (1, False)
        hold.set()
        here.worker.run(here.drain())
        assert state(path) == ("submitted", "hub-0001")
        (dog,) = here.open
        assert (dog.task_id, dog.status) == ("hub-0001", "submitted")
        again = Generation(None, task_id="hub-0001")
        here.worker.run(here.generate(again, here.settings()))
        assert len(hub.posts) == 1
    assert again[0].bytes == image()
    assert state(path) == ("completed", "hub-0001")


def test_a_process_that_ends_in_mid_flight_still_learns_its_task(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that is stopped waits a moment for the answer, and leaves the id behind."""
    hold = threading.Event()
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
    with StandInHub(submits=[json_reply({"task_id": "hub-7"}, hold=hold)]) as hub:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
        script = subprocess.Popen(
            [sys.executable, "-c", "import mountsea_magic as m; m.generate('a dog')"],
            stderr=subprocess.PIPE,
            text=True,
        )
        hub.wait_until(lambda: len(hub.posts) == 1, timeout_s=30)
        script.send_signal(signal.SIGINT)
        assert script.stderr is not None
        while "Interrupted: Stopped waiting" not in (line := script.stderr.readline()):
            assert line
        hold.set()
        _, rest = script.communicate(timeout=30)
        assert len(hub.requests) == 1
    assert (rest, state(path)) == ("", ("submitted", "hub-7"))
