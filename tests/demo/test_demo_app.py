"""The demo Hub's endpoints in-process, compared with the documented contract."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from hub_server import data_uri, image
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Route

from mountsea_magic.demo.server.app import URL_LIFETIME_S, create_app, draw
from mountsea_magic.demo.server.inputs import Inputs
from mountsea_magic.demo.server.network import DEMO_ORIGIN, DemoNetwork
from mountsea_magic.demo.server.tasks import CREDITS_PER_IMAGE, INITIAL_CREDITS, DemoTask, TaskStore
from mountsea_magic.hub.http_response import HubResponse
from mountsea_magic.hub.responses import read_credits, read_submission, read_task
from mountsea_magic.request.catalog import bundled_catalog

T = TypeVar("T")
ORIGIN = "http://demo-hub.test"


class Hub:
    """A demo Hub with a manual clock and a fast painter; a task takes 7.5 to 12.5 seconds."""

    def __init__(self, folder: Path, *, key: str | None = None) -> None:
        self.now = time.time()
        self.drawn: list[tuple[str, int]] = []
        self.threads: set[int] = set()
        self.app: Starlette = create_app(
            folder, seconds=10, key=key, clock=lambda: self.now, painter=self._paint
        )

    def _paint(self, task: DemoTask, number: int) -> bytes:
        self.drawn.append((task.task_id, number))
        self.threads.add(threading.get_ident())
        return image(str(task.input.get("output_format") or "png"), number)

    def run(self, work: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
        """Run a coroutine with a client of the app."""

        async def inner() -> T:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                return await work(client)

        return asyncio.run(inner())

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Send a GET."""
        return self.run(lambda client: client.get(path, headers=headers))

    def post(self, body: Any, **headers: str) -> httpx.Response:
        """Submit a JSON body."""
        return self.run(lambda client: client.post("/hub/v1/image", json=body, headers=headers))

    def send(self, content: bytes) -> httpx.Response:
        """Submit raw bytes."""
        return self.run(lambda client: client.post("/hub/v1/image", content=content))

    def submit(self, **given: Any) -> str:
        """Submit a text-to-image request, and return the task id."""
        response = self.post({"model": "nano-banana", "input": {"prompt": "a dog"} | given})
        assert response.status_code == 200, response.text
        return str(response.json()["task_id"])

    def submit_edit(self, *urls: str, model: str = "nano-banana-edit", **given: Any) -> str:
        """Submit an edit, and return the task id."""
        body = {"prompt": "Make it winter", "image_urls": list(urls)} | given
        response = self.post({"model": model, "input": body})
        assert response.status_code == 200, response.text
        return str(response.json()["task_id"])

    def task(self, task_id: str) -> Any:
        """Poll a task."""
        response = self.get(f"/hub/v1/tasks/{task_id}")
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """Create a demo Hub with its own folder."""
    return Hub(tmp_path / "demo")


def test_submission_response_has_documented_fields(hub: Hub) -> None:
    """Exactly the fields of the vendor's documentation, with the id under `task_id`."""
    response = hub.post({"model": "nano-banana-pro", "input": {"prompt": "a dog", "seed": 7}})
    body = response.json()
    assert response.status_code == 200
    assert set(body) == {
        *("task_id", "status", "capability", "model", "vendor", "mode", "created_at"),
    }
    assert body["task_id"].startswith("hub-")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["created_at"])
    assert (body["status"], body["capability"]) == ("pending", "image")
    assert (body["model"], body["mode"]) == ("nano-banana-pro", "text-to-image")
    assert read_submission(HubResponse(200, {}, body)) == body["task_id"]


def test_task_goes_from_pending_to_completed(hub: Hub) -> None:
    """`data` comes with completion only; `elapsed_ms` follows the Hub's clock."""
    task_id = hub.submit()
    first = hub.task(task_id)
    assert set(first) == {
        *("task_id", "status", "ready", "data", "elapsed_ms", "error_code", "error_message"),
    }
    assert (first["status"], first["ready"], first["elapsed_ms"]) == ("pending", False, 0)
    hub.now += 5
    second = hub.task(task_id)
    assert (second["status"], second["ready"], second["data"]) == ("processing", False, None)
    assert second["elapsed_ms"] == 5000
    hub.now += 20
    third = hub.task(task_id)
    assert (third["status"], third["ready"]) == ("completed", True)
    assert 7500 <= third["elapsed_ms"] <= 12500
    (image,) = third["data"]["images"]
    assert set(image) == {"url", "content_type", "file_name", "file_size", "width", "height"}
    assert (image["width"], image["height"]) == (1024, 1024)
    assert third["data"]["description"]
    assert hub.drawn == []


