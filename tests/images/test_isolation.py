"""Decoding untrusted images: cost estimated from headers, limits, and abandoned decoders."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import psutil
import pytest
from hang import HANG_S
from hostile_images import (
    bent_exif,
    canvas,
    chunk,
    exif_of,
    held_process,
    scanned_jpeg,
    segment,
    webp,
    with_exif,
)
from PIL import Image
from profiles import max_difference
from sample_images import encoded, noise, stored_image

from mountsea_magic.generation import download
from mountsea_magic.images import files, isolation, previews
from mountsea_magic.images.decoding import TooManyPixels, decode, normalized
from mountsea_magic.images.decoding_cost import IN_PROCESS_WORK, MAX_WORK, Work, work_of
from mountsea_magic.images.exif import orientation_of
from mountsea_magic.images.files import FORMATS, BadImage, GeneratedImage, TooLarge, check
from mountsea_magic.images.formats import essential
from mountsea_magic.images.isolation import run_bounded
from mountsea_magic.images.previews import preview
from mountsea_magic.runtime import limited_process
from mountsea_magic.runtime.daemon_threads import Abandoned, DaemonThreads, Slots, run_in_thread
from mountsea_magic.runtime.limited_process import NoProcess, ProcessFailed, run_limited

posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")
NOT_ABANDONED = threading.Event()


def saved(folder: Path, content: bytes) -> Path:
    """Save a file to disk."""
    path = folder / "original"
    path.write_bytes(content)
    return path


def fail(*_: Any, **__: Any) -> Any:
    """Replace a function that must not be called."""
    raise AssertionError("this must not happen")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("png", {}),
        ("jpeg", {}),
        ("jpeg", {"progressive": True}),
        ("webp", {}),
        ("webp", {"lossless": True}),
        ("webp", {"save_all": True, "append_images": [Image.new("RGB", (37, 21), "red")]}),
    ],
)
def test_size_and_scans_are_read_from_the_headers(
    kind: str, options: dict[str, Any], mode: str
) -> None:
    """For every variant of every format."""
    buffer = io.BytesIO()
    image = noise("RGB", 37, 21).convert("RGB" if kind == "jpeg" and mode == "RGBA" else mode)
    image.save(buffer, kind.upper(), **options)
    work = work_of(buffer.getvalue(), kind)
    assert (work.width, work.height) == (37, 21)
    if kind == "jpeg":
        assert work.scans == buffer.getvalue().count(b"\xff\xda")


def test_usual_images_are_well_within_the_limits() -> None:
    """The largest documented image, even with twice the usual number of scans."""
    assert Work(5504, 3072, 20).amount * 5 < MAX_WORK
    assert Work(5504, 3072, 2).amount <= IN_PROCESS_WORK  # as WebP; PNG and JPEG have one


def test_too_many_scans_are_refused_by_the_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For downloads and inputs, before decoding anything; 100 small scans are accepted."""
    few = check(saved(tmp_path, scanned_jpeg(512, 512, 100)))
    assert (few.width, few.height) == few.pil.size == (512, 512)
    monkeypatch.setattr(Image, "open", fail)
    monkeypatch.setattr(limited_process, "_started", fail)
    for content in (scanned_jpeg(512, 512, 9000), scanned_jpeg(8192, 8192, 40)):
        with pytest.raises(TooLarge, match=r"scans of (512×512|8192×8192) pixels are too many"):
            check(saved(tmp_path, content))
        with pytest.raises(TooManyPixels):
            decode(content, max_pixels=2**26)


