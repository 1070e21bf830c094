"""One generation among seeded faults: how it goes, how it is resumed, and what must then hold."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fault_catalog import FAULTS
from fault_layer import HUB, KEY, SIGNATURE, FaultLayer, own_disk, paint_small
from fault_machine import Machine
from hub_server import all_text_of
from quick_loop import QuickLoop

from mountsea_magic import session as process_session
from mountsea_magic.clients import ClientPool
from mountsea_magic.demo.server.tasks import DemoTask
from mountsea_magic.errors import (
    HubUnavailable,
    Interrupted,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
    TaskFailed,
)
from mountsea_magic.generation.events import Event, Notice
from mountsea_magic.generation.handle import Generation
from mountsea_magic.hub.client import HubClient
from mountsea_magic.journal.journal import Journal
from mountsea_magic.notebook.commands import tasks
from mountsea_magic.request.request import ImageRequest
from mountsea_magic.runtime import rng as chance
from mountsea_magic.session import Session
from mountsea_magic.settings import Settings

SEQUENCES = 2000
"""How many are tried on a virtual clock."""

OVER_SOCKETS = 25
"""How many are tried over real sockets, too."""


class Wired(ClientPool):
    """Connections that all lead through one fault layer."""

    def __init__(self, layer: FaultLayer) -> None:
        """Connect to nothing yet."""
        super().__init__()
        self._layer = layer

    def client(self, settings: Settings) -> HubClient:
        """Return a client with the real key, whose network is the fault layer."""
        return HubClient(settings.base_url, settings.require_key(), transport=self._layer)


@dataclass
class Heard:
    """All that reaches a user, a log or a file in one sequence.

    Attributes:
        errors: What was raised.
        events: What the progress line was told.
        texts: What was printed or logged.
    """

    errors: list[BaseException] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def notices(self) -> str:
        """Return what was said about this machine."""
        return "\n".join(event.text for event in self.events if isinstance(event, Notice))


class Sequence:
    """One generation among faults, what is resumed of it afterwards, and what must then hold."""

    def __init__(self, seed: int, folder: Path, records: list[str]) -> None:
        """Throw the dice.

        Args:
            seed: Of all the dice.
            folder: A fresh one.
            records: Where the log goes.
        """
        self.rng = rng = random.Random(seed)
        chance.RNG.seed(seed)
        self.home = folder / "home"
        self.layer = FaultLayer(
            rng,
            folder / "hub",
            FAULTS,
            rates={
                "order": rng.choice((0.0, 0.0, 0.4, 0.9)),
                "task": rng.choice((0.0, 0.1, 0.2, 0.5)),
                "picture": rng.choice((0.0, 0.3, 0.6, 0.9)),
            },
            seconds=rng.choice((0.0, 1.0, 8.0, 40.0, 900.0)),
        )
        self.machine = Machine(self.home, self.layer) if rng.random() < 0.35 else None
        self.ending = rng.choice(("wait", "wait", "interrupt", "kill" if not self.machine else ""))
        given: dict[str, Any] = {"prompt": rng.choice(("a dog", "a dog", "a dog", "[fail]"))}
        given |= rng.choice(({}, {"num_images": 3}, {"output_format": "jpeg", "num_images": 2}))
        given |= rng.choice(({}, {"seed": rng.randrange(2**31)}))
        given |= {"sync_mode": True} if rng.random() < 0.2 else {}
        self.request = ImageRequest("nano-banana", given)
        self.timeout_s = rng.choice((3.0, 60.0, 600.0))
        self.heard = Heard(texts=records)
        self.snapshot: Path | None = None
        self.known: list[str] = []
        self.stopped_at: float | None = None

    async def play(self) -> None:
        """Run it, and check it."""
        first = self.session()
        generation = Generation(self.request)
        await self._faulty(first, generation)
        if self.snapshot is not None:
            shutil.rmtree(self.home)
            self.snapshot.rename(self.home)
        else:
            self.known = list(self.layer.told)
            self._check_first(first, generation)
        self.layer.settle()
        if self.machine is not None:
            self.machine.mend()
        posts = len(self.layer.orders)
        same_kernel = self.snapshot is None and self.rng.random() < 0.3
        await self._resume(first if same_kernel else self.session())
        await self._repeat()
        assert len(self.layer.orders) == posts, "something was ordered anew"
        for _ in range(3):
            await asyncio.sleep(0)  # the loop closes what was left unread
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something is left running"
        self._check_files()

    def session(self) -> Session:
        """Begin as a new kernel does."""
        session = Session()
        session.clients = Wired(self.layer)
        return session

    async def _faulty(self, session: Session, generation: Generation) -> None:
        """Order, while things break, and wait, are interrupted, or die."""
        work = session.generate(
            generation,
            session.settings(),
            timeout_s=self.timeout_s,
            on_event=self.heard.events.append,
        )
        run = asyncio.ensure_future(work)
        helpers = [asyncio.ensure_future(self.machine.break_down())] if self.machine else []
        if self.ending == "interrupt":
            helpers.append(asyncio.ensure_future(self._at_some_moment(lambda: self._stop(run))))
        if self.ending == "kill":
            helpers.append(asyncio.ensure_future(self._at_some_moment(self._kill)))
        await asyncio.wait([run])
        if self.stopped_at is not None:
            took_s = asyncio.get_running_loop().time() - self.stopped_at
            assert took_s < 0.5, "it would not stop"
        await session.drain()
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        if run.cancelled():
            self.heard.errors.append(generation.interrupted())
        elif (error := run.exception()) is not None:
            self.heard.errors.append(error)

    async def _at_some_moment(self, act: Callable[[], object]) -> None:
        """At a random time, and there between any two steps of the loop."""
        await asyncio.sleep(self.rng.choice((0.0, 1.0, 10.0, 60.0)) * self.rng.random())
        for _ in range(self.rng.choice((0, 3, 30, 100))):
            await asyncio.sleep(0)
        act()

    def _stop(self, run: asyncio.Task[Any]) -> None:
        """As the Stop button does."""
        self.layer.note("stopped")
        self.stopped_at = asyncio.get_running_loop().time()
        run.cancel()

    def _kill(self) -> None:
        """What is on disk now is all that a SIGKILL would leave."""
        self.layer.note("killed")
        self.snapshot = self.home.with_name("killed")
        self.home.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.home, self.snapshot)
        self.known = list(self.layer.told)

    def _check_first(self, session: Session, generation: Generation) -> None:
        """The right error, the right entry, and a handle that knows its task."""
        orders = self.layer.orders
        error = self.heard.errors[0] if self.heard.errors else None
        assert isinstance(error, MountseaError | Interrupted | None), repr(error)
        interrupted = isinstance(error, Interrupted)
        if "misled" not in orders:
            assert generation.task_id == (self.known[0] if self.known else None)
        assert error is None or error.task_id == generation.task_id
        kinds = {"lost": SubmissionUncertain, "unreached": HubUnavailable, "busy": RateLimited}
        if orders and orders[-1] in kinds and not interrupted:
            assert isinstance(error, kinds[orders[-1]])
        if self.known:
            assert not isinstance(error, HubUnavailable | RateLimited), "it gave a task up"
        if generation.status == "completed":
            self._check_images(generation)
        journal = session.journal(session.settings())
        later = journal.trouble()
        said = "; ".join([self.heard.notices(), *later])
        assert interrupted or not later, "it was not told of"
        if self.machine is not None and (self.machine.forgetful or self.machine.mute):
            assert self.machine.forgetful or "journal" in said or self._is_written(generation)
        else:
            assert "journal" not in said
            assert self._is_written(generation)

    def _is_written(self, generation: Generation) -> bool:
        """Whether the journal has all that is known."""
        orders = self.layer.orders
        with own_disk():
            entries = Journal(self.home / "journal.sqlite").search()
        if not orders or "misled" in orders:
            return len(entries) <= 1
        (entry,) = entries
        states = {"lost": "uncertain", "unreached": "unsent", "busy": "refused"}
        if generation.status == "completed":
            return entry.files == tuple(replace(got, url=None) for got in generation)
        state = states.get(orders[-1], entry.state)
        return (entry.task_id, entry.state) == (generation.task_id, state)

    async def _resume(self, session: Session) -> None:
        """All that is open brings its images, byte for byte."""
        broken = self.machine is not None and (self.machine.forgetful or self.machine.mute)
        journal = session.journal(session.settings())
        texts, events = len(self.heard.texts), len(self.heard.events)
        open_ids = [str(entry.task_id) for entry in session.open_tasks()]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(process_session, "_current", session)
            self.heard.texts += [tasks.history("", 20), *tasks.open_lines()]
        if not broken:
            for task_id in self.known:
                entry = journal.find(task_id, hub=HUB)
                assert entry is not None, f"{task_id} is lost"
                assert entry.is_open == (task_id in open_ids)
                if not entry.is_open and not entry.files:
                    assert entry.state == self.task(task_id).final_status == "failed"
        for task_id in dict.fromkeys([*open_ids, *self.known]):
            await self._resume_one(session, task_id, broken)
        said = [*self.heard.texts[texts:], *map(repr, self.heard.events[events:])]
        said += journal.trouble()
        assert not any("can't be used" in text for text in said)
        if not broken and "misled" not in self.layer.orders:
            assert session.open_tasks() == []

    async def _resume_one(self, session: Session, task_id: str, broken: bool) -> None:
        """A damaged journal may name what no Hub has."""
        task = self.layer.tasks.get(task_id)
        try:
            generation, settings = session.recall(task_id)
            await session.generate(generation, settings, on_event=self.heard.events.append)
        except MountseaError as error:
            self.heard.errors.append(error)
            if task is None:
                assert broken or "misled" in self.layer.orders, error
            else:
                assert task.final_status == "failed", error
                assert isinstance(error, TaskFailed)
        else:
            assert generation.task_id == task_id
            self._check_images(generation)

    async def _repeat(self) -> None:
        """The same cell with a seed is answered from the journal, also if a file was altered."""
        session = self.session()
        journal = session.journal(session.settings())
        identical = journal.find_identical(HUB, self.request.fingerprint())
        hurt = self.machine is not None and self.machine.forgetful
        if not identical or hurt or "seed" not in self.request.input:
            return
        altered = self.rng.random() < 0.3
        if altered:
            identical[0].files[0].path.write_bytes(b"altered")
        before = self.layer.requests
        again = Generation(self.request)
        await session.generate(again, session.settings(), on_event=self.heard.events.append)
        assert again.from_journal
        assert altered == (self.layer.requests > before)
        self._check_images(again)
        if altered:
            identical[0].files[0].path.unlink()

    def task(self, task_id: str) -> DemoTask:
        """Return what the Hub knows of a task."""
        task = self.layer.tasks.get(task_id)
        assert task is not None
        return task

    def _check_images(self, generation: Generation) -> None:
        """What the Hub drew is what is here."""
        task = self.task(str(generation.task_id))
        drawn = [paint_small(task, number) for number in range(task.image_count)]
        assert [image.bytes for image in generation] == drawn

    def _check_files(self) -> None:
        """Whole images or nothing, one order, and no key anywhere."""
        orders, taken = self.layer.orders, self.layer.taken()
        assert set(orders[:-1]) <= {"unreached", "busy"}, f"ordered again after {orders}"
        assert len(taken) <= 1
        assert self.layer.sins == []
        drawn = {paint_small(task, n) for task in taken for n in range(task.image_count)}
        for path in self.home.parent.rglob("*"):
            if not path.is_file() or path.is_relative_to(self.home.parent / "hub"):
                continue
            content = path.read_bytes()
            assert KEY.encode() not in content, path
            if path.parent == self.home and path.name.startswith("journal"):
                assert SIGNATURE.encode() not in content, path
            elif path.suffix == ".part":
                assert self.snapshot is not None, path
            else:
                assert content in drawn, path
        texts = [*self.heard.texts, *map(repr, self.heard.events)]
        texts += map(all_text_of, self.heard.errors)
        for text in texts:
            assert KEY not in text, [line for line in text.splitlines() if KEY in line]
            assert SIGNATURE not in text, [line for line in text.splitlines() if SIGNATURE in line]


@contextmanager
def logged(records: list[str]) -> Iterator[None]:
    """Collect what any logger says at any level."""

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(self.format(record))

    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers[:] = [Collector()]
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.handlers[:], root.level = before


def run_sequence(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Play one sequence in a folder of its own, and say what came of its order."""
    folder = tmp_path / str(seed)
    (folder / "tmp").mkdir(parents=True)
    monkeypatch.setenv("MOUNTSEA_HOME", str(folder / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    records: list[str] = []
    with QuickLoop() as loop, logged(records):
        sequence = Sequence(seed, folder, records)
        try:
            loop.run(sequence.play())
        except BaseException as error:
            diary = "\n".join(sequence.layer.diary)
            error.add_note(f"seed {seed}, {sequence.ending}\n{diary}\n{sequence.layer.orders}")
            raise
        finally:
            if sequence.machine is not None:
                sequence.machine.mend()
    assert loop.slips == [], [str(x) + repr(x.get("exception")) for x in loop.slips]
    shutil.rmtree(folder)
    return (sequence.layer.orders or ["none"])[-1]
