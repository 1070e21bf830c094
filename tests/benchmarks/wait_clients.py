"""The clients whose wait is measured, each as its user would call it.

``python wait_clients.py`` is started by ``wait.py``. It reads groups of tasks from standard input,
forks a process for each, and prints a line of JSON for each image: when its bytes were there.
"""

from __future__ import annotations

import gc
import http.client
import importlib
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import fal_client
import fal_client.client
import httpx
import openai
import replicate
from peer_hub import marker
from wait_plan import Earlier, Group, Trial, from_json

import mountsea_magic

KEY = "sk-benchmark-0123456789"

WARM_UP_S = 15.0
"""How many seconds the processes of several tasks have to start, before the first task."""


def ours(url: str, trial: Trial) -> bytes:
    """`mountsea_magic.generate`, which also checks, saves and journals the image."""
    prompt = f"a dog, {trial.marker}"
    return mountsea_magic.generate(prompt, model=trial.model, **trial.parameters)[0].bytes


def fal(url: str, trial: Trial) -> bytes:
    """`fal_client.subscribe` with its default interval of 0.1 s."""
    # the scheme is fixed, so the environment's FAL_QUEUE_RUN_HOST can't name a server without TLS
    fal_client.client.QUEUE_URL_FORMAT = f"{url}/fal/"
    output = _fal_client().subscribe("bench/image", {"prompt": trial.marker})
    return _download(output["images"][0]["url"])


def replicate_poll(url: str, trial: Trial) -> bytes:
    """`replicate.run` that polls, with its default interval of 0.5 s."""
    output = _replicate_client(url).run("bench/image", {"prompt": trial.marker}, wait=False)
    return _download(output)  # its own `FileOutput` downloads from https only


def replicate_wait(url: str, trial: Trial) -> bytes:
    """`replicate.run` with ``Prefer: wait``, its default: the server holds the POST."""
    output = _replicate_client(url).run("bench/image", {"prompt": trial.marker}, wait=60)
    return _download(output)


def openai_poll(url: str, trial: Trial) -> bytes:
    """`create_and_poll` of a vector store with its default interval of 1 s.

    The helper for videos has the same loop, but is deprecated; image endpoints have no tasks.
    """
    client = _openai_client(url)
    stored = client.vector_stores.files.create_and_poll(trial.marker, vector_store_id="bench")
    content: bytes = client.files.content(stored.id).read()
    return content


def loop(interval_s: float) -> Callable[[str, Trial], bytes]:
    """Return the loop of vendors' samples: poll the Hub's task, and sleep."""

    def run(url: str, trial: Trial) -> bytes:
        body = {"model": trial.model, "input": {"prompt": trial.marker}}
        task_id = _http().post(f"{url}/hub/v1/image", json=body).json()["task_id"]
        while True:
            task = _http().get(f"{url}/hub/v1/tasks/{task_id}").json()
            if task["ready"]:
                return _download(task["data"]["images"][0]["url"])
            time.sleep(interval_s)

    return run