@pytest.mark.parametrize(
    ("tag", "status"), [("fail", "failed"), ("timeout", "timeout"), ("cancel", "cancelled")]
)
def test_failed_task_has_error_code_and_message(hub: Hub, tag: str, status: str) -> None:
    """It is ready, has no data, has the documented error fields, and is not charged."""
    task_id = hub.submit(prompt=f"a dog [{tag}]")
    hub.now += 20
    body = hub.task(task_id)
    assert (body["status"], body["ready"], body["data"]) == (status, True, None)
    assert body["error_code"]
    assert body["error_message"]
    state = read_task(HubResponse(200, {}, body))
    assert (state.ended, state.succeeded) == (True, False)
    assert hub.get("/api-user/credits").json() == {"credits": INITIAL_CREDITS}


def test_images_are_served_in_the_requested_format(hub: Hub) -> None:
    """Each URL serves its own image, without a key."""
    task_id = hub.submit(num_images=3, output_format="webp")
    hub.now += 20
    images = hub.task(task_id)["data"]["images"]
    responses = [hub.get(entry["url"]) for entry in images]
    assert [response.content for response in responses] == [image("webp", n) for n in range(3)]
    assert {response.headers["content-type"] for response in responses} == {"image/webp"}
    assert {entry["content_type"] for entry in images} == {"image/webp"}
    assert hub.drawn == [(task_id, number) for number in range(3)]


def test_sync_mode_returns_data_uris(hub: Hub) -> None:
    """Each URL is a data URI in the requested format."""
    task_id = hub.submit(sync_mode=True, num_images=2, output_format="jpeg")
    hub.now += 20
    for number, entry in enumerate(hub.task(task_id)["data"]["images"]):
        head, _, text = entry["url"].partition(",")
        assert head == "data:image/jpeg;base64"
        assert base64.b64decode(text) == image("jpeg", number)


def test_image_urls_expire_and_are_renewed(hub: Hub) -> None:
    """An expired URL gives 403, as signed URLs do; polling the task returns a fresh one."""
    task_id = hub.submit()
    hub.now += 20
    url = hub.task(task_id)["data"]["images"][0]["url"]
    hub.now += URL_LIFETIME_S - 5
    assert hub.get(url).status_code == 200
    hub.now += 10
    assert hub.get(url).status_code == 403
    assert hub.get(hub.task(task_id)["data"]["images"][0]["url"]).status_code == 200


@pytest.mark.parametrize("query", ["", "?expires=", "?expires=soon", "?expires=-1", "?expires=1.5"])
def test_image_url_without_valid_expiry_is_rejected(hub: Hub, query: str) -> None:
    """A missing or malformed expiry counts as expired."""
    task_id = hub.submit()
    hub.now += 20
    assert hub.get(f"/pictures/{task_id}/0{query}").status_code == 403


def test_missing_images_are_404_and_not_drawn(hub: Hub) -> None:
    """For an unknown task, a number too high, a failed task, and before completion."""
    task_id, failed = hub.submit(), hub.submit(prompt="[fail]")
    good = f"?expires={int(hub.now) + 500}"
    assert hub.get(f"/pictures/{task_id}/0{good}").status_code == 404
    hub.now += 20
    assert hub.get(f"/pictures/{task_id}/1{good}").status_code == 404
    assert hub.get(f"/pictures/{failed}/0{good}").status_code == 404
    assert hub.get(f"/pictures/hub-nobody/0{good}").status_code == 404
    assert hub.drawn == []


@pytest.mark.parametrize("path", ["/hub/v1/tasks/hub-1", "/hub/v1/models/veo", "/hub/v2"])
def test_unknown_task_model_or_route_is_404(hub: Hub, path: str) -> None:
    """All of them, as at the real Hub."""
    assert hub.get(path).status_code == 404


