"""Input images are sent complete, upright and, where possible, unchanged."""

from __future__ import annotations

import base64
import io
import struct
import tempfile
import warnings
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hub_server import data_uri, image
from PIL import Image
from sample_images import bent_photos

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.generation.handle import Generation
from mountsea_magic.images import inputs
from mountsea_magic.images.files import GeneratedImage, check
from mountsea_magic.images.inputs import read_source, to_urls
from mountsea_magic.request.request import build_request


def decoded(url: str) -> tuple[str, bytes]:
    """Split a data URI into its media type and its bytes."""
    head, _, tail = url.partition(",")
    assert head.startswith("data:") and head.endswith(";base64")
    return head.removeprefix("data:").removesuffix(";base64"), base64.b64decode(tail, validate=True)


def opened(url: str) -> Image.Image:
    """Decode the image of a data URI, and check its media type."""
    kind, content = decoded(url)
    image = Image.open(io.BytesIO(content))
    image.load()
    assert kind == f"image/{str(image.format).lower()}"
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode an image."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refused(value: Any, **options: Any) -> str:
    """Return the error message for a value; asserts that it is one short line with the label."""
    with pytest.raises(InvalidRequest) as caught:
        to_urls(value, label="--image it", **options)
    message = str(caught.value)
    assert message.startswith("--image it: ") and "\n" not in message and len(message) < 300
    return message


def saved_image(folder: Path, number: int = 0) -> GeneratedImage:
    """Save an image to disk as an original."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{number}.png"
    path.write_bytes(image("png", number))
    return check(path)


def result(folder: Path, count: int = 2) -> Generation:
    """A completed generation of some images."""
    made = Generation(build_request("a dog"))
    made.images = tuple(saved_image(folder, number) for number in range(count))
    return made


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, io.BytesIO, Path, str])
def test_a_valid_image_is_sent_byte_for_byte(tmp_path: Path, kind: str, wrap: Any) -> None:
    """PNG, JPEG and WebP are sent unchanged, from a file or from memory."""
    content = image(kind)
    path = tmp_path / "wrong-ending.txt"
    path.write_bytes(content)
    (url,) = to_urls(wrap(path) if wrap in (Path, str) else wrap(content))
    assert decoded(url) == (f"image/{kind}", content)


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/dog.png?x=1",
        "http://a.example/",
        "HTTPS://A.example",
        data_uri(image()),
    ],
)
def test_urls_are_passed_unchanged(url: str) -> None:
    """The Hub fetches them; nothing is requested here."""
    assert to_urls(url) == read_source(url, {}) == [url]


@pytest.mark.parametrize(
    ("source", "numbers"),
    [
        ("dog", [0, 1]),
        ("dog[0]", [0]),
        ("dog[-1]", [1]),
        ("dog.images", [0, 1]),
        ("dog.images[1]", [1]),
        ("one", [1]),
        ("mixed", [1, 0, 1, 0]),
        ("mixed[0]", [1]),
        ("köpek", [0]),
        ("content", [1]),
    ],
)
def test_sources_may_be_variables(tmp_path: Path, source: str, numbers: list[int]) -> None:
    """A result counts as all its images, in order."""
    dog = result(tmp_path)
    variables = {
        "dog": dog,
        "one": dog[1],
        "mixed": [image("png", 1), dog, tmp_path / "0.png"],
        "köpek": (dog[0],),
        "content": image("png", 1),
    }
    found = [decoded(url)[1] for url in read_source(source, variables)]
    assert found == [image("png", number) for number in numbers]


def test_sources_may_be_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to the working or home folder, with spaces."""
    (tmp_path / "my dog.png").write_bytes(image())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for source in ("my dog.png", "./my dog.png", str(tmp_path / "my dog.png"), "~/my dog.png"):
        assert read_source(source, {}) == [data_uri(image())]


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("dgo", ["no such file or variable", "Did you mean the variable dog?"]),
        ("nothing.png", ["no such file"]),
        ("", ["no such file"]),
        (".", ["no such file"]),
        ("x" * 5000, ["no such file"]),
        ("a\0b", ["no such file"]),
        ("~nobody-of-that-name/x.png", ["--image"]),
        ("\x1b[31m", ["--image [31m"]),
        ("dog[7]", ["--image dog[7]"]),
        ("dog[" + "9" * 5000 + "]", ["--image dog"]),
        ("number[0]", ["--image number[0]"]),
        ("number.images", ["--image number.images"]),
        ("number", ["(got int)"]),
        ("nothing", ["(got NoneType)"]),
        ("text", ["--image text"]),
        ("empty", ["contains no images yet"]),
        ("fresh", ["contains no images yet"]),
        ("table[0]", ["--image table[0]"]),
        ("itself", ["--image itself"]),
    ],
)
def test_an_invalid_source_is_refused(tmp_path: Path, source: str, parts: list[str]) -> None:
    """The message is one line with the source as typed."""
    itself: list[Any] = []
    itself.append(itself)
    variables = {
        "dog": result(tmp_path),
        "number": 7,
        "nothing": None,
        "text": "no such file.png",
        "empty": [],
        "fresh": Generation(build_request("a dog")),
        "table": {"a": 1},
        "itself": itself,
        "_dgo": 1,
    }
    with pytest.raises(InvalidRequest) as caught:
        read_source(source, variables)
    message = str(caught.value)
    for expected in parts:
        assert expected in message
    assert "\x1b" not in message and "\n" not in message and len(message) < 300


