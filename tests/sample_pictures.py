"""Pictures for tests: noise, which compresses worst, the same in each run."""

from __future__ import annotations

import io
import random
from pathlib import Path

from PIL import Image

from mountsea_magic.pictures import Picture, check


def noise(mode: str, width: int, height: int) -> Image.Image:
    """Make the picture that compresses worst, the same in each run."""
    data = random.Random(7).randbytes(width * height * len(mode))
    return Image.frombytes(mode, (width, height), data)


def encoded(image: Image.Image, kind: str) -> bytes:
    """Encode a picture in one of the Hub's formats."""
    buffer = io.BytesIO()
    image.save(buffer, kind.upper())
    return buffer.getvalue()


def kept(folder: Path, image: Image.Image, kind: str = "png", name: str = "original") -> Picture:
    """Put a picture on disk and check it, as a download does."""
    path = folder / f"{name}.{kind}"
    path.write_bytes(encoded(image, kind))
    return check(path)
