"""Inline images: decoded in pieces, whatever is escaped in them."""

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
def test_pieces_are_the_whole(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the text is cut."""
    monkeypatch.setattr(data_uris, "_CHUNK", size)
    assert read_inline(text, max_bytes=300) == BYTES + b"!"


@pytest.mark.parametrize("text", ["AAA=AAAA", "A===B", "AAAAA", "data:image/png;base64", "A\0*"])
def test_damage_is_told_in_any_piece(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding within, a letter too many, no comma, no letter."""
    monkeypatch.setattr(data_uris, "_CHUNK", 4)
    with pytest.raises(InlineError):
        read_inline(text if text.startswith("data:") else f"data:;base64,{text}", max_bytes=99)


@pytest.mark.parametrize("head", ["data:;base64,", "data:,"])
def test_escapes_are_undone_in_small_pieces(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a list of its parts a text takes fourteen times as much memory."""
    undone = list[int]()

    def counted(text: str) -> bytes:
        undone.append(len(text))
        return unquote_to_bytes(text)

    monkeypatch.setattr(data_uris, "unquote_to_bytes", counted)
    monkeypatch.setattr(data_uris, "unquote", lambda text: counted(text).decode())
    pieces = inline_pieces(head + "%41" * 200_000, max_bytes=140_000)
    with pytest.raises(InlineTooLarge):
        list(pieces)
    assert max(undone) <= data_uris._CHUNK < 500_000
