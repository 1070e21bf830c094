"""Edits in a real kernel: generate an image, then edit it, on the demo Hub and a stand-in."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from hub_server import StandInHub, data_uri, image
from kernel_driver import Kernel
from PIL import Image

pytestmark = pytest.mark.kernel


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create the kernel's working folder."""
    created = tmp_path / "work"
    created.mkdir()
    monkeypatch.chdir(created)
    return created


@pytest.fixture
def kernel(folder: Path, kernel: Kernel) -> Kernel:
    """Return the kernel, in the folder, with a fast demo Hub."""
    assert kernel.run("%config MountseaMagics.demo_seconds = 0.1").status == "ok"
    return kernel


def sent(hub: StandInHub) -> Any:
    """Return the input of the newest submission."""
    return hub.posts[-1].json["input"]


def uploaded(hub: StandInHub) -> list[bytes]:
    """Return the decoded images of the newest submission."""
    return [base64.b64decode(uri.partition(",")[2]) for uri in sent(hub)["image_urls"]]


def test_result_images_are_sent_byte_for_byte(hub: StandInHub, kernel: Kernel) -> None:
    """The two images of `a` are submitted with the edit unchanged and in order."""
    assert kernel.run("%%mountsea -n 2 -f webp -o a\na dog").status == "ok"
    edit = kernel.run("%%mountsea -m nano-banana-edit -i a -a 16:9 -o b\nmake it winter")
    assert edit.status == "ok" and len(edit.images()) == 1
    assert hub.posts[-1].json == {
        "model": "nano-banana-edit",
        "input": {
            "prompt": "make it winter",
            "image_urls": [data_uri(image("webp", number), "webp") for number in range(2)],
            "aspect_ratio": "16:9",
        },
    }
    assert len(hub.posts) == 2
    second_edit = "%%mountsea -m nano-banana-edit -i b --image a[1] -i a.images[0] -o c\nand night"
    assert kernel.run(second_edit).status == "ok"
    assert uploaded(hub) == [image(), image("webp", 1), image("webp", 0)]
    assert len(hub.posts) == 3


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_files_are_sent_unchanged(hub: StandInHub, kernel: Kernel, folder: Path, kind: str) -> None:
    """A path, a URL and bytes are submitted in order, and the file is not re-encoded."""
    (folder / "my photo.bin").write_bytes(image(kind, 3))
    kernel.run("raw = open('my photo.bin', 'rb').read()")
    url = "https://example.com/x.png?a=1&b=2"
    line = f"-m gpt-image-2-edit -i raw -i {url} -i 'my photo.bin' -p mask_url='@my photo.bin'"
    assert kernel.run(f"%%mountsea {line}\nmake it winter").status == "ok"
    uri = data_uri(image(kind, 3), kind)
    assert sent(hub)["image_urls"] == [uri, url, uri]
    assert sent(hub)["mask_url"] == uri
    assert len(hub.posts) == 1


def test_pillow_images_arrive_pixel_for_pixel(hub: StandInHub, kernel: Kernel) -> None:
    """A Pillow image without a file is sent as a lossless PNG."""
    kernel.run("from PIL import Image\npil = Image.linear_gradient('L').convert('RGB')")
    assert kernel.run("%%mountsea -m nano-banana-edit -i pil\nwinter").status == "ok"
    (content,) = uploaded(hub)
    with Image.open(io.BytesIO(content)) as arrived:
        assert arrived.format == "PNG"
        assert arrived.tobytes() == Image.linear_gradient("L").convert("RGB").tobytes()


def test_rotated_photo_arrives_upright(hub: StandInHub, kernel: Kernel, folder: Path) -> None:
    """The EXIF orientation is applied, and not sent."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40), "red").save(folder / "photo.jpg", exif=exif)
    assert kernel.run("%%mountsea -m nano-banana-edit -i photo.jpg\nwinter").status == "ok"
    (content,) = uploaded(hub)
    with Image.open(io.BytesIO(content)) as arrived:
        assert arrived.size == (40, 80) and not arrived.getexif()


REJECTED = {
    "-i photo.png": "Use --model nano-banana-edit",
    "-m nano-banana-edit": "requires --image",
    "-m nano-banana-edit -i phot.png": "no such file or variable",
    "-m nano-banana-edit -i number": "(got int)",
    "-m nano-banana-edit -i notes.txt": "it is not a readable image",
    "-m nano-banana-edit -i half.png": "the PNG image is damaged",
    "-m nano-banana-edit -i photo.heic": "pip install pillow-heif",
    "-m nano-banana-edit -i map.tif": "no defined black and white",
    "-m nano-banana-edit -p image_urls=@map.tif": "no defined black and white",
    "-m gpt-image-2-edit -i photo.png -p mask_url=@map.tif": "no defined black and white",
    "-m nano-banana-edit -i opened": "no defined black and white",
    "-m nano-banana-edit -i data:image/png;base64,iVBORw0KGgo=": "the PNG image is damaged",
    "-m nano-banana-edit -i photo.png -i a[5]": "--image a[5]",
    "-m nano-banana-edit -i large.png": "--shrink",
}


def test_invalid_inputs_are_rejected_before_anything_is_sent(
    hub: StandInHub, kernel: Kernel, folder: Path
) -> None:
    """The cell fails with a hint, -o is not bound, and nothing is submitted."""
    (folder / "photo.png").write_bytes(image())
    (folder / "half.png").write_bytes(image()[: len(image()) // 2])
    (folder / "notes.txt").write_text("a dog")
    (folder / "large.png").write_bytes(image() + bytes(10_000_000))
    (folder / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(90))
    Image.new("F", (4, 2), 0.5).save(folder / "map.tif")
    kernel.run("number, a = 7, [open('photo.png', 'rb').read()]")
    kernel.run("opened = open('map.tif', 'rb')")
    runs = {line: kernel.run(f"%%mountsea {line} -o b\nmake it winter") for line in REJECTED}
    assert {line: run.error for line, run in runs.items()} == dict.fromkeys(
        REJECTED, "InvalidRequest"
    )
    assert {line for line, run in runs.items() if REJECTED[line] not in run.error_message} == set()
    assert kernel.run("print('b' in globals())").text == "False\n"
    assert not hub.posts


def test_chained_edits_on_the_demo_hub(demo: None, kernel: Kernel, home: Path) -> None:
    """An edit has the input's shape and other pixels, and differs for another input."""
    cells = [
        "%%mountsea -s 7 -a 16:9 -o a\na lighthouse by the sea",
        "%%mountsea -s 8 -a 16:9 -o other\na cat on a sofa",
        "%%mountsea -m nano-banana-edit -s 7 -i a -o b\nmake it winter",
        "%%mountsea -m nano-banana-edit -s 7 -i other -o c\nmake it winter",
        "%%mountsea -m gpt-image-2-edit -i b -p image_size=landscape_16_9 -o d\nat night",
    ]
    for cell in cells:
        run = kernel.run(cell)
        assert run.status == "ok" and len(run.images()) == 1, run.error_message
    seen = kernel.run(
        "print(a[0].pil.size == b[0].pil.size == c[0].pil.size == (1344, 768))\n"
        "print(len({p[0].pil.convert('RGB').tobytes() for p in (a, other, b, c, d)}))"
    )
    assert seen.text == "True\n5\n"
    assert len(list((home / "demo").glob("hub-*.json"))) == len(cells)
