"""Images of every mode, with every profile, look the same in 8 bits."""

from __future__ import annotations

import base64
import io
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFile
from profiles import cmyk_profile, gray_profile, max_difference, p3_profile, visible

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.images import inputs
from mountsea_magic.images.decoding import Undecodable, UndefinedRange, decode, normalized
from mountsea_magic.images.files import check
from mountsea_magic.images.inputs import to_urls
from mountsea_magic.images.previews import PREVIEW_BYTES, preview

ORANGE = (230, 90, 40)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode an image."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def sent(value: Any, **options: Any) -> bytes:
    """Return the bytes that are sent for an input image."""
    (url,) = to_urls(value, **options)
    return base64.b64decode(url.partition(",")[2], validate=True)


@pytest.mark.parametrize(
    ("size", "draft_px", "decoded"),
    [
        ((384, 216), 160, (192, 108)),
        ((216, 384), 160, (108, 192)),
        ((384, 216), 193, (384, 216)),
        ((800, 8), 100, (100, 1)),
        ((384, 216), 1, (48, 27)),
    ],
)
def test_a_draft_of_a_jpeg_has_a_longer_side_of_at_least_that_many_pixels(
    size: tuple[int, int], draft_px: int, decoded: tuple[int, int]
) -> None:
    """As previews need it, which are fitted into squares."""
    content = encoded(Image.new("RGB", size), "JPEG")
    assert decode(content, max_pixels=10**6, draft_px=draft_px).size == decoded


def chunk(name: bytes, body: bytes) -> bytes:
    """Write a chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(depth: int, color: int, row: bytes, *, width: int = 4, extra: bytes = b"") -> bytes:
    """Write a PNG of two equal rows, in a variant that Pillow can't write."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 2, depth, color, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress((b"\0" + row) * 2))
    return b"\x89PNG\r\n\x1a\n" + head + extra + data + chunk(b"IEND", b"")


def tiff(bits: int, kind: int, data: bytes, *, order: str = "<", white_is_0: bool = False) -> bytes:
    """Write a TIFF of 4 × 2 greys: `kind` is 1 for unsigned, 2 for signed, 3 for floats."""
    tags = [(256, 4), (257, 2), (258, bits), (259, 1), (262, int(not white_is_0)), (273, 134),
            (277, 1), (278, 2), (279, len(data)), (339, kind)]  # fmt: skip
    entries = b"".join(struct.pack(f"{order}HHIHxx", tag, 3, 1, value) for tag, value in tags)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return head + entries + bytes(4) + data


def greys(number: str, level: float, order: str = "<") -> bytes:
    """Pack 4 × 2 equal samples."""
    return struct.pack(f"{order}8{number}", *[level] * 8)


DEEP = {
    "png": png(16, 0, struct.pack(">4H", *[30_000] * 4)),
    "tiff": tiff(16, 1, greys("H", 30_000)),
    "tiff, big-endian": tiff(16, 1, greys("H", 30_000, ">"), order=">"),
    "tiff, white is 0": tiff(16, 1, greys("H", 65_535 - 30_000), white_is_0=True),
    "tiff of 12 bits": tiff(12, 1, bytes((0x75, 0x37, 0x53)) * 4),
    "pgm": b"P5 4 2 65535\n" + greys("H", 30_000, ">"),
    "pgm of 10 bits": b"P5 4 2 1023\n" + greys("H", 469, ">"),
    "pgm in text": b"P2 4 2 65535\n" + b"30000 " * 8,
    "jpeg 2000": encoded(Image.new("I;16", (4, 2), 30_000), "JPEG2000"),
    "png in color": png(16, 2, struct.pack(">12H", *[30_000] * 12)),
    "tiff in little steps": encoded(Image.new("I;16", (4, 2), 30_000), "TIFF"),
}
"""Images of more than 8 bits, all of the same grey: 117 of 255, or 116."""

WITHOUT_RANGE = {
    "tiff of 32 bits": tiff(32, 1, greys("I", 100)),
    "signed tiff of 32 bits": tiff(32, 2, greys("i", -100)),
    "big-endian tiff of 32 bits": tiff(32, 2, greys("i", 100, ">"), order=">"),
    "signed tiff of 16 bits": tiff(16, 2, greys("h", 100)),
    "signed tiff of 8 bits": tiff(8, 2, greys("b", -100)),
    "float tiff": tiff(32, 3, greys("f", 0.5)),
    "big-endian float tiff": tiff(32, 3, greys("f", 0.5, ">"), order=">"),
    "pfm": b"Pf\n4 2\n-1.0\n" + greys("f", 0.5),
    "big-endian pfm": b"Pf\n4 2\n1.0\n" + greys("f", 0.5, ">"),
    "spider": encoded(Image.new("F", (4, 2), 0.5), "SPIDER"),
}
"""Images of formats that define no black and white."""


