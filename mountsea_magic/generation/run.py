"""Running a request: from the journal, from its existing task, or by a new submission."""

from __future__ import annotations

from ..journal.entry import Entry
from ..journal.journal import JournaledSubmission, kind_of
from ..request.request import ImageRequest
from ..settings import DEFAULT_TIMEOUT_S
from .context import GenerationContext
from .duration import DurationEstimate, estimate_duration
from .events import Completed, Submitted
from .from_journal import answer_under_key, from_disk, identical_result
from .schedule import Schedule
from .submit import HeldByAnother, submit


async def run_or_resume(
    context: GenerationContext,
    request: ImageRequest | None,
    task_id: str | None,
    *,
    idempotency_key: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    fresh: bool = False,
    cache: bool = False,
) -> Completed:
    """Resume a task if there is one, so that nothing is submitted twice; else run the request.

    Args:
        context: The Hub, the journal, the folder of the originals, and the callbacks.
        request: The request, if known.
        task_id: The task, or None if the request has not been submitted.
        idempotency_key: The key under which the request is submitted at most once, or None.
        timeout_s: How long to wait for the task, in seconds.
        fresh: Never use the journal.
        cache: Use the journal also without a seed.

    Raises:
        MountseaError: See `run` and `resume`.
    """
    if task_id is not None:
        return await resume(context, task_id, request, timeout_s=timeout_s)
    if request is None:
        raise ValueError("a generation needs a request or a task id")
    return await run(
        context,
        request,
        idempotency_key=idempotency_key,
        timeout_s=timeout_s,
        fresh=fresh,
        cache=cache,
    )


async def run(
    context: GenerationContext,
    request: ImageRequest,
    *,
    idempotency_key: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    fresh: bool = False,
    cache: bool = False,
    schedule: Schedule | None = None,
) -> Completed:
    """Return the images of an earlier request from the journal, or submit the request.

    Args:
        context: The Hub, the journal, the folder of the originals, and the callbacks.
        request: The request; without a seed or key it is submitted each time.
        idempotency_key: The key under which it is submitted at most once, or None.
        timeout_s: How long to wait for the task, in seconds.
        fresh: Never use the journal.
        cache: Use the journal also without a seed.
        schedule: When to poll a new task; defaults to the admission's schedule.

    Raises:
        MountseaError: See `answer_under_key`, `submit` and `wait_for_images`.
    """
    entry = Entry.begin(context.hub, request, idempotency_key=idempotency_key)
    while True:
        completed = None
        if idempotency_key is not None and not fresh:
            completed, fresh = await answer_under_key(context, entry, request, timeout_s=timeout_s)
        elif not fresh:
            # also without a seed: requests that wait for nothing would overtake the others
            found = await context.journal.afind_identical(context.hub, entry.fingerprint)
            if cache or request.input.get("seed") is not None:
                completed = await identical_result(context, found, request)
        if completed is not None:
            return completed
        try:
            return await _submit_and_wait(context, request, entry, timeout_s, fresh, schedule)
        except HeldByAnother:
            continue  # another process was faster: its task is followed


async def _submit_and_wait(
    context: GenerationContext,
    request: ImageRequest,
    entry: Entry,
    timeout_s: float,
    fresh: bool,
    schedule: Schedule | None,
) -> Completed:
    record = JournaledSubmission(context.journal, entry)
    estimate = await _estimate(context, request)
    client, on_event = context.client(), context.on_event
    task_id = await submit(
        client,
        request,
        record,
        context.pending,
        on_event=on_event,
        on_task_id=context.on_task_id,
        on_failure=context.on_failure,
        admission=context.admission,
        timeout_s=timeout_s,
        fresh=fresh,
        image_limit=context.image_limit,
    )
    on_event(Submitted(task_id, estimate.median_s))
    from .poll import wait_for_images  # only now: what it imports would delay the submission

    return await wait_for_images(
        client,
        record,
        context.folder,
        on_event=on_event,
        just_submitted=True,
        timeout_s=timeout_s,
        estimate=estimate,
        schedule=schedule,
        admission=context.admission,
        workers=context.image_workers,
        request=request,
    )


async def resume(
    context: GenerationContext,
    task_id: str,
    request: ImageRequest | None = None,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Completed:
    """Fetch the images of an existing task, from disk if they are there; submits nothing.

    Args:
        context: The Hub, the journal, the folder of the originals, and the callbacks.
        task_id: The task.
        request: The request of the task, if known.
        timeout_s: How long to wait for the task, in seconds.

    Raises:
        MountseaError: See `wait_for_images`.
    """
    entry = await context.journal.afind(task_id, hub=context.hub)
    if entry is None or entry.hub != context.hub:
        entry = Entry.begin(context.hub, request, task_id=task_id)
    completed = await from_disk(context, entry, request or entry.request)
    if completed is not None:
        return completed
    from .poll import wait_for_images  # as above

    return await wait_for_images(
        context.client(),
        JournaledSubmission(context.journal, entry),
        context.folder,
        on_event=context.on_event,
        timeout_s=timeout_s,
        estimate=await _estimate(context, entry.request),
        admission=context.admission,
        workers=context.image_workers,
        request=request,
    )


async def _estimate(context: GenerationContext, request: ImageRequest | None) -> DurationEstimate:
    """Estimate the duration from all tasks in the journal that are like this one."""
    if request is None:
        return DurationEstimate()

    async def learn() -> DurationEstimate:
        return estimate_duration(await context.journal.adurations(context.hub, request))

    return await context.admission.estimate(kind_of(request), learn)
