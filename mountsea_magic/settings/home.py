"""The data folder: one for a process and those that it starts, wherever they go."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..errors import ConfigurationError, sanitize
from ..runtime.environment import set_variable, variable
from ..runtime.private_files import NotOurs, check_way


def fix_home() -> None:
    """Make a relative MOUNTSEA_HOME absolute, once, for this process and those that it starts.

    Else the journal would be another one after a change of the working folder, and what was
    paid for would be paid for again.
    """
    named = _expanded(variable("MOUNTSEA_HOME") or "")
    if named and not named.startswith("~") and not os.path.isabs(named):
        with suppress(OSError):  # the working folder may be gone
            set_variable("MOUNTSEA_HOME", os.path.abspath(named))


def data_folder(named: str) -> Path:
    """Return the folder for all that is kept: journal, originals, keys and demo tasks.

    Args:
        named: What MOUNTSEA_HOME says; platformdirs knows what each platform wants without it.

    Raises:
        ConfigurationError: If there is no such folder, or if another user may have put it there;
            names MOUNTSEA_HOME.
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
    # an older platformdirs answers with a folder that is named "~"
    if cause is not None or not folder.is_absolute():
        raise ConfigurationError(
            "No data folder is known, since this user has no home folder (is HOME set?): set "
            "MOUNTSEA_HOME to a folder for the journal and the images."
        ) from cause
    return _trusted(folder, "The data folder")


def _trusted(folder: Path, label: str) -> Path:
    """What is kept there would be another user's to read or to change."""
    try:
        check_way(folder)
    except NotOurs as error:
        raise ConfigurationError(
            f"{label} is {sanitize(folder)}: {sanitize(error.strerror)}. "
            "Set MOUNTSEA_HOME to a folder of your own."
        ) from error
    return folder


def _expanded(named: str) -> str:
    """Without the quotes that `%env` and env files leave, and with what no shell has filled in."""
    named = named.strip()
    if named[:1] in ("'", '"') and named[-1:] == named[:1]:
        named = named[1:-1].strip()
    return os.path.expandvars(named) if "$" in named else named
