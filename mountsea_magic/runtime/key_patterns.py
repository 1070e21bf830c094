"""Find an API key in a text, in every encoding in which a host may echo it."""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote

from .key_redaction import MASK, MAX_SEARCHED_CHARS, MIN_KEY

_MIN_STRONG, _MIN_STRONG_WITH_DIGITS = 16, 10
"""With this many letters and digits, a match in ordinary text is not a coincidence."""

_MIN_PIECE = 10
_BLOCK = 5
_MAX_LAYERS = 4

_ESCAPE = re.compile(
    r"%(?:25){0,4}(?P<percent>[0-9a-f]{2})"
    r"|(?<!\\)\\++(?:u(?P<u>[0-9a-f]{4})|x(?P<x>[0-9a-f]{2})|(?P<octal>[01][0-7]{2})"
    r"|(?P<blank>[abfnrtv0])|(?P<self>[\"'/]))"
    r"|(?P<entity>&(?:amp;){0,4}(?:#[0-9]{1,8}|#x[0-9a-f]{1,8}|[a-z][a-z0-9]{1,30}(?=;));?)"
    r"|</?[a-z][^<>]{0,80}>"
    r"|\x1b?\[[0-9;]{0,16}[a-z]",
    re.IGNORECASE,
)
"""Escapes of URLs, JSON, Python and HTML, and invisible text: tags and terminal colors."""

_MARK = re.compile(r"[%\\&<\[]")


class KeyForms:
    r"""The forms in which a key may be echoed: mixed with other characters, escaped, encoded.

    Args:
        key: The key; one that could be an ordinary word must match letter by letter, with only
            invisible characters in between.

    Example:
        >>> forms = KeyForms("sk-0123456789abcdefgh")
        >>> forms.redact(r"bad: sk%2D01234\n56789ABCDEFGH")
        'bad: [key]'
    """

    __slots__ = (
        *("_key", "_literals", "_needles", "_skeleton", "_blocks"),
        *("_strong", "_letters", "_dropped"),
    )

    def __init__(self, key: str) -> None:
        self._key = key
        self._skeleton = re.sub(r"[^0-9a-z]", "", key.lower())
        digits = sum(letter.isdigit() for letter in self._skeleton)
        mixed = 3 <= digits <= len(self._skeleton) - 2
        enough = _MIN_STRONG_WITH_DIGITS if mixed else _MIN_STRONG
        self._strong = len(self._skeleton) >= enough
        visible = map(chr, range(0x20, 0x7F))
        self._letters = frozenset(char for char in visible if not self._strong or char.isalnum())
        self._dropped = bytes(code for code in range(128) if chr(code) not in self._letters)
        self._literals = tuple(dict.fromkeys((key, key.replace("\\", "\\\\").replace('"', '\\"'))))
        forms = map(self._folded, _encodings(key))
        self._needles = tuple(form for form in dict.fromkeys(forms) if len(form) >= MIN_KEY)
        starts = range(0, len(self._skeleton) - _BLOCK + 1, _BLOCK) if self._strong else ()
        self._blocks = tuple(self._skeleton[start : start + _BLOCK] for start in starts)

    def __repr__(self) -> str:
        return "KeyForms('…')"

    def redact(self, text: str, *, pieces: bool = True) -> str:
        """Return a text with each echo of the key replaced by `MASK`.

        Args:
            text: Any text; beyond `MAX_SEARCHED_CHARS` characters only the literal key is replaced.
            pieces: Whether a long piece of the key counts as an echo, too.
        """
        if len(self._key) < MIN_KEY or len(text) < MIN_KEY:
            return text
        for literal in self._literals:
            text = text.replace(literal, MASK)
        head = text[:MAX_SEARCHED_CHARS]
        parts, end = [], 0
        for start, stop in sorted(self._spans(head, pieces)):
            if start >= end:
                parts += [text[end:start], MASK]
            end = max(end, stop)
        return "".join([*parts, text[end:]]) if parts else text

    def _spans(self, text: str, pieces: bool) -> Iterator[tuple[int, int]]:
        """Yield the span of each echo; positions are mapped back only where there is one."""
        layer, layers = text, 0
        while True:
            folded = self._folded(layer)
            if self._is_in(folded, pieces):
                yield from self._located(text, layers, pieces)
            following = layer
            if layers < _MAX_LAYERS and _MARK.search(layer):
                following = _ESCAPE.sub(_unescaped, layer)
            if following == layer:
                return
            layer, layers = following, layers + 1

    def _is_in(self, folded: str, pieces: bool) -> bool:
        found = any(needle in folded for needle in self._needles)
        return found or (pieces and any(block in folded for block in self._blocks))

    def _located(self, text: str, layers: int, pieces: bool) -> Iterator[tuple[int, int]]:
        """Map echoes, found after unescaping `layers` times, to spans of the original text."""
        starts, ends = list(range(len(text))), list(range(1, len(text) + 1))
        for _ in range(layers):
            text, starts, ends = _unescaped_with_positions(text, starts, ends)
        letters = self._letters
        positions = [
            position
            for position, character in enumerate(text)
            for letter in _normalized(character)
            if letter in letters
        ]
        folded = self._folded(text)
        for first, last in self._matches(folded, pieces):
            yield starts[positions[first]], ends[positions[last - 1]]

    def _matches(self, folded: str, pieces: bool) -> Iterator[tuple[int, int]]:
        for needle in self._needles:
            at = folded.find(needle)
            while at >= 0:
                yield at, at + len(needle)
                at = folded.find(needle, at + len(needle))
        for number, block in enumerate(self._blocks if pieces else ()):
            at = folded.find(block)
            while at >= 0:
                first, last = self._extended(folded, at, number * _BLOCK)
                piece = folded[first:last]
                if len(piece) >= _MIN_PIECE and not piece.isalpha() and not piece.isdigit():
                    yield first, last
                at = folded.find(block, last)

    def _extended(self, folded: str, at: int, within: int) -> tuple[int, int]:
        """Extend a matching block in both directions for as long as text and key agree."""
        key, first, last = self._skeleton, at, at + _BLOCK
        shift = within - at
        while first > 0 and first + shift > 0 and folded[first - 1] == key[first - 1 + shift]:
            first -= 1
        while last < len(folded) and last + shift < len(key) and folded[last] == key[last + shift]:
            last += 1
        return first, last

    def _folded(self, text: str) -> str:
        """The form that is compared: for a strong key, its lower-case letters and digits only."""
        letters = _normalized(text).encode("ascii", "ignore").translate(None, self._dropped)
        return (letters.lower() if self._strong else letters).decode("ascii")


