"""Previews are small enough for a notebook in git, whatever the original is."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from sample_images import noise, stored_image

from mountsea_magic.images.files import FORMATS, check, sniff
from mountsea_magic.images.previews import PREVIEW_BYTES, preview


@pytest.fixture(scope="module")
def big_noise() -> Image.Image:
    """Make a large noise image once."""
    return noise("RGB", 1024, 1024)


@pytest.mark.parametrize("kind", FORMATS)
def test_preview_0_is_the_original(tmp_path: Path, kind: str) -> None:
    """Byte for byte, however large it is."""
    image = stored_image(tmp_path, noise("RGB", 512, 512), kind)
    result = preview(image, 0)
    assert result.data == image.bytes
    assert (result.mimetype, result.width, result.height) == (f"image/{kind}", 512, 512)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_small_image_is_not_reencoded(tmp_path: Path, kind: str) -> None:
    """An image within the limits is displayed byte for byte."""
    image = stored_image(tmp_path, noise("RGB", 100, 60), kind)
    assert preview(image, 100).data == image.bytes


def test_a_small_webp_is_converted_to_jpeg(tmp_path: Path) -> None:
    """Git hosts and mail programs do not display WebP."""
    result = preview(stored_image(tmp_path, noise("RGB", 100, 60), "webp"), 768)
    assert (result.mimetype, result.width, result.height) == ("image/jpeg", 100, 60)
    assert sniff(result.data) == "jpeg"


@pytest.mark.parametrize("longest_px", [768, 1024, 4096])
def test_the_preview_of_noise_is_under_the_limit(
    tmp_path: Path, big_noise: Image.Image, longest_px: int
) -> None:
    """Quality, then size is reduced, whatever the longest side may be."""
    result = preview(stored_image(tmp_path, big_noise), longest_px)
    assert len(result.data) <= PREVIEW_BYTES <= 140_000
    assert result.mimetype == "image/jpeg"
    with Image.open(io.BytesIO(result.data)) as image:
        assert image.size == (result.width, result.height)
        assert max(image.size) <= longest_px


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_the_preview_of_a_transparent_image_is_png(tmp_path: Path, kind: str) -> None:
    """Transparency is kept; the size is reduced instead."""
    result = preview(stored_image(tmp_path, noise("RGBA", 400, 400), kind), 300)
    assert (result.mimetype, sniff(result.data)) == ("image/png", "png")
    assert len(result.data) <= PREVIEW_BYTES
    with Image.open(io.BytesIO(result.data)) as image:
        assert image.mode == "RGBA"
        assert image.size == (result.width, result.height)


def test_the_preview_of_a_palette_with_transparency_is_png(tmp_path: Path) -> None:
    """A transparent color in a palette counts as transparency."""
    path = tmp_path / "palette.png"
    Image.new("P", (900, 90)).save(path, transparency=0)
    result = preview(check(path), 300)
    assert (result.mimetype, result.width, result.height) == ("image/png", 300, 30)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16", "CMYK"])
def test_every_mode_has_a_preview(tmp_path: Path, mode: str) -> None:
    """Grey, palette, bilevel, 16-bit and CMYK images."""
    kind = "jpeg" if mode == "CMYK" else "png"
    result = preview(stored_image(tmp_path, Image.new(mode, (400, 200)), kind), 100)
    assert (result.width, result.height) == (100, 50)
    assert result.mimetype == ("image/png" if mode == "LA" else "image/jpeg")


@pytest.mark.parametrize(
    ("size", "longest_px", "preview_size"),
    [
        ((1344, 768), 768, (768, 439)),
        ((768, 1344), 768, (439, 768)),
        ((1000, 1000), 1, (1, 1)),
        ((2000, 1), 100, (100, 1)),
    ],
)
def test_the_longest_side_is_limited_and_the_aspect_ratio_kept(
    tmp_path: Path, size: tuple[int, int], longest_px: int, preview_size: tuple[int, int]
) -> None:
    """A preview has at least one pixel in each direction."""
    result = preview(stored_image(tmp_path, Image.new("RGB", size)), longest_px)
    assert (result.width, result.height) == preview_size


def test_a_preview_is_upright(tmp_path: Path) -> None:
    """The EXIF orientation is applied, since metadata is dropped."""
    path = tmp_path / "turned.jpg"
    image, exif = Image.new("RGB", (400, 200)), Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    result = preview(check(path), 100)
    assert (result.width, result.height) == (50, 100)


def test_a_preview_does_not_change_the_original(tmp_path: Path, big_noise: Image.Image) -> None:
    """No file is written to the folder of the originals."""
    image = stored_image(tmp_path, big_noise)
    before = image.bytes
    preview(image, 64)
    assert image.bytes == before
    assert [path for path in tmp_path.iterdir() if path.is_file()] == [image.path]
