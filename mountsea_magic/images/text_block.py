"""Text in images: wrap it into a few lines, shorten what does not fit, and draw it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ..runtime.text import sanitize
from .fonts import Source, font, legible, runs, sources_for, width_of

if TYPE_CHECKING:
    from PIL.Image import Image

Color: TypeAlias = tuple[int, int, int]

MAX_TEXT = 300
"""How many characters of a text are drawn at most."""

_LINE_HEIGHT = 1.3
"""The distance of two lines, in font sizes."""

_BASELINE = 0.97
"""The distance from a line's top to its baseline, in font sizes."""

_ASIAN = r"[\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef]"
_PIECE = re.compile(rf"{_ASIAN}\s*|\S+?(?:[-_/,;=](?=\w)|\s+|$|(?={_ASIAN}))")
"""What a line break must not divide unless it must; East Asian scripts break anywhere."""


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Lines of text, ready to be drawn.

    Attributes:
        lines: The lines; the last one ends in an ellipsis if the text is shortened.
        size: The font's size in pixels.
        shortened: Whether some of the text is left out.
        divided: Whether a line ends within a word.
        sources: The fonts, in order of preference.
    """

    lines: tuple[str, ...]
    size: int
    shortened: bool = False
    divided: bool = False
    sources: tuple[Source, ...] = ("",)

    @property
    def width(self) -> int:
        """The width of the longest line in pixels."""
        return max((self._width(line) for line in self.lines), default=0)

    @property
    def height(self) -> int:
        """The height of all lines in pixels."""
        return len(self.lines) * line_height(self.size)

    def draw(
        self, image: Image, at: tuple[int, int], color: Color, *, align: float = 0.0, width: int = 0
    ) -> None:
        """Draw the lines.

        Args:
            image: The image to draw on.
            at: The left and top of the block in pixels.
            color: The color of the text.
            align: 0 for left, 0.5 for centered, 1 for right.
            width: The width to align the lines in, in pixels.
        """
        from PIL import ImageDraw

        pen = ImageDraw.Draw(image)
        for number, line in enumerate(self.lines):
            x: float = at[0] + round(align * (width - self._width(line)))
            y = at[1] + number * line_height(self.size) + round(_BASELINE * self.size)
            for source, part in runs(line, self.sources):
                drawn = font(source, self.size)
                pen.text((x, y), part, color, drawn, anchor="ls")
                x += drawn.getlength(part)

    def _width(self, line: str) -> int:
        return round(width_of(line, self.sources, self.size))


def line_height(size: int) -> int:
    """Return the distance of two lines in pixels.

    Args:
        size: The font's size in pixels.

    Example:
        >>> line_height(20)
        26
    """
    return round(size * _LINE_HEIGHT)


def lay_out_text(
    text: object, size: int, *, width: int, lines: int, keep_end: bool = False
) -> TextBlock:
    """Wrap a text into lines, and shorten it with an ellipsis if it does not fit.

    Args:
        text: Any text; it is sanitized.
        size: The font's size in pixels.
        width: The longest line, in pixels.
        lines: The maximum of lines.
        keep_end: Leave out the middle of a long text in place of its end.

    Example:
        >>> lay_out_text("a black lab swimming in a pool", 10, width=64, lines=2).lines
        ('a black lab', 'swimming…')
    """
    whole = sanitize(text, limit=20 * MAX_TEXT)
    line = legible(whole[:MAX_TEXT])
    sources = sources_for(line + "…")

    def wrapped(part: str) -> tuple[tuple[str, ...], bool]:
        return _wrap(part, sources, size, width)

    found, divided = wrapped(line)
    if len(found) <= lines and len(whole) <= MAX_TEXT:
        return TextBlock(found, size, False, divided, sources)
    least, most = 0, len(line)  # of the characters that are kept
    while least < most:
        middle = (least + most + 1) // 2
        if len(wrapped(_shortened(line, middle, keep_end))[0]) <= lines:
            least = middle
        else:
            most = middle - 1
    found, divided = wrapped(_shortened(line, least, keep_end))
    return TextBlock(found, size, True, divided, sources)


def _shortened(text: str, kept: int, keep_end: bool) -> str:
    """Replace all but so many characters by an ellipsis, between words if they are near."""
    end = kept // 2 if keep_end else 0
    start = re.sub(r"(?<=\S)\s\S{,8}$", "", text[: kept - end]).rstrip(" ,;:-")
    rest = text[len(text) - end :]
    words = re.sub(r"^\S{,8}\s(?=\S)", "", rest).lstrip()
    return f"{start}… {words}" if words != rest else f"{start}…{words}"


def _wrap(
    text: str, sources: tuple[Source, ...], size: int, width: int
) -> tuple[tuple[str, ...], bool]:
    """Fill lines greedily; what is longer than a line is divided anywhere, which is reported."""
    lines, divided = [""], False
    for piece in _PIECE.findall(text):
        if width_of((lines[-1] + piece).rstrip(), sources, size) <= width:
            lines[-1] += piece
            continue
        if lines[-1]:
            lines.append("")
        if width_of(piece.rstrip(), sources, size) <= width:
            lines[-1] = piece
            continue
        for character in piece:
            if lines[-1] and width_of((lines[-1] + character).rstrip(), sources, size) > width:
                lines.append("")
                divided = True
            lines[-1] += character
    return tuple(line.rstrip() for line in lines if line.strip()), divided
