"""What runs in a worker of an executor: save and post-process one image.

A worker gets plain values: an image's short-lived URL, but never the key, nor anything that holds
it. It returns records and raises nothing, so an exception means that the executor has broken.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import ConfigurationError, HubUnavailable
from ..hub.client import HubClient
from ..hub.connector import UnusableUrl
from ..hub.responses import ImageSource
from ..images.files import BadImage, GeneratedImage, TooLarge, check, part_file, publish
from ..request.request import ImageRequest
from ..runtime.daemon_threads import run_in_thread
from ..runtime.text import os_error_reason, sanitize_inline

MAX_ERROR_CHARS = 300
"""How much of an exception's text is reported, in characters."""

_INTERPRETER = secrets.token_hex(8)

Postprocess: TypeAlias = Callable[[GeneratedImage, ImageRequest], Any]
"""The user's function of an image and its request."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a download failed; returned, since a raised error's traceback would hold signed URLs.

    Attributes:
        message: A sentence.
        final: Whether a retry is pointless.
        permanent: Whether it would fail again after a resume, too.
        status: The HTTP status, if there was a response.
        cause: The underlying error; not from workers, since not every error can be pickled.
        elapsed_s: How long the attempt took, in seconds.
    """

    message: str
    final: bool = False
    permanent: bool = False
    status: int | None = None
    cause: BaseException | None = None
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Unavailable:
    """This worker can't do it, for a reason of its own; the calling process can.

    Attributes:
        reason: A few words.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the user's function returned or raised.

    Attributes:
        value: What it returned.
        error: Why there is no value, such as ``raised ValueError: no cats``, or None.
        pickled: What it returned in another process, pickled. It is unpickled here, since dask's
            executor never ends a call whose result it can't pickle.
    """

    value: Any = None
    error: str | None = None
    pickled: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Saved:
    """An image that is checked and has its final name, or whose bytes travel back.

    Attributes:
        image: The image.
        content: Its bytes, if they travel back.
        outcome: What the user's function returned or raised; None if it was not called.
    """

    image: GeneratedImage
    content: bytes | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveCall:
    """What a worker is given to save an image.

    Attributes:
        stem: The file name without its extension.
        folder: The folder that workers and caller share; None if the bytes travel back.
        part: An empty file that the caller has created in this folder, or one with the image.
        url: The image's URL, which is downloaded unless the caller has done that; None for an image
            that was inline in a response.
        base_url: The Hub's base URL, whose network may also have images; None if the image's bytes
            are in `part` or `content`.
        content: The image's bytes, if the caller has downloaded them and they travel.
        request: The request, for the user's function.
        caller: The calling process, as returned by `this_process`.
        token: Makes each call unique, because dask runs equal calls only once.
    """

    stem: str
    folder: Path | None = None
    part: Path | None = None
    url: str | None = None
    base_url: str | None = None
    content: bytes | None = field(default=None, repr=False)
    request: ImageRequest | None = None
    caller: str = field(default_factory=lambda: this_process())
    token: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True, slots=True, kw_only=True)
class PostprocessCall:
    """What a worker is given to post-process an image that is already saved.

    Attributes:
        image: The image.
        content: Its bytes, if the worker does not share its folder.
        request: The request, for the user's function.
        caller: As in `SaveCall`.
        token: As in `SaveCall`.
    """

    image: GeneratedImage
    content: bytes | None = field(default=None, repr=False)
    request: ImageRequest
    caller: str = field(default_factory=lambda: this_process())
    token: str = field(default_factory=lambda: secrets.token_hex(8))


def save_image(
    call: SaveCall, postprocess: Postprocess | None = None
) -> Saved | Failure | Unavailable:
    """Download, check, publish and post-process an image.

    Args:
        call: What to do.
        postprocess: The user's function; an argument of its own, since ipyparallel sends functions
            of a notebook only so.
    """
    started = time.monotonic()
    try:
        if call.folder is None:
            with tempfile.TemporaryDirectory(prefix="mountsea-") as name:
                saved = _save(call, postprocess, part_file(Path(name)), Path(name))
                return replace(saved, content=saved.image.bytes)
        if call.part is None or not call.part.is_file():
            # a cluster repeats the call of a lost worker, which may have published the image
            image = find_published(call.folder, call.stem, call.url)
            if image is None:
                return Unavailable("it is not there")
            return Saved(image, outcome=_outcome_for(call, postprocess, image))
        return _save(call, postprocess, call.part, call.folder)
    except (HubUnavailable, BadImage) as error:
        failure = failure_from(error, inline=call.url is None)
        return replace(failure, cause=None, elapsed_s=time.monotonic() - started)
    except OSError as error:
        return Unavailable(os_error_reason(error))
    except ConfigurationError as error:  # of the worker's environment, such as its proxies
        return Unavailable(str(error))


def postprocess_image(
    call: PostprocessCall, postprocess: Postprocess
) -> Outcome | Unavailable | None:
    """Post-process an image that is already saved.

    Args:
        call: What to do.
        postprocess: The user's function.
    """
    image = call.image
    try:
        if call.content is None:
            if not image.is_intact():
                return Unavailable("the image is not there")
            return _outcome_for(call, postprocess, image)
        with tempfile.TemporaryDirectory(prefix="mountsea-") as name:
            path = Path(name, image.path.name)
            path.write_bytes(call.content)
            return _outcome_for(call, postprocess, replace(image, path=path))
    except OSError as error:
        return Unavailable(os_error_reason(error))


