"""What a batch says about its generations: one error for those that failed, and rows of a table."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from ..errors import BatchFailed, Interrupted, MountseaError
from ..hub.status import Status
from ..runtime.text import quoted, sanitize
from .handle import Generation

MAX_REASONS = 10
"""How many different reasons the error of a batch lists."""

_FIXED_COLUMNS = ("prompt", "model")


def facts(generation: Generation) -> dict[str, Any]:
    """Return what is known of a request by name: parameters, variables, model, prompt and status.

    Args:
        generation: The generation.

    Example:
        >>> facts(Generation(None, task_id="hub-1"))["status"]
        'new'
    """
    request, known = generation.request, dict[str, Any]()
    if request is not None:
        known = request.for_the_record() | {"model": request.model}
    known = known | {
        name: value for name, value in generation.variables.items() if name not in known
    }
    return known | {"prompt": generation.prompt, "status": str(generation.status)}


def row_of(generation: Generation) -> dict[str, Any]:
    """Return a generation as a row of a table, or a line of a manifest.

    Args:
        generation: The generation.

    Returns:
        ``prompt``, ``model``, each parameter and variable, ``status``, ``task_id``, ``elapsed_s``,
        ``from_journal``, ``files`` and ``error``; input images by URL or digest.
    """
    known = facts(generation)
    row = {name: known.pop(name, None) for name in _FIXED_COLUMNS}
    status = known.pop("status")
    return (
        row
        | known
        | {
            "status": status,
            "task_id": generation.task_id,
            "elapsed_s": generation.elapsed_s,
            "from_journal": generation.from_journal,
            "files": [str(image.path) for image in generation.images],
            "error": str(generation.error) if generation.error is not None else "",
        }
    )


def batch_error(
    generations: Sequence[Generation],
    *,
    stopped_by: MountseaError | None = None,
    batch: object = None,
    retry: str = "",
) -> Exception | None:
    """Return one error for all generations that failed, or None if none has.

    Args:
        generations: The generations, in order.
        stopped_by: The one cause that stopped all submissions: the error has its type.
        batch: The batch, for the error's ``batch``.
        retry: The call that submits the failed ones again.

    Example:
        >>> batch_error([]) is None
        True
    """
    failed = [(each, each.error) for each in generations if isinstance(each.error, Exception)]
    if not failed:
        return None
    if len(generations) == 1:
        return failed[0][1]
    skipped = sum(each.status == Status.SKIPPED for each, _ in failed)
    completed = sum(each.status == Status.COMPLETED for each in generations)
    counts = [f"{len(failed) - skipped} of {len(generations)} requests failed"]
    counts += [f"{skipped} skipped"] if skipped else []
    counts += [f"{completed} completed"]
    lines = [", ".join(counts) + ":" if stopped_by is None else str(stopped_by)]
    if stopped_by is not None:
        lines.append(", ".join(counts) + ".")
    lines += [reason for reason in reasons_of(generations) if stopped_by is None]
    if retry:
        lines.append(f"`{retry}` runs those without images again.")
    message = "\n".join(lines)
    if stopped_by is None:
        errors = [error for _, error in failed]
        return BatchFailed(message, batch=batch, errors=errors)
    error = copy.copy(stopped_by)  # the handle keeps its own error
    error.args = (message,)
    error.__cause__ = stopped_by.__cause__
    return error


def reasons_of(generations: Sequence[Generation]) -> list[str]:
    """List why generations failed: each reason once, the most frequent first, with a count.

    Args:
        generations: The generations; skipped ones have no reason of their own.

    Example:
        >>> reasons_of([Generation(None, task_id="hub-1")])
        []
    """
    groups: dict[str, list[Exception]] = {}
    for generation in generations:
        error = generation.error
        if not isinstance(error, Exception) or generation.status == Status.SKIPPED:
            continue
        reason = f"{type(error).__name__}: {error}"
        # the same reason names another task or idempotency key each time
        group = reason
        for name in (generation.task_id, generation.idempotency_key):
            group = group.replace(quoted(name), "") if name else group
        groups.setdefault(group, []).append(error)
    ordered = sorted(groups.values(), key=len, reverse=True)
    reasons = [
        f"{len(errors)} × {type(errors[0]).__name__}: {sanitize(errors[0], limit=600)}"
        for errors in ordered[:MAX_REASONS]
    ]
    if len(ordered) > MAX_REASONS:
        reasons.append(f"… and {len(ordered) - MAX_REASONS} other reasons")
    return reasons


def interrupted(batch: Sequence[Generation]) -> Interrupted:
    """Return the error for a batch that was interrupted: what goes on, and how to fetch it.

    Args:
        batch: The batch, whose waits have been cancelled.
    """
    completed = sum(each.status == Status.COMPLETED for each in batch)
    submitted = [each for each in batch if each.may_be_submitted and not each.images]
    parts = [f"{completed} of {len(batch)} completed"]
    if submitted:
        one = len(submitted) == 1
        parts.append(
            f"{len(submitted)} task{' keeps' if one else 's keep'} running at the Hub, "
            f"{'is charged if it completes' if one else 'are charged if they complete'}, and can "
            "be fetched with `%mountsea resume`"
        )
    return Interrupted(
        f"Stopped. {', '.join(parts)}; nothing more was submitted.",
        task_id=next((each.task_id for each in submitted if each.task_id), None),
        batch=batch,
    )
