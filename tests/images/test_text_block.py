"""Labels and notes are wrapped, shortened with a sign, and legible in any script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from mountsea_magic.images import fonts
from mountsea_magic.images.text_block import MAX_TEXT, TextBlock, lay_out_text


@pytest.fixture
def no_system_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system without any font, such as a small container."""
    caches = (fonts._source_of, fonts._legible, fonts._has, fonts._opened, fonts.width_of)
    monkeypatch.setattr(fonts, "system_fonts", lambda: ())
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def drawn(block: TextBlock) -> Image.Image:
    """Draw a block on white."""
    image = Image.new("RGB", (400, 100), "white")
    block.draw(image, (10, 10), (0, 0, 0))
    return image


@pytest.mark.parametrize("keep_end", [False, True])
@pytest.mark.parametrize("lines", [1, 2, 3])
@pytest.mark.parametrize("width", [40, 90, 200])
@pytest.mark.parametrize(
    "text",
    [
        "an action shot of a black lab swimming in a pool, the camera on the water line",
        "aspect_ratio=16:9",
        "x" * 200,
        "https://example.com/a/very/long/path/to/an/image-of-a-dog.png?size=large",
        "dog",
    ],
)
def test_a_text_is_never_cut_without_a_sign(
    text: str, width: int, lines: int, keep_end: bool
) -> None:
    """It is complete, or has an ellipsis; no line is wider, and there are no more lines."""
    block = lay_out_text(text, 14, width=width, lines=lines, keep_end=keep_end)
    assert len(block.lines) <= lines
    assert block.width <= width
    joined = "".join(block.lines)
    assert block.shortened == ("…" in joined)
    if not block.shortened:
        assert joined.replace(" ", "") == text.replace(" ", "")
    assert joined.endswith(text[-1] if keep_end else ("…", text[-1]))


def test_a_text_is_wrapped_between_words() -> None:
    """A word is divided only if it is longer than a line."""
    block = lay_out_text("a black lab swimming", 14, width=90, lines=3)
    assert block.lines == ("a black lab", "swimming")
    assert not block.divided and not block.shortened
    assert lay_out_text("swimmingswimming", 14, width=90, lines=3).divided


def test_texts_with_the_same_beginning_stay_distinguishable() -> None:
    """The middle is left out where the end is kept."""
    prompts = [f"a lighthouse at a rocky shore with many gulls at {t}" for t in ("dawn", "noon")]
    blocks = [lay_out_text(text, 14, width=120, lines=2, keep_end=True) for text in prompts]
    assert [block.lines[-1].split()[-1] for block in blocks] == ["dawn", "noon"]
    assert all(block.shortened and block.lines[0].startswith("a light") for block in blocks)


def test_a_very_long_text_is_bounded() -> None:
    """Megabytes of text are shortened, whatever the room."""
    block = lay_out_text("dog " * 1_000_000, 14, width=10_000, lines=100)
    assert block.shortened
    assert len("".join(block.lines)) <= MAX_TEXT + 1


def test_line_breaks_and_control_characters_are_removed() -> None:
    """As everywhere: one line, no terminal escapes, no bidirectional overrides."""
    block = lay_out_text("a\ndog\x1b[31m \u202egod\u200b\x00", 14, width=400, lines=1)
    assert block.lines == ("a dog[31m god",)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("caf\u00e9 16\u00d79 \u2014 na\u00efve", ("cafe 16x9 - naive",)),
        ("\u4e2d", (r"\u4e2d",)),
        ("\U0001f600", (r"\U0001f600",)),
        ("\u041c", (r"\u041c",)),
    ],
)
def test_without_fonts_a_character_is_replaced(
    no_system_fonts: None, text: str, lines: tuple[str, ...]
) -> None:
    """By a similar one, or by its escape: it is never lost, nor a box."""
    block = lay_out_text(text, 14, width=400, lines=1)
    assert block.lines == lines
    assert not block.shortened


def test_a_font_of_the_system_draws_what_pillows_lacks() -> None:
    """Cyrillic is drawn as Cyrillic where there is such a font."""
    found = [path for path in fonts.system_fonts() if "DejaVuSans." in path]
    if not found:
        pytest.skip("DejaVu Sans is not installed")
    block = lay_out_text("Привет, dog", 14, width=400, lines=1)
    assert block.lines == ("Привет, dog",)
    assert block.sources == (found[0],)
    assert ImageChops.invert(drawn(block)).getbbox()


def test_a_text_of_several_scripts_can_use_several_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no font has all of it, each part is drawn by the first one that has it."""
    scripts = {"": "a…", "greek.ttf": "α", "hebrew.ttf": "א"}
    monkeypatch.setattr(fonts, "system_fonts", lambda: ("greek.ttf", "hebrew.ttf"))
    monkeypatch.setattr(fonts, "_has", lambda source, c: c == " " or c in scripts[source])
    fonts._source_of.cache_clear()
    sources = fonts.sources_for("a α א…")
    fonts._source_of.cache_clear()
    assert sources == ("", "greek.ttf", "hebrew.ttf")
    runs = fonts.runs("a α א…", sources)
    assert runs == [("", "a "), ("greek.ttf", "α "), ("hebrew.ttf", "א"), ("", "…")]


def test_a_damaged_font_is_ignored(
    no_system_fonts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that Pillow can't read is as if it were not there."""
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    monkeypatch.setattr(fonts, "system_fonts", lambda: (str(broken),))
    assert lay_out_text("\u4e2d", 14, width=400, lines=1).lines == (r"\u4e2d",)


def test_plain_fonts_come_before_styled_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bold or monospaced fonts are used only for what no other font has."""
    for name in ("Zapf.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans.ttf", "msyh.ttc", "read.me"):
        (tmp_path / name).touch()
    monkeypatch.setattr(fonts, "_font_folders", lambda: [tmp_path])
    fonts.system_fonts.cache_clear()
    names = [Path(path).name for path in fonts.system_fonts()]
    fonts.system_fonts.cache_clear()
    assert names == ["DejaVuSans.ttf", "msyh.ttc", "Zapf.ttf", "DejaVuSans-Bold.ttf"]
