"""Origins: where a URL points, and which of them an allow-list admits.

Owns the one parser through which every callback URL and every `callback_allow` entry goes (contract,
section 5). Pure: it resolves no name and opens no connection. It must never compare URLs as text, and must never
guess: what has two readings (userinfo, backslashes, numeric spellings of an address, trailing dots) is refused,
so that no other reader can see another host in it. No fault repeats the URL, which may carry a token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

import idna

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL_LENGTH: Final = 2048
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>[^#]*)(?P<fragment>#.*)?"
)
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>.*))?")
_ENTRY = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?"
    r"(?P<host>\[[^\[\]]*\]|[^\[\]:/?#]*)(?:/(?P<prefix>[0-9]{1,3}))?(?::(?P<port>[^/?#@]*))?"
)
# RFC 3986: pchar, "/" and "?"; a "%" stands only before two hex digits.
_TARGET = re.compile(r"(?:[/?](?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?")
# The underscore is no hostname of RFC 1123, but names inside clusters and compose files carry it.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


class UrlFault(ValueError):
    """A callback URL that is not taken. The text says what is expected, fit for an answer, without the URL."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port, each in its one canonical form. Its text is a destination's key."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A lower-case ASCII name, or an address as `ipaddress` writes it, IPv6 without brackets."""
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"

    @property
    def address(self) -> Address | None:
        """The address, where the host is one and no name has to be resolved."""
        return _as_address(self.host)


@dataclass(frozen=True, slots=True, repr=False)
class CallbackUrl:
    """A callback URL that has been read: its origin, and what to ask it for. Only `str()` shows the latter."""

    origin: Origin
    target: str
    """Path and query as they were written, beginning with `/`."""

    def __str__(self) -> str:
        port = "" if self.origin.port == DEFAULT_PORTS[self.origin.scheme] else f":{self.origin.port}"
        return f"{self.origin.scheme}://{_bracketed(self.origin.host)}{port}{self.target}"

    def __repr__(self) -> str:
        return f"CallbackUrl({self.origin}/…)"


@dataclass(frozen=True, slots=True)
class AllowEntry:
    """One entry of `callback_allow`. Exactly one of `name` and `network` is set."""

    scheme: str
    name: str | None
    """A host name in lower-case ASCII; with `any_subdomain`, what stands after the `*.`."""
    network: Network | None
    """An address (a network of one) or a network."""
    port: int | None
    """None: any port."""
    any_subdomain: bool = False

    @classmethod
    def parse(cls, text: str) -> AllowEntry:
        """Reads `https://host`, `http://*.zone:*`, `http://10.0.0.0/8:*`, `http://[::1]:9000`, `host:8443`.

        Without a scheme it is https; without a port, the scheme's own. Raises `ValueError`, saying what is
        expected and not what stood there.
        """
        try:
            return _read_entry(text)
        except UrlFault as fault:
            raise ValueError(
                f"{fault}; expected scheme://host, with *. before the host for its subdomains, "
                "an address or a network such as 10.0.0.0/8 for it, and :port or :* behind it"
            ) from fault

    def matches_url(self, url: str) -> bool:
        """Whether scheme, host and port are this entry's. A URL that cannot be read matches nothing."""
        try:
            return self.matches(parse_callback_url(url).origin)
        except UrlFault:
            return False

    def matches(self, origin: Origin) -> bool:
        """Whether the scheme, host and port are this entry's."""
        return self.scheme == origin.scheme and self._has_port(origin.port) and self._has_host(origin)

    def lists_address(self, ip: Address, port: int) -> bool:
        """Whether this entry's host *is* that address, or a network that holds it, and its port matches.

        A name lists none, whatever it resolves to. An IPv4 address does not list its IPv6 spellings.
        """
        return self.network is not None and self._has_port(port) and ip in self.network

    def _has_port(self, port: int) -> bool:
        return self.port is None or self.port == port

    def _has_host(self, origin: Origin) -> bool:
        address = origin.address
        if self.network is not None:
            return address is not None and address in self.network
        if address is not None or self.name is None:
            return False
        if self.any_subdomain:
            return origin.host.endswith(f".{self.name}")
        return origin.host == self.name


