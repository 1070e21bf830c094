"""Images for tests, the same in each run."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from mountsea_magic.images.files import GeneratedImage, check


def noise(mode: str, width: int, height: int) -> Image.Image:
    """Create an image of random noise, which compresses worst."""
    data = random.Random(7).randbytes(width * height * len(mode))
    return Image.frombytes(mode, (width, height), data)


def encoded(image: Image.Image, kind: str) -> bytes:
    """Encode an image in one of the Hub's formats."""
    buffer = io.BytesIO()
    image.save(buffer, kind.upper())
    return buffer.getvalue()


def stored_image(
    folder: Path, image: Image.Image, kind: str = "png", name: str = "original"
) -> GeneratedImage:
    """Write an image to disk and check it, as a download does."""
    path = folder / f"{name}.{kind}"
    path.write_bytes(encoded(image, kind))
    return check(path)


def bent_photos(count: int) -> Iterator[bytes]:
    """Yield rotated photos, each with some corrupted bytes in its EXIF."""
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010E: "a dog", 0x829A: 0.5, 0x8827: 100})
    buffer = io.BytesIO()
    Image.new("RGB", (60, 30), "teal").save(buffer, "JPEG", exif=exif)
    start = buffer.getvalue().index(b"Exif") + 6
    end = start - 8 + int.from_bytes(buffer.getvalue()[start - 8 : start - 6])
    for seed in range(count):
        rng, bent = random.Random(seed), bytearray(buffer.getvalue())
        for _ in range(rng.randint(1, 4)):
            bent[rng.randrange(start, end)] = rng.randrange(256)
        yield bytes(bent)
