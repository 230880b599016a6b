"""The keys of relay.toml, their bounds and their defaults: one function a table of the contract's section 2.

Each takes what the file has and gives the finished part. What one part needs of another is asked in
`app.config.whole`. Reads no file but those that the configuration names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from app.config.model import (
    AccountConfig,
    AdminConfig,
    CallbacksConfig,
    CampaignConfig,
    ClientConfig,
    Kind,
    OnAmbiguous,
    Rate,
    RedisConfig,
    ServerConfig,
    StorageConfig,
    WorkerConfig,
)
from app.config.redis_url import is_cluster, queue_url, redis_url
from app.config.secret_value import (
    SecretReader,
    api_key_digest,
    is_encryption_key,
    is_one_line,
    is_signing_secret,
)
from app.config.table import Read, Table, Unfit, nearest
from app.config.value import (
    allow_entry,
    base_url,
    boolean,
    ca_file,
    callback_url,
    choice,
    duration,
    integer,
    port,
    rate,
    region,
    text,
    timezone,
)
from app.secret import Secret

_MS = timedelta(milliseconds=1)
_S = timedelta(seconds=1)
_M = timedelta(minutes=1)
_H = timedelta(hours=1)
_WEEK = timedelta(days=7)
_YEAR = timedelta(days=366)
_RETRY_SCHEDULE = (_S, 5 * _S, 30 * _S, 2 * _M, 10 * _M, 30 * _M, 2 * _H, 6 * _H, 12 * _H)
_DEFAULT_AMBIGUOUS: Mapping[Kind, OnAmbiguous] = {"voice_otp": "retry", "notification": "give_up"}


def read_server(table: Table) -> ServerConfig:
    with table:
        return ServerConfig(
            host=table.optional("host", text("a host name or address to listen on"), "0.0.0.0"),
            port=table.optional("port", port, 8080),
        )


def read_worker(table: Table, env: Mapping[str, str]) -> WorkerConfig:
    with table:
        configured = table.optional("port", port, 9100)
        override = env.get("RELAY_WORKER_PORT", "")
        if not override:
            return WorkerConfig(port=configured)
        if not (override.isascii() and override.isdigit() and len(override) <= 5 and int(override) <= 65_535):
            table.fault("port", "another text in RELAY_WORKER_PORT", "a whole number from 0 to 65535")
            return WorkerConfig(port=configured)
        return WorkerConfig(port=int(override))


def read_redis(table: Table, env: Mapping[str, str]) -> RedisConfig:
    with table:
        url = _redis_url(table, env.get("RELAY_REDIS_URL", ""))
        queue = table.optional("queue_url", queue_url, "")
        shards = table.optional("shards", integer(1, 16_384), 1)
        if url and shards > 1 and not is_cluster(url):
            table.fault("shards", f"the number {shards}", "1, for only a redis+cluster:// url has more")
        if is_cluster(url) and not queue and not table.has("queue_url"):
            table.fault(
                "queue_url", "nothing", "the URL of one ordinary Redis or Sentinel beside the Cluster"
            )
        return RedisConfig(
            url=url,
            queue_url=queue or url,
            shards=shards,
            durability=table.optional("durability", choice("fsync", "replica", "memory"), "fsync"),
        )


def _redis_url(table: Table, override: str) -> str:
    if not override:
        return table.required("url", redis_url, "", "a Redis URL, here or in RELAY_REDIS_URL")
    table.optional("url", redis_url, "")
    try:
        return redis_url(override)
    except Unfit as unfit:
        table.fault("url", f"{unfit.found} in RELAY_REDIS_URL", unfit.expected)
        return ""


def read_account(name: str, table: Table, secrets: SecretReader) -> AccountConfig:
    secret_key = secrets.reads(is_one_line, "the provider's secret_key, on one line")
    with table:
        return AccountConfig(
            name=name,
            base_url=table.required("base_url", base_url, "", "the provider's http:// or https:// URL"),
            secret_key=table.required("secret_key", secret_key, Secret.of(""), "the provider's secret_key"),
            timezone=table.optional("timezone", timezone, ZoneInfo("Asia/Ho_Chi_Minh")),
            number_format=table.optional("number_format", choice("national", "e164"), "national"),
            timeout=table.optional("timeout", duration(_MS, 5 * _M), 10 * _S),
            ca_file=table.optional("ca_file", ca_file(secrets.base), None),
            outcomes_from=table.optional(
                "outcomes_from", choice("campaign_export", "account_call_log"), "campaign_export"
            ),
        )


def read_campaign(name: str, table: Table, accounts: Collection[str]) -> CampaignConfig:
    campaign_id = text(
        "the provider's id of the campaign, 1 to 128 characters without / ? #", r"[^\s/?#]{1,128}"
    )
    with table:
        kind: Kind = table.required(
            "kind", choice("voice_otp", "notification"), "voice_otp", "voice_otp or notification"
        )
        return CampaignConfig(
            name=name,
            account=table.required("account", _one_of(accounts), "", "the name of an account"),
            campaign_id=table.required("campaign_id", campaign_id, "", "the provider's id of the campaign"),
            kind=kind,
            batch_size=table.optional("batch_size", integer(1, 10_000), 200),
            linger=table.optional("linger", duration(0 * _S, _M), 20 * _MS),
            concurrency=table.optional("concurrency", integer(1, 1_000), 4),
            default_ttl=table.optional("default_ttl", duration(5 * _S, 24 * _H), 2 * _M),
            outcome_timeout=table.optional("outcome_timeout", duration(_S, _WEEK), 10 * _M),
            reconcile_window=table.optional("reconcile_window", duration(_MS, 24 * _H), 30 * _S),
            redial_window=table.optional("redial_window", duration(0 * _S, _WEEK), 0 * _S),
            max_queued=table.optional("max_queued", integer(1, 1_000_000_000), 100_000),
            on_ambiguous=table.optional("on_ambiguous", choice("retry", "give_up"), _DEFAULT_AMBIGUOUS[kind]),
            per_number_limit=table.optional("per_number_limit", rate, Rate(5, 10 * _M)),
            max_per_hour=table.optional("max_per_hour", integer(0, 1_000_000_000), 0),
            allowed_regions=_regions(table),
            supersede_queued=table.optional("supersede_queued", boolean, False),
        )


def _regions(table: Table) -> tuple[str, ...]:
    regions = table.each("allowed_regions", region, ("VN",))
    if table.is_empty_list("allowed_regions"):
        table.fault("allowed_regions", "no region", "one region or more, such as VN")
    return regions


def read_client(name: str, table: Table, campaigns: Collection[str], secrets: SecretReader) -> ClientConfig:
    signing = secrets.reads(
        is_signing_secret, "whsec_ and 24 to 64 bytes in base64, or whsk_ and an ed25519 key in base64"
    )
    with table:
        return ClientConfig(
            name=name,
            api_keys=table.some("api_keys", api_key_digest, "a list of digests of keys, one or more"),
            campaigns=table.some("campaigns", _one_of(campaigns), "a list of campaigns, one or more"),
            callback_url=table.optional("callback_url", callback_url, None),
            callback_allow=table.each("callback_allow", allow_entry, ()),
            signing_secrets=table.some("signing_secrets", signing, "a list of signing secrets, one or more"),
            events=_events(table),
            rate_limit=table.optional("rate_limit", rate, Rate(500, _S)),
        )


def _events(table: Table) -> tuple[str, ...]:
    events: tuple[str, ...] = table.each("events", choice("final", "submitted"), ("final",))
    if "final" not in events and ("submitted" in events or table.is_empty_list("events")):
        table.fault("events", "a list without it", "final, to which submitted may be added")
    return events


def read_callbacks(table: Table, base: Path) -> CallbacksConfig:
    with table:
        return CallbacksConfig(
            timeout=table.optional("timeout", duration(_MS, 5 * _M), 10 * _S),
            retry_schedule=table.each("retry_schedule", duration(_MS, _WEEK), _RETRY_SCHEDULE),
            concurrency_per_destination=table.optional("concurrency_per_destination", integer(1, 10_000), 32),
            ca_file=table.optional("ca_file", ca_file(base), None),
        )


def read_storage(table: Table, secrets: SecretReader) -> StorageConfig:
    key = secrets.reads(is_encryption_key, "32 bytes in base64")
    with table:
        return StorageConfig(
            retention=table.optional("retention", duration(_S, _YEAR), 72 * _H),
            encryption_keys=table.some("encryption_keys", key, "a list of keys, each 32 bytes in base64"),
        )


def read_admin(table: Table) -> AdminConfig:
    with table:
        return AdminConfig(api_keys=table.each("api_keys", api_key_digest, ()))


def _one_of(names: Collection[str]) -> Read[str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            raise Unfit(nearest(value if isinstance(value, str) else "", names))
        return value

    return read
