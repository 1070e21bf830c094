"""Bounded JSON: what a response becomes as objects is known, and limited, before it is parsed.

A value costs up to a hundred times its text, so the limits are on what makes values: brackets,
commas, colons. Only images as data URIs or base64 may be large. They are kept apart from the rest
as it is read, so that an emoji beside them does not make each of their letters four bytes wide; and
where a task has no images of its own, as in an echo of its input, they are not kept at all.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

from ..runtime.json_numbers import parse_integer
from ..settings import Secret

MAX_TEXT_BYTES = 4 * 1024 * 1024
"""The most text in a response beside inline images, in bytes."""

BEGINNING_BYTES = 8000
"""How much is kept to be looked at of a body that is no JSON, in bytes."""

MAX_INLINE_BYTES = 192 * 1024 * 1024
"""The largest inline image, as it is written: 64 MiB, be it percent-encoded."""

MAX_SIGNS = 400_000
"""The most brackets, commas, colons and strings: each costs up to about 70 bytes as an object."""

MAX_DEPTH = 200
"""How deep values are nested at most."""

_LONG = 4096
"""From so many bytes on a string may be an inline image."""

_INLINE = re.compile(
    rb'"(?:\s|\\[nrt])*+(?:data:(?!\s)|(?:[A-Za-z0-9+_%-]|\\?/|\\u00[0-7].|\\[rn]){64})',
    re.IGNORECASE,
)
"""How a string begins that is a data URI or base64; programs escape its / and +."""

_SHOWN = re.compile(rb'"[\x20\x21\x23-\x5b\x5d-\x7e]{0,120}')
"""What is kept of a string that is no image of the task's, though it begins as one does."""

_WIDE = re.compile(rb"\\u(?!00[0-7])")
"""An escape of a character that is not one of ASCII: it would make all others wider."""

_IN_STRING = re.compile(rb'[^"\\]*+(?:\\[\s\S][^"\\]*+)*+')
_NO_SIGNS = bytes(set(range(256)) - set(b"[]{},:"))
_IMAGE_NAMES = frozenset({"data", "output", "images", "image", "url", "b64", "b64_json"})
"""The names under which a task's response holds an image."""

_TASK_ID = re.compile(rb'"task_?[iI]d"\s*:\s*(?:"([^"\\\x00-\x1f]{1,200})"|([0-9]{1,40})\b)')
_OVERLAP = 512
"""More bytes than what `_TASK_ID` looks for."""


