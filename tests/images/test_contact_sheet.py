"""Contact sheets: every image in its place, readable, within limits, and never an exception."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops
from profiles import p3_profile
from sample_images import noise, stored_image

import mountsea_magic
from mountsea_magic.errors import InvalidRequest, MountseaError, TaskFailed
from mountsea_magic.images import thumbnails
from mountsea_magic.images.contact_sheet import SHEET_BYTES, ContactSheet, Tile, contact_sheet
from mountsea_magic.images.files import GeneratedImage
from mountsea_magic.images.sheet_layout import (
    MAX_SHEET_PIXELS,
    MAX_SIDE_PX,
    SheetTexts,
    lay_out,
    wrapped_columns,
)

TEAL, RED, BLUE = (0, 128, 128), (220, 30, 30), (20, 40, 200)


@dataclass
class AnyGeneration:
    """What a contact sheet knows of a generation."""

    images: tuple[GeneratedImage, ...] = ()
    status: str = "completed"
    error: BaseException | None = None
    task_id: str | None = None


def plain(color: tuple[int, int, int], size: tuple[int, int] = (64, 64)) -> Image.Image:
    """Make an image of one color."""
    return Image.new("RGB", size, color)


def tile_of(sheet: ContactSheet, row: int, column: int) -> Image.Image:
    """Cut one place out of a sheet."""
    left, top = sheet._layout.place(row, column)
    return sheet.render().crop((left, top, left + sheet.tile, top + sheet.tile))


def area_of(image: Image.Image, color: tuple[int, int, int]) -> tuple[int, int, int, int] | None:
    """Return the box around all pixels close to a color."""
    difference = ImageChops.difference(image, Image.new("RGB", image.size, color))
    red, green, blue = difference.split()
    worst = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return worst.point(lambda level: 255 * (level <= 12)).getbbox()


def is_drawn(sheet: ContactSheet, row: int, column: int) -> bool:
    """Whether anything is in a place."""
    return len(tile_of(sheet, row, column).getcolors(1_000_000) or []) > 1


def drawn_tile(image: Image.Image | Path, tile: int = 96) -> Image.Image:
    """Return the place of an image that is alone on a sheet."""
    sheet = ContactSheet(1, 1, tile=tile)
    sheet.put(0, 0, Tile((image,)))
    return tile_of(sheet, 0, 0)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((160, 90), (0, 21, 96, 75)),
        ((90, 160), (21, 0, 75, 96)),
        ((64, 64), (0, 0, 96, 96)),
        ((4000, 10), (0, 47, 96, 48)),
        ((1, 1), (0, 0, 96, 96)),
        ((2000, 2000), (0, 0, 96, 96)),
    ],
)
def test_an_image_is_whole_centered_and_undistorted(
    size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    """It touches two edges of its place, whatever its size and aspect ratio."""
    assert area_of(drawn_tile(plain(TEAL, size)), TEAL) == box


def test_nothing_is_cropped() -> None:
    """All four corners are there."""
    image = plain(TEAL, (200, 100))
    for corner in ((0, 0), (190, 0), (0, 90), (190, 90)):
        image.paste(RED, (*corner, corner[0] + 10, corner[1] + 10))
    assert area_of(drawn_tile(image, 200), RED) == (0, 50, 200, 150)


def test_each_image_is_in_its_place() -> None:
    """Row by row; the rest of the last row stays empty."""
    colors = [TEAL, RED, BLUE, (250, 200, 0)]
    sheet = ContactSheet(2, 3, tile=64)
    for number, color in enumerate(colors):
        sheet.put(*divmod(number, 3), Tile((plain(color),)))
    for number, color in enumerate(colors):
        assert tile_of(sheet, *divmod(number, 3)).getpixel((32, 32)) == color
    assert not is_drawn(sheet, 1, 1) and not is_drawn(sheet, 1, 2)


def test_a_place_can_be_drawn_again() -> None:
    """A note is replaced by the image that came, and an image by another one."""
    sheet = ContactSheet(1, 1, tile=96)
    sheet.put(0, 0, Tile(note="waiting"))
    assert "1 waiting." in sheet.alt_text()
    sheet.put(0, 0, Tile((plain(TEAL),)))
    assert area_of(tile_of(sheet, 0, 0), TEAL) == (0, 0, 96, 96)
    assert "waiting" not in sheet.alt_text()
    sheet.put(0, 0, Tile((plain(RED, (100, 50)),)))
    assert area_of(tile_of(sheet, 0, 0), TEAL) is None


def test_what_is_rendered_is_a_copy() -> None:
    """The user may draw on it."""
    sheet = ContactSheet(1, 1, tile=96)
    sheet.render().paste(RED, (0, 0, 50, 50))
    assert area_of(sheet.render(), RED) is None


@pytest.mark.parametrize("count", range(1, 11))
@pytest.mark.parametrize("size", [(64, 64), (160, 90), (90, 160)])
def test_all_images_of_a_request_are_in_its_place(count: int, size: tuple[int, int]) -> None:
    """Up to ten, each whole, none over another."""
    colors = [(25 * number, 250 - 25 * number, 128) for number in range(count)]
    sheet = ContactSheet(1, 1, tile=256)
    sheet.put(0, 0, Tile(tuple(plain(color, size) for color in colors)))
    tile = tile_of(sheet, 0, 0)
    found = {color: number for number, color in tile.getcolors(100_000) or []}
    for color in colors:
        left, top, right, bottom = area_of(tile, color) or (0, 0, 0, 0)
        assert abs((right - left) / (bottom - top) - size[0] / size[1]) < 0.1
        assert found[color] >= 0.9 * (right - left) * (bottom - top)
    assert sum(found[color] for color in colors) > 256 * 256 * 0.3


def test_images_of_one_place_fill_it_well() -> None:
    """Two wide images are one below the other, two high ones side by side."""
    for size, boxes in (((160, 90), "rows"), ((90, 160), "columns")):
        sheet = ContactSheet(1, 1, tile=200)
        sheet.put(0, 0, Tile((plain(TEAL, size), plain(RED, size))))
        first, second = (area_of(tile_of(sheet, 0, 0), color) for color in (TEAL, RED))
        assert first is not None and second is not None
        side = 1 if boxes == "rows" else 0
        assert first[side + 2] < second[side]
        assert first[1 - side] == second[1 - side]


def test_more_images_than_there_is_room_for_are_counted() -> None:
    """The last part says how many are left out."""
    sheet = ContactSheet(1, 1, tile=48)
    sheet.put(0, 0, Tile(tuple(plain(TEAL) for _ in range(100))))
    assert area_of(tile_of(sheet, 0, 0), TEAL) is not None


def test_an_image_that_can_not_be_read_is_a_note(tmp_path: Path) -> None:
    """Missing, damaged, truncated, empty, no image, a folder, without pixels or a range."""
    whole = stored_image(tmp_path, noise("RGB", 64, 64)).path
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:-500])
    text = tmp_path / "text.png"
    text.write_text("no image")
    empty = tmp_path / "empty.png"
    empty.touch()
    closed = Image.open(whole)
    closed.close()
    bad: Sequence[Path | Image.Image] = (
        *(tmp_path / "gone.png", cut, text, empty, tmp_path, closed),
        *(Image.new("RGB", (0, 5)), Image.new("F", (9, 9))),
    )
    good = plain(TEAL)
    sheet = ContactSheet(1, len(bad), tile=128)
    for column, source in enumerate(bad):
        sheet.put(0, column, Tile((source, good)))
        assert area_of(tile_of(sheet, 0, column), (140, 29, 24)) is not None
        assert area_of(tile_of(sheet, 0, column), TEAL) is not None


def test_an_image_beyond_the_limits_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of pixels of all other images holds."""
    path = stored_image(tmp_path, plain(TEAL)).path
    monkeypatch.setattr(thumbnails, "MAX_PIXELS", 1000)
    assert area_of(drawn_tile(path), TEAL) is None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "PA", "La"])
