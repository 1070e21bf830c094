"""Failures of the network in words: a proxy or a certificate is named, with the cure."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterator

import httpx

from ..errors import sanitize
from ..runtime.redaction import without_queries
from .proxies import Network, Proxy

_NOT_YET_VALID, _EXPIRED, _OTHER_NAME = 9, 10, frozenset({62, 64})
"""OpenSSL's codes for what is wrong with a certificate; all others mean that it is not trusted."""


def describe_failure(
    error: Exception, network: Network | None, url: httpx.URL, *, maybe_sent: bool = True
) -> str | None:
    """Say in words why a host was not reached, where a proxy or TLS is the cause.

    Args:
        error: What httpx raised, with its causes.
        network: What the environment says, or None for a Hub in this process.
        url: What was asked for.
        maybe_sent: Whether the request may have reached the host.

    Returns:
        Two sentences, the cause and the cure, or None for any other cause.
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
        return _describe_refusal(str(error), proxy, host)
    no_tls = next((cause for cause in causes if _is_of_tls(cause)), None)
    late = isinstance(error, httpx.ConnectTimeout)
    if not maybe_sent and proxy is not None and proxy.scheme == "https" and (no_tls or late):
        return (
            f"The proxy {proxy} does not answer by TLS. Most proxies are reached by http://, also "
            f"for https URLs: correct {proxy.variable}."
        )
    if not maybe_sent and no_tls is not None:
        return (
            f"{host} does not answer by TLS ({sanitize(no_tls, limit=120)}). Check whether its URL "
            "begins with https:// or http://."
        )
    if proxy is None:
        return None
    system = _os_error(causes)
    if system is not None or late:
        reason = "no response" if system is None else _in_words(system)
        return (
            f"The proxy {proxy} can't be reached ({reason}). Correct {proxy.variable}, or exempt "
            f"the host: NO_PROXY={host}."
        )
    return None if maybe_sent else _describe_refusal(str(error), proxy, host)


def _describe_refusal(message: str, proxy: Proxy, host: str) -> str:
    """What httpcore says of a CONNECT or of a SOCKS handshake that failed."""
    if message.startswith("407") or "METHODS" in message or "username" in message:
        return describe_proxy_login(proxy)
    said = sanitize(without_queries(message), limit=120).rstrip(".") or "it does not say why"
    return (
        f"The proxy {proxy} did not connect to {host} ({said}). Ask whoever runs it, correct "
        f"{proxy.variable}, or exempt the host: NO_PROXY={host}."
    )


def describe_proxy_login(proxy: Proxy) -> str:
    """Say that a proxy wants a user and a password, or others (HTTP 407).

    Args:
        proxy: The proxy.

    Example:
        >>> describe_proxy_login(Proxy("ALL_PROXY", "http", "a.example", 80)).partition(". ")[2]
        'Set ALL_PROXY to http://USER:PASSWORD@a.example:80.'
    """
    if proxy.auth is not None:
        return f"The proxy {proxy} does not accept the user and password in {proxy.variable} (407)."
    place = str(proxy).partition("://")[2].partition(" ")[0]
    return (
        f"The proxy {proxy} requires a user and a password (407). Set {proxy.variable} to "
        f"{proxy.scheme}://USER:PASSWORD@{place}."
    )


def _describe_certificate(error: ssl.SSLCertVerificationError, network: Network, host: str) -> str:
    """What is wrong with a certificate, and where that is mended."""
    code, why = error.verify_code, sanitize(error.verify_message or error, limit=120).rstrip(".")
    if code == _EXPIRED:
        return (
            f"The certificate of {host} has expired. If this machine's clock is right, only the "
            "owner of that host can renew it."
        )
    if code == _NOT_YET_VALID:
        return f"The certificate of {host} is not valid yet. Check this machine's clock."
    if code in _OTHER_NAME:
        return (
            f"The certificate that {host} shows is for another host ({why}). Check the URL; "
            "a proxy or a login page may have answered in its place."
        )
    problem = f"The certificate of {host} is not trusted ({why})."
    if network.certificates:
        path = sanitize(network.certificates_path, limit=200)
        return (
            f"{problem} It was checked with {network.certificates}={path}: add the CA "
            "certificate that signed it, or unset the variable."
        )
    return (
        f"{problem} Behind a company's proxy, set SSL_CERT_FILE to a file with the company's CA "
        "certificate."
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it, also within groups."""
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
    """What the system said of a connection that was not made; anyio's own error has no number."""
    broken = (None, errno.EPIPE, errno.ECONNRESET)
    system = [cause for cause in causes if isinstance(cause, OSError)]
    return next(
        (one for one in system if not isinstance(one, ssl.SSLError) and one.errno not in broken),
        None,
    )


def _in_words(error: OSError) -> str:
    """The system's words, in the place of which asyncio puts some with a tuple in them."""
    number = error.errno or 0
    known = os.strerror(number) if number > 0 and os.name == "posix" else ""
    return sanitize(known or error.strerror or error)


def _is_of_tls(error: BaseException) -> bool:
    """An error of the protocol, not anyio's waiting for more bytes."""
    return isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLWantReadError)
