"""Thumbnails that are kept: small, made once, made again if lost, and never fatal."""

from __future__ import annotations

import io
import os
import stat
import threading
import time
from pathlib import Path

import pytest
from PIL import Image
from sample_images import noise, stored_image

from mountsea_magic.images import thumbnail_cache
from mountsea_magic.images.files import FORMATS, GeneratedImage
from mountsea_magic.images.previews import NoPreview, Preview
from mountsea_magic.images.thumbnail_cache import (
    MAX_THUMBNAIL_BYTES,
    MIN_THUMBNAIL_BYTES,
    cached_thumbnail,
    find_cached_thumbnail,
    prune,
)


@pytest.fixture
def folder(home: Path) -> Path:
    """The folder of the thumbnails, which does not exist yet."""
    return home / "thumbnails"


@pytest.fixture
def image(tmp_path: Path) -> GeneratedImage:
    """An image of noise, which compresses worst."""
    return stored_image(tmp_path, noise("RGB", 320, 180))


def decoded(made: Preview) -> Image.Image:
    """Decode a thumbnail, which must be what it says."""
    image = Image.open(io.BytesIO(made.data))
    image.load()
    assert f"image/{(image.format or '').lower()}" == made.mimetype
    assert image.size == (made.width, made.height)
    return image


def kept_files(folder: Path) -> list[Path]:
    """Return all files in the folder."""
    return sorted(folder.iterdir())


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [(320, 180), (180, 320), (64, 48), (96, 96), (900, 2)])
def test_a_thumbnail_has_96_pixels_and_6000_bytes(
    tmp_path: Path, folder: Path, kind: str, size: tuple[int, int]
) -> None:
    """Its longest side has 96 pixels, whatever the size and format of the image."""
    made = cached_thumbnail(stored_image(tmp_path, noise("RGB", *size), kind), folder)
    assert max(decoded(made).size) == 96
    assert len(made.data) <= MAX_THUMBNAIL_BYTES


@pytest.mark.parametrize("webp", [True, False])
@pytest.mark.parametrize("limit", [3000, 1600, MIN_THUMBNAIL_BYTES])
def test_a_smaller_limit_is_kept_even_for_noise(
    monkeypatch: pytest.MonkeyPatch, image: GeneratedImage, folder: Path, limit: int, webp: bool
) -> None:
    """The quality, then the size give way; also where Pillow writes no WebP."""
    if not webp:
        monkeypatch.setattr(thumbnail_cache, "_kinds", lambda: ("jpeg",))
    made = cached_thumbnail(image, folder, max_bytes=limit)
    assert len(made.data) <= limit and max(decoded(made).size) >= 24
    assert webp or made.mimetype == "image/jpeg"


def test_a_thumbnail_that_is_small_enough_is_not_encoded_again(
    tmp_path: Path, folder: Path
) -> None:
    """A plain image keeps within a smaller limit, too: there is one file."""
    plain = stored_image(tmp_path, Image.new("RGB", (320, 180), "teal"))
    assert cached_thumbnail(plain, folder, max_bytes=1600) == cached_thumbnail(plain, folder)
    assert len(kept_files(folder)) == 1


@pytest.mark.parametrize("limit", [MAX_THUMBNAIL_BYTES, 800])
def test_a_thumbnail_is_made_once(
    monkeypatch: pytest.MonkeyPatch, image: GeneratedImage, folder: Path, limit: int
) -> None:
    """The second time it is read from the folder, without the original."""
    assert find_cached_thumbnail(image, folder, max_bytes=limit) is None
    made = cached_thumbnail(image, folder, max_bytes=limit)
    image.path.unlink()
    assert cached_thumbnail(image, folder, max_bytes=limit) == made
    assert find_cached_thumbnail(image, folder, max_bytes=limit) == made


