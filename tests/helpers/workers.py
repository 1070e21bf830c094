"""Run batches on executors: shared by the tests of workers, in this process and in clusters.

The `postprocess` functions are here because worker processes import the module that has them.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from mountsea_magic.generation.events import Completed, Event, Notice
from mountsea_magic.generation.executors import ImageWorkers
from mountsea_magic.images.files import GeneratedImage
from mountsea_magic.request.request import ImageRequest, build_request


def describe(image: GeneratedImage, request: ImageRequest) -> tuple[str, str, int]:
    """Return the prompt, the file's name and its size, so that the file must be there."""
    return request.prompt, image.path.name, len(image.bytes)


def process_id(image: GeneratedImage, request: ImageRequest) -> tuple[int, str]:
    """Return the process and thread that post-process an image."""
    return os.getpid(), threading.current_thread().name


def refuse_cats(image: GeneratedImage, request: ImageRequest) -> str:
    """Raise for a prompt about a cat."""
    if "cat" in request.prompt:
        raise ValueError(f"no cats, please (got {request.prompt!r})")
    return request.prompt


def describe_slowly(image: GeneratedImage, request: ImageRequest) -> tuple[str, str, int]:
    """Take long enough for a worker to be killed meanwhile."""
    time.sleep(0.1)
    return describe(image, request)


def unpicklable(image: GeneratedImage, request: ImageRequest) -> Any:
    """Return what no process can send to another."""
    return threading.Lock()


class KilledOnce:
    """Kills the worker process that calls it first, with SIGKILL.

    Args:
        marker: A file that does not exist yet.
    """

    def __init__(self, marker: Path) -> None:
        self.marker, self.creator = marker, os.getpid()

    def __call__(self, image: GeneratedImage, request: ImageRequest) -> str:
        """Kill the process, or return the file's name."""
        assert os.getpid() != self.creator or self.marker.exists()
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return image.path.name
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


class RecordingExecutor(Executor):
    """Pickles each call before another executor runs it.

    Args:
        inner: The executor that runs the calls.

    Attributes:
        pickled: Each call with its arguments, pickled.
        futures: The future of each call.
    """

    def __init__(self, inner: Executor) -> None:
        self.inner = inner
        self.pickled: list[bytes] = []
        self.futures: list[Future[Any]] = []

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Record a call, and pass it on."""
        self.pickled.append(pickle.dumps((function, args, kwargs), protocol=0))
        self.futures.append(self.inner.submit(function, *args, **kwargs))
        return self.futures[-1]


def requests(prompts: Sequence[str], **parameters: Any) -> list[ImageRequest]:
    """Build a request for each prompt."""
    return [build_request(prompt, parameters=parameters) for prompt in prompts]


def notices(runs: Sequence[Sequence[Event]]) -> list[str]:
    """Return the texts of all notices."""
    return [event.text for events in runs for event in events if isinstance(event, Notice)]


def run_all(
    hub: Any, folder: Path, batch: Sequence[ImageRequest], workers: ImageWorkers, **options: Any
) -> list[list[Event]]:
    """Run requests at once; return the events of each, with `Completed` last."""
    from runs import FrequentPolls, submit_and_wait, with_client

    async def run(client: Any) -> list[list[Event]]:
        runs = (
            submit_and_wait(
                client, request, folder, schedule=FrequentPolls(0.01), workers=workers, **options
            )
            for request in batch
        )
        return list(await asyncio.gather(*runs))

    return with_client(hub, run)


def results(runs: Sequence[Sequence[Event]]) -> list[Completed]:
    """Return the last event of each run, which must be `Completed`."""
    last = [events[-1] for events in runs]
    return [event for event in last if isinstance(event, Completed)]
