"""Downloads: save the images of a completed task to disk, complete and checked, or say why not."""

from __future__ import annotations

import asyncio
import errno
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..errors import DownloadFailed, HubUnavailable, MountseaError, resume_hint
from ..hub.client import HubClient
from ..hub.image_counts import count_left_out, select_images
from ..hub.responses import ImageSource
from ..images.files import BadImage, GeneratedImage, check, part_file, publish
from ..request.request import ImageRequest
from ..runtime.clock import Stopwatch
from ..runtime.daemon_threads import DaemonThreads
from ..runtime.key_redaction import redact_key
from ..runtime.text import os_error_reason
from .events import Downloading, Event, Notice
from .executors import HERE, ImageWorkers
from .image_worker import Failure, Outcome, failure_from

PAUSES_S = (0.3, 0.9, 1.8)
"""The pauses before the retries of a download, in seconds."""

MAX_RETRY_S = 20.0
"""No retry is started after this many seconds: a host that stalls will stall again."""

EXPIRED_STATUSES = frozenset({403, 404, 410})
"""The HTTP statuses for an expired URL; polling the task again returns a new one."""

GONE_STATUSES = frozenset({404, 410})
"""The HTTP statuses for a deleted image, if the URL is new; a 403 may come from a proxy."""


class TaskDownloads:
    """The downloads of one task.

    Attributes:
        folder: Where the originals go; a temporary folder if that one is not writable.
        left_out: How many images the Hub returned beyond the number requested.
        outcomes: What ``postprocess`` returned or raised in workers, by the image's number from 0.

    Args:
        client: The Hub's client.
        task_id: The task, which is polled again if URLs have expired.
        sources: The URLs or inline data of its images.
        folder: Where the originals go.
        stem: The beginning of their file names.
        limit: The number of images requested; no more are downloaded.
        workers: Download the images in place of this process, if there is an executor.
        request: The request, for the workers' ``postprocess``.

    Example:
        >>> async def fetch(client: HubClient, sources: tuple[ImageSource, ...]) -> None:
        ...     downloads = TaskDownloads(client, "hub-1", sources, Path("originals"), "dog")
        ...     print(await downloads.all(on_event=print))
    """

    def __init__(
        self,
        client: HubClient,
        task_id: str,
        sources: tuple[ImageSource, ...],
        folder: Path,
        stem: str,
        *,
        limit: int = sys.maxsize,
        workers: ImageWorkers = HERE,
        request: ImageRequest | None = None,
    ) -> None:
        self.folder = folder
        self.outcomes: dict[int, Outcome] = {}
        self._workers, self._request = workers, request
        self._client, self._task_id, self._stem = client, task_id, stem
        self._limit = limit
        self._sources = select_images(sources, limit)
        self.left_out = count_left_out(sources, limit)
        self._refreshes = 0
        self._refreshing = asyncio.Lock()
        self._notice: str | None = None
        self._permanent = False

    async def all(self, on_event: Callable[[Event], None]) -> tuple[GeneratedImage, ...]:
        """Download all images concurrently.

        Args:
            on_event: Called with `Downloading` after each, and with a `Notice` if their folder was
                not writable.

        Returns:
            The originals in the Hub's order.

        Raises:
            DownloadFailed: If one of them could not be downloaded.
        """
        total = len(self._sources)
        on_event(Downloading(0, total))
        downloads = [
            asyncio.ensure_future(self._download(number, on_event)) for number in range(total)
        ]
        try:
            for done, download in enumerate(asyncio.as_completed(downloads), start=1):
                await download
                on_event(Downloading(done, total))
        except BaseException as error:
            # after a permanent failure keep the others: every resume would fail again, too
            failed = error if isinstance(error, DownloadFailed) and self._permanent else None
            for unfinished in downloads if failed is None else ():
                unfinished.cancel()
            results = await asyncio.gather(*downloads, return_exceptions=True)
            saved = [image.path for image in results if isinstance(image, GeneratedImage)]
            if failed is not None and saved:
                raise DownloadFailed(
                    f"{failed} {len(saved)} of its {total} images were downloaded to "
                    f"{self.folder}.",
                    task_id=self._task_id,
                    gone=failed.gone,
                ) from failed.__cause__
            for path in saved:
                # a resume downloads all of them again and would leave duplicates
                path.unlink(missing_ok=True)
            raise
        if self._notice is not None:
            on_event(Notice(self._notice))
        return tuple(download.result() for download in downloads)

    async def _download(self, number: int, on_event: Callable[[Event], None]) -> GeneratedImage:
        """Download one image, with retries."""
        failure, spent_s, seen, fresh = Failure(""), 0.0, self._refreshes, False
        for pause_s in (0.0, *PAUSES_S):
            if spent_s > MAX_RETRY_S:
                break
            await asyncio.sleep(pause_s)
            fresh = failure.status in EXPIRED_STATUSES and await self._refresh(seen)
            seen = self._refreshes
            result = await self._attempt(number, on_event)
            if isinstance(result, GeneratedImage):
                return result
            failure = result
            spent_s += pause_s + failure.elapsed_s
            if failure.final:
                break
        gone = fresh and failure.status in GONE_STATUSES
        self._permanent = self._permanent or gone or failure.permanent
        status = (
            "The task is complete, but the Hub no longer seems to have this image; try again with"
            if gone
            else "The task is complete; download its images with"
        )
        hint = f"{status} {resume_hint(self._task_id)}."
        raise DownloadFailed(
            f"{failure.message} {hint}", task_id=self._task_id, gone=gone
        ) from failure.cause

    async def _attempt(
        self, number: int, on_event: Callable[[Event], None]
    ) -> GeneratedImage | Failure:
        """Download an image once, on a worker if there is one."""
        saved = await self._workers.save(
            self._client,
            self._sources[number],
            self.folder,
            self._file_stem(number),
            request=self._request,
            on_event=on_event,
        )
        if isinstance(saved, Failure):
            return saved
        if saved is not None:
            if saved.outcome is not None:
                self.outcomes[number] = saved.outcome
            return saved.image
        async with self._client.download_slots:
            clock = Stopwatch()
            result = await self._download_once(self._sources[number], number)
        if isinstance(result, Failure):
            return replace(result, elapsed_s=clock.elapsed_s)
        return result

    def _file_stem(self, number: int) -> str:
        return f"{self._stem}-{number + 1}"

    async def _download_once(self, source: ImageSource, number: int) -> GeneratedImage | Failure:
        """A file gets its final name only once it is complete, checked and on disk."""
        inline, folder = source.is_inline, self.folder
        try:
            part = part_file(folder)
            try:
                await self._client.download(source, part)
                url = None if inline else redact_key(source.url or "")
                image = await _checked(part, url)
                path = publish(part, part.parent, self._file_stem(number), image.format)
            finally:
                part.unlink(missing_ok=True)
        except (HubUnavailable, BadImage) as error:
            return failure_from(error, inline=inline)
        except OSError as error:
            reason = os_error_reason(error)
            if error.errno in (errno.EMFILE, errno.ENFILE):
                # too many open files: not the folder's fault, and temporary
                return Failure(f"The image could not be written: {reason}.")
            lost = folder == self.folder and (
                self._notice is not None or not self._use_temporary_folder(reason)
            )
            if lost:
                return Failure(f"The image could not be written: {reason}.", final=True)
            return await self._download_once(source, number)
        return replace(image, path=path)

    def _use_temporary_folder(self, reason: str) -> bool:
        """Switch to a temporary folder, so that no paid image is lost; False if that fails."""
        try:
            temporary = Path(tempfile.mkdtemp(prefix="mountsea-"))
            temporary.chmod(0o700)  # a umask may remove even the owner's permissions
        except OSError:
            return False
        self._notice = (
            f"could not write to {self.folder} ({reason}): the images are in the temporary folder "
            f"{temporary}; copy them elsewhere with `.save()`"
        )
        self.folder = temporary
        return True

    async def _refresh(self, seen: int) -> bool:
        """Poll the task for new URLs, once for all of its images; return whether there are any.

        A 404 for an expired URL does not prove that the image is gone.
        """
        async with self._refreshing:
            if self._refreshes != seen:
                return True
            try:
                task = await self._client.task(self._task_id)
            except MountseaError:
                return False
            fresh = select_images(task.sources, self._limit)
            if len(fresh) != len(self._sources):
                return False
            self._sources, self._refreshes = fresh, self._refreshes + 1
            return True


async def _checked(part: Path, url: str | None) -> GeneratedImage:
    """Check an image on a thread; a cancelled caller does not wait for the decoder."""
    abandoned = threading.Event()
    run_check = partial(check, part, url=url, abandoned=abandoned)
    try:
        return await asyncio.get_running_loop().run_in_executor(DaemonThreads(), run_check)
    finally:
        abandoned.set()
