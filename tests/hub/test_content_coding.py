"""Content codings: which ones are decoded, in which pieces, and which ones are rejected."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from mountsea_magic.hub import content_coding
from mountsea_magic.hub.content_coding import PIECE_BYTES, BodyDecoder, UndecodableBody

TEXT = b'{"task_id": "hub-1"}' * 99
GZIP = gzip.compress(TEXT, mtime=0)
RAW_DEFLATE = zlib.compress(TEXT)[2:-4]


def decoded(codings: str, content: bytes, step: int = 1 << 20) -> bytes:
    """Decode a body in chunks of ``step`` bytes."""
    decoder = BodyDecoder(codings, max_bytes=1 << 20)
    chunks = [content[at : at + step] for at in range(0, len(content), step)]
    whole = b"".join(piece for chunk in chunks for piece in decoder.feed(chunk))
    decoder.finish()
    return whole


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("codings", "content"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("gzip", GZIP),
        (" X-GZIP , identity", GZIP),
        ("gzip", gzip.compress(TEXT[:50], mtime=0) + gzip.compress(TEXT[50:], mtime=0) + b"\0\0"),
        ("gzip", GZIP + b"trailing garbage"),
        ("gzip", TEXT),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", RAW_DEFLATE),
    ],
    ids=["none", "identity", "gzip", "x-gzip", "members", "garbage", "misnamed", "zlib", "raw"],
)
def test_one_coding_is_decoded_in_chunks_of_any_size(
    codings: str, content: bytes, step: int
) -> None:
    """Some proxies compress anyway, or label plain text as compressed."""
    assert decoded(codings, content, step) == TEXT


def test_an_empty_body_is_complete_whatever_its_headers() -> None:
    """A 204 may have any header."""
    assert decoded("gzip", b"") == b""


@pytest.mark.parametrize(
    "codings", ["aws-chunked", "none", "utf-8", "sk-secret", "aws-chunked, gzip"]
)
def test_names_that_are_not_codings_are_ignored(codings: str) -> None:
    """S3 stores other names in the header."""
    body = GZIP if "gzip" in codings else TEXT
    decoder = BodyDecoder(codings, max_bytes=10**6)
    assert b"".join(decoder.feed(body)) == TEXT


@pytest.mark.parametrize("codings", ["gzip, gzip", "gzip, deflate", "br", "zstd", "gzip, br"])
def test_other_codings_are_rejected(codings: str) -> None:
    """Nested ones too, since their expansion multiplies; the header itself is not quoted."""
    with pytest.raises(UndecodableBody, match="unsupported content coding") as caught:
        BodyDecoder(codings, max_bytes=1)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("codings", "content", "message"),
    [
        ("gzip", GZIP[:-9], "ends too early"),
        ("gzip", GZIP[:1], "ends too early"),
        ("deflate", zlib.compress(TEXT)[:-5], "ends too early"),
        ("gzip", GZIP[:10] + b"\xff" * 40, "damaged"),
        (
            "gzip",
            gzip.compress(b"", mtime=0) * (content_coding.MAX_MEMBERS + 1),
            "too many gzip members",
        ),
        ("", b"x" * (1 << 21), "too large"),
    ],
)
def test_an_undecodable_body_says_why(codings: str, content: bytes, message: str) -> None:
    """Damaged, truncated, or more expensive than its result."""
    with pytest.raises(UndecodableBody, match=message):
        decoded(codings, content)


def test_a_body_of_many_tiny_chunks_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk costs time; a few small ones are fine."""
    monkeypatch.setattr(content_coding, "FREE_CHUNKS", 100)
    assert decoded("", b"x" * 100, step=1)
    with pytest.raises(UndecodableBody, match="small chunks"):
        decoded("", b"x" * 200, step=1)


def test_a_bomb_is_decoded_in_small_pieces() -> None:
    """The reader can stop early, and memory stays small."""
    bomb = gzip.compress(bytes(32 << 20))
    tracemalloc.start()
    try:
        sizes = [len(piece) for piece in BodyDecoder("gzip", max_bytes=1 << 20).feed(bomb)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(sizes) == 32 << 20
    assert max(sizes) <= PIECE_BYTES
    assert peak < 1 << 20