@pytest.mark.parametrize(
    ("mode", "sent"),
    [
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
        ("L", "L"),
        ("LA", "LA"),
        ("1", "1"),
        ("P", "P"),
        ("CMYK", "RGB"),
        ("YCbCr", "RGB"),
        ("HSV", "RGB"),
        ("I;16", "L"),
    ],
)
def test_pillow_images_of_every_mode_become_png(mode: str, sent: str) -> None:
    """They are converted to a mode that PNG supports, at the same size."""
    (url,) = to_urls(Image.new(mode, (6, 4)))
    image = opened(url)
    assert image.format == "PNG" and image.size == (6, 4)
    assert image.mode == sent


def test_16_bit_greys_are_scaled_to_8_bits() -> None:
    """Levels are scaled, not clipped at 255, which would make all white."""
    assert opened(to_urls(Image.new("I;16", (6, 4), 30_000))[0]).getpixel((0, 0)) == 116


@pytest.mark.parametrize("mode", ["I", "F"])
def test_an_image_without_a_defined_range_is_refused(mode: str) -> None:
    """The message has the range of the values, and how to scale them."""
    with pytest.raises(InvalidRequest, match=r"7 to 7.*scale it to 0\.\.255"):
        to_urls(Image.new(mode, (6, 4), 7))


@pytest.mark.parametrize("size", [(0, 0), (0, 5)])
def test_an_image_without_pixels_is_refused(size: tuple[int, int]) -> None:
    """Its width or height is 0."""
    refused(Image.new("RGB", size))


def test_transparency_is_preserved() -> None:
    """Masks depend on it."""
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    image.putpixel((1, 0), (0, 255, 0, 128))
    sent = opened(to_urls(image)[0])
    assert [sent.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0, 0), (0, 255, 0, 128)]


def test_the_callers_image_is_not_modified() -> None:
    """It is not rotated, converted or closed in place."""
    image = Image.new("CMYK", (3, 2))
    to_urls(image)
    assert (image.mode, image.size) == ("CMYK", (3, 2))
    image.load()


class Array:
    """An object with numpy's array interface, without numpy."""

    def __init__(self, content: bytes, shape: tuple[int, ...], typestr: str = "|u1") -> None:
        self.content = content
        self.shape = shape
        self.__array_interface__ = {
            "shape": shape, "typestr": typestr, "data": content, "strides": shape,
        }  # fmt: skip

    def tobytes(self) -> bytes:
        """Pillow calls this."""
        return self.content


def test_objects_with_the_array_interface_are_images() -> None:
    """Arrays of other libraries work too, without a numpy dtype."""
    image = opened(to_urls(Array(bytes(range(18)), (2, 3, 3)))[0])
    assert image.size == (3, 2) and image.tobytes() == bytes(range(18))


