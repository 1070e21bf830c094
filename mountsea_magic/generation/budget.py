"""The budget: how many images may be ordered at a Hub in 24 hours, counted from the journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import BudgetExceeded
from ..hub.status import Status
from ..runtime.text import counted
from ..settings import Settings
from .handle import Generation

if TYPE_CHECKING:
    from ..journal.entry import Entry
    from ..journal.journal import Journal


class Budget:
    """The limits of images in 24 hours that are set in this process; the lowest one counts.

    Attributes:
        command: The limit of ``%mountsea budget``, or None.
        config: The limit of ``%config MountseaMagics.budget``, or None.

    Args:
        journal: Returns the journal of some settings.
        run: Runs a coroutine on the loop thread, and waits for it.

    Example:
        >>> session.budget.command = 20  # doctest: +SKIP
        >>> session.budget.check(settings, images=21)  # doctest: +SKIP
        Traceback (most recent call last):
        BudgetExceeded: Over budget: this would order 21 images, but 20 of the 20 allowed …
    """

    def __init__(
        self,
        journal: Callable[[Settings], Journal],
        run: Callable[[Coroutine[Any, Any, Entry | None]], Entry | None],
    ) -> None:
        self.command: int | None = None
        self.config: int | None = None
        self._journal, self._run = journal, run

    def sources(self, settings: Settings) -> dict[str, int]:
        """Return each limit that is set, by the name of its setting.

        Args:
            settings: The limit of the environment.
        """
        limits = {
            "%mountsea budget": self.command,
            "%config MountseaMagics.budget": self.config,
            "MOUNTSEA_BUDGET": settings.budget,
        }
        return {name: limit for name, limit in limits.items() if limit is not None}

    def limit(self, settings: Settings) -> int | None:
        """Return the lowest limit, or None; the demo Hub has none, since it charges nothing.

        Args:
            settings: The Hub, and the limit of the environment.
        """
        return None if settings.is_demo else min(self.sources(settings).values(), default=None)

    def ordered(self, settings: Settings) -> int:
        """Return how many images were ordered at a Hub in the last 24 hours; 0 at the demo Hub.

        Args:
            settings: The Hub and the journal.
        """
        if settings.is_demo:
            return 0
        from ..journal.claims import DAY_S

        since = time.time() - DAY_S
        return self._journal(settings).count_images(settings.base_url, since)

    def check(self, settings: Settings, images: int) -> None:
        """Refuse images that would exceed the budget.

        Args:
            settings: The Hub, and the limit of the environment.
            images: How many images are to be ordered.

        Raises:
            BudgetExceeded: If they are too many; names how many, and how many are left.
        """
        limit = self.limit(settings)
        if limit is not None:
            _refuse_excess(limit, self.ordered(settings), images)

    def check_all(
        self,
        settings: Settings,
        generations: Sequence[Generation],
        *,
        fresh: bool = False,
        cache: bool = False,
    ) -> None:
        """Refuse requests that would exceed the budget; answers from the journal do not count.

        Args:
            settings: The Hub, and the limit of the environment.
            generations: The handles of requests that are to be submitted, or submitted anew.
            fresh: Never answer from the journal.
            cache: Answer from the journal also without a seed.

        Raises:
            BudgetExceeded: If their images are too many.
        """
        limit = self.limit(settings)
        if limit is not None:
            # in this order: what is submitted meanwhile must not be counted twice
            ordered = self.ordered(settings)
            charged = self.charged(settings, generations, fresh=fresh, cache=cache)
            _refuse_excess(limit, ordered, image_count(charged))

    def charged(
        self,
        settings: Settings,
        generations: Iterable[Generation],
        *,
        fresh: bool = False,
        cache: bool = False,
    ) -> list[Generation]:
        """Return the generations that would be charged: the journal does not answer them.

        Args:
            settings: The Hub and the journal; nothing is charged at the demo Hub.
            generations: The handles of requests; those whose task is followed are left out.
            fresh: Never answer from the journal.
            cache: Answer from the journal also without a seed.
        """
        if settings.is_demo:
            return []
        return [
            each
            for each in generations
            if each.needs_submission
            and (
                fresh
                or each.status == Status.UNCERTAIN  # which is submitted anew
                or not self._is_answered(settings, each, cache)
            )
        ]

    def _is_answered(self, settings: Settings, generation: Generation, cache: bool) -> bool:
        """Whether nothing is submitted for a request, as `run` decides when it is its turn."""
        request, key = generation.request, generation.idempotency_key
        if request is None:
            return True
        journal, hub = self._journal(settings), settings.base_url
        if key is not None:
            from ..journal.claims import UNPAID

            entry = self._run(journal.find_by_key(hub, key))
            return entry is not None and entry.status not in UNPAID
        if not cache and request.input.get("seed") is None:
            return False
        return bool(journal.find_identical(hub, request.fingerprint()))


def image_count(generations: Iterable[Generation]) -> int:
    """Return how many images the requests of some generations ask for.

    Args:
        generations: The handles.

    Example:
        >>> image_count([Generation(None, task_id="hub-1")])
        0
    """
    return sum(each.request.image_count for each in generations if each.request is not None)


def over_budget(limit: int, ordered: int, images: int) -> BudgetExceeded:
    """Return the error for an order that would exceed the budget.

    Args:
        limit: How many images may be ordered in 24 hours.
        ordered: How many were ordered in the last 24 hours.
        images: How many were to be ordered now.
    """
    left = max(0, limit - ordered)
    return BudgetExceeded(
        f"Over budget: this would order {counted(images, 'image')}, but "
        f"{left:,} of the {limit:,} allowed in 24 hours {'is' if left == 1 else 'are'} left. "
        "Nothing was sent. See `%mountsea budget`."
    )


def _refuse_excess(limit: int, ordered: int, images: int) -> None:
    if images and ordered + images > limit:
        raise over_budget(limit, ordered, images)