def test_files_are_private_and_named_by_the_digest(image: GeneratedImage, folder: Path) -> None:
    """Prompts and paths are in no name."""
    cached_thumbnail(image, folder, max_bytes=800)
    assert [path.name for path in kept_files(folder)] == [image.sha256, f"{image.sha256}-800"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept_files(folder)} == {0o600}


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff", b"<svg onload=alert(1)>", os.urandom(9_000)]
)
def test_a_damaged_file_is_made_again(image: GeneratedImage, folder: Path, content: bytes) -> None:
    """Cut, foreign and too large files are replaced."""
    made = cached_thumbnail(image, folder)
    (path,) = kept_files(folder)
    whole = path.read_bytes()
    for damaged in (content, whole[:-1], whole[:40] + b"\0\0" + whole[42:]):
        path.write_bytes(damaged)
        assert find_cached_thumbnail(image, folder) is None
        assert cached_thumbnail(image, folder) == made
        assert path.read_bytes() == whole


def test_a_folder_in_the_files_place_is_ignored(image: GeneratedImage, folder: Path) -> None:
    """The thumbnail is made each time; no temporary file is left."""
    (folder / image.sha256).mkdir(parents=True)
    assert cached_thumbnail(image, folder) == cached_thumbnail(image, folder)
    assert [path.name for path in kept_files(folder)] == [image.sha256]


def test_without_a_usable_folder_it_is_made_each_time(image: GeneratedImage, home: Path) -> None:
    """A file is in the folder's place."""
    home.mkdir(exist_ok=True)
    (home / "thumbnails").write_text("mine")
    assert cached_thumbnail(image, home / "thumbnails").data
    assert (home / "thumbnails").read_text() == "mine"


def test_a_name_that_is_no_digest_is_never_a_path(
    tmp_path: Path, folder: Path, image: GeneratedImage
) -> None:
    """The digest of an image that was not checked can be any text; it has no thumbnail."""
    forged = GeneratedImage(image.path, "png", 320, 180, f"../{'a' * 61}")
    with pytest.raises(NoPreview, match="changed"):
        cached_thumbnail(forged, folder)
    assert not folder.exists()


def test_a_file_that_is_gone_changed_or_damaged_has_no_thumbnail(
    tmp_path: Path, folder: Path, image: GeneratedImage
) -> None:
    """The reason says which; nothing is kept."""
    image.path.write_bytes(image.bytes + b"x")
    with pytest.raises(NoPreview, match="the file was changed"):
        cached_thumbnail(image, folder)
    image.path.unlink()
    with pytest.raises(NoPreview, match="the file is gone"):
        cached_thumbnail(image, folder)
    image.path.mkdir()
    with pytest.raises(NoPreview, match="can't be read"):
        cached_thumbnail(image, folder)
    assert not folder.exists()


def test_threads_may_make_the_same_thumbnail_at_once(image: GeneratedImage, folder: Path) -> None:
    """All get it, and one whole file is left."""
    made: list[Preview] = []
    threads = [
        threading.Thread(target=lambda: made.append(cached_thumbnail(image, folder)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [find_cached_thumbnail(image, folder)] * 8
    assert len(kept_files(folder)) == 1


def test_the_oldest_files_are_pruned(folder: Path) -> None:
    """So are temporary files of killed processes, but not those that are being written."""
    folder.mkdir(parents=True)
    now = time.time()
    for age in range(30):
        (folder / f"{age:02d}").write_bytes(b"x")
        os.utime(folder / f"{age:02d}", (now - age, now - age))
    for name, age in ((".a.part", 2 * 3600), (".b.part", 1)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (now - age, now - age))
    prune(folder, max_files=30)
    assert len(kept_files(folder)) == 31
    prune(folder, max_files=20)
    assert [path.name for path in kept_files(folder)] == [
        ".b.part",
        *(f"{age:02d}" for age in range(18)),
    ]


def test_pruning_happens_by_itself(
    monkeypatch: pytest.MonkeyPatch, image: GeneratedImage, folder: Path
) -> None:
    """Writing counts the files now and then."""
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / str(number)).write_bytes(b"x")
        os.utime(folder / str(number), (number, number))
    monkeypatch.setattr(thumbnail_cache, "_PRUNE_INTERVAL", 1)
    monkeypatch.setattr(prune, "__kwdefaults__", {"max_files": 10})
    cached_thumbnail(image, folder)
    assert len(kept_files(folder)) == 9 and (folder / image.sha256).exists()
