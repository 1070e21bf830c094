"""Input images: whatever a user calls an image arrives whole, upright and unchanged."""

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
    """Decode the image of a data URI, whose media type must be true."""
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
    """Return what is said of a value that must be refused, in one safe line."""
    with pytest.raises(InvalidRequest) as caught:
        to_urls(value, label="--image it", **options)
    said = str(caught.value)
    assert said.startswith("--image it: ") and "\n" not in said and len(said) < 300
    return said


def on_disk(folder: Path, number: int = 0) -> GeneratedImage:
    """Keep an image as an original."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{number}.png"
    path.write_bytes(image("png", number))
    return check(path)


def result(folder: Path, count: int = 2) -> Generation:
    """A completed generation of some images."""
    made = Generation(build_request("a dog"))
    made.images = tuple(on_disk(folder, number) for number in range(count))
    return made


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, io.BytesIO, Path, str])
def test_a_whole_image_is_sent_byte_for_byte(tmp_path: Path, kind: str, wrap: Any) -> None:
    """PNG, JPEG and WebP go out as they are, from a file or from memory."""
    content = image(kind)
    path = tmp_path / "wrong-ending.txt"
    path.write_bytes(content)
    (url,) = to_urls(wrap(path) if wrap in (Path, str) else wrap(content))
    assert decoded(url) == (f"image/{kind}", content)


@pytest.mark.parametrize(
    "address",
    [
        "https://a.example/dog.png?x=1",
        "http://a.example/",
        "HTTPS://A.example",
        data_uri(image()),
    ],
)
def test_addresses_are_passed_on(address: str) -> None:
    """The Hub fetches them; nothing is asked here."""
    assert to_urls(address) == read_source(address, {}) == [address]


@pytest.mark.parametrize(
    ("word", "numbers"),
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
def test_variables_are_found(tmp_path: Path, word: str, numbers: list[int]) -> None:
    """A result counts as all its images; order is kept."""
    dog = result(tmp_path)
    variables = {
        "dog": dog,
        "one": dog[1],
        "mixed": [image("png", 1), dog, tmp_path / "0.png"],
        "köpek": (dog[0],),
        "content": image("png", 1),
    }
    found = [decoded(url)[1] for url in read_source(word, variables)]
    assert found == [image("png", number) for number in numbers]


def test_a_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the working folder and from the home folder, blanks and all."""
    (tmp_path / "my dog.png").write_bytes(image())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for word in ("my dog.png", "./my dog.png", str(tmp_path / "my dog.png"), "~/my dog.png"):
        assert read_source(word, {}) == [data_uri(image())]


@pytest.mark.parametrize(
    ("word", "words"),
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
def test_what_is_no_image_is_refused(tmp_path: Path, word: str, words: list[str]) -> None:
    """In one line that names the word as it was typed."""
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
        read_source(word, variables)
    said = str(caught.value)
    for expected in words:
        assert expected in said
    assert "\x1b" not in said and "\n" not in said and len(said) < 300


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
    """In a mode that PNG has; the image keeps its size."""
    (url,) = to_urls(Image.new(mode, (6, 4)))
    image = opened(url)
    assert image.format == "PNG" and image.size == (6, 4)
    assert image.mode == sent


def test_sixteen_bits_become_eight() -> None:
    """A grey stays the same grey: cut off at 255, all would be white, and paid for."""
    assert opened(to_urls(Image.new("I;16", (6, 4), 30_000))[0]).getpixel((0, 0)) == 116


@pytest.mark.parametrize("mode", ["I", "F"])
def test_an_image_without_black_and_white_is_refused(mode: str) -> None:
    """What its numbers mean is the user's to say; the error names their range."""
    with pytest.raises(InvalidRequest, match=r"7 to 7.*scale it to 0\.\.255"):
        to_urls(Image.new(mode, (6, 4), 7))


@pytest.mark.parametrize("size", [(0, 0), (0, 5)])
def test_an_image_of_no_size_is_refused(size: tuple[int, int]) -> None:
    """There is nothing to send."""
    refused(Image.new("RGB", size))


def test_transparency_is_kept() -> None:
    """A mask is nothing but transparency."""
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    image.putpixel((1, 0), (0, 255, 0, 128))
    sent = opened(to_urls(image)[0])
    assert [sent.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0, 0), (0, 255, 0, 128)]


