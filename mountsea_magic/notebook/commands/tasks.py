"""The commands about orders of the past: ``history``, ``show`` and ``resume``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ...errors import ConfigurationError, InvalidRequest, MountseaError, resume_hint
from ...hub.retry import is_unknown_task
from ...journal.entry import Entry
from ...runtime.printing import echo
from ...runtime.text import json_text, quoted, sanitize, sanitize_inline
from ...session import current_session
from ...settings import DEMO_URL
from ..batch_view import RunOptions
from ..cell import Defaults
from ..outputs import show
from ..runner import run

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def history(text: str, count: int) -> str:
    """List the newest orders, a line each, newest first.

    Args:
        text: What prompt, task id, model, state or Hub must hold; an empty text finds all.
        count: How many at most.

    Raises:
        InvalidRequest: If the count makes no sense.
    """
    if count < 1:
        raise InvalidRequest(f"%mountsea history -n {count}: at least 1.")
    journal = current_session().journal(current_session().settings())
    entries = journal.search(text, limit=count)
    notes = [f"Note: {said}." for said in journal.trouble()]
    if not entries:
        about = f" that holds {sanitize(text)!r}" if text else ""
        return "\n".join([f"The journal has no order{about}.", *notes])
    return "\n".join([*map(_line, entries), *notes])


def show_task(task_id: str, defaults: Defaults) -> None:
    """Print what is known of a task, and show its images if they are here.

    Args:
        task_id: A task of the journal, or one that the Hub is asked about.
        defaults: What ``%config`` says.

    Raises:
        MountseaError: If neither the journal nor the Hub knows it.
    """
    settings = current_session().settings()
    entry = current_session().journal(settings).find(task_id, hub=settings.base_url)
    if entry is None:
        settings.require_key()
        echo(current_session().worker.run(_asked(task_id)))
        return
    echo(_described(entry))
    if entry.files and all(image.is_intact() for image in entry.files):
        generation, _ = current_session().recall(task_id)
        generation.preview_px = defaults.preview
        generation.images = entry.files
        show(generation)


def resume(shell: InteractiveShell, task_ids: Sequence[str], defaults: Defaults) -> None:
    """Bring the images of tasks that were ordered before; nothing is ordered.

    Args:
        shell: The user's shell, for the output.
        task_ids: Which; all that are open if there are none.
        defaults: What ``%config`` says.

    Raises:
        MountseaError: What went wrong with the only one, or a summary after all were tried.
    """
    if current_session().pending_submissions:
        echo("Waiting for the Hub's answer to an order that is on its way …")
        current_session().worker.run(current_session().drain())
    named = list(dict.fromkeys(task_ids))
    if not named:
        named = [
            entry.task_id for entry in current_session().open_tasks() if entry.task_id is not None
        ]
        echo(_unanswered() or ("" if named else "There is no open task.\n"), end="")
    failures = []
    for task_id in named:
        try:
            _resume_one(shell, task_id, defaults, all_open=not task_ids)
        except MountseaError as error:
            if len(named) == 1:
                raise
            failures.append(f"{type(error).__name__}: {error}")
    if failures:
        raise MountseaError(
            f"{len(failures)} of {len(named)} tasks brought no images.\n" + "\n".join(failures)
        )


def open_lines() -> list[str]:
    """Say which tasks are still open, and which orders were never answered; a line each."""
    entries = current_session().open_tasks()
    here = current_session().settings().base_url
    lines = [f"open tasks: {len(entries) or 'none'}"]
    for entry in entries:
        hub = "the demo Hub" if entry.hub == DEMO_URL else entry.hub
        where = f" at {hub}" if entry.hub != here else ""
        lines.append(f"  {quoted(entry.task_id)} {sanitize(entry.state)}{where}")
    return [*lines, *filter(None, [_unanswered().rstrip()])]


def _resume_one(
    shell: InteractiveShell, task_id: str, defaults: Defaults, *, all_open: bool
) -> None:
    """Of all that are open, those at a Hub that is out of reach now are but named."""
    try:
        generation, settings = current_session().recall(task_id)
    except ConfigurationError as error:
        if not all_open:
            raise error.with_task(task_id) from None
        echo(f"{quoted(task_id)}: {error}")
        return
    if not generation.done():
        # a second wait beside it would fetch the images a second time
        echo(f"Waiting for {quoted(task_id)}, which runs in the background …")
        show(generation.wait(defaults.timeout))
        return
    generation.preview_px = defaults.preview
    run(shell, [generation], settings, RunOptions(defaults.timeout, defaults.runner))


async def _asked(task_id: str) -> str:
    """One look, so that an id from anywhere can be told apart from a mistyped one."""
    settings = current_session().settings()
    try:
        state = await current_session().clients.client(settings).task(task_id)
    except MountseaError as error:
        if not is_unknown_task(error):
            raise
        raise InvalidRequest(
            f"Neither the journal nor the Hub knows a task {quoted(task_id)}.", task_id=task_id
        ) from None
    facts = [
        f"task {quoted(task_id)}, not in the journal",
        f"Hub: {settings.base_url}",
        f"state: {sanitize(state.status)}",
        f"error: {sanitize(state.error)}" if state.error else "",
        f"images: {len(state.sources)}; fetch them: {resume_hint(task_id)}"
        if state.sources
        else "",
    ]
    return "\n".join(filter(None, facts))


def _unanswered() -> str:
    """The one kind of order that nothing can be done about but to look at one's account."""
    journal = current_session().journal(current_session().settings())
    lost = [entry for entry in journal.unanswered() if _state(entry) == "uncertain"]
    if not lost:
        return ""
    many = f"{len(lost)} orders were" if len(lost) > 1 else "1 order was"
    return (
        f"{many} never answered, the last at {_time(lost[-1])}, and may have been taken: "
        "`%mountsea history uncertain`, `%mountsea credits`.\n"
    )


