"""Image files that are small, but huge or slow to decode."""

from __future__ import annotations

import io
import os
import random
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from mountsea_magic.runtime.daemon_threads import DaemonThreads
from mountsea_magic.runtime.limited_process import Result, run_limited


def segment(code: int, body: bytes) -> bytes:
    """Build a JPEG segment."""
    return bytes((0xFF, code)) + struct.pack(">H", len(body) + 2) + body


def chunk(name: bytes, body: bytes) -> bytes:
    """Build a PNG chunk."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def scanned_jpeg(width: int, height: int, scans: int) -> bytes:
    """Build a black progressive JPEG with many scans, each over all pixels."""
    blocks = -(-width // 8) * -(-height // 8)
    head = segment(0xDB, b"\0" + bytes([1] * 64))
    head += segment(0xC2, struct.pack(">BHHB3B", 8, height, width, 1, 1, 0x11, 0))
    head += segment(0xC4, b"\0\1" + bytes(16)) + segment(0xC4, b"\x10\1" + bytes(15) + b"\xe0")
    first = segment(0xDA, b"\1\1\0\0\0\1") + bytes((blocks + 7) // 8)
    more = segment(0xDA, b"\1\1\0\1\x3f\0") + bytes((15 * -(-blocks // 16384) + 7) // 8)
    return b"\xff\xd8" + head + first + more * (scans - 1) + b"\xff\xd9"


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    """Build a WebP file from chunks."""
    body = b"".join(
        name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
        for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def canvas(width: int, height: int) -> tuple[bytes, bytes]:
    """Build the WebP chunk that declares the size."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X", bytes(4) + sides


def with_exif(kind: str, image: Image.Image, exif: bytes) -> bytes:
    """Encode an image with the given bytes as its EXIF."""
    buffer = io.BytesIO()
    if kind == "webp":
        image.save(buffer, "WEBP", exif=b"Exif\0\0" + exif)
        return buffer.getvalue()
    image.save(buffer, kind.upper())
    content = buffer.getvalue()
    if kind == "png":
        at = content.index(b"IDAT") - 4
        return content[:at] + chunk(b"eXIf", exif) + content[at:]
    # without its first segment: with it, Pillow would read the resolution from EXIF
    after = 4 + int.from_bytes(content[4:6])
    pieces = [exif[n : n + 65_000] for n in range(0, max(1, len(exif)), 65_000)]
    return b"\xff\xd8" + b"".join(segment(0xE1, b"Exif\0\0" + p) for p in pieces) + content[after:]


def exif_of(turn: int, *entries: tuple[int, int, int, int], order: str = "<") -> bytes:
    """Build EXIF: entries of (tag, type, count, value), then an orientation."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", 8)
    table = b"".join(struct.pack(f"{order}HHLL", *entry) for entry in entries)
    table += struct.pack(f"{order}HHLHH", 0x0112, 3, 1, turn, 0)
    return head + struct.pack(f"{order}H", len(entries) + 1) + table + bytes(4)


def bent_exif(count: int) -> Iterator[bytes]:
    """Yield EXIF that is truncated, corrupted, cyclic, or declares huge values."""
    far = 2**32 - 1
    whole = [
        exif_of(6, (0x010E, 2, 40, 8), (0x829A, 5, 1, 30), (0x8769, 4, 1, 8), order=order)
        for order in "<>"
    ]
    yield from (b"", b"II", b"II*\0", b"MM\0*\0\0\0\x08", b"II+\0" + bytes(30), bytes(99))
    for value in (0, 8, 26, far):
        yield exif_of(6, *((0x9000 + n, 7, far, value) for n in range(9)))
        yield exif_of(6, (0x014A, 4, 1, value), (0x8769, 13, 1, value), (0x8825, 4, far, value))
    for seed in range(count):
        rng = random.Random(seed)
        bent = bytearray(whole[seed % 2])
        for _ in range(rng.randint(1, 6)):
            bent[rng.randrange(len(bent))] = rng.randrange(256)
        yield bytes(bent[: rng.randrange(len(bent))] if seed % 3 == 0 else bent)


@contextmanager
def held_process(folder: Path, abandoned: threading.Event) -> Iterator[Future[Result]]:
    """Run a decoder process that blocks on an endless file until the block ends."""
    pipe = folder / "endless"
    os.mkfifo(pipe)
    job = DaemonThreads().submit(
        run_limited, "mountsea_magic.images.files", "_measure", [str(pipe), "png", 99], abandoned
    )
    with pipe.open("wb"):  # blocks until the decoder opens it
        yield job
