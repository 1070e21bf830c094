"""Generate images in notebooks: an IPython magic for the Mountsea Hub's image API.

Run ``%load_ext mountsea_magic``, then a cell that starts with ``%%mountsea``; or from Python:

    dog = mountsea_magic.generate("a black lab swimming in a pool", num_images=2)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .api import agenerate, agenerate_many, generate, generate_many, history
    from .errors import (
        AuthenticationError,
        BatchFailed,
        BudgetExceeded,
        ConfigurationError,
        DownloadFailed,
        HubUnavailable,
        InsufficientCredits,
        Interrupted,
        InvalidRequest,
        MountseaError,
        RateLimited,
        SubmissionUncertain,
        TaskFailed,
        WaitTimeout,
    )
    from .generation.batch import Batch
    from .generation.handle import Generation
    from .images.comparison import compare
    from .images.contact_sheet import contact_sheet
    from .images.files import GeneratedImage
    from .request.grid import grid
    from .request.request import ImageRequest

__version__ = "0.1.0"

__all__ = [
    "AuthenticationError",
    "Batch",
    "BatchFailed",
    "BudgetExceeded",
    "ConfigurationError",
    "DownloadFailed",
    "GeneratedImage",
    "Generation",
    "HubUnavailable",
    "ImageRequest",
    "InsufficientCredits",
    "Interrupted",
    "InvalidRequest",
    "MountseaError",
    "RateLimited",
    "SubmissionUncertain",
    "TaskFailed",
    "WaitTimeout",
    "agenerate",
    "agenerate_many",
    "compare",
    "contact_sheet",
    "generate",
    "generate_many",
    "grid",
    "history",
]

_MODULES = {
    "Batch": "generation.batch",
    "GeneratedImage": "images.files",
    "Generation": "generation.handle",
    "ImageRequest": "request.request",
    "agenerate": "api",
    "agenerate_many": "api",
    "compare": "images.comparison",
    "contact_sheet": "images.contact_sheet",
    "generate": "api",
    "generate_many": "api",
    "grid": "request.grid",
    "history": "api",
}
"""The module of each public name that is not in `errors`."""

_FORMER_NAMES = {"Picture": "GeneratedImage"}
"""Public names of 0.1.0 that were renamed."""


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics ``%%mountsea`` and ``%mountsea``; called by ``%load_ext``."""
    from .notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Unregister the magics; called by ``%unload_ext``."""
    from .notebook.magics import unload

    unload(shell)


def __getattr__(name: str) -> Any:
    """Import a public name on first use, to keep `%load_ext` fast."""
    name = _FORMER_NAMES.get(name, name)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES.get(name, 'errors')}", __name__), name)


def __dir__() -> list[str]:
    """List the public names, including those not imported yet."""
    return sorted([*globals(), *__all__])
