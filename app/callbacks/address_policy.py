"""Where a client's callbacks may go: which URLs, and which addresses behind their names.

Owns the decision and nothing else: it resolves no name and opens no connection. `resolver` asks it for every
address a name has, `delivery` for every address of a connection, so that no path leads around it. Private networks
pass, for the allow-list of names is what admits them; what is refused is refused whatever the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final

from app.origin import Address, AllowEntry, CallbackUrl, Network, UrlFault, parse_callback_url


class CallbackRefused(Exception):
    """A destination that is not allowed. The text is fit for an API answer and carries neither path nor query."""


class AddressRefused(CallbackRefused):
    """An address behind a callback's name that is not allowed."""


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


REFUSED: Final[dict[str, tuple[Network, ...]]] = {
    "unspecified": _networks("0.0.0.0/8", "::/128"),
    "loopback": _networks("127.0.0.0/8", "::1/128"),
    "link-local": _networks("169.254.0.0/16", "fe80::/10"),
    "multicast": _networks("224.0.0.0/4", "ff00::/8"),
    "broadcast": _networks("255.255.255.255/32"),
    "reserved": _networks("240.0.0.0/4", "64:ff9b:1::/48", "100::/64", "fec0::/10"),
    "cloud metadata": _networks(
        "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::/32", "fd20:ce::/32"
    ),
}
"""What is refused unless it is listed, by the word that says why; the first that holds the address counts.

"reserved" has the local-use NAT64 prefix (RFC 8215), whose IPv4 address can stand anywhere in it. "cloud metadata"
are the services of Alibaba, Azure, Oracle, AWS and Google that are not link-local.
"""

_EMBEDDING_LOW = _networks("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")
"""IPv4-compatible, IPv4-mapped, IPv4-translated (RFC 2765), NAT64: the IPv4 address is the last 32 bits."""
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
"""RFC 5214: these 32 bits stand before the IPv4 address, in any network."""


_read = lru_cache(maxsize=1024)(parse_callback_url)
"""Clients have few URLs and many messages. What a name resolves to is not part of it."""


class CallbackPolicy:
    """What one client's `callback_allow` admits. Policies of equal entries are equal, and may share connections."""

    __slots__ = ("entries",)

    def __init__(self, entries: Sequence[AllowEntry]) -> None:
        self.entries = tuple(entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CallbackPolicy) and self.entries == other.entries

    def __hash__(self) -> int:
        return hash(self.entries)

    def check_url(self, url: str) -> CallbackUrl:
        """The URL, read; `CallbackRefused` if it is no callback URL, or if no entry has its scheme, host and port."""
        try:
            read = _read(url)
        except UrlFault as fault:
            raise CallbackRefused(str(fault)) from fault
        if not any(entry.matches(read.origin) for entry in self.entries):
            raise CallbackRefused("scheme, host and port must match an entry of the client's callback_allow")
        return read

    def check_address(self, ip: Address, port: int) -> None:
        """Raises `AddressRefused` for what `REFUSED` holds, in any IPv6 clothing, unless an entry is that address."""
        kind = refused_kind(ip)
        if kind is not None and not any(entry.lists_address(ip, port) for entry in self.entries):
            raise AddressRefused(f"address not allowed: {kind}")


def refused_kind(ip: Address) -> str | None:
    """The word of `REFUSED` for this address, or for the IPv4 address that it carries; None if it is neither."""
    for kind, networks in REFUSED.items():
        if any(ip in network for network in networks):
            return kind
    return next(filter(None, map(refused_kind, _embedded(ip))), None)


def _embedded(ip: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that packets to this IPv6 address may end at."""
    if not isinstance(ip, IPv6Address):
        return ()
    if any(ip in network for network in _EMBEDDING_LOW) or int(ip) >> 32 & 0xFFFFFFFF in _ISATAP:
        return (IPv4Address(int(ip) & 0xFFFFFFFF),)
    if ip.sixtofour is not None:
        return (ip.sixtofour,)
    return ip.teredo or ()
