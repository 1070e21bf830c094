"""Image files on disk: validate, name, publish and copy them."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.daemon_threads import run_in_thread
from ..runtime.limited_process import ProcessFailed, Result
from ..runtime.private_files import new_file, open_regular, private_folder, read_regular
from ..runtime.text import slug
from .decoding import (
    TooManyPixels,
    Undecodable,
    check_work,
    decode,
    displayed_size,
    orientation,
    read_metadata,
    upright,
)
from .decoding_cost import work_of
from .formats import identify
from .formats import sniff as sniff
from .isolation import run_bounded
from .user_paths import user_path

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 64 * 1024 * 1024
"""The largest image file that is accepted, in bytes; a 4K PNG has about half of this."""

MAX_PIXELS = 64 * 1024 * 1024
"""The largest image that is decoded, in pixels; the largest documented one has 17 million."""

FORMATS = ("png", "jpeg", "webp")
"""The formats that the Hub documents; no others are decoded."""


class BadImage(ValueError):
    """The bytes are not a complete image of a known format within the limits."""


class TooLarge(BadImage):
    """The image exceeds a limit, so another download would not help."""


@dataclass(frozen=True, slots=True)
class GeneratedImage:
    """One generated image: the original file on disk, byte for byte as received.

    Attributes:
        path: Where the file is.
        format: ``png``, ``jpeg`` or ``webp``.
        width: In pixels, as displayed: with the EXIF orientation applied.
        height: In pixels, as displayed.
        sha256: The SHA-256 digest of the file, in hexadecimal.
        url: Where it was downloaded from, or None if it was inline in the response. URLs expire.
    """

    path: Path
    format: str
    width: int
    height: int
    sha256: str
    url: str | None = None

    @property
    def bytes(self) -> bytes:
        """The file, byte for byte as received."""
        return read_regular(self.path, MAX_BYTES)

    @property
    def pil(self) -> Image:
        """The decoded Pillow image, upright, in the mode that Pillow chooses."""
        content = self.bytes
        image = run_in_thread(lambda _: decode(content, max_pixels=MAX_PIXELS))
        image.info = read_metadata(content) | image.info
        return upright(image).copy()

    @property
    def mimetype(self) -> str:
        """The image's media type."""
        return f"image/{self.format}"

    def is_intact(self) -> bool:
        """Return whether the file still exists, unchanged and of the recorded format.

        A tampered journal entry must not display some other file.
        """
        try:
            with open_regular(self.path) as file:
                if os.fstat(file.fileno()).st_size > MAX_BYTES:
                    return False
                head = file.read(12)
                file.seek(0)
                return (
                    sniff(head) == self.format
                    and hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
                )
        except (OSError, ValueError):
            return False

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Copy the original to a path or into an existing folder; never overwrites a file.

        Args:
            path: The target; `~` and `$VAR` are expanded.

        Returns:
            The path of the copy.

        Raises:
            InvalidRequest: If it names an unknown user or an unset variable.
            FileExistsError: If the target exists.
        """
        target = user_path(path)
        if target.is_dir():
            target = target / self.path.name
        with target.open("xb") as copy:
            copy.write(self.bytes)
        return target

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        from ..notebook.outputs import image_output  # lazily: used by IPython only

        return image_output(self)

    def __repr__(self) -> str:
        return f"Image({str(self.path)!r}, {self.width}×{self.height})"


def check(
    path: Path, *, url: str | None = None, abandoned: threading.Event | None = None
) -> GeneratedImage:
    """Validate a file by decoding it, within limits of pixels, work, memory and time.

    Large or unusual files are decoded in a separate process. Call it from a thread that can be
    abandoned, such as one of `DaemonThreads`.

    Args:
        path: The file as it was received.
        url: Where it was downloaded from.
        abandoned: Set by the caller when it no longer waits for the result.

    Returns:
        The image with its format, size and digest.

    Raises:
        BadImage: If it is not a complete image of a known format within the limits.
    """
    content = path.read_bytes()
    found = sniff(content[:12])
    if found is None:
        known = identify(content)
        name = f"{known[0]}, " if known is not None else ""
        raise BadImage(f"it is {name}not a PNG, JPEG or WebP file")
    work, digest = work_of(content, found), hashlib.sha256(content).hexdigest()
    del content  # free the memory while waiting for a turn
    try:
        check_work(work, MAX_PIXELS)
        (width, height), _ = run_bounded(
            _measure,
            *(str(path), found, MAX_PIXELS),
            work=work,
            abandoned=abandoned or threading.Event(),
        )
    except TooManyPixels as error:
        raise TooLarge(str(error)) from error
    except Undecodable as error:
        raise BadImage(str(error)) from error
    except ProcessFailed as error:
        too_large = error.kind in ("TooManyPixels", "MemoryError", "TimeoutError")
        raise (TooLarge if too_large else BadImage)(str(error)) from error
    return GeneratedImage(path, found, width, height, digest, url)


def _measure(path: str, kind: str, max_pixels: int) -> Result:
    """Return the displayed width and height, after decoding the whole image."""
    content = Path(path).read_bytes()
    # draft: an eighth of a JPEG's sides, which still reads all of its data
    image = decode(content, max_pixels=max_pixels, formats=(kind,), draft_px=1)
    sides = displayed_size(image)
    if kind == "jpeg":
        work = work_of(content, kind)
        sides = (work.width, work.height)
        sides = sides[::-1] if orientation(image) >= 5 else sides
    return [*sides], b""


def part_file(folder: Path) -> Path:
    """Create an empty hidden file for a download, in the folder of its final name.

    File and folder are accessible to their owner only.

    Raises:
        OSError: If the folder can't be created or written to.
    """
    private_folder(folder, ours=True)
    part = folder / _part_name()
    new_file(part).close()
    return part


def _part_name() -> str:
    return f".{secrets.token_hex(8)}.part"


def file_stem(prompt: str, token: str, when: datetime) -> str:
    """Return the file name, without extension, for a generation's images.

    It consists of the time, the prompt's first words and a token.

    Args:
        prompt: The prompt; only its ASCII letters and digits are used.
        token: Letters and digits that distinguish generations of the same second.
        when: The local time.

    Example:
        >>> file_stem("A black lab!", "1f3a", datetime(2026, 11, 23, 10, 15, 30))
        '20261123-101530-a-black-lab-1f3a'
    """
    return "-".join(filter(None, (when.strftime("%Y%m%d-%H%M%S"), slug(prompt), token)))


def publish(part: Path, folder: Path, stem: str, extension: str) -> Path:
    """Give a downloaded file its final name atomically; never overwrites a file.

    Args:
        part: The file from `part_file`, in the same folder.
        folder: The target folder.
        stem: The name without its extension.
        extension: ``png``, ``jpeg`` or ``webp``.

    Returns:
        The final path; a number is added if the name is taken.
    """
    for attempt in range(1, 10_000):
        suffix = f"-{attempt}" if attempt > 1 else ""
        target = folder / f"{stem}{suffix}.{'jpg' if extension == 'jpeg' else extension}"
        try:
            os.link(part, target)
        except FileExistsError:
            continue
        except OSError:
            # no hard links (some network and FAT file systems): claim the name, then replace it
            try:
                new_file(target).close()
            except FileExistsError:
                continue
            try:
                os.replace(part, target)
            except OSError:
                target.unlink()  # only its name was claimed
                raise
            return target
        part.unlink()
        return target
    raise FileExistsError(f"{folder} already contains 10,000 images named {stem}")


def copy_into(image: GeneratedImage, folder: Path, *, stem: str = "") -> Path:
    """Copy an original into a folder; never overwrites a file.

    The folder is the user's own, so the copies have the default permissions (umask).

    Args:
        image: The image.
        folder: The folder; created if it does not exist.
        stem: The copy's name without its extension; the original's by default.

    Raises:
        OSError: If the folder can't be created or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / _part_name()
    try:
        with part.open("xb") as copy:
            copy.write(image.bytes)
        return publish(part, folder, stem or image.path.stem, image.format)
    finally:
        part.unlink(missing_ok=True)
