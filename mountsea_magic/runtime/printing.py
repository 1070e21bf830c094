"""Printing: text reaches a stream as far as the stream can take it, and stops nothing."""

from __future__ import annotations

import sys
from typing import TextIO

from .text import printable

MAX_PRINTED = 4_000_000
"""The longest text that is printed at once, in characters: a long list of a long journal."""


_IN_ASCII = str.maketrans({"·": "-", "…": "...", "×": "x", "“": '"', "”": '"', "’": "'", "–": "-"})
"""What our own messages hold beside ASCII, for streams that can't take it."""


def encodable(text: str, encoding: str) -> str:
    r"""Return text as an encoding can take it; what it lacks is spelled in ASCII.

    Args:
        text: The text.
        encoding: Such as ``cp932``; one that Python does not know counts as ASCII.

    Example:
        >>> print(encodable("3 × “dog 犬”", "latin-1"))
        3 x "dog \u72ac"
    """
    try:
        text.encode(encoding)
    except LookupError:
        encoding = "ascii"
    except UnicodeError:
        pass
    else:
        return text
    return text.translate(_IN_ASCII).encode(encoding, "backslashreplace").decode(encoding)


def stdout_encoding() -> str:
    """Return what standard output can take, for what IPython prints of ours."""
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def echo(text: str, *, stream: TextIO | None = None, end: str = "\n", control: str = "") -> None:
    """Print text at once, whatever the stream's encoding; a stream that is gone takes nothing.

    What is printed was paid for: a terminal that knows no “ is no reason to lose it.

    Args:
        text: The text.
        stream: Standard output if left out.
        end: What follows the text.
        control: What moves the cursor of a terminal before the text, which itself can't.

    Example:
        >>> echo("a dog")
        a dog
    """
    target = sys.stdout if stream is None else stream
    text = control + printable(text, limit=MAX_PRINTED) + end
    if target is None:  # `pythonw`, or a daemon that has closed its streams
        return
    try:
        try:
            target.write(encodable(text, getattr(target, "encoding", None) or "utf-8"))
        except UnicodeError:
            # a stream that passes on what it is given may not know what comes behind it
            target.write(encodable(text, "ascii"))
        target.flush()
    except Exception:
        # a closed pipe, a full disk, or whatever a stream of the user's own making raises
        return


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a line on a stream can be rewritten in place.

    Args:
        stream: Any object that stands in for a stream.

    Example:
        >>> is_terminal(None)
        False
    """
    try:
        return bool(stream is not None and stream.isatty())
    except Exception:
        return False  # closed, or of the user's own making