def hold(url: str, trial: Trial) -> bytes:
    """The limit: a server that responds when the task is ready, and then the download."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    for method, path in (
        ("POST", f"/hold/{trial.marker}"),
        ("GET", f"/hold/{trial.marker}"),
        ("GET", f"/images/{trial.marker}.png"),
    ):
        connection.request(method, path)
        content = connection.getresponse().read()
    connection.close()
    return content


CLIENTS: dict[str, Callable[[str, Trial], bytes]] = {
    "ours": ours,
    "fal": fal,
    "replicate": replicate_poll,
    "openai": openai_poll,
    "httpx 1 s": loop(1.0),
    "httpx 5 s": loop(5.0),
    "limit: replicate Prefer: wait": replicate_wait,
    "limit: one round trip": hold,
}


@cache
def _http() -> httpx.Client:
    return httpx.Client(timeout=60.0, headers={"Authorization": f"Bearer {KEY}"})


def _download(url: str) -> bytes:
    return _http().get(url).content


@cache
def _fal_client() -> Any:
    return fal_client.SyncClient(key=KEY)


@cache
def _replicate_client(url: str) -> Any:
    return replicate.Client(api_token=KEY, base_url=url)


@cache
def _openai_client(url: str) -> Any:
    return openai.OpenAI(api_key=KEY, base_url=f"{url}/openai/v1")


def _run_trial(url: str, group: Group, trial: Trial, started_at: float) -> None:
    """Run one task when it is its turn, and print when its image was there."""
    if not group.in_a_row:
        time.sleep(max(0.0, started_at + trial.start_s - time.monotonic()))
    outcome: dict[str, Any] = {"marker": trial.marker}
    try:
        image = CLIENTS[group.client](url, trial)
        outcome |= {"got_at": time.monotonic(), "size": len(image)}
    except Exception as error:  # whatever a peer raises is reported, and the others go on
        outcome["error"] = repr(error)
    # one write, since other processes print to the same pipe
    os.write(sys.stdout.fileno(), (json.dumps(outcome) + "\n").encode())


def _run_group(url: str, group: Group, started_at: float) -> None:
    """Run the tasks of one process."""
    with _data_folder(url) as home:
        if group.client == "ours":
            _fill_journal(home, url, group.earlier)
        else:
            _http()  # what a peer needs for its downloads is there before it waits
        if group.in_a_row:
            for trial in group.trials:
                _run_trial(url, group, trial, started_at)
            return
        threads = [
            threading.Thread(target=_run_trial, args=(url, group, trial, started_at))
            for trial in group.trials
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@contextmanager
def _data_folder(url: str) -> Iterator[Path]:
    """Use a Hub with an empty data folder; yields the folder."""
    with TemporaryDirectory() as home:
        os.environ |= {
            "MOUNTSEA_HOME": home,
            "MOUNTSEA_BASE_URL": url,
            "MOUNTSEA_API_KEY": KEY,
        }
        yield Path(home)


def _fill_journal(home: Path, url: str, kinds: Sequence[Earlier]) -> None:
    """Write the earlier tasks into the journal, as if they had ended one after the other."""
    if not kinds:
        return
    from mountsea_magic.journal.entry import Entry
    from mountsea_magic.journal.journal import Journal
    from mountsea_magic.request.request import ImageRequest

    journal = Journal(home / "journal.sqlite")
    for earlier in kinds:
        request = ImageRequest(earlier.model, {"prompt": "a dog"} | dict(earlier.parameters))
        for number, seconds in enumerate(earlier.durations_s):
            entry = Entry.begin(url, request, task_id=f"{earlier.model}-{number}")
            age_s = 60.0 * (len(earlier.durations_s) - number)
            journal.write(
                replace(
                    entry,
                    status="completed",
                    elapsed_s=seconds + 0.1,
                    duration_s=seconds,
                    created=entry.created - age_s,
                    updated=entry.updated - age_s,
                )
            )


def _import_what_a_generation_needs(url: str) -> None:
    """Import what a generation in another process has imported.

    This process stays without threads, so that it can be forked.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def generate() -> None:
        with _data_folder(url):
            ours(url, Trial(marker(0, 0.1), 0.0))
            sender.send(list(sys.modules))

    process = context.Process(target=generate)
    process.start()
    sender.close()  # else a process that fails would be waited for
    for name in receiver.recv():
        with suppress(ImportError):  # such as a part of a package that only it can import
            importlib.import_module(name)
    process.join()
    gc.freeze()  # else each process would copy the memory of all objects


def main() -> None:
    """Run each group in a process of its own: those of one task are forked just before it."""
    url, groups = from_json(sys.stdin.readline())
    context = multiprocessing.get_context("fork")
    started_at = time.monotonic() + WARM_UP_S
    processes = []

    def start(group: Group) -> None:
        process = context.Process(target=_run_group, args=(url + group.path, group, started_at))
        process.start()
        processes.append(process)

    for group in groups:
        if group.is_cold:
            start(group)
    _import_what_a_generation_needs(url)
    warm = [group for group in groups if not group.is_cold]
    for group in warm:
        if len(group.trials) > 1:
            start(group)
    for group in sorted(warm, key=lambda group: group.trials[0].start_s):
        if len(group.trials) == 1:
            due_at = started_at + group.trials[0].start_s - 1.0
            time.sleep(max(0.0, due_at - time.monotonic()))
            start(group)
    for process in processes:
        process.join()


if __name__ == "__main__":
    main()