def test_every_mode_is_drawn(tmp_path: Path, mode: str) -> None:
    """Grey, palette, transparent, 16-bit and CMYK images, from memory and from files."""
    image = Image.new("RGB", (40, 20), (255, 255, 255))
    white = image.convert("CMYK") if mode == "CMYK" else Image.new("L", (40, 20), 255)
    if mode == "I;16":
        white = Image.fromarray(np.full((20, 40), 65535, np.uint16))
    elif mode == "La":
        white = white.convert("LA").convert("La")
    elif mode == "PA":
        white = white.convert("P").convert("PA")
    elif mode != "CMYK":
        white = white.convert(mode)
    assert white.mode == mode
    sources: list[Path | Image.Image] = [white]
    if mode not in ("PA", "La"):
        sources.append(
            stored_image(tmp_path, white, "jpeg" if mode == "CMYK" else "png").path,
        )
    for source in sources:
        assert drawn_tile(source, 80).getpixel((40, 40)) == (255, 255, 255)


def test_transparency_is_shown_as_a_checkerboard() -> None:
    """White and light grey; what is opaque keeps its color."""
    image = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
    image.paste((*RED, 255), (48, 0, 96, 96))
    tile = drawn_tile(image)
    assert [tile.getpixel((x, 4)) for x in (4, 12, 80)] == [(226,) * 3, (255,) * 3, RED]


