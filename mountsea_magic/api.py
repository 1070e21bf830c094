"""From Python: `generate` and `agenerate`, the cell magic without a notebook."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from .errors import InvalidRequest, MountseaError
from .generation.handle import Generation
from .request.prepare import prepare
from .request.request import DEFAULT_MODEL, build_request
from .session import current_session
from .settings import DEFAULT_TIMEOUT_S, Settings


def generate(
    prompt: str,
    *,
    model: str = DEFAULT_MODEL,
    timeout: float = DEFAULT_TIMEOUT_S,
    fresh: bool = False,
    cache: bool = False,
    **parameters: Any,
) -> Generation:
    """Order images and wait for them.

    Args:
        prompt: What the image shows, taken literally.
        model: The model's id.
        timeout: How long to wait, in seconds; the task goes on at the Hub afterwards.
        fresh: Never answer from the journal; else a request with a seed that was completed before
            is answered from it.
        cache: Answer from the journal also without a seed.
        **parameters: The model's parameters, such as ``num_images=2``; edit models take
            ``image_urls``, a list of results, images, Pillow images, arrays, paths or addresses.

    Returns:
        The completed generation.

    Raises:
        InvalidRequest: If a parameter is wrong; nothing was sent.
        MountseaError: What else went wrong; bears the ``task_id`` where there is one.
        Interrupted: If the wait was interrupted; the task goes on.

    Example:
        >>> dog = generate("a dog", num_images=2)  # doctest: +SKIP
        >>> dog[0].pil.size  # doctest: +SKIP
        (1024, 1024)
    """
    generation, settings = _prepared(prompt, model, timeout, parameters)
    work = current_session().generate(
        generation, settings, timeout_s=timeout, fresh=fresh, cache=cache
    )
    try:
        return current_session().worker.run(work)
    except KeyboardInterrupt:
        raise generation.interrupted() from None


async def agenerate(
    prompt: str,
    *,
    model: str = DEFAULT_MODEL,
    timeout: float = DEFAULT_TIMEOUT_S,
    fresh: bool = False,
    cache: bool = False,
    **parameters: Any,
) -> Generation:
    """Order images and await them; as `generate`, from asyncio code.

    Args:
        prompt: What the image shows, taken literally.
        model: The model's id.
        timeout: How long to wait, in seconds; the task goes on at the Hub afterwards.
        fresh: Never answer from the journal.
        cache: Answer from the journal also without a seed.
        **parameters: The model's parameters, such as ``num_images=2``.

    Returns:
        The completed generation.

    Raises:
        MountseaError: As `generate` does.

    Example:
        >>> dogs = await asyncio.gather(agenerate("a lab"), agenerate("a pug"))  # doctest: +SKIP
    """
    # images are read and models looked up on a thread: the caller's loop goes on
    generation, settings = await asyncio.to_thread(_prepared, prompt, model, timeout, parameters)
    work = current_session().generate(
        generation, settings, timeout_s=timeout, fresh=fresh, cache=cache
    )
    return await current_session().worker.wait(work)


def _prepared(
    prompt: str, model: str, timeout: float, parameters: dict[str, Any]
) -> tuple[Generation, Settings]:
    """Everything that can be refused is refused before anything is sent."""
    settings = current_session().settings()
    try:
        if not (isinstance(timeout, int | float) and timeout > 0 and math.isfinite(timeout)):
            raise InvalidRequest(f"timeout {timeout!r}: more than 0 seconds.")
        catalog = current_session().catalog_for(settings, model, parameters)
        given = prepare(catalog.model(model), parameters)
        request = build_request(prompt, model=model, parameters=given, catalog=catalog)
        settings.require_key()
        settings.refuse_key_in(request.canonical())
    except MountseaError as error:
        settings.redact_key_in(error)
        raise
    return Generation(request, is_demo=settings.is_demo), settings
