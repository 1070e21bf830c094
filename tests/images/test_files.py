"""Image files: only complete images pass, and no file is overwritten."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image, ImageFile
from sample_images import encoded, noise, stored_image

from mountsea_magic.images import files
from mountsea_magic.images.files import (
    FORMATS,
    BadImage,
    GeneratedImage,
    check,
    copy_into,
    file_stem,
    part_file,
    publish,
    sniff,
)

NOON = datetime(2026, 11, 23, 12, 0, 0)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("url", [None, "https://cdn.example/a"])
def test_check_returns_format_size_and_digest(tmp_path: Path, kind: str, url: str | None) -> None:
    """They come from the content, not from the file's name."""
    path = tmp_path / "image.bin"
    path.write_bytes(encoded(noise("RGB", 31, 17), kind))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert check(path, url=url) == GeneratedImage(path, kind, 31, 17, digest, url)


def test_a_changed_file_is_not_intact(tmp_path: Path) -> None:
    """A flipped bit, added or missing bytes, a missing file or a folder."""
    image = stored_image(tmp_path, noise("RGB", 31, 17))
    assert image.is_intact()
    original = image.bytes
    flipped = original[:-1] + bytes([original[-1] ^ 1])
    for content in (flipped, original + b"\0", original[:-1], b""):
        image.path.write_bytes(content)
        assert not image.is_intact()
    image.path.unlink()
    assert not image.is_intact()
    image.path.mkdir()
    assert not image.is_intact()
    image.path.rmdir()
    image.path.write_bytes(original)
    assert image.is_intact()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_truncated_image_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, lenient: bool, part: float
) -> None:
    """Even with Pillow's `LOAD_TRUNCATED_IMAGES`, whose value is restored."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    content = encoded(noise("RGB", 64, 64), kind)
    path = tmp_path / f"half.{kind}"
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(BadImage, match=r"decoding failed|is truncated"):
        check(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is lenient


def test_check_restores_pillows_leniency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a valid image, too."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    stored_image(tmp_path, noise("RGB", 8, 8))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG",
        b"<!DOCTYPE html><html></html>",
        b'{"detail": "expired"}',
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        encoded(Image.new("P", (4, 4)), "gif"),
        encoded(Image.new("RGB", (4, 4)), "bmp"),
        encoded(Image.new("RGB", (4, 4)), "tiff"),
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
    ],
    ids=range(9),
)
def test_other_formats_are_refused(tmp_path: Path, content: bytes) -> None:
    """Only the documented formats are decoded; an HTML page or a GIF is refused."""
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(BadImage, match="not a PNG, JPEG or WebP"):
        check(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0" + bytes(100),
        b"RIFF\x00\x00\x00\x00WEBP",
        b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(100),
        encoded(Image.new("RGB", (9, 9)), "png").replace(b"IDAT", b"IDOT"),
    ],
    ids=range(7),
)
def test_a_valid_signature_is_not_enough(tmp_path: Path, content: bytes) -> None:
    """A file with nothing valid after its signature raises `BadImage`, with a short message."""
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(BadImage) as caught:
        check(path)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("kind", FORMATS)
def test_the_pixel_limit_is_inclusive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """One pixel more is refused by the header."""
    path = tmp_path / "picture"
    path.write_bytes(encoded(Image.new("RGB", (10, 10)), kind))
    monkeypatch.setattr(files, "MAX_PIXELS", 100)
    assert check(path).width == 10
    monkeypatch.setattr(files, "MAX_PIXELS", 99)
    with pytest.raises(BadImage, match="10×10 exceeds the limit of 99 pixels"):
        check(path)


def test_pillows_own_pixel_limit_is_a_bad_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it is lower than ours."""
    path = tmp_path / "picture"
    path.write_bytes(encoded(Image.new("RGB", (10, 10)), "png"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(BadImage, match="more pixels"):
        check(path)


def test_a_missing_file_raises_file_not_found(tmp_path: Path) -> None:
    """Such as after the folder was cleaned up."""
    with pytest.raises(FileNotFoundError):
        check(tmp_path / "gone.png")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"RIFF\x00\x00\x00\x00WEBP", "webp"),
        (b"RIFF\x00\x00\x00\x00AVI ", None),
        (b"\x89PNG", None),
        (b"\xff\xd8", None),
        (b"GIF89a", None),
        (b"", None),
    ],
)
def test_formats_are_detected_by_their_first_bytes(head: bytes, kind: str | None) -> None:
    """Not by the headers of the download."""
    assert sniff(head) == kind


