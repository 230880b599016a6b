"""Which URLs and addresses a client's allow-list admits."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from app.callbacks.address_policy import AddressRefused, CallbackRefused
from tests.callbacks.destination import policy

REFUSED = (
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("::1", "loopback"),
    ("169.254.169.254", "link-local"),
    ("fe80::1", "link-local"),
    ("fe80::1%2", "link-local"),
    ("febf::1", "link-local"),
    ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "unspecified"),
    ("::", "unspecified"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.250", "multicast"),
    ("ff02::1", "multicast"),
    ("255.255.255.255", "broadcast"),
    ("240.0.0.1", "reserved"),
    ("64:ff9b:1::1", "reserved"),
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:169.254.169.254", "link-local"),
    ("::ffff:0.0.0.0", "unspecified"),
    ("::ffff:0:127.0.0.1", "loopback"),
    ("::127.0.0.1", "loopback"),
    ("64:ff9b::127.0.0.1", "loopback"),
    ("64:ff9b::a9fe:a9fe", "link-local"),
    ("2002:7f00:1::1", "loopback"),
    ("2002:a9fe:a9fe::", "link-local"),
    ("2001:0:a9fe:a9fe::", "link-local"),
    ("2001:0:102:304:0:0:80ff:fffe", "loopback"),
    ("100.100.100.200", "cloud metadata"),
    ("168.63.129.16", "cloud metadata"),
    ("::ffff:168.63.129.16", "cloud metadata"),
    ("fd00:ec2::254", "cloud metadata"),
    ("fd00:ec2::23", "cloud metadata"),
    ("fd20:ce::254", "cloud metadata"),
    ("fec0::1", "reserved"),
    ("2001:db8::5efe:127.0.0.1", "loopback"),
    ("fd12::200:5efe:a9fe:a9fe", "link-local"),
)
ALLOWED = (
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "8.8.8.8",
    "fd12:3456::1",
    "2606:4700::1111",
    "64:ff9b::808:808",
    "::ffff:10.0.0.1",
    "2002:808:808::1",
    "2001:db8::1",
)


@pytest.mark.parametrize(("ip", "kind"), REFUSED)
def test_an_address_that_points_inwards_is_refused_whatever_its_clothing(ip: str, kind: str) -> None:
    names_only = policy("https://checkout.internal:*", "http://localhost:*", "http://10.0.0.0/8:*")
    with pytest.raises(AddressRefused, match=f"^address not allowed: {kind}$"):
        names_only.check_address(ip_address(ip), 443)


@pytest.mark.parametrize("ip", ALLOWED)
def test_other_addresses_pass_private_networks_among_them(ip: str) -> None:
    policy("https://checkout.internal").check_address(ip_address(ip), 443)


def test_a_listed_address_passes_on_its_port_alone() -> None:
    listed = policy("http://127.0.0.1:9000", "http://169.254.0.0/16:80")
    listed.check_address(ip_address("127.0.0.1"), 9000)
    listed.check_address(ip_address("169.254.1.1"), 80)
    for ip, port in (
        ("127.0.0.1", 9001),
        ("127.0.0.2", 9000),
        ("169.254.1.1", 443),
        ("::ffff:127.0.0.1", 9000),
    ):
        with pytest.raises(AddressRefused):
            listed.check_address(ip_address(ip), port)


def test_an_embedded_address_passes_where_that_very_spelling_is_listed() -> None:
    policy("http://[::ffff:127.0.0.1]:*").check_address(ip_address("::ffff:127.0.0.1"), 1)


def test_a_url_that_no_entry_has_is_refused_in_words_for_the_caller() -> None:
    with pytest.raises(
        CallbackRefused, match="must match an entry of the client's callback_allow"
    ) as refused:
        policy("https://checkout.internal").check_url("https://evil.example/s3cret?t=s3cret")
    assert "s3cret" not in str(refused.value)
    with pytest.raises(CallbackRefused, match="credentials"):
        policy("https://checkout.internal").check_url("https://a:b@checkout.internal/")


def test_an_empty_list_admits_nothing() -> None:
    with pytest.raises(CallbackRefused):
        policy().check_url("https://checkout.internal/")


def test_policies_of_equal_entries_are_one_key() -> None:
    assert policy("https://a", "https://b") == policy("https://a", "https://b:443")
    assert hash(policy("https://a")) == hash(policy("a"))
    assert policy("https://a") != policy("https://a:*")
