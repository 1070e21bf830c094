"""Previews: small enough for a notebook that is kept in git, whatever the original is."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from sample_images import kept, noise

from mountsea_magic.images.files import FORMATS, check, sniff
from mountsea_magic.images.previews import PREVIEW_BYTES, preview


@pytest.fixture(scope="module")
def big_noise() -> Image.Image:
    """Draw the largest noise once."""
    return noise("RGB", 1024, 1024)


@pytest.mark.parametrize("kind", FORMATS)
def test_preview_0_is_the_original(tmp_path: Path, kind: str) -> None:
    """Byte for byte, however large it is."""
    image = kept(tmp_path, noise("RGB", 512, 512), kind)
    shown = preview(image, 0)
    assert shown.data == image.bytes
    assert (shown.mimetype, shown.width, shown.height) == (f"image/{kind}", 512, 512)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_small_image_is_shown_as_it_is(tmp_path: Path, kind: str) -> None:
    """What fits loses nothing by encoding it again."""
    image = kept(tmp_path, noise("RGB", 100, 60), kind)
    assert preview(image, 100).data == image.bytes


def test_a_small_webp_is_shown_in_a_format_for_everyone(tmp_path: Path) -> None:
    """Git and mail programs do not show WebP, so its preview is a JPEG."""
    shown = preview(kept(tmp_path, noise("RGB", 100, 60), "webp"), 768)
    assert (shown.mimetype, shown.width, shown.height) == ("image/jpeg", 100, 60)
    assert sniff(shown.data) == "jpeg"


@pytest.mark.parametrize("longest_px", [768, 1024, 4096])
def test_the_preview_of_noise_is_small(
    tmp_path: Path, big_noise: Image.Image, longest_px: int
) -> None:
    """Quality and then size give way, whatever the longest side may be."""
    shown = preview(kept(tmp_path, big_noise), longest_px)
    assert len(shown.data) <= PREVIEW_BYTES <= 140_000
    assert shown.mimetype == "image/jpeg"
    with Image.open(io.BytesIO(shown.data)) as image:
        assert image.size == (shown.width, shown.height)
        assert max(image.size) <= longest_px


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_the_preview_of_what_is_seen_through_stays_png(tmp_path: Path, kind: str) -> None:
    """Transparency is kept, and the size gives way."""
    shown = preview(kept(tmp_path, noise("RGBA", 400, 400), kind), 300)
    assert (shown.mimetype, sniff(shown.data)) == ("image/png", "png")
    assert len(shown.data) <= PREVIEW_BYTES
    with Image.open(io.BytesIO(shown.data)) as image:
        assert image.mode == "RGBA"
        assert image.size == (shown.width, shown.height)


def test_the_preview_of_a_palette_with_transparency_stays_png(tmp_path: Path) -> None:
    """A transparent colour of a palette counts as transparency."""
    path = tmp_path / "palette.png"
    Image.new("P", (900, 90)).save(path, transparency=0)
    shown = preview(check(path), 300)
    assert (shown.mimetype, shown.width, shown.height) == ("image/png", 300, 30)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16", "CMYK"])
def test_every_mode_has_a_preview(tmp_path: Path, mode: str) -> None:
    """Grey, palette, bilevel, deep and print colours are shown, too."""
    kind = "jpeg" if mode == "CMYK" else "png"
    shown = preview(kept(tmp_path, Image.new(mode, (400, 200)), kind), 100)
    assert (shown.width, shown.height) == (100, 50)
    assert shown.mimetype == ("image/png" if mode == "LA" else "image/jpeg")


@pytest.mark.parametrize(
    ("size", "longest_px", "shown_size"),
    [
        ((1344, 768), 768, (768, 439)),
        ((768, 1344), 768, (439, 768)),
        ((1000, 1000), 1, (1, 1)),
        ((2000, 1), 100, (100, 1)),
    ],
)
def test_the_longest_side_is_bounded_and_the_shape_kept(
    tmp_path: Path, size: tuple[int, int], longest_px: int, shown_size: tuple[int, int]
) -> None:
    """A preview is never larger than asked for, and never of no size."""
    shown = preview(kept(tmp_path, Image.new("RGB", size)), longest_px)
    assert (shown.width, shown.height) == shown_size


def test_a_preview_stands_upright(tmp_path: Path) -> None:
    """The orientation that a camera noted is applied before it is lost."""
    path = tmp_path / "turned.jpg"
    image, exif = Image.new("RGB", (400, 200)), Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    shown = preview(check(path), 100)
    assert (shown.width, shown.height) == (50, 100)


def test_a_preview_leaves_the_original_alone(tmp_path: Path, big_noise: Image.Image) -> None:
    """Nothing is written where the originals are."""
    image = kept(tmp_path, big_noise)
    before = image.bytes
    preview(image, 64)
    assert image.bytes == before
    assert [path for path in tmp_path.iterdir() if path.is_file()] == [image.path]
