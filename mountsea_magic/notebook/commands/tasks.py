"""The commands about earlier submissions: ``history``, ``show`` and ``resume``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from ...errors import (
    BatchFailed,
    ConfigurationError,
    Interrupted,
    InvalidRequest,
    MountseaError,
    resume_hint,
)
from ...generation.batch import Batch
from ...generation.batch_report import reasons_of
from ...generation.history import history_of
from ...hub.retry import is_unknown_task
from ...hub.status import Status
from ...journal.entry import Entry
from ...runtime.printing import echo
from ...runtime.text import json_text, quoted, sanitize, sanitize_inline
from ...session import current_session
from ...settings import DEMO_URL, Settings
from ..frontend import front_end
from ..gallery import show_history
from ..options import CellOptions
from ..outputs import show
from ..runner import run_all

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def history(text: str, count: int) -> str | None:
    """List the latest submissions, newest first: a table in a notebook, else lines.

    Args:
        text: Part of a prompt, task id, model, status or Hub; an empty text matches all.
        count: The maximum number of submissions.

    Returns:
        The lines to print, or None if the table was displayed.

    Raises:
        InvalidRequest: If the count is less than 1.
        Interrupted: If interrupted.
    """
    from IPython.core.getipython import get_ipython

    if count < 1:
        raise InvalidRequest(f"%mountsea history: -n must be at least 1 (got {count}).")
    journal = current_session().journal(current_session().settings())
    found = history_of(journal.search(text, limit=count))
    notes = [f"Note: {text}." for text in journal.trouble()]
    if not found:
        query = f" that match {sanitize(text)!r}" if text else ""
        return "\n".join([f"No submissions in the journal{query}.", *notes])
    if not front_end(get_ipython()).notebook:
        return "\n".join([str(found), *notes])
    show_history(found, notes)
    return None


def show_task(task_id: str, defaults: CellOptions) -> None:
    """Print the details of a task, and show its images if they are on disk.

    Args:
        task_id: A task of the journal; others are looked up at the Hub.
        defaults: The values of ``%config``.

    Raises:
        MountseaError: If neither the journal nor the Hub knows the task.
    """
    settings = current_session().settings()
    entry = current_session().journal(settings).find(task_id, hub=settings.base_url)
    if entry is None:
        settings.require_key()
        echo(current_session().worker.run(_describe_from_hub(task_id)))
        return
    echo(_describe(entry))
    if entry.files and all(image.is_intact() for image in entry.files):
        generation, _ = current_session().recall(task_id)
        generation.preview_px = defaults.preview
        generation.images = entry.files
        show(generation)


def resume(shell: InteractiveShell, task_ids: Sequence[str], defaults: CellOptions) -> None:
    """Follow tasks submitted earlier, several at once, and show their images; submit nothing.

    Args:
        shell: The user's shell, for the output.
        task_ids: The tasks; if empty, all open tasks.
        defaults: The values of ``%config``.

    Raises:
        MountseaError: If the only task fails; with several, a summary after all were tried.
    """
    if current_session().pending_submissions:
        echo("Waiting for the Hub's response to a submission in progress …")
        current_session().worker.run(current_session().drain())
    selected = list(dict.fromkeys(task_ids))
    if not selected:
        selected = [
            entry.task_id for entry in current_session().open_tasks() if entry.task_id is not None
        ]
        echo(_uncertain_note() or ("" if selected else "No open tasks.\n"), end="")
    batch, settings_of = Batch(), dict[int, Settings]()
    for task_id in selected:
        try:
            generation, settings = current_session().recall(task_id)
        except ConfigurationError as error:
            if not task_ids:  # the others are resumed
                echo(f"{quoted(task_id)}: {error}")
                continue
            raise error.with_task(task_id) from None
        generation.preview_px = defaults.preview
        batch.add(generation)
        settings_of[id(generation)] = settings
    in_background = [each for each in batch if not each.done()]
    others = Batch([each for each in batch if each.done()])
    if len(others):
        ended = run_all(shell, others, lambda each: settings_of[id(each)], defaults, kind="task")
        if isinstance(ended, Interrupted):
            raise ended
    for generation in in_background:
        # a second wait would download the images again
        echo(f"Waiting for {quoted(generation.task_id)}, which runs in the background …")
        with suppress(MountseaError):
            show(generation.wait(defaults.timeout))
    _raise_errors(batch)


def _raise_errors(batch: Batch) -> None:
    """Raise the error of the only task, or one for all that returned no images."""
    errors = [each.error for each in batch if isinstance(each.error, Exception)]
    if errors and len(batch) == 1:
        raise errors[0]
    if errors:
        message = f"{len(errors)} of {len(batch)} tasks returned no images."
        raise BatchFailed("\n".join([message, *reasons_of(batch)]), batch=batch, errors=errors)


def open_lines() -> list[str]:
    """List the open tasks and count the uncertain submissions, one line each."""
    entries = current_session().open_tasks()
    current_url = current_session().settings().base_url
    lines = [f"open tasks: {len(entries) or 'none'}"]
    for entry in entries:
        hub = "the demo Hub" if entry.hub == DEMO_URL else entry.hub
        location = f" at {hub}" if entry.hub != current_url else ""
        lines.append(f"  {quoted(entry.task_id)} {sanitize(entry.status)}{location}")
    return [*lines, *filter(None, [_uncertain_note().rstrip()])]


async def _describe_from_hub(task_id: str) -> str:
    """Describe a task that is not in the journal, with a single poll."""
    settings = current_session().settings()
    try:
        task = await current_session().clients.client(settings).task(task_id)
    except MountseaError as error:
        if not is_unknown_task(error):
            raise
        raise InvalidRequest(
            f"Neither the journal nor the Hub knows a task {quoted(task_id)}.", task_id=task_id
        ) from None
    facts = [
        f"task {quoted(task_id)}, not in the journal",
        f"Hub: {settings.base_url}",
        f"status: {sanitize(task.status)}",
        f"error: {sanitize(task.error)}" if task.error else "",
        f"images: {len(task.sources)}; fetch them: {resume_hint(task_id)}" if task.sources else "",
    ]
    return "\n".join(filter(None, facts))


def _uncertain_note() -> str:
    """Return a reminder of uncertain submissions, which only the user's account can settle."""
    journal = current_session().journal(current_session().settings())
    uncertain = [entry for entry in journal.unanswered() if _status(entry) == Status.UNCERTAIN]
    if not uncertain:
        return ""
    count = f"{len(uncertain)} submissions" if len(uncertain) > 1 else "1 submission"
    return (
        f"{count} got no response, the latest at {_time(uncertain[-1])}, and may have been "
        "accepted by the Hub: see `%mountsea history uncertain` and `%mountsea credits`.\n"
    )


