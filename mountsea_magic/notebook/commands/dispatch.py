"""The ``%mountsea`` commands: their names, arguments and help, and how a line runs one."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from ...errors import ConfigurationError, InvalidRequest
from ...request.catalog import nearest
from ...runtime.printing import echo
from ...runtime.text import sanitize
from ...session import current_session
from ..line_parser import LineParser, split_line, whole_number
from ..options import CellOptions
from .budget import budget
from .demo import demo
from .form import form
from .login import login, logout
from .models import show_models
from .status import credits_line, status_text
from .tasks import history, resume, show_task

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    Run = Callable[[InteractiveShell, argparse.Namespace, CellOptions], str | None]
    """Runs a command with its arguments and the values of ``%config``; returns what to print."""


def command_parsers() -> Mapping[str, LineParser]:
    """Return the parser of each command, by its name; ``run`` of its result is a `Run`."""
    parsers: dict[str, LineParser] = {}

    def command(name: str, description: str, run: Run) -> LineParser:
        parsers[name] = LineParser(
            prog=f"%mountsea {name}", description=description, add_help=False, allow_abbrev=False
        )
        parsers[name].set_defaults(run=run)
        return parsers[name]

    models = command(
        "models",
        "list the models, or show one model's parameters",
        lambda shell, given, _: show_models(shell, given.model, refresh=given.refresh),
    )
    models.add_argument("model", nargs="?", metavar="ID", help="the model")
    models.add_argument("--refresh", action="store_true", help="update the list from the Hub")
    switch = command(
        "demo",
        "use the embedded demo Hub: no key, no network, no credits",
        lambda _, given, __: demo(given.state, given.if_no_key, given.fail),
    )
    switch.add_argument("state", nargs="?", choices=["on", "off"], help="default: on")
    switch.add_argument("--if-no-key", action="store_true", help="only while no key is set")
    switch.add_argument("--fail", metavar="MODE", help="simulate a network fault; none ends it")
    store = command(
        "login",
        "ask for an API key, and store it in this kernel's memory",
        lambda _, given, __: login(given.save),
    )
    store.add_argument(
        "--save", action="store_true", help="also store it in the system keyring or a 0600 file"
    )
    command("logout", "remove the API key of login, wherever it is stored", lambda *_: logout())
    command("credits", "show how many credits are left", lambda *_: credits_line())
    search = command(
        "history",
        "list the latest submissions of all kernels",
        lambda _, given, __: history(" ".join(given.text), given.count),
    )
    search.add_argument(
        "-n", dest="count", type=whole_number, default=20, metavar="N", help="how many to list"
    )
    search.add_argument(
        "text", nargs="*", metavar="TEXT", help="part of a prompt, task id, model, status or Hub"
    )
    show = command(
        "show",
        "show the details of a task, and its images",
        lambda _, given, defaults: show_task(given.task_id, defaults),
    )
    show.add_argument("task_id", metavar="TASK_ID")
    wait = command(
        "resume",
        "wait for tasks submitted earlier, and download their images",
        lambda shell, given, defaults: resume(shell, given.task_ids, defaults),
    )
    wait.add_argument("task_ids", nargs="*", metavar="TASK_ID", help="default: all open tasks")
    limit = command(
        "budget",
        "show or set how many images may be ordered in 24 hours",
        lambda _, given, __: budget(given.limit),
    )
    limit.add_argument("limit", nargs="?", metavar="N|off", help="default: show what is left")
    fill = command(
        "form",
        "show a form to fill in, made from the model's parameters",
        lambda shell, given, defaults: form(shell, given.model, defaults),
    )
    fill.add_argument("-m", "--model", metavar="ID", help="the model to begin with")
    return parsers


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
        echo(status_text(defaults))
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
    output = arguments.run(shell, arguments, defaults)
    if output is not None:
        echo(output)


def commands_help() -> str:
    """List the commands, one line each."""
    parsers = command_parsers()
    width = max(map(len, parsers))
    lines = [f"  {name:<{width}}  {parser.description}" for name, parser in parsers.items()]
    return "\n".join(["%mountsea without a command shows the status. Commands:", *lines])
