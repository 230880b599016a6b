"""deploy/relay.example.toml is complete, true to the defaults, and loads."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from app.config import (
    AccountConfig,
    AdminConfig,
    CallbacksConfig,
    CampaignConfig,
    ClientConfig,
    RedisConfig,
    ServerConfig,
    StorageConfig,
    WorkerConfig,
    load_config,
)
from tests.config.sample import ENV, faults_of, read

EXAMPLE = Path(__file__).parents[2] / "deploy" / "relay.example.toml"
TABLES: dict[str, type] = {
    "server": ServerConfig,
    "worker": WorkerConfig,
    "redis": RedisConfig,
    "provider.accounts.main": AccountConfig,
    "campaigns.login-otp": CampaignConfig,
    "clients.checkout": ClientConfig,
    "callbacks": CallbacksConfig,
    "storage": StorageConfig,
    "admin": AdminConfig,
}
REQUIRED = {
    "redis.url",
    "provider.accounts.main.base_url",
    "provider.accounts.main.secret_key",
    "campaigns.login-otp.account",
    "campaigns.login-otp.campaign_id",
    "campaigns.login-otp.kind",
    "clients.checkout.api_keys",
    "clients.checkout.campaigns",
    "clients.checkout.signing_secrets",
    "storage.encryption_keys",
}
SHOWN_AS_EXAMPLES = {"clients.checkout.callback_url", "clients.checkout.callback_allow", "admin.api_keys"}
KEYS = [
    f"{table}.{field.name}"
    for table, shape in TABLES.items()
    for field in dataclasses.fields(shape)
    if field.name != "name"
]


def without(key: str) -> str:
    table, _, name = key.rpartition(".")
    head, section = EXAMPLE.read_text().split(f"\n[{table}]", 1)
    changed, count = re.subn(rf"(?m)^{name} = .*\n", "", section, count=1)
    assert count == 1
    return f"{head}\n[{table}]{changed}"


def test_the_example_loads() -> None:
    config = load_config(EXAMPLE, ENV)
    assert list(config.accounts) == ["main"]
    assert list(config.campaigns) == ["login-otp"]
    assert list(config.clients) == ["checkout"]


@pytest.mark.parametrize(("table", "shape"), TABLES.items())
def test_every_key_of_the_schema_stands_in_the_example(table: str, shape: type) -> None:
    found = tomllib.loads(EXAMPLE.read_text())
    for part in table.split("."):
        found = found[part]
    assert set(found) == {field.name for field in dataclasses.fields(shape)} - {"name"}


def test_every_key_of_the_example_has_a_comment() -> None:
    lines = EXAMPLE.read_text().splitlines()
    keys = [index for index, line in enumerate(lines) if re.match(r"[a-z_]+ = ", line)]
    assert len(keys) == len(KEYS)
    bare = [
        lines[index] for index in keys if "#" not in lines[index] and not lines[index - 1].startswith("#")
    ]
    assert bare == []


@pytest.mark.parametrize("key", sorted(set(KEYS) - REQUIRED - SHOWN_AS_EXAMPLES))
def test_the_value_shown_is_the_default(key: str) -> None:
    assert read(without(key), file=str(EXAMPLE)) == load_config(EXAMPLE, ENV)


@pytest.mark.parametrize("key", sorted(REQUIRED))
def test_a_required_key_that_is_missing_is_named(key: str) -> None:
    faults = faults_of(without(key))
    assert (key, "nothing") in {(fault.key, fault.found) for fault in faults}
    assert all(fault.file == "relay.toml" for fault in faults)


@pytest.mark.parametrize("key", sorted(SHOWN_AS_EXAMPLES - {"clients.checkout.callback_allow"}))
def test_a_key_without_a_default_to_show_may_be_left_out(key: str) -> None:
    read(without(key))
