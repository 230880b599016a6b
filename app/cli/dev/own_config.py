"""The relay.toml that `dev` brings: two campaigns at the sandbox, one client, whose callbacks the receiver gets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

CAMPAIGNS = ("login-otp", "order-notice")

_TEXT = """\
# Written anew by `otp-relay dev` at each start. To try settings of your own, copy it beside this one, edit the copy
# and, while that dev runs, start another API and worker, which share its Redis and sandbox:
# otp-relay dev --config .data/relay.mine.toml --data-dir .data2 --port 8090

[server]
host = {host}
port = {api_port}

[worker]
port = {worker_port}
{redis}
[provider.accounts.sandbox]
base_url = {sandbox_url}
secret_key = "sandbox-secret"

[campaigns.login-otp]
account = "sandbox"
campaign_id = "sandbox-login-otp"
kind = "voice_otp"
per_number_limit = "1000/10m"  # the default, 5/10m, is soon used up by trying

[campaigns.order-notice]
account = "sandbox"
campaign_id = "sandbox-order-notice"
kind = "notification"
per_number_limit = "1000/10m"

[clients.demo]
api_keys = [{key_digest}]
campaigns = ["login-otp", "order-notice"]
callback_url = {callback_url}
callback_allow = ["http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*"]
signing_secrets = [{{ file = "keys/signing-secret" }}]

[storage]
encryption_keys = [{{ file = "keys/encryption-key" }}]
"""


@dataclass(frozen=True, kw_only=True)
class OwnConfig:
    """What differs from one machine and start to the next. `redis_socket` is None where RELAY_REDIS_URL names it."""

    host: str
    api_port: int
    worker_port: int
    sandbox_url: str
    callback_url: str
    key_digest: str
    redis_socket: Path | None

    def text(self) -> str:
        """The file's text."""
        redis = f"\n[redis]\nurl = {json.dumps(f'unix://{self.redis_socket}')}\n" if self.redis_socket else ""
        return _TEXT.format(
            host=json.dumps(self.host),
            api_port=self.api_port,
            worker_port=self.worker_port,
            redis=redis,
            sandbox_url=json.dumps(self.sandbox_url),
            callback_url=json.dumps(self.callback_url),
            key_digest=json.dumps(self.key_digest),
        )