def test_an_image_is_upright_and_in_srgb(tmp_path: Path) -> None:
    """The EXIF orientation and the color profile are applied, as in previews."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    plain(RED, (100, 50)).save(path, exif=exif, icc_profile=p3_profile())
    tile = drawn_tile(path)
    assert tile.getpixel((10, 10)) == (246, 246, 246)  # upright, it is a high one
    red, green, _ = tile.getpixel((48, 48))  # type: ignore[misc]  # a pixel of RGB is a tuple
    assert red > 230 and green < 20  # more saturated in sRGB


def test_an_image_of_the_user_is_not_modified() -> None:
    """Neither its pixels nor its metadata."""
    image = noise("RGB", 64, 32)
    image.info["comment"] = "mine"
    before = image.tobytes()
    contact_sheet([image], tile=32)
    assert (image.tobytes(), image.size, image.info) == (before, (64, 32), {"comment": "mine"})


def test_a_failure_is_marked_by_more_than_a_color() -> None:
    """In grey, too, it differs from a note: a cross, and a solid frame in place of dashes."""
    sheet = ContactSheet(1, 2, tile=128)
    for column in (0, 1):
        sheet.put(0, column, Tile(note="same text", failed=column == 0))
    failed, waiting = (tile_of(sheet, 0, column).convert("L") for column in (0, 1))
    assert len({failed.getpixel((x, 0)) for x in range(128)}) == 1
    assert len({waiting.getpixel((x, 0)) for x in range(128)}) == 2
    dark = [
        area_of(tile.crop((10, 10, 118, 118)).convert("RGB"), ink)
        for tile, ink in ((failed, (61, 61, 61)), (waiting, (98, 98, 98)))
    ]
    assert dark[0] is not None and dark[1] is not None
    assert dark[0][3] - dark[0][1] > dark[1][3] - dark[1][1]


@pytest.mark.parametrize("tile", [9, 16, 24, 40, 64, 100, 256])
def test_a_note_fits_at_every_size(tile: int) -> None:
    """Text is left out where there is no room; the frame is always there."""
    sheet = ContactSheet(1, 2, tile=tile)
    sheet.put(
        0, 0, Tile(note="Refused: " + "the content policy does not allow it. " * 9, failed=True)
    )
    sheet.put(0, 1, Tile(note="waiting"))
    assert is_drawn(sheet, 0, 0) and is_drawn(sheet, 0, 1)
    assert tile_of(sheet, 0, 0).getpixel((0, 0)) == (140, 29, 24)


@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 1), (20, 20), (1, 100), (100, 1), (40, 60), (300, 300), (1000, 1000)]
)
def test_a_sheet_stays_within_its_limits(rows: int, columns: int) -> None:
    """Tiles are made smaller; labels do not overlap, and end in a sign if one is left out."""
    texts = SheetTexts(
        [f"time={row}, a very long value" for row in range(rows)],
        [f"guidance={column / 10}" for column in range(columns)],
    )
    layout = lay_out(rows, columns, texts, tile=256)
    assert max(layout.size) <= MAX_SIDE_PX
    assert layout.size[0] * layout.size[1] <= MAX_SHEET_PIXELS
    assert layout.font_px >= 12
    assert layout.tile == 256 or (layout.tile + 1) * max(rows, columns) > 1000
    pitch = layout.tile + layout.gap
    for blocks, turned in ((layout.rows, True), (layout.columns, layout.turned)):
        shown = [number for number, block in enumerate(blocks) if block.lines]
        assert shown[0] == 0
        for number, after in pairwise(shown):
            extent = blocks[number].height if turned else blocks[number].width
            assert extent <= (after - number) * pitch
            assert after == number + 1 or blocks[number].lines[-1].endswith("…")
            assert after == number + 1 or blocks[number + 1].shortened


def test_labels_of_narrow_columns_are_turned() -> None:
    """Rather than divided within a word, or shortened."""
    wide, narrow = (
        lay_out(1, 8, SheetTexts((), ["guidance_scale=2.5"] * 8), tile=tile) for tile in (256, 48)
    )
    assert not wide.turned and narrow.turned
    assert not any(block.shortened for block in (*wide.columns, *narrow.columns))
    sheet = ContactSheet(1, 8, column_labels=["guidance_scale=2.5"] * 8, tile=48)
    top = sheet.render().crop((20, 2, 400, sheet._layout.place(0, 0)[1]))
    assert area_of(top, (32, 33, 36)) is not None


@pytest.mark.parametrize("count", [1, 5, 6, 7, 240, 241, 1000, 10_000])
def test_one_axis_wraps_after_six_columns(count: int) -> None:
    """Very many are wrapped later, into about as many rows as columns."""
    columns = wrapped_columns(count)
    assert columns == min(6, count) if count <= 240 else columns * columns >= count
    assert columns <= 100


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("side", [1, 3, 12])
def test_an_encoded_sheet_is_under_the_limit(side: int, labels: bool) -> None:
    """Noise compresses worst; the tiles are made smaller, the labels drawn anew."""
    names = [f"seed={number}" for number in range(side)] if labels else []
    sheet = ContactSheet(side, side, row_labels=names, column_labels=names)
    image = noise("RGB", 256, 256)
    for number in range(side * side):
        sheet.put(*divmod(number, side), Tile((image,)) if number else Tile(note="waiting"))
    result = sheet.encode()
    assert len(result.data) <= SHEET_BYTES
    assert result.mimetype == "image/jpeg"
    with Image.open(io.BytesIO(result.data)) as decoded:
        assert decoded.size == (result.width, result.height)
    assert sheet.tile * side > 0.9 * 256 * min(side, 12)  # unchanged itself


def test_a_shrunk_sheet_shows_the_same() -> None:
    """Every image, note and label is still there after several steps."""
    sheet = ContactSheet(4, 4, column_labels=["one", "two", "three", "four"], tile=128)
    for number in range(16):
        sheet.put(*divmod(number, 4), Tile((plain(TEAL, (128, 128)),)))
    sheet.put(3, 3, Tile(note="no", failed=True))
    result = sheet.encode(max_bytes=6_000)
    assert len(result.data) <= 6_000
    with Image.open(io.BytesIO(result.data)) as decoded:
        assert result.width < sheet.render().width
        left, top, right, bottom = area_of(decoded.convert("RGB"), TEAL) or (0, 0, 0, 0)
        teal = ImageChops.difference(
            decoded.convert("RGB"), Image.new("RGB", decoded.size, TEAL)
        ).convert("L")
        assert sum(teal.histogram()[:25]) > 0.8 * (right - left) * (bottom - top)


@pytest.mark.parametrize("side", [1, 100])
def test_even_a_tiny_limit_is_kept(side: int) -> None:
    """Then the whole sheet is scaled down, and its labels with it."""
    sheet = ContactSheet(side, side, row_labels=["seed"] * side, tile=40)
    for number in range(side * side):
        sheet.put(*divmod(number, side), Tile(note="x"))
    assert len(sheet.encode(max_bytes=3_000).data) <= 3_000


def test_a_sheet_can_be_filled_while_it_is_encoded() -> None:
    """A live sheet is filled by one thread and shown by another."""
    sheet = ContactSheet(20, 20, tile=32)
    images = [noise("RGB", 32, 32), plain(TEAL)]

    def fill() -> None:
        for number in range(4000):
            tile = Tile((images[number % 2],)) if number % 3 else Tile(note="waiting")
            sheet.put(*divmod(number * 7 % 400, 20), tile)

    filling = threading.Thread(target=fill)
    filling.start()
    while filling.is_alive():
        assert len(sheet.encode(max_bytes=30_000).data) <= 30_000
        assert sheet.alt_text().startswith("Contact sheet, 20 × 20.")
    filling.join()


def test_the_alt_text_has_the_labels_in_full() -> None:
    """Those that the sheet shortens, too; and why a request failed."""
    long = "an action shot of a black lab swimming in a pool, " * 4 + "at dawn"
    sheet = ContactSheet(2, 2, row_labels=[long, "b"], column_labels=["c", "d"], tile=64)
    sheet.put(1, 0, Tile(note="TaskFailed: no\ndogs", failed=True))
    sheet.put(1, 1, Tile(note="waiting"))
    text = sheet.alt_text()
    assert text.startswith("Contact sheet, 2 × 2. Columns: 1: c; 2: d. Rows: 1: an action shot")
    assert long in text
    assert text.endswith("Failed: row 2, column 1: TaskFailed: no dogs. 1 waiting.")


def test_the_alt_text_is_bounded() -> None:
    """Labels that can be read in the sheet make room for those that can't."""
    long = "x" * 300
    sheet = ContactSheet(60, 1, row_labels=[f"a label of row {row}" for row in range(59)] + [long])
    assert long in sheet.alt_text(limit=800)
    assert "a label of row 7" not in sheet.alt_text(limit=800)
    assert len(sheet.alt_text(limit=100)) == 100
    assert sheet.alt_text(limit=100).endswith("…")


