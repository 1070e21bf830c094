"""Workers of an executor, such as a cluster's: they save and post-process the images of a batch.

Submissions, polls and the journal stay in this process: a cluster runs the tasks of a lost worker
again, which would pay twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ..errors import HubUnavailable, InvalidRequest
from ..hub.client import HubClient
from ..hub.responses import ImageSource
from ..images.files import MAX_BYTES, BadImage, GeneratedImage, part_file, publish
from ..request.request import ImageRequest
from ..runtime.daemon_threads import DaemonThreads
from ..runtime.key_redaction import redact_key
from ..runtime.text import quoted, sanitize_inline
from .events import Completed, Event, Notice, PostprocessFailed
from .executor_calls import ExecutorBroken, ExecutorCalls
from .image_worker import (
    Failure,
    Outcome,
    Postprocess,
    PostprocessCall,
    SaveCall,
    Saved,
    Unavailable,
    failure_from,
    find_published,
    postprocess_image,
    published_paths,
    received,
    run_postprocess,
    save_image,
)

MAX_CALLS = 64
"""The most calls that an executor has at once: results with bytes need memory here."""

MAX_THREADS = 8
"""The most images that are post-processed at once in this process."""

MAX_REASON = 200
"""How much of a worker's or an executor's error a notice has, in characters."""

T = TypeVar("T")


class ImageWorkers:
    """Where the images of a batch are downloaded, checked and post-processed.

    Without an executor, images are downloaded by this process's event loop, and post-processed on
    its threads. Use one for each batch: if its executor breaks, this process does the rest.

    Args:
        executor: Anything with the interface of `concurrent.futures.Executor`, or None.
        postprocess: Called with each `GeneratedImage` and its `ImageRequest`, or None.
        transfer: ``path`` if the workers share the folder of originals with this process;
            ``bytes`` if images have to travel back.

    Raises:
        InvalidRequest: If an argument is not valid.

    Example:
        >>> ImageWorkers().is_remote, ImageWorkers(DaemonThreads()).is_remote
        (False, True)
    """

    def __init__(
        self,
        executor: Any = None,
        postprocess: Postprocess | None = None,
        transfer: str = "path",
    ) -> None:
        if executor is not None and not callable(getattr(executor, "submit", None)):
            raise InvalidRequest(
                "executor must have the interface of concurrent.futures.Executor, such as "
                f"ProcessPoolExecutor() (got {quoted(type(executor).__name__)})."
            )
        if postprocess is not None and not callable(postprocess):
            raise InvalidRequest(
                "postprocess must be a function of an image and a request "
                f"(got {quoted(type(postprocess).__name__)})."
            )
        if transfer not in ("path", "bytes"):
            raise InvalidRequest(f"transfer must be 'path' or 'bytes' (got {transfer!r}).")
        self._executor = None if executor is None else ExecutorCalls(executor)
        self._postprocess = postprocess
        self._sends_bytes = transfer == "bytes"
        self._noticed = set[str]()
        self._calls = asyncio.Semaphore(MAX_CALLS)
        self._threads = asyncio.Semaphore(MAX_THREADS)

    @property
    def is_remote(self) -> bool:
        """Whether there is an executor, and it has not broken."""
        return self._executor is not None and not self._executor.has_broken

    async def save(
        self,
        client: HubClient,
        source: ImageSource,
        folder: Path,
        stem: str,
        *,
        request: ImageRequest | None,
        on_event: Callable[[Event], None],
    ) -> Saved | Failure | None:
        """Have a worker download, check, publish and post-process an image.

        Args:
            client: The Hub's client, for images that only this process can read.
            source: Where the image is.
            folder: The folder of originals.
            stem: The file name without its extension.
            request: The request, for ``postprocess``.
            on_event: Called with a `Notice` if no worker can do it.

        Returns:
            The image, why the attempt failed, or None if this process has to do it.
        """
        if not self.is_remote:
            return None
        async with self._calls:
            if not self.is_remote:
                return None
            try:
                part = await _on_thread(part_file, folder)
                try:
                    return await self._save(client, source, part, stem, request, on_event)
                except asyncio.CancelledError:
                    # without its part file, a worker that goes on can't publish any more
                    _delete_published(part, stem)
                    raise
                finally:
                    part.unlink(missing_ok=True)
            except (HubUnavailable, BadImage) as error:
                return failure_from(error, inline=source.is_inline)
            except OSError:
                return None  # this process will meet it, too, and report it

    async def postprocess(
        self,
        completed: Completed,
        request: ImageRequest | None,
        *,
        outcomes: Mapping[int, Outcome] | None = None,
        on_event: Callable[[Event], None],
    ) -> Completed:
        """Post-process the images of a generation, except for those that workers have done.

        Args:
            completed: The generation, whose images are journaled.
            request: Its request; a task that is known by its id alone is not post-processed.
            outcomes: What there is already, by the number of the image, from 0.
            on_event: Called with a `Notice` if no worker can do it.

        Returns:
            The generation, with what the function returned for each image.

        Raises:
            PostprocessFailed: If the function raised.
        """
        if self._postprocess is None or request is None:
            return completed
        known = outcomes or {}
        missing = [number for number in range(len(completed.images)) if number not in known]
        calls = (self._outcome(completed.images[each], request, on_event) for each in missing)
        found = dict(known) | dict(zip(missing, await asyncio.gather(*calls), strict=True))
        for number in range(len(completed.images)):
            if (error := found[number].error) is not None:
                raise PostprocessFailed(
                    f"postprocess {error}. The images are kept in "
                    f"{completed.images[number].path.parent}. "
                    f"Task {quoted(completed.task_id or '')}.",
                    completed,
                )
        values = tuple(found[number].value for number in range(len(completed.images)))
        return replace(completed, postprocessed=values)

    async def _save(
        self,
        client: HubClient,
        source: ImageSource,
        part: Path,
        stem: str,
        request: ImageRequest | None,
        on_event: Callable[[Event], None],
    ) -> Saved | Failure | None:
        """Have a worker save an image under its final name; the part file is for its use."""
        folder, base_url = part.parent, client.network_url
        url = None if source.is_inline else redact_key(source.url or "")
        content = None
        if base_url is None or url is None or url != source.url or redact_key(base_url) != base_url:
            base_url = None
            async with client.download_slots:
                await client.download(source, part)
            content = await _on_thread(part.read_bytes) if self._sends_bytes else None
        call = SaveCall(
            stem=stem,
            folder=None if self._sends_bytes else folder,
            part=None if self._sends_bytes else part,
            url=url,
            base_url=base_url,
            content=content,
            request=request if self._postprocess is not None else None,
        )
        result: Saved | Failure | Unavailable | None
        result = await self._call(on_event, save_image, call)
        if isinstance(result, Saved):
            result = await _on_thread(_accept, result, part, folder, stem)
        if isinstance(result, Unavailable):
            self._notice(on_event, "unavailable", self._why_here(folder, result.reason))
        elif result is None:
            result = await _on_thread(_saved_before, part, stem, url)
        return None if isinstance(result, Unavailable) else result

    async def _outcome(
        self,
        image: GeneratedImage,
        request: ImageRequest,
        on_event: Callable[[Event], None],
    ) -> Outcome:
        """Post-process one image on a worker, or else on a thread."""
        assert self._postprocess is not None
        if self.is_remote:
            async with self._calls:
                result = await self._outcome_of_worker(image, request, on_event)
            if result is not None:
                return result
        async with self._threads:
            done = await _on_thread(run_postprocess, self._postprocess, image, request)
        assert done is not None
        return done

    async def _outcome_of_worker(
        self,
        image: GeneratedImage,
        request: ImageRequest,
        on_event: Callable[[Event], None],
    ) -> Outcome | None:
        """Post-process one image on a worker; None if no worker can do it."""
        if not self.is_remote or self._postprocess is None:
            return None
        try:
            content = await _on_thread(lambda: image.bytes) if self._sends_bytes else None
        except OSError:
            return None
        call = PostprocessCall(image=image, content=content, request=request)
        result = await self._call(on_event, postprocess_image, call)
        if isinstance(result, Unavailable):
            why = self._why_here(image.path.parent, result.reason)
            self._notice(on_event, "unavailable", why)
        return await _on_thread(received, result) if isinstance(result, Outcome) else None

    async def _call(
        self, on_event: Callable[[Event], None], function: Callable[..., Any], call: Any
    ) -> Any:
        """Run a function on a worker; None if the executor has broken."""
        assert self._executor is not None
        try:
            return await self._executor.run(function, call, self._postprocess)
        except ExecutorBroken as error:
            rest = "this process downloads and post-processes the rest"
            self._notice(on_event, "broken", f"{error}: {rest}")
            return None

    def _why_here(self, folder: Path, reason: str) -> str:
        """The notice for an image that a worker could not save or read."""
        short = sanitize_inline(reason, limit=MAX_REASON).rstrip(".")
        if self._sends_bytes:
            return f"a worker can't handle images ({short}): this process does it instead"
        return (
            f"a worker can't use {folder} ({short}): this process downloads and post-processes "
            'such images; if the workers do not share this folder, pass transfer="bytes"'
        )

    def _notice(self, on_event: Callable[[Event], None], problem: str, text: str) -> None:
        """Report each problem once for the batch."""
        if problem not in self._noticed:
            self._noticed.add(problem)
            on_event(Notice(text))


HERE = ImageWorkers()
"""No executor and no ``postprocess``: this process downloads the images."""


def _delete_published(part: Path, stem: str) -> None:
    """Delete the image of a call that was cancelled after it had published it."""
    if not part.exists():
        for path in published_paths(part.parent, stem):
            path.unlink(missing_ok=True)


def _accept(saved: Saved, part: Path, folder: Path, stem: str) -> Saved | Unavailable:
    """Verify a worker's image, and write it if its bytes have travelled."""
    image, content = saved.image, saved.content
    if saved.outcome is not None:
        saved = replace(saved, outcome=received(saved.outcome))
    if content is None:
        return saved if image.is_intact() else Unavailable("its image is not there")
    if len(content) > MAX_BYTES or hashlib.sha256(content).hexdigest() != image.sha256:
        return Unavailable("its image is not complete")
    with part.open("r+b") as file:  # not created if it is gone: the caller was cancelled
        file.write(content)
    path = publish(part, folder, stem, image.format)
    return replace(saved, image=replace(image, path=path), content=None)


def _saved_before(part: Path, stem: str, url: str | None) -> Saved | None:
    """Return the image of a worker that was lost after it had published it.

    Without its part file, a worker that goes on can't publish any more.
    """
    part.unlink(missing_ok=True)
    image = find_published(part.parent, stem, url)
    return None if image is None else Saved(image)


async def _on_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Run a function on a thread; a cancelled caller does not wait for it."""
    return await asyncio.get_running_loop().run_in_executor(DaemonThreads(), function, *arguments)
