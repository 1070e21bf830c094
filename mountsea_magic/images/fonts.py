r"""Fonts for text in any script: Pillow's own, and the system's for what it lacks.

Pillow's font has ASCII and little else. A character that no font has is replaced by a similar one,
or by its escape such as ``\u4e2d``, so that it is never lost without a sign.
"""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..runtime.environment import variable
from .pillow_checks import UNREADABLE

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Source: TypeAlias = str
"""The path of a font file; empty for Pillow's own font."""

Run: TypeAlias = tuple[Source, str]
"""A part of a text, and the font that draws all of it."""

_MAX_FONTS = 400
"""How many of the system's fonts are searched for a character."""

_MAX_FILES = 20_000
"""How many files of the system's font folders are listed."""

_PREFERRED = (
    *("dejavusans", "notosans", "segoeui", "helvetica", "arial", "liberationsans", "arialunicode"),
    *("notosanscjk", "notosanssc", "pingfang", "hiragino", "msyh", "yugoth", "malgun", "wqy"),
    *("sourcehansans", "droidsansfallback", "simsun", "ipag", "applesdgothicneo", "notosans"),
)
"""Sans-serif fonts of the large systems, by the beginning of their file's name, the best first."""

_STYLED = re.compile(
    r"bold|italic|oblique|light|thin|black|heavy|cond|narrow|mono|serif|bd$|bi$|[^a-z]it$|symbol"
)
"""The names of fonts that are taken only if no other has the character."""

_SIMILAR = {
    **{"×": "x", "–": "-", "—": "-", "−": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "·": "-"},
    **{"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "ı": "i"},
    **{"Æ": "AE", "Œ": "OE", "Ø": "O", "Đ": "D", "Ł": "L"},
}
"""What is written for characters that no font has, and that Unicode does not decompose."""

_INVISIBLE = ("Mn", "Me", "Cf")
"""Unicode categories of characters that belong to the one before them."""


def font(source: Source, size: int) -> FreeTypeFont:
    """Return a font.

    Args:
        source: The path of its file, or empty for Pillow's own.
        size: In pixels.

    Raises:
        OSError: If Pillow can't read it.
    """
    opened = _opened(source, size)
    if opened is None:
        raise OSError(f"Pillow can't read the font {source}")
    return opened


def legible(text: str) -> str:
    r"""Replace the characters that no font here has by similar ones, or by their escapes.

    Args:
        text: One line, sanitized.

    Example:
        >>> legible("a \U000f0000")
        'a \\U000f0000'
    """
    text = unicodedata.normalize("NFC", text)
    return text if text.isascii() else "".join(map(_legible, text))


def sources_for(text: str) -> tuple[Source, ...]:
    """Return the fonts for a text: one that has all of it if there is one, else several.

    One font lets right-to-left text and ligatures be laid out as a whole.

    Args:
        text: The result of `legible`.

    Example:
        >>> sources_for("a dog")
        ('',)
    """
    characters = frozenset(text)
    for source in ("", *system_fonts()) if not text.isascii() else ("",):
        if all(_has(source, character) for character in characters):
            return (source,)
    found = (_source_of(character) for character in text)
    return tuple(dict.fromkeys(["", *(source for source in found if source is not None)]))


def runs(text: str, sources: tuple[Source, ...]) -> list[Run]:
    """Split a text into runs of one font each.

    Args:
        text: A part of the text that the fonts are for.
        sources: The result of `sources_for`.

    Example:
        >>> runs("a dog", ("",))
        [('', 'a dog')]
    """
    if len(sources) == 1:
        return [(sources[0], text)]
    split: list[Run] = []
    for character in text:
        current = split[-1][0] if split else sources[0]
        source = next((own for own in (current, *sources) if _has(own, character)), current)
        if split and source == current:
            split[-1] = (source, split[-1][1] + character)
        else:
            split.append((source, character))
    return split


@lru_cache(maxsize=20_000)
def width_of(text: str, sources: tuple[Source, ...], size: int) -> float:
    """Return the width of a line of text in pixels.

    Args:
        text: The line.
        sources: The result of `sources_for`.
        size: The font's size in pixels.
    """
    return sum(font(source, size).getlength(part) for source, part in runs(text, sources))


@cache
def system_fonts() -> tuple[Source, ...]:
    """Return the paths of the system's fonts, the best for labels first."""
    files = (
        os.path.join(folder, name)
        for root in _font_folders()
        for folder, _, names in os.walk(root)
        for name in names
    )
    listed = [path for path in islice(files, _MAX_FILES) if re.search(r"(?i)\.(tt[fc]|otf)$", path)]
    return tuple(sorted(listed, key=_rank)[:_MAX_FONTS])


def _rank(path: str) -> tuple[bool, int, int, str]:
    """Sort by style, preference and name; the plain font of a family has the shortest name."""
    stem = Path(path).stem.lower()
    name = re.sub(r"[^a-z]|regular$", "", stem)
    known = (at for at, family in enumerate(_PREFERRED) if name.startswith(family))
    return bool(_STYLED.search(stem)), next(known, len(_PREFERRED)), len(name), path


def _font_folders() -> list[Path]:
    """The folders of fonts, as the platform defines them."""
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        local = variable("LOCALAPPDATA") or home
        windows = variable("WINDIR") or r"C:\Windows"
        return [Path(windows, "Fonts"), Path(local, "Microsoft", "Windows", "Fonts")]
    if sys.platform == "darwin":
        return [Path(base, "Library", "Fonts") for base in ("/System", "/", home)]
    data = variable("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    shared = variable("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return [Path(base, "fonts") for base in (data, *shared.split(":"))] + [Path(home, ".fonts")]


@lru_cache(maxsize=64)
def _opened(source: Source, size: int) -> FreeTypeFont | None:
    """Return the font, or None if Pillow can't read it, such as one of colored bitmaps."""
    from PIL import ImageFont

    try:
        if source:
            return ImageFont.truetype(source, size)
        own = ImageFont.load_default(size)
    except UNREADABLE:
        return None
    return own if isinstance(own, ImageFont.FreeTypeFont) else None


@lru_cache(maxsize=50_000)
def _has(source: Source, character: str) -> bool:
    """Whether a font has a character: Pillow does not tell, but draws others as one box."""
    if character == " " or unicodedata.category(character) in _INVISIBLE:
        return True
    opened = _opened(source, 16)
    return opened is not None and _drawn(opened, character) != _drawn(opened, "\U0010fffe")


def _drawn(opened: FreeTypeFont, character: str) -> tuple[tuple[int, int], bytes]:
    mask = opened.getmask(character)
    return mask.size, bytes(mask)


@lru_cache(maxsize=5_000)
def _source_of(character: str) -> Source | None:
    """The best font that has a character, or None."""
    return next((own for own in ("", *system_fonts()) if _has(own, character)), None)


@lru_cache(maxsize=5_000)
def _legible(character: str) -> str:
    if _source_of(character) is not None:
        return character
    bare = "".join(c for c in unicodedata.normalize("NFKD", character) if c.isascii())
    code = ord(character)
    escape = f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return bare or _SIMILAR.get(character) or escape
