"""Random JSON, schemas, URLs and images for fuzz tests, reproducible by seed."""

from __future__ import annotations

import io
import json
import random
from functools import cache
from typing import Any

from PIL import Image
from sample_images import encoded, noise

_NAMES = (
    *("task_id", "taskId", "id", "status", "ready", "data", "output", "images", "image", "url"),
    *("b64", "b64_json", "description", "error", "message", "detail", "code", "msg", "loc"),
    *("elapsed_ms", "error_message", "errorMessage", "success", "credits", "models", "items"),
    *("results", "model", "name", "title", "vendor", "mode", "summary", "example", "input"),
    *("input_schema", "prompt", "num_images", "image_urls", "", "a\nb", "\ud800", "x" * 300),
)
_SCHEMA_NAMES = (
    *("type", "properties", "required", "enum", "const", "anyOf", "oneOf", "allOf", "not", "if"),
    *("items", "prefixItems", "pattern", "patternProperties", "minimum", "maximum", "multipleOf"),
    *("minLength", "maxLength", "minItems", "default", "description", "$ref", "$id", "$defs"),
    *("$anchor", "$schema", "$dynamicRef", "format", "additionalProperties", "dependentSchemas"),
    *("prompt", "seed", "size", "num_images"),
)
_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null", "integr")
_ATOMS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 7, 0.5, -0.0, 1e308, float("inf"), float("nan"), 10**400),
    *("", " ", "7", "a dog", "completed", "FAILED", "ready", "processing", "canceled"),
    *("\0", "\ud800", "\x1b[2J\x1b]0;x\x07", "\u202edog", "a\r\n!ls", "x" * 3000, "{" * 200),
    *("{x}", "$HOME", "{{ 7 * 7 }}", "%system ls", "<script>alert(1)</script>", "\\frac{"),
    *("https://cdn.example/a.png?sig=1", "http://[::1", "//cdn.example", "http://xn--/", "data:"),
    *("data:image/png;base64,iVBORw0KGgo", "data:image/png;base64,!", "iVBORw0KGgo", "/9j/"),
    *(
        "#",
        "#/properties/prompt",
        "#/$defs/a",
        "https://schema.example/",
        "(",
        "[a-z]+",
        "no-cache",
    ),
    *_TYPES,
)
_URLS = (
    *("https://cdn.example/a.png", "http://hub.example:8080/hub/v1", "demo:", "//cdn.example/a"),
    *("http://[::1]:80/", "http://user:word@host/", "https://dk.example/c?key=1#x", "http://xn--/"),
    *("http://xn--a-ecp.ru/", "http://1.2.3.4:65535/", "http://0x7f.1/", "ftp://host/", "file:///"),
    *("data:image/png;base64,iVBORw0KGgo=", "http://ä.example/ö?ü=%ff", "http://a..b/", "http:///"),
)
_PIECES = (
    *(":", "/", "//", "?", "#", "@", "[", "]", "%", "%00", "%zz", "\\", "\r\n", "\t", " ", "\0"),
    *("..", ".", "xn--", "-", ":65536", ":-1", ":٣", "::ffff:127.0.0.1", "%25eth0", "。", "ß"),
    *("\u200b", "\ud800", "é", "a" * 70, "0" * 400, "data:", ";base64,", ",", "="),
)


def anything(rng: random.Random, names: tuple[str, ...] = _NAMES, depth: int = 5) -> Any:
    """Return a random JSON value."""
    kind = rng.random()
    if depth and kind < 0.45:
        return {
            rng.choice(names): anything(rng, names, depth - 1) for _ in range(rng.randint(0, 5))
        }
    if depth and kind < 0.6:
        return [anything(rng, names, depth - 1) for _ in range(rng.choice((0, 1, 1, 2, 5)))]
    if kind < 0.62:
        nested: Any = []
        for _ in range(rng.choice((9, 60))):
            nested = [nested] if rng.random() < 0.5 else {rng.choice(names): nested}
        return nested
    return rng.choice(_ATOMS)


def body(rng: random.Random) -> bytes:
    """Return a response body: mostly a JSON object, sometimes invalid JSON."""
    tree = anything(rng)
    if isinstance(tree, dict) and rng.random() < 0.5:
        tree["status"], tree["ready"] = rng.choice(("completed", "failed", "x")), True
    content = json.dumps(tree).encode()
    if rng.random() < 0.03:
        depth = rng.choice((900, 3000, 100_000))
        content = rng.choice(
            (b"[" * depth + b"]" * depth, b'{"data":' * depth + b"1" + b"}" * depth)
        )
    return bent(rng, content) if rng.random() < 0.3 else content


def schema(rng: random.Random) -> Any:
    """Return a nearly valid input schema."""
    properties = {
        name: anything(rng, _SCHEMA_NAMES, 3)
        for name in rng.sample(("prompt", "seed", "size", "num_images", "image_urls"), 3)
    }
    made = {"type": "object", "properties": properties, "required": ["prompt"]}
    for _ in range(rng.randint(0, 2)):
        made[rng.choice(_SCHEMA_NAMES)] = anything(rng, _SCHEMA_NAMES, 3)
    return made


def value(rng: random.Random) -> Any:
    """Return a value for a parameter."""
    return anything(rng, depth=2) if rng.random() < 0.3 else rng.choice(_ATOMS)


def url(rng: random.Random) -> str:
    """Return a nearly valid URL."""
    text = rng.choice(_URLS)
    for _ in range(rng.randint(0, 4)):
        at = rng.randint(0, len(text))
        text = text[:at] + rng.choice(_PIECES) + text[at + rng.choice((0, 0, 1, 3)) :]
    return text


def image(rng: random.Random, kind: str) -> bytes:
    """Return an image with some bytes changed, missing or repeated."""
    return bent(rng, rng.choice(_images(kind)))


def bent(rng: random.Random, content: bytes) -> bytes:
    """Change, drop or repeat some bytes."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        start = rng.randrange(len(changed) + 1)
        end = start + rng.choice((1, 1, 2, 4, 40))
        new = rng.choice((rng.randbytes(end - start), b"", bytes(end - start), b"\xff" * 4))
        changed[start:end] = rng.choice((new, bytes(changed[start:end]) * 2))
    return bytes(changed[: rng.randrange(len(changed) + 1)] if rng.random() < 0.1 else changed)


@cache
def _images(kind: str) -> tuple[bytes, ...]:
    """Return small valid images of one format, with different modes and metadata."""
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010E: "a dog", 0x829A: 0.5})
    if kind == "png":
        palette = noise("RGB", 24, 16).quantize(16)
        more: tuple[dict[str, Any], ...] = ({"exif": exif}, {"transparency": (1, 2, 3)})
        others = [encoded(palette, kind), encoded(noise("LA", 24, 16), kind)]
    elif kind == "jpeg":
        more = ({"progressive": True, "exif": exif}, {"subsampling": 2, "comment": b"dog"})
        others = [encoded(noise("CMYK", 24, 16), kind), encoded(noise("L", 24, 16), kind)]
    else:
        more = ({"lossless": True}, {"exif": exif, "quality": 50})
        others = [encoded(noise("RGBA", 24, 16), kind)]
    for options in more:
        buffer = io.BytesIO()
        noise("RGB", 24, 16).save(buffer, kind.upper(), **options)
        others.append(buffer.getvalue())
    return tuple(others)
