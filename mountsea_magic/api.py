"""The Python API: `generate` and `agenerate`."""

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
    """Generate images and wait for them.

    Args:
        prompt: The prompt, taken literally.
        model: The model's id.
        timeout: How long to wait, in seconds; the task keeps running at the Hub afterwards.
        fresh: Always submit; without it, an identical request with a seed that has completed
            before is answered from the journal.
        cache: Answer from the journal also without a seed.
        **parameters: The model's parameters, such as ``num_images=2``; edit models take
            ``image_urls``, a list of results, images, Pillow images, arrays, paths or URLs.

    Returns:
        The completed generation.

    Raises:
        InvalidRequest: If a parameter is invalid; nothing was submitted.
        MountseaError: If the generation failed; has the ``task_id`` if there is one.
        Interrupted: If the wait was interrupted; the task keeps running.

    Example:
        >>> dog = generate("a dog", num_images=2)  # doctest: +SKIP
        >>> dog[0].pil.size  # doctest: +SKIP
        (1024, 1024)
    """
    generation, settings = _prepare_generation(prompt, model, timeout, parameters)
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
    """Generate images and await them: `generate` for asyncio code.

    Args:
        prompt: The prompt, taken literally.
        model: The model's id.
        timeout: How long to wait, in seconds; the task keeps running at the Hub afterwards.
        fresh: Always submit, never answer from the journal.
        cache: Answer from the journal also without a seed.
        **parameters: The model's parameters, such as ``num_images=2``.

    Returns:
        The completed generation.

    Raises:
        MountseaError: As for `generate`.

    Example:
        >>> dogs = await asyncio.gather(agenerate("a lab"), agenerate("a pug"))  # doctest: +SKIP
    """
    # on a thread, since reading images and looking up models would block the caller's loop
    generation, settings = await asyncio.to_thread(
        _prepare_generation, prompt, model, timeout, parameters
    )
    work = current_session().generate(
        generation, settings, timeout_s=timeout, fresh=fresh, cache=cache
    )
    return await current_session().worker.wait(work)


def _prepare_generation(
    prompt: str, model: str, timeout: float, parameters: dict[str, Any]
) -> tuple[Generation, Settings]:
    """Validate everything before anything is submitted."""
    settings = current_session().settings()
    try:
        if not (isinstance(timeout, int | float) and timeout > 0 and math.isfinite(timeout)):
            raise InvalidRequest(f"timeout must be greater than 0 seconds (got {timeout!r}).")
        catalog = current_session().catalog_for(settings, model, parameters)
        prepared = prepare(catalog.model(model), parameters)
        request = build_request(prompt, model=model, parameters=prepared, catalog=catalog)
        settings.require_key()
        settings.refuse_key_in(request.canonical())
    except MountseaError as error:
        settings.redact_key_in(error)
        raise
    return Generation(request, is_demo=settings.is_demo), settings
