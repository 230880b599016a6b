"""Requests that no good caller sends, and what each may be answered with. `CLOSED`: the connection ends unanswered."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass

from tests.api.desk import otp
from tests.traffic.api_process import AUTHORIZATION, MESSAGE
from tests.traffic.wire import chunked, head, post

CLOSED = 0
KIB = 1024
JSON = "Content-Type: application/json"


@dataclass(frozen=True, slots=True)
class Odd:
    """Bytes as they go to the port, and the statuses of all answers that may come, in order."""

    name: str
    sent: bytes
    statuses: tuple[int, ...]
    """Any of these, for a single answer; with `in_order`, exactly these."""
    in_order: bool = False


def _body(name: str, body: bytes, *statuses: int, path: str = "/v1/messages") -> Odd:
    return Odd(f"body: {name}", post(body, AUTHORIZATION, path=path), statuses)


def _text(name: str, value: str, *statuses: int) -> Odd:
    body = otp(campaign="order-notice", otp_code=None, reference="R").items()
    text = json.dumps(dict(body)).replace('"R"', value)
    return Odd(f"value: {name}", post(text.encode("utf-8", "surrogatepass"), AUTHORIZATION), statuses)


def _padded(size: int, shell: bytes = MESSAGE) -> bytes:
    return shell + b" " * (size - len(shell))


BATCH = b'{"messages": [' + MESSAGE + b"]}"

BODIES = (
    _body("64 KiB", _padded(64 * KIB), 202),
    _body("one byte more than 64 KiB", _padded(64 * KIB + 1), 413),
    _body("a batch of 2 MiB", _padded(2048 * KIB, BATCH), 202, path="/v1/messages/batch"),
    _body("a batch of one byte more", _padded(2048 * KIB + 1, BATCH), 413, path="/v1/messages/batch"),
    _body("no byte", b"", 400),
    _body("arrays 30,000 deep", b"[" * 30_000 + b"]" * 30_000, 400),
    _body("arrays 100,000 deep", b"[" * 100_000, 413),
    _body("arrays 1,000,000 deep in a batch", b"[" * 1_000_000, 400, path="/v1/messages/batch"),
    _body("objects 300,000 deep in a batch", b'{"a":' * 300_000, 400, path="/v1/messages/batch"),
    _body("a name twice", b'{"reference": "a", "reference": "b"}', 400),
    _body("a byte order mark", b"\xef\xbb\xbf" + MESSAGE, 400),
    _body("UTF-16", MESSAGE.decode().encode("utf-16"), 400),
    _body("UTF-32", MESSAGE.decode().encode("utf-32"), 400),
    _body("no UTF-8", b'{"reference": "\xc3\x28"}', 400),
    _body("an overlong encoding of /", b'{"reference": "\xc0\xaf"}', 400),
    _body("NUL around it", b"\0" + MESSAGE + b"\0", 400),
    _body("an integer of 60,000 digits", b'{"expires_in": ' + b"9" * 60_000 + b"}", 400),
    _body("60,000 names", b"{" + b",".join(b'"%d":1' % n for n in range(5_000)) + b"}", 422),
    _body("1,001 messages", b'{"messages": [' + b",".join([b"{}"] * 1_001) + b"]}", 422, path="/v1/messages/batch"),
    _body("a million messages that are none", b'{"messages": [' + b",".join([b"0"] * 1_000_000) + b"]}", 422,
          path="/v1/messages/batch"),
)  # fmt: skip

VALUES = (
    _text("1e400", "1e400", 422),
    _text("-0", "-0", 422),
    _text("NaN", "NaN", 400),
    _text("Infinity", "-Infinity", 400),
    _text("half a surrogate pair", r'"\ud800"', 422),
    _text("a surrogate in UTF-8", '"\ud800"', 400),
    _text("an escaped NUL", r'"\u0000"', 202),
    _text("a raw NUL", '"\0"', 400),
    _text("a raw line feed", '"\n"', 400),
    _text("128 characters of four bytes", json.dumps("\U0001f600" * 128, ensure_ascii=False), 202),
    _text("129 characters", json.dumps("é" * 129), 422),
    _text("true", "true", 422),
    _text("null", "null", 422),
    _text("an unended string", '"', 400),
)

LENGTHS = (
    Odd("length: chunked, without one", head("POST", "/v1/messages", JSON, AUTHORIZATION,
        "Transfer-Encoding: chunked") + chunked(MESSAGE[:10], MESSAGE[10:]), (202,)),
    Odd("length: chunked, past the limit", head("POST", "/v1/messages", JSON, AUTHORIZATION,
        "Transfer-Encoding: chunked") + chunked(*[b" " * KIB] * 65), (413,)),
    Odd("length: a chunk of a terabyte", head("POST", "/v1/messages", JSON, AUTHORIZATION,
        "Transfer-Encoding: chunked") + b"ffffffffff\r\n{", (408,)),
    Odd("length: a chunk whose size has 100 digits", head("POST", "/v1/messages", JSON, AUTHORIZATION,
        "Transfer-Encoding: chunked") + b"f" * 100 + b"\r\n{", (400,)),
    Odd("length: a negative chunk", head("POST", "/v1/messages", JSON, AUTHORIZATION,
        "Transfer-Encoding: chunked") + b"-1\r\n{", (400,)),
    Odd("length: a chunk's extension that never ends", head("POST", "/v1/messages", JSON, AUTHORIZATION,
        "Transfer-Encoding: chunked") + b"1;" + b"a" * 200_000, (408,)),
    Odd("length: trailers", head("POST", "/v1/messages", JSON, AUTHORIZATION, "Transfer-Encoding: chunked")
        + b"%x\r\n%b\r\n0\r\nAuthorization: Bearer x\r\nHost: other\r\n\r\n" % (len(MESSAGE), MESSAGE), (202,)),
    Odd("length: 10,000 trailers", head("POST", "/v1/messages", JSON, AUTHORIZATION, "Transfer-Encoding: chunked")
        + b"%x\r\n%b\r\n0\r\n" % (len(MESSAGE), MESSAGE) + b"a: b\r\n" * 10_000 + b"\r\n", (202,)),
    Odd("length: longer than the body", head("POST", "/v1/messages", JSON, AUTHORIZATION,
        f"Content-Length: {len(MESSAGE) + 1}") + MESSAGE, (408,)),
    Odd("length: shorter than the body", head("POST", "/v1/messages", JSON, AUTHORIZATION,
        f"Content-Length: {len(MESSAGE) - 1}") + MESSAGE, (400,)),
    *(Odd(f"length: {said}", head("POST", "/v1/messages", JSON, AUTHORIZATION, *said.split("|")) + MESSAGE, (400,))
      for said in ("Content-Length: -1", "Content-Length: +5", "Content-Length: 5, 5", "Content-Length: 0x10",
                   "Content-Length: 99999999999999999999999", "Content-Length: ", "Content-Length: 5|Content-Length: 6",
                   "Content-Length: 5|Transfer-Encoding: chunked", "Transfer-Encoding: chunked|Content-Length: 5",
                   "Transfer-Encoding: chunked, identity", "Transfer-Encoding: xchunked",
                   "Transfer-Encoding : chunked", "Content-Length : 5")),
    Odd("length: ten gigabytes told", head("POST", "/v1/messages", JSON, AUTHORIZATION, "Content-Length: 10737418240"),
        (413,)),
    Odd("length: a bomb of gzip", post(gzip.compress(b"[" * 10_000_000), AUTHORIZATION, "Content-Encoding: gzip"),
        (415,)),
    Odd("length: a bomb of gzip as transfer coding", head("POST", "/v1/messages", JSON, AUTHORIZATION,
        "Transfer-Encoding: gzip, chunked") + chunked(gzip.compress(b"[" * 1_000_000)), (400,)),
)  # fmt: skip

HEADS = (
    Odd("head: a path of 64 KiB", head("GET", "/v1/messages/" + "a" * 64 * KIB, AUTHORIZATION), (431,)),
    Odd("head: a path of 30,000 characters", head("GET", "/v1/messages/" + "a" * 30_000, AUTHORIZATION), (404,)),
    Odd("head: a header of 64 KiB", head("GET", "/v1/campaigns", AUTHORIZATION, "A: " + "a" * 64 * KIB), (431,)),
    Odd("head: a header's name of 64 KiB", head("GET", "/v1/campaigns", "a" * 64 * KIB + ": a"), (431,)),
    Odd("head: a header of 16 MiB", head("GET", "/livez", "A: " + "a" * 16384 * KIB), (431, CLOSED)),
    Odd("head: 10,000 headers", head("GET", "/v1/campaigns", AUTHORIZATION, *["a: b"] * 10_000), (431,)),
    Odd("head: 200 headers", head("GET", "/v1/campaigns", AUTHORIZATION, *["a: b"] * 200), (431,)),
    Odd("head: a query of 64 KiB", head("GET", "/v1/messages?reference=" + "a" * 64 * KIB, AUTHORIZATION), (431,)),
    Odd("head: 5,000 parameters", head("GET", "/v1/messages?" + "&".join(f"a{n}" for n in range(5_000)),
        AUTHORIZATION), (422,)),
    Odd("head: one parameter 10,000 times", head("GET", "/v1/messages?" + "&".join(["a=1"] * 7_000), AUTHORIZATION),
        (422,)),
    Odd("head: NUL in a value", b"GET /livez HTTP/1.1\r\nHost: relay\r\nA: a\0b\r\n\r\n", (400,)),
    Odd("head: NUL in the path", b"GET /livez\0 HTTP/1.1\r\nHost: relay\r\n\r\n", (400,)),
    Odd("head: bytes past ASCII in the path", "GET /livéz HTTP/1.1\r\nHost: relay\r\n\r\n".encode(), (400,)),
    Odd("head: bytes past ASCII in a key", head("GET", "/v1/campaigns", "Authorization: Bearer \xff\xfe"), (401,)),
    Odd("head: a folded line", b"GET /livez HTTP/1.1\r\nHost: relay\r\nA: a\r\n b\r\n\r\n", (400,)),
    Odd("head: a line without a colon", b"GET /livez HTTP/1.1\r\nHost: relay\r\nnonsense\r\n\r\n", (400,)),
    Odd("head: bare line feeds", b"GET /livez HTTP/1.1\nHost: relay\nConnection: close\n\n", (400,)),
    Odd("head: bare carriage returns", b"GET /livez HTTP/1.1\rHost: relay\r\r", (400, 408)),
    Odd("head: a space before the colon", b"GET /livez HTTP/1.1\r\nHost : relay\r\n\r\n", (400,)),
    Odd("host: none", b"GET /livez HTTP/1.1\r\n\r\n", (400,)),
    Odd("host: two", b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", (400,)),
    Odd("host: nonsense", b"GET /livez HTTP/1.1\r\nHost: ../@:99999999\r\nConnection: close\r\n\r\n", (200, 400)),
    Odd("host: an empty one", b"GET /docs HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", (200,)),
)  # fmt: skip

TARGETS = (
    *(Odd(f"path: {path}", head("GET", path, AUTHORIZATION), (400, 401, 404))
      for path in ("/docs/../../etc/passwd", "/docs/%2e%2e/%2e%2e/etc/passwd", "/docs/..%2f..%2fapp%2fmain.py",
                   "/docs/%252e%252e%252fmain.py", "/docs/....//main.py", "/docs/..\\main.py", "/docs//start.js/..",
                   "/v1//messages/x", "/v1/messages%2fbatch", "/v1/%6d%65ssages2", "/v1/messages/%00",
                   "/v1/messages/%ff%fe", "/v1/messages/%", "/v1/messages/%zz", "/%5c%5chost/share", "/;/v1", "/v1/*",
                   "/v1/messages/{message_id}", "/%E2%80%8B")),
    Odd("path: two slashes", head("GET", "//v1/messages"), (401,)),
    Odd("target: absolute", head("GET", "http://elsewhere/v1/campaigns", AUTHORIZATION), (200,)),
    Odd("target: absolute, another scheme", head("GET", "file:///etc/passwd", AUTHORIZATION), (400, 404)),
    Odd("target: none", b"GET HTTP/1.1\r\nHost: relay\r\n\r\n", (400,)),
    Odd("target: an asterisk", head("OPTIONS", "*"), (400, 404)),
    Odd("target: a fragment", head("GET", "/livez#/v1"), (200, 400)),
)  # fmt: skip

METHODS = (
    Odd("method: CONNECT", head("CONNECT", "127.0.0.1:22"), (400, 405)),
    Odd("method: CONNECT of a path", head("CONNECT", "/v1/messages", AUTHORIZATION), (400, 405)),
    *(Odd(f"method: {name}", head(name, "/v1/messages", AUTHORIZATION), (400, 405))
      for name in ("TRACE", "TRACK", "PUT", "PATCH", "PROPFIND", "get", "Get", "GETT", "M-SEARCH", "G\x00T", "SOURCE")),
    Odd("method: very long", head("A" * 100_000, "/livez"), (400,)),
    Odd("method: none", b" /livez HTTP/1.1\r\nHost: relay\r\n\r\n", (400,)),
    Odd("method: HEAD", head("HEAD", "/livez"), (405,)),
    Odd("version: 0.9", b"GET /livez\r\n\r\n", (400, CLOSED)),
    Odd("version: 1.0", b"GET /livez HTTP/1.0\r\n\r\n", (200,)),
    Odd("version: 2.0", b"GET /livez HTTP/2.0\r\nHost: relay\r\nConnection: close\r\n\r\n", (200, 400)),
    Odd("version: 9.9", b"GET /livez HTTP/9.9\r\nHost: relay\r\n\r\n", (400,)),
    Odd("version: the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), (400,)),
    Odd("version: a TLS greeting", bytes.fromhex("16030100a5010000a10303") + bytes(170), (400,)),
    Odd("version: not HTTP", b"\x00\xff" * 500, (400,)),
    Odd("version: a command of Redis", b"*1\r\n$8\r\nFLUSHALL\r\n", (400,)),
    Odd("expect: 100-continue", post(MESSAGE, AUTHORIZATION, "Expect: 100-continue"), (202,)),
    Odd("expect: 100-continue without a key", head("POST", "/v1/messages", JSON, "Content-Length: 10",
        "Expect: 100-continue"), (401,)),
    Odd("expect: another thing", post(MESSAGE, AUTHORIZATION, "Expect: 200-ok"), (202, 417)),
    Odd("upgrade: websocket", head("GET", "/livez", "Upgrade: websocket", "Connection: Upgrade, close",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", closing=False), (200, 400)),
    Odd("upgrade: h2c with a body", post(MESSAGE, AUTHORIZATION, "Upgrade: h2c", "HTTP2-Settings: AAMAAABk",
        "Connection: Upgrade, HTTP2-Settings, close", closing=False), (202,)),
    Odd("upgrade: h2c, a hundred times and a broken one", post(MESSAGE, AUTHORIZATION, "Upgrade: h2c",
        "Connection: Upgrade", closing=False) * 100 + b"\0", (202,) * 100, in_order=True),
    Odd("pipelining: three, and one that is broken",
        post(MESSAGE, AUTHORIZATION, closing=False) + head("GET", "/livez", closing=False)
        + head("GET", "/v1/campaigns", AUTHORIZATION, closing=False) + b"\0\0\0\r\n\r\n", (202, 200, 200),
        in_order=True),
    Odd("pipelining: a hundred", head("GET", "/livez", closing=False) * 99 + head("GET", "/livez"), (200,) * 100,
        in_order=True),
    Odd("pipelining: a request in the body of one that is refused",
        post(head("GET", "/livez"), closing=False) + head("GET", "/nothing"), (401, 404), in_order=True),
    Odd("preflight", head("OPTIONS", "/v1/messages", "Origin: https://evil.example",
        "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"), (405,)),
)  # fmt: skip

ODDITIES = (*BODIES, *VALUES, *LENGTHS, *HEADS, *TARGETS, *METHODS)