def test_contact_sheet_is_public() -> None:
    """The function, also after the module of the same name is imported."""
    assert mountsea_magic.contact_sheet is contact_sheet


def test_the_alt_text_has_what_encoding_shortens() -> None:
    """Labels that fit into the sheet, but no longer into the one that is shown."""
    names = [f"style {number}: an oil painting, in thick strokes" for number in range(24)]
    sheet = ContactSheet(4, 6, labels=names, tile=256)
    image = noise("RGB", 256, 256)
    for number in range(24):
        sheet.put(*divmod(number, 6), Tile((image,)))
    assert names[7] not in sheet.alt_text(limit=900)
    sheet.encode(max_bytes=40_000)
    assert names[7] in sheet.alt_text(limit=900)


def test_a_contact_sheet_of_generations(tmp_path: Path) -> None:
    """All images of each; the reason of a failure; the status of one that still runs."""
    images = [
        stored_image(tmp_path, plain(color), name=str(color[0])) for color in (TEAL, RED, BLUE)
    ]
    done = AnyGeneration((images[0], images[1]), task_id="hub-1")
    failed = AnyGeneration(status="failed", error=TaskFailed("no dogs"))
    running = AnyGeneration(status="downloading")
    sheet = contact_sheet([done, failed, running, images[2], plain(RED)], columns=5, tile=64)
    bare = contact_sheet([plain(RED)] * 5, columns=5, tile=64)
    assert sheet.size == bare.size
    assert sheet.mode == "RGB"
    for color in (TEAL, RED, BLUE, (253, 238, 236)):
        assert area_of(sheet, color) is not None


