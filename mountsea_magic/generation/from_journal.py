"""Answers from the journal: results of identical requests, and of those under the same key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ..errors import (
    ConfigurationError,
    DownloadFailed,
    InvalidRequest,
    MountseaError,
    SubmissionUncertain,
    TaskFailed,
)
from ..hub.retry import is_unknown_task
from ..hub.status import Status
from ..journal.claims import UNPAID
from ..journal.database import JournalError
from ..journal.entry import Entry
from ..journal.journal import JournaledSubmission
from ..request.request import ImageRequest
from ..runtime.text import quoted
from .context import GenerationContext
from .events import Completed
from .submit import key_of_another_request

REFETCH_TIMEOUT_S = 20.0
"""How long to wait, in seconds, for a task whose files were changed or deleted on this disk."""

FIRST_LOOK_S = 0.05
MAX_LOOK_S = 1.0
"""How often the journal is read while another process awaits a response, in seconds."""


async def from_disk(
    context: GenerationContext, entry: Entry, request: ImageRequest | None
) -> Completed | None:
    """Return the images of a journal entry if all files are on disk and unchanged.

    Args:
        context: What a generation needs; its workers post-process the images.
        entry: The journal entry of a task.
        request: The request, for post-processing.
    """
    if not entry.files:
        return None
    intact = await asyncio.to_thread(lambda: all(image.is_intact() for image in entry.files))
    if not intact:
        return None
    completed = Completed(entry.files, entry.description, entry.elapsed_s, entry.task_id, True)
    return await context.image_workers.postprocess(completed, request, on_event=context.on_event)


async def identical_result(
    context: GenerationContext, entries: Sequence[Entry], request: ImageRequest
) -> Completed | None:
    """Return an earlier result, from disk or downloaded again; None if all are gone.

    Args:
        context: The Hub, the journal, the folder of the originals, and the callbacks.
        entries: The completed entries of identical requests, newest first.
        request: The request.

    Raises:
        MountseaError: If the Hub did not say whether it still has the images.
    """
    for entry in entries:
        completed = await from_disk(context, entry, request)
        if completed is not None:
            return completed
    for entry in entries:
        try:
            return await _fetch(context, entry, request, REFETCH_TIMEOUT_S)
        except MountseaError as error:
            if not _is_gone(error):
                raise
    return None


async def answer_under_key(
    context: GenerationContext, entry: Entry, request: ImageRequest, *, timeout_s: float
) -> tuple[Completed | None, bool]:
    """Return what the journal has under the key of an entry, whoever submitted it.

    Args:
        context: The Hub, the journal, the folder of the originals, and the callbacks.
        entry: The new entry of the request.
        request: The request.
        timeout_s: How long to wait for a task that is open, in seconds.

    Returns:
        The images, or None if the request is to be submitted; and whether that is so although the
        key is held: the images of its task are gone.

    Raises:
        InvalidRequest: If the key was used for another request.
        SubmissionUncertain: If it was submitted, but no response confirms it; nothing is sent.
        MountseaError: If its task failed, or its images can't be downloaded.
    """
    key, pause_s = str(entry.idempotency_key), FIRST_LOOK_S
    while True:
        try:
            found = await context.journal.find_by_key(entry.hub, key)
        except JournalError as error:
            raise ConfigurationError(
                f"The journal can't be used ({error}), and an idempotency key depends on it. "
                "Nothing was submitted. Check the folder MOUNTSEA_HOME."
            ) from error
        if found is None or found.status in UNPAID:
            return None, False
        if found.fingerprint != entry.fingerprint:
            raise InvalidRequest(key_of_another_request(key))
        if found.task_id is not None:
            try:
                context.on_task_id(found.task_id)
                completed = await from_disk(context, found, request)
                return completed or await _fetch(context, found, request, timeout_s), False
            except MountseaError as error:
                if not _is_gone(error):
                    raise
                return None, True
        if found.status != Status.SUBMITTING:
            raise SubmissionUncertain(
                f"An earlier submission under the key {quoted(key)} may have reached the Hub, but "
                "no response confirms it; nothing was sent now. If your balance shows that it was "
                "not charged, submit it anew with `fresh=True` or `--fresh`.",
                of_earlier_run=True,
            )
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, MAX_LOOK_S)


async def _fetch(
    context: GenerationContext, entry: Entry, request: ImageRequest, timeout_s: float
) -> Completed:
    """Return the images of an earlier task, once they are there."""
    from .poll import wait_for_images  # here: what it imports would delay every submission

    completed = await wait_for_images(
        context.client(),
        JournaledSubmission(context.journal, entry),
        context.folder,
        on_event=context.on_event,
        timeout_s=timeout_s,
        admission=context.admission,
        workers=context.image_workers,
        request=request,
    )
    return replace(completed, from_journal=True)


def _is_gone(error: MountseaError) -> bool:
    """Whether the Hub certainly no longer has the images; only then are they paid for again."""
    if isinstance(error, DownloadFailed):
        return error.gone
    return isinstance(error, TaskFailed) or is_unknown_task(error)
