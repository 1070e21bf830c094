"""Measure images from their bytes to the displayed preview: ``python tests/benchmarks/images.py``.

Each measurement has a process of its own, since only a process knows its peak memory.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageFilter
from report import OURS, Figure, markdown_table

SECTION = "Images"

IPYTHON, PILLOW, LIMIT = "IPython.display.Image", "Pillow image", "limit: one decode by Pillow"

SIZES = {"1024²": (1024, 1024), "4K": (3840, 2160)}

ENCODINGS: dict[str, dict[str, Any]] = {
    "png": {},
    "jpeg": {"quality": 92},
    "webp": {"quality": 90},
}

UNREAD = (
    "IPython passes the original on unread, with `width=` and `retina=` too: it neither checks, "
    "saves nor shrinks it."
)
TWO_DECODES = "Ours decodes it twice, once to check all of it and once for the preview."
LIBWEBP = "libwebp holds three copies of its own."

_OCTAVES = range(2, 10)

_PRELOADED = [
    "IPython.core.formatters",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.WebPImagePlugin",
    "mountsea_magic.generation.handle",
    "mountsea_magic.notebook.outputs",
]


def photograph(width: int, height: int) -> Image.Image:
    """Draw what compresses as a photograph does: gradients, edges, texture of all scales, grain.

    The texture is noise of eight scales with the same contrast, since the spectrum of photographs
    falls with the frequency. A PNG of 1024×1024 pixels has 2.1 MB, a JPEG of quality 92 has 0.4 MB.
    """
    rng = random.Random(7)
    gradient = Image.linear_gradient("L")
    planes = [gradient.rotate(angle).resize((width, height)) for angle in (0, 20, 160)]
    base = Image.new("RGB", (width, height), (118, 110, 96))
    image = Image.blend(Image.merge("RGB", planes), base, 0.5)
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        color = tuple(rng.choices(range(50, 200), k=3))
        left, top, radius = (rng.randrange(side) for side in (width, height, height // 8))
        draw.ellipse((left, top, left + 2 * radius, top + 2 * radius), fill=color)
        ends = (left, top, rng.randrange(width), rng.randrange(height))
        draw.line(ends, fill=color, width=max(1, height // 300))
    image = image.filter(ImageFilter.GaussianBlur(height / 1500))
    contrast = [128 + round((level - 128) * 0.22) for level in range(256)]
    for cells in (2**octave for octave in _OCTAVES):
        columns = cells * width // height
        noise = Image.frombytes("L", (columns, cells), rng.randbytes(columns * cells))
        texture = noise.resize((width, height), Image.Resampling.BICUBIC).point(contrast)
        image = ImageChops.add(image, texture.convert("RGB"), offset=-128)
    return ImageChops.add(image, _grain(width, height, rng), offset=-128)


def _grain(width: int, height: int, rng: random.Random) -> Image.Image:
    """A sensor's noise around 128, made of one tile that is shifted."""
    side = 256
    levels = bytes(round(min(max(rng.gauss(128, 2), 118), 138)) for _ in range(3 * side * side))
    tile, grain = Image.frombytes("RGB", (side, side), levels), Image.new("RGB", (width, height))
    for top in range(0, height, side):
        for left in range(0, width, side):
            shifted = ImageChops.offset(tile, rng.randrange(side), rng.randrange(side))
            grain.paste(shifted, (left, top))
    return grain


def show_by_package(content: bytes, folder: Path) -> Any:
    """Save, check and publish a file as a download does, and return what its cell displays."""
    from mountsea_magic.generation.handle import Generation
    from mountsea_magic.images.files import check, file_stem, part_file, publish
    from mountsea_magic.notebook.outputs import image_bundle
    from mountsea_magic.runtime.daemon_threads import DaemonThreads

    part = part_file(folder)
    part.write_bytes(content)
    image = DaemonThreads().submit(check, part).result()
    path = publish(part, folder, file_stem("a dog", "1f3a", datetime.now()), image.format)
    generation = Generation(None, task_id="hub-1")
    return image_bundle(generation, replace(image, path=path), 1)


def show_by_ipython(content: bytes, folder: Path) -> Any:
    """Return what a cell displays that ends with ``Image(data=content)``."""
    from IPython.display import Image as Shown

    return _formatter().format(Shown(data=content))  # type: ignore[no-untyped-call]  # IPython's are untyped


def show_by_pillow(content: bytes, folder: Path) -> Any:
    """Return what a cell displays that ends with a Pillow image."""
    return _formatter().format(Image.open(io.BytesIO(content)))