def test_submit_endpoint_rejects_get(hub: Hub) -> None:
    """The endpoint accepts POST only."""
    assert hub.get("/hub/v1/image").status_code == 405


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ([], 400, "object"),
        ({"model": "nano-banana"}, 400, "input"),
        ({"model": "nano-banana", "input": "a dog"}, 400, "input"),
        ({"model": "veo-3.1-fast", "input": {"prompt": "x"}}, 422, "veo"),
        ({"input": {"prompt": "x"}}, 422, "None"),
        ({"model": "nano-banana", "input": {}}, 422, "prompt"),
        ({"model": "nano-banana", "input": {"prompt": " \n"}}, 422, "prompt"),
        ({"model": "nano-banana", "input": {"prompt": 5}}, 422, "string"),
        ({"model": "nano-banana", "input": {"prompt": "x", "num_images": 5}}, 422, "4"),
        ({"model": "nano-banana", "input": {"prompt": "x", "num_images": "2"}}, 422, "type"),
        ({"model": "nano-banana", "input": {"prompt": "x", "safety_tolerance": 4}}, 422, "type"),
        ({"model": "nano-banana", "input": {"prompt": "x", "colour": 1}}, 422, "colour"),
        ({"model": "gpt-image-2", "input": {"prompt": "x", "aspect_ratio": "1:1"}}, 422, "aspect"),
        ({"model": "nano-banana-edit", "input": {"prompt": "x"}}, 422, "image_urls"),
        (
            {"model": "nano-banana", "input": {"prompt": "x", "image_urls": ["https://x/y"]}},
            422,
            "image_urls",
        ),
        (
            {"model": "nano-banana-edit", "input": {"prompt": "x", "image_urls": ["data:,x"]}},
            422,
            "image_urls[0]",
        ),
    ],
)
def test_invalid_submission_is_rejected_with_a_reason(
    hub: Hub, body: Any, status: int, message: str, tmp_path: Path
) -> None:
    """As strict as a real Hub: values are not coerced, and no task is created."""
    response = hub.post(body)
    assert response.status_code == status
    assert response.json()["statusCode"] == status
    assert message in response.json()["message"]
    assert not (tmp_path / "demo").exists()


def test_body_that_is_not_json_is_rejected(hub: Hub) -> None:
    """With 400, not with a crash."""
    response = hub.run(lambda client: client.post("/hub/v1/image", content=b"\xff{"))
    assert response.status_code == 400


