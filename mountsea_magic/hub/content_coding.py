"""Content codings: a compressed body is decoded in pieces, so that few bytes never become many.

Requests ask for ``identity``. One coding of gzip or deflate is read all the same, since proxies
compress unasked; codings within codings multiply what a byte can become, and are refused.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

PIECE_BYTES = 64 * 1024
"""The most bytes that are decoded at once: less than a millisecond's work."""

MAX_MEMBERS = 1000
"""The most gzip members in one body: an empty one costs time, and yields nothing."""

FREE_CHUNKS = 20_000
MIN_CHUNK_BYTES = 64
"""After `FREE_CHUNKS` chunks, the size of a chunk on average: each costs time, however small."""

_GZIP, _ZLIB, _RAW = 31, 15, -15
_CODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
_OTHERS = frozenset({"br", "zstd", "compress", "x-compress"})
"""All other names say nothing of the body: S3 keeps an ``aws-chunked`` of whoever uploaded it."""


class UndecodableBody(ValueError):
    """The body of a response can't be decoded, or not within the limits."""


class BodyDecoder:
    """Decodes the body of one response as it comes.

    Attributes:
        received: Bytes so far, as they came over the wire.

    Example:
        >>> b"".join(BodyDecoder("identity", max_bytes=9).feed(b"a dog"))
        b'a dog'
    """

    def __init__(self, codings: str, *, max_bytes: int) -> None:
        """Begin a body.

        Args:
            codings: The header ``Content-Encoding``, empty if there is none.
            max_bytes: The most bytes that are taken from the wire.

        Raises:
            UndecodableBody: If it is coded otherwise than by gzip or deflate, or more than once.
        """
        names = [name.strip().lower() for name in codings.split(",")]
        names = [name for name in names if name in _CODINGS or name in _OTHERS]
        if len(names) > 1 or not _CODINGS.keys() >= set(names):
            shown = " and ".join(names[:3])
            raise UndecodableBody(f"it is coded as {shown}, which was not asked for")
        self.received = 0
        self._max_bytes = max_bytes
        self._name, self._wbits = (names[0], _CODINGS[names[0]]) if names else ("", 0)
        self._chunks = self._members = 0
        self._start = b""
        self._inflater = None if not names else zlib.decompressobj(self._wbits)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Decode what has come.

        Args:
            chunk: Bytes from the wire.

        Yields:
            Pieces of at most `PIECE_BYTES`, none of them empty.

        Raises:
            UndecodableBody: If the coding is damaged, or a limit is reached.
        """
        self.received += len(chunk)
        self._chunks += 1
        if self._chunks > FREE_CHUNKS and self.received < MIN_CHUNK_BYTES * self._chunks:
            raise UndecodableBody("it comes in too many small chunks")
        for at in range(0, len(chunk), PIECE_BYTES):
            piece = chunk[at : at + PIECE_BYTES]
            if self._wbits:
                yield from self._inflated(piece)
            else:
                yield piece
        if self.received > self._max_bytes:
            raise UndecodableBody("it is too large")

    def finish(self) -> None:
        """End the body.

        Raises:
            UndecodableBody: If its compressed form ends too early.
        """
        if self._start or (self._inflater is not None and not self._is_whole()):
            raise UndecodableBody(f"its {self._name} coding ends too early")

    def _is_whole(self) -> bool:
        """An empty body is whole whatever its headers say."""
        return self.received == 0 or (self._inflater is not None and self._inflater.eof)

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        """Members of gzip may follow one another; what follows them is nobody's."""
        if self._members == 0:
            data = self._start = self._start + data
            if len(data) < 2:
                return
            self._start = b""
            self._begin(data)
        if not self._wbits:
            yield data
            return
        while self._inflater is not None:
            try:
                piece = self._inflater.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise UndecodableBody(f"its {self._name} coding is damaged") from error
            if piece:
                yield piece
            data = self._inflater.unconsumed_tail
            if self._inflater.eof:
                data = self._inflater.unused_data
                if self._wbits != _GZIP or not data.startswith(b"\x1f"):
                    return
                self._next_member()
            elif not data and len(piece) < PIECE_BYTES:
                return

    def _begin(self, data: bytes) -> None:
        """Servers send raw deflate as `deflate`, and proxies plain text as gzip."""
        self._members = 1
        is_zlib = data[0] & 15 == 8 and int.from_bytes(data[:2]) % 31 == 0
        if self._wbits == _GZIP and data[:2] != b"\x1f\x8b":
            self._wbits, self._inflater = 0, None
        elif self._wbits == _ZLIB and not is_zlib:
            self._wbits, self._inflater = _RAW, zlib.decompressobj(_RAW)

    def _next_member(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise UndecodableBody("it is compressed in too many parts")
        self._inflater = zlib.decompressobj(_GZIP)


def open_body(
    response: httpx.Response, *, max_bytes: int
) -> tuple[BodyDecoder, AsyncIterator[bytes]]:
    """Begin the body of a response.

    Args:
        response: The response, whose body is not read yet; whoever sent the request closes it.
        max_bytes: The most bytes that are taken from the wire.

    Returns:
        What decodes its chunks, and the chunks.

    Raises:
        UndecodableBody: If it has a coding that is not read.
    """
    if response.is_stream_consumed:  # of a Hub in this process: there is no wire
        return BodyDecoder("", max_bytes=max_bytes), response.aiter_bytes()
    codings = response.headers.get("content-encoding", "")
    return BodyDecoder(codings, max_bytes=max_bytes), response.aiter_raw()
