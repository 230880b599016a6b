"""What was planted is found in each dress and each place, is not shown, and nothing else is taken for it."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.canaries.planted import CODE, ENCRYPTION_KEY, MARK, NUMBER, SANDBOX_SECRET, SIGNING_SECRET, api_key
from tests.canaries.search import Place, leaks_in

_ROOT = Path(__file__).parents[2]
_NATIONAL = "0901234567"

DRESSES: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "in a query": lambda text: f"/v1/messages?x={quote(text, safe='')}&y=1".encode(),
    "in UTF-16": lambda text: text.encode("utf-16-le"),
    "in hex": lambda text: text.encode().hex().encode(),
    "in base64": lambda text: base64.b64encode(f'{{"a": "{text}"}}'.encode()),
    "in base64, one on": lambda text: base64.b64encode(f'{{"ab": "{text}"}}'.encode()),
    "in base64, two on": lambda text: base64.b64encode(f'{{"abc": "{text}"}}'.encode()),
    "its SHA-256": lambda text: hashlib.sha256(text.encode()).digest(),
    "its SHA-1 in hex": lambda text: hashlib.sha1(text.encode()).hexdigest().encode(),
    "its MD5 in base64": lambda text: base64.b64encode(hashlib.md5(text.encode()).digest()),
}
PLANTED = {"a code": CODE, "a number": NUMBER, "a national number": _NATIONAL}
SECRETS = {
    "a key": api_key("checkout"),
    "a signing secret": SIGNING_SECRET,
    "an encryption key": ENCRYPTION_KEY,
    "its bytes": "e" * 32,
    "a secret key": SANDBOX_SECRET,
    "a token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzYW5kYm94In0.x",
    "another's signing secret": "whsec_" + base64.b64encode(bytes(range(32))).decode(),
    "a header": "Authorization: Bearer another-0123456789",
    "a marked text": f"{MARK}Reference",
}


@pytest.mark.parametrize("place", (Place.LOG, Place.REDIS, Place.METRICS))
@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("planted", PLANTED)
def test_a_code_and_a_number_are_found_in_each_dress_and_not_shown(
    planted: str, dress: str, place: Place
) -> None:
    text = PLANTED[planted]
    found = leaks_in(b"\x00before " + DRESSES[dress](text) + b" after\xff", place)
    assert found
    assert not any(text in str(leak) for leak in found)


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_found_wherever_it_stands(secret: str) -> None:
    for before, after in ((b"", b""), (b"\x00$12\r\n", b"\r\n"), (b'{"a":"', b'"}')):
        assert leaks_in(before + SECRETS[secret].encode() + after, Place.LOG)


@pytest.mark.parametrize(
    "number", ("0912 345 678", "+84356789012", "84356789012", "+6591234567890", "%2B84356789012")
)
def test_any_number_is_found_by_its_shape(number: str) -> None:
    assert leaks_in(f"to {number}, gone".encode(), Place.LOG)


def test_an_owner_is_told_his_number_and_text_and_never_a_code() -> None:
    assert leaks_in(f'{{"phone_number": "{NUMBER}", "reference": "{MARK}1"}}'.encode(), Place.ANSWER) == []
    assert leaks_in(f'{{"detail": "{CODE} is no campaign"}}'.encode(), Place.ANSWER)


_HARMLESS = (
    f'{{"timestamp": "2026-11-25T03:52:11.{CODE}Z", "took_s": 0.{CODE}}}',
    "+84901***567 msg_06h1004217lqg0djifc2k5vtnlmm7 batch_2afba004217ba70e74faf3",
    f"1795522844123 1.795522844123e12 PEXPIREAT 1795522{CODE} x{CODE} {CODE}0",
    "Bearer *** whsec_*** otp_code is required 2026-11-25 03:52:11 10.0.0.1:8080",
    "relay:{0}:by_number:checkout:a-0912345678-bcdefghijk",
    "took 0912.345678 s, 0912345678901 rows",
)


@pytest.mark.parametrize("harmless", _HARMLESS, ids=range(len(_HARMLESS)))
def test_what_only_looks_like_it_is_no_find(harmless: str) -> None:
    assert leaks_in(harmless.encode(), Place.REDIS) == []


def test_random_bytes_and_texts_are_no_find() -> None:
    draw = random.Random(os.urandom(8))
    noise = draw.randbytes(2**18)
    for data in (noise, base64.urlsafe_b64encode(noise), noise.hex().encode()):
        assert leaks_in(data, Place.REDIS) == []
    counters = b"\r\n".join(b"%d" % (1795522844123 + draw.randrange(10**9)) for _ in range(20_000))
    assert leaks_in(counters, Place.REDIS) == []


def test_a_leak_on_purpose_fails_the_very_test_in_each_place() -> None:
    """Each test of `leaky.py` leaks, or does all the same and does not."""
    folder = tempfile.TemporaryDirectory()  # not this test's own, which is looked through too
    options = ("-p", "no:cacheprovider", "-rA", "--color=no", f"--basetemp={folder.name}/base")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests/canaries/leaky.py"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    folder.cleanup()
    failed = set(re.findall(r"^ERROR \S+::(\S+)", ended.stdout, re.MULTILINE))
    passed = set(re.findall(r"^PASSED \S+::(\S+)", ended.stdout, re.MULTILINE))
    leaks = {name for name in passed if name.endswith("[leak]")}
    assert len(leaks) == 7, ended.stdout
    assert failed == leaks, ended.stdout
    assert ended.returncode == 1
    finds = [line for line in ended.stdout.splitlines() if "at byte" in line]
    assert len(finds) >= len(leaks)
    assert not any(text in line for line in finds for text in (CODE, NUMBER, SANDBOX_SECRET))
