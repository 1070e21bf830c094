"""Run a generation with seeded random faults, resume it, and check the guarantees."""

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
from fault_layer import HUB, KEY, SIGNATURE, FaultLayer, paint_small, unlimited_disk
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
from mountsea_magic.runtime import rng as package_rng
from mountsea_magic.session import Session
from mountsea_magic.settings import Settings

SEQUENCES = 2000
"""How many sequences run in virtual time."""

OVER_SOCKETS = 25
"""How many sequences run over real sockets."""


class FaultyClientPool(ClientPool):
    """A client pool whose connections all go through one fault layer."""

    def __init__(self, layer: FaultLayer) -> None:
        super().__init__()
        self._layer = layer

    def client(self, settings: Settings) -> HubClient:
        """Return a client with the real key and the fault layer as its transport."""
        return HubClient(settings.base_url, settings.require_key(), transport=self._layer)


@dataclass
class Output:
    """All errors, events and log lines of one sequence.

    Attributes:
        errors: The exceptions raised.
        events: The events of the generations.
        texts: What was printed or logged.
    """

    errors: list[BaseException] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def notices(self) -> str:
        """Return the text of all notices."""
        return "\n".join(event.text for event in self.events if isinstance(event, Notice))


class Sequence:
    """One generation with faults, its resumption, and the checks.

    Args:
        seed: Seed of all random numbers.
        folder: An empty folder.
        records: Receives log lines.
    """

    def __init__(self, seed: int, folder: Path, records: list[str]) -> None:
        self.rng = rng = random.Random(seed)
        package_rng.RNG.seed(seed)
        self.home = folder / "home"
        self.layer = FaultLayer(
            rng,
            folder / "hub",
            FAULTS,
            rates={
                "submission": rng.choice((0.0, 0.0, 0.4, 0.9)),
                "poll": rng.choice((0.0, 0.1, 0.2, 0.5)),
                "download": rng.choice((0.0, 0.3, 0.6, 0.9)),
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
        self.output = Output(texts=records)
        self.snapshot: Path | None = None
        self.reported: list[str] = []
        self.stopped_at: float | None = None

    async def run(self) -> None:
        """Run the sequence, and check the guarantees."""
        first = self.session()
        generation = Generation(self.request)
        await self._run_with_faults(first, generation)
        if self.snapshot is not None:
            shutil.rmtree(self.home)
            self.snapshot.rename(self.home)
        else:
            self.reported = list(self.layer.reported)
            self._check_first(first, generation)
        self.layer.finish()
        if self.machine is not None:
            self.machine.repair()
        posts = len(self.layer.outcomes)
        same_kernel = self.snapshot is None and self.rng.random() < 0.3
        await self._resume(first if same_kernel else self.session())
        await self._repeat()
        assert len(self.layer.outcomes) == posts, "something was submitted again"
        for _ in range(3):
            await asyncio.sleep(0)  # the loop closes unread responses
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is still running"
        self._check_files()

    def session(self) -> Session:
        """Return a new session, as in a new kernel."""
        session = Session()
        session.clients = FaultyClientPool(self.layer)
        return session

    async def _run_with_faults(self, session: Session, generation: Generation) -> None:
        """Submit with faults, and wait, be interrupted, or be killed."""
        work = session.generate(
            generation,
            session.settings(),
            timeout_s=self.timeout_s,
            on_event=self.output.events.append,
        )
        run = asyncio.ensure_future(work)
        helpers = [asyncio.ensure_future(self.machine.break_down())] if self.machine else []
        if self.ending == "interrupt":
            helpers.append(asyncio.ensure_future(self._at_random_time(lambda: self._stop(run))))
        if self.ending == "kill":
            helpers.append(asyncio.ensure_future(self._at_random_time(self._kill)))
        await asyncio.wait([run])
        if self.stopped_at is not None:
            took_s = asyncio.get_running_loop().time() - self.stopped_at
            assert took_s < 0.5, "the interrupt took too long"
        await session.drain()
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        if run.cancelled():
            self.output.errors.append(generation.interrupted())
        elif (error := run.exception()) is not None:
            self.output.errors.append(error)

    async def _at_random_time(self, act: Callable[[], object]) -> None:
        """Call a function at a random time, between any two iterations of the loop."""
        await asyncio.sleep(self.rng.choice((0.0, 1.0, 10.0, 60.0)) * self.rng.random())
        for _ in range(self.rng.choice((0, 3, 30, 100))):
            await asyncio.sleep(0)
        act()

    def _stop(self, run: asyncio.Task[Any]) -> None:
        """Cancel, as the Stop button does."""
        self.layer.note("interrupted")
        self.stopped_at = asyncio.get_running_loop().time()
        run.cancel()

    def _kill(self) -> None:
        """Copy what is on disk now, which is all that a SIGKILL would leave."""
        self.layer.note("killed")
        self.snapshot = self.home.with_name("killed")
        self.home.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.home, self.snapshot)
        self.reported = list(self.layer.reported)

    def _check_first(self, session: Session, generation: Generation) -> None:
        """Check the error, the journal entry and the handle's task id."""
        outcomes = self.layer.outcomes
        error = self.output.errors[0] if self.output.errors else None
        assert isinstance(error, MountseaError | Interrupted | None), repr(error)
        interrupted = isinstance(error, Interrupted)
        if "misled" not in outcomes:
            assert generation.task_id == (self.reported[0] if self.reported else None)
        assert error is None or error.task_id == generation.task_id
        kinds = {"lost": SubmissionUncertain, "unreached": HubUnavailable, "busy": RateLimited}
        if outcomes and outcomes[-1] in kinds and not interrupted:
            assert isinstance(error, kinds[outcomes[-1]])
        if self.reported:
            assert not isinstance(error, HubUnavailable | RateLimited), (
                "a known task was reported as not submitted"
            )
        if generation.status == "completed":
            self._check_images(generation)
        journal = session.journal(session.settings())
        unreported = journal.trouble()
        warnings = "; ".join([self.output.notices(), *unreported])
        assert interrupted or not unreported, "a warning was not shown"
        if self.machine is not None and (self.machine.may_lose_entries or self.machine.may_warn):
            assert (
                self.machine.may_lose_entries
                or "journal" in warnings
                or self._is_journaled(generation)
            )
        else:
            assert "journal" not in warnings
            assert self._is_journaled(generation)

    def _is_journaled(self, generation: Generation) -> bool:
        """Return whether the journal entry matches the outcome."""
        outcomes = self.layer.outcomes
        with unlimited_disk():
            entries = Journal(self.home / "journal.sqlite").search()
        if not outcomes or "misled" in outcomes:
            return len(entries) <= 1
        (entry,) = entries
        statuses = {"lost": "uncertain", "unreached": "unsent", "busy": "refused"}
        if generation.status == "completed":
            return entry.files == tuple(replace(got, url=None) for got in generation)
        status = statuses.get(outcomes[-1], entry.status)
        return (entry.task_id, entry.status) == (generation.task_id, status)

    async def _resume(self, session: Session) -> None:
        """Resume all open and reported tasks, and check their images."""
        broken = self.machine is not None and (
            self.machine.may_lose_entries or self.machine.may_warn
        )
        journal = session.journal(session.settings())
        texts, events = len(self.output.texts), len(self.output.events)
        open_ids = [str(entry.task_id) for entry in session.open_tasks()]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(process_session, "_current", session)
            self.output.texts += [str(tasks.history("", 20)), *tasks.open_lines()]
        if not broken:
            for task_id in self.reported:
                entry = journal.find(task_id, hub=HUB)
                assert entry is not None, f"{task_id} is lost"
                assert entry.is_open == (task_id in open_ids)
                if not entry.is_open and not entry.files:
                    assert entry.status == self.task(task_id).final_status == "failed"
        for task_id in dict.fromkeys([*open_ids, *self.reported]):
            await self._resume_one(session, task_id, broken)
        output = [*self.output.texts[texts:], *map(repr, self.output.events[events:])]
        output += journal.trouble()
        assert not any("can't be used" in text for text in output)
        if not broken and "misled" not in self.layer.outcomes:
            assert session.open_tasks() == []

    async def _resume_one(self, session: Session, task_id: str, broken: bool) -> None:
        """Resume one task, which may be unknown to the Hub if the journal was damaged."""
        task = self.layer.tasks.get(task_id)
        try:
            generation, settings = session.recall(task_id)
            await session.generate(generation, settings, on_event=self.output.events.append)
        except MountseaError as error:
            self.output.errors.append(error)
            if task is None:
                assert broken or "misled" in self.layer.outcomes, error
            else:
                assert task.final_status == "failed", error
                assert isinstance(error, TaskFailed)
        else:
            assert generation.task_id == task_id
            self._check_images(generation)

    async def _repeat(self) -> None:
        """Check that a repeated request with a seed reuses the result from the journal."""
        session = self.session()
        journal = session.journal(session.settings())
        identical = journal.find_identical(HUB, self.request.fingerprint())
        damaged = self.machine is not None and self.machine.may_lose_entries
        if not identical or damaged or "seed" not in self.request.input:
            return
        altered = self.rng.random() < 0.3
        if altered:
            identical[0].files[0].path.write_bytes(b"altered")
        before = self.layer.requests
        repeated = Generation(self.request)
        await session.generate(repeated, session.settings(), on_event=self.output.events.append)
        assert repeated.from_journal
        assert altered == (self.layer.requests > before)
        self._check_images(repeated)
        if altered:
            identical[0].files[0].path.unlink()

    def task(self, task_id: str) -> DemoTask:
        """Return a task of the Hub."""
        task = self.layer.tasks.get(task_id)
        assert task is not None
        return task

    def _check_images(self, generation: Generation) -> None:
        """Check that the images are those that the Hub drew."""
        task = self.task(str(generation.task_id))
        drawn = [paint_small(task, number) for number in range(task.image_count)]
        assert [image.bytes for image in generation] == drawn

    def _check_files(self) -> None:
        """Check that there are no partial images, at most one task, and no secrets in any file."""
        outcomes, created = self.layer.outcomes, self.layer.created_tasks()
        assert set(outcomes[:-1]) <= {"unreached", "busy"}, f"submitted again after {outcomes}"
        assert len(created) <= 1
        assert self.layer.violations == []
        drawn = {paint_small(task, n) for task in created for n in range(task.image_count)}
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
        texts = [*self.output.texts, *map(repr, self.output.events)]
        texts += map(all_text_of, self.output.errors)
        for text in texts:
            assert KEY not in text, [line for line in text.splitlines() if KEY in line]
            assert SIGNATURE not in text, [line for line in text.splitlines() if SIGNATURE in line]


@contextmanager
def logged(records: list[str]) -> Iterator[None]:
    """Collect the records of all loggers at all levels."""

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
    """Run one sequence in its own folder, and return the outcome of its submission."""
    folder = tmp_path / str(seed)
    (folder / "tmp").mkdir(parents=True)
    monkeypatch.setenv("MOUNTSEA_HOME", str(folder / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    records: list[str] = []
    with QuickLoop() as loop, logged(records):
        sequence = Sequence(seed, folder, records)
        try:
            loop.run(sequence.run())
        except BaseException as error:
            log = "\n".join(sequence.layer.log)
            error.add_note(f"seed {seed}, {sequence.ending}\n{log}\n{sequence.layer.outcomes}")
            raise
        finally:
            if sequence.machine is not None:
                sequence.machine.repair()
    assert loop.unhandled == [], [str(x) + repr(x.get("exception")) for x in loop.unhandled]
    shutil.rmtree(folder)
    return (sequence.layer.outcomes or ["none"])[-1]
