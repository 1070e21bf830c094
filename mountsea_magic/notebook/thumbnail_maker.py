"""Make the thumbnails of many images on a few threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..images.files import GeneratedImage
from ..images.previews import NoPreview, Preview
from ..images.thumbnail_cache import cached_thumbnail, find_cached_thumbnail
from ..runtime.daemon_threads import TICK_S
from ..runtime.text import sanitize

_THREADS = 3
"""How many images are read, checked, decoded and encoded at once."""


class ThumbnailMaker:
    """The thumbnails of images: the cached ones at once, the others as they are made.

    Attributes:
        made: The thumbnail of each image, or why it has none; images that are still to be made are
            missing.

    Args:
        images: The images, the most urgent first.
        folder: The folder of the thumbnails.
        max_bytes: The limit of each thumbnail, in bytes.

    Example:
        >>> ThumbnailMaker([], Path("thumbnails"), 6_000).wait(0.0)
        True
    """

    def __init__(self, images: Sequence[GeneratedImage], folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self.made: dict[GeneratedImage, Preview | str] = {}
        for image in images:
            cached = find_cached_thumbnail(image, folder, max_bytes=max_bytes)
            if cached is not None:
                self.made[image] = cached
        self._left = deque(image for image in dict.fromkeys(images) if image not in self.made)
        self._unmade = len(self._left)
        self._guard = threading.Lock()
        self._turn = threading.Lock()  # held while no image may be started
        # a lock, not an event: an interrupt can break an event's condition (see `Job.outcome`)
        self._running = threading.Lock()
        if self._left:
            self._running.acquire()

    def start(self) -> None:
        """Start to make those that are missing."""
        for _ in range(min(_THREADS, len(self._left))):
            threading.Thread(target=self._work, name="mountsea-thumbnails", daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until all are made; an interrupt ends only the wait.

        Args:
            timeout_s: How long, in seconds.

        Returns:
            Whether all are made.

        Raises:
            KeyboardInterrupt: If interrupted.
        """
        until = time.monotonic() + timeout_s
        while (left_s := until - time.monotonic()) > 0 and self._unmade:
            if self._running.acquire(timeout=min(TICK_S, left_s)):
                self._running.release()
        return not self._unmade

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Start no image within a block: it would slow down what is being displayed."""
        with self._turn:
            yield

    def stop(self) -> None:
        """Start no more; those that are being made are still cached."""
        self._left.clear()

    def _work(self) -> None:
        while True:
            with self._turn:
                pass
            try:
                image = self._left.popleft()
            except IndexError:
                return
            self.made[image] = self._make(image)
            with self._guard:
                self._unmade -= 1
                if not self._unmade:
                    self._running.release()

    def _make(self, image: GeneratedImage) -> Preview | str:
        try:
            return cached_thumbnail(image, self._folder, max_bytes=self._max_bytes)
        except NoPreview as error:
            return sanitize(error, limit=60)
        except Exception as error:  # a thread that dies would leave the others waiting
            return type(error).__name__
