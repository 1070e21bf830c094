"""Fails in many ways near the API key, and prints verbose tracebacks; run by test_tracebacks.

Neither the frames nor the arguments of this script contain the key: it is only in the environment,
as in a container.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn
from unittest import mock

from hub_server import RESET, Reply, StandInHub, json_reply
from IPython.core.interactiveshell import InteractiveShell
from rich.pretty import pretty_repr

import mountsea_magic
from mountsea_magic import clients, session, settings
from mountsea_magic.credentials import key_file
from mountsea_magic.hub import exchange, retry


@contextmanager
def variables(**values: str) -> Iterator[None]:
    """Set environment variables temporarily; `{key}` is replaced by the key."""
    filled = {
        name: value.format(key=os.environ["MOUNTSEA_API_KEY"]) for name, value in values.items()
    }
    with mock.patch.dict(os.environ, filled):
        del filled, values
        yield


def with_variables(**values: str) -> Callable[[], None]:
    """Return a function that generates an image with these environment variables."""

    def fail() -> None:
        with variables(**values):
            mountsea_magic.generate("a dog", timeout=5)

    return fail


def at_hub(*submits: Any, **values: str) -> Callable[[], None]:
    """Return a function that submits to a stand-in with these responses."""

    def fail() -> None:
        with StandInHub(submits=submits) as hub, variables(MOUNTSEA_BASE_URL=hub.url, **values):
            mountsea_magic.generate("a dog", timeout=5)

    return fail


def magic(line: str, **values: str) -> Callable[[], None]:
    """Return a function that runs a line magic."""

    def fail() -> None:
        with variables(**values):
            InteractiveShell.instance().run_line_magic("mountsea", line)

    return fail


def typed(text: str, line: str = "login --save") -> Callable[[], None]:
    """Return a function that logs in with this text as the key."""

    def ask(_: str) -> str:
        return text.format(key=os.environ["MOUNTSEA_API_KEY"])

    def fail() -> None:
        with mock.patch.object(getpass, "getpass", ask):
            InteractiveShell.instance().run_line_magic("mountsea", line)

    return fail


class BrokenKeyring(ModuleType):
    """A keyring whose exceptions contain the key, as a backend's may."""

    def __init__(self, kind: type[BaseException]) -> None:
        super().__init__("keyring")
        self.__spec__ = ModuleSpec("keyring", None)
        self.core = SimpleNamespace(recommended=lambda _: True)
        self.kind = kind

    def get_keyring(self) -> None:
        """Return a backend."""

    def get_password(self, service: str, name: str) -> NoReturn:
        """Fail."""
        raise self.kind(f"locked: {os.environ['MOUNTSEA_API_KEY']}")

    def set_password(self, service: str, name: str, password: str) -> NoReturn:
        """Fail."""
        raise self.kind(f"can't store {password}")


def with_keyring(kind: type[BaseException], work: Callable[[], None]) -> Callable[[], None]:
    """Return a function that does something on a machine whose keyring raises."""

    def fail() -> None:
        broken = BrokenKeyring(kind)
        with mock.patch.dict(sys.modules, {"keyring": broken, "keyring.core": broken.core}):
            work()

    return fail


def folder_in_the_way() -> None:
    """Save a key to a path that is a folder."""
    path = Path(os.environ["MOUNTSEA_HOME"], "keys.json")
    path.mkdir(parents=True)
    try:
        typed("{key}")()
    finally:
        path.rmdir()


