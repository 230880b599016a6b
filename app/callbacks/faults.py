"""What went wrong with an attempt, in words.

Owns the short fixed phrases that stand in a callback's `last_error`, in logs and in metrics. A phrase never holds a
host, a path, a query or a destination's own words: those are the destination's to choose.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Final

import aiohttp

from app.callbacks.address_policy import AddressRefused
from app.callbacks.bounded import AnswerTooLarge

_BY_ERRNO: Final = {
    errno.ECONNREFUSED: "connect refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "no route to host",
    errno.ETIMEDOUT: "timed out connecting",
}
# musl has no EAI_NODATA
_NO_SUCH_NAME: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_BY_CERTIFICATE: Final = {
    9: "not yet valid",
    10: "expired",
    18: "self-signed",
    19: "issuer unknown",
    20: "issuer unknown",
    21: "issuer unknown",
    62: "for another name",
    64: "for another address",
}
"""OpenSSL's X509_V_ERR_* codes, of which Python has no names."""


def fault_in_words(fault: Exception, phase: str) -> str:
    """The phrase for what aiohttp or the policy raised while the attempt was `phase`."""
    match fault:
        case AddressRefused():
            return str(fault)
        case TimeoutError():
            return f"timed out {phase}"
        case aiohttp.ClientConnectorDNSError():
            return _name_fault(fault.os_error)
        case aiohttp.ClientConnectorCertificateError():
            return _certificate_fault(fault.certificate_error)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "tls: handshake failed"
        case aiohttp.ClientConnectorError():
            return _BY_ERRNO.get(fault.os_error.errno or 0, "connect failed")
        case aiohttp.ServerDisconnectedError():
            return "connection closed without an answer"
        case OSError():
            return _BY_ERRNO.get(fault.errno or 0, "connection broken")
        case aiohttp.ClientResponseError():
            return "answer is not HTTP"
        case AnswerTooLarge():
            return "answer is too large"
        case _:
            return f"request failed: {type(fault).__name__}"


def _name_fault(fault: OSError) -> str:
    return "name not found" if fault.errno in _NO_SUCH_NAME else "name lookup failed"


def _certificate_fault(fault: Exception) -> str:
    code = fault.verify_code if isinstance(fault, ssl.SSLCertVerificationError) else 0
    detail = _BY_CERTIFICATE.get(code)
    return f"tls: certificate verify failed: {detail}" if detail else "tls: certificate verify failed"
