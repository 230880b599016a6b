"""What we read in a URL is what every other reader of it sees, or we refuse it."""

from __future__ import annotations

import socket
import urllib.parse
from ipaddress import ip_address

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from app.origin import DEFAULT_PORTS, UrlFault, parse_callback_url
from tests.callbacks.hostile_urls import HOSTILE_URLS

Seen = tuple[str, str, int]

_MARKS = (
    ":", "//", "/", "///", "\\", "@", "#", "?", "[", "]", ".", "..", "-", "_", "%", "%2e", "%2f", "%40", "%00", "%31",
    "%5b", "\t", "\n", "\r", " ", "\x00", "\u200b", "\u00ad", "\ufeff", "*", ",", ";", "!", "$", "&", "'", "(", ")",
    "+", "=", "~", "|", "^", "`", "{", "}", "<", ">", '"', "。", "\uff0e", "℀", "\uff1a", "\uff0f", "\uff20",
)  # fmt: skip
_WORDS = (
    "http", "https", "HTTP", "ftp", "ws", "127.0.0.1", "127.1", "0x7f.1", "0177.0.0.1", "2130706433", "0", "1", "08",
    "255", "256", "::1", "::", "fe80::1", "%25lo", "::ffff:127.0.0.1", "checkout.internal", "CHECKOUT", "evil.example",
    "localhost", "xn--", "xn--bcher-kva", "bücher", "\uff11\uff12\uff17", "①", "ß", "\u017f", "İ", "\u212a", "v1.x",
    "80", "443", "0443", "65535", "65536", "-1", "\uff14",
)  # fmt: skip
_PIECES = st.sampled_from(_MARKS + _WORDS)
_AUTHORITIES = st.lists(_PIECES, max_size=7).map("".join)
_URLS = st.one_of(
    st.builds("{}://{}{}".format, st.sampled_from(("http", "https", "HtTp")), _AUTHORITIES, _AUTHORITIES),
    _AUTHORITIES,
    st.builds("http://{}/".format, st.text(max_size=12)),
    st.builds("http://{}@{}:{}/{}".format, _AUTHORITIES, _AUTHORITIES, _AUTHORITIES, _AUTHORITIES),
)


def _plain(host: str) -> str:
    host = host.lower()
    try:
        return str(ip_address(host))
    except ValueError:
        return host


def _httpx(text: str) -> Seen:
    url = httpx.URL(text)
    return url.scheme, _plain(url.raw_host.decode()), url.port or DEFAULT_PORTS[url.scheme]


def _yarl(text: str) -> Seen:
    url = URL(text)
    return url.scheme, _plain(url.raw_host or ""), url.port or 0


def _yarl_as_sent(text: str) -> Seen:
    url = URL(text, encoded=True)
    return url.scheme, _plain(url.raw_host or ""), url.port or 0


def _urllib(text: str) -> Seen:
    url = urllib.parse.urlsplit(text)
    return url.scheme, _plain(url.hostname or ""), url.port or DEFAULT_PORTS[url.scheme]


def _is_address_to_the_system(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return True


READERS = (_httpx, _yarl, _yarl_as_sent, _urllib)


def differences(text: str) -> list[str]:
    """The readers that see another scheme, host or port than we do; none where we refuse the URL."""
    try:
        read = parse_callback_url(text)
    except UrlFault:
        return []
    ours = (read.origin.scheme, read.origin.host, read.origin.port)
    if read.origin.address is None and _is_address_to_the_system(read.origin.host):
        return ["the system, which takes the name for an address"]
    found = [f"{reader.__name__} of what is sent" for reader in READERS if reader(str(read)) != ours]
    for reader in READERS if text.isascii() else ():
        try:
            if reader(text) != ours:
                found.append(f"{reader.__name__} of what was given")
        except (ValueError, httpx.InvalidURL):
            continue  # it refuses what we read: nobody is misled
    return found


@given(_URLS)
@settings(max_examples=600)
def test_no_other_reader_of_a_url_sees_another_host_in_it(text: str) -> None:
    assert differences(text) == []


@pytest.mark.parametrize("url", [url for url, _ in HOSTILE_URLS])
def test_no_other_reader_of_a_hostile_url_sees_another_host_in_it(url: str) -> None:
    assert differences(url.replace("{port}", "8080")) == []


@given(st.sampled_from(("http", "https")), st.from_regex(r"[a-z0-9_.\[\]:%-]{1,20}", fullmatch=True))
@settings(max_examples=400)
def test_nor_in_one_made_of_what_hosts_are_made_of(scheme: str, host: str) -> None:
    assert differences(f"{scheme}://{host}/") == []


def test_some_urls_that_are_read_are_compared() -> None:
    """The comparison has something to compare, and would tell."""
    for text in (
        "https://checkout.internal:443/a",
        "http://[0::1]:9000/?q",
        "http://10.1.2.3",
        "https://bücher.example/",
    ):
        read = parse_callback_url(text)
        assert all(
            reader(str(read)) == (read.origin.scheme, read.origin.host, read.origin.port)
            for reader in READERS
        )
