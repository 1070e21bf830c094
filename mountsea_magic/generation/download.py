"""Fetching: the images of a completed task come to disk, whole and checked, or it is said why."""

from __future__ import annotations

import asyncio
import errno
import sys
import tempfile
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..errors import DownloadFailed, HubUnavailable, MountseaError, resume_hint, sanitize
from ..hub.client import HubClient
from ..hub.connector import UnusableUrl
from ..hub.image_counts import count_left_out, select_images
from ..hub.responses import ImageSource
from ..images.files import BadImage, GeneratedImage, TooLarge, check, part_file, publish
from ..runtime.clock import Stopwatch
from ..runtime.daemon_threads import DaemonThreads
from ..runtime.key_redaction import redact_key
from .events import Downloading, Notice

PAUSES_S = (0.3, 0.9, 1.8)
"""The pauses before a download is tried again, in seconds: a few times, within seconds."""

LONGEST_S = 20.0
"""After so many seconds no further try is begun: a host that stalls will stall again."""

EXPIRED = frozenset({403, 404, 410})
"""What an image's host says once a URL is too old: the task gives a fresh one."""

GONE = frozenset({404, 410})
"""What it says of a fresh URL if the image is no more; 403 may be a proxy's word."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why an image is not there; returned, since raised it would drag signed URLs along."""

    said: str
    final: bool = False
    lasting: bool = False
    status: int | None = None
    cause: BaseException | None = None


