"""Describe and redact network errors: which proxy or certificate caused them, and what to do."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterator

from ..runtime.httpx_import import httpx
from ..runtime.key_redaction import redact_key
from ..runtime.redaction import without_queries
from ..runtime.text import os_error_reason, sanitize
from .proxies import Network, Proxy

_NOT_YET_VALID, _EXPIRED, _OTHER_NAME = 9, 10, frozenset({62, 64})
"""OpenSSL's verification error codes; all others mean that the certificate is not trusted."""


def describe_failure(
    error: Exception, network: Network | None, url: httpx.URL, *, maybe_sent: bool = True
) -> str | None:
    """Describe why a host was not reached, if a proxy or TLS is the cause.

    Args:
        error: The error that httpx raised, with its causes.
        network: The proxies and certificates, or None for a Hub in this process.
        url: The requested URL.
        maybe_sent: Whether the request may have reached the host.

    Returns:
        Two sentences, the cause and what to do, or None for any other cause.
    """
    if network is None:
        return None
    host = sanitize(url.host, limit=80)
    proxy = network.proxy_for(url.scheme, url.host, url.port)
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _describe_certificate(cause, network, host)
    if proxy is not None and isinstance(error, httpx.ProxyError):
        return _describe_proxy_error(str(error), proxy, host)
    tls_error = next((cause for cause in causes if _is_tls_error(cause)), None)
    timed_out = isinstance(error, httpx.ConnectTimeout)
    if (
        not maybe_sent
        and proxy is not None
        and proxy.scheme == "https"
        and (tls_error or timed_out)
    ):
        return (
            f"The TLS connection to the proxy {proxy} failed. Most proxies need an http:// URL, "
            f"also for https requests: correct {proxy.variable}."
        )
    if not maybe_sent and tls_error is not None:
        return (
            f"The TLS connection to {host} failed ({sanitize(tls_error, limit=120)}). Check "
            "whether its URL should begin with http:// instead of https://."
        )
    if proxy is None:
        return None
    system = _os_error(causes)
    if system is not None or timed_out:
        reason = "no response" if system is None else _os_message(system)
        return (
            f"The proxy {proxy} can't be reached ({reason}). Correct {proxy.variable}, or exempt "
            f"the host: NO_PROXY={host}."
        )
    return None if maybe_sent else _describe_proxy_error(str(error), proxy, host)


def without_request(error: Exception) -> httpx.RequestError:
    """Copy an error without its request and frames, since their URLs may be signed.

    Args:
        error: An error of httpx or of a library below it.

    Example:
        >>> without_request(httpx.InvalidURL("no host in https://?signature=s3cret"))
        UnsupportedProtocol('no host in https://?…')
    """
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout("no response arrived")
    if isinstance(error, ssl.SSLError):
        return httpx.ReadError("the TLS connection failed")
    message = sanitize(without_queries(redact_key(str(error))), limit=200)
    if isinstance(error, httpx.RequestError):
        return type(error)(message or type(error).__name__)
    if isinstance(error, httpx.InvalidURL | UnicodeError):
        return httpx.UnsupportedProtocol(message)
    return httpx.TransportError(f"{type(error).__name__}: {message}")


def _describe_proxy_error(message: str, proxy: Proxy, host: str) -> str:
    """Describe httpcore's error for a failed CONNECT or SOCKS handshake."""
    if message.startswith("407") or "METHODS" in message or "username" in message:
        return describe_proxy_login(proxy)
    reason = sanitize(without_queries(message), limit=120).rstrip(".") or "no reason given"
    return (
        f"The proxy {proxy} could not connect to {host} ({reason}). Ask its administrator, "
        f"correct {proxy.variable}, or exempt the host: NO_PROXY={host}."
    )


def describe_proxy_login(proxy: Proxy) -> str:
    """Describe a proxy's HTTP 407: it requires a user and password, or rejected the given ones.

    Args:
        proxy: The proxy.

    Example:
        >>> describe_proxy_login(Proxy("ALL_PROXY", "http", "a.example", 80)).partition(". ")[2]
        'Set ALL_PROXY to http://USER:PASSWORD@a.example:80.'
    """
    if proxy.auth is not None:
        return f"The proxy {proxy} rejected the user and password in {proxy.variable} (HTTP 407)."
    host = str(proxy).partition("://")[2].partition(" ")[0]
    return (
        f"The proxy {proxy} requires a user and password (HTTP 407). Set {proxy.variable} to "
        f"{proxy.scheme}://USER:PASSWORD@{host}."
    )


def _describe_certificate(error: ssl.SSLCertVerificationError, network: Network, host: str) -> str:
    """Describe what is wrong with a certificate, and how to fix it."""
    code, why = error.verify_code, sanitize(error.verify_message or error, limit=120).rstrip(".")
    if code == _EXPIRED:
        return (
            f"The certificate of {host} has expired. If this machine's clock is correct, only the "
            "owner of that host can renew it."
        )
    if code == _NOT_YET_VALID:
        return f"The certificate of {host} is not valid yet. Check this machine's clock."
    if code in _OTHER_NAME:
        return (
            f"The certificate of {host} is for another host ({why}). Check the URL; a proxy or "
            "login page may have responded instead."
        )
    problem = f"The certificate of {host} is not trusted ({why})."
    if network.certificates_variable:
        path = sanitize(network.certificates_path, limit=200)
        return (
            f"{problem} It was checked with {network.certificates_variable}={path}: add the CA "
            "certificate that signed it, or unset the variable."
        )
    return (
        f"{problem} Behind a company's proxy, set SSL_CERT_FILE to a file with the company's CA "
        "certificate."
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all of its causes, including those in exception groups."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions


def _os_error(causes: list[BaseException]) -> OSError | None:
    """Find the system's error for a failed connection; anyio's own error has no errno."""
    ignored = (None, errno.EPIPE, errno.ECONNRESET)
    system = [cause for cause in causes if isinstance(cause, OSError)]
    return next(
        (one for one in system if not isinstance(one, ssl.SSLError) and one.errno not in ignored),
        None,
    )


def _os_message(error: OSError) -> str:
    """Return the system's message; asyncio replaces it by one that contains a tuple."""
    number = error.errno or 0
    known = os.strerror(number) if number > 0 and os.name == "posix" else ""
    return known or os_error_reason(error)


def _is_tls_error(error: BaseException) -> bool:
    """Whether it is a protocol error, and not anyio waiting for more bytes."""
    return isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLWantReadError)
