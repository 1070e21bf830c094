"""A server that echoes the API key in many encodings, and a search for the key in a text."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
import unicodedata
from collections.abc import Callable, Mapping
from socketserver import BaseRequestHandler, ThreadingTCPServer
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote

KEY = "sk-m0untsea/+0123456789abcdef~Z"
"""An API key with characters that each encoding represents differently."""


def _escaped(key: str, spell: Callable[[str], str]) -> str:
    return "".join(map(spell, key))


FORMS: Mapping[str, str] = {
    "as it is": KEY,
    "in capitals": KEY.upper(),
    "percent-encoded": quote(KEY, safe=""),
    "percent-encoded in small letters": quote(KEY, safe="").lower(),
    "percent-encoded twice": quote(quote(KEY, safe=""), safe=""),
    "percent-encoded throughout": _escaped(KEY, lambda one: f"%{ord(one):02x}"),
    "in base64": base64.b64encode(KEY.encode()).decode(),
    "in base64 behind a letter": base64.b64encode(b"k" + KEY.encode()).decode(),
    "in base64 as a password": base64.b64encode(f"ab:{KEY}".encode()).decode(),
    "in urlsafe base64": base64.urlsafe_b64encode(f"Bearer {KEY}!".encode()).decode(),
    "in base64 over two lines": base64.encodebytes(f"Bearer {KEY} {KEY}".encode()).decode(),
    "in base32": base64.b32encode(f"ab:{KEY}".encode()).decode(),
    "in full-width letters": "".join(chr(ord(one) + 0xFEE0) for one in KEY),
    "in octal": _escaped(KEY, lambda one: f"\\{ord(one):03o}"),
    "in hexadecimal": KEY.encode().hex(),
    "in HTML": _escaped(KEY, lambda one: f"&#{ord(one)};"),
    "in HTML, hexadecimal": _escaped(KEY, lambda one: f"&#x{ord(one):X};"),
    "in JSON's escapes": _escaped(KEY, lambda one: f"\\u{ord(one):04x}"),
    "between tags": "</b><b>".join(KEY),
    "between zero-width spaces": "\u200b".join(KEY),
    "between control characters": "\x01".join(KEY),
    "between colours": "\x1b[31m".join(KEY),
    "over two lines": f"{KEY[:9]}\r\n  {KEY[9:]}",
    "between spaces": " ".join(KEY),
    "in two pieces": f"{KEY[:15]}; and {KEY[15:]}",
}
"""Encodings of the key that a text may contain."""


_DROPPED = bytes(code for code in range(128) if not chr(code).isalnum())


def leaks(text: str) -> list[str]:
    """Return which parts of the key can be found in a text, by encoding."""
    patterns = {"key": KEY[:14], "its end": KEY[-14:], "hexadecimal": KEY[:9].encode().hex()}
    for shift, cut in enumerate((0, 2, 3)):
        coded = base64.b64encode(bytes(shift) + KEY[:18].encode()).decode()
        patterns[f"base64 behind {shift}"] = coded[cut:-4]
    for shift in range(5):
        coded = base64.b32encode(bytes(shift) + KEY[:18].encode()).decode()
        patterns[f"base32 behind {shift}"] = coded[-(-shift * 8 // 5) : (shift + 18) * 8 // 5]
    decodings = [text, unquote(text), unquote(unquote(text)), html.unescape(text)]
    decodings.append(re.sub(r"\\+(?:u00|x)([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text))
    decodings.append(re.sub(r"\\([01][0-7]{2})", lambda m: chr(int(m[1], 8)), text))
    decodings += [re.sub(r"<[^>]*>|\[\d+m", "", text), unicodedata.normalize("NFKC", text)]
    # most decodings are the text itself
    folded = set(map(_folded, set(decodings)))
    return [
        f"{name}: {pattern}"
        for name, pattern in patterns.items()
        if any(_folded(pattern) in decoding for decoding in folded)
    ]


def _folded(text: str) -> str:
    """Return the letters and digits of a text, in lower case."""
    return text.lower().encode("ascii", "ignore").translate(None, _DROPPED).decode()


def response(body: bytes, status_line: str = "HTTP/1.1 200 OK", *headers: str) -> bytes:
    """Build a raw HTTP response."""
    lines = [status_line, f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("utf-8") + body


def in_json(**values: object) -> bytes:
    """Build a raw HTTP response with a JSON body."""
    return response(json.dumps(values, ensure_ascii=False).encode())


class EchoHub:
    """A Hub and image host that sends the given bytes, which need not be valid HTTP.

    Args:
        submit: The response to a submission; by default with the task id `hub-1`.
        poll: The response to a poll; by default with the URL of an image on this host.
        image: The response to all other requests.
        model: The response to requests for models.

    Attributes:
        url: The base URL.
        lines: The request line of each request, in order.
    """

    def __init__(
        self, *, submit: bytes = b"", poll: bytes = b"", image: bytes = b"", model: bytes = b""
    ) -> None:
        hub = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += self.request.recv(65536)
                head, _, body = request.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                while length and len(body) < int(length[1]):
                    body += self.request.recv(65536)
                hub.lines.append(head.partition(b"\r\n")[0].decode())
                self.request.sendall(hub.respond(hub.lines[-1]))

        self.lines: list[str] = []
        self._server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._submit = submit or in_json(task_id="hub-1")
        data = {"images": [{"url": f"{self.url}/a.png"}]}
        self._poll = poll or in_json(status="completed", ready=True, data=data)
        self._image, self._model = image or response(b"", "HTTP/1.1 404 Gone"), model

    def respond(self, line: str) -> bytes:
        """Return the response to a request, given its request line."""
        if line.startswith("POST"):
            return self._submit
        if "/hub/v1/tasks/" in line:
            return self._poll
        return self._model if "/hub/v1/models" in line else self._image

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
