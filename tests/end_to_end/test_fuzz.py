"""Fuzz all input from outside: only our own errors are raised, with short messages.

``--fuzz-seconds N`` continues for N seconds with new seeds.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fuzz_input
import httpx
import pytest
from fuzz_input import body, image, schema, url, value

from mountsea_magic.errors import ConfigurationError, InvalidRequest, MountseaError
from mountsea_magic.hub.http_response import HubResponse
from mountsea_magic.hub.image_downloader import ImageDownloader
from mountsea_magic.hub.model_cache import LiveModels, load, save
from mountsea_magic.hub.models import read_model, read_model_ids
from mountsea_magic.hub.responses import ImageSource, read_credits, read_submission, read_task
from mountsea_magic.images.data_uris import InlineError, clean_url, read_inline
from mountsea_magic.images.files import FORMATS, MAX_PIXELS, BadImage, check
from mountsea_magic.images.previews import preview
from mountsea_magic.journal.entry import Entry
from mountsea_magic.request.catalog import Catalog
from mountsea_magic.request.request import build_request
from mountsea_magic.runtime.redaction import without_queries
from mountsea_magic.settings.hub_urls import is_same_hub, read_base_url, read_credits_url

MAX_MESSAGE = 4000
"""The maximum length of an error message, in characters."""

MAX_CASE_S = 5.0
"""The maximum CPU time of a case, in seconds; normal are milliseconds."""


def check_length(error: Exception) -> None:
    """Check that a message is readable, whatever it quotes."""
    assert len(str(error)) <= MAX_MESSAGE, str(error)[:200]


def random_response(rng: random.Random) -> HubResponse:
    """Make a response of the Hub with any status."""
    headers = {"Retry-After": rng.choice(("7", "x", "-1", "9" * 400)), "Location": url(rng)}
    status = rng.choice((200, 200, 200, 201, 302, 400, 401, 402, 403, 404, 413, 422, 429, 500, 502))
    return HubResponse.read(status, headers, body(rng))


def read_responses(rng: random.Random, folder: Path) -> None:
    """Responses about a submission, a task, the credits and the models."""
    response = random_response(rng)
    readers: tuple[Callable[[], Any], ...] = (
        lambda: read_submission(response),
        lambda: read_credits(response),
        lambda: read_model(response, "dog"),
    )
    for read in readers:
        try:
            read()
        except MountseaError as error:
            check_length(error)
    try:
        names = read_model_ids(response)
        assert all(len(name) <= 100 for name in names)
        task = read_task(response)
    except MountseaError as error:
        check_length(error)
    else:
        assert len(task.status) <= 40 and len(task.error) + len(task.explanation) < 1000
        assert task.elapsed_ms is None or 0 <= task.elapsed_ms < 1e15
        assert all(source.url or source.b64 for source in task.sources)
        repr(task)


def read_schemas(rng: random.Random, folder: Path) -> None:
    """A live schema is ignored or validates parameters, and survives the model cache."""
    response = HubResponse(
        200, {}, {"input_schema": schema(rng), "example": fuzz_input.anything(rng)}
    )
    model = read_model(response, "dog")
    if model is None:
        return
    names = list(model.parameters)
    parameters = {rng.choice([*names, "colour"]): value(rng) for _ in range(rng.randint(0, 3))}
    try:
        build_request("a dog", model="dog", parameters=parameters, catalog=Catalog({"dog": model}))
    except InvalidRequest as error:
        check_length(error)
    save(folder, LiveModels("https://hub.example", 7.0, {"dog": model}, ("dog",)))
    assert set(load(folder, "https://hub.example").models) <= {"dog"}


def read_urls(rng: random.Random, folder: Path) -> None:
    """URLs of Hubs, credits endpoints, images and redirects, and data URIs."""
    text = url(rng)
    for read in (read_base_url, read_credits_url):
        with suppress(ConfigurationError):
            assert read(text)
    is_same_hub("https://hub.example", text)
    clean_url(text)
    without_queries(text)
    with suppress(InlineError):
        assert len(read_inline(text, max_bytes=100)) <= 100


def fetch(rng: random.Random, folder: Path) -> None:
    """An image host responds arbitrarily, also with redirects; no request leaves the process."""

    def respond(request: httpx.Request) -> httpx.Response:
        headers = {"Content-Length": rng.choice(("7", "-1", "x", "9" * 30))}
        if rng.random() < 0.6:
            headers = {"Location": url(rng).encode("utf-8", "replace").decode("latin-1")}
        status = rng.choice((200, 301, 302, 303, 307, 308, 404, 410, 500))
        return httpx.Response(status, headers=headers, content=b"content")

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
            with (folder / "part").open("wb") as file:
                await ImageDownloader(http, None).fetch(ImageSource(url(rng)), file)

    try:
        asyncio.run(run())
    except (MountseaError, BadImage) as error:
        check_length(error)


def check_images(rng: random.Random, folder: Path) -> None:
    """An image is rejected, or it is complete, with a size and pixels."""
    path = folder / "image"
    path.write_bytes(image(rng, rng.choice(FORMATS)))
    try:
        checked = check(path)
    except BadImage as error:
        check_length(error)
    else:
        assert 0 < checked.width * checked.height <= MAX_PIXELS
        assert checked.pil.size == (checked.width, checked.height)
        preview(checked, 8)


def read_rows(rng: random.Random, folder: Path) -> None:
    """A manipulated journal or model cache causes no failure."""
    row: dict[str, Any] = Entry.begin("https://hub.example", task_id="hub-1").row()
    file: Any = {"path": "/a.png", "format": "png", "width": 6, "height": 4, "sha256": "ab" * 32}
    file[rng.choice(list(file))] = value(rng)
    row["files"] = json.dumps([file, value(rng)][: rng.randint(0, 2)])
    for name in rng.sample(list(row), rng.randint(0, 2)):
        row[name] = rng.choice((value(rng), bent_text(rng, str(row[name])), b"bytes"))
    entry = Entry.from_row(row)
    if entry is not None:
        assert all(file.format in FORMATS and file.path.is_absolute() for file in entry.files)
        assert isinstance(entry.status_at(0), str) and isinstance(entry.prompt, str)
        assert entry.request is None or entry.request.image_count is not None
    save(folder, LiveModels("https://hub.example", 7.0, {}))
    (cache_file,) = folder.glob("models-*")
    cache_file.write_bytes(fuzz_input.bent(rng, cache_file.read_bytes()))
    assert load(folder, "https://hub.example").models == {}


def bent_text(rng: random.Random, text: str) -> str:
    """Change some characters."""
    return fuzz_input.bent(rng, text.encode()).decode("utf-8", "replace")


CASES: dict[Callable[[random.Random, Path], None], int] = {
    read_responses: 300,
    read_schemas: 150,
    read_urls: 1500,
    fetch: 150,
    check_images: 150,
    read_rows: 150,
}
"""The number of cases of each kind in every run."""


def run_case(case: Callable[[random.Random, Path], None], seed: int, folder: Path) -> None:
    """Run one case; name its seed if it raises anything but our own errors."""
    started_s = time.thread_time()
    try:
        case(random.Random(seed), folder)
    except Exception as error:
        pytest.fail(
            f"{case.__name__} with seed {seed}: {type(error).__name__}: {str(error)[:300]}\n"
            f"To repeat: tests/end_to_end/test_fuzz.py -k {case.__name__} --fuzz-seed {seed}"
        )
    spent_s = time.thread_time() - started_s
    assert spent_s < MAX_CASE_S, f"{case.__name__} with seed {seed} took {spent_s:.1f} s"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_only_our_own_errors_are_raised(
    case: Callable[[random.Random, Path], None], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Hostile responses, hosts and files raise only short errors, and within the time limit."""
    seed: int | None = request.config.getoption("--fuzz-seed")
    seconds: float = request.config.getoption("--fuzz-seconds")
    for number in range(CASES[case]) if seed is None else [seed]:
        run_case(case, number, tmp_path)
    end_s = time.monotonic() + seconds / len(CASES)
    while seconds and time.monotonic() < end_s:
        run_case(case, random.getrandbits(48), tmp_path)