@pytest.mark.parametrize("kind", FORMATS)
def test_an_image_has_its_bytes_and_pixels(tmp_path: Path, kind: str) -> None:
    """The bytes are as received; the Pillow image does not depend on the file."""
    content = encoded(noise("RGB", 12, 8), kind)
    path = tmp_path / "picture"
    path.write_bytes(content)
    image = check(path)
    assert image.bytes == content
    assert image.mimetype == f"image/{kind}"
    pil = image.pil
    path.unlink()
    assert pil.size == (12, 8)
    assert pil.getpixel((11, 7)) is not None


def test_an_image_is_frozen_and_its_repr_has_the_path(tmp_path: Path) -> None:
    """The repr also has the size."""
    image = stored_image(tmp_path, Image.new("RGB", (12, 8)))
    assert repr(image) == f"Image({str(image.path)!r}, 12×8)"
    with pytest.raises(FrozenInstanceError):
        image.width = 1  # type: ignore[misc]  # that is the point


def test_an_image_is_saved_to_a_path_or_into_a_folder(tmp_path: Path) -> None:
    """The copy is identical; its path is returned."""
    image = stored_image(tmp_path, noise("RGB", 8, 8))
    folder = tmp_path / "folder"
    folder.mkdir()
    assert image.save(tmp_path / "a.png") == tmp_path / "a.png"
    assert image.save(str(folder)) == folder / "original.png"
    assert (tmp_path / "a.png").read_bytes() == image.bytes
    assert (folder / "original.png").read_bytes() == image.bytes


def test_save_never_overwrites(tmp_path: Path) -> None:
    """An existing file raises, whether given as a path or found in a folder."""
    image = stored_image(tmp_path, noise("RGB", 8, 8))
    other = tmp_path / "other.png"
    other.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        image.save(other)
    with pytest.raises(FileExistsError):
        image.save(tmp_path)
    assert other.read_bytes() == b"mine"
    with pytest.raises(FileNotFoundError):
        image.save(tmp_path / "no" / "folder" / "a.png")


def test_save_expands_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is expanded as in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert stored_image(tmp_path, noise("RGB", 8, 8)).save("~/a.png") == tmp_path / "a.png"


@pytest.mark.parametrize(
    ("prompt", "stem"),
    [
        ("A black lab!", "20261123-120000-a-black-lab-1f3a"),
        ("", "20261123-120000-1f3a"),
        ("犬 🐕", "20261123-120000-1f3a"),
        ("köpek", "20261123-120000-kpek-1f3a"),
        ("../../etc/passwd", "20261123-120000-etc-passwd-1f3a"),
        ("a\x00b\n/c\\d:e*f", "20261123-120000-a-b-c-d-e-f-1f3a"),
        ("CON", "20261123-120000-con-1f3a"),
        ("--- a ---", "20261123-120000-a-1f3a"),
        ("x" * 10_000, f"20261123-120000-{'x' * 32}-1f3a"),
        (f"{'x' * 31} y", f"20261123-120000-{'x' * 31}-1f3a"),
    ],
)
def test_file_names_sort_by_time_and_are_safe(prompt: str, stem: str) -> None:
    """ASCII letters, digits and hyphens only, and of limited length."""
    assert file_stem(prompt, "1f3a", NOON) == stem


