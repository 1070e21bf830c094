"""Choose the certificates that TLS connections trust, from the environment or the system."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import sys
import threading
from functools import lru_cache

from ..errors import ConfigurationError
from ..runtime.text import os_error_reason, sanitize
from .proxies import Network

_LOCK = threading.Lock()


def load_early(network: Network) -> None:
    """Start to load the certificates on a thread; `ssl_context` waits for them.

    OpenSSL takes long, but lets other threads run meanwhile. Errors are raised by `ssl_context`.

    Args:
        network: The network settings of the environment.
    """

    def load() -> None:
        with contextlib.suppress(ConfigurationError):
            ssl_context(network)

    threading.Thread(target=load, name="mountsea-certificates", daemon=True).start()


def ssl_context(network: Network) -> ssl.SSLContext:
    """Return the SSL context for a network; it is cached until the variables or their file change.

    Args:
        network: The network settings of the environment.

    Raises:
        ConfigurationError: If a variable names certificates that can't be used.
    """
    with _LOCK:
        return _ssl_context(
            network.certificates_variable,
            network.certificates_path,
            network.certificates_changed_at,
            network.keylog_path,
        )


@lru_cache(maxsize=8)
def _ssl_context(
    variable: str,
    path: str,
    changed_at: int,  # noqa: ARG001  # part of the cache key
    keylog_path: str,
) -> ssl.SSLContext:
    """Make a context like `ssl.create_default_context`, with our choice of trusted certificates.

    That function raises if SSLKEYLOGFILE can't be written, and some virus scanners leave such a
    value behind; a debugging log must not stop anything.
    """
    if variable:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _trust(context, variable, path)
    else:
        context = _default_context()
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    if keylog_path:
        with contextlib.suppress(OSError, ValueError):
            context.keylog_filename = keylog_path
    return context


def _default_context() -> ssl.SSLContext:
    """Trust the system's certificates and those of certifi.

    Both, like pip: administrators add to the system's, but a container may have none, and an old
    system outdated ones.
    """
    if sys.platform in ("darwin", "win32"):
        import truststore

        context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        # truststore would do the same here, but again for each connection (35 ms)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_default_verify_paths()
    import certifi

    context.load_verify_locations(certifi.where())
    return context


def _trust(context: ssl.SSLContext, variable: str, path: str) -> None:
    """Trust only the certificates that a variable names, with OpenSSL's rules."""
    folders = [path] if variable != "SSL_CERT_DIR" else path.split(os.pathsep)
    reason = ""
    try:
        if variable == "SSL_CERT_DIR" or (os.path.isdir(path) and variable != "SSL_CERT_FILE"):
            names = [name for folder in folders for name in _listed(folder)]
            if not any(re.fullmatch(r"[0-9a-f]{8}\.[0-9]+", name) for name in names):
                reason = "it contains no certificates with hashed names (run `openssl rehash`)"
            for folder in folders:
                context.load_verify_locations(capath=folder)
        else:
            context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        reason = "it contains no certificate in PEM format"
    except (OSError, ValueError) as error:
        reason = os_error_reason(error)
    if reason:
        raise ConfigurationError(
            f"{variable}={sanitize(path, limit=200)} can't be used: {reason}. "
            "Correct the variable, or unset it to trust the certificates of this system."
        )


def _listed(folder: str) -> list[str]:
    """List a folder; like OpenSSL, skip missing ones."""
    try:
        return os.listdir(folder)
    except (OSError, ValueError):
        return []
