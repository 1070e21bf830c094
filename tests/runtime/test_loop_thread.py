"""The loop thread runs coroutines for blocking code, and can be interrupted at any time."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import contextvars
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import pytest
from hang import HANG_S

from mountsea_magic.runtime import loop_thread as module
from mountsea_magic.runtime.loop_thread import Job, LoopThread, cancel_all

TIMEOUT_S = 20.0
"""How long a test waits for an event that must happen; no timing depends on it."""

WHO = contextvars.ContextVar("WHO", default="nobody")

NESTED = """
import asyncio
from mountsea_magic.runtime.loop_thread import run_nested

log = []

async def forty_two():
    await asyncio.sleep(0)
    return 42

async def fail():
    await asyncio.sleep(0)
    raise LookupError("no dogs")

async def hold(ticked):
    await ticked.wait()
    return "ticked"


async def main():
    other = asyncio.create_task(forty_two())
    log.append(run_nested(forty_two()))
    log.append(other.done())
    try:
        run_nested(fail())
    except LookupError as error:
        log.append(str(error))
    ticked = asyncio.Event()
    log.append(run_nested(hold(ticked), tick=ticked.set))

asyncio.run(main())
try:
    run_nested(work := forty_two())
except RuntimeError:
    work.close()
    log.append("no loop")
print(log)
"""


class WorkError(Exception):
    """An error of a coroutine."""


@pytest.fixture(scope="module")
def worker() -> LoopThread:
    """Share one loop thread between all tests, as in a kernel."""
    return LoopThread()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Make SIGINT raise KeyboardInterrupt, whatever handler the test runner has set."""
    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


async def forty_two() -> int:
    """Return immediately."""
    return 42


async def fail(error: BaseException) -> None:
    """Raise immediately."""
    raise error


async def hold(started: threading.Event, log: list[str]) -> None:
    """Wait forever, and clean up with an await, as a connection does."""
    try:
        started.set()
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        log.append("cleaned up")


def test_run_returns_the_result(worker: LoopThread) -> None:
    """The coroutine's return value."""
    assert worker.run(forty_two()) == 42


def test_run_raises_the_exception_itself(worker: LoopThread) -> None:
    """The same object, with its type and attributes."""
    error = WorkError("no dogs")
    with pytest.raises(WorkError) as caught:
        worker.run(fail(error))
    assert caught.value is error


def test_the_loop_survives_an_exception(worker: LoopThread) -> None:
    """The next cell runs on the same loop."""
    with pytest.raises(WorkError):
        worker.run(fail(WorkError()))
    assert worker.run(forty_two()) == 42


def test_all_coroutines_run_on_one_loop_in_a_daemon_thread(worker: LoopThread) -> None:
    """Connections are reused from cell to cell."""

    async def where() -> tuple[int, str, bool]:
        thread = threading.current_thread()
        return id(asyncio.get_running_loop()), thread.name, thread.daemon

    first, second = worker.run(where()), worker.run(where())
    assert first == second
    assert first[1:] == ("mountsea-loop", True)
    assert threading.current_thread().name != "mountsea-loop"


def test_the_thread_starts_on_first_use() -> None:
    """Loading the extension starts no thread."""
    before = set(threading.enumerate())
    LoopThread()
    assert set(threading.enumerate()) == before


def test_run_works_within_a_running_loop(worker: LoopThread) -> None:
    """A notebook's cell runs within one."""

    async def cell() -> int:
        return worker.run(forty_two())

    assert asyncio.run(cell()) == 42


def test_context_variables_are_copied(worker: LoopThread) -> None:
    """Output goes to its cell; changes in the coroutine do not reach the caller."""

    async def work() -> tuple[str, str]:
        before = WHO.get()
        WHO.set("the worker")
        inner = await asyncio.create_task(ask())
        return before, inner

    async def ask() -> str:
        return WHO.get()

    token = WHO.set("the cell")
    try:
        assert worker.run(work()) == ("the cell", "the worker")
        assert WHO.get() == "the cell"
    finally:
        WHO.reset(token)
    assert worker.run(ask()) == "nobody"