@pytest.mark.parametrize(
    ("shape", "kind", "mode"),
    [
        ((4, 6, 3), "uint8", "RGB"),
        ((4, 6, 4), "uint8", "RGBA"),
        ((4, 6), "uint8", "L"),
        ((4, 6, 3), "float32", "RGB"),
        ((4, 6, 3), "float64", "RGB"),
        ((4, 6), "bool", "L"),
    ],
)
def test_numpy_arrays_are_images(shape: tuple[int, ...], kind: str, mode: str) -> None:
    """Of shape (height, width) or (height, width, channels); uint8, floats from 0 to 1, or bool."""
    numpy = pytest.importorskip("numpy")
    image = opened(to_urls(numpy.ones(shape, kind))[0])
    assert image.size == (6, 4) and image.mode == mode
    assert set(image.tobytes()) == ({1} if kind == "uint8" else {255})


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((5,), "uint8"), ((2, 2, 7), "uint8"), ((2, 2, 7), "int64"), ((2, 2), "complex64"),
     ((0, 0, 3), "uint8"), ((2, 2, 2, 3), "uint8"), ((), "uint8"), ((2, 2), "U1")],
)  # fmt: skip
def test_unsupported_arrays_are_refused(shape: tuple[int, ...], kind: str) -> None:
    """The message has their shape and dtype."""
    numpy = pytest.importorskip("numpy")
    assert f"unsupported array shape {shape} of " in refused(numpy.zeros(shape, kind))


@pytest.mark.parametrize(
    ("kind", "level", "grey"),
    [
        ("int64", 200, 200),
        ("uint16", 0, 0),
        ("float64", 0.5, 128),
        ("float32", 1.0001, 255),
        ("int32", 256, None),
        ("uint16", 30_000, None),
        ("int8", -1, None),
        ("float64", 40.0, None),
        ("float32", -0.5, None),
    ],
)
def test_array_values_in_range_are_kept_and_others_refused(
    kind: str, level: float, grey: int | None
) -> None:
    """Clipping would send an all-black or all-white image."""
    numpy = pytest.importorskip("numpy")
    array = numpy.full((4, 6, 3), level, kind)
    if grey is None:
        with pytest.raises(InvalidRequest, match=r"must have values from 0 to .*scale it first"):
            to_urls(array)
    else:
        assert set(opened(to_urls(array)[0]).tobytes()) == {grey}


def test_nan_raises_no_warning() -> None:
    """An array with NaN is refused without a RuntimeWarning."""
    numpy = pytest.importorskip("numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            to_urls(numpy.full((2, 2, 3), numpy.nan))
        except InvalidRequest as error:
            assert "image" in str(error)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_an_image_is_sent_upright(kind: str, orientation: int) -> None:
    """The EXIF orientation is applied and removed, since not every model reads it."""
    image = Image.new("RGB", (32, 16), "blue")
    image.paste("red", (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    (url,) = to_urls(encoded(image, kind, exif=exif))
    sent = opened(url)
    assert sent.getexif().get(0x0112, 1) == 1
    assert sent.size == ((32, 16) if orientation < 5 else (16, 32))
    corner = {2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}[
        orientation
    ]
    position = tuple(side * 3 // 4 if far else side // 4
                  for side, far in zip(sent.size, corner, strict=True))  # fmt: skip
    color = sent.convert("RGB").getpixel((position[0], position[1]))
    assert isinstance(color, tuple) and color[0] > 150 > color[2]


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_become_png(kind: str) -> None:
    """Formats that the Hub may not support are converted, without changing pixels."""
    image = Image.new("RGB", (5, 3), "red")
    sent = opened(to_urls(encoded(image, kind))[0])
    assert sent.format == "PNG" and sent.convert("RGB").tobytes() == image.tobytes()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_image_is_refused(kind: str, fraction: float) -> None:
    """An edit of a truncated file would be charged."""
    content = image(kind, size=(300, 200))
    message = refused(content[: int(len(content) * fraction)])
    assert ("is damaged: " if fraction else "not a readable image") in message


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 500, b"\xff" * 500])
def test_bytes_that_are_not_an_image_are_refused(content: bytes) -> None:
    """Pillow recognizes no image in them."""
    assert "not a readable image" in refused(content)


def pixel_bomb(side: int) -> bytes:
    """Make a tiny PNG with a huge size in its header."""

    def chunk(name: bytes, body: bytes) -> bytes:
        check_sum = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check_sum

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_200, 9_500, 12_000, 20_000, 60_000])
def test_pixel_bombs_are_refused_without_decoding(side: int) -> None:
    """By the size in the header, without a warning, whatever Pillow's own limit is."""
    refused(pixel_bomb(side))


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Make an image that hardly compresses."""
    grey = Image.effect_noise((width, height), 90)
    return Image.merge(
        mode, [grey.rotate(90 * turns).resize(grey.size) for turns in range(len(mode))]
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(400, 300), (900, 20)])
def test_a_too_large_image_is_refused_or_shrunk(
    kind: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message suggests `--shrink`, which keeps the aspect ratio and fits the limit."""
    monkeypatch.setattr(inputs, "UPLOAD_BYTES", 5_000)
    content = encoded(noise(*size), kind)
    assert "--shrink scales it down to fit" in refused(content)
    (url,) = to_urls(content, shrink=True)
    sent = opened(url)
    assert len(decoded(url)[1]) <= 5_000
    assert sent.width < size[0]
    assert sent.width / sent.height == pytest.approx(size[0] / size[1], rel=0.3)


