"""Read proxies, NO_PROXY and certificates from the environment.

httpx reads these variables too, but raises all kinds of errors for invalid values, even for hosts
without a proxy.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import os
import re
import sys
from dataclasses import dataclass, field
from urllib.parse import unquote

from ..errors import ConfigurationError
from ..runtime.environment import variable
from ..runtime.text import sanitize

CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The variables that name trusted certificates; the first one that is set is used.

httpx ignores the last two, but companies set them for requests, pip and curl.
"""

_SYSTEM = "the system's proxy settings"
"""Takes the place of the variable's name for a proxy from the settings of Windows or macOS."""

_DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080}
_SCHEMES = {
    "http": "http",
    "https": "https",
    "socks5": "socks5",
    "socks5h": "socks5",  # httpcore always lets the proxy resolve names
    "socks": "socks5",  # from GNOME's settings
}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that a variable names.

    Attributes:
        variable: The variable.
        scheme: ``http``, ``https`` or ``socks5``.
        host: A name or an IP address, without brackets.
        port: The port.
        auth: User and password, or None.
        problem: Why it can't be used, or an empty string; with a problem there is no host.
    """

    variable: str
    scheme: str = ""
    host: str = ""
    port: int = 0
    auth: tuple[str, str] | None = field(default=None, repr=False)
    problem: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port} ({self.variable})"


@dataclass(frozen=True, slots=True)
class Network:
    """The network settings of the environment.

    Attributes:
        proxies: The proxy for ``http``, ``https`` or ``all`` URLs.
        no_proxy: The entries of ``NO_PROXY``.
        certificates_variable: The variable that names trusted certificates, or an empty string.
        certificates_path: The file or folder that it names.
        certificates_changed_at: Its modification time, in nanoseconds, so that changes are noticed;
            0 if there is none.
        keylog_path: The file to which TLS keys are logged for debugging, or an empty string.

    Example:
        >>> Network().proxy_for("https", "api.mountsea.ai", 443) is None
        True
    """

    proxies: tuple[tuple[str, Proxy], ...] = ()
    no_proxy: tuple[str, ...] = ()
    certificates_variable: str = ""
    certificates_path: str = ""
    certificates_changed_at: int = 0
    keylog_path: str = ""

    def proxy_for(self, scheme: str, host: str, port: int | None) -> Proxy | None:
        """Return the proxy for a URL, or None.

        Args:
            scheme: The URL's scheme.
            host: Its host; an IPv6 address without brackets.
            port: Its port; the scheme's default if None.
        """
        proxies = dict(self.proxies)
        proxy = proxies.get(scheme) or proxies.get("all")
        if proxy is None:
            return None
        host, port = host.lower().rstrip("."), port or _DEFAULT_PORTS.get(scheme)
        if any(_exempts(entry, scheme, host, port) for entry in self.no_proxy):
            return None
        return None if proxy.variable == _SYSTEM and _system_exempts(host) else proxy

    def require_proxy_for(self, scheme: str, host: str, port: int | None) -> Proxy | None:
        """Return the proxy for a URL as `proxy_for` does, or raise if it can't be used.

        Raises:
            ConfigurationError: If the proxy can't be used; it names the variable.
        """
        proxy = self.proxy_for(scheme, host, port)
        if proxy is not None and proxy.problem:
            raise ConfigurationError(
                f"{proxy.variable} can't be used: {proxy.problem}. Correct it, or exempt the host: "
                f"NO_PROXY={sanitize(host)}."
            )
        return proxy


def read_network() -> Network:
    """Read the variables as they are now; cheap, and never raises."""
    proxies = dict(_proxies())
    no_proxy = _variable("no_proxy")[1]
    named = [(name, (variable(name) or "").strip()) for name in CERTIFICATE_VARIABLES]
    certificates, path = next((pair for pair in named if pair[1]), ("", ""))
    return Network(
        tuple(proxies.items()),
        tuple(filter(None, re.split(r"[\s,;]+", no_proxy))),  # Windows separates by semicolons
        certificates,
        path,
        _changed_at(path),
        "" if sys.flags.ignore_environment else variable("SSLKEYLOGFILE") or "",
    )


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns if path else 0
    except (OSError, ValueError):
        return 0


def _proxies() -> list[tuple[str, Proxy]]:
    """Read the proxy variables, or without any the settings of Windows and macOS."""
    found = []
    for scheme in ("http", "https", "all"):
        name, value = _variable(f"{scheme}_proxy")
        if name == "HTTP_PROXY" and variable("REQUEST_METHOD") is not None:
            continue  # httpoxy: a CGI script's caller can set it with a Proxy header
        if value:
            found.append((scheme, read_proxy(name, value)))
    if not found and sys.platform in ("win32", "darwin"):
        from urllib.request import getproxies

        named = getproxies()
        found = [
            (scheme, read_proxy(_SYSTEM, named[key]))
            for scheme, key in (("http", "http"), ("https", "https"), ("all", "socks"))
            if named.get(key)
        ]
    return found


def _system_exempts(host: str) -> bool:
    """Whether Windows' or macOS' settings exempt a host from the proxy."""
    from urllib.request import proxy_bypass

    return bool(proxy_bypass(host))


def _variable(name: str) -> tuple[str, str]:
    """Return a variable's name and value; lower case wins, even if empty, as in urllib."""
    for spelling in (name, name.upper()):
        value = variable(spelling)
        if value is not None:
            return spelling, _unquoted(value.strip())
    return name, ""