@pytest.mark.parametrize("name", DEEP)
def test_16_bit_greys_keep_their_level(name: str, tmp_path: Path) -> None:
    """Levels are scaled, not clipped to white: from a file, from memory, or from Pillow."""
    (tmp_path / "deep").write_bytes(DEEP[name])
    with Image.open(io.BytesIO(DEEP[name])) as image:
        image.load()
    for value in (DEEP[name], io.BytesIO(DEEP[name]), tmp_path / "deep", image):
        with Image.open(io.BytesIO(sent(value))) as received:
            assert not received.mode.startswith("I")
            assert max_difference(visible(sent(value)), (117, 117, 117)) <= 1


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_16_bit_pillow_images_keep_black_and_white(mode: str) -> None:
    """The ends of the range are exactly black and white."""
    for level, grey in ((0, 0), (65_535, 255)):
        assert visible(sent(Image.new(mode, (6, 4), level))) == (grey,) * 3


@pytest.mark.parametrize("name", WITHOUT_RANGE)
def test_formats_without_a_defined_range_are_refused(name: str, tmp_path: Path) -> None:
    """With the same message, from bytes, files, data URIs and Pillow images."""
    content = WITHOUT_RANGE[name]
    (tmp_path / "deep").write_bytes(content)
    with Image.open(io.BytesIO(content)) as image:
        image.load()
    uri = f"data:image/tiff;base64,{base64.b64encode(content).decode()}"
    for value in (content, io.BytesIO(content), tmp_path / "deep", image, uri, [[content]]):
        with pytest.raises(InvalidRequest, match="no defined black and white; scale it to 0"):
            to_urls(value)


def test_a_transparent_16_bit_color_stays_transparent() -> None:
    """A PNG may define one grey level or color as transparent."""
    row = struct.pack(">4H", 30_000, 30_000, 50, 60)
    image = decode(png(16, 0, row, extra=chunk(b"tRNS", b"\0\x32")), max_pixels=99)
    assert [normalized(image, ("RGBA",)).getpixel((x, 0)) for x in (1, 2, 3)] == [
        *((116, 116, 116, 255), (0, 0, 0, 0), (0, 0, 0, 255))
    ]
    row = struct.pack(">12H", *(30_000, 1, 2) * 3, *(5, 6, 7))
    transparent = chunk(b"tRNS", struct.pack(">3H", 30_000, 1, 2))
    image = decode(png(16, 2, row, extra=transparent), max_pixels=99)
    assert [normalized(image, ("RGBA",)).getpixel((x, 0)) for x in (0, 3)] == [
        *((117, 0, 0, 0), (0, 0, 0, 255))
    ]


@pytest.mark.parametrize("mode", ["PA", "La", "RGBa", "LA", "RGBA"])
def test_transparency_of_every_mode_is_kept(mode: str) -> None:
    """Also of modes with premultiplied alpha."""
    image = Image.new(mode, (4, 2), (0,) * len(mode))
    with Image.open(io.BytesIO(sent(image))) as received:
        assert received.convert("RGBA").getpixel((0, 0)) == (0, 0, 0, 0)


