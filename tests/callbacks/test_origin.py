"""Callback URLs and allow entries: what is read, what is refused, and what matches what."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.origin import AllowEntry, CallbackUrl, Origin, UrlFault, parse_callback_url
from tests.callbacks.hostile_urls import HOSTILE_URLS


@pytest.mark.parametrize(
    ("url", "canonical", "key"),
    (
        ("https://checkout.internal", "https://checkout.internal/", "https://checkout.internal:443"),
        (
            "https://checkout.internal:443/a?b=c",
            "https://checkout.internal/a?b=c",
            "https://checkout.internal:443",
        ),
        ("HTTPS://Checkout.INTERNAL/A", "https://checkout.internal/A", "https://checkout.internal:443"),
        ("http://checkout.internal:80/", "http://checkout.internal/", "http://checkout.internal:80"),
        ("http://checkout.internal:443/", "http://checkout.internal:443/", "http://checkout.internal:443"),
        ("https://checkout.internal?x=1", "https://checkout.internal/?x=1", "https://checkout.internal:443"),
        (
            "https://bücher.example/ö%20".replace("ö", "%C3%B6"),
            "https://xn--bcher-kva.example/%C3%B6%20",
            None,
        ),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/", None),
        ("http://otp_receiver:9000/x", "http://otp_receiver:9000/x", "http://otp_receiver:9000"),
        ("http://[::1]:9000/", "http://[::1]:9000/", "http://[::1]:9000"),
        ("http://[0:0:0:0:0:0:0:1]:9000/", "http://[::1]:9000/", "http://[::1]:9000"),
        ("http://[2001:DB8::A]/", "http://[2001:db8::a]/", "http://[2001:db8::a]:80"),
        ("http://10.1.2.3:8080/..;/%2e%2e/", "http://10.1.2.3:8080/..;/%2e%2e/", "http://10.1.2.3:8080"),
    ),
)
def test_a_url_is_read_into_its_one_canonical_form(url: str, canonical: str, key: str | None) -> None:
    read = parse_callback_url(url)
    assert str(read) == canonical
    assert key is None or str(read.origin) == key
    assert parse_callback_url(canonical) == read


@pytest.mark.parametrize(("url", "reason"), tuple(row for row in HOSTILE_URLS if row[1] is not None))
def test_a_url_with_two_readings_is_refused_for_its_fault_and_not_repeated(url: str, reason: str) -> None:
    with pytest.raises(UrlFault, match=reason) as fault:
        parse_callback_url(url.replace("{port}", "8080"))
    assert not any(part in str(fault.value) for part in ("s3cret", "127.0.0.1", "8080"))


@pytest.mark.parametrize("url", tuple(url for url, reason in HOSTILE_URLS if reason is None))
def test_a_url_with_one_reading_is_read(url: str) -> None:
    assert parse_callback_url(url.replace("{port}", "8080")).target.startswith("/")


def test_a_url_may_be_2048_characters_long_and_no_longer() -> None:
    longest = "https://checkout.internal/".ljust(2048, "x")
    assert str(parse_callback_url(longest)) == longest
    with pytest.raises(UrlFault, match="2048"):
        parse_callback_url(longest + "x")


def test_the_printable_forms_of_a_url_show_no_path() -> None:
    read = parse_callback_url("https://checkout.internal/hooks/s3cret?token=s3cret")
    assert repr(read) == "CallbackUrl(https://checkout.internal:443/…)"


@given(st.text(max_size=60))
def test_whatever_is_read_reads_the_same_again(text: str) -> None:
    try:
        read = parse_callback_url(f"http://{text}")
    except UrlFault:
        return
    assert isinstance(read, CallbackUrl)
    assert parse_callback_url(str(read)) == read


@given(st.text(max_size=40))
def test_an_entry_is_read_or_refused_with_what_is_expected(text: str) -> None:
    try:
        entry = AllowEntry.parse(text)
    except ValueError as fault:
        assert "expected scheme://host" in str(fault)  # noqa: PT017
    else:
        assert (entry.name is None) != (entry.network is None)


MATCHES = [
    ("https://checkout.internal", "https://checkout.internal/otp", True),
    ("https://checkout.internal", "https://CHECKOUT.internal:443/otp", True),
    ("checkout.internal", "https://checkout.internal/otp", True),
    ("checkout.internal", "http://checkout.internal/otp", False),
    ("checkout.internal:8443", "https://checkout.internal:8443/", True),
    ("https://checkout.internal", "http://checkout.internal/", False),
    ("https://checkout.internal", "http://checkout.internal:443/", False),
    ("https://checkout.internal", "https://checkout.internal:8443/", False),
    ("https://checkout.internal", "https://checkout.internal.evil.example/", False),
    ("https://checkout.internal", "https://evilcheckout.internal/", False),
    ("https://checkout.internal", "https://a.checkout.internal/", False),
    ("http://checkout.internal:*", "http://checkout.internal:1/", True),
    ("http://checkout.internal:*", "https://checkout.internal/", False),
    ("http://*.svc.local:*", "http://a.svc.local:8080/", True),
    ("http://*.svc.local:*", "http://a.b.svc.local/", True),
    ("http://*.svc.local:*", "http://svc.local/", False),
    ("http://*.svc.local:*", "http://evilsvc.local/", False),
    ("http://*.svc.local", "http://a.svc.local:8080/", False),
    ("https://bücher.example", "https://xn--bcher-kva.example/", True),
    ("http://10.0.0.0/8:*", "http://10.255.0.1:9/", True),
    ("http://10.0.0.0/8:*", "http://11.0.0.1:9/", False),
    ("http://10.0.0.0/8:*", "http://10.0.0.1.nip.example/", False),
    ("http://10.0.0.0/8:*", "http://[::ffff:10.0.0.1]:9/", False),
    ("http://127.0.0.1:*", "http://127.0.0.1:5000/", True),
    ("http://127.0.0.1:*", "http://localhost:5000/", False),
    ("http://[::1]:9000", "http://[0::1]:9000/", True),
    ("http://[::1]:9000", "http://[::1]:9001/", False),
    ("http://[fd00::]/8:*", "http://[fd12::1]:80/", True),
    ("https://checkout.internal", "not a url", False),
]


@pytest.mark.parametrize(("entry", "url", "matches"), MATCHES)
def test_an_entry_matches_by_scheme_host_and_port(entry: str, url: str, matches: bool) -> None:
    assert AllowEntry.parse(entry).matches_url(url) is matches


@pytest.mark.parametrize(
    ("entry", "ip", "port", "listed"),
    (
        ("http://127.0.0.1:*", "127.0.0.1", 1, True),
        ("http://127.0.0.1:9000", "127.0.0.1", 9000, True),
        ("http://127.0.0.1:9000", "127.0.0.1", 9001, False),
        ("http://127.0.0.1", "127.0.0.1", 80, True),
        ("http://127.0.0.1:*", "127.0.0.2", 1, False),
        ("http://127.0.0.1:*", "::ffff:127.0.0.1", 1, False),
        ("http://127.0.0.0/8:*", "127.9.9.9", 1, True),
        ("http://[::1]:9000", "::1", 9000, True),
        ("http://[::1]:9000", "127.0.0.1", 9000, False),
        ("http://localhost:*", "127.0.0.1", 1, False),
        ("http://*.localhost:*", "127.0.0.1", 1, False),
    ),
)
def test_only_an_entry_that_is_an_address_lists_it(entry: str, ip: str, port: int, listed: bool) -> None:
    assert AllowEntry.parse(entry).lists_address(ip_address(ip), port) is listed


@pytest.mark.parametrize(
    "entry",
    (
        "", "*", "https://", "https://*", "https://*:*", "ftp://checkout.internal", "https://checkout.internal/",
        "https://checkout.internal/hooks", "https://s3cret@checkout.internal", "https://check*out.internal",
        "https://a.*.internal", "https://**.internal", "https://*.*.internal", "https://checkout.internal:",
        "https://checkout.internal:0", "https://checkout.internal:65536", "https://checkout.internal:8*",
        "https://checkout.internal.", "https://checkout.internal?x", "https://checkout.internal#x", "::1",
        "http://::1:9000", "http://[::1", "http://[fe80::1%25eth0]:1", "http://10.0.0.1/8", "http://10.0.0.0/33",
        "http://checkout.internal/8", "http://*.10.0.0.1", "http://127.1", "http://2130706433", "http://0x7f.1",
        "https://checkout.internal ", "https://checkout\t.internal", "https:\\\\checkout.internal",
    ),
)  # fmt: skip
def test_an_entry_of_another_form_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="expected scheme://host") as fault:
        AllowEntry.parse(entry)
    assert "s3cret" not in str(fault.value)


def test_an_origin_knows_when_it_needs_no_name_service() -> None:
    assert Origin("http", "127.0.0.1", 1).address == ip_address("127.0.0.1")
    assert Origin("http", "::1", 1).address == ip_address("::1")
    assert Origin("http", "node1.internal", 1).address is None