def _normalized(text: str) -> str:
    """Replace full-width and other compatibility variants of letters (NFKC)."""
    if text.isascii():
        return text
    return re.sub(r"[^\x00-\x7f]", lambda found: unicodedata.normalize("NFKC", found[0]), text)


def _encodings(key: str) -> Iterator[str]:
    """The key, and its hexadecimal, base32 and base64 encodings at any alignment."""
    yield key
    for text in dict.fromkeys(
        (key.encode(), quote(key, safe="").encode(), key.encode("utf-16-le"))
    ):
        yield text.hex()
        yield text.hex().upper()
        yield from _in_base32(text)
        for once in _in_base64(text):
            yield from (once, once.replace("+", "-").replace("/", "_"))
            for twice in _in_base64(once.encode()):
                yield from (twice, twice.replace("+", "-").replace("/", "_"))


def _in_base64(text: bytes) -> Iterator[str]:
    """Per alignment, the part of the base64 text that does not depend on neighbouring bytes."""
    for shift, blurred in enumerate((0, 2, 3)):
        encoded = base64.b64encode(bytes(shift) + text).decode()
        yield encoded[blurred : (shift + len(text)) * 8 // 6]


def _in_base32(text: bytes) -> Iterator[str]:
    """As `_in_base64`."""
    for shift in range(5):
        encoded = base64.b32encode(bytes(shift) + text).decode()
        part = encoded[-(-shift * 8 // 5) : (shift + len(text)) * 8 // 5]
        yield from (part, part.lower())


def _unescaped(match: re.Match[str]) -> str:
    """The character that an escape stands for; empty for a tag."""
    kind, text = match.lastgroup, match[match.lastgroup or 0]
    if kind in ("percent", "u", "x"):
        return chr(int(text, 16))
    if kind == "octal":
        return chr(int(text, 8))
    if kind == "entity":
        return html.unescape(re.sub(r"(?i)&(?:amp;)*", "&", text.rstrip(";")) + ";")
    return text if kind == "self" else ""


def _unescaped_with_positions(
    text: str, starts: list[int], ends: list[int]
) -> tuple[str, list[int], list[int]]:
    """The unescaped text, and where each of its characters starts and ends in the original."""
    parts: list[str] = []
    begun: list[int] = []
    ended: list[int] = []
    last = 0
    for match in _ESCAPE.finditer(text):
        first, stop = match.span()
        letters = _unescaped(match)
        parts += [text[last:first], letters]
        begun += [*starts[last:first], *[starts[first]] * len(letters)]
        ended += [*ends[last:first], *[ends[stop - 1]] * len(letters)]
        last = stop
    return "".join([*parts, text[last:]]), begun + starts[last:], ended + ends[last:]