def run_postprocess(
    postprocess: Postprocess | None, image: GeneratedImage, request: ImageRequest | None
) -> Outcome | None:
    """Call the user's function, if there is one.

    Args:
        postprocess: The function.
        image: Its first argument.
        request: Its second argument; None for a task that is known by its id alone.

    Example:
        >>> image = GeneratedImage(Path("dog.png"), "png", 64, 48, "")
        >>> run_postprocess(lambda image, request: image.width, image, ImageRequest("m", {}))
        Outcome(value=64, error=None)
    """
    if postprocess is None or request is None:
        return None
    try:
        return Outcome(postprocess(image, request))
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        return Outcome(error=f"raised {_described(error)}")


def this_process() -> str:
    """Return a text that identifies this process, on all machines.

    Example:
        >>> this_process() == this_process()
        True
    """
    return f"{_INTERPRETER}-{os.getpid()}"  # a forked process has the same token


def received(outcome: Outcome) -> Outcome:
    """Unpickle what the user's function returned in another process.

    Args:
        outcome: As the worker returned it.

    Example:
        >>> received(Outcome(pickled=pickle.dumps(7)))
        Outcome(value=7, error=None)
    """
    if outcome.pickled is None:
        return outcome
    try:
        value = pickle.loads(outcome.pickled)  # noqa: S301  # from the user's own function
    except Exception as error:  # whatever the user's classes raise
        return Outcome(error=f"returned what can't be unpickled here ({_described(error)})")
    return Outcome(value)


def _outcome_for(
    call: SaveCall | PostprocessCall, postprocess: Postprocess | None, image: GeneratedImage
) -> Outcome | None:
    """Call the user's function, and prepare what it returns for the way back."""
    outcome = run_postprocess(postprocess, image, call.request)
    if outcome is None or outcome.error is not None or call.caller == this_process():
        return outcome
    try:
        return Outcome(pickled=_pickled(outcome.value))
    except Exception as error:  # whatever the user's classes raise
        return Outcome(error=f"returned what can't be pickled ({_described(error)})")


def _pickled(value: Any) -> bytes:
    """Pickle a value; also of a notebook's own class, if the cluster has brought cloudpickle."""
    try:
        return pickle.dumps(value)
    except Exception:
        try:
            import cloudpickle
        except ImportError:
            cloudpickle = None
        if cloudpickle is None:
            raise
        return bytes(cloudpickle.dumps(value))


def _described(error: BaseException) -> str:
    text = sanitize_inline(error, limit=MAX_ERROR_CHARS).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def failure_from(error: HubUnavailable | BadImage, *, inline: bool) -> Failure:
    """Return the record of an error.

    Args:
        error: What a download or the check of its file has raised.
        inline: Whether the image was in the response, so that a retry is pointless.

    Example:
        >>> failure_from(BadImage("it is cut"), inline=False).message
        'The image is not usable: it is cut.'
    """
    if isinstance(error, BadImage):
        final = inline or isinstance(error, TooLarge)
        return Failure(f"The image is not usable: {error}.", final=final, permanent=True)
    permanent = isinstance(error, UnusableUrl)
    return Failure(str(error), permanent=permanent, status=error.status_code, cause=error.__cause__)


def published_paths(folder: Path, stem: str) -> list[Path]:
    """Return where an image may be after it was published.

    Args:
        folder: The folder of the originals.
        stem: The file name without its extension.

    Example:
        >>> [path.name for path in published_paths(Path("originals"), "dog-1")]
        ['dog-1.png', 'dog-1.jpg', 'dog-1.webp']
    """
    return [folder / f"{stem}.{extension}" for extension in ("png", "jpg", "webp")]


def find_published(folder: Path, stem: str, url: str | None) -> GeneratedImage | None:
    """Return an image that a lost worker has published, or None.

    Args:
        folder: The folder of the originals.
        stem: The file name without its extension.
        url: Where it was downloaded from.
    """
    for path in published_paths(folder, stem):
        try:
            return run_in_thread(partial(_checked, path, url))
        except (OSError, BadImage):
            continue
    return None


def _save(call: SaveCall, postprocess: Postprocess | None, part: Path, folder: Path) -> Saved:
    # a thread: where this runs, as in an ipyparallel engine, an event loop may be running
    try:
        image = run_in_thread(partial(_receive, call, part))
        image = replace(image, path=publish(part, folder, call.stem, image.format))
    except BaseException:
        part.unlink(missing_ok=True)  # the caller may have given up and deleted it already
        raise
    return Saved(image, outcome=_outcome_for(call, postprocess, image))


def _receive(call: SaveCall, part: Path, abandoned: threading.Event) -> GeneratedImage:
    """Download an image, unless its bytes are there, and check it."""
    if call.content is not None:
        part.write_bytes(call.content)
    elif call.url is not None and call.base_url is not None:
        asyncio.run(_download(call.base_url, call.url, part))
    return _checked(part, call.url, abandoned)


def _checked(path: Path, url: str | None, abandoned: threading.Event) -> GeneratedImage:
    return check(path, url=url, abandoned=abandoned)


async def _download(base_url: str, url: str, part: Path) -> None:
    """Download with the limits of the calling process, and the proxies of this one."""
    client = HubClient(base_url)
    try:
        # not created if it is gone: the caller has given up, and would not delete it again
        with part.open("r+b") as file:
            file.truncate()
            await client.fetch(ImageSource(url), file)
    finally:
        await client.aclose()
