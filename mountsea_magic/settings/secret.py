"""The secret: an API key that nothing shows, and what a text must be to be one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from ..errors import ConfigurationError, without_frames
from ..runtime.key_redaction import MASK, MIN_KEY

if TYPE_CHECKING:
    from ..runtime.key_patterns import KeyForms

NO_KEY = "That is not a Mountsea key: a key is one word of printable ASCII characters."

_NO_KEYS = (
    (r"[\"'`´“”„‟‘’‚‛«»‹›]|.*[\"'`´“”„‟‘’‚‛«»‹›]$", "it is in quotes. Leave them out."),
    (r"(authorization\s*:\s*)?bearer(\s|:|$)", "it begins with “Bearer”. Give the key alone."),
    (
        r"(export\s+|set\s+|\$env:)?(\w*_?key\s*=|[\w-]*api[-_ ]?key\s*[=:])",
        "it holds the name of a variable or a header. Give only what follows it.",
    ),
    (r"\$\w+$|\$?\{.*\}$|%\w+%$", "it is the name of a variable, whose value was not put in."),
    (r"[<\[(].*[>\])]$", "it is in brackets. Leave them out."),
    (
        r"[^\s]*[^\x21-\x7e\s]\S*$",
        "it has a character that no key has, perhaps an invisible one. Copy it anew.",
    ),
)
"""What a paste brings along: how it looks, and what to do."""


class Secret:
    """An API key that no repr, ``vars()``, pickle or format shows.

    Example:
        >>> Secret("sk-123")
        Secret('…')
        >>> Secret("sk-123").reveal()
        'sk-123'
    """

    __slots__ = ("__forms", "__text")

    def __init__(self, text: str) -> None:
        """Keep the key, without the white space that a paste brings.

        Raises:
            ConfigurationError: If it is no key. A traceback with variables shows the text that the
                caller has; to read what a user gave, use `read`.
        """
        problem = Secret.problem(text)
        self.__text = "" if problem else text.strip()
        self.__forms: KeyForms | None = None
        del text
        if problem:
            raise ConfigurationError(problem)

    @staticmethod
    def read(text: str) -> Secret | str:
        """Return the key that a text is, or what is wrong with it; never raises.

        A frame that raises would show the text, which may be a key but for a quote.

        Example:
            >>> Secret.read("sk-123"), Secret.read("")
            (Secret('…'), 'That is not a Mountsea key: a key is one word of printable ASCII \
characters.')
        """
        return Secret.problem(text) or Secret(text)

    @staticmethod
    def problem(text: str) -> str:
        """Say what keeps a text from being a key, or nothing; the text is not repeated."""
        text = text.strip()
        for pattern, what in _NO_KEYS:
            if re.match(pattern, text, re.IGNORECASE):
                return f"That is not a Mountsea key: {what}"
        fits = text and text.isascii() and text.isprintable() and " " not in text
        return "" if fits else NO_KEY

    def reveal(self) -> str:
        """Return the key itself: for the header of a request, and for nothing else."""
        return self.__text

    def redact_in(self, text: str, *, pieces: bool = True, exactly: bool = False) -> str:
        """Return the text with the key blotted out, should a host echo it in whatever form.

        Keys under 8 characters are left alone: they are no real keys, and common words hold them.

        Args:
            text: The text.
            pieces: Whether a long piece of the key is blotted out, too.
            exactly: Whether only the key as it is counts, in no other form.

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
            return self.__forms.hide(text, pieces=pieces)
        except BaseException as error:
            # an interrupt hits any line, and the frames below hold the key
            del text
            raise without_frames(error) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.__text

    def __hash__(self) -> int:
        return hash(self.__text)

    def __repr__(self) -> str:
        return "Secret('…')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is neither pickled nor copied to disk")