class TaskDownloads:
    """The downloads of one task.

    Attributes:
        folder: Where the originals go; a temporary one, if that can't be written to.
        images: The originals in the Hub's order, once all are there.
        left_out: How many images the Hub names beside those that were asked for.

    Example:
        >>> async def bring(client: HubClient, sources: tuple[ImageSource, ...]) -> None:
        ...     fetching = TaskDownloads(client, "hub-1", sources, Path("originals"), "dog")
        ...     async for step in fetching.all():
        ...         print(step)
    """

    def __init__(
        self,
        client: HubClient,
        task_id: str,
        sources: tuple[ImageSource, ...],
        folder: Path,
        stem: str,
        *,
        most: int = sys.maxsize,
    ) -> None:
        """Fetch nothing yet.

        Args:
            client: The Hub.
            task_id: The task, which is asked again for fresh URLs.
            sources: Where its images are.
            folder: Where the originals go.
            stem: What their names begin with.
            most: How many images were asked for: no more are fetched.
        """
        self.folder = folder
        self.images: tuple[GeneratedImage, ...] = ()
        self._client, self._task_id, self._stem = client, task_id, stem
        self._most = most
        self._sources = select_images(sources, most)
        self.left_out = count_left_out(sources, most)
        self._age = 0
        self._refreshing = asyncio.Lock()
        self._notice: str | None = None
        self._lasting = False

    async def all(self) -> AsyncGenerator[Downloading | Notice, None]:
        """Fetch all images at once.

        Yields:
            `Downloading` as they come, and a `Notice` if their folder could not take them.

        Raises:
            DownloadFailed: If one of them could not be had.
        """
        total = len(self._sources)
        yield Downloading(0, total)
        downloads = [asyncio.ensure_future(self._image(number)) for number in range(total)]
        try:
            for done, download in enumerate(asyncio.as_completed(downloads), start=1):
                await download
                yield Downloading(done, total)
        except BaseException as error:
            # what lasts fails each resume too, so that the others are kept now or never
            failed = error if isinstance(error, DownloadFailed) and self._lasting else None
            for unfinished in downloads if failed is None else ():
                unfinished.cancel()
            ended = await asyncio.gather(*downloads, return_exceptions=True)
            whole = [got.path for got in ended if isinstance(got, GeneratedImage)]
            if failed is not None and whole:
                raise DownloadFailed(
                    f"{failed} {len(whole)} of its {total} images were downloaded to "
                    f"{self.folder}.",
                    task_id=self._task_id,
                    gone=failed.gone,
                ) from failed.__cause__
            for path in whole:
                # the next try fetches all of them again, and would put copies beside these
                path.unlink(missing_ok=True)
            raise
        if self._notice is not None:
            yield Notice(self._notice)
        self.images = tuple(download.result() for download in downloads)

    async def _image(self, number: int) -> GeneratedImage:
        """Try a few times; what is over a limit is not tried again."""
        trouble, spent_s, age, fresh = _Failure(""), 0.0, self._age, False
        for pause_s in (0.0, *PAUSES_S):
            if spent_s > LONGEST_S:
                break
            await asyncio.sleep(pause_s)
            fresh = trouble.status in EXPIRED and await self._refresh(age)
            age = self._age
            async with self._client.download_slots:
                clock = Stopwatch()
                got = await self._try(self._sources[number], number)
            spent_s += pause_s + clock.elapsed_s
            if isinstance(got, GeneratedImage):
                return got
            trouble = got
            if trouble.final:
                break
        gone = fresh and trouble.status in GONE
        self._lasting = self._lasting or gone or trouble.lasting
        said = "complete, but this image seems gone" if gone else "complete and kept at the Hub"
        hint = f"The task is {said}: {resume_hint(self._task_id)}."
        raise DownloadFailed(
            f"{trouble.said} {hint}", task_id=self._task_id, gone=gone
        ) from trouble.cause

    async def _try(self, source: ImageSource, number: int) -> GeneratedImage | _Failure:
        """A file gets its final name only when it is whole, checked and on disk."""
        inline, folder = source.is_inline, self.folder
        try:
            part = part_file(folder)
            try:
                await self._client.download(source, part)
                url = None if inline else redact_key(source.url or "")
                found = await _checked(part, url)
                path = publish(part, part.parent, f"{self._stem}-{number + 1}", found.format)
            finally:
                part.unlink(missing_ok=True)
        except HubUnavailable as error:
            lasting = isinstance(error, UnusableUrl)
            return _Failure(
                str(error), lasting=lasting, status=error.status_code, cause=error.__cause__
            )
        except BadImage as error:
            final = inline or isinstance(error, TooLarge)
            return _Failure(f"The image is not usable: {error}.", final=final, lasting=True)
        except OSError as error:
            reason = sanitize(error.strerror or error)
            if error.errno in (errno.EMFILE, errno.ENFILE):
                # no fault of the folder's, and soon over
                return _Failure(f"The image could not be written: {reason}.")
            failed = folder == self.folder and (
                self._notice is not None or not self._use_temporary(reason)
            )
            if failed:
                return _Failure(f"The image could not be written: {reason}.", final=True)
            return await self._try(source, number)
        return replace(found, path=path)

    def _use_temporary(self, reason: str) -> bool:
        """A full disk must not lose an image that is paid for; whether there is room elsewhere."""
        try:
            kept = Path(tempfile.mkdtemp(prefix="mountsea-"))
            kept.chmod(0o700)  # an umask may take the owner's rights, too
        except OSError:
            return False
        self._notice = (
            f"the folder {self.folder} can't take the originals ({reason}); they are in {kept}, "
            "which does not last: save them elsewhere."
        )
        self.folder = kept
        return True

    async def _refresh(self, age: int) -> bool:
        """Four expired URLs of one task need one look, not four; say whether there are fresh ones.

        What the host says of the old ones is no proof that an image is gone.
        """
        async with self._refreshing:
            if self._age != age:
                return True
            try:
                state = await self._client.task(self._task_id)
            except MountseaError:
                return False
            fresh = select_images(state.sources, self._most)
            if len(fresh) != len(self._sources):
                return False
            self._sources, self._age = fresh, self._age + 1
            return True


async def _checked(part: Path, url: str | None) -> GeneratedImage:
    """Whoever is cancelled goes on at once; the decoder is left behind, or killed."""
    abandoned = threading.Event()
    examine = partial(check, part, url=url, abandoned=abandoned)
    try:
        return await asyncio.get_running_loop().run_in_executor(DaemonThreads(), examine)
    finally:
        abandoned.set()