@cache
def _formatter() -> Any:
    """The formatter of a shell, which a kernel makes once."""
    from IPython.core.formatters import DisplayFormatter

    return DisplayFormatter()


def decode_only(content: bytes, folder: Path) -> Any:
    """Decode the whole image once, which is the least that finds a truncated file."""
    Image.open(io.BytesIO(content)).load()
    return {}, {}


CLIENTS: dict[str, Callable[[bytes, Path], Any]] = {
    OURS: show_by_package,
    IPYTHON: show_by_ipython,
    PILLOW: show_by_pillow,
    LIMIT: decode_only,
}


def measure_once(client: str, path: Path, warm_up: Path, sent: Any) -> None:
    """Run one client in this process, which is a new one; sends milliseconds, MB and kB.

    Args:
        client: One of `CLIENTS`.
        path: The image.
        warm_up: A small image of the same format, which is shown before.
        sent: The connection that the result is sent to.
    """
    show = CLIENTS[client]
    with tempfile.TemporaryDirectory() as folder:
        show(warm_up.read_bytes(), Path(folder))
        content = path.read_bytes()
        before_mb, started = _peak_mb(), time.perf_counter()
        data, metadata = show(content, Path(folder))
        # as the kernel encodes the message, and Jupyter the notebook
        output = json.dumps({"data": _encodable(data), "metadata": metadata}) if data else ""
        took_ms = 1000 * (time.perf_counter() - started)
        sent.send((took_ms, _peak_mb() - before_mb, len(output) / 1000))


def _peak_mb() -> float:
    """The most memory that this process has had so far, in megabytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _encodable(data: dict[str, Any]) -> dict[str, str]:
    """Encode bytes in base64, as IPython does for a message."""
    from base64 import b64encode

    return {
        kind: b64encode(value).decode() if isinstance(value, bytes) else value
        for kind, value in data.items()
    }


def measure(runs: int = 7) -> list[Figure]:
    """Measure all clients with all images, in turn.

    Args:
        runs: How often.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    values = defaultdict[tuple[str, str], list[tuple[float, float, float]]](list)
    with tempfile.TemporaryDirectory() as folder:
        images = _write_images(Path(folder))
        for _ in range(runs):
            for case, (path, warm_up, _) in images.items():
                for client in CLIENTS:
                    if client == PILLOW and not case.startswith("1024²"):
                        continue  # it takes ten seconds to encode a 4K PNG
                    received, sent = context.Pipe(duplex=False)
                    process = context.Process(
                        target=measure_once, args=(client, path, warm_up, sent)
                    )
                    process.start()
                    sent.close()
                    values[case, client].append(received.recv())
                    process.join()
        return [
            figure
            for (case, client), of_runs in values.items()
            for figure in _figures(case, client, of_runs, images[case][2])
        ]


def _write_images(folder: Path) -> dict[str, tuple[Path, Path, float]]:
    """Return each case's image, a small one of its format, and its decoded size in megabytes."""
    images = dict[str, tuple[Path, Path, float]]()
    for name, (width, height) in SIZES.items():
        image = photograph(width, height)
        for kind, options in ENCODINGS.items():
            path, warm_up = folder / f"{name}.{kind}", folder / f"small.{kind}"
            image.save(path, kind, **options)
            image.resize((64, 64)).save(warm_up, kind, **options)
            case = f"{name} {kind.upper()}, {path.stat().st_size / 1e6:.1f} MB"
            images[case] = path, warm_up, 3 * width * height / 1e6
    return images


def _figures(
    case: str, client: str, of_runs: list[tuple[float, float, float]], decoded_mb: float
) -> list[Figure]:
    times_ms, peaks_mb, sizes_kb = zip(*of_runs, strict=True)
    notes = {"time": "", "memory": "", "size": ""}
    if client == IPYTHON:
        notes["time"] = UNREAD
    if client == OURS:
        notes["time"] = TWO_DECODES
        notes["memory"] = LIBWEBP if "WEBP" in case else ""
    figures = [
        Figure(SECTION, case, "bytes to display, ms", client, times_ms, note=notes["time"]),
        Figure(
            *(SECTION, case, "peak memory ÷ decoded RGB", client),
            tuple(peak / decoded_mb for peak in peaks_mb),
            note=notes["memory"],
        ),
    ]
    if client != LIMIT:
        goal = 190.0 if client == OURS else None
        figures.append(Figure(SECTION, case, "in the notebook, kB", client, sizes_kb, goal))
    return figures


if __name__ == "__main__":
    print(markdown_table(measure()))
