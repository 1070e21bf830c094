"""The demo Hub's input images: where they come from, and which are rejected."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat
from sample_images import bent_photos

from mountsea_magic.demo.drawing import paint
from mountsea_magic.demo.server.inputs import (
    INPUT_BYTES,
    INPUT_PIXELS,
    MAX_INPUTS,
    BadInput,
    Inputs,
    take_inputs,
)

MODEL = "nano-banana-edit"
HUB = "http://demo-hub.invalid/pictures"
TASK = "hub-01234567-89ab-cdef-0123-456789abcdef"


def uri(image: Image.Image, kind: str = "png", **options: Any) -> str:
    """Write an image as a data URI."""
    buffer = io.BytesIO()
    image.save(buffer, kind.upper(), **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def load(*urls: str, **more: str) -> Inputs:
    """Load inputs at a Hub that has one image, the second one of `TASK`."""
    given = {"prompt": "x", "image_urls": list(urls), **more}
    own = uri_content(uri(Image.new("RGB", (40, 20), "navy")))
    return take_inputs(
        given, lambda task, number: own if (task, number) == (TASK, 1) else None, model=MODEL
    )


def uri_content(data_uri: str) -> bytes:
    """Decode a data URI."""
    return base64.b64decode(data_uri.partition(",")[2])


def difference(first: Image.Image, second: Image.Image) -> float:
    """Return the mean difference of two images, scaled down, per channel: 0 to 255."""
    small = [image.resize((64, 64), Image.Resampling.BOX) for image in (first, second)]
    return sum(ImageStat.Stat(ImageChops.difference(*small)).mean) / 3


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_data_uris_are_stored_unchanged(kind: str) -> None:
    """Byte for byte and in order; `size` is that of the first image."""
    first, second = (uri(Image.new("RGB", size, "teal"), kind) for size in ((30, 20), (7, 9)))
    inputs = load(first, second, mask_url=uri(Image.new("L", (30, 20))))
    assert inputs.images == (uri_content(first), uri_content(second))
    assert inputs.size == (30, 20)
    assert inputs.mask == uri_content(uri(Image.new("L", (30, 20))))


def test_rotated_photo_has_its_displayed_size() -> None:
    """The EXIF orientation is applied, so that the result has the displayed shape."""
    exif = Image.Exif()
    exif[0x0112] = 6
    assert load(uri(Image.new("RGB", (60, 30)), exif=exif)).size == (30, 60)


def test_very_large_image_is_scaled_down() -> None:
    """A camera image would have to be decoded for each drawing."""
    inputs = load(uri(Image.new("RGB", (4000, 2000), "olive"), "jpeg"))
    assert inputs.size is not None
    width, height = inputs.size
    assert width * height <= 4_010_000
    assert width / height == pytest.approx(2, rel=0.01)
    with Image.open(io.BytesIO(inputs.images[0])) as stored:
        assert stored.size == inputs.size


@pytest.mark.parametrize("host", ["http://demo-hub.invalid", "https://x.test:8787/a"])
def test_images_of_this_hub_need_no_network(host: str) -> None:
    """Whatever the host of the URL is, and whether the URL has expired or not."""
    assert load(f"{host}/pictures/{TASK}/1?expires=1").size == (40, 20)


def test_url_on_another_host_gets_a_stand_in_drawing() -> None:
    """Drawn from the words of the file name; the same URL always gives the same drawing."""
    url = "https://example.com/a/sea-with_sail%20boat.png"
    inputs = load(url, f"{url}?signature=1", "https://example.com/a/forest.png")
    with Image.open(io.BytesIO(inputs.images[0])) as drawn:
        assert drawn.size == inputs.size == (1024, 1024)
        assert difference(drawn.convert("RGB"), paint("sea", 1, 128, 128, model=MODEL)) < 60
    assert inputs.images[1] != inputs.images[2]
    assert load(url).images == load(f"{url}?other=2#top").images
    assert load("https://example.com").size == (1024, 1024)


def test_mask_on_another_host_is_a_spot_in_the_middle() -> None:
    """A drawing would not work as a mask."""
    mask = load(uri(Image.new("RGB", (8, 8))), mask_url="https://example.com/mask.png").mask
    assert mask is not None
    with Image.open(io.BytesIO(mask)) as spot:
        gray = spot.convert("L")
    assert gray.getpixel((gray.width // 2, gray.height // 2)) == 255
    assert gray.getpixel((3, 3)) == 0


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("data:image/png,abc", "not a valid"),
        ("data:image/png;base64", "no data"),
        ("data:image/png;base64,", "not a valid"),
        ("data:image/png;base64,a*b=", "base64 data is invalid"),
        ("data:image/png;base64,aGFsbG8=", "not a valid"),
        ("data:text/html;base64,PGgxPkhpPC9oMT4=", "not a valid"),
        (uri(Image.new("RGB", (8, 8)), "gif"), "PNG, JPEG or WebP"),
        (uri(Image.new("RGB", (8, 8)), "bmp"), "PNG, JPEG or WebP"),
        (uri(Image.effect_noise((64, 64), 90))[:-800], "image_urls[0]"),
        ("data:image/png;base64," + "A" * (INPUT_BYTES * 4 // 3 + 100), "10 MB"),
        (uri(Image.new("1", (INPUT_PIXELS // 8000 + 1, 8000))), "pixels"),
        ("ftp://example.com/a.png", "https://"),
        ("/etc/passwd", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https:///a.png", "https://"),
        ("https://[::1/a.png", "invalid URL"),
        ("", "https://"),
        (f"{HUB}/{TASK}/0", "no such image"),
        (f"{HUB}/{TASK.replace('0', '1')}/1", "no such image"),
    ],
    ids=lambda value: value[:30],
)
def test_bad_input_is_rejected(url: str, message: str) -> None:
    """The message names the input, and does not contain the image."""
    with pytest.raises(BadInput) as caught:
        load(url)
    assert message in str(caught.value)
    assert str(caught.value).startswith("image_urls[0]: ")
    assert len(str(caught.value)) < 120
    with pytest.raises(BadInput, match=r"^mask_url: "):
        load(uri(Image.new("RGB", (8, 8))), mask_url=url)


def test_too_many_images_are_rejected() -> None:
    """Each would have to be decoded for each drawing."""
    tiny = uri(Image.new("RGB", (2, 2)))
    assert len(load(*[tiny] * MAX_INPUTS).images) == MAX_INPUTS
    with pytest.raises(BadInput, match="17 images"):
        load(*[tiny] * (MAX_INPUTS + 1))


def test_input_without_images_has_none() -> None:
    """As for text-to-image models."""
    assert take_inputs({"prompt": "x"}, lambda task, number: None, model="m") == Inputs()


def test_large_cmyk_photo_is_scaled_down() -> None:
    """It is converted to RGB, since PNG has no CMYK."""
    inputs = load(uri(Image.new("CMYK", (2500, 2000), (0, 90, 90, 0)), "jpeg"))
    with Image.open(io.BytesIO(inputs.images[0])) as stored:
        assert stored.mode == "RGB" and stored.size == inputs.size


def test_damaged_metadata_is_ignored() -> None:
    """A photo with corrupted EXIF is accepted, but invalid base64 is not."""
    for damaged in bent_photos(500):
        inputs = load(f"data:image/jpeg;base64,{base64.b64encode(damaged).decode()}")
        assert inputs.size in ((60, 30), (30, 60))
    with pytest.raises(BadInput, match="base64 data is invalid"):
        load("data:image/png;base64,é")