def _describe(entry: Entry) -> str:
    others = {name: value for name, value in entry.input.items() if name != "prompt"}
    facts = [
        f"task {quoted(entry.task_id)}",
        f"status: {_status(entry)}",
        f"Hub: {entry.hub}",
        f"submitted: {_time(entry)}",
        f"model: {quoted(entry.model)}" if entry.model else "",
        f"prompt: {sanitize(entry.prompt, limit=2000)}" if entry.prompt else "",
        f"parameters: {sanitize(json_text(others))}" if others else "",
        f"duration: {entry.elapsed_s:.1f} s" if entry.elapsed_s is not None else "",
        f"description: {sanitize_inline(entry.description)}" if entry.description else "",
        f"error: {sanitize(entry.error)}" if entry.error else "",
    ]
    hint = resume_hint(str(entry.task_id))
    for image in entry.files:
        problem = "" if image.is_intact() else f"  changed or missing: {hint}"
        facts.append(f"file: {image.path}  {image.width}×{image.height}{problem}")
    if entry.is_open:
        facts.append(f"fetch it: {hint}")
    return "\n".join(filter(None, facts))


def _status(entry: Entry) -> str:
    """Return the current status: a submission whose kernel ended in the middle is uncertain."""
    return sanitize(entry.status_at(time.time()))


def _time(entry: Entry) -> str:
    """Format the time of submission, in local time."""
    return f"{datetime.fromtimestamp(entry.created):%Y-%m-%d %H:%M:%S}"
