"""The shape of a configuration that was read and found right: section 2 of the public contract, as types.

Owns the types alone. It never reads a file or an environment variable: `app.config.file` does, and what it
hands out has no fault left in it, so that nobody downstream checks again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from app.origin import AllowEntry
    from app.secret import Secret

Durability = Literal["fsync", "replica", "memory"]
NumberFormat = Literal["national", "e164"]
OutcomesFrom = Literal["campaign_export", "account_call_log"]
Kind = Literal["voice_otp", "notification"]
OnAmbiguous = Literal["retry", "give_up"]


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` at once, then `burst` evenly over each `period`: written `5/10m`, `200/s`, `20/1s`."""

    burst: int
    period: timedelta

    @property
    def interval(self) -> timedelta:
        """The time in which one more is earned: `period / burst`."""
        return self.period / self.burst


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where the API listens. Port 0 lets the system choose."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Where a worker serves livez, readyz and metrics; port 0: nowhere."""

    port: int


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RedisConfig:
    """Where messages live, and what an answer waits for. URLs may carry a password: never print them.

    `queue_url` is where arq's wake-ups live; where the file leaves it empty it is `url`.
    """

    url: str
    queue_url: str
    shards: int
    durability: Durability

    def __repr__(self) -> str:
        return f"RedisConfig(url=<secret>, shards={self.shards}, durability={self.durability!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """One account of the provider. `base_url` has no slash at its end."""

    name: str
    base_url: str
    secret_key: Secret
    timezone: ZoneInfo
    number_format: NumberFormat
    timeout: timedelta
    ca_file: Path | None
    outcomes_from: OutcomesFrom


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignConfig:
    """One campaign: `name` is the callers' word, `campaign_id` the provider's."""

    name: str
    account: str
    """The name of an `AccountConfig`."""
    campaign_id: str
    kind: Kind
    batch_size: int
    linger: timedelta
    concurrency: int
    default_ttl: timedelta
    outcome_timeout: timedelta
    reconcile_window: timedelta
    redial_window: timedelta
    max_queued: int
    on_ambiguous: OnAmbiguous
    per_number_limit: Rate
    max_per_hour: int
    """Calls an hour; 0: no such fuse."""
    allowed_regions: tuple[str, ...]
    supersede_queued: bool


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClientConfig:
    """One client. Its `api_keys` are 32-byte SHA-256 digests; the keys themselves are not known here."""

    name: str
    api_keys: tuple[bytes, ...]
    campaigns: tuple[str, ...]
    callback_url: str | None
    callback_allow: tuple[AllowEntry, ...]
    signing_secrets: tuple[Secret, ...]
    """Each reveals `whsec_<base64>` or `whsk_<base64>`; a callback is signed with every one of them."""
    events: tuple[str, ...]
    rate_limit: Rate

    def __repr__(self) -> str:
        return f"ClientConfig(name={self.name!r}, campaigns={self.campaigns!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbacksConfig:
    """How callbacks are sent. The n-th retry waits `retry_schedule[n]`, before jitter."""

    timeout: timedelta
    retry_schedule: tuple[timedelta, ...]
    concurrency_per_destination: int
    ca_file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    """How long a finished message is kept, and under which keys.

    Each of `encryption_keys` reveals 32 bytes in base64; the first encrypts, all decrypt.
    """

    retention: timedelta
    encryption_keys: tuple[Secret, ...]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AdminConfig:
    """Who may use the console and `/v1/admin`: 32-byte SHA-256 digests of keys; empty: nobody."""

    api_keys: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"AdminConfig(api_keys=<{len(self.api_keys)}>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file. Every name that one part uses of another exists."""

    server: ServerConfig
    worker: WorkerConfig
    redis: RedisConfig
    accounts: dict[str, AccountConfig]
    campaigns: dict[str, CampaignConfig]
    clients: dict[str, ClientConfig]
    callbacks: CallbacksConfig
    storage: StorageConfig
    admin: AdminConfig