def test_the_users_image_is_left_alone() -> None:
    """It is not turned, converted or closed in place."""
    image = Image.new("CMYK", (3, 2))
    to_urls(image)
    assert (image.mode, image.size) == ("CMYK", (3, 2))
    image.load()


class Array:
    """What numpy's array protocol asks for, without numpy: bytes with a shape."""

    def __init__(self, content: bytes, shape: tuple[int, ...], typestr: str = "|u1") -> None:
        """Say what it is."""
        self.content = content
        self.shape = shape
        self.__array_interface__ = {
            "shape": shape, "typestr": typestr, "data": content, "strides": shape,
        }  # fmt: skip

    def tobytes(self) -> bytes:
        """Pillow asks for this."""
        return self.content


def test_whatever_speaks_numpys_protocol_is_an_image() -> None:
    """Other libraries' arrays do; they need not have numpy's dtype."""
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
    """Height by width, of bytes, of floats from 0 to 1, or of truths."""
    numpy = pytest.importorskip("numpy")
    image = opened(to_urls(numpy.ones(shape, kind))[0])
    assert image.size == (6, 4) and image.mode == mode
    assert set(image.tobytes()) == ({1} if kind == "uint8" else {255})


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((5,), "uint8"), ((2, 2, 7), "uint8"), ((2, 2, 7), "int64"), ((2, 2), "complex64"),
     ((0, 0, 3), "uint8"), ((2, 2, 2, 3), "uint8"), ((), "uint8"), ((2, 2), "U1")],
)  # fmt: skip
def test_other_arrays_are_refused(shape: tuple[int, ...], kind: str) -> None:
    """With their shape and type, or as what they are: no image."""
    numpy = pytest.importorskip("numpy")
    refused(numpy.zeros(shape, kind))


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
def test_an_arrays_numbers_are_kept_or_refused(kind: str, level: float, grey: int | None) -> None:
    """Cut off at its ends, an image would be all black or white, and be paid for."""
    numpy = pytest.importorskip("numpy")
    array = numpy.full((4, 6, 3), level, kind)
    if grey is None:
        with pytest.raises(InvalidRequest, match=r"must have values from 0 to .*scale it first"):
            to_urls(array)
    else:
        assert set(opened(to_urls(array)[0]).tobytes()) == {grey}


def test_floats_that_are_no_numbers_warn_of_nothing() -> None:
    """A hole in the data is black, or refused; it is no warning that fails a lesson."""
    numpy = pytest.importorskip("numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            to_urls(numpy.full((2, 2, 3), numpy.nan))
        except InvalidRequest as error:
            assert "image" in str(error)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("turn", range(2, 9))
def test_an_image_is_sent_upright(kind: str, turn: int) -> None:
    """A camera's note about orientation is obeyed, and gone: not every model reads it."""
    image = Image.new("RGB", (32, 16), "blue")
    image.paste("red", (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = turn
    (url,) = to_urls(encoded(image, kind, exif=exif))
    sent = opened(url)
    assert sent.getexif().get(0x0112, 1) == 1
    assert sent.size == ((32, 16) if turn < 5 else (16, 32))
    corner = {2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}[turn]
    place = tuple(side * 3 // 4 if far else side // 4
                  for side, far in zip(sent.size, corner, strict=True))  # fmt: skip
    colour = sent.convert("RGB").getpixel((place[0], place[1]))
    assert isinstance(colour, tuple) and colour[0] > 150 > colour[2]


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_become_png(kind: str) -> None:
    """What Pillow reads and the Hub may not know is sent as PNG, pixel for pixel."""
    image = Image.new("RGB", (5, 3), "red")
    sent = opened(to_urls(encoded(image, kind))[0])
    assert sent.format == "PNG" and sent.convert("RGB").tobytes() == image.tobytes()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9])
def test_half_an_image_is_refused(kind: str, part: float) -> None:
    """An edit of half a file would be paid for."""
    content = image(kind, size=(300, 200))
    said = refused(content[: int(len(content) * part)])
    assert ("is damaged: " if part else "not a readable image") in said


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 500, b"\xff" * 500])
def test_other_bytes_are_refused(content: bytes) -> None:
    """They are not an image."""
    assert "not a readable image" in refused(content)


