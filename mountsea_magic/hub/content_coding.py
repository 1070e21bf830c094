"""Decode compressed bodies in small pieces, as a protection against decompression bombs.

Requests ask for ``identity``. A single gzip or deflate coding is accepted, since some proxies
compress anyway; nested codings multiply the expansion and are rejected.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..runtime.httpx_import import httpx

PIECE_BYTES = 64 * 1024
"""The most bytes that are decoded at once; this takes less than a millisecond."""

MAX_MEMBERS = 1000
"""The most gzip members in a body: empty ones cost time and yield nothing."""

FREE_CHUNKS = 20_000
MIN_CHUNK_BYTES = 64
"""The minimum average size of a chunk after `FREE_CHUNKS` chunks: even a tiny one costs time."""

_GZIP, _ZLIB, _RAW = 31, 15, -15
_CODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
_OTHERS = frozenset({"br", "zstd", "compress", "x-compress"})
"""Other names are ignored: S3, for example, returns the uploader's ``aws-chunked``."""


class UndecodableBody(ValueError):
    """The body of a response can't be decoded, or not within the limits."""


class BodyDecoder:
    """Decodes the body of a response incrementally.

    Attributes:
        received: The bytes received so far, before decoding.

    Args:
        codings: The ``Content-Encoding`` header, empty if there is none.
        max_bytes: The most bytes to accept before decoding.

    Raises:
        UndecodableBody: If it has a coding other than gzip or deflate, or more than one.

    Example:
        >>> b"".join(BodyDecoder("identity", max_bytes=9).feed(b"a dog"))
        b'a dog'
    """

    def __init__(self, codings: str, *, max_bytes: int) -> None:
        names = [name.strip().lower() for name in codings.split(",")]
        names = [name for name in names if name in _CODINGS or name in _OTHERS]
        if len(names) > 1 or not _CODINGS.keys() >= set(names):
            shown = " and ".join(names[:3])
            raise UndecodableBody(f"it has the unsupported content coding {shown}")
        self.received = 0
        self._max_bytes = max_bytes
        self._name, self._wbits = (names[0], _CODINGS[names[0]]) if names else ("", 0)
        self._chunks = self._members = 0
        self._start = b""
        self._inflater = None if not names else zlib.decompressobj(self._wbits)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Decode a chunk.

        Args:
            chunk: The received bytes.

        Yields:
            Decoded pieces of at most `PIECE_BYTES`, none of them empty.

        Raises:
            UndecodableBody: If the compressed data are damaged, or a limit is exceeded.
        """
        self.received += len(chunk)
        self._chunks += 1
        if self._chunks > FREE_CHUNKS and self.received < MIN_CHUNK_BYTES * self._chunks:
            raise UndecodableBody("it arrives in too many small chunks")
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
        if self._start or (self._inflater is not None and not self._is_complete()):
            raise UndecodableBody(f"its {self._name} coding ends too early")

    def _is_complete(self) -> bool:
        """An empty body is complete whatever its headers say."""
        return self.received == 0 or (self._inflater is not None and self._inflater.eof)

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        """Decompress a piece, with several gzip members; ignore trailing garbage."""
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
                raise UndecodableBody(f"its {self._name} data are damaged") from error
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
        """Detect the format: servers send raw deflate, and proxies label plain text as gzip."""
        self._members = 1
        is_zlib = data[0] & 15 == 8 and int.from_bytes(data[:2]) % 31 == 0
        if self._wbits == _GZIP and data[:2] != b"\x1f\x8b":
            self._wbits, self._inflater = 0, None
        elif self._wbits == _ZLIB and not is_zlib:
            self._wbits, self._inflater = _RAW, zlib.decompressobj(_RAW)

    def _next_member(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise UndecodableBody("it has too many gzip members")
        self._inflater = zlib.decompressobj(_GZIP)


def open_body(
    response: httpx.Response, *, max_bytes: int
) -> tuple[BodyDecoder, AsyncIterator[bytes]]:
    """Open the body of a response.

    Args:
        response: The response, whose body is not read yet; the caller closes it.
        max_bytes: The most bytes to accept before decoding.

    Returns:
        A decoder, and the chunks to feed it with.

    Raises:
        UndecodableBody: If its content coding is not supported.
    """
    if response.is_stream_consumed:  # from a Hub in this process
        return BodyDecoder("", max_bytes=max_bytes), response.aiter_bytes()
    codings = response.headers.get("content-encoding", "")
    return BodyDecoder(codings, max_bytes=max_bytes), response.aiter_raw()
