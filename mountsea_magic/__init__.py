"""Images in notebooks: an IPython magic for the Mountsea Hub's image API.

``%load_ext mountsea_magic``, then a cell that begins with ``%%mountsea``; or from Python:

    dog = mountsea_magic.generate("a black lab swimming in a pool", num_images=2)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .api import agenerate, generate
    from .errors import (
        AuthenticationError,
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
    from .generation.handle import Generation
    from .images.files import GeneratedImage
    from .request.request import ImageRequest

__version__ = "0.1.0"

__all__ = [
    "AuthenticationError",
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
    "generate",
]

_MODULES = {
    "GeneratedImage": "images.files",
    "Generation": "generation.handle",
    "ImageRequest": "request.request",
    "agenerate": "api",
    "generate": "api",
}
"""Where a public name is defined, where that is not `errors`."""

_FORMER_NAMES = {"Picture": "GeneratedImage"}
"""What public names of 0.1.0 are called now."""


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register ``%%mountsea`` and ``%mountsea``; called by ``%load_ext mountsea_magic``."""
    from .notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics out again; called by ``%unload_ext mountsea_magic``."""
    from .notebook.magics import unload

    unload(shell)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `%load_ext` stays light."""
    name = _FORMER_NAMES.get(name, name)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES.get(name, 'errors')}", __name__), name)


def __dir__() -> list[str]:
    """List the public names, also those not yet brought."""
    return sorted([*globals(), *__all__])
