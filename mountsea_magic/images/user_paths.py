"""Expand `~` and `$VAR` in paths from the user, and create output folders."""

from __future__ import annotations

import os
import re
from mimetypes import MimeTypes
from pathlib import Path

from ..errors import InvalidRequest
from ..runtime.text import os_error_reason, sanitize

_IMAGE_SUFFIXES = frozenset({".avif", ".heic", ".heif", ".jxl", ".webp"})
"""Image suffixes missing from `mimetypes` in some Python versions."""


def user_path(named: str | os.PathLike[str], *, label: str = "path") -> Path:
    """Expand `~` and environment variables in a path from the user.

    Args:
        named: The path, as typed.
        label: How the user referred to it, for error messages.

    Returns:
        The path; a relative one stays relative.

    Raises:
        InvalidRequest: If the user or environment variable does not exist.

    Example:
        >>> user_path("dogs").name
        'dogs'
    """
    text = os.fspath(named)
    expanded = os.path.expanduser(os.path.expandvars(text))
    if expanded.startswith("~") and not os.path.lexists(expanded):
        user = re.split(r"[/\\]", expanded)[0]
        raise InvalidRequest(f"{label} {sanitize(text)}: there is no home folder {sanitize(user)}.")
    unset = re.search(r"\$(\w+|\{\w+\})", expanded)
    if unset is not None and not os.path.lexists(expanded):
        raise InvalidRequest(
            f"{label} {sanitize(text)}: the environment variable {unset[0]} is not set."
        )
    return Path(expanded)


def output_folder(named: str | os.PathLike[str], *, label: str = "folder") -> Path:
    """Create a folder from the user, for copies of the originals.

    Args:
        named: The folder, as typed.
        label: How the user referred to it, for error messages.

    Returns:
        Its absolute path.

    Raises:
        InvalidRequest: If it looks like a file name, or can't be created.
    """
    text = os.fspath(named)
    path = user_path(text, label=label)
    if not text.endswith(("/", os.sep)) and not path.is_dir() and _looks_like_a_file(path.name):
        raise InvalidRequest(
            f"{label} {sanitize(text)}: expected a folder, but this looks like a file name. To "
            f"save one image to a file, use -o NAME, then `NAME[0].save({sanitize(text)!r})`."
        )
    try:
        if not text.strip():
            raise ValueError("the name is empty")
        folder = path.absolute()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"{label} {sanitize(text)}: can't create the folder: {os_error_reason(error)}."
        ) from error
    return folder


def _looks_like_a_file(name: str) -> bool:
    suffix = Path(name).suffix.lower()
    # a new table, since the global one depends on the files of the machine
    return suffix in _IMAGE_SUFFIXES or MimeTypes().guess_type(name, strict=False) != (None, None)