def test_a_huge_webp_canvas_is_refused_before_it_is_allocated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder would allocate it twice on opening. Too many frames are refused as well."""
    still = encoded(Image.new("RGB", (8, 8)), "webp")[12:]
    frames = webp(canvas(8, 8), *[(b"ANMF", bytes(16))] * 30_000)
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(TooLarge, match="16777216×16777216 exceeds the limit"):
        check(saved(tmp_path, webp(canvas(2**24, 2**24), (b"VP8L", still[8:]))))
    with pytest.raises(BadImage, match="is truncated"):
        check(saved(tmp_path, frames))


def test_pillow_gets_one_png_chunk_of_each_kind() -> None:
    """A hundred thousand IDAT chunks, or a thousand profiles, would take minutes."""
    content = encoded(noise("RGB", 30, 20), "png")
    at = content.index(b"IDAT") - 4
    length = int.from_bytes(content[at : at + 4])
    pixels = content[at + 8 : at + 8 + length]
    many = b"".join(chunk(b"IDAT", pixels[n : n + 1]) for n in range(length))
    profiles = chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(9000))) * 50
    unusual = (
        content[:at] + profiles + chunk(b"ABCD", b"") * 50 + many + chunk(b"IDAT", b"") * 10_000
    )
    bare = essential(unusual + chunk(b"IEND", b""), "png")
    assert bare is not None and bare.count(b"IDAT") == bare.count(b"iCCP") == 1
    assert b"ABCD" not in bare
    assert (
        decode(unusual + chunk(b"IEND", b""), max_pixels=600).tobytes()
        == noise("RGB", 30, 20).tobytes()
    )


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0", b"Exif\0\0Exif\0\0"])
def test_the_orientation_equals_pillows(byte_order: str, prefix: bytes) -> None:
    """For valid EXIF in either byte order; an invalid value counts as 1."""
    for orientation in range(12):
        block = exif_of(orientation, (0x010E, 2, 4, 0), order=byte_order)
        exif = Image.Exif()
        exif.load(block)
        assert exif[0x0112] == orientation
        assert orientation_of(prefix + block) == (orientation if 1 <= orientation <= 8 else 1)


def test_exif_entries_with_shared_data_take_no_memory() -> None:
    """5,480 entries of a megabyte each would be 5 GB if read."""
    entries = [(tag, 7, 1_000_000, 0) for tag in range(0x112)] * 20
    block = exif_of(6, *entries) + bytes(1_000_000)
    tracemalloc.start()
    try:
        assert orientation_of(block) == 6
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [(60, 30), (900, 40)])
def test_damaged_exif_is_ignored(
    kind: str, size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Truncated, corrupted, recursive or huge EXIF; Pillow never parses it."""
    image = Image.new("RGB", size, "teal")
    for exif in bent_exif(25):
        content = with_exif(kind, image, exif)
        with monkeypatch.context() as patch:
            patch.setattr(Image.Exif, "load", fail)
            got = check(saved(tmp_path, content))
            assert (got.width, got.height) in (size, size[::-1])
            assert got.pil.size == (got.width, got.height)
            result = preview(got, 768)
        assert max(result.width, result.height) <= 768
        seen = decode(result.data, max_pixels=size[0] * size[1]).convert("RGB").getpixel((0, 0))
        assert (
            isinstance(seen, tuple)
            and max_difference([int(level) for level in seen], (0, 128, 128)) < 4
        )


def test_exif_in_several_segments_is_joined(tmp_path: Path) -> None:
    """A JPEG segment has at most 64 kB."""
    block = exif_of(6, *((0x9000 + n, 7, 8, 9) for n in range(12_000)))
    got = check(saved(tmp_path, with_exif("jpeg", Image.new("RGB", (60, 30)), block)))
    assert (got.width, got.height) == got.pil.size == (30, 60)


def test_pil_has_small_metadata_only(tmp_path: Path) -> None:
    """`.pil.info` has the metadata that Pillow reads, unless it is large."""
    content = encoded(Image.new("RGB", (8, 8)), "png")
    for length, present in ((100, True), (900_000, False)):
        text = chunk(b"tEXt", b"parameters\0" + b"x" * length)
        got = check(saved(tmp_path, content[:33] + text + content[33:]))
        assert ("parameters" in got.pil.info) is present


