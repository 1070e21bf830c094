"""The data folder: the same for a process and its children, whatever their working directories."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..errors import ConfigurationError
from ..runtime.environment import set_variable, variable
from ..runtime.private_files import UntrustedPathError, check_path
from ..runtime.text import os_error_reason, sanitize


def make_home_absolute() -> None:
    """Make a relative MOUNTSEA_HOME absolute, for this process and its children.

    Otherwise a change of the working directory would change the journal, and completed requests
    would be submitted and charged again.
    """
    named = _expanded(variable("MOUNTSEA_HOME") or "")
    if named and not named.startswith("~") and not os.path.isabs(named):
        with suppress(OSError):  # the working directory may have been deleted
            set_variable("MOUNTSEA_HOME", os.path.abspath(named))


def data_folder(named: str) -> Path:
    """Return the folder of journal, originals, stored keys and demo tasks.

    Args:
        named: The value of MOUNTSEA_HOME; if empty, the platform's user data folder is used.

    Raises:
        ConfigurationError: If it can't be determined, or another user may control its path.
    """
    if _expanded(named):
        try:
            return _trusted(Path(_expanded(named)).expanduser().absolute(), "MOUNTSEA_HOME")
        except (OSError, RuntimeError) as error:
            message = sanitize(error).rstrip(".")
            raise ConfigurationError(f"MOUNTSEA_HOME is {sanitize(named)}: {message}.") from error
    import platformdirs

    cause: RuntimeError | None = None
    try:
        folder = platformdirs.user_data_path("mountsea-magic", appauthor=False)
    except RuntimeError as error:
        cause = error
    # older versions of platformdirs return a relative folder "~"
    if cause is not None or not folder.is_absolute():
        raise ConfigurationError(
            "There is no data folder, because this user has no home directory (is HOME set?). Set "
            "MOUNTSEA_HOME to a folder for the journal and the images."
        ) from cause
    return _trusted(folder, "The data folder")


def _trusted(folder: Path, label: str) -> Path:
    """Reject a folder whose path another user may control: they could read or change the files."""
    try:
        check_path(folder)
    except UntrustedPathError as error:
        raise ConfigurationError(
            f"{label} is {sanitize(folder)}: {os_error_reason(error)}. "
            "Set MOUNTSEA_HOME to a folder of your own."
        ) from error
    return folder


def _expanded(named: str) -> str:
    """Remove quotes and expand variables, which `%env` and env files leave in the value."""
    named = named.strip()
    if named[:1] in ("'", '"') and named[-1:] == named[:1]:
        named = named[1:-1].strip()
    return os.path.expandvars(named) if "$" in named else named
