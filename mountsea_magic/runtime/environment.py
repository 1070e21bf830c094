"""Read and set environment variables in functions that never raise.

Tracebacks that show variables would print the whole environment, and so the key, for a frame that
has it as a local or names it on the failing line.
"""

from __future__ import annotations

import os

_NEEDED_TO_START = (
    *("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "TEMP", "TMP", "TMPDIR"),
)


def variable(name: str) -> str | None:
    """Return an environment variable's value, or None.

    Example:
        >>> variable("NO_SUCH_VARIABLE") is None
        True
    """
    return os.environ.get(name)


def set_variable(name: str, value: str | None) -> None:
    """Set an environment variable for this process and its children, or remove it.

    Args:
        name: The variable.
        value: Its value, or None to remove it.

    Example:
        >>> set_variable("NO_SUCH_VARIABLE", None)
    """
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def minimal_environment() -> dict[str, str]:
    """Return the variables that a Python interpreter needs to start, without any secrets.

    Example:
        >>> "MOUNTSEA_API_KEY" in minimal_environment()
        False
    """
    values = {name: variable(name) for name in _NEEDED_TO_START}
    return {name: value for name, value in values.items() if value is not None}