def bomb(side: int) -> bytes:
    """A tiny PNG that claims to be huge."""

    def chunk(name: bytes, body: bytes) -> bytes:
        check_sum = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check_sum

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_200, 9_500, 12_000, 20_000, 60_000])
def test_pixel_bombs_are_refused_undecoded(side: int) -> None:
    """By their own claim of size, without a warning, whatever Pillow's own limit is."""
    refused(bomb(side))


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """An image that does not pack."""
    grey = Image.effect_noise((width, height), 90)
    return Image.merge(
        mode, [grey.rotate(90 * turn).resize(grey.size) for turn in range(len(mode))]
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(400, 300), (900, 20)])
def test_what_is_too_large_is_refused_or_shrunk(
    kind: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal names the way out, which keeps the shape and fits."""
    monkeypatch.setattr(inputs, "UPLOAD_BYTES", 5_000)
    content = encoded(noise(*size), kind)
    assert "--shrink scales it down to fit" in refused(content)
    (url,) = to_urls(content, shrink=True)
    sent = opened(url)
    assert len(decoded(url)[1]) <= 5_000
    assert sent.width < size[0]
    assert sent.width / sent.height == pytest.approx(size[0] / size[1], rel=0.3)


def test_shrinking_leaves_alone_what_fits(tmp_path: Path) -> None:
    """It is byte for byte the same."""
    assert to_urls(image(), shrink=True) == [data_uri(image())]


def test_the_limit_itself_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte more is not."""
    monkeypatch.setattr(inputs, "UPLOAD_BYTES", len(image()))
    assert to_urls(image()) == [data_uri(image())]
    monkeypatch.setattr(inputs, "UPLOAD_BYTES", len(image()) - 1)
    assert "--shrink" in refused(image())


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    """A video that was named by mistake does not fill the memory."""
    with (tmp_path / "film.mp4").open("wb") as film:
        film.truncate(20 * inputs.UPLOAD_BYTES + 1)
    assert "larger than 200 MB" in refused(tmp_path / "film.mp4", shrink=True)
    with (tmp_path / "film.mp4").open("rb") as film:
        assert "larger than 200 MB" in refused(film, shrink=True)


def test_an_original_that_is_gone_is_refused(tmp_path: Path) -> None:
    """And a folder is no image."""
    dog = result(tmp_path)
    dog[0].path.unlink()
    refused(dog)
    refused(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns as the test opens what was sent
def test_damaged_metadata_harm_no_image() -> None:
    """A photo with any bytes of its EXIF bent is sent, upright as far as that can be told."""
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
def test_a_data_uri_is_sent_as_the_standard_writes_it(written: str) -> None:
    """Whatever its letters, parameters, padding and lines; a standard one stays as it is."""
    assert to_urls(written) == read_source(written, {}) == to_urls([written]) == [URI]


@pytest.mark.parametrize(
    ("written", "words"),
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
def test_a_damaged_data_uri_is_refused(written: str, words: str) -> None:
    """Before anything is paid, and without its bytes."""
    assert words in refused(written)


def test_a_data_uri_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file is."""
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
def test_blanks_around_a_url_go(written: str) -> None:
    """They come with what is copied."""
    expected = ["https://a.example/dog.png"]
    assert to_urls(written) == read_source(written, {}) == to_urls([written]) == expected


class Reader:
    """What can be read, and no more."""

    def __init__(self, content: Any) -> None:
        """Say what is in it."""
        self.content = content

    def read(self) -> Any:
        """Read it all."""
        return self.content


def test_open_files_are_images(tmp_path: Path) -> None:
    """Of every kind; they are read from their start, and left where they were."""
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


def test_what_only_has_a_list_of_images_is_no_result() -> None:
    """A figure of matplotlib has one, which is empty."""
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
def test_a_url_without_a_host_is_refused_before_anything_is_paid(url: str) -> None:
    """On the line and as a value; no host could ever deliver it to the Hub."""
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
def test_an_odd_url_of_a_host_is_the_hubs_to_fetch(url: str) -> None:
    """What is behind it is not known here."""
    assert read_source(url, {}) == to_urls(url) == [url]
