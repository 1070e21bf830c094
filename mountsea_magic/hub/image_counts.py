"""How many images a task may bring: those that were asked for; what a Hub adds is left there."""

from __future__ import annotations

from functools import cache

from ..request.catalog import bundled_catalog
from ..request.request import ImageRequest
from .responses import ImageSource

_COUNT = "num_images"
_COUNTS = (
    *(_COUNT, "n", "count", "image_count", "num_outputs", "number_of_images", "num_samples"),
    *("batch_size", "samples"),
)
"""How a live model may call the number: what was asked for by any name is paid for."""


def max_images(request: ImageRequest | None) -> int:
    """Return the most images that are fetched for a request.

    Args:
        request: What was asked for, or None for a task that is resumed by its id alone.

    Returns:
        The number that the request names; without one the most that its model makes, since a
        Hub may have a default of its own, and what it makes by that is paid for.

    Example:
        >>> max_images(ImageRequest("nano-banana", {"prompt": "a dog", "num_images": 2}))
        2
        >>> max_images(ImageRequest("nano-banana", {"prompt": "a dog"})), max_images(None)
        (4, 4)
    """
    given = request.input if request is not None else {}
    asked = [given[name] for name in _COUNTS if type(given.get(name)) is int and given[name] > 0]
    if asked:
        return int(max(asked))
    documented = _documented()
    model = request.model if request is not None else ""
    return documented.get(model, max(documented.values()))


def asked_for(sources: tuple[ImageSource, ...], most: int) -> tuple[ImageSource, ...]:
    """Choose the images that are fetched, in the Hub's order.

    Args:
        sources: All that the Hub names; of more than were asked for, none is taken twice.
        most: How many were asked for.

    Example:
        >>> first, second = ImageSource("https://a.example"), ImageSource("https://b.example")
        >>> asked_for((first, first, second), 2) == (first, second)
        True
    """
    return sources if len(sources) <= most else tuple(dict.fromkeys(sources))[:most]


def count_left_out(sources: tuple[ImageSource, ...], most: int) -> int:
    """Count the images that `asked_for` leaves at the Hub.

    Args:
        sources: All that the Hub names.
        most: How many were asked for.

    Example:
        >>> count_left_out((ImageSource("https://a.example"), ImageSource(None, "iVBO")), 1)
        1
    """
    return 0 if len(sources) <= most else max(0, len(set(sources)) - most)


def describe_left_out(count: int) -> str:
    """Say how many images were left at the Hub; nothing, if there are none.

    Args:
        count: How many.

    Example:
        >>> describe_left_out(2), describe_left_out(0)
        ('2 more at the Hub were not asked for', '')
    """
    were = "was" if count == 1 else "were"
    return f"{count} more at the Hub {were} not asked for" if count else ""


@cache
def _documented() -> dict[str, int]:
    """The most images of one task, by model."""
    counts = {model.id: model.parameters.get(_COUNT, {}) for model in bundled_catalog()}
    return {name: int(count.get("maximum", 1)) for name, count in counts.items()}