def _unquoted(value: str) -> str:
    """Remove the quotes that `%env` and env files leave."""
    return value[1:-1].strip() if value[:1] in ("'", '"') and value[-1:] == value[:1] else value


def read_proxy(variable: str, value: str) -> Proxy:
    """Parse a proxy's URL; an invalid one has a ``problem``.

    It does not raise, since tracebacks may show variables, and the URL may contain a password.

    Args:
        variable: The variable's name, for messages.
        value: Its value, such as ``http://user:p@ss#word@proxy.example:3128``.

    Example:
        >>> str(read_proxy("HTTPS_PROXY", "proxy.example:3128"))
        'http://proxy.example:3128 (HTTPS_PROXY)'
    """
    scheme, separator, rest = value.partition("://")
    if not separator:
        scheme, rest = "http", value
    if scheme.lower() not in _SCHEMES:
        known = "http://, https://, socks5:// and socks5h://"
        if not re.fullmatch(r"[A-Za-z0-9+.-]{1,20}", scheme):
            return Proxy(variable, problem=f"it is not a URL; supported are {known}")
        return Proxy(variable, problem=f"{scheme}:// proxies are not supported, only {known}")
    scheme = _SCHEMES[scheme.lower()]
    # passwords often contain unencoded @, / and #
    userinfo, at, authority = rest.rpartition("@")
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(.*))?", authority.rstrip("/"))
    host = match[1].strip("[]") if match else ""
    if match is None or not _is_host(host, bracketed=match[1].startswith("[")):
        return Proxy(variable, problem="it has no valid host")
    digits = match[2] or ""
    if digits and not (re.fullmatch(r"[0-9]{1,5}", digits) and 0 < int(digits) < 65536):
        return Proxy(variable, problem="its port must be a number from 1 to 65535")
    user, _, password = userinfo.partition(":")
    auth = (unquote(user), unquote(password)) if at and userinfo else None
    port = int(digits) if digits else _DEFAULT_PORTS[scheme]
    return Proxy(variable, scheme, host.lower(), port, auth)


def _is_host(host: str, *, bracketed: bool) -> bool:
    """Whether it is a valid host name or IP address."""
    if bracketed:
        return _ip_network(host) is not None
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return re.fullmatch(r"[^\s\x00-\x20!\"#$%&'()*,/:;<=>?@\\^`{|}\x7f]+", host) is not None


def _exempts(entry: str, scheme: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY matches: a name with its subdomains, an address, a network."""
    only_scheme, separator, pattern = entry.lower().rpartition("://")
    if separator and only_scheme not in (scheme, "all"):
        return False
    before, colon, digits = pattern.rpartition(":")
    if colon and digits.isdecimal() and _ip_network(pattern) is None:
        if digits != str(port):
            return False
        pattern = before
    network = _ip_network(pattern)
    if network is not None:
        address = _ip_network(host)
        return address is not None and address.network_address in network
    name = pattern.strip(".")
    if "*" in name:
        return fnmatch.fnmatchcase(f".{host}", name) or fnmatch.fnmatchcase(host, name)
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _ip_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Parse an IP address or network, such as ``[::1]`` or ``10.0.0.0/8``; None for a name."""
    address, slash, bits = text.partition("/")
    address = address.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_network(address + slash + bits, strict=False)
    except ValueError:
        return None