def test_a_contact_sheet_of_images_arrays_and_lists(tmp_path: Path) -> None:
    """An array is an image, a list is all in one place, and a path is the file there."""
    stored = stored_image(tmp_path, plain(TEAL))
    array = np.full((8, 8, 3), 255, np.uint8) * np.array([1, 0, 0], np.uint8)
    sheet = contact_sheet((item for item in (array, [stored, plain(BLUE)], stored.path)), tile=64)
    assert [area_of(sheet, color) is not None for color in ((255, 0, 0), BLUE, TEAL)] == [True] * 3
    assert sheet.size == contact_sheet([array] * 3, tile=64).size


@pytest.mark.parametrize(("columns", "width"), [(None, 6), (1, 1), (3, 3), (100, 8)])
def test_columns_of_a_contact_sheet(columns: int | None, width: int) -> None:
    """At most six by default; never more than there are items."""
    size = contact_sheet([plain(RED)] * 8, columns=columns, tile=32).size
    layout = lay_out(-(-8 // width), width, SheetTexts(), tile=32)
    assert size == layout.size


def test_labels_are_below_their_images() -> None:
    """Any object can be a label; a long one makes all rows higher, but at most three lines."""
    images = [plain(RED)] * 3
    none = contact_sheet(images, tile=96)
    short = contact_sheet(images, labels=[1, 2.5, "c"], tile=96)
    long = contact_sheet(images, labels=["a", "b", "a black lab " * 50], tile=96)
    assert none.width == short.width == long.width
    assert none.height < short.height < long.height < none.height + 96


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"items": []}, "at least one item"),
        ({"items": "dog.png"}, r"items must be a list or another iterable \(got str\)"),
        ({"items": 5}, r"items must be a list .* \(got int\)"),
        ({"items": plain(RED)}, r"items must be a list .* \(got Image\)"),
        ({"items": [plain(RED), 7]}, r"item 2: expected a generation, .* \(got int\)"),
        ({"items": ["dog"]}, r"item 1: expected .* \(got str\)"),
        ({"items": [[plain(RED), None]]}, r"item 1: expected .* \(got NoneType\)"),
        ({"items": [np.zeros(5)]}, "item 1: unsupported array shape"),
        ({"columns": 0}, r"columns must be a whole number from 1 to 1000 \(got 0\)"),
        ({"columns": 1.5}, r"columns must be .* \(got 1.5\)"),
        ({"columns": True}, r"columns must be .* \(got True\)"),
        ({"tile": 15}, r"tile must be a whole number from 16 to 2048 \(got 15\)"),
        ({"tile": 5000}, r"tile must be .* \(got 5000\)"),
        ({"tile": "big"}, r"tile must be .* \(got 'big'\)"),
        ({"labels": ["a", "b"]}, r"one label for each item \(got 2 labels for 1 items\)"),
        ({"labels": "a"}, r"labels must be a list .* \(got str\)"),
        ({"items": [plain(RED)] * 1001, "columns": 1}, "1 to 1,000 rows and columns"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    """With what was expected and what was given."""
    with pytest.raises(InvalidRequest, match=message):
        contact_sheet(**{"items": [plain(RED)], **arguments})


def test_text_of_the_hub_is_sanitized() -> None:
    """Labels and reasons can contain anything, and the sheet is still made."""
    hostile = "a\x00\x1b[31m\u202e\ud800\n" + "e\u0301\u0302\u0303\u0304\u0305\u0306" * 50
    failed = AnyGeneration(status="failed", error=MountseaError(hostile))
    contact_sheet([failed, plain(RED)], labels=[hostile, hostile * 1000])
    sheet = ContactSheet(1, 1, row_labels=[hostile], column_labels=[hostile])
    sheet.put(0, 0, Tile(note=hostile, failed=True))
    assert not set(sheet.alt_text()) & set("\x00\x1b\u202e\ud800\n")