def test_multi_process_elements_of_a_profile_are_not_run() -> None:
    """They could take minutes; without them the levels stay unchanged."""
    black = b"matf\0\0\0\0\0\3\0\3" + bytes(48)
    steps = struct.pack(">II", 24, len(black)) + black
    program = b"mpet\0\0\0\0\0\3\0\3\0\0\0\1" + steps
    head = struct.pack(
        ">I4sI4s4s4s", 144 + len(program), b"test", 0x04300000, b"mntr", b"RGB ", b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    profile = head + struct.pack(">I4sII", 1, b"D2B0", 144, len(program)) + program
    image = Image.new("RGB", (4, 2), (230, 90, 40))
    image.info["icc_profile"] = profile
    assert normalized(image, max_profile_bytes=0).getpixel((0, 0)) == (230, 90, 40)


@pytest.mark.parametrize("kind", FORMATS)
def test_an_expensive_image_is_decoded_in_a_subprocess(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same size, preview and errors."""
    got = stored_image(tmp_path, noise("RGB", 300, 200), kind)
    result = preview(got, 90)
    monkeypatch.setattr(isolation, "IN_PROCESS_WORK", 0)
    with monkeypatch.context() as patch:
        patch.setattr(files, "decode", fail)
        patch.setattr(previews, "decode", fail)
        assert check(got.path) == got and preview(got, 90) == result
        with pytest.raises(BadImage):
            check(saved(tmp_path, got.bytes[: len(got.bytes) // 2]))


def test_without_a_subprocess_the_image_is_decoded_in_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as in an application that embeds Python."""
    got = stored_image(tmp_path, noise("RGB", 30, 20))
    monkeypatch.setattr(isolation, "IN_PROCESS_WORK", 0)
    for executable in ("", "/opt/app/xpython", str(tmp_path / "python-gone")):
        monkeypatch.setattr(sys, "executable", executable)
        with pytest.raises(NoProcess):
            run_limited(
                "mountsea_magic.images.files",
                "_measure",
                [str(got.path), "png", 999],
                NOT_ABANDONED,
            )
        assert check(got.path) == got


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("TimeoutError", TooLarge), ("TooManyPixels", TooLarge), ("", BadImage)],
)
def test_exceeding_a_limit_is_not_retried(
    kind: str, expected: type[BadImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash may be caused by a damaged download, so that is retried."""
    got = stored_image(tmp_path, noise("RGB", 30, 20))

    def give_up(*_: object) -> None:
        raise ProcessFailed("it took too much", kind)

    monkeypatch.setattr(isolation, "IN_PROCESS_WORK", 0)
    monkeypatch.setattr(isolation, "run_limited", give_up)
    with pytest.raises(BadImage, match="it took too much") as caught:
        check(got.path)
    assert type(caught.value) is expected


def decoder() -> psutil.Process:
    """Return the decoder's process; other tests leave other children, such as a cluster's."""
    children = psutil.Process().children()
    (found,) = (each for each in children if "limited_process" in " ".join(each.cmdline()))
    return found


@posix
@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGSEGV, ""), (signal.SIGKILL, "TimeoutError")]
)
def test_a_crash_of_the_decoder_raises(number: int, kind: str, tmp_path: Path) -> None:
    """SIGKILL is reported as a resource limit, other signals as a failure."""
    with held_process(tmp_path, NOT_ABANDONED) as job:
        child = decoder()
        child.send_signal(number)
        with pytest.raises(ProcessFailed) as caught:
            job.result(HANG_S)
    assert caught.value.kind == kind


@posix
def test_an_abandoned_decoder_is_killed(tmp_path: Path) -> None:
    """After an interrupt or time-out, so that the next image can be decoded."""
    abandoned = threading.Event()
    with held_process(tmp_path, abandoned) as job:
        child = decoder()
        abandoned.set()
        with pytest.raises(Abandoned):
            job.result(HANG_S)
        assert not child.is_running()


LEAVE = """
import os, signal, sys, threading
from concurrent.futures import ThreadPoolExecutor
from mountsea_magic.runtime.limited_process import run_limited
arguments = ("mountsea_magic.images.files", "_measure", [{pipe!r}, "png", 99], threading.Event())
job = ThreadPoolExecutor().submit(run_limited, *arguments)
sys.stdin.read()
if {killed}:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@posix
@pytest.mark.parametrize("killed", [False, True])
def test_exit_leaves_no_decoder_running(killed: bool, tmp_path: Path) -> None:
    """Neither normally nor after SIGKILL, which closes the decoder's standard input."""
    pipe = tmp_path / "endless"
    os.mkfifo(pipe)
    code = LEAVE.format(pipe=str(pipe), killed=killed)
    command = [sys.executable, "-c", code]
    # opening blocks until the decoder reads from the pipe
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process, pipe.open("wb", 0) as endless:
        process.communicate(timeout=HANG_S)
        assert process.returncode == -9 * killed
        with pytest.raises(BrokenPipeError):
            for _ in range(3000):
                endless.write(b"x")
                time.sleep(0.01)


@posix
def test_the_subprocess_has_limited_memory_and_writes_no_file(tmp_path: Path) -> None:
    """By resource limits."""
    code = (
        "from mountsea_magic.runtime.limited_process import _limit\n_limit()\n"
        "try: bytearray(2**31)\nexcept MemoryError: print('no memory')\n"
        f"try: print('x', file=open({str(tmp_path / 'file')!r}, 'w'), flush=True)\n"
        "except OSError: print('no file')\n"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, text=True).split("\n")[0] == "no memory"


def test_a_cancelled_download_abandons_its_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The download does not wait for the decoder, which is notified."""
    begun, notified = threading.Event(), threading.Event()

    def stubborn(path: Path, *, url: str | None, abandoned: threading.Event) -> None:
        begun.set()
        if abandoned.wait(HANG_S):
            notified.set()

    monkeypatch.setattr(download, "check", stubborn)

    async def work() -> None:
        running = asyncio.create_task(download._checked(tmp_path, None))
        await asyncio.to_thread(begun.wait, 30)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(work())
    assert notified.wait(HANG_S)


def test_an_abandoned_caller_takes_no_turn() -> None:
    """The turn is available for the next caller."""
    turns, abandoned = Slots(1), threading.Event()
    with turns.acquire(NOT_ABANDONED):
        job = DaemonThreads().submit(lambda: turns.acquire(abandoned).__enter__())
        abandoned.set()
        assert isinstance(job.exception(30), Abandoned)
    with turns.acquire(NOT_ABANDONED):
        pass


def test_an_interrupt_abandons_the_work() -> None:
    """Such as Ctrl-C while a decoder runs C code."""
    seen: list[threading.Event] = []
    release = threading.Event()

    def work(abandoned: threading.Event) -> None:
        seen.append(abandoned)
        signal.raise_signal(signal.SIGINT)
        release.wait(HANG_S)

    with pytest.raises(KeyboardInterrupt):
        run_in_thread(work)
    assert seen[0].is_set()
    release.set()
    with pytest.raises(ZeroDivisionError):
        run_in_thread(lambda _: 1 // 0)


def test_a_cheap_image_is_decoded_in_process() -> None:
    """An image of a usual size starts no subprocess."""
    ran = threading.get_ident()
    assert run_bounded(
        lambda: ([threading.get_ident()], b""), work=Work(4096, 4096), abandoned=NOT_ABANDONED
    ) == ([ran], b"")


def test_too_many_jpeg_segments_are_refused(tmp_path: Path) -> None:
    """60,000 tables before the pixels would take Pillow long."""
    content = encoded(Image.new("RGB", (8, 8)), "jpeg")
    table = segment(0xC4, b"\0\1" + bytes(16))
    assert check(saved(tmp_path, content[:2] + table * 500 + content[2:])).width == 8
    with pytest.raises(BadImage):
        check(saved(tmp_path, content[:2] + table * 60_000 + content[2:]))


def test_a_replaced_file_has_no_preview(tmp_path: Path) -> None:
    """Every reason raises `NoPreview`: another file, a truncated one, an empty one."""
    got = stored_image(tmp_path, noise("RGB", 900, 40))
    for content in (b"", b"text", got.bytes[:99], scanned_jpeg(512, 512, 9000)):
        with pytest.raises(previews.NoPreview):
            preview(GeneratedImage(saved(tmp_path, content), "png", 900, 40, ""), 90)