def test_a_job_has_the_context_of_its_start(worker: LoopThread) -> None:
    """A background job keeps the context of the cell that started it."""
    go = threading.Event()

    async def ask() -> str:
        await asyncio.to_thread(go.wait, TIMEOUT_S)
        return WHO.get()

    token = WHO.set("first cell")
    job = worker.start(ask())
    WHO.reset(token)
    go.set()
    assert job.outcome.result(TIMEOUT_S) == "first cell"


def test_jobs_run_concurrently(worker: LoopThread) -> None:
    """One job may wait for another; starting one returns immediately."""
    passed: list[str] = []
    go = worker.run(make_event())

    async def first() -> None:
        await go.wait()
        passed.append("first")

    async def second() -> None:
        passed.append("second")
        go.set()

    jobs = [worker.start(first()), worker.start(second())]
    for job in jobs:
        job.outcome.result(TIMEOUT_S)
    assert passed == ["second", "first"]


async def make_event() -> asyncio.Event:
    """Create an event on the worker's loop."""
    return asyncio.Event()


def test_threads_share_one_loop(worker: LoopThread) -> None:
    """Also if several threads make the first call at once."""
    fresh = LoopThread()

    async def which() -> int:
        return id(asyncio.get_running_loop())

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        loops = list(pool.map(lambda _: fresh.run(which()), range(32)))
    assert len(set(loops)) == 1
    assert loops[0] != worker.run(which())


def test_ticks_are_called_on_the_callers_thread(worker: LoopThread) -> None:
    """The cell's own thread updates the progress view while it waits."""
    go = worker.run(make_event())
    loop = worker.run(running_loop())
    threads: list[threading.Thread] = []

    def tick() -> None:
        threads.append(threading.current_thread())
        loop.call_soon_threadsafe(go.set)

    async def wait_for_tick() -> str:
        await go.wait()
        return "ticked"

    assert worker.run(wait_for_tick(), tick=tick) == "ticked"
    assert set(threads) == {threading.current_thread()}


async def running_loop() -> asyncio.AbstractEventLoop:
    """Return the worker's loop."""
    return asyncio.get_running_loop()


def test_a_tick_that_raises_cancels_the_work(worker: LoopThread) -> None:
    """Its error is raised, after the coroutine has cleaned up."""
    log: list[str] = []

    def tick() -> None:
        raise WorkError("no view")

    with pytest.raises(WorkError, match="no view"):
        worker.run(hold(threading.Event(), log), tick=tick)
    assert log == ["cleaned up"]


def test_cancelling_a_job_runs_its_finally_clauses(worker: LoopThread) -> None:
    """The outcome is set after they have run."""
    started, log = threading.Event(), list[str]()
    job = worker.start(hold(started, log))
    assert started.wait(TIMEOUT_S)
    job.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        job.outcome.result(TIMEOUT_S)
    assert log == ["cleaned up"]
    assert job.outcome.cancelled()


def test_a_job_can_be_cancelled_before_it_starts_and_after_it_ended(worker: LoopThread) -> None:
    """Also twice."""
    job = worker.start(hold(threading.Event(), []))
    job.cancel()
    job.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        job.outcome.result(TIMEOUT_S)
    job.cancel()
    ended = worker.start(forty_two())
    assert ended.outcome.result(TIMEOUT_S) == 42
    ended.cancel()
    assert worker.run(forty_two()) == 42
    assert ended.outcome.result(0) == 42


def test_a_second_cancel_does_not_interrupt_the_clean_up(worker: LoopThread) -> None:
    """Pressing Stop twice must not keep a submission from being journaled."""
    started, cleaning, go_on = threading.Event(), threading.Event(), threading.Event()
    log: list[str] = []

    async def careful() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await asyncio.to_thread(go_on.wait, TIMEOUT_S)
            log.append("journaled")

    job = worker.start(careful())
    assert started.wait(TIMEOUT_S)
    job.cancel()
    assert cleaning.wait(TIMEOUT_S)
    job.cancel()
    worker.run(forty_two())
    go_on.set()
    assert job.wait(TIMEOUT_S) and log == ["journaled"]


