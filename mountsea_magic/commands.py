"""The ``%mountsea`` commands: each takes its words and says in text what it did."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from . import __version__
from .catalog import nearest
from .cell import Defaults, run_shown
from .errors import ConfigurationError, InvalidRequest, plain
from .handle import Generation
from .options import command_parsers, split_line
from .session import CURRENT
from .settings import Secret

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
    parsers = command_parsers()
    if not words:
        print(status(defaults))
        return
    name = words[0]
    if name in ("-h", "--help", "help"):
        print(commands_help())
        return
    if name not in parsers:
        raise InvalidRequest(
            f"%mountsea {plain(name, limit=60)}: there is no such command. {nearest(name, parsers)}"
        )
    if set(words[1:]) & {"-h", "--help"}:
        print(parsers[name].format_help())
        return
    if name == "login" and words[1:]:
        raise InvalidRequest(
            "%mountsea login takes nothing on its line, where a key would be saved in the "
            "notebook: run it alone, and it asks for the key."
        )
    given = parsers[name].parse_words(words[1:])
    if name == "demo":
        print(_demo(given.state, given.if_no_key, given.fail))
    elif name == "login":
        print(_login())
    elif name == "logout":
        CURRENT.login = None
        print(f"Forgotten. {_key_line()}")
    elif name == "credits":
        left = CURRENT.worker.run(CURRENT.credits(CURRENT.settings()))
        print(f"{left:,.10g} credits left{_demo_note()}.")
    else:
        _resume(shell, given.task_ids, defaults)


def commands_help() -> str:
    """List the commands, a line each."""
    parsers = command_parsers()
    width = max(map(len, parsers))
    lines = [f"  {name:<{width}}  {parser.description}" for name, parser in parsers.items()]
    return "\n".join(["%mountsea alone says where things stand. Commands:", *lines])


def status(defaults: Defaults) -> str:
    """Say where things stand: version, Hub, key's origin, default model, open tasks."""
    settings = CURRENT.settings()
    open_tasks = [generation for generation in CURRENT.open if generation.task_id is not None]
    hub = "demo: (the embedded demo Hub)" if settings.is_demo else settings.base_url
    lines = [
        f"mountsea-magic {__version__}",
        f"Hub: {hub}",
        _key_line(),
        f"model: {defaults.model}",
        f"files: {settings.originals}",
        f"open tasks: {len(open_tasks) or 'none'}",
    ]
    lines += [f"  {plain(task.task_id)} {plain(task.status)}" for task in open_tasks]
    return "\n".join(lines)


def _key_line() -> str:
    """Where the key comes from; never the key."""
    settings = CURRENT.settings()
    unused = ", not used by the demo Hub" if settings.is_demo and settings.key else ""
    return f"key: {settings.key_source}{unused}"


def _demo_note() -> str:
    """Nobody shall take demo credits for money."""
    return " at the demo Hub" if CURRENT.settings().is_demo else ""


def _demo(state: str | None, if_no_key: bool, fault: str | None) -> str:
    """Say what was chosen: the demo Hub is never chosen silently."""
    if if_no_key and state is not None:
        raise InvalidRequest(f"%mountsea demo: {state} and --if-no-key exclude each other.")
    if fault is not None and state is None and not if_no_key:
        if not CURRENT.settings().is_demo:
            raise InvalidRequest("--fail breaks the demo's network only: `%mountsea demo` first.")
        return f"The demo's network: {CURRENT.break_demo(fault)}."
    if fault is not None:
        CURRENT.break_demo(fault)
    CURRENT.demo = "if-no-key" if if_no_key else state or "on"
    settings = CURRENT.settings()
    if settings.is_demo:
        return (
            "The demo Hub draws the pictures here: no model, no key, no network, nothing charged. "
            "`%mountsea demo off` leads to the real Hub."
        )
    return f"The Hub is {settings.base_url}; key: {settings.key_source}."


def _login() -> str:
    """`getpass`, since a widget's value would be saved in the notebook."""
    try:
        typed = getpass.getpass("Mountsea API key: ")
    except (EOFError, RuntimeError) as error:
        raise ConfigurationError(
            "This front end can't ask for a key: set MOUNTSEA_API_KEY before the kernel starts."
        ) from error
    CURRENT.login = Secret(typed)
    return f"Kept in this kernel's memory. {_hub_line()}"


def _hub_line() -> str:
    """A login while the demo is on would otherwise seem to do nothing."""
    settings = CURRENT.settings()
    if settings.is_demo:
        return "The demo Hub is still on: `%mountsea demo off` leads to the real one."
    return f"The Hub is {settings.base_url}."


def _resume(shell: InteractiveShell, task_ids: list[str], defaults: Defaults) -> None:
    """A task that this kernel knows is resumed with its request; any other by its id alone."""
    known = {task.task_id: task for task in CURRENT.open if task.task_id is not None}
    if not task_ids and not known:
        print("There is no open task in this kernel: name one, `%mountsea resume TASK_ID`.")
        return
    settings = CURRENT.settings()
    settings.require_key()
    for task_id in task_ids or list(known):
        generation = known.get(task_id)
        if generation is None:
            generation = Generation(None, task_id=task_id, is_demo=settings.is_demo)
        else:
            CURRENT.open.remove(generation)
            generation.error = None
        generation.preview_px = defaults.preview
        run_shown(shell, generation, settings, timeout_s=defaults.timeout, runner=defaults.runner)
