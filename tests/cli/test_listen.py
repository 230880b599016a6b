import asyncio
import json
import re
import signal
import socket
import time
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook

from app.callbacks.signing import Signer, generate_key_pair, generate_secret
from app.secret import Secret
from tests.cli.command_line import line_of, ran, serving

BODY = json.dumps(
    {"type": "message.answered", "data": {"id": "msg_1", "phone_number": "+84901234567", "revision": 4}}
).encode()


async def post(url: str, headers: dict[str, str], body: bytes = BODY) -> int:
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.post(url, headers=headers, content=body)).status_code


def signed(secret: str, body: bytes = BODY) -> dict[str, str]:
    return Signer([Secret.of(secret)]).headers("evt_1", int(time.time()), body)


async def test_a_verified_callback_is_printed_and_anything_else_is_refused() -> None:
    secret = generate_secret()
    async with serving("listen", "--port", "0", RELAY_SIGNING_SECRET=secret) as listener:
        url = await url_told(listener.stderr)
        assert await post(url, signed(secret)) == 204
        assert await line_of(listener.stdout) == "callback message.answered msg_1 +84901***567 signature ok"
        assert await post(url, signed(generate_secret())) == 401
        assert (
            await line_of(listener.stdout) == "callback message.answered msg_1 +84901***567 signature WRONG"
        )
        assert await post(url, {}, b"\x1b[2J no JSON") == 401
        assert await line_of(listener.stdout) == "callback ? ? *** signature WRONG"
        assert await post(url, signed(secret, b"x" * 1_100_000), b"x" * 1_100_000) == 413
        listener.send_signal(signal.SIGINT)
        _, err = await listener.communicate()
        assert listener.returncode == 0
        assert b"Traceback" not in err


async def test_a_signature_of_the_standard_s_own_library_is_right() -> None:
    secret = generate_secret()
    async with serving("listen", "--port", "0", "--secret", secret) as listener:
        url = await url_told(listener.stderr)
        now = int(time.time())
        signature = Webhook(secret).sign("evt_1", datetime.fromtimestamp(now, UTC), BODY.decode())
        headers = {"webhook-id": "evt_1", "webhook-timestamp": str(now), "webhook-signature": signature}
        assert await post(url, headers) == 204


async def test_the_public_half_of_a_pair_is_enough_to_verify() -> None:
    secret, public = generate_key_pair()
    async with serving("listen", "--port", "0", "--secret", public, "--json") as listener:
        url = await url_told(listener.stderr)
        assert await post(url, signed(secret)) == 204
        seen = json.loads(await line_of(listener.stdout))
        assert (seen["signature"], seen["webhook_id"], seen["body"]["data"]["revision"]) == ("ok", "evt_1", 4)


async def test_words_of_a_stranger_cannot_steer_the_terminal() -> None:
    body = json.dumps({"type": "a\x1b[31m\nb c", "data": {"id": "x" * 500}}).encode()
    async with serving("listen", "--port", "0", "--secret", generate_secret()) as listener:
        url = await url_told(listener.stderr)
        assert await post(url, {}, body) == 401
        line = await line_of(listener.stdout)
        assert line == f"callback a[31mbc {'x' * 64} *** signature WRONG"


async def test_a_fresh_secret_is_told_where_none_is_given() -> None:
    async with serving("listen", "--port", "0") as listener:
        url = await url_told(listener.stderr)
        await line_of(listener.stderr)
        fresh = re.findall(r"whsec_[A-Za-z0-9+/=]+", await line_of(listener.stderr))[0]
        assert await post(url, signed(fresh)) == 204


async def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await ran("listen", "--port", str(port))
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert f"port {port} on 127.0.0.1 is in use; choose another" in ended.err


async def url_told(stream: asyncio.StreamReader | None) -> str:
    """The callback URL that it says on standard error once it listens."""
    await line_of(stream)
    url: str = re.findall(r'"(http://[^"]+)"', await line_of(stream))[0]
    return url