@pytest.mark.parametrize("mode", ["HSV", "YCbCr", "LAB", "RGBX", "CMYK"])
def test_colors_of_every_mode_are_kept(mode: str) -> None:
    """Other color spaces are converted to RGB."""
    orange = Image.new("RGB", (4, 2), ORANGE)
    if mode == "LAB":
        image = Image.new("LAB", (4, 2), (150, 60, 50))
        expected = image.convert("RGB").getpixel((0, 0))
        assert isinstance(expected, tuple)
    else:
        image, expected = orange.convert(mode), ORANGE
    assert max_difference(visible(sent(image)), [int(level) for level in expected]) <= 4


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_sent(kind: str) -> None:
    """Models accept still images only."""
    frames = [Image.new("RGB", (8, 6), color) for color in (ORANGE, "blue", "white")]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert visible(sent(content)) == ORANGE
    with Image.open(io.BytesIO(sent(content))) as image:
        assert image.format == "PNG"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("padding", [0, 40_000])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_wide_gamut_colors_are_preserved(
    kind: str, padding: int, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In previews, as PNG for a terminal, rotated, shrunk, and in another format."""
    if kind == "JPEG" and mode == "RGBA":
        return
    noise = Image.effect_noise((60, 40), 90).convert("RGB")
    image = Image.new("RGB", (60, 60), ORANGE)
    image.paste(noise, (0, 20))
    exif = Image.Exif()
    exif[0x0112] = 3
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {"quality": 95}
    options |= {"exif": exif} if kind != "TIFF" else {}
    content = encoded(image.convert(mode), kind, icc_profile=p3_profile(padding), **options)
    at = (5, 5) if kind == "TIFF" else (55, 55)
    expected = visible(content, at)
    assert max_difference(expected, ORANGE) > 12  # without its profile it would have another color
    results = [sent(content)]
    if kind != "TIFF":
        path = tmp_path / "original"
        path.write_bytes(content)
        for png_only in (False, True):
            displayed = preview(check(path), 59, png=png_only)
            assert len(displayed.data) <= PREVIEW_BYTES
            results.append(displayed.data)
    monkeypatch.setattr(inputs, "UPLOAD_BYTES", len(results[0]) - 100)
    results.append(sent(content, shrink=True))
    for result in results:
        with Image.open(io.BytesIO(result)) as received:
            scale = received.width / 60
        position = (int(at[0] * scale), int(at[1] * scale))
        assert max_difference(visible(result, position), expected) <= 6


@pytest.mark.parametrize("mode", ["P", "PA", "RGBa", "RGBX", "YCbCr", "RGBA"])
def test_the_profile_of_a_pillow_image_is_kept_or_applied(mode: str) -> None:
    """For every mode with an RGB profile; with a limit of 0 bytes it is applied."""
    image = Image.new("RGB", (60, 40), ORANGE)
    image = image.quantize(4) if mode.startswith("P") else image.convert("RGBA")
    image = image.convert(mode) if mode != "YCbCr" else image.convert("RGB").convert(mode)
    image.info["icc_profile"] = p3_profile()
    expected = visible(encoded(Image.new("RGB", (6, 4), ORANGE), "PNG", icc_profile=p3_profile()))
    assert max_difference(visible(sent(image)), expected) <= 6
    applied = normalized(image, ("RGB", "RGBA"), max_profile_bytes=0)
    assert "icc_profile" not in applied.info
    assert max_difference(visible(encoded(applied, "PNG")), expected) <= 6


def cmyk(profile: bytes | None, kind: str = "JPEG") -> bytes:
    """Encode a CMYK image."""
    image = Image.new("CMYK", (60, 40), (200, 20, 100, 30))
    return encoded(image, kind, icc_profile=profile)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize("with_profile", [True, False])
def test_cmyk_is_converted_by_its_profile(kind: str, with_profile: bool, tmp_path: Path) -> None:
    """The profile is applied, since it does not fit an RGB image."""
    content = cmyk(cmyk_profile() if with_profile else None, kind)
    expected = visible(content)
    assert (max_difference(expected, visible(cmyk(None, kind))) > 30) is with_profile
    results = [sent(content)]
    if kind == "JPEG":
        (tmp_path / "original").write_bytes(content)
        results += [preview(check(tmp_path / "original"), 30).data]
        results += [preview(check(tmp_path / "original"), 30, png=True).data]
    for result in results:
        assert max_difference(visible(result), expected) <= 4
    with Image.open(io.BytesIO(results[-1])) as image:
        assert image.mode in ("RGB", "RGBA") and "icc_profile" not in image.info


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_is_converted_by_its_profile(mode: str, tmp_path: Path) -> None:
    """The profile is applied, since it does not fit an RGB preview."""
    grey = Image.new(mode, (60, 40), 100 if mode == "L" else (100, 255))
    content = encoded(grey, "PNG", icc_profile=gray_profile(1.0))
    (tmp_path / "original").write_bytes(content)
    result = preview(check(tmp_path / "original"), 30).data
    assert (
        max_difference(visible(result), (168, 168, 168)) <= 3
    )  # linear light of 100 of 255 in sRGB
    with Image.open(io.BytesIO(result)) as image:
        assert "icc_profile" not in image.info


@pytest.mark.parametrize(
    "profile",
    [
        *(b"", b"no profile", p3_profile()[:100], p3_profile()[:200], bytes(4000)),
        *(cmyk_profile(), gray_profile(), p3_profile()[:132] + b"\xff" * 300),
        b"\0" * 16 + b"RGB " + bytes(16) + b"acsp" + bytes(40_000),
    ],
    ids=range(9),
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_invalid_profile_is_ignored(profile: bytes, kind: str, tmp_path: Path) -> None:
    """If it is damaged or for another color space."""
    exif = Image.Exif()
    exif[0x0112] = 3
    content = encoded(Image.new("RGB", (60, 40), ORANGE), kind, icc_profile=profile, exif=exif)
    results = [sent(content)]
    if kind != "TIFF":
        (tmp_path / "original").write_bytes(content)
        results += [preview(check(tmp_path / "original"), 30).data]
    for result in results:
        with Image.open(io.BytesIO(result)) as image:
            pixel = image.convert("RGB").getpixel((0, 0))
        assert (
            isinstance(pixel, tuple)
            and max_difference([int(level) for level in pixel], ORANGE) <= 4
        )


def test_a_huge_compressed_profile_is_ignored(tmp_path: Path) -> None:
    """Pillow rejects the whole image because of it."""
    bomb = chunk(b"iCCP", b"p\0\0" + zlib.compress(p3_profile(3_000_000)))
    content = png(8, 2, bytes(ORANGE) * 4, extra=bomb)
    (tmp_path / "original").write_bytes(content)
    assert check(tmp_path / "original").pil.getpixel((0, 0)) == ORANGE
    assert sent(content) == content


@pytest.mark.parametrize(("gamma", "grey"), [(100_000, 188), (45_455, 128), (50_000, 136)])
def test_a_pngs_gamma_is_applied_in_its_preview(gamma: int, grey: int, tmp_path: Path) -> None:
    """A JPEG has no gamma."""
    content = png(8, 2, bytes([128] * 12), extra=chunk(b"gAMA", struct.pack(">I", gamma)))
    (tmp_path / "original").write_bytes(content)
    assert max_difference(visible(preview(check(tmp_path / "original"), 2).data), (grey,) * 3) <= 2


def rotated_photo(kind: str, orientation: int = 6) -> bytes:
    """Encode an image of 40 × 30, orange on its left half, with an EXIF orientation."""
    image = Image.new("RGB", (40, 30), "blue")
    image.paste(ORANGE, (0, 0, 20, 30))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, kind, exif=exif)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("longest_px", [0, 20, 768])
@pytest.mark.parametrize("png_only", [False, True])
def test_width_and_height_are_as_displayed(
    kind: str, orientation: int, longest_px: int, png_only: bool, tmp_path: Path
) -> None:
    """Of the image, its pixels and its preview, whether or not that is the original."""
    path = tmp_path / "original"
    path.write_bytes(rotated_photo(kind, orientation))
    image = check(path)
    size = (40, 30) if orientation < 5 else (30, 40)
    assert (image.width, image.height) == image.pil.size == size
    result = preview(image, longest_px, png=png_only)
    expected_size = tuple(side // 2 for side in size) if longest_px == 20 else size
    assert (result.width, result.height) == expected_size
    with Image.open(io.BytesIO(result.data)) as displayed:
        if displayed.getexif().get(0x0112, 1) == 1:
            assert displayed.size == expected_size
        else:
            # the original, which browsers orientation; but terminals don't, nor Chromium a WebP
            assert result.data == path.read_bytes() and kind == "JPEG" and not png_only


def test_the_callers_image_is_not_modified() -> None:
    """Neither its pixels nor its `info`."""
    image = Image.new("RGB", (4, 2), ORANGE)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.info |= {"icc_profile": p3_profile(), "exif": exif.tobytes(), "gamma": 1.0, "mine": 1}
    before = dict(image.info)
    assert normalized(image).size == (2, 4)
    assert (image.info, image.size) == (before, (4, 2))


def test_truncated_files_are_refused_despite_pillows_leniency(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even with `LOAD_TRUNCATED_IMAGES`, whose value is restored."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for kind in ("BMP", "TIFF", "JPEG", "PNG", "WEBP", "TGA", "PPM"):
        content = encoded(Image.effect_noise((60, 40), 90), kind)
        with pytest.raises(InvalidRequest):
            to_urls(content[: len(content) // 2])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_many_threads_can_decode_at_once() -> None:
    """Pillow's leniency setting is restored."""
    content = rotated_photo("JPEG")
    threads = [threading.Thread(target=to_urls, args=(content,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_decoding_errors_have_a_reason() -> None:
    """They are our exceptions, not Pillow's."""
    for content in (b"", b"text", DEEP["tiff"][:140]):
        with pytest.raises(Undecodable):
            decode(content, max_pixels=99)
    with pytest.raises(UndefinedRange, match=r"of mode F \(here 0.5 to 0.5\)"):
        normalized(Image.new("F", (4, 2), 0.5))
