"""A configuration with every required key and no other, for tests to change one thing of."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest

from app.config import Config, ConfigError, Fault, parse_config

ENCRYPTION_KEY = base64.b64encode(bytes(range(32))).decode()
SIGNING_SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
ENV = {
    "AICALLCENTER_SECRET_KEY": "pr0vider-s3cret",
    "CHECKOUT_WEBHOOK_SECRET": SIGNING_SECRET,
    "RELAY_ENCRYPTION_KEY": ENCRYPTION_KEY,
}
DIGEST = "ab" * 32
LEAST = f"""
[redis]
url = "redis://localhost:6379/0"
[provider.accounts.main]
base_url = "https://es.aicallcenter.vn"
secret_key = {{ env = "AICALLCENTER_SECRET_KEY" }}
[campaigns.login-otp]
account = "main"
campaign_id = "5e3a"
kind = "voice_otp"
[clients.checkout]
api_keys = ["sha256:{DIGEST}"]
campaigns = ["login-otp"]
signing_secrets = [{{ env = "CHECKOUT_WEBHOOK_SECRET" }}]
[storage]
encryption_keys = [{{ env = "RELAY_ENCRYPTION_KEY" }}]
"""


def least(**lines: str) -> str:
    """`LEAST` with lines added to tables: the table's last name, underscores for dashes, and what to add."""
    text = LEAST
    for table, line in lines.items():
        header = next(
            row
            for row in text.splitlines()
            if row.rstrip("]").endswith(table.replace("_", "-")) and row[0] == "["
        )
        text = text.replace(header, f"{header}\n{line}", 1)
    return text


def read(text: str, env: Mapping[str, str] = ENV, file: str = "relay.toml") -> Config:
    return parse_config(text, file=file, env=env)


def faults_of(text: str, env: Mapping[str, str] = ENV, file: str = "relay.toml") -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as refused:
        read(text, env, file)
    return refused.value.faults
