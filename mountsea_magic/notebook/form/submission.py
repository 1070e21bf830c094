"""What is filled in, as a generation that may be submitted."""

from __future__ import annotations

from ...generation.handle import Generation
from ...request.axes import ImageWord
from ...request.prepare import InputImages
from ...request.sweep import Item
from ...session import current_session
from ...settings import Settings
from .check import FormValues
from .schema import label_of


def checked_generation(filled: FormValues, images: InputImages, settings: Settings) -> Generation:
    """Return the generation of what is filled in, after all checks; nothing is sent yet.

    Args:
        filled: What is filled in.
        images: Converts the input images.
        settings: The Hub and the key.

    Raises:
        ConfigurationError: If there is no key.
        InvalidRequest: If the request is not valid.
        BudgetExceeded: If there would be more images than the budget allows.
    """
    settings.require_key()
    session = current_session()
    words = tuple(map(ImageWord, filled.images))
    request = session.build(
        settings,
        Item(filled.prompt, filled.typed, model=filled.model.id, images=words),
        model=filled.model.id,
        images=images,
        spell=label_of,
    )
    generation = Generation(request, is_demo=settings.is_demo)
    session.budget.check_all(settings, [generation])
    return generation