def parse_callback_url(url: str) -> CallbackUrl:
    """Reads an absolute http or https URL strictly; raises `UrlFault`, saying what is expected.

    A trailing dot of the host is refused, not dropped: the resolver, TLS and the `Host` header each treat it
    otherwise. Fragments are refused, for they are never sent. An international host becomes its IDNA form.
    """
    if len(url) > MAX_URL_LENGTH:
        raise UrlFault(f"must be at most {MAX_URL_LENGTH} characters")
    _refuse_ambiguous_characters(url)
    parts = _URL.fullmatch(url)
    if parts is None:
        raise UrlFault("must be an absolute URL: https://host/path")
    scheme = _read_scheme(parts["scheme"])
    if "@" in parts["authority"]:
        raise UrlFault("must not carry credentials")
    if parts["fragment"] is not None:
        raise UrlFault("must not have a fragment")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        raise UrlFault("must have a host; an IPv6 address stands in brackets")
    port = DEFAULT_PORTS[scheme] if authority["port"] is None else _read_port(authority["port"])
    return CallbackUrl(Origin(scheme, _read_host(authority["host"]), port), _read_target(parts["target"]))


def _read_entry(text: str) -> AllowEntry:
    _refuse_ambiguous_characters(text)
    parts = _ENTRY.fullmatch(text)
    if parts is None:
        raise UrlFault("must be a scheme, a host and a port, with no credentials, path or query")
    scheme = _read_scheme(parts["scheme"] or "https")
    if parts["port"] is None:
        port: int | None = DEFAULT_PORTS[scheme]
    else:
        port = None if parts["port"] == "*" else _read_port(parts["port"])
    host, any_subdomain = parts["host"], parts["host"].startswith("*.")
    host = _read_host(host.removeprefix("*."))
    network = _read_network(host, parts["prefix"])
    if network is not None and any_subdomain:
        raise UrlFault("an address has no subdomains")
    return AllowEntry(scheme, None if network else host, network, port, any_subdomain)


def _read_network(host: str, prefix: str | None) -> Network | None:
    if _as_address(host) is None:
        if prefix is not None:
            raise UrlFault("only an address may be followed by the length of a network")
        return None
    try:
        return ip_network(host if prefix is None else f"{host}/{prefix}")
    except ValueError as fault:
        raise UrlFault(f"is no network: {fault}") from fault


def _refuse_ambiguous_characters(text: str) -> None:
    if any(not character.isprintable() or character.isspace() for character in text):
        raise UrlFault("must not contain spaces, tabs, line breaks or control characters")
    if "\\" in text:
        raise UrlFault("must not contain a backslash")


def _read_scheme(scheme: str) -> str:
    if scheme.lower() not in DEFAULT_PORTS:
        raise UrlFault("scheme must be http or https")
    return scheme.lower()


def _read_port(port: str) -> int:
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise UrlFault("port must be a number from 1 to 65535")
    return int(port)


def _read_target(target: str) -> str:
    if not _TARGET.fullmatch(target):
        raise UrlFault("path and query must be percent-encoded ASCII")
    return target if target.startswith("/") else f"/{target}"


def _read_host(host: str) -> str:
    if host.startswith("["):
        return _read_ipv6(host[1:-1])
    name = _to_ascii(host)
    if not name:
        raise UrlFault("must have a host")
    if name.endswith("."):
        raise UrlFault("host must not end with a dot")
    labels = name.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        return _read_ipv4(name)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlFault("host must be a name of letters, digits, dots and dashes, or an address")
    return name


def _to_ascii(host: str) -> str:
    """IDNA 2008 without mappings: they would make an address of full-width digits and ideographic dots."""
    name = host.lower() if host.isascii() else host
    if name.isascii() and "xn--" not in name:
        return name
    try:
        return idna.encode(name, strict=True).decode("ascii")
    except UnicodeError as fault:  # idna.IDNAError is one
        raise UrlFault("host is no valid internationalised name (IDNA 2008)") from fault


def _read_ipv4(host: str) -> str:
    try:
        return str(IPv4Address(host))
    except ValueError as fault:
        raise UrlFault("an IPv4 address must be four decimal numbers, such as 192.0.2.1") from fault


def _read_ipv6(host: str) -> str:
    if "%" in host:
        raise UrlFault("an IPv6 address must not carry a zone")
    try:
        return str(IPv6Address(host))
    except ValueError as fault:
        raise UrlFault("brackets must hold an IPv6 address, such as [2001:db8::1]") from fault


@lru_cache(maxsize=1024)
def _as_address(host: str) -> Address | None:
    if ":" in host:
        return IPv6Address(host)
    return IPv4Address(host) if host[-1].isdigit() and host.rpartition(".")[2].isdigit() else None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
