"""Parses a ``%mountsea`` line and runs its command."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ... import __version__
from ...errors import ConfigurationError, InvalidRequest
from ...request.catalog import nearest
from ...runtime.printing import echo
from ...runtime.text import sanitize
from ...session import current_session
from ..line_parser import split_line
from ..options import CellOptions, command_parsers
from .demo import demo
from .login import key_line, login, logout
from .models import show_models
from .tasks import history, open_lines, resume, show_task

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def run_command(shell: InteractiveShell, line: str, defaults: CellOptions) -> None:
    """Run a ``%mountsea`` command and print its result.

    Args:
        shell: The user's shell.
        line: The text after ``%mountsea``.
        defaults: The values of ``%config``.

    Raises:
        InvalidRequest: If the command or its arguments are not valid.
        MountseaError: If the command fails.
    """
    words = split_line(line)
    if words[:1] != ["login"]:
        with suppress(ConfigurationError):
            # a key on the line would be printed or sent in a URL
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
            "%mountsea login accepts only --save: a key on its line would be saved in the "
            "notebook. Run it without a key; it asks for the key."
        )
    arguments = parsers[name].parse_arguments(words[1:])
    if name == "models":
        show_models(shell, arguments.model, refresh=arguments.refresh)
    elif name == "demo":
        echo(demo(arguments.state, arguments.if_no_key, arguments.fail))
    elif name == "login":
        echo(login(arguments.save))
    elif name == "logout":
        echo(logout())
    elif name == "credits":
        echo(f"{current_session().worker.run(_credits()):,.10g} credits left{_demo_note()}.")
    elif name == "history":
        echo(history(" ".join(arguments.text), arguments.count))
    elif name == "show":
        show_task(arguments.task_id, defaults)
    else:
        resume(shell, arguments.task_ids, defaults)


def commands_help() -> str:
    """List the commands, one line each."""
    parsers = command_parsers()
    width = max(map(len, parsers))
    lines = [f"  {name:<{width}}  {parser.description}" for name, parser in parsers.items()]
    return "\n".join(["%mountsea without a command shows the status. Commands:", *lines])


def status(defaults: CellOptions) -> str:
    """Return version, Hub, source of the key, default model, folder and open tasks."""
    settings = current_session().settings()
    hub = "demo: (the embedded demo Hub)" if settings.is_demo else settings.base_url
    lines = [
        f"mountsea-magic {__version__}",
        f"Hub: {hub}",
        key_line(),
        f"model: {defaults.model}",
        f"files: {settings.originals}",
        *open_lines(),
    ]
    notes = [*current_session().keys().notes(), *current_session().journal(settings).trouble()]
    return "\n".join([*lines, *(f"Note: {text.rstrip('.')}." for text in notes)])


async def _credits() -> float:
    """Get the credits on the worker's event loop, to which the client belongs."""
    return await current_session().clients.client(current_session().settings()).credits()


def _demo_note() -> str:
    """Mark the credits of the demo Hub, which are not real."""
    return " at the demo Hub" if current_session().settings().is_demo else ""
