"""Unusual metadata does not affect an image, and a truncated image is never accepted."""

from __future__ import annotations

import base64
import io
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mountsea_magic.demo.server.inputs import take_inputs
from mountsea_magic.errors import InvalidRequest
from mountsea_magic.images import inputs as input_images
from mountsea_magic.images.decoding import decode
from mountsea_magic.images.files import BadImage, check
from mountsea_magic.images.formats import essential, identify, sniff
from mountsea_magic.images.inputs import to_urls
from mountsea_magic.images.previews import preview

BLUE = (20, 60, 200)


def encoded(kind: str, **options: Any) -> bytes:
    """Encode a blue image with some noise, so that it has some size."""
    image = Image.new("RGB", (120, 80), BLUE)
    image.paste(Image.effect_noise((120, 40), 90), (0, 40))
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, body: bytes, *, damaged: bool = False) -> bytes:
    """Write a chunk of a PNG."""
    checksum = zlib.crc32(name + body) ^ damaged
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def png_with(*chunks: bytes, before: bytes = b"IDAT") -> bytes:
    """Insert chunks into a PNG."""
    content = encoded("PNG")
    offset = content.index(before) - 4
    return content[:offset] + b"".join(chunks) + content[offset:]


def segment(code: int, body: bytes) -> bytes:
    """Write a segment of a JPEG."""
    return bytes((0xFF, code)) + struct.pack(">H", len(body) + 2) + body


def jpeg_with(*segments: bytes) -> bytes:
    """Insert segments at the start of a JPEG."""
    content = encoded("JPEG", quality=90)
    return content[:2] + b"".join(segments) + content[2:]


def webp_with(*chunks: bytes) -> bytes:
    """Append chunks to an extended WebP."""
    body = encoded("WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")[12:] + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def mpo() -> bytes:
    """Write a multi-picture JPEG, as phones do."""
    other = Image.new("RGB", (60, 40), "white")
    return encoded("MPO", save_all=True, append_images=[other])


MEGABYTE = b"workflow\0\0" + zlib.compress(b"x" * 900_000, 1)
TEXT = b"workflow\0" + b"x" * 3_000_000
# at the fastest level: every process of the suite imports this file
UNPACKED = b"workflow\0\0" + zlib.compress(b"x" * 70_000_000, 1)
INTERNATIONAL = b"prompt\0\1\0\0\0" + zlib.compress(b"{}" * 2_000_000, 1)
VIDEO = b"\0\0\0\x18ftypmp42" + random.Random(7).randbytes(200_000)
THUMBNAIL = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + encoded("JPEG", quality=5)[:60_000]