def test_shrink_does_not_change_an_image_that_fits(tmp_path: Path) -> None:
    """It is sent byte for byte."""
    assert to_urls(image(), shrink=True) == [data_uri(image())]


def test_an_image_of_exactly_the_limit_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte more is refused."""
    monkeypatch.setattr(inputs, "UPLOAD_BYTES", len(image()))
    assert to_urls(image()) == [data_uri(image())]
    monkeypatch.setattr(inputs, "UPLOAD_BYTES", len(image()) - 1)
    assert "--shrink" in refused(image())


def test_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    """A video given by mistake does not fill the memory."""
    with (tmp_path / "video.mp4").open("wb") as video:
        video.truncate(20 * inputs.UPLOAD_BYTES + 1)
    assert "larger than 200 MB" in refused(tmp_path / "video.mp4", shrink=True)
    with (tmp_path / "video.mp4").open("rb") as video:
        assert "larger than 200 MB" in refused(video, shrink=True)


def test_a_missing_original_is_refused(tmp_path: Path) -> None:
    """So is a folder."""
    dog = result(tmp_path)
    dog[0].path.unlink()
    refused(dog)
    refused(tmp_path)


@pytest.mark.filterwarnings(
    "ignore::UserWarning"
)  # Pillow warns when the test opens the sent image
def test_damaged_exif_does_not_prevent_sending() -> None:
    """A photo with damaged EXIF is sent, upright if its orientation is readable."""
    for damaged in bent_photos(1000):
        assert opened(to_urls(damaged)[0]).size in ((60, 30), (30, 60))


BASE64 = base64.b64encode(image("jpeg")).decode()
URI = f"data:image/jpeg;base64,{BASE64}"


@pytest.mark.parametrize(
    "written",
    [
        URI,
        f" {URI}\n",
        f"DATA:IMAGE/JPEG;BASE64,{BASE64}",
        f"data:;base64,{BASE64}",
        f"data:image/png;charset=utf-8;base64,{BASE64}",
        f"data:image/jpeg;base64,{BASE64.rstrip('=')}",
        f"data:image/jpeg;base64,{BASE64.replace('+', '-').replace('/', '_')}",
        f"data:image/jpeg;base64,{BASE64.replace('+', '%2B').replace('/', '%2F')}",
        "data:image/jpeg;base64," + "\r\n".join(BASE64[n : n + 76] for n in range(0, 9999, 76)),
        "data:image/jpeg," + "".join(f"%{byte:02X}" for byte in image("jpeg")),
    ],
)
def test_data_uris_are_normalized(written: str) -> None:
    """Case, parameters, padding and line breaks are normalized; a standard one is unchanged."""
    assert to_urls(written) == read_source(written, {}) == to_urls([written]) == [URI]


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("data:image/png;base64,a*b", "base64 data is invalid"),
        ("data:image/png;base64,abcde", "base64 data is invalid"),
        ("data:image/png;base64", "no data"),
        ("data:image/png;base64,", "not a readable image"),
        ("data:,hello", "not a readable image"),
        (data_uri(image()[:-9]), "the PNG image is damaged"),
        ("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E", "an SVG drawing"),
    ],
)
def test_a_damaged_data_uri_is_refused(written: str, parts: str) -> None:
    """The message does not contain its bytes."""
    assert parts in refused(written)


def test_data_uris_have_the_size_limit_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--shrink` is suggested, and far larger ones are refused."""
    monkeypatch.setattr(inputs, "UPLOAD_BYTES", len(image("jpeg")) - 1)
    assert "--shrink" in refused(URI)
    monkeypatch.setattr(inputs, "UPLOAD_BYTES", 10)
    assert "larger than" in refused(URI, shrink=True)


