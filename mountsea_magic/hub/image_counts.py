"""Limit the images of a task to the requested number; extra ones are not downloaded."""

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
"""Names that live models may use for the number of images; under any of them it is charged."""


def max_images(request: ImageRequest | None) -> int:
    """Return the most images that are downloaded for a request.

    Args:
        request: The request, or None for a task that is resumed by its id alone.

    Returns:
        The requested number; without one the most that the model can make, since the Hub may
        have another default, and all of its images are charged.

    Example:
        >>> max_images(ImageRequest("nano-banana", {"prompt": "a dog", "num_images": 2}))
        2
        >>> max_images(ImageRequest("nano-banana", {"prompt": "a dog"})), max_images(None)
        (4, 4)
    """
    given = request.input if request is not None else {}
    requested = [
        given[name] for name in _COUNTS if type(given.get(name)) is int and given[name] > 0
    ]
    if requested:
        return int(max(requested))
    documented = _documented()
    model = request.model if request is not None else ""
    return documented.get(model, max(documented.values()))


def select_images(sources: tuple[ImageSource, ...], limit: int) -> tuple[ImageSource, ...]:
    """Select the images to download, in the Hub's order.

    Args:
        sources: All images in the response; duplicates are dropped if there are too many.
        limit: The requested number.

    Example:
        >>> first, second = ImageSource("https://a.example"), ImageSource("https://b.example")
        >>> select_images((first, first, second), 2) == (first, second)
        True
    """
    return sources if len(sources) <= limit else tuple(dict.fromkeys(sources))[:limit]


def count_left_out(sources: tuple[ImageSource, ...], limit: int) -> int:
    """Count the images that `select_images` leaves out.

    Args:
        sources: All images in the response.
        limit: The requested number.

    Example:
        >>> count_left_out((ImageSource("https://a.example"), ImageSource(None, "iVBO")), 1)
        1
    """
    return 0 if len(sources) <= limit else max(0, len(set(sources)) - limit)


def describe_left_out(count: int) -> str:
    """Describe how many images were not downloaded; an empty string if none.

    Args:
        count: The number of images.

    Example:
        >>> describe_left_out(2), describe_left_out(0)
        ('2 extra images were not downloaded', '')
    """
    what = "image was" if count == 1 else "images were"
    return f"{count} extra {what} not downloaded" if count else ""


@cache
def _documented() -> dict[str, int]:
    """Return the documented maximum number of images, by model."""
    counts = {model.id: model.parameters.get(_COUNT, {}) for model in bundled_catalog()}
    return {name: int(count.get("maximum", 1)) for name, count in counts.items()}
