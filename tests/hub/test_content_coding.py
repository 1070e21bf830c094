"""Content codings: what is decoded, in which pieces, and what is refused."""

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
    """Decode a body that comes in chunks of so many bytes."""
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
def test_one_coding_is_decoded_however_it_is_cut(codings: str, content: bytes, step: int) -> None:
    """Proxies compress unasked, and say so when they do not."""
    assert decoded(codings, content, step) == TEXT


def test_an_empty_body_is_whole_whatever_its_headers_say() -> None:
    """A 204 may bear any header."""
    assert decoded("gzip", b"") == b""


@pytest.mark.parametrize(
    "codings", ["aws-chunked", "none", "utf-8", "sk-secret", "aws-chunked, gzip"]
)
def test_a_name_that_is_no_coding_says_nothing(codings: str) -> None:
    """S3 keeps names of its own in the header; the body is what it is without them."""
    body = GZIP if "gzip" in codings else TEXT
    decoder = BodyDecoder(codings, max_bytes=10**6)
    assert b"".join(decoder.feed(body)) == TEXT


@pytest.mark.parametrize("codings", ["gzip, gzip", "gzip, deflate", "br", "zstd", "gzip, br"])
def test_other_codings_are_refused_unread(codings: str) -> None:
    """Codings within codings multiply; and a header that may hold anything is not repeated."""
    with pytest.raises(UndecodableBody, match="not asked for") as caught:
        BodyDecoder(codings, max_bytes=1)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("codings", "content", "message"),
    [
        ("gzip", GZIP[:-9], "ends too early"),
        ("gzip", GZIP[:1], "ends too early"),
        ("deflate", zlib.compress(TEXT)[:-5], "ends too early"),
        ("gzip", GZIP[:10] + b"\xff" * 40, "damaged"),
        ("gzip", gzip.compress(b"", mtime=0) * (content_coding.MAX_MEMBERS + 1), "too many parts"),
        ("", b"x" * (1 << 21), "too large"),
    ],
)
def test_what_cant_be_decoded_says_why(codings: str, content: bytes, message: str) -> None:
    """Damaged, cut, or made to cost more than it yields."""
    with pytest.raises(UndecodableBody, match=message):
        decoded(codings, content)


def test_a_body_in_tiny_chunks_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk costs time, however small it is; a few small ones are nothing."""
    monkeypatch.setattr(content_coding, "FREE_CHUNKS", 100)
    assert decoded("", b"x" * 100, step=1)
    with pytest.raises(UndecodableBody, match="small chunks"):
        decoded("", b"x" * 200, step=1)


def test_a_bomb_is_decoded_in_small_pieces() -> None:
    """Whoever reads them stops when it has enough, and memory stays small meanwhile."""
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
