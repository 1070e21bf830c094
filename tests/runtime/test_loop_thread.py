"""The loop thread: a coroutine for blocking code, and a way out of it at any time."""

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

from mountsea_magic.runtime import loop_thread as module
from mountsea_magic.runtime.loop_thread import Job, LoopThread

LOCK_TIMEOUT_S = 20.0
"""How long a test waits for what must come; nothing is measured by it."""

WHO = contextvars.ContextVar("WHO", default="nobody")

NESTED = """
import asyncio
from mountsea_magic.runtime.loop_thread import run_nested

log = []

async def answer():
    await asyncio.sleep(0)
    return 42

async def trouble():
    await asyncio.sleep(0)
    raise LookupError("no dogs")

async def hold(ticked):
    await ticked.wait()
    return "ticked"


async def main():
    other = asyncio.create_task(answer())
    log.append(run_nested(answer()))
    log.append(other.done())
    try:
        run_nested(trouble())
    except LookupError as error:
        log.append(str(error))
    ticked = asyncio.Event()
    log.append(run_nested(hold(ticked), tick=ticked.set))

asyncio.run(main())
try:
    run_nested(work := answer())
except RuntimeError:
    work.close()
    log.append("no loop")
print(log)
"""


class Trouble(Exception):
    """What a coroutine raises."""


@pytest.fixture(scope="module")
def worker() -> LoopThread:
    """Keep one loop thread for all tests, as a process does."""
    return LoopThread()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Make an interrupt a KeyboardInterrupt here, whatever the test runner did to the signal."""
    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


async def answer() -> int:
    """Return at once."""
    return 42


async def trouble(error: BaseException) -> None:
    """Raise at once."""
    raise error


async def hold(started: threading.Event, log: list[str]) -> None:
    """Wait for ever, and clean up with an await, as a connection does."""
    try:
        started.set()
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        log.append("cleaned up")


def test_the_result_comes_back(worker: LoopThread) -> None:
    """A coroutine's value is the call's value."""
    assert worker.run(answer()) == 42


def test_the_exception_comes_back_itself(worker: LoopThread) -> None:
    """The very exception, so that its type and its attributes are kept."""
    error = Trouble("no dogs")
    with pytest.raises(Trouble) as caught:
        worker.run(trouble(error))
    assert caught.value is error


def test_the_worker_outlives_an_exception(worker: LoopThread) -> None:
    """The next cell runs on the same loop."""
    with pytest.raises(Trouble):
        worker.run(trouble(Trouble()))
    assert worker.run(answer()) == 42


def test_one_loop_in_one_thread_of_its_own(worker: LoopThread) -> None:
    """Connections are reused from cell to cell, and the caller's own loop is not needed."""

    async def where() -> tuple[int, str, bool]:
        thread = threading.current_thread()
        return id(asyncio.get_running_loop()), thread.name, thread.daemon

    first, second = worker.run(where()), worker.run(where())
    assert first == second
    assert first[1:] == ("mountsea-loop", True)
    assert threading.current_thread().name != "mountsea-loop"


def test_nothing_is_started_before_it_is_needed() -> None:
    """Loading the extension starts no thread."""
    before = set(threading.enumerate())
    LoopThread()
    assert set(threading.enumerate()) == before


def test_it_runs_where_a_loop_already_runs(worker: LoopThread) -> None:
    """A notebook's cell runs inside a running loop."""

    async def cell() -> int:
        return worker.run(answer())

    assert asyncio.run(cell()) == 42


def test_context_variables_are_carried(worker: LoopThread) -> None:
    """Output finds its cell; what the coroutine sets stays its own."""

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


def test_the_context_is_that_of_the_start(worker: LoopThread) -> None:
    """A job that runs in the background keeps the context of the cell that began it."""
    go = threading.Event()

    async def ask() -> str:
        await asyncio.to_thread(go.wait, LOCK_TIMEOUT_S)
        return WHO.get()

    token = WHO.set("first cell")
    job = worker.start(ask())
    WHO.reset(token)
    go.set()
    assert job.outcome.result(LOCK_TIMEOUT_S) == "first cell"