def test_submission_without_credits_is_rejected(hub: Hub) -> None:
    """402 once all demo credits are spent; the balance is reported as documented."""
    hub.app.state.tasks.add(
        "nano-banana", {"prompt": "x", "num_images": INITIAL_CREDITS // CREDITS_PER_IMAGE}
    )
    assert hub.get("/api-user/credits").json() == {"credits": INITIAL_CREDITS}
    hub.now += 20
    credits = hub.get("/api-user/credits")
    assert read_credits(HubResponse(200, {}, credits.json())) == 0
    response = hub.post({"model": "nano-banana", "input": {"prompt": "x"}})
    assert response.status_code == 402
    assert "credits" in response.json()["message"]


@pytest.mark.parametrize(
    ("headers", "api", "credits"),
    [
        ({}, 401, 401),
        ({"authorization": "Bearer wrong"}, 401, 401),
        ({"authorization": "right"}, 401, 401),
        ({"x-api-key": "wrong"}, 401, 401),
        ({"authorization": "Bearer right"}, 200, 401),
        ({"x-api-key": "right"}, 401, 200),
    ],
)
def test_hub_with_a_key_rejects_other_keys(
    headers: dict[str, str], api: int, credits: int, tmp_path: Path
) -> None:
    """Every endpoint but the images' checks the header that is documented for it."""
    hub = Hub(tmp_path / "demo", key="right")
    task_id = hub.app.state.tasks.add("nano-banana", {"prompt": "x"}).task_id
    paths = {
        route.path.format(task_id=task_id, model="nano-banana", number=0)
        for route in hub.app.routes
        if isinstance(route, Route) and "GET" in (route.methods or ())
    }
    paths -= {f"/pictures/{task_id}/0", "/api-user/credits"}
    assert len(paths) == 3
    assert {hub.get(path, **headers).status_code for path in paths} == {api}
    assert hub.get("/api-user/credits", **headers).status_code == credits
    body = {"model": "nano-banana", "input": {"prompt": "x"}}
    assert hub.post(body, **headers).status_code == api
    assert len(list((tmp_path / "demo").glob("*.json"))) == 1 + (api == 200)


def test_images_need_no_key(tmp_path: Path) -> None:
    """At a real Hub they are on another host, and the key is never sent there."""
    hub = Hub(tmp_path, key="right")
    given = {"model": "nano-banana", "input": {"prompt": "x"}}
    task_id = hub.post(given, authorization="Bearer right").json()["task_id"]
    hub.now += 20
    body = hub.get(f"/hub/v1/tasks/{task_id}", authorization="Bearer right").json()
    assert hub.get(body["data"]["images"][0]["url"]).content == image()


def test_models_are_listed_and_described(hub: Hub) -> None:
    """All eight are listed; each has a schema and an example that is accepted."""
    listed = hub.get("/hub/v1/models?capability=image").json()["data"]
    assert [model["model"] for model in listed] == [model.id for model in bundled_catalog()]
    assert len(listed) == 8
    assert hub.get("/hub/v1/models?capability=video").json() == {"data": []}
    for model in listed:
        detail = hub.get(f"/hub/v1/models/{model['model']}").json()
        assert detail.items() >= model.items()
        assert detail["input_schema"]["type"] == "object"
        submission = {"model": model["model"], "input": detail["example"]}
        assert hub.post(submission).status_code == 200


def test_tasks_outlive_the_app(hub: Hub, tmp_path: Path) -> None:
    """Another app with the same folder, as after a kernel restart, knows the task."""
    task_id = hub.submit()
    other = Hub(tmp_path / "demo")
    other.now = hub.now + 20
    assert other.task(task_id)["status"] == "completed"


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", None])
def test_painter_uses_the_requested_size_and_format(kind: str | None) -> None:
    """The image decodes to that size; PNG is the default format."""
    given = {"prompt": "a dog", "image_size": {"width": 96, "height": 64}, "output_format": kind}
    content = draw(DemoTask("hub-1", "gpt-image-2", given, 1, 0.0, 1.0), 0)
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert (image.size, image.format) == ((96, 64), (kind or "png").upper())


def test_drawing_depends_on_seed_and_number() -> None:
    """The same seed gives the same image; the images of one task differ."""
    given = {"prompt": "a dog", "image_size": {"width": 96, "height": 64}}
    task = DemoTask("hub-1", "gpt-image-2", given, 7, 0.0, 1.0)
    other = DemoTask("hub-2", "gpt-image-2", given, 7, 5.0, 2.0)
    assert draw(task, 0) == draw(other, 0)
    assert draw(task, 0) != draw(task, 1)


def test_edit_runs_like_any_other_task(hub: Hub) -> None:
    """It has its model's mode, and the result has the shape of the input image."""
    body = {"prompt": "winter", "image_urls": [data_uri(image("png", 0, (400, 100)))]}
    submitted = hub.post({"model": "nano-banana-pro-edit", "input": body}).json()
    assert (submitted["model"], submitted["mode"]) == ("nano-banana-pro-edit", "image-to-image")
    hub.now += 20
    (entry,) = hub.task(submitted["task_id"])["data"]["images"]
    assert (entry["width"], entry["height"]) == (2048, 512)
    assert hub.get(entry["url"]).content == image()


@pytest.mark.parametrize(
    ("model", "given", "size"),
    [
        ("nano-banana-edit", {}, (1448, 724)),
        ("nano-banana-edit", {"aspect_ratio": "auto"}, (1448, 724)),
        ("nano-banana-edit", {"aspect_ratio": "9:16"}, (768, 1344)),
        ("nano-banana-2-edit", {"resolution": "0.5K"}, (724, 362)),
        ("gpt-image-2-edit", {}, (1448, 724)),
        ("gpt-image-2-edit", {"image_size": "square"}, (512, 512)),
    ],
)
def test_edit_has_the_shape_of_its_input_or_the_requested_one(
    model: str, given: dict[str, Any], size: tuple[int, int], hub: Hub
) -> None:
    """Without an aspect ratio, or with `auto`, it is the shape of the first input image."""
    task_id = hub.submit_edit(data_uri(image("png", 0, (80, 40))), model=model, **given)
    hub.now += 20
    (entry,) = hub.task(task_id)["data"]["images"]
    assert (entry["width"], entry["height"]) == size


def test_input_images_are_stored_beside_the_task(hub: Hub, tmp_path: Path) -> None:
    """Byte for byte; the task's JSON file, which is read often, stays small."""
    noise = io.BytesIO()
    Image.effect_noise((900, 900), 100).save(noise, "PNG")
    first, mask = noise.getvalue(), image("webp")
    assert len(first) > 500_000
    task_id = hub.submit_edit(data_uri(first), model="gpt-image-2-edit", mask_url=data_uri(mask))
    task = hub.app.state.tasks.get(task_id)
    assert hub.app.state.tasks.inputs(task) == Inputs((first,), mask, (900, 900))
    assert (tmp_path / "demo" / f"{task_id}.json").stat().st_size < 1000
    written = json.loads((tmp_path / "demo" / f"{task_id}.json").read_text())
    assert written["input"] == {"prompt": "Make it winter"}


def test_image_of_this_hub_is_accepted_as_input_by_url(hub: Hub) -> None:
    """Without network access; the result of an edit is accepted too."""
    first = hub.submit(num_images=2)
    hub.now += 20
    url = hub.task(first)["data"]["images"][1]["url"]
    second = hub.submit_edit(url)
    tasks = hub.app.state.tasks
    assert tasks.inputs(tasks.get(second)).images == (image("png", 1),)
    hub.now += 20
    third = hub.submit_edit(hub.task(second)["data"]["images"][0]["url"])
    assert tasks.inputs(tasks.get(third)).images == (image("png", 0),)
    assert hub.drawn == [(first, 1), (second, 0)]


def test_image_of_an_unfinished_task_is_rejected_as_input(hub: Hub, tmp_path: Path) -> None:
    """422 and no task, before the task has completed and after it has failed."""
    first, failed = hub.submit(), hub.submit(prompt="[fail]")
    given = {"prompt": "x", "image_urls": [f"{ORIGIN}/pictures/{first}/0?expires=9"]}
    assert hub.post({"model": "nano-banana-edit", "input": given}).status_code == 422
    hub.now += 20
    given["image_urls"] = [f"{ORIGIN}/pictures/{failed}/0?expires=9"]
    assert hub.post({"model": "nano-banana-edit", "input": given}).status_code == 422
    assert len(list((tmp_path / "demo").iterdir())) == 2


@pytest.mark.parametrize("name", ["image_urls", "mask_url"])
def test_bad_input_image_is_rejected_with_a_reason(name: str, hub: Hub, tmp_path: Path) -> None:
    """422 in the usual shape; nothing is stored, and the image is not echoed."""
    bad, good = data_uri(image()[:-60]), data_uri(image())
    given = {
        "prompt": "x",
        "image_urls": [good, bad if name == "image_urls" else good],
        "mask_url": bad if name == "mask_url" else good,
    }
    response = hub.post({"model": "gpt-image-2-edit", "input": given})
    assert response.status_code == 422
    message = response.json()["message"]
    assert message.startswith("image_urls[1]: " if name == "image_urls" else "mask_url: ")
    assert len(message) < 100
    assert not (tmp_path / "demo").exists()


def test_drawing_and_decoding_run_off_the_event_loop(hub: Hub) -> None:
    """Images are drawn in other threads, also those that a submission refers to."""
    first = hub.submit(sync_mode=True)
    hub.now += 20
    hub.task(first)
    hub.submit_edit(f"{ORIGIN}/pictures/{first}/0")
    hub.get(f"/pictures/{first}/0?expires={int(hub.now) + 500}")
    assert len(hub.drawn) == 3
    assert threading.get_ident() not in hub.threads


def test_edits_outlive_the_app(hub: Hub, tmp_path: Path) -> None:
    """Another app with the same folder has the input images too."""
    task_id = hub.submit_edit(data_uri(image()))
    other = Hub(tmp_path / "demo")
    other.now = hub.now + 20
    assert other.task(task_id)["status"] == "completed"


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_editor_edits_the_submitted_image(kind: str, tmp_path: Path) -> None:
    """A chain through the app: draw, edit the result by URL, edit that within a mask."""
    hub = Hub(tmp_path)
    hub.app = create_app(tmp_path, seconds=10, clock=lambda: hub.now)
    size = {"image_size": {"width": 96, "height": 64}, "output_format": kind}

    def download(task_id: str) -> tuple[str, Image.Image]:
        hub.now += 20
        url = hub.task(task_id)["data"]["images"][0]["url"]
        with Image.open(io.BytesIO(hub.get(url).content)) as image:
            assert (image.size, image.format) == ((96, 64), kind.upper())
            return url, image.convert("RGB")

    body = {"model": "gpt-image-2", "input": {"prompt": "a dog"} | size}
    url, dog = download(hub.post(body).json()["task_id"])
    url, winter = download(hub.submit_edit(url, model="gpt-image-2-edit", **size))
    black = io.BytesIO()
    Image.new("L", (96, 64)).save(black, "PNG")
    mask = data_uri(black.getvalue())
    _, masked = download(hub.submit_edit(url, model="gpt-image-2-edit", mask_url=mask, **size))
    top = (0, 0, 96, 28)
    brightness = [
        sum(image.crop(top).convert("L").tobytes()) / 2688 for image in (dog, winter, masked)
    ]
    assert abs(brightness[0] - brightness[1]) > 5
    assert abs(brightness[1] - brightness[2]) < 2


def test_images_of_one_edit_differ() -> None:
    """Each image of a task has its own seed, as in text-to-image tasks."""
    task = DemoTask("hub-1", "nano-banana-edit", {"prompt": "winter"}, 7, 0.0, 1.0, 1, [64, 48])
    inputs = Inputs((image(),), None, (64, 48))
    assert draw(task, 0, inputs) == draw(task, 0, inputs)
    assert draw(task, 0, inputs) != draw(task, 1, inputs)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"model":' * 100_000, b"\xff", b""])
def test_malformed_body_is_rejected(hub: Hub, content: bytes) -> None:
    """However deeply it is nested."""
    response = hub.send(content)
    assert (response.status_code, response.json()["statusCode"]) == (400, 400)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": 5, "input": {"prompt": "x"}}, "Unknown model '5'"),
        ({"model": ["m"], "input": {"prompt": "x"}}, "Unknown model"),
        ({"model": "nano-banana", "input": {"prompt": " \n"}}, "input.prompt"),
        ({"model": "nano-banana", "input": {"prompt": 7}}, "input.prompt"),
        ({"model": "nano-banana", "input": {}}, "input.prompt"),
    ],
)
def test_error_message_refers_to_the_body(hub: Hub, given: Any, message: str) -> None:
    """Not to magic options: the client may be another program."""
    response = hub.post(given)
    assert response.status_code == 422 and message in response.json()["message"]


