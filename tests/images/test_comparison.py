"""Comparisons: two images side by side, undistorted, described, and within limits."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sample_images import encoded, noise, stored_image

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.images.comparison import FRAME_BYTES, Comparison, compare
from mountsea_magic.images.contact_sheet import SHEET_BYTES
from mountsea_magic.images.files import GeneratedImage

TEAL, RED, EMPTY = (0, 128, 128), (220, 30, 30), (246, 246, 246)
HOSTILE = "<script>alert(1)</script> \u202e\x1b[31m" + "very " * 400 + "long"


@dataclass
class AnyGeneration:
    """What a comparison knows of a generation."""

    images: tuple[GeneratedImage, ...] = ()
    prompt: str = "a red fox"
    is_demo: bool = False
    status: str = "completed"
    task_id: str | None = "hub-1"


def plain(color: tuple[int, int, int], size: tuple[int, int] = (64, 64)) -> Image.Image:
    """Make an image of one color."""
    return Image.new("RGB", size, color)


def frames_of(comparison: Comparison) -> list[Image.Image]:
    """Decode the frames."""
    return [Image.open(io.BytesIO(frame.data)) for frame in comparison.frames()]


def colors_at(image: Image.Image, *points: tuple[int, int]) -> list[tuple[int, ...]]:
    """Return the colors at points, rounded, since JPEG changes them a little."""
    found = [image.convert("RGB").getpixel(point) for point in points]
    return [tuple(10 * round(level / 10) for level in color) for color in found]  # type: ignore[union-attr]  # a pixel of RGB is a tuple


def test_two_square_images_are_side_by_side() -> None:
    """The first is on the left, and both have the same size."""
    image = compare(plain(TEAL, (640, 640)), plain(RED, (300, 300))).image
    assert image.width > 2 * 640 and 640 < image.height < 800
    assert [image.getpixel((x, 300)) for x in (100, 600, 750, 1200)] == [TEAL, TEAL, RED, RED]
    assert image.getpixel((5, 5)) == (255, 255, 255)


def test_two_wide_images_are_one_above_the_other() -> None:
    """Side by side they would be too small; one wide one changes nothing."""
    wide, square = plain(TEAL, (1600, 900)), plain(RED, (900, 900))
    stacked = compare(wide, plain(RED, (1500, 1000))).image
    assert stacked.width < 820 < stacked.height
    assert compare(wide, square).image.width > 1300
    assert "one above the other" in compare(wide, wide).alt_text()
    assert "side by side" in compare(wide, square).alt_text()


@pytest.mark.parametrize(
    ("sizes", "frame"),
    [
        (((1024, 1024), (512, 512)), (768, 768)),
        (((1600, 900), (800, 450)), (768, 432)),
        (((1600, 900), (900, 1600)), (768, 768)),
        (((900, 1600), (1000, 1600)), (480, 768)),
        (((20, 10), (10, 10)), (256, 256)),
        (((2000, 90), (90, 2000)), (768, 768)),
    ],
)
def test_frames_have_the_same_size_and_distort_nothing(
    sizes: tuple[tuple[int, int], tuple[int, int]], frame: tuple[int, int]
) -> None:
    """Each image is as large as fits, in the middle of a frame; small ones are enlarged."""
    comparison = compare(plain(TEAL, sizes[0]), plain(RED, sizes[1]))
    for image, color, (width, height) in zip(
        frames_of(comparison), (TEAL, RED), sizes, strict=True
    ):
        assert image.size == frame
        factor = max(frame) / max(width, height)
        edge = [(frame[at] - (width, height)[at] * factor) / 2 for at in (0, 1)]
        (middle, left, top) = colors_at(
            image, (frame[0] // 2, frame[1] // 2), (2, frame[1] // 2), (frame[0] // 2, 2)
        )
        assert middle == tuple(10 * round(level / 10) for level in color)
        paper = tuple(10 * round(level / 10) for level in EMPTY)
        assert (left == paper) is (edge[0] > 12) and (top == paper) is (edge[1] > 12)


def test_limits_of_bytes_are_kept_for_noise() -> None:
    """Noise compresses worst: quality and size give way, and captions stay."""
    comparison = compare(noise("RGB", 800, 800), noise("RGB", 700, 800))
    whole = comparison.encode()
    assert len(whole.data) <= SHEET_BYTES
    assert whole.width > 900
    frames = comparison.frames()
    assert all(len(frame.data) <= FRAME_BYTES for frame in frames)
    assert frames[0].width == frames[1].width > 300
    small = comparison.encode(max_bytes=1)
    assert (small.mimetype, Image.open(io.BytesIO(small.data)).size) == (
        "image/jpeg",
        (small.width, small.height),
    )


def test_transparency_is_shown_as_a_checkerboard() -> None:
    """As on contact sheets; no pixel of it is black."""
    clear = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
    image = compare(clear, plain(TEAL)).image
    assert {image.getpixel((x, 100)) for x in range(30, 200)} == {(255,) * 3, (226,) * 3}


@pytest.mark.parametrize("kind", ["image", "path", "text", "bytes", "pillow", "array"])
def test_everything_that_is_an_image_can_be_compared(kind: str, tmp_path: Path) -> None:
    """Images of results, files, Pillow images and arrays; with their original size."""
    drawn = plain(TEAL, (96, 64))
    stored = stored_image(tmp_path, drawn)
    values: dict[str, Any] = {
        "image": stored,
        "path": stored.path,
        "text": str(stored.path),
        "bytes": encoded(drawn, "webp"),
        "pillow": drawn,
        "array": np.asarray(drawn),
    }
    comparison = compare(values[kind], plain(RED))
    assert repr(comparison) == "<Comparison of before · 96×64 and after · 64×64>"
    assert colors_at(frames_of(comparison)[0], (100, 100)) == [(0, 130, 130)]


def test_an_image_is_upright_and_is_not_modified(tmp_path: Path) -> None:
    """The EXIF orientation counts for the size, too."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    plain(RED, (100, 50)).save(path, exif=exif)
    before = plain(TEAL, (40, 20))
    comparison = compare(before, path)
    assert "after · 50×100" in repr(comparison)
    assert (before.size, before.getpixel((3, 3))) == ((40, 20), TEAL)


