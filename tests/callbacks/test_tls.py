"""TLS to destinations: verified against the CA bundle, and by the name that was asked for."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from app.callbacks.delivery import Attempt, Verdict, verifying_context
from tests.callbacks.conftest import MakeSender
from tests.callbacks.destination import Destination, Names, listening, policy

LISTED = policy("https://checkout.internal:*", "https://127.0.0.1:*")


@dataclass
class Authority:
    """A company's CA, which signs for the names a test gives."""

    folder: Path

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Company CA")])
        builder = self._builder(self.name, self.key.public_key(), valid_days=1)
        self.certificate = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        ).sign(self.key, hashes.SHA256())
        self.file = self.folder / "ca.pem"
        self.file.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def server(
        self,
        *names: x509.GeneralName,
        valid_days: int = 1,
        subject: str = "server",
        issued_by_itself: bool = False,
    ) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        builder = self._builder(name, key.public_key(), valid_days, name if issued_by_itself else None)
        certificate = builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(
            key if issued_by_itself else self.key, hashes.SHA256()
        )
        file = self.folder / "server.pem"
        file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + certificate.public_bytes(Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        valid_days: int,
        issuer: x509.Name | None = None,
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder(issuer_name=issuer or self.name)
            .subject_name(subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + timedelta(days=valid_days))
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def attempt_at(
    make_sender: MakeSender, tls: ssl.SSLContext | None, ca_file: Path | None, host: str = "checkout.internal"
) -> tuple[Attempt, Destination]:
    service = Names(checkout_internal=[["127.0.0.1"]])
    async with listening(Destination(), tls) as destination:
        sender = make_sender(resolver=service, ca_file=ca_file)
        attempt = await sender.send(destination.url(host=host, scheme="https"), LISTED, {}, b"{}")
    return attempt, destination


async def test_a_destination_of_the_company_s_ca_is_reached(
    make_sender: MakeSender, authority: Authority
) -> None:
    tls = authority.server(x509.DNSName("checkout.internal"))
    attempt, destination = await attempt_at(make_sender, tls, authority.file)
    assert attempt.verdict is Verdict.DELIVERED
    assert b"host: checkout.internal" in destination.requests[0][0].lower()


async def test_an_address_is_verified_as_an_address(make_sender: MakeSender, authority: Authority) -> None:
    tls = authority.server(x509.IPAddress(ip_address("127.0.0.1")))
    attempt, _ = await attempt_at(make_sender, tls, authority.file, host="127.0.0.1")
    assert attempt.verdict is Verdict.DELIVERED


async def test_a_destination_of_an_unknown_ca_is_sent_nothing(
    make_sender: MakeSender, authority: Authority
) -> None:
    tls = authority.server(x509.DNSName("checkout.internal"))
    attempt, destination = await attempt_at(make_sender, tls, None)
    assert attempt.error == "tls: certificate verify failed: issuer unknown"
    assert destination.requests == []


async def test_a_certificate_for_another_name_is_sent_nothing(
    make_sender: MakeSender, authority: Authority
) -> None:
    tls = authority.server(x509.DNSName("other.internal"))
    attempt, destination = await attempt_at(make_sender, tls, authority.file)
    assert attempt.error == "tls: certificate verify failed: for another name"
    assert destination.requests == []


async def test_a_certificate_that_has_expired_is_sent_nothing(
    make_sender: MakeSender, authority: Authority
) -> None:
    tls = authority.server(x509.DNSName("checkout.internal"), valid_days=-1)
    attempt, destination = await attempt_at(make_sender, tls, authority.file)
    assert attempt.error == "tls: certificate verify failed: expired"
    assert destination.requests == []


async def test_a_certificate_that_signed_itself_is_sent_nothing(
    make_sender: MakeSender, authority: Authority
) -> None:
    alone = Authority(authority.folder)
    tls = alone.server(x509.DNSName("checkout.internal"), issued_by_itself=True)
    for ca_file in (authority.file, None):
        attempt, destination = await attempt_at(make_sender, tls, ca_file)
        assert attempt.error == "tls: certificate verify failed: self-signed"
        assert destination.requests == []


async def test_a_name_in_the_subject_alone_is_none(make_sender: MakeSender, authority: Authority) -> None:
    tls = authority.server(x509.DNSName("other.internal"), subject="checkout.internal")
    attempt, destination = await attempt_at(make_sender, tls, authority.file)
    assert attempt.error == "tls: certificate verify failed: for another name"
    assert destination.requests == []


@pytest.mark.filterwarnings("ignore:.*TLSv1.* is deprecated:DeprecationWarning")
@pytest.mark.parametrize("version", (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2))
async def test_tls_before_1_2_is_not_spoken(
    make_sender: MakeSender, authority: Authority, version: ssl.TLSVersion
) -> None:
    tls = authority.server(x509.DNSName("checkout.internal"))
    tls.set_ciphers("ALL:@SECLEVEL=0")
    tls.minimum_version = tls.maximum_version = version
    attempt, destination = await attempt_at(make_sender, tls, authority.file)
    if version is ssl.TLSVersion.TLSv1_2:
        assert attempt.verdict is Verdict.DELIVERED
        return
    # Such a server hangs up, with an alert or without.
    assert attempt.error in {"tls: handshake failed", "connect failed"}
    assert destination.requests == []


@pytest.mark.filterwarnings("ignore:.*TLSv1.* is deprecated:DeprecationWarning")
def test_the_bound_on_versions_is_our_own_and_not_the_system_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system may be set up to speak what is old."""
    lax = ssl.create_default_context()
    lax.minimum_version = ssl.TLSVersion.TLSv1
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: lax)
    assert verifying_context(None).minimum_version is ssl.TLSVersion.TLSv1_2


async def test_the_name_asked_for_is_told_to_tls_and_in_the_host_header_and_is_the_url_s(
    make_sender: MakeSender, authority: Authority
) -> None:
    told: list[str | None] = []
    tls = authority.server(x509.DNSName("checkout.internal"))
    tls.sni_callback = lambda _, name, __: told.append(name)
    attempt, destination = await attempt_at(make_sender, tls, authority.file, host="CHECKOUT.internal")
    assert attempt.verdict is Verdict.DELIVERED
    assert told == ["checkout.internal"]
    assert (
        f"\r\nhost: checkout.internal:{destination.port}\r\n" in destination.requests[0][0].decode().lower()
    )


async def test_the_environment_cannot_have_the_keys_of_connections_written_down(
    make_sender: MakeSender, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = authority.folder / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(file))
    attempt, _ = await attempt_at(
        make_sender, authority.server(x509.DNSName("checkout.internal")), authority.file
    )
    assert attempt.verdict is Verdict.DELIVERED
    assert not file.exists() or "SECRET" not in file.read_text()


@pytest.mark.parametrize(
    ("greeting", "error"),
    ((b"220 smtp.internal\r\n", "tls: handshake failed"), (b"", "timed out connecting")),
)
async def test_a_server_without_tls_is_sent_nothing(
    make_sender: MakeSender, greeting: bytes, error: str
) -> None:
    received = bytearray()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        with suppress(OSError):
            while chunk := await reader.read(4096):
                received.extend(chunk)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        attempt = await make_sender(timeout_s=0.5).send(url, LISTED, {"webhook-id": "evt_1"}, b"{}")
    assert (attempt.verdict, attempt.status, attempt.error) == (Verdict.RETRY, None, error)
    assert b"evt_1" not in received


async def test_a_ca_file_that_is_none_is_told_at_the_start(make_sender: MakeSender, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        make_sender(ca_file=tmp_path / "missing.pem")
