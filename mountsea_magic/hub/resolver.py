"""Resolve host names in separate threads, so that a DNS lookup that hangs blocks nothing else.

asyncio's own lookups share a few threads with all file access, and can't be cancelled once they
run.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress

MAX_LOOKUPS = 64
"""The most concurrent lookups in a process; each one that hangs occupies a thread."""

SHARED_S = 1.0
"""How long a lookup is shared by all callers for the same host, in seconds; it may hang later."""

_Lookup = tuple[asyncio.AbstractEventLoop, str, int]
_Result = asyncio.Future[tuple[str, ...]]

_slots = threading.BoundedSemaphore(MAX_LOOKUPS)
_running: dict[_Lookup, tuple[float, _Result]] = {}


async def resolve(host: str, port: int) -> tuple[str, ...]:
    """Resolve a host with the system's resolver; cancelling does not wait for it.

    Args:
        host: A name or an IP address, in any spelling that the system accepts.
        port: The port.

    Returns:
        Its IP addresses in the system's order, without duplicates; IPv6 ones may have a zone.

    Raises:
        OSError: If it can't be resolved.
        UnicodeError: If it is not a valid host name.

    Example:
        >>> asyncio.run(resolve("127.0.0.1", 80))
        ('127.0.0.1',)
    """
    with suppress(ValueError):
        if "%" not in host:
            return (str(ipaddress.ip_address(host)),)
    loop = asyncio.get_running_loop()
    lookup = (loop, host, port)
    started, result = _running.get(lookup, (float("-inf"), None))
    if result is None or loop.time() - started > SHARED_S:
        result = loop.create_future()
        _running[lookup] = (loop.time(), result)
        result.add_done_callback(lambda done: _forget(lookup, done))
        _start(loop, result, host, port)
    # shared: if one caller is cancelled, the others still get the result
    return await asyncio.shield(result)


def _start(loop: asyncio.AbstractEventLoop, result: _Result, host: str, port: int) -> None:
    slots = _slots
    if not slots.acquire(blocking=False):
        result.set_exception(
            socket.gaierror(socket.EAI_AGAIN, f"{MAX_LOOKUPS} DNS lookups are still running")
        )
        return

    def look_up() -> None:
        outcome: tuple[str, ...] | Exception
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            outcome = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        except Exception as error:  # resolver modules raise their own kinds of errors
            outcome = error
        finally:
            slots.release()
        try:
            loop.call_soon_threadsafe(_publish, result, outcome)
        except RuntimeError:  # the loop is closed: nobody waits for it
            _running.pop((loop, host, port), None)

    try:
        threading.Thread(target=look_up, name="mountsea-resolver", daemon=True).start()
    except RuntimeError:
        # Python 3.12.0 and 3.12.1 start no threads at exit; reuse one of the loop's
        loop.run_in_executor(None, look_up)


def _publish(result: _Result, outcome: tuple[str, ...] | Exception) -> None:
    if result.done():
        return
    if isinstance(outcome, Exception):
        result.set_exception(outcome)
    else:
        result.set_result(outcome)


def _forget(lookup: _Lookup, result: _Result) -> None:
    if not result.cancelled():
        # if all callers were cancelled, asyncio would log "never retrieved"
        result.exception()
    if _running.get(lookup, (0.0, None))[1] is result:
        del _running[lookup]
