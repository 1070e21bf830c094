"""One ``%%mountsea`` cell: its prompts become requests, are run one by one, and are shown."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .composing import compose
from .display import ending_line, final_line, show
from .errors import InvalidRequest, MountseaError, plain
from .events import Event, Notice
from .handle import Generation
from .options import CellOptions, spell_option
from .progress import NoLine, ProgressLine, TextLine, WidgetLine
from .protocol import SUBMIT_PATH
from .request import ImageRequest
from .session import CURRENT
from .settings import DEFAULT_BASE_URL, Settings
from .templating import render, split_prompts
from .worker import run_nested

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What ``%config MountseaMagics`` says, for what the line leaves open.

    Attributes:
        model: The model's id.
        preview: The longest side of the previews, in pixels.
        timeout: How long to wait, in seconds.
        runner: ``thread`` or ``nested``.
    """

    model: str
    preview: int
    timeout: float
    runner: str


def run_cell(shell: InteractiveShell, options: CellOptions, cell: str, defaults: Defaults) -> None:
    """Order what a cell asks for, wait, and show it.

    Args:
        shell: The user's shell, for names and output.
        options: The cell's line.
        cell: The cell's body.
        defaults: What holds where the line says nothing.

    Raises:
        MountseaError: What went wrong; the pictures that were had before are shown.
        Interrupted: If the cell was interrupted.
    """
    settings = CURRENT.settings()
    requests = _requests(shell, options, cell, defaults, settings)
    if options.dry_run:
        print("\n\n".join(describe(request, settings) for request in requests))
        return
    settings.require_key()
    for request in requests:
        settings.refuse_key_in(request.canonical())
    copies = _folder(options.save)
    generations = [Generation(request, is_demo=settings.is_demo) for request in requests]
    for generation in generations:
        generation.preview_px = defaults.preview if options.preview is None else options.preview
    if options.out is not None:
        shell.user_ns[options.out] = generations if len(generations) > 1 else generations[0]
    for generation in generations:
        run_shown(
            shell,
            generation,
            settings,
            timeout_s=defaults.timeout if options.timeout is None else options.timeout,
            runner=defaults.runner,
            quiet=options.quiet,
            fresh=options.fresh,
            cache=options.cache,
        )
        if copies is not None:
            _copy(generation, copies)


def run_shown(
    shell: InteractiveShell,
    generation: Generation,
    settings: Settings,
    *,
    timeout_s: float,
    runner: str = "thread",
    quiet: bool = False,
    fresh: bool = False,
    cache: bool = False,
) -> None:
    """Run a generation under a live line, then show its pictures.

    Args:
        shell: The user's shell.
        generation: The handle; bound to ``_mountsea`` at once.
        settings: Which Hub.
        timeout_s: How long to wait, in seconds.
        runner: ``thread``, or ``nested`` for the kernel's own loop.
        quiet: Show nothing on success.
        fresh: Never answer from the journal.
        cache: Answer from the journal also without a seed.

    Raises:
        MountseaError: What went wrong.
        Interrupted: If it was interrupted.
    """
    shell.user_ns["_mountsea"] = generation
    line = _line(shell, generation, quiet)
    ending = ending_line(generation, "stopped by an unexpected error")
    notices: list[str] = []

    def watch(event: Event) -> None:
        line.take(event)
        if isinstance(event, Notice):
            notices.append(event.text)

    try:
        work = CURRENT.generate(
            generation, settings, timeout_s=timeout_s, watch=watch, fresh=fresh, cache=cache
        )
        _run(work, runner, line.tick)
        ending = final_line(generation)
    except KeyboardInterrupt:
        ending = ending_line(generation, "interrupted")
        raise generation.interrupted() from None
    except MountseaError as error:
        ending = ending_line(generation, _in_words(error))
        raise
    finally:
        line.finish(ending.html, ending.text)
        for notice in notices:
            print(f"mountsea: {notice}", file=sys.stderr)
    if not quiet and _in_kernel(shell):
        show(generation)


def describe(request: ImageRequest, settings: Settings) -> str:
    """Write a request down as it would be sent, and as a curl command; the key is a variable.

    Input pictures are but named: ten megabytes of base64 are nothing to read.

    Args:
        request: The request.
        settings: Which Hub; for the demo Hub the command names the real one.
    """
    base_url = DEFAULT_BASE_URL if settings.is_demo else settings.base_url
    sent = request.body() | {"input": request.for_the_screen()}
    body = json.dumps(sent, ensure_ascii=False, indent=2)
    count = request.picture_count
    return "\n".join(
        [
            f"POST {base_url}{SUBMIT_PATH}",
            body,
            "",
            f"curl --request POST --url {shlex.quote(base_url + SUBMIT_PATH)} \\",
            '  --header "Authorization: Bearer $MOUNTSEA_API_KEY" \\',
            "  --header 'Content-Type: application/json' \\",
            f"  --data-raw {shlex.quote(json.dumps(sent, ensure_ascii=False))}",
            "",
            f"{count} picture{'s' if count != 1 else ''}; nothing was sent.",
        ]
    )


def _requests(
    shell: InteractiveShell,
    options: CellOptions,
    cell: str,
    defaults: Defaults,
    settings: Settings,
) -> list[ImageRequest]:
    """All prompts are checked before the first is sent: half a cell is the dearest kind."""
    requests = []
    prompts = split_prompts(cell)
    for number, prompt in enumerate(prompts, start=1):
        try:
            requests.append(
                compose(
                    prompt if options.raw else render(prompt, shell.user_ns),
                    model=defaults.model if options.model is None else options.model,
                    parameters=options.parameters,
                    settings=settings,
                    images=options.images,
                    shrink=options.shrink,
                    variables=shell.user_ns,
                    spell=spell_option,
                )
            )
        except InvalidRequest as error:
            if len(prompts) == 1:
                raise
            raise InvalidRequest(f"Prompt {number}: {error}") from error.__cause__
    return requests


def _line(shell: InteractiveShell, generation: Generation, quiet: bool) -> ProgressLine:
    """A terminal prints a widget's repr, so it gets text."""
    model = generation.request.model if generation.request is not None else "resumed"
    label = f"{model} (demo Hub)" if generation.is_demo else model
    if quiet:
        return NoLine(label)
    return WidgetLine(label) if _in_kernel(shell) else TextLine(label)


def _in_words(error: MountseaError) -> str:
    """The line above the error names its kind in plain words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()


def _in_kernel(shell: InteractiveShell) -> bool:
    """Only a shell that serves a front end has a kernel."""
    return getattr(shell, "kernel", None) is not None


def _run(work: Coroutine[Any, Any, T], runner: str, tick: Callable[[], None]) -> T:
    """The work is on the loop thread either way; nesting needs a loop that runs to wait on."""
    if runner == "nested":
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            return run_nested(CURRENT.worker.wait(work), tick=tick)
    return CURRENT.worker.run(work, tick=tick)


def _folder(named: str | None) -> Path | None:
    """A folder that can't be had is found out before anything is paid."""
    if named is None:
        return None
    folder = Path(named).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = plain(error.strerror or error)
        raise InvalidRequest(f"--save {plain(named)}: it can't be a folder: {reason}.") from error
    return folder


def _copy(generation: Generation, folder: Path) -> None:
    """The originals are safe by now, and a copy that fails must say so."""
    try:
        generation.save(folder)
    except OSError as error:
        raise MountseaError(
            f"The pictures are in {generation[0].path.parent}, but could not be copied to "
            f"{folder}: {plain(error.strerror or error)}.",
            task_id=generation.task_id,
        ) from error