def test_a_generation_is_described_by_its_prompt(tmp_path: Path) -> None:
    """The caption shortens it, and the alt text has all of it."""
    image = stored_image(tmp_path, plain(TEAL))
    prompt = "a red fox in a forest, " * 20 + "at dusk"
    one, several = AnyGeneration((image,), prompt), AnyGeneration((image,) * 3, "", is_demo=True)
    comparison = compare(one, several, labels=("first", 2))
    assert comparison.before.caption[0] == "first · 64×64 · generated image"
    assert comparison.before.caption[1].startswith("“a red fox")
    assert comparison.after.caption == ("2 · 64×64 · demo drawing 1 of 3", "")
    assert prompt in comparison.alt_text()
    assert comparison.alt_text().endswith("2 · 64×64, demo drawing 1 of 3.")
    assert comparison.image.height < 450  # the caption has a few lines


def test_hostile_prompts_and_labels_are_harmless(tmp_path: Path) -> None:
    """Control characters are removed, and long texts are shortened."""
    generation = AnyGeneration((stored_image(tmp_path, plain(TEAL)),), HOSTILE)
    comparison = compare(generation, plain(RED), labels=(HOSTILE, ""))
    assert "\u202e" not in comparison.alt_text() and "\x1b" not in repr(comparison)
    assert len(comparison.alt_text()) < 1500
    assert comparison.after.name == "64×64"
    assert comparison.image.width < 700


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            7,
            "before: expected a generation, an image, a Pillow image, an array or a path (got int)",
        ),
        (None, r"before: expected .*NoneType"),
        ([plain(TEAL)], r"before: expected .*\(got list of 1\)"),
        ("missing.png", "before: No such file or directory: 'missing.png'."),
        ("https://a.example/b.png?signature=s3cret", "before: a URL is not opened here"),
        (b"no image", "before: it is not a readable image"),
        (np.zeros((4, 4, 7), "uint8"), "before: unsupported array shape"),
        (Image.new("RGB", (0, 5)), "before: the image has no pixels"),
        (Image.new("F", (5, 5)), "before: an image of mode F .*no defined black and white"),
        (AnyGeneration(status="failed"), r"before: the generation has no images .*failed"),
    ],
    ids=["int", "None", "list", "path", "url", "bytes", "array", "empty", "float", "generation"],
)
def test_what_is_no_image_is_refused(value: Any, message: str) -> None:
    """The message names the argument and says what is expected."""
    with pytest.raises(InvalidRequest, match=message.replace("(got int)", r"\(got int\)")):
        compare(value, plain(TEAL))
    with pytest.raises(InvalidRequest, match="after: "):
        compare(plain(TEAL), value)


def test_a_file_that_is_gone_is_reported(tmp_path: Path) -> None:
    """Also one of a result."""
    image = stored_image(tmp_path, plain(TEAL))
    image.path.unlink()
    with pytest.raises(InvalidRequest, match="before: the file is gone"):
        compare(image, plain(RED))


@pytest.mark.parametrize("labels", ["ab", ("one",), ("a", "b", "c"), None, 7, b"ab"])
def test_labels_are_two_strings(labels: Any) -> None:
    """A string of two characters is not two labels."""
    with pytest.raises(InvalidRequest, match="labels must be two strings"):
        compare(plain(TEAL), plain(RED), labels=labels)


def test_the_image_is_saved_and_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suffix is the format; a folder gets a file of its own."""
    Image.init()
    # as Pillow before 11 does once an image has been saved as SPIDER to memory
    monkeypatch.setitem(Image.EXTENSION, "", "SPIDER")
    comparison = compare(plain(TEAL), plain(RED))
    for name, kind in (("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.webp", "WEBP")):
        path = comparison.save(tmp_path / name)
        with Image.open(path) as image:
            assert (image.format, image.size) == (kind, comparison.image.size)
    assert comparison.save(str(tmp_path)) == tmp_path / "comparison.png"
    with pytest.raises(FileExistsError):
        comparison.save(tmp_path)
    for name in ("a", "a.txt", "a.docx"):
        with pytest.raises(InvalidRequest, match="suffix must be that of an image format"):
            comparison.save(tmp_path / name)
        assert not (tmp_path / name).exists()


def test_the_image_is_independent_of_the_files(tmp_path: Path) -> None:
    """A comparison stays what it is when the originals are deleted."""
    image = stored_image(tmp_path, plain(TEAL))
    comparison = compare(image, image)
    image.path.unlink()
    comparison.image.paste((0, 0, 0), (0, 0, 50, 50))
    assert comparison.image.getpixel((30, 30)) == TEAL
    assert base64.b64encode(comparison.encode().data)