def interrupted_while_reading() -> None:
    """Interrupt while an environment variable is read."""

    def interrupt(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    with mock.patch.object(settings, "_variable", interrupt):
        session.current_session().settings()


def interrupted_while_parsing() -> None:
    """Interrupt while a key is validated."""

    def interrupt(text: str) -> NoReturn:
        raise KeyboardInterrupt

    with mock.patch.object(settings.Secret, "problem", interrupt):
        typed("{key}")()


def interrupted_while_saving() -> None:
    """Interrupt while the key file is written."""

    def interrupt(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    with mock.patch.object(key_file, "write_private", interrupt):
        typed("{key}")()


def cancelled() -> None:
    """Cancel a submission that waits for its response, on the caller's event loop."""

    async def work(hub: StandInHub) -> None:
        client = clients.ClientPool().client(session.current_session().settings())
        request = mountsea_magic.ImageRequest("nano-banana", {"prompt": "a dog"})
        submission = asyncio.ensure_future(client.submit(request))
        await asyncio.to_thread(hub.wait_until, lambda: len(hub.posts) == 1)
        submission.cancel()
        await submission

    held = Reply(hold=threading.Event())
    with StandInHub(submits=[held]) as hub, variables(MOUNTSEA_BASE_URL=hub.url):
        asyncio.run(work(hub))


def interrupted_in_httpx() -> None:
    """Interrupt the thread whose loop is inside httpx, as with the nested runner."""

    def interrupt(*_: Any, **__: Any) -> NoReturn:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not reached")

    async def work() -> None:
        client = clients.ClientPool().client(session.current_session().settings())
        await client.task("hub-1")

    breaks = mock.patch("h11.Connection.send", interrupt)
    with StandInHub() as hub, variables(MOUNTSEA_BASE_URL=hub.url), breaks:
        asyncio.new_event_loop().run_until_complete(work())


def echoed() -> None:
    """Submit to a Hub that echoes the key in its error message."""

    class Echo(Reply):
        __slots__ = ()

        def __repr__(self) -> str:
            return "Echo()"  # the frames of this script contain it

    at_hub(Echo(422, b'{"message": "bad %s"}' % os.environ["MOUNTSEA_API_KEY"].encode()))()


def control() -> NoReturn:
    """Keep the key in a local variable, to prove that the probe finds it."""
    key = os.environ["MOUNTSEA_API_KEY"]
    raise RuntimeError("this one shows the key" if key else "")


def timed_out() -> None:
    """Time out while waiting for a response."""
    with mock.patch.object(exchange, "SUBMIT_READ_TIMEOUT_S", 0.05):
        at_hub(Reply(hold=threading.Event()))()


def bad_header() -> None:
    """Raise an unexpected exception inside httpx, near the header."""

    def fail(*_: Any, **__: Any) -> NoReturn:
        raise TypeError("unforeseen")

    with mock.patch("h11.Connection.send", fail):
        at_hub()()


WAYS: dict[str, Callable[[], None]] = {
    "control": control,
    "bad base URL": with_variables(MOUNTSEA_BASE_URL="htps://hub.example"),
    "bad credits URL": with_variables(MOUNTSEA_CREDITS_URL="nonsense"),
    "bad demo": with_variables(MOUNTSEA_DEMO="maybe"),
    "bad home": with_variables(MOUNTSEA_HOME="~no-such-user/x"),
    "key in quotes": with_variables(MOUNTSEA_API_KEY='"{key}"'),
    "key with a blank": with_variables(MOUNTSEA_API_KEY="{key} {key}"),
    "key with its name": with_variables(MOUNTSEA_API_KEY="MOUNTSEA_API_KEY={key}"),
    "key with Bearer": with_variables(MOUNTSEA_API_KEY="Bearer {key}"),
    "bad proxy": with_variables(HTTPS_PROXY="socks4://127.0.0.1:9"),
    "bad certificates": with_variables(SSL_CERT_FILE="/none"),
    "dead proxy": with_variables(HTTPS_PROXY="http://127.0.0.1:9"),
    "dead Hub": with_variables(MOUNTSEA_BASE_URL="http://127.0.0.1:9"),
    "unknown host": with_variables(MOUNTSEA_BASE_URL="http://hub.invalid"),
    "no TLS": with_variables(MOUNTSEA_BASE_URL="https://127.0.0.1:9"),
    "401": at_hub(json_reply({"message": "no such key"}, 401)),
    "an echo": echoed,
    "500": at_hub(json_reply({}, 500)),
    "reset": at_hub(RESET),
    "redirect": at_hub(Reply(302, headers={"Location": "http://127.0.0.1:9/"})),
    "a page": at_hub(Reply(403, b"<html><title>no</title>")),
    "timed out": timed_out,
    "unforeseen": bad_header,
    "cancelled": cancelled,
    "interrupted in httpx": interrupted_in_httpx,
    "interrupted while reading": interrupted_while_reading,
    "interrupted while parsing": interrupted_while_parsing,
    "interrupted while saving": interrupted_while_saving,
    "login with quotes": typed("“{key}”"),
    "login with a blank": typed("{key} x"),
    "login with a folder in the way": folder_in_the_way,
    "login with an interrupted keyring": with_keyring(KeyboardInterrupt, typed("{key}")),
    "logout with a broken keyring": with_keyring(OSError, magic("logout")),
    "credits of a dead host": magic("credits", MOUNTSEA_CREDITS_URL="http://127.0.0.1:9/c"),
    "models of a dead host": magic("models --refresh", MOUNTSEA_BASE_URL="http://127.0.0.1:9"),
    "status with a bad URL": magic("", MOUNTSEA_BASE_URL="nonsense"),
}


def rendered(error: BaseException) -> str:
    """Format an error as verbose tools do, with the local variables of all frames and causes."""
    lines = list(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    pending: list[BaseException | None] = [error]
    visited: set[int] = set()
    while pending:
        current = pending.pop()
        if current is None or id(current) in visited:
            continue
        visited.add(id(current))
        pending += [current.__cause__, current.__context__]
        lines += [repr(current), repr(current.args), repr(vars(current))]
        for frame, _ in traceback.walk_tb(current.__traceback__):
            # as pytest -l and IPython's Verbose mode do, and as rich, which expands containers
            lines += [repr(frame.f_locals), pretty_repr(frame.f_locals, max_width=10_000)]
    return "\n".join(lines)


def main() -> None:
    """Run all failures."""
    retry.MAX_CONNECT_ATTEMPTS = 1
    mountsea_magic.load_ipython_extension(InteractiveShell.instance())
    for name, fail in WAYS.items():
        session.current_session().login = None
        print(f"=== {name}")
        try:
            fail()
        except BaseException as error:
            print(f"--- {type(error).__name__}: {error}")
            print(rendered(error))


if __name__ == "__main__":
    main()