def test_jobs_run_side_by_side(worker: LoopThread) -> None:
    """One job may wait for another; starting one returns at once."""
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
        job.outcome.result(LOCK_TIMEOUT_S)
    assert passed == ["second", "first"]


async def make_event() -> asyncio.Event:
    """Make an event on the worker's loop."""
    return asyncio.Event()


def test_threads_share_the_worker(worker: LoopThread) -> None:
    """Many threads may call at once, also the first time, and share one loop."""
    fresh = LoopThread()

    async def which() -> int:
        return id(asyncio.get_running_loop())

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        loops = list(pool.map(lambda _: fresh.run(which()), range(32)))
    assert len(set(loops)) == 1
    assert loops[0] != worker.run(which())


def test_ticks_are_called_on_the_callers_thread(worker: LoopThread) -> None:
    """A progress view is drawn by the cell's own thread while it waits."""
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


def test_a_tick_that_fails_stops_the_work(worker: LoopThread) -> None:
    """The error of the view comes out, and the coroutine has cleaned up."""
    log: list[str] = []

    def tick() -> None:
        raise Trouble("no view")

    with pytest.raises(Trouble, match="no view"):
        worker.run(hold(threading.Event(), log), tick=tick)
    assert log == ["cleaned up"]


def test_cancelling_a_job_runs_its_finally(worker: LoopThread) -> None:
    """The outcome comes after all clauses have run."""
    started, log = threading.Event(), list[str]()
    job = worker.start(hold(started, log))
    assert started.wait(LOCK_TIMEOUT_S)
    job.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        job.outcome.result(LOCK_TIMEOUT_S)
    assert log == ["cleaned up"]
    assert job.outcome.cancelled()


def test_cancelling_at_once_and_twice_does_no_harm(worker: LoopThread) -> None:
    """A job may be cancelled before it began and after it ended."""
    job = worker.start(hold(threading.Event(), []))
    job.cancel()
    job.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        job.outcome.result(LOCK_TIMEOUT_S)
    job.cancel()
    ended = worker.start(answer())
    assert ended.outcome.result(LOCK_TIMEOUT_S) == 42
    ended.cancel()
    assert worker.run(answer()) == 42
    assert ended.outcome.result(0) == 42


def test_a_second_cancel_leaves_what_is_being_cleaned_up_alone(worker: LoopThread) -> None:
    """Stop pressed twice must not keep an order from being written down."""
    started, cleaning, go_on = threading.Event(), threading.Event(), threading.Event()
    log: list[str] = []

    async def careful() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await asyncio.to_thread(go_on.wait, LOCK_TIMEOUT_S)
            log.append("written down")

    job = worker.start(careful())
    assert started.wait(LOCK_TIMEOUT_S)
    job.cancel()
    assert cleaning.wait(LOCK_TIMEOUT_S)
    job.cancel()
    worker.run(answer())
    go_on.set()
    assert job.wait(LOCK_TIMEOUT_S) and log == ["written down"]


def test_a_job_may_answer_its_cancellation(worker: LoopThread) -> None:
    """A coroutine that turns cancellation into a value has that value."""
    started = threading.Event()

    async def stubborn() -> str:
        try:
            started.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "saved"
        return "never"

    job = worker.start(stubborn())
    assert started.wait(LOCK_TIMEOUT_S)
    job.cancel()
    assert job.outcome.result(LOCK_TIMEOUT_S) == "saved"


@pytest.mark.parametrize(
    "interrupt",
    [_thread.interrupt_main, lambda: signal.raise_signal(signal.SIGINT)],
    ids=["interrupt_main", "raise_signal"],
)
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_from_elsewhere_gives_the_thread_back(
    worker: LoopThread, interrupt: Callable[[], None]
) -> None:
    """A blocked cell ends with KeyboardInterrupt, after the coroutine's finally clauses."""
    waiting, log = threading.Event(), list[str]()

    def interrupt_when_waiting() -> None:
        if waiting.wait(LOCK_TIMEOUT_S):
            interrupt()

    timer = threading.Timer(0, interrupt_when_waiting)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        worker.run(hold(threading.Event(), log), tick=waiting.set)
    assert log == ["cleaned up"]
    timer.join(LOCK_TIMEOUT_S)
    assert worker.run(answer()) == 42


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_during_a_tick_gives_the_thread_back(worker: LoopThread) -> None:
    """An interrupt may come while the progress is drawn."""
    log: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        worker.run(hold(threading.Event(), log), tick=lambda: signal.raise_signal(signal.SIGINT))
    assert log == ["cleaned up"]