def _line(entry: Entry) -> str:
    """Time, state, model, id, images, prompt: what a user looks for an order by."""
    facts = [
        _time(entry),
        _state(entry),
        quoted(entry.model) if entry.model else "resumed",
        quoted(entry.task_id) if entry.task_id else "no task",
        f"{len(entry.files)} image{'s' if len(entry.files) != 1 else ''}" if entry.files else "",
        "demo" if entry.hub == DEMO_URL else "",
        f"“{sanitize(entry.prompt, limit=60)}”" if entry.prompt else "",
    ]
    return "  ".join(filter(None, facts))


def _described(entry: Entry) -> str:
    """All that the journal knows of an order."""
    others = {name: value for name, value in entry.input.items() if name != "prompt"}
    facts = [
        f"task {quoted(entry.task_id)}",
        f"state: {_state(entry)}",
        f"Hub: {entry.hub}",
        f"ordered: {_time(entry)}",
        f"model: {quoted(entry.model)}" if entry.model else "",
        f"prompt: {sanitize(entry.prompt, limit=2000)}" if entry.prompt else "",
        f"parameters: {sanitize(json_text(others))}" if others else "",
        f"took: {entry.elapsed_s:.1f} s" if entry.elapsed_s is not None else "",
        f"the model said: {sanitize_inline(entry.description)}" if entry.description else "",
        f"error: {sanitize(entry.error)}" if entry.error else "",
    ]
    hint = resume_hint(str(entry.task_id))
    for image in entry.files:
        altered = "" if image.is_intact() else f"  altered or gone: {hint}"
        facts.append(f"file: {image.path}  {image.width}×{image.height}{altered}")
    if entry.is_open:
        facts.append(f"fetch it: {hint}")
    return "\n".join(filter(None, facts))


def _state(entry: Entry) -> str:
    """As of now: an order whose kernel ended while it was on its way is uncertain."""
    return sanitize(entry.state_at(time.time()))


def _time(entry: Entry) -> str:
    """The user's local time."""
    return f"{datetime.fromtimestamp(entry.created):%Y-%m-%d %H:%M:%S}"