def test_part_files_are_hidden_empty_and_unique(tmp_path: Path) -> None:
    """A missing folder is created."""
    folder = tmp_path / "a" / "b"
    parts = [part_file(folder) for _ in range(5)]
    assert len(set(parts)) == 5
    for part in parts:
        assert part.parent == folder
        assert part.name.startswith(".")
        assert part.read_bytes() == b""


def test_part_file_raises_if_the_folder_is_a_file(tmp_path: Path) -> None:
    """The error is an OSError."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError):
        part_file(tmp_path / "file")


def refuse_links(source: object, target: object) -> None:
    """Simulate a file system without hard links."""
    raise PermissionError("no hard links here")


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize(
    ("extension", "names"),
    [
        ("png", ["dog.png", "dog-2.png", "dog-3.png"]),
        ("webp", ["dog.webp", "dog-2.webp", "dog-3.webp"]),
        ("jpeg", ["dog.jpg", "dog-2.jpg", "dog-3.jpg"]),
    ],
)
def test_publish_never_overwrites(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    links: bool,
    extension: str,
    names: list[str],
) -> None:
    """If the name is taken a number is added, with or without hard links."""
    if not links:
        monkeypatch.setattr(os, "link", refuse_links)
    (tmp_path / names[0]).write_bytes(b"mine")
    published = []
    for content in (b"first", b"second"):
        part = part_file(tmp_path)
        part.write_bytes(content)
        published.append(publish(part, tmp_path, "dog", extension))
    assert [path.name for path in published] == names[1:]
    assert [path.read_bytes() for path in published] == [b"first", b"second"]
    assert (tmp_path / names[0]).read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted(names)


@pytest.mark.parametrize("links", [True, False])
def test_many_threads_can_publish_under_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Concurrent writers never overwrite each other's file."""
    if not links:
        monkeypatch.setattr(os, "link", refuse_links)

    def write_and_publish(number: int) -> Path:
        part = part_file(tmp_path)
        part.write_bytes(str(number).encode())
        return publish(part, tmp_path, "dog", "png")

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(write_and_publish, range(40)))
    assert len(set(paths)) == 40
    assert [int(path.read_bytes()) for path in paths] == list(range(40))


@pytest.mark.parametrize("links", [True, False])
def test_a_part_file_that_is_gone_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Whoever deletes it has given up; no empty file is left under the final name."""
    if not links:
        monkeypatch.setattr(os, "link", refuse_links)
    part = part_file(tmp_path)
    part.unlink()
    with pytest.raises(FileNotFoundError):
        publish(part, tmp_path, "dog", "png")
    assert list(tmp_path.iterdir()) == []


def test_copies_keep_their_name(tmp_path: Path) -> None:
    """A number is added if the name is taken; no part file remains."""
    image = stored_image(tmp_path, noise("RGB", 8, 8), "jpeg", "dog")
    folder = tmp_path / "new" / "folder"
    copies = [copy_into(image, folder) for _ in range(2)]
    assert [copy.name for copy in copies] == ["dog.jpg", "dog-2.jpg"]
    assert all(copy.read_bytes() == image.bytes for copy in copies)
    assert sorted(path.name for path in folder.iterdir()) == ["dog-2.jpg", "dog.jpg"]


def test_a_failed_copy_leaves_no_file(tmp_path: Path) -> None:
    """A missing original raises FileNotFoundError."""
    image = stored_image(tmp_path, noise("RGB", 8, 8))
    image.path.unlink()
    with pytest.raises(FileNotFoundError):
        copy_into(image, tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []


def test_copy_raises_if_the_folder_is_a_file(tmp_path: Path) -> None:
    """The error is an OSError."""
    image = stored_image(tmp_path, noise("RGB", 8, 8))
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(FileExistsError):
        copy_into(image, tmp_path / "taken")
