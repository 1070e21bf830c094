"""The resolver: looks hosts up on threads of its own, so that a look-up that hangs holds up nobody.

asyncio's own look-ups share a few threads with all file work, and can't be given up once they run.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress

MAX_LOOKUPS = 64
"""How many look-ups run at once in a process; each that hangs keeps a thread."""

SHARED_S = 1.0
"""For so many seconds a look-up is shared by all who ask for the same; after that it may hang."""

_Question = tuple[asyncio.AbstractEventLoop, str, int]
_Answer = asyncio.Future[tuple[str, ...]]

_slots = threading.BoundedSemaphore(MAX_LOOKUPS)
_running: dict[_Question, tuple[float, _Answer]] = {}


async def resolve(host: str, port: int) -> tuple[str, ...]:
    """Look a host up as the system does; whoever cancels this does not wait for the system.

    Args:
        host: A name or an IP address, in any of the spellings that the system takes.
        port: The port.

    Returns:
        Its IP addresses in the system's order, each once; one of IPv6 may have a zone.

    Raises:
        OSError: If it can't be resolved.
        UnicodeError: If it can't be the name of a host.

    Example:
        >>> asyncio.run(resolve("127.0.0.1", 80))
        ('127.0.0.1',)
    """
    with suppress(ValueError):
        if "%" not in host:
            return (str(ipaddress.ip_address(host)),)
    loop = asyncio.get_running_loop()
    question = (loop, host, port)
    begun, answer = _running.get(question, (float("-inf"), None))
    if answer is None or loop.time() - begun > SHARED_S:
        answer = loop.create_future()
        _running[question] = (loop.time(), answer)
        answer.add_done_callback(lambda done: _forget(question, done))
        _start(loop, answer, host, port)
    # shared: if one of those who ask is cancelled, the others still get it
    return await asyncio.shield(answer)


def _start(loop: asyncio.AbstractEventLoop, answer: _Answer, host: str, port: int) -> None:
    slots = _slots
    if not slots.acquire(blocking=False):
        answer.set_exception(
            socket.gaierror(socket.EAI_AGAIN, f"{MAX_LOOKUPS} look-ups are still unanswered")
        )
        return

    def look_up() -> None:
        outcome: tuple[str, ...] | Exception
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            outcome = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        except Exception as error:  # the resolver's modules raise kinds of their own
            outcome = error
        finally:
            slots.release()
        try:
            loop.call_soon_threadsafe(_publish, answer, outcome)
        except RuntimeError:  # the loop is closed: nobody waits any more
            _running.pop((loop, host, port), None)

    try:
        threading.Thread(target=look_up, name="mountsea-resolver", daemon=True).start()
    except RuntimeError:
        # Python 3.12.0 and 3.12.1 start no thread once the process ends; the loop has some ready
        loop.run_in_executor(None, look_up)


def _publish(answer: _Answer, outcome: tuple[str, ...] | Exception) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


def _forget(question: _Question, answer: _Answer) -> None:
    if not answer.cancelled():
        answer.exception()  # all who asked may be gone, and asyncio would log it
    if _running.get(question, (0.0, None))[1] is answer:
        del _running[question]
