"""Data URIs are decoded in chunks of bounded size."""

from __future__ import annotations

import base64
from urllib.parse import unquote_to_bytes

import pytest

from mountsea_magic.images import data_uris
from mountsea_magic.images.data_uris import InlineError, InlineTooLarge, inline_pieces, read_inline

BYTES = bytes(range(256))
BASE64 = base64.b64encode(BYTES + b"!").decode()


@pytest.mark.parametrize("size", [3, 4, 5, 64])
@pytest.mark.parametrize(
    "text",
    [
        BASE64,
        "\n ".join(BASE64),
        BASE64.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D"),
        f"data:;base64,{BASE64.rstrip('=')}",
        "data:," + "".join(f"%{byte:02x}" for byte in BYTES) + "!",
    ],
    ids=["bare", "blanks", "escaped", "unpadded", "percent"],
)
def test_chunks_add_up_to_the_whole(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every chunk size and spelling."""
    monkeypatch.setattr(data_uris, "_CHUNK", size)
    assert read_inline(text, max_bytes=300) == BYTES + b"!"


@pytest.mark.parametrize("text", ["AAA=AAAA", "A===B", "AAAAA", "data:image/png;base64", "A\0*"])
def test_invalid_data_are_found_in_every_chunk(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding in the middle, an excess character, no comma, an invalid character."""
    monkeypatch.setattr(data_uris, "_CHUNK", 4)
    with pytest.raises(InlineError):
        read_inline(text if text.startswith("data:") else f"data:;base64,{text}", max_bytes=99)


@pytest.mark.parametrize("header", ["data:;base64,", "data:,"])
def test_escapes_are_decoded_in_small_chunks(header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`unquote` takes fourteen times the memory of its text."""
    sizes = list[int]()

    def counting_unquote(text: str) -> bytes:
        sizes.append(len(text))
        return unquote_to_bytes(text)

    monkeypatch.setattr(data_uris, "unquote_to_bytes", counting_unquote)
    monkeypatch.setattr(data_uris, "unquote", lambda text: counting_unquote(text).decode())
    chunks = inline_pieces(header + "%41" * 200_000, max_bytes=140_000)
    with pytest.raises(InlineTooLarge):
        list(chunks)
    assert max(sizes) <= data_uris._CHUNK < 500_000
