"""Pictures in notebooks: an IPython magic for the Mountsea Hub's image API.

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
    from .handle import Generation
    from .pictures import Picture
    from .request import ImageRequest

__version__ = "0.1.0"

__all__ = [
    "AuthenticationError",
    "ConfigurationError",
    "DownloadFailed",
    "Generation",
    "HubUnavailable",
    "ImageRequest",
    "InsufficientCredits",
    "Interrupted",
    "InvalidRequest",
    "MountseaError",
    "Picture",
    "RateLimited",
    "SubmissionUncertain",
    "TaskFailed",
    "WaitTimeout",
    "agenerate",
    "generate",
]

_ROOMS = {
    "Generation": "handle",
    "ImageRequest": "request",
    "Picture": "pictures",
    "agenerate": "api",
    "generate": "api",
}


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register ``%%mountsea`` and ``%mountsea``; called by ``%load_ext mountsea_magic``."""
    from .magic import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics out again; called by ``%unload_ext mountsea_magic``."""
    from .magic import unload

    unload(shell)


def __getattr__(name: str) -> Any:
    """Bring a public name from its room when it is first asked for: loading stays light."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_ROOMS.get(name, 'errors')}", __name__), name)


def __dir__() -> list[str]:
    """List the public names, also those not yet brought."""
    return sorted([*globals(), *__all__])