@pytest.mark.usefixtures("interruptible")
def test_a_coroutine_that_does_not_let_go_is_left_behind(
    worker: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user has the cell back, even if a clean-up hangs; the worker goes on."""
    monkeypatch.setattr(module, "DRAIN_S", 0.01)
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
    assert left.wait(LOCK_TIMEOUT_S)
    assert log == ["cleaned up"]


def test_an_interrupt_spares_other_jobs(worker: LoopThread) -> None:
    """Only the cell's own coroutine is cancelled; a background job goes on."""
    go = worker.run(make_event())

    async def background() -> str:
        await go.wait()
        return "drawn"

    def tick() -> None:
        raise Trouble

    job = worker.start(background())
    with pytest.raises(Trouble):
        worker.run(hold(threading.Event(), []), tick=tick)
    worker.run(running_loop()).call_soon_threadsafe(go.set)
    assert job.outcome.result(LOCK_TIMEOUT_S) == "drawn"


def test_a_coroutine_that_ends_as_cancelled_does_not_hang(worker: LoopThread) -> None:
    """A coroutine that cancels itself ends the call."""
    with pytest.raises(concurrent.futures.CancelledError):
        worker.run(trouble(asyncio.CancelledError()))


def test_wait_hands_over_results_and_exceptions(worker: LoopThread) -> None:
    """From another loop, the worker's coroutine is awaited like any other."""
    error = Trouble("no dogs")

    async def main() -> int:
        with pytest.raises(Trouble) as caught:
            await worker.wait(trouble(error))
        assert caught.value is error
        return await worker.wait(answer())

    assert asyncio.run(main()) == 42


def test_wait_leaves_the_other_loop_free(worker: LoopThread) -> None:
    """Several waits of one loop run side by side."""
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
    """The coroutine on the loop thread is stopped, and has cleaned up when the wait ends."""
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
        assert await asyncio.to_thread(started.wait, LOCK_TIMEOUT_S)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert waiting.cancelled()
        assert cleaned.is_set()

    asyncio.run(main())
    assert worker.run(answer()) == 42


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_process_has_a_loop_of_its_own(worker: LoopThread) -> None:
    """Threads do not survive a fork: the child starts its own and does not hang."""
    assert worker.run(answer()) == 42
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:  # the child says by its exit code what it saw
        code = 1
        try:
            signal.alarm(int(LOCK_TIMEOUT_S))
            code = 0 if worker.run(answer()) == 42 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert worker.run(answer()) == 42


def test_run_nested_runs_on_the_loop_that_is_there() -> None:
    """Result, error, ticks and the user's own tasks; without a loop it is refused.

    In a process of its own, since `nest-asyncio2` patches asyncio for good.
    """
    done = subprocess.run(
        [sys.executable, "-c", NESTED], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "[42, True, 'no dogs', 'ticked', 'no loop']\n"


def test_a_coroutine_that_exits_does_not_take_the_loop_along() -> None:
    """SystemExit becomes an error of that job alone; the next one runs."""

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
    """An interrupt may come between making a job and starting it: nothing is left behind."""
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

async def answer():
    return 42

faulthandler.dump_traceback_later(100, exit=True)
signal.signal(signal.SIGALRM, stop)
loop_thread.TICK_S, rng, thread = 0.0002, random.Random(7), loop_thread.LoopThread()
for number in range(700):
    try:
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0003, 0.003))
        thread.run(last(), tick=lambda: None)
    except KeyboardInterrupt:
        pass
    alive = thread.start(answer())
    assert alive.wait(10) and alive.outcome.result() == 42, f"the loop stands still after {number}"
"""


def test_an_interrupt_at_any_moment_leaves_the_loop_alive() -> None:
    """Also between the acquire of a lock and the block that would release it."""
    done = subprocess.run(
        [sys.executable, "-c", HAMMER], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
