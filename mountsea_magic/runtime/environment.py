"""The environment's variables: read and set where nothing is raised.

A traceback that shows variables would show the whole environment, and so the key, of any frame
that holds it or names it on the line that fails.
"""

from __future__ import annotations

import os

_NEEDED_TO_START = (
    *("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "TEMP", "TMP", "TMPDIR"),
)


def variable(name: str) -> str | None:
    """Return a variable's value, or None.

    Example:
        >>> variable("NO_SUCH_VARIABLE") is None
        True
    """
    return os.environ.get(name)


def set_variable(name: str, value: str | None) -> None:
    """Set a variable for this process and those that it starts, or remove it.

    Args:
        name: The variable.
        value: Its value, or None.

    Example:
        >>> set_variable("NO_SUCH_VARIABLE", None)
    """
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def minimal_environment() -> dict[str, str]:
    """Return what an interpreter needs to start, and none of the secrets beside it.

    Example:
        >>> "MOUNTSEA_API_KEY" in minimal_environment()
        False
    """
    values = {name: variable(name) for name in _NEEDED_TO_START}
    return {name: value for name, value in values.items() if value is not None}