@pytest.mark.parametrize(
    "written",
    [
        "  https://a.example/dog.png",
        "https://a.example/dog.png\n",
        "\u200bhttps://a.example/\n dog.png",
    ],
)
def test_whitespace_in_a_pasted_url_is_removed(written: str) -> None:
    """Spaces, line breaks and zero-width spaces, as copied from a web page."""
    expected = ["https://a.example/dog.png"]
    assert to_urls(written) == read_source(written, {}) == to_urls([written]) == expected


class Reader:
    """A reader without `seek` and `tell`."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def read(self) -> Any:
        """Return the content."""
        return self.content


def test_open_files_are_read_from_the_start(tmp_path: Path) -> None:
    """Their position is restored; text files and closed files are refused."""
    path = tmp_path / "dog.png"
    path.write_bytes(image())
    with path.open("rb") as file, tempfile.SpooledTemporaryFile() as spooled:
        file.seek(7)
        spooled.write(image())
        for value in (file, spooled, Reader(image()), io.BytesIO(image())):
            assert to_urls(value) == [data_uri(image())]
        assert file.tell() == 7
    assert "closed file" in refused(file)
    with path.open(encoding="latin-1") as text:
        assert "open the file in mode 'rb'" in refused(text)
    assert "read() returned NoneType instead of bytes" in refused(Reader(None))


def test_a_closed_pillow_image_is_refused() -> None:
    """Its pixels are gone."""
    closed = Image.new("RGB", (4, 4))
    closed.close()
    assert "not a readable image" in refused(closed)


def test_an_object_with_an_empty_images_attribute_is_refused() -> None:
    """Such as a matplotlib figure."""
    with pytest.raises(InvalidRequest, match="SimpleNamespace"):
        to_urls(SimpleNamespace(images=[]))


@pytest.mark.parametrize(
    "url",
    [
        *("http://xn--/a", "http://www.xn--.com/", "http://[::1", "https:///a"),
        *(
            "http://h:65536/",
            "http://h:0/",
            "http://h:abc/",
            f"http://h:{'9' * 5000}/",
            "http://u@",
        ),
        *(f"http://{'a' * 64}.example/", "http://a..b/", "http://\ud800/", "http://h/\ud800"),
    ],
)
def test_a_url_without_a_valid_host_is_refused(url: str) -> None:
    """Both on the magic line and as a value."""
    with pytest.raises(InvalidRequest, match="has no valid host or port") as caught:
        read_source(url, {})
    assert len(str(caught.value)) < 150
    with pytest.raises(InvalidRequest, match="has no valid host or port"):
        to_urls([url])


@pytest.mark.parametrize(
    "url",
    [
        *("http://localhost:8000/a b.png", "https://user:pass@a.example/é.png?q=\\", "http://a_b/"),
        *(
            "https://münchen.example/",
            "https://xn--n3h.net/",
            "http://[::1]:80/a",
            "http://[fd00::1]",
        ),
        *("http://127.1/", "https://a.example./", f"https://a.example/{'a' * 10_000}"),
    ],
)
def test_an_unusual_but_valid_url_is_accepted(url: str) -> None:
    """The Hub fetches it, so its content is not checked here."""
    assert read_source(url, {}) == to_urls(url) == [url]