class JsonBody:
    """Reads a body as it comes.

    Attributes:
        problem: Why it is not read any further, or an empty text.
        value: What it holds, once it is finished; None if that is not JSON.
        is_json: Whether it is JSON, once it is finished.
        text_bytes: How much text there is so far, in bytes.
        inline_bytes: How much of inline images there is so far, in bytes.

    Example:
        >>> body = JsonBody()
        >>> body.feed(b'{"task_id": "hub-1"}')
        >>> body.finish()
        >>> body.value
        {'task_id': 'hub-1'}
    """

    def __init__(self, *, max_inline_bytes: int = 0, key: Secret | None = None) -> None:
        """Begin a body.

        Args:
            max_inline_bytes: The most bytes of inline images, as they are written in the text.
            key: The API key: a text that holds it is not taken for an image.
        """
        self.problem = ""
        self.value: Any = None
        self.is_json = False
        self.inline_bytes = 0
        self._max_inline_bytes = max_inline_bytes
        self._key = key
        self._text, self._signs = bytearray(), bytearray()
        self._string: bytearray | None = None
        self._is_inline: bool | None = None
        self._is_kept, self._counted = False, 0
        self._escape = b""
        # the name under which a value stands, the last short string, and the containers around
        self._name, self._last_string = b"", b""
        self._containers: list[tuple[int, bytes]] = []
        self._mark = f"data:,{secrets.token_hex(16)}"
        self._images: list[bytearray] = []
        self._inline: dict[str, str] = {}
        self._last, self._task_ids = b"", set[str]()

    @property
    def text_bytes(self) -> int:
        """How much text there is so far, in bytes."""
        is_text = self._string is not None and not self._is_inline
        return len(self._text) + (len(self._string) if self._string and is_text else 0)

    @property
    def beginning(self) -> str:
        """The first `BEGINNING_BYTES` of the text."""
        return bytes(self._text[:BEGINNING_BYTES]).decode("utf-8", "replace")

    @property
    def task_id(self) -> str | None:
        """The one task id in a text that is too large to be parsed, or None."""
        return next(iter(self._task_ids)) if len(self._task_ids) == 1 else None

    def feed(self, piece: bytes) -> None:
        """Take the next bytes; what is over a limit is only searched for a task's id."""
        if not self.problem:
            self._scan(self._escape + piece)
            self._check()
            if self.problem:
                self.give_up(self.problem)
        if self.problem:
            self._search(self._last + piece)
        self._last = (self._last + piece)[-_OVERLAP:]

    def give_up(self, problem: str) -> None:
        """Parse nothing, and keep no more than the task's id.

        Args:
            problem: Why.
        """
        self.problem = problem
        self._search(bytes(self._text))
        self._images.clear()
        self._string = None

    def finish(self) -> None:
        """Parse the text; takes up to about 0.2 s, and as long again for each large image."""
        if self._string is not None:
            self._text += self._string  # never closed
        depth = deepest = 0
        for sign in self._signs.translate(None, b'",:'):
            depth += (sign in b"[{") - (sign in b"]}")
            deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            self.give_up(f"its JSON is nested more than {MAX_DEPTH} levels deep")
        if self.problem:
            return
        try:
            self.value = json.loads(bytes(self._text), parse_int=parse_integer)
            for number, image in enumerate(self._images):
                self._inline[f"{self._mark}-{number}"] = _unquoted(image)
                image.clear()
            self.is_json = True
        except (ValueError, RecursionError):
            self.value = None
        self._images.clear()

    def restored(self, value: Any, name: str = "") -> Any:
        """Return a part of the value with its inline images, wherever images can be.

        Args:
            value: The value, or what was made of it.
            name: The name under which it stands.
        """
        if not self._inline:
            return value
        if isinstance(value, str) and name in _IMAGE_NAMES:
            return self._inline.get(value, value)
        if isinstance(value, list):
            return [self.restored(item, name) for item in value]
        if isinstance(value, dict):
            return {key: self.restored(item, key) for key, item in value.items()}
        return value

    def _scan(self, piece: bytes) -> None:
        """Take the strings apart from what is between them."""
        at, self._escape = 0, b""
        while at < len(piece):
            quote = piece.find(b'"', at)
            end = quote if quote >= 0 else len(piece)
            if self._string is None:
                between = piece[at:end]
                self._text += between
                signs = between.translate(None, _NO_SIGNS)
                self._signs += signs
                self._follow(signs)
                if quote >= 0:
                    self._string = bytearray(b'"')
                    self._signs += b'"'
                at = end + 1
                continue
            if piece.find(b"\\", at, end) >= 0:
                match = _IN_STRING.match(piece, at)
                end = match.end() if match is not None else at
            self._string += piece[at:end]
            if piece[end : end + 1] == b'"':
                self._close(self._string)
            elif end < len(piece):
                self._escape = piece[end:]  # a backslash, whose character comes with the next piece
            at = end + 1

    def _follow(self, signs: bytes) -> None:
        """Know the name under which the next value stands; items of a list have the list's."""
        for sign in signs:
            if sign == 0x3A:  # a colon
                self._name = self._last_string
            elif sign in b"[{":
                if len(self._containers) <= MAX_DEPTH:
                    self._containers.append((sign, self._name))
                self._name = self._name if sign == 0x5B else b""
            elif sign in b"]}" and self._containers:
                self._name = self._containers.pop()[1]
            elif sign == 0x2C and self._containers:
                kind, name = self._containers[-1]
                self._name = name if kind == 0x5B else b""

    def _close(self, string: bytearray) -> None:
        """Take a whole string: to the text, to the images, or its beginning alone."""
        string += b'"'
        inline = self._look_at(string)
        self._last_string = bytes(string[1:-1]) if len(string) < 40 else b""
        self._string, self._is_inline = None, None
        if inline and not self._is_kept:
            shown = _SHOWN.match(string)
            self._text += (shown[0] if shown else b'"') + '…"'.encode()
        elif inline and self._is_plain(string):
            self._text += f'"{self._mark}-{len(self._images)}"'.encode()
            self._images.append(string)
        else:
            self.inline_bytes -= len(string) if inline else 0
            self._text += string

    def _look_at(self, string: bytearray) -> bool:
        """Whether a string begins as an inline image does; counts how long it is."""
        if len(string) <= _LONG or self._max_inline_bytes == 0:
            return False
        if self._is_inline is None:
            self._is_inline = _INLINE.match(string[:_LONG]) is not None
            self._is_kept = self._name.decode("utf-8", "replace") in _IMAGE_NAMES
            self._counted = 0
        if self._is_inline:
            self.inline_bytes += len(string) - self._counted
            if not self._is_kept:
                del string[_LONG:]
            self._counted = len(string)
        return self._is_inline

    def _is_plain(self, string: bytearray) -> bool:
        """Whether it may bypass what the text goes through: ASCII only, and without the key."""
        if not string.isascii() or (self._key and self._key.reveal().encode() in string):
            return False
        return b"\\u" not in string or _WIDE.search(string) is None

    def _check(self) -> None:
        """Compare what there is with the limits."""
        longest = 0
        if self._string is not None and self._look_at(self._string):
            longest = len(self._string)
        if (
            self.text_bytes > MAX_TEXT_BYTES
            or self.inline_bytes > self._max_inline_bytes
            or longest > MAX_INLINE_BYTES
        ):
            self.problem = "it is too large"
        elif len(self._signs) > MAX_SIGNS:
            self.problem = "its JSON holds too many values"

    def _search(self, text: bytes) -> None:
        """A task that is paid for is in it, perhaps."""
        for match in _TASK_ID.finditer(text):
            self._task_ids.add((match[1] or match[2]).decode("utf-8", "replace"))
            if len(self._task_ids) > 1:
                return


def _unquoted(string: bytearray) -> str:
    """A string of JSON without its quotes, and without a copy of it where nothing is escaped."""
    if b"\\" in string:
        whole: str = json.loads(string)
        return whole
    with memoryview(string) as view:
        return str(view[1:-1], "ascii")
