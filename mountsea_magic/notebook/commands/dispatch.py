"""The ``%mountsea`` commands: each takes its words and says in text what it did."""

from __future__ import annotations

import getpass
from contextlib import suppress
from typing import TYPE_CHECKING

from ... import __version__
from ...errors import ConfigurationError, InvalidRequest, sanitize, without_frames
from ...request.catalog import nearest
from ...runtime.printing import echo
from ...session import current_session
from ...settings import Secret
from ..cell import Defaults
from ..line_parser import split_line
from ..options import command_parsers
from .models import show_models
from .tasks import history, open_lines, resume, show_task

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def run_command(shell: InteractiveShell, line: str, defaults: Defaults) -> None:
    """Carry out one ``%mountsea`` line.

    Args:
        shell: The user's shell.
        line: What follows ``%mountsea``.
        defaults: What ``%config`` says.

    Raises:
        InvalidRequest: If there is no such command, or its words make no sense.
        MountseaError: What went wrong with it.
    """
    words = split_line(line)
    if words[:1] != ["login"]:
        with suppress(ConfigurationError):
            # a key on the line would be printed, or sent in a URL
            current_session().settings().refuse_key_in(line)
    parsers = command_parsers()
    if not words:
        echo(status(defaults))
        return
    name = words[0]
    if name in ("-h", "--help", "help"):
        echo(commands_help())
        return
    if name not in parsers:
        raise InvalidRequest(
            f"Unknown command '%mountsea {sanitize(name, limit=60)}'. {nearest(name, parsers)}"
        )
    if set(words[1:]) & {"-h", "--help"}:
        echo(parsers[name].format_help())
        return
    if name == "login" and words[1:] not in ([], ["--save"]):
        raise InvalidRequest(
            "%mountsea login takes nothing but --save on its line, where a key would be saved in "
            "the notebook: run it alone, and it asks for the key."
        )
    given = parsers[name].parse_words(words[1:])
    if name == "models":
        show_models(shell, given.model, refresh=given.refresh)
    elif name == "demo":
        echo(_demo(given.state, given.if_no_key, given.fail))
    elif name == "login":
        echo(_login(given.save))
    elif name == "logout":
        echo(_logout())
    elif name == "credits":
        echo(f"{current_session().worker.run(_credits()):,.10g} credits left{_demo_note()}.")
    elif name == "history":
        echo(history(" ".join(given.text), given.count))
    elif name == "show":
        show_task(given.task_id, defaults)
    else:
        resume(shell, given.task_ids, defaults)


def commands_help() -> str:
    """List the commands, a line each."""
    parsers = command_parsers()
    width = max(map(len, parsers))
    lines = [f"  {name:<{width}}  {parser.description}" for name, parser in parsers.items()]
    return "\n".join(["%mountsea alone says where things stand. Commands:", *lines])


def status(defaults: Defaults) -> str:
    """Say where things stand: version, Hub, key's origin, default model, open tasks."""
    settings = current_session().settings()
    hub = "demo: (the embedded demo Hub)" if settings.is_demo else settings.base_url
    lines = [
        f"mountsea-magic {__version__}",
        f"Hub: {hub}",
        _key_line(),
        f"model: {defaults.model}",
        f"files: {settings.originals}",
        *open_lines(),
    ]
    notes = [*current_session().keys().notes(), *current_session().journal(settings).trouble()]
    return "\n".join([*lines, *(f"Note: {said.rstrip('.')}." for said in notes)])


def _key_line() -> str:
    """Where the key comes from; never the key."""
    settings = current_session().settings()
    unused = ", not used by the demo Hub" if settings.is_demo and settings.key else ""
    return f"key: {settings.key_source}{unused}"


async def _credits() -> float:
    """A client belongs to the loop that it is asked on."""
    return await current_session().clients.client(current_session().settings()).credits()


def _demo_note() -> str:
    """Nobody shall take demo credits for money."""
    return " at the demo Hub" if current_session().settings().is_demo else ""


def _demo(state: str | None, if_no_key: bool, fault: str | None) -> str:
    """Say what was chosen: the demo Hub is never chosen silently."""
    if if_no_key and state is not None:
        raise InvalidRequest(f"%mountsea demo: {state} and --if-no-key exclude each other.")
    if fault is not None and state is None and not if_no_key:
        if not current_session().settings().is_demo:
            raise InvalidRequest("--fail breaks the demo's network only: `%mountsea demo` first.")
        return f"The demo's network: {current_session().clients.break_demo(fault)}."
    if fault is not None:
        current_session().clients.break_demo(fault)
    current_session().use_demo("if-no-key" if if_no_key else state or "on")
    settings = current_session().settings()
    if settings.is_demo:
        return (
            "The demo Hub draws the images here: no model, no key, no network, nothing charged. "
            "`%mountsea demo off` leads to the real Hub."
        )
    return f"The Hub is {settings.base_url}; key: {settings.key_source}."


def _login(save: bool) -> str:
    """`getpass`, since a widget's value would be saved in the notebook."""
    try:
        # no local for what is typed: a frame that raises shows its locals
        key = Secret.read(getpass.getpass("Mountsea API key: "))
    except (EOFError, RuntimeError) as error:
        raise ConfigurationError(
            "This front end can't ask for a key: set MOUNTSEA_API_KEY before the kernel starts."
        ) from error
    except KeyboardInterrupt as error:
        raise without_frames(error) from None
    if isinstance(key, str):
        raise ConfigurationError(key)
    session = current_session()
    session.login = key
    where, notes = "this kernel's memory", list[str]()
    if save:
        hub = session.real_hub()
        store = session.keys()
        where = f"{store.save(hub, session.login)}, for {hub}"
        notes = store.notes()
    return " ".join([f"Kept in {where}.", *notes, _hub_line()])


def _logout() -> str:
    """The environment is not ours to change, so it is said if a key is still there."""
    current_session().login = None
    store = current_session().keys()
    trouble = store.delete(current_session().real_hub())
    return " ".join(filter(None, ["API key removed.", trouble, *store.notes(), _key_line()]))


def _hub_line() -> str:
    """A login while the demo is on would otherwise seem to do nothing."""
    settings = current_session().settings()
    if settings.is_demo:
        return "The demo Hub is still on: `%mountsea demo off` leads to the real one."
    return f"The Hub is {settings.base_url}."
