"""Print to any stream without ever raising, whatever its encoding and state."""

from __future__ import annotations

import sys
from typing import TextIO

from .text import printable

MAX_PRINTED = 4_000_000
"""The longest text that is printed at once, in characters: a listing of a large journal."""


_IN_ASCII = str.maketrans({"·": "-", "…": "...", "×": "x", "“": '"', "”": '"', "’": "'", "–": "-"})
"""ASCII replacements for the other characters in our messages."""


def encodable(text: str, encoding: str) -> str:
    r"""Return text that an encoding can represent; other characters are escaped in ASCII.

    Args:
        text: The text.
        encoding: Such as ``cp932``; an unknown one counts as ASCII.

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
    """Return the encoding of standard output, for text of ours that IPython prints."""
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def echo(text: str, *, stream: TextIO | None = None, end: str = "\n", control: str = "") -> None:
    """Print text and flush, whatever the stream's encoding; errors of the stream are ignored.

    The output is about paid images: a terminal that can't encode “ must not lose it.

    Args:
        text: The text.
        stream: The stream; standard output if left out.
        end: Printed after the text.
        control: Terminal control characters to print before the text, which itself may have none.

    Example:
        >>> echo("a dog")
        a dog
    """
    target = sys.stdout if stream is None else stream
    text = control + printable(text, limit=MAX_PRINTED) + end
    if target is None:  # `pythonw`, or a daemon with closed streams
        return
    try:
        try:
            target.write(encodable(text, getattr(target, "encoding", None) or "utf-8"))
        except UnicodeError:
            # a stream that forwards to another one may not have the right `encoding`
            target.write(encodable(text, "ascii"))
        target.flush()
    except Exception:
        # a closed pipe, a full disk, or whatever a user-defined stream raises
        return


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal, so that lines can be rewritten in place.

    Args:
        stream: The stream, or any object used as one.

    Example:
        >>> is_terminal(None)
        False
    """
    try:
        return bool(stream is not None and stream.isatty())
    except Exception:
        return False  # closed, or user-defined