def test_blank_lines_around_a_prompt_are_accepted(hub: Hub) -> None:
    """They are stripped, and do not fail the type check."""
    assert hub.post({"model": "nano-banana", "input": {"prompt": "a dog\n"}}).status_code == 200


@pytest.mark.parametrize("path", ["{number}?expires=9", "0?expires={number}", "x?expires=9", "-1"])
def test_odd_image_url_is_rejected(hub: Hub, path: str) -> None:
    """With 403 or 404, not 500, whatever its length."""
    task_id = hub.app.state.tasks.add("nano-banana", {"prompt": "x"}).task_id
    hub.now += 20
    response = hub.get(f"/pictures/{task_id}/{path.format(number='9' * 5_000)}")
    assert response.status_code in (403, 404)


def test_excessive_image_size_is_limited(hub: Hub) -> None:
    """The task can be polled, and has an image of the maximum size."""
    huge = {"prompt": "x", "image_size": {"width": 10**400, "height": 5}}
    task_id = hub.post({"model": "gpt-image-2", "input": huge}).json()["task_id"]
    hub.now += 20
    (image,) = hub.task(task_id)["data"]["images"]
    assert (image["width"], image["height"]) == (4096, 64)


def test_exception_in_the_app_is_a_500_response(tmp_path: Path) -> None:
    """The client gets the Hub's error and no traceback, and the task stays."""

    def broken(task: DemoTask, number: int) -> bytes:
        raise OverflowError("no such brush")

    app = create_app(tmp_path, seconds=0, painter=broken)

    async def ask() -> httpx.Response:
        network = DemoNetwork(app)
        async with httpx.AsyncClient(transport=network, base_url=DEMO_ORIGIN) as client:
            body = {"model": "nano-banana", "input": {"prompt": "x"}}
            task_id = (await client.post("/hub/v1/image", json=body)).json()["task_id"]
            task = (await client.get(f"/hub/v1/tasks/{task_id}")).json()
            return await client.get(task["data"]["images"][0]["url"])

    response = asyncio.run(ask())
    assert response.status_code == 500
    assert response.json()["message"] == "Internal error in the demo Hub (OverflowError)."


def test_consecutive_seeds_share_no_image(tmp_path: Path) -> None:
    """Thirty students with thirty seeds get 120 different images."""
    store = TaskStore(tmp_path)
    tasks = [store.add("m", {"prompt": "x", "seed": seed}) for seed in range(30)]
    seeds = [task.seed_of(number) for task in tasks for number in range(4)]
    assert len(set(seeds)) == 120 and seeds[::4] == list(range(30))
