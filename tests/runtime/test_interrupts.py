"""An interrupt can be deferred to the end of a block."""

from __future__ import annotations

import signal
import threading

import pytest

from mountsea_magic.runtime.interrupts import deferred_interrupt


def test_an_interrupt_takes_effect_at_the_end_of_the_block() -> None:
    """The block is executed to its end, and the handler is the same as before."""
    before, done = signal.getsignal(signal.SIGINT), list[str]()
    with pytest.raises(KeyboardInterrupt), deferred_interrupt():
        signal.raise_signal(signal.SIGINT)
        done.append("the rest")
    assert done == ["the rest"] and signal.getsignal(signal.SIGINT) is before


def test_an_ignored_interrupt_stays_ignored() -> None:
    """Such as in a kernel between two cells."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred_interrupt():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_change_nothing() -> None:
    """Only the main thread may set a handler."""
    before, seen = signal.getsignal(signal.SIGINT), list[object]()

    def work() -> None:
        with deferred_interrupt():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
