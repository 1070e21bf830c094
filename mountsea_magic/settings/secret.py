"""An API key that is never shown, and the validation of keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from ..errors import ConfigurationError, without_frames
from ..runtime.key_redaction import MASK, MIN_KEY

if TYPE_CHECKING:
    from ..runtime.key_patterns import KeyForms

NO_KEY = "Not a valid API key: a key is one word of printable ASCII characters."

_INVALID_KEYS = (
    (r"[\"'`´“”„‟‘’‚‛«»‹›]|.*[\"'`´“”„‟‘’‚‛«»‹›]$", "it is in quotes; remove them."),
    (r"(authorization\s*:\s*)?bearer(\s|:|$)", "it starts with “Bearer”; enter the key alone."),
    (
        r"(export\s+|set\s+|\$env:)?(\w*_?key\s*=|[\w-]*api[-_ ]?key\s*[=:])",
        "it contains the name of a variable or header; enter only the value after it.",
    ),
    (r"\$\w+$|\$?\{.*\}$|%\w+%$", "it is a variable that was not replaced by its value."),
    (r"[<\[(].*[>\])]$", "it is in brackets; remove them."),
    (
        r"[^\s]*[^\x21-\x7e\s]\S*$",
        "it contains an invalid character, perhaps an invisible one; copy the key again.",
    ),
)
"""Common mistakes of copy and paste: their pattern, and what to do."""


class Secret:
    """An API key that ``repr``, ``format``, ``vars`` and ``pickle`` do not expose.

    Args:
        text: The key; white space around it is removed.

    Raises:
        ConfigurationError: If it is not a valid key. Tracebacks that show variables then print the
            caller's text; use `read` for text of a user.

    Example:
        >>> Secret("sk-123")
        Secret('…')
        >>> Secret("sk-123").reveal()
        'sk-123'
    """

    __slots__ = ("__forms", "__text")

    def __init__(self, text: str) -> None:
        problem = Secret.problem(text)
        self.__text = "" if problem else text.strip()
        self.__forms: KeyForms | None = None
        del text
        if problem:
            raise ConfigurationError(problem)

    @staticmethod
    def read(text: str) -> Secret | str:
        """Return the key, or the message about an invalid one; never raises.

        A traceback that shows variables would print the text, which may be a key in quotes.

        Example:
            >>> Secret.read("sk-123"), Secret.read("")
            (Secret('…'), 'Not a valid API key: a key is one word of printable ASCII characters.')
        """
        return Secret.problem(text) or Secret(text)

    @staticmethod
    def problem(text: str) -> str:
        """Return why a text is not a valid key, without quoting it; empty for a valid one."""
        text = text.strip()
        for pattern, problem in _INVALID_KEYS:
            if re.match(pattern, text, re.IGNORECASE):
                return f"Not a valid API key: {problem}"
        fits = text and text.isascii() and text.isprintable() and " " not in text
        return "" if fits else NO_KEY

    def reveal(self) -> str:
        """Return the key itself, for request headers and for storing it only."""
        return self.__text

    def redact_in(self, text: str, *, pieces: bool = True, exactly: bool = False) -> str:
        """Return the text with the key redacted, in whatever form a host has echoed it.

        Keys under 8 characters are not redacted: they occur in common words.

        Args:
            text: The text.
            pieces: Whether to redact long pieces of the key, too.
            exactly: Whether to redact the literal key only, and no other form.

        Example:
            >>> Secret("sk-12345678").redact_in("bad key sk-12345678")
            'bad key [key]'
        """
        if len(self.__text) < MIN_KEY:
            return text
        if exactly:
            return text.replace(self.__text, MASK)
        if self.__forms is None:
            from ..runtime.key_patterns import KeyForms

            self.__forms = KeyForms(self.__text)
        try:
            return self.__forms.redact(text, pieces=pieces)
        except BaseException as error:
            # for example an interrupt; the frames below have the key in their variables
            del text
            raise without_frames(error) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.__text

    def __hash__(self) -> int:
        return hash(self.__text)

    def __repr__(self) -> str:
        return "Secret('…')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key can't be pickled or copied")
