"""Folders and files that the user names: `~` and `$VAR` are expanded, slips are refused."""

from __future__ import annotations

import os
import re
from mimetypes import MimeTypes
from pathlib import Path

from ..errors import InvalidRequest, sanitize

_IMAGE_SUFFIXES = frozenset({".avif", ".heic", ".heif", ".jxl", ".webp"})
"""Those that Python's own table of suffixes does not have in every version."""


def user_path(named: str | os.PathLike[str], *, label: str = "path") -> Path:
    """Expand `~` and environment variables in a path that the user has named.

    Args:
        named: The path, as typed.
        label: What the user calls it, for the errors.

    Returns:
        The path; a relative one stays relative.

    Raises:
        InvalidRequest: If it names an unknown user or an unset variable.

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
        raise InvalidRequest(f"{label} {sanitize(text)}: the variable {unset[0]} is not set.")
    return Path(expanded)


def output_folder(named: str | os.PathLike[str], *, label: str = "folder") -> Path:
    """Make the folder that the user has named for copies of the originals.

    Args:
        named: The folder, as typed.
        label: What the user calls it, for the errors.

    Returns:
        Its absolute path.

    Raises:
        InvalidRequest: If it looks like a file, or can't be made.
    """
    text = os.fspath(named)
    path = user_path(text, label=label)
    if not text.endswith(("/", os.sep)) and not path.is_dir() and _looks_like_a_file(path.name):
        raise InvalidRequest(
            f"{label} {sanitize(text)}: it takes a folder, and this looks like a file. To save one "
            f"image under a name of yours: `NAME[0].save({sanitize(text)!r})`, with -o NAME."
        )
    try:
        if not text.strip():
            raise ValueError("the name is empty")
        folder = path.absolute()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        message = sanitize(getattr(error, "strerror", None) or error)
        raise InvalidRequest(
            f"{label} {sanitize(text)}: it can't be a folder: {message}."
        ) from error
    return folder


def _looks_like_a_file(name: str) -> bool:
    suffix = Path(name).suffix.lower()
    # a table of its own: the process's depends on the files of the machine
    return suffix in _IMAGE_SUFFIXES or MimeTypes().guess_type(name, strict=False) != (None, None)