def test_the_loop_thread_does_not_wait_for_itself(worker: LoopThread) -> None:
    """It would hang for ever, and every other cell with it."""

    async def outer() -> None:
        worker.run(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="wait for itself"):
        worker.run(outer())


def test_jobs_that_are_cancelled_together_take_nothing_from_each_other(
    worker: LoopThread,
) -> None:
    """The first one frees what the others wait for: none of them may go on with it."""
    first, held, taken = threading.Event(), asyncio.Lock(), list[int]()

    async def work(number: int) -> None:
        async with held:
            taken.append(number)
            first.set()
            await asyncio.sleep(HANG_S)

    jobs = [worker.start(work(number)) for number in range(50)]
    assert first.wait(HANG_S)
    cancel_all(jobs)
    assert all(job.wait(HANG_S) for job in jobs)
    assert taken == [0]


def test_a_cancelled_coroutine_may_return_a_value(worker: LoopThread) -> None:
    """The value is the outcome."""
    started = threading.Event()

    async def stubborn() -> str:
        try:
            started.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "saved"
        return "never"

    job = worker.start(stubborn())
    assert started.wait(TIMEOUT_S)
    job.cancel()
    assert job.outcome.result(TIMEOUT_S) == "saved"


@pytest.mark.parametrize(
    "interrupt",
    [_thread.interrupt_main, lambda: signal.raise_signal(signal.SIGINT)],
    ids=["interrupt_main", "raise_signal"],
)
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_wait(worker: LoopThread, interrupt: Callable[[], None]) -> None:
    """A blocked cell raises KeyboardInterrupt, after the coroutine's `finally` clauses."""
    waiting, log = threading.Event(), list[str]()

    def interrupt_when_waiting() -> None:
        if waiting.wait(TIMEOUT_S):
            interrupt()

    timer = threading.Timer(0, interrupt_when_waiting)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        worker.run(hold(threading.Event(), log), tick=waiting.set)
    assert log == ["cleaned up"]
    timer.join(TIMEOUT_S)
    assert worker.run(forty_two()) == 42


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_during_a_tick_ends_the_wait(worker: LoopThread) -> None:
    """An interrupt may come while the progress is updated."""
    log: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        worker.run(hold(threading.Event(), log), tick=lambda: signal.raise_signal(signal.SIGINT))
    assert log == ["cleaned up"]


