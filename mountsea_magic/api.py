"""The Python API: generate one image or many, and wait or await."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, aclosing
from functools import partial
from typing import Any

from .batch_options import BatchOptions
from .batch_stream import stream
from .batches import BatchRun
from .errors import InvalidRequest
from .generation.admission import DEFAULT_CONCURRENCY
from .generation.batch import Batch
from .generation.handle import Generation
from .generation.history import History, history_of
from .generation.image_worker import Postprocess
from .generation.notices import notify
from .request.idempotency import key_problem
from .request.many import is_sequence
from .request.request import DEFAULT_MODEL
from .request.sweep import Item
from .runtime.text import sanitize
from .session import current_session
from .settings import DEFAULT_TIMEOUT_S, Settings


def generate(
    prompt: str,
    *,
    model: str = DEFAULT_MODEL,
    timeout: float = DEFAULT_TIMEOUT_S,
    fresh: bool = False,
    cache: bool = False,
    idempotency_key: str | None = None,
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
        idempotency_key: A name under which the request is submitted at most once, however often
            and by whatever process it is called; then the journal answers, or its task is followed.
        **parameters: The model's parameters, such as ``num_images=2``; edit models take
            ``image_urls``, a list of results, images, Pillow images, arrays, paths or URLs.

    Returns:
        The completed generation.

    Raises:
        InvalidRequest: If a parameter is invalid; nothing was submitted.
        BudgetExceeded: If there would be more images than the budget allows; nothing was submitted.
        MountseaError: If the generation failed; has the ``task_id`` if there is one.
        Interrupted: If the wait was interrupted; the task keeps running.

    Example:
        >>> dog = generate("a dog", num_images=2)  # doctest: +SKIP
        >>> dog[0].pil.size  # doctest: +SKIP
        (1024, 1024)
    """
    generation, settings = _prepare_generation(
        prompt, model, timeout, parameters, idempotency_key, fresh=fresh, cache=cache
    )
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
    idempotency_key: str | None = None,
    **parameters: Any,
) -> Generation:
    """Generate images and await them: `generate` for asyncio code.

    Args:
        prompt: The prompt, taken literally.
        model: The model's id.
        timeout: How long to wait, in seconds; the task keeps running at the Hub afterwards.
        fresh: Always submit, never answer from the journal.
        cache: Answer from the journal also without a seed.
        idempotency_key: A name under which the request is submitted at most once.
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
        _prepare_generation,
        prompt,
        model,
        timeout,
        parameters,
        idempotency_key,
        fresh=fresh,
        cache=cache,
    )
    work = current_session().generate(
        generation, settings, timeout_s=timeout, fresh=fresh, cache=cache
    )
    return await current_session().worker.wait(work)


def generate_many(
    requests: Any,
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
    batch: str | None = None,
    on_error: str = "keep",
    progress: bool = True,
    background: bool = False,
    executor: Any = None,
    postprocess: Postprocess | None = None,
    transfer: str = "path",
    timeout: float = DEFAULT_TIMEOUT_S,
    fresh: bool = False,
    cache: bool = False,
    model: str = DEFAULT_MODEL,
    **parameters: Any,
) -> Batch:
    """Generate the images of many requests, several at once, and wait until all have ended.

    Args:
        requests: Prompts, mappings such as ``{"prompt": "a dog", "seed": 7}``, `ImageRequest`s, a
            pandas or polars DataFrame, or an iterable or async iterable of them. A sequence is
            validated whole before the first is sent; of an iterator each item as it is drawn, at
            most twice ``concurrency`` ahead, and a wrong one is a failed request.
        concurrency: How many tasks run at the Hub at once.
        batch: A name that makes the batch durable: a second run of the same script submits only
            what is not there yet, also after a crash.
        on_error: ``keep`` failed requests in the batch, or ``raise`` `BatchFailed` after the first
            failure, when what was submitted until then has ended.
        progress: Show one line while they run: with a bar and a Cancel button in a notebook,
            rewritten in a terminal (on standard error). Elsewhere, as in a script whose standard
            error is a file, one line at the end. It shows no images: display the batch for that.
        background: Return the live batch at once.
        executor: Anything with the interface of `concurrent.futures.Executor`, such as a process
            pool or a cluster's. Its workers download, check and post-process the images; they get
            short-lived URLs, never the key. Submissions, polls and the journal stay here.
        postprocess: Called with each `GeneratedImage` and its `ImageRequest`, on a worker or
            a thread; what it returns is in ``postprocessed`` of the generation.
        transfer: ``path`` if the workers share the folder of originals, or ``bytes``.
        timeout: How long to wait for each task, in seconds.
        fresh: Always submit, never answer from the journal.
        cache: Answer from the journal also without a seed.
        model: The model of requests that name none.
        **parameters: Parameters of all requests, such as ``num_images=2``.

    Returns:
        The batch: a live sequence of generations, in the order of the requests.

    Raises:
        InvalidRequest: If a request of a sequence is invalid, with all problems; nothing was sent.
        BudgetExceeded: If a sequence has more images than the budget allows; nothing was sent.
        BatchFailed: With ``on_error="raise"``, if a request failed.
        Interrupted: If the wait was interrupted; has the ``batch``.

    Example:
        >>> animals = generate_many(["a cat", "a dog"], num_images=2)  # doctest: +SKIP
        >>> len(animals.images)  # doctest: +SKIP
        4
    """
    options = _batch_options(
        timeout_s=timeout,
        concurrency=concurrency,
        name=batch,
        on_error=on_error,
        fresh=fresh,
        cache=cache,
        model=model,
        parameters=parameters,
        executor=executor,
        postprocess=postprocess,
        transfer=transfer,
    )
    settings = current_session().settings()
    run = BatchRun(current_session(), settings, options)
    items = run.read(requests)
    lazy = not is_sequence(requests)
    if not lazy:
        run.add_all(items)
    settings.require_key()
    run.check_budget(run.batch)
    if progress:
        run.progress = partial(_progress, run)
    if background:
        run.start_in_background(items if lazy else ())
        return run.batch
    with run.progress(None if lazy else len(run.batch)) as tick:
        if lazy:
            run.feed(items, tick)
        else:
            run.run(tick)
    if run.batch.cancelled:  # by its Cancel button
        raise run.stop()
    error = run.batch.error() if on_error == "raise" else None
    if error is not None:
        raise error
    return run.batch


async def agenerate_many(
    requests: Any,
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
    batch: str | None = None,
    executor: Any = None,
    postprocess: Postprocess | None = None,
    transfer: str = "path",
    timeout: float = DEFAULT_TIMEOUT_S,
    fresh: bool = False,
    cache: bool = False,
    model: str = DEFAULT_MODEL,
    **parameters: Any,
) -> AsyncIterator[Generation]:
    """Generate the images of many requests, and yield each generation as it ends.

    At most twice ``concurrency`` requests are drawn ahead, so that millions need constant memory.
    Leaving the loop early cancels the waits: nothing more is submitted, and what was submitted can
    be resumed.

    Args:
        requests: As for `generate_many`; also a generator or async generator of any length.
        concurrency: How many tasks run at the Hub at once.
        batch: A name that makes the batch durable.
        executor: As for `generate_many`.
        postprocess: As for `generate_many`.
        transfer: As for `generate_many`.
        timeout: How long to wait for each task, in seconds.
        fresh: Always submit, never answer from the journal.
        cache: Answer from the journal also without a seed.
        model: The model of requests that name none.
        **parameters: Parameters of all requests.

    Yields:
        Each generation as it ends, in the order of completion; one that failed has its ``error``.

    Raises:
        InvalidRequest: If a request of a sequence is invalid, with all problems; nothing was sent.
        BudgetExceeded: If a sequence has more images than the budget allows; nothing was sent.
        Exception: What the iterator raises, after what was submitted has ended.

    Example:
        >>> async for dog in agenerate_many(prompts(), concurrency=64):  # doctest: +SKIP
        ...     print(dog.prompt, dog.images)
    """
    options = _batch_options(
        timeout_s=timeout,
        concurrency=concurrency,
        name=batch,
        on_error="keep",
        fresh=fresh,
        cache=cache,
        model=model,
        parameters=parameters,
        executor=executor,
        postprocess=postprocess,
        transfer=transfer,
    )
    settings = current_session().settings()
    run = BatchRun(current_session(), settings, options)
    settings.require_key()
    async with aclosing(stream(run, requests)) as generations:
        async for generation in generations:
            yield generation


def history(text: str = "", limit: int = 20) -> History:
    """Return earlier submissions from the journal, newest first, without asking the Hub.

    Args:
        text: Part of a prompt, task id, model, status or Hub, ignoring case; empty for all.
        limit: The maximum number of submissions.

    Returns:
        An immutable sequence of generations. In a notebook it shows itself as a table
        with thumbnails, in a terminal as lines; ``to_pandas()`` returns a DataFrame.

    Raises:
        InvalidRequest: If the limit is not a whole number from 1, or the text is not a string.
        ConfigurationError: If a setting is invalid.

    Example:
        >>> history("lighthouse", limit=5)  # doctest: +SKIP
        <History 5 submissions>
    """
    if not isinstance(text, str):
        raise InvalidRequest(f"text must be a string (got {type(text).__name__}).")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise InvalidRequest(f"limit must be a whole number from 1 (got {sanitize(repr(limit))}).")
    journal = current_session().journal(current_session().settings())
    entries = journal.search(text, limit=limit)
    notify(journal.trouble(), None)
    return history_of(entries)


def _batch_options(*, on_error: str, **given: Any) -> BatchOptions:
    """Validate the arguments that concern all requests."""
    options = BatchOptions(stop_at_failure=on_error == "raise", **given)
    _check_timeout(options.timeout_s)
    concurrency, name = options.concurrency, options.name
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise InvalidRequest(f"concurrency must be a whole number from 1 (got {concurrency!r}).")
    problem = None if name is None else key_problem(name, "batch")
    if problem is not None:
        raise InvalidRequest(problem)
    if on_error not in ("keep", "raise"):
        raise InvalidRequest(f"on_error must be 'keep' or 'raise' (got {on_error!r}).")
    return options


def _progress(
    run: BatchRun, total: int | None
) -> AbstractContextManager[Callable[[], None] | None]:
    """Show the progress of a batch; only the notebook knows how."""
    from .notebook.batch_progress import shown_progress

    return shown_progress(run.batch, run.watch, total)


def _check_timeout(timeout: float) -> None:
    if not (isinstance(timeout, int | float) and timeout > 0 and math.isfinite(timeout)):
        raise InvalidRequest(f"timeout must be greater than 0 seconds (got {timeout!r}).")


def _prepare_generation(
    prompt: str,
    model: str,
    timeout: float,
    parameters: dict[str, Any],
    idempotency_key: str | None,
    *,
    fresh: bool,
    cache: bool,
) -> tuple[Generation, Settings]:
    """Validate everything before anything is submitted."""
    session = current_session()
    settings = session.settings()
    _check_timeout(timeout)
    if idempotency_key is not None:
        problem = key_problem(idempotency_key, "idempotency_key")
        if problem is not None:
            raise InvalidRequest(problem)
        settings.refuse_key_in(idempotency_key)
    item = Item(prompt, parameters=parameters)
    request = session.build(settings, item, model=model)
    settings.require_key()
    generation = Generation(request, is_demo=settings.is_demo, idempotency_key=idempotency_key)
    session.budget.check_all(settings, [generation], fresh=fresh, cache=cache)
    return generation, settings