UNUSUAL = {
    "png with 3 MB of text": png_with(chunk(b"tEXt", TEXT)),
    "png with text that unpacks to 70 MB": png_with(chunk(b"zTXt", UNPACKED)),
    "png with much international text": png_with(chunk(b"iTXt", INTERNATIONAL)),
    "png with 72 MB of texts in all": png_with(*[chunk(b"zTXt", MEGABYTE)] * 80),
    "png with text after its pixels": png_with(chunk(b"zTXt", UNPACKED), before=b"IEND"),
    "png with damaged text": png_with(chunk(b"tEXt", b"a\0b", damaged=True)),
    "png with a damaged time": png_with(chunk(b"tIME", bytes(7), damaged=True)),
    "png with half a chunk of physical size": png_with(chunk(b"pHYs", b"\0")),
    "png with unusual private chunks": png_with(chunk(b"vpAg", b""), chunk(b"caBX", bytes(90_000))),
    "png with a damaged profile": png_with(chunk(b"iCCP", b"p\0\0no zlib")),
    "png with damaged exif": png_with(chunk(b"eXIf", b"II*\0" + b"\xff" * 40)),
    "png with a video": encoded("PNG") + VIDEO,
    "png with another png": encoded("PNG") * 2,
    "animated png": encoded("PNG", save_all=True, append_images=[Image.new("RGB", (120, 80))]),
    "jpeg with a video": encoded("JPEG", quality=90) + VIDEO,
    "jpeg with zeros": encoded("JPEG", quality=90) + bytes(100_000),
    "jpeg with a thumbnail": jpeg_with(segment(0xE1, THUMBNAIL)),
    "jpeg with broken exif": jpeg_with(segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")),
    "jpeg with 1 MB of profile pieces": jpeg_with(
        *(segment(0xE2, b"ICC_PROFILE\0" + bytes((n, 16)) + bytes(65_000)) for n in range(1, 17))
    ),
    "jpeg with profile pieces that are missing": jpeg_with(
        segment(0xE2, b"ICC_PROFILE\0\7\x09" + bytes(500))
    ),
    "jpeg with unusual app segments": jpeg_with(
        *(segment(code, b"Photoshop 3.0\0" + b"8BIM\x04") for code in range(0xE1, 0xEE)),
        segment(0xFE, b"\xff\xd9" * 400),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<tiff:Orientation>8</tiff:Orientation>"),
    ),
    "jpeg with half a list of images": jpeg_with(segment(0xE2, b"MPF\0II*\0\x08\0\0\0\x07")),
    "jpeg with fill bytes": jpeg_with(b"\xff" * 30),
    "jpeg of two images": mpo(),
    "jpeg of two images and a video": mpo() + VIDEO,
    "progressive jpeg": encoded("JPEG", progressive=True, quality=90),
    "jpeg with restarts": encoded("JPEG", restart_marker_blocks=2, quality=90),
    "jpeg with bytes before its end": encoded("JPEG", quality=90)[:-2] + bytes(9) + b"\xff\xd9",
    "webp with trailing data": encoded("WEBP", quality=90) + VIDEO,
    "webp with unknown chunks": webp_with(b"ABCD\4\0\0\0abcd", b"XYZ \2\0\0\0ab"),
}
"""Complete images with metadata that Pillow, or a naive search for the end, rejects."""


@pytest.mark.parametrize("name", UNUSUAL)
def test_a_complete_image_with_unusual_metadata_is_accepted(name: str, tmp_path: Path) -> None:
    """It passes the check, and has pixels and a preview."""
    path = tmp_path / "original"
    path.write_bytes(UNUSUAL[name])
    image = check(path)
    assert image.bytes == UNUSUAL[name]
    assert (image.width, image.height) == image.pil.size == (120, 80)
    for png in (False, True):
        result = preview(image, 90, png=png)
        with Image.open(io.BytesIO(result.data)) as seen:
            pixel = seen.convert("RGB").getpixel((10, 10))
        assert isinstance(pixel, tuple)
        assert all(abs(a - b) < 12 for a, b in zip(pixel, BLUE, strict=True))


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_input_with_unusual_metadata_is_sent_byte_for_byte(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo Hub accepts it too, if it is under its limit of 10 MB."""
    monkeypatch.setattr(input_images, "UPLOAD_BYTES", 200_000_000)
    (url,) = to_urls(UNUSUAL[name])
    assert base64.b64decode(url.partition(",")[2]) == UNUSUAL[name]
    if len(UNUSUAL[name]) < 9_000_000:
        given = {"prompt": "winter", "image_urls": [url]}
        inputs = take_inputs(given, lambda task_id, number: None, model="demo")
        assert inputs.size == (120, 80)
        assert decode(inputs.images[0], max_pixels=9600).size == (120, 80)


def truncations(name: str) -> Iterator[bytes]:
    """Cut a file near the end of its image, and at random positions before."""
    content = UNUSUAL[name]
    kind = sniff(content[:12]) or ""
    end = len(content)
    if kind == "png":
        end = content.index(b"IEND\xaeB`\x82") + 8
    elif kind == "webp":
        end = 8 + int.from_bytes(content[4:8], "little")
    elif "before its end" not in name:
        scan = content.rindex(b"\xff\xda", 0, content.find(VIDEO[:12]) + 1 or None)
        end = content.index(b"\xff\xd9", scan) + 2  # compressed data contains no such bytes
    rng = random.Random(name)
    for cut in (1, 2, 3, 9, *(rng.randrange(10, end - 20) for _ in range(12))):
        yield content[: end - cut]


@pytest.mark.parametrize("name", [name for name in UNUSUAL if "of two" not in name])
def test_a_truncated_image_is_refused_whatever_its_metadata(name: str, tmp_path: Path) -> None:
    """Even if a thumbnail or comment contains an end marker."""
    path = tmp_path / "original"
    for content in truncations(name):
        path.write_bytes(content)
        with pytest.raises(BadImage, match=r"is truncated|decoding failed|not a PNG"):
            check(path)
        with pytest.raises(InvalidRequest):
            to_urls(content)


def test_the_message_about_a_large_input_has_the_size_of_its_metadata(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`--shrink` then removes the metadata, and leaves the pixels unchanged."""
    limit = 50_000
    monkeypatch.setattr(input_images, "UPLOAD_BYTES", limit)
    for name in ("png with 3 MB of text", "jpeg with a video", "webp with trailing data"):
        with pytest.raises(InvalidRequest, match=r"--shrink removes \d\.\d MB of metadata"):
            to_urls(UNUSUAL[name])
        (url,) = to_urls(UNUSUAL[name], shrink=True)
        content = base64.b64decode(url.partition(",")[2])
        assert len(content) <= limit
        with (
            Image.open(io.BytesIO(content)) as image,
            Image.open(io.BytesIO(UNUSUAL[name])) as before,
        ):
            if "png" not in name:
                assert image.tobytes() == before.tobytes()
            assert image.size == (120, 80)


def box(brand: bytes, *more: bytes) -> bytes:
    """Write the first box of an ISO base media file."""
    body = b"ftyp" + brand + bytes(4) + b"".join(more)
    return struct.pack(">I", len(body) + 4) + body + bytes(200)


OTHER_FILES = {
    "a HEIC image": [box(b"heic", b"mif1", b"heic"), box(b"mif1", b"mif1", b"heic"), box(b"heix")],
    "an AVIF image": [box(b"avis"), box(b"mif1", b"avif", b"miaf")],
    "a JPEG XL image": [b"\xff\x0a" + bytes(90), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(90)],
    "an SVG drawing": [
        *(b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xef\xbb\xbf\n <SVG width='3'>"),
        b"<?xml version='1.0'?>\n<!-- Inkscape -->\n<!DOCTYPE svg>\n<svg>",
    ],
    "a PDF file": [b"%PDF-1.7\n", b"\n\n%PDF-1.4"],
    "a camera's raw file": [
        *(b"II*\0\x10\0\0\0CR\2\0" + bytes(90), box(b"crx "), b"FUJIFILMCCD-RAW 0201"),
        b"IIRO\x08\0\0\0" + bytes(90),
    ],
    "a video": [
        *(box(b"isom", b"iso2", b"avc1", b"mp41"), box(b"qt  "), b"\x1aE\xdf\xa3" + bytes(90)),
        b"RIFF\0\0\0\0AVI LIST" + bytes(90),
    ],
    "an HTML page": [b"<!DOCTYPE html><html><svg></svg></html>", b"\n<html lang='en'>"],
    "a TIFF image": [b"II*\0\x08\0\0\0" + bytes(90), b"MM\0*" + bytes(90)],
    "a Git LFS pointer": [b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a"],
    "a high dynamic range image": [b"v/1\x01\x02\0\0\0", b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n"],
    "a NumPy array": [b"\x93NUMPY\1\0v\0{'descr': '|u1'"],
    "a DICOM image": [bytes(128) + b"DICM" + bytes(90)],
    "an archive": [b"PK\x03\x04" + bytes(90)],
}
"""Files that Pillow can't read here, by their name in messages."""


@pytest.mark.parametrize(
    ("name", "content"),
    [(name, content) for name, files in OTHER_FILES.items() for content in files],
)
def test_unsupported_file_types_are_named(name: str, content: bytes, tmp_path: Path) -> None:
    """As an input from bytes, files and data URIs, and as a download."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    uri = f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
    for value in (content, io.BytesIO(content), path, uri):
        with pytest.raises(InvalidRequest) as caught:
            to_urls(value, label="--image photo.jpg")
        assert str(caught.value).startswith(f"--image photo.jpg: it is {name}, which Pillow can't")
    with pytest.raises(BadImage, match=f"it is {name}, not a PNG, JPEG or WebP"):
        check(path)


def test_the_hint_for_heic_names_the_package() -> None:
    """Phones write HEIC, and pillow-heif reads it."""
    known = identify(OTHER_FILES["a HEIC image"][0])
    assert known is not None and "pip install pillow-heif" in known[1]


@pytest.mark.skipif(
    ".avif" not in Image.registered_extensions(), reason="Pillow before 11.3 reads no AVIF"
)
def test_avif_is_converted_if_pillow_supports_it() -> None:
    """Pillow reads AVIF since 11.3."""
    content = encoded("AVIF", quality=95)
    (url,) = to_urls(content)
    assert url.startswith("data:image/png;base64,")


def test_a_raw_photo_is_refused() -> None:
    """Pillow would read the small preview in a TIFF-based raw file."""
    raw = Image.new("RGB", (16, 12))
    buffer = io.BytesIO()
    raw.save(buffer, "TIFF", tiffinfo={254: 1, 50706: b"\1\4\0\0"})
    with pytest.raises(InvalidRequest, match="a camera's raw file"):
        to_urls(buffer.getvalue())


def test_unknown_bytes_are_not_identified() -> None:
    """A short or empty file raises no error."""
    for content in (b"", b"\0", b"BM", b"text", b"RIFF", bytes(3000)):
        assert identify(content) is None
        assert sniff(content) is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_image_without_metadata_is_not_copied(kind: str) -> None:
    """Otherwise the largest part of a file would be in memory twice while it is decoded."""
    content = essential(encoded(kind), kind.lower())
    assert content is not None
    assert essential(content, kind.lower()) is content


def test_essential_is_idempotent() -> None:
    """Stripping a stripped file changes nothing."""
    for name, content in UNUSUAL.items():
        kind = sniff(content[:12]) or ""
        bare = essential(content, kind)
        assert bare is not None and len(bare) <= len(content), name
        assert essential(bare, kind) == bare


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff" + b"\xff\xe1\0\2" * 600_000,
        b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"") * 600_000,
    ],
    ids=["segments", "chunks"],
)
def test_the_number_of_chunks_and_segments_is_limited(content: bytes) -> None:
    """A file with too many of them is treated as truncated."""
    assert essential(content + encoded("JPEG")[2:], sniff(content[:12]) or "") is None