@pytest.mark.usefixtures("interruptible")
def test_a_coroutine_whose_clean_up_hangs_is_abandoned(
    worker: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupted call ends all the same; the loop goes on."""
    monkeypatch.setattr(module, "DRAIN_TIMEOUT_S", 0.01)
    go, log = worker.run(make_event()), list[str]()
    left = threading.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await go.wait()
            log.append("cleaned up")
            left.set()

    with pytest.raises(KeyboardInterrupt):
        worker.run(hang(), tick=lambda: signal.raise_signal(signal.SIGINT))
    assert log == []
    worker.run(running_loop()).call_soon_threadsafe(go.set)
    assert left.wait(TIMEOUT_S)
    assert log == ["cleaned up"]


def test_an_interrupt_does_not_cancel_other_jobs(worker: LoopThread) -> None:
    """Only the cell's own coroutine is cancelled; a background job goes on."""
    go = worker.run(make_event())

    async def background() -> str:
        await go.wait()
        return "drawn"

    def tick() -> None:
        raise WorkError

    job = worker.start(background())
    with pytest.raises(WorkError):
        worker.run(hold(threading.Event(), []), tick=tick)
    worker.run(running_loop()).call_soon_threadsafe(go.set)
    assert job.outcome.result(TIMEOUT_S) == "drawn"


def test_a_coroutine_that_raises_cancelled_error_ends_the_call(worker: LoopThread) -> None:
    """The call does not hang."""
    with pytest.raises(concurrent.futures.CancelledError):
        worker.run(fail(asyncio.CancelledError()))


def test_wait_returns_results_and_raises_exceptions(worker: LoopThread) -> None:
    """From another event loop."""
    error = WorkError("no dogs")

    async def main() -> int:
        with pytest.raises(WorkError) as caught:
            await worker.wait(fail(error))
        assert caught.value is error
        return await worker.wait(forty_two())

    assert asyncio.run(main()) == 42


def test_wait_does_not_block_the_other_loop(worker: LoopThread) -> None:
    """Several waits on one loop run concurrently."""
    go = worker.run(make_event())

    async def first() -> str:
        await go.wait()
        return "first"

    async def second() -> str:
        go.set()
        return "second"

    async def main() -> list[str]:
        return [*await asyncio.gather(worker.wait(first()), worker.wait(second()))]

    assert asyncio.run(main()) == ["first", "second"]


def test_cancelling_a_wait_cancels_the_work(worker: LoopThread) -> None:
    """The coroutine on the loop thread has cleaned up when the wait ends."""
    started, cleaned = threading.Event(), threading.Event()

    async def work() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    async def main() -> None:
        waiting = asyncio.create_task(worker.wait(work()))
        assert await asyncio.to_thread(started.wait, TIMEOUT_S)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert waiting.cancelled()
        assert cleaned.is_set()

    asyncio.run(main())
    assert worker.run(forty_two()) == 42


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_process_starts_its_own_loop(worker: LoopThread) -> None:
    """Threads do not survive a fork; the child must not hang."""
    assert worker.run(forty_two()) == 42
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:  # the child reports by its exit code
        code = 1
        try:
            signal.alarm(int(TIMEOUT_S))
            code = 0 if worker.run(forty_two()) == 42 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert worker.run(forty_two()) == 42


def test_run_nested_runs_on_the_running_loop() -> None:
    """Results, errors, ticks and the user's own tasks work; without a loop it raises.

    In a subprocess, since `nest-asyncio2` patches asyncio permanently.
    """
    done = subprocess.run(
        [sys.executable, "-c", NESTED], capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "[42, True, 'no dogs', 'ticked', 'no loop']\n"


def test_system_exit_in_a_coroutine_does_not_end_the_loop() -> None:
    """It becomes a RuntimeError of that job; the next job runs."""

    async def leave() -> None:
        raise SystemExit(3)

    async def stay() -> int:
        return 42

    worker = LoopThread()
    with pytest.raises(RuntimeError) as caught:
        worker.run(leave())
    assert isinstance(caught.value.__cause__, SystemExit)
    assert worker.run(stay()) == 42


def test_a_job_cancelled_before_it_is_launched_never_runs() -> None:
    """An interrupt may come between creating a job and starting it."""
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    worker = LoopThread()
    worker.run(asyncio.sleep(0))
    job = Job(worker._running_loop(), work())
    job.cancel()
    job.launch()
    assert not concurrent.futures.wait([job.outcome], timeout=10).not_done
    worker.run(asyncio.sleep(0))
    assert job.outcome.cancelled()
    assert ran == []


HAMMER = """
import asyncio, faulthandler, random, signal
from mountsea_magic.runtime import loop_thread

def stop(*_):
    raise KeyboardInterrupt

async def last():
    await asyncio.sleep(600)

async def forty_two():
    return 42

faulthandler.dump_traceback_later(280, exit=True)
signal.signal(signal.SIGALRM, stop)
loop_thread.TICK_S, rng, thread = 0.0002, random.Random(7), loop_thread.LoopThread()
for number in range(700):
    try:
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0003, 0.003))
        thread.run(last(), tick=lambda: None)
    except KeyboardInterrupt:
        pass
    alive = thread.start(forty_two())
    assert alive.wait(250) and alive.outcome.result() == 42, f"the loop hangs after {number}"
"""


def test_the_loop_survives_an_interrupt_at_any_moment() -> None:
    """Also between the `acquire` of a lock and the block that releases it."""
    done = subprocess.run(
        [sys.executable, "-c", HAMMER], capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
