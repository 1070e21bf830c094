"""The demo Hub's input images: where they come from, and which are refused."""

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


def taken(*addresses: str, **more: str) -> Inputs:
    """Collect inputs for a Hub that has one image, the second of `TASK`."""
    given = {"prompt": "x", "image_urls": list(addresses), **more}
    own = uri_content(uri(Image.new("RGB", (40, 20), "navy")))
    return take_inputs(
        given, lambda task, number: own if (task, number) == (TASK, 1) else None, model=MODEL
    )


def uri_content(address: str) -> bytes:
    """Read a data URI."""
    return base64.b64decode(address.partition(",")[2])


def apart(first: Image.Image, second: Image.Image) -> float:
    """Measure how far two images are apart at a glance: per channel, 0 to 255."""
    small = [image.resize((64, 64), Image.Resampling.BOX) for image in (first, second)]
    return sum(ImageStat.Stat(ImageChops.difference(*small)).mean) / 3


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_data_uris_are_kept_as_they_came(kind: str) -> None:
    """Byte for byte, in their order, and the first one's size is told."""
    first, second = (uri(Image.new("RGB", size, "teal"), kind) for size in ((30, 20), (7, 9)))
    inputs = taken(first, second, mask_url=uri(Image.new("L", (30, 20))))
    assert inputs.images == (uri_content(first), uri_content(second))
    assert inputs.size == (30, 20)
    assert inputs.mask == uri_content(uri(Image.new("L", (30, 20))))


def test_a_photo_on_its_side_tells_its_upright_size() -> None:
    """The result's shape follows what is seen."""
    exif = Image.Exif()
    exif[0x0112] = 6
    assert taken(uri(Image.new("RGB", (60, 30)), exif=exif)).size == (30, 60)


def test_a_very_large_image_is_kept_smaller() -> None:
    """A camera's image would be decoded anew for each drawing."""
    inputs = taken(uri(Image.new("RGB", (4000, 2000), "olive"), "jpeg"))
    assert inputs.size is not None
    width, height = inputs.size
    assert width * height <= 4_010_000
    assert width / height == pytest.approx(2, rel=0.01)
    with Image.open(io.BytesIO(inputs.images[0])) as kept:
        assert kept.size == inputs.size


@pytest.mark.parametrize("host", ["http://demo-hub.invalid", "https://x.test:8787/a"])
def test_this_hubs_own_images_need_no_network(host: str) -> None:
    """Wherever it is served from, and whether the address has expired or not."""
    assert taken(f"{host}/pictures/{TASK}/1?expires=1").size == (40, 20)


def test_an_address_elsewhere_is_stood_in_for() -> None:
    """By a drawing of the file name's words; the same address always gives the same."""
    address = "https://example.com/a/sea-with_sail%20boat.png"
    inputs = taken(address, f"{address}?signature=1", "https://example.com/a/forest.png")
    with Image.open(io.BytesIO(inputs.images[0])) as drawn:
        assert drawn.size == inputs.size == (1024, 1024)
        assert apart(drawn.convert("RGB"), paint("sea", 1, 128, 128, model=MODEL)) < 60
    assert inputs.images[1] != inputs.images[2]
    assert taken(address).images == taken(f"{address}?other=2#top").images
    assert taken("https://example.com").size == (1024, 1024)


def test_a_mask_elsewhere_is_a_spot_in_the_middle() -> None:
    """A drawing would be no mask."""
    mask = taken(uri(Image.new("RGB", (8, 8))), mask_url="https://example.com/mask.png").mask
    assert mask is not None
    with Image.open(io.BytesIO(mask)) as spot:
        gray = spot.convert("L")
    assert gray.getpixel((gray.width // 2, gray.height // 2)) == 255
    assert gray.getpixel((3, 3)) == 0


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("data:image/png,abc", "not a valid"),
        ("data:image/png;base64", "no data"),
        ("data:image/png;base64,", "not a valid"),
        ("data:image/png;base64,a*b=", "damaged"),
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
def test_a_bad_input_is_refused(address: str, said: str) -> None:
    """With a reason that names it, and not a byte of the image."""
    with pytest.raises(BadInput) as caught:
        taken(address)
    assert said in str(caught.value)
    assert str(caught.value).startswith("image_urls[0]: ")
    assert len(str(caught.value)) < 120
    with pytest.raises(BadInput, match=r"^mask_url: "):
        taken(uri(Image.new("RGB", (8, 8))), mask_url=address)


def test_too_many_images_are_refused() -> None:
    """Each would be decoded anew for each drawing."""
    tiny = uri(Image.new("RGB", (2, 2)))
    assert len(taken(*[tiny] * MAX_INPUTS).images) == MAX_INPUTS
    with pytest.raises(BadInput, match="17 images"):
        taken(*[tiny] * (MAX_INPUTS + 1))


def test_an_input_without_images_has_none() -> None:
    """As for the models that draw from text."""
    assert take_inputs({"prompt": "x"}, lambda task, number: None, model="m") == Inputs()


def test_a_print_photo_is_kept_smaller_too() -> None:
    """Four colours of ink are no mode of PNG."""
    inputs = taken(uri(Image.new("CMYK", (2500, 2000), (0, 90, 90, 0)), "jpeg"))
    with Image.open(io.BytesIO(inputs.images[0])) as kept:
        assert kept.mode == "RGB" and kept.size == inputs.size


def test_damaged_metadata_harm_no_input() -> None:
    """A photo with any bytes of its EXIF bent is taken, but damaged base64 is not."""
    for damaged in bent_photos(500):
        inputs = taken(f"data:image/jpeg;base64,{base64.b64encode(damaged).decode()}")
        assert inputs.size in ((60, 30), (30, 60))
    with pytest.raises(BadInput, match="damaged"):
        taken("data:image/png;base64,é")
