"""Who may ask for what: the clients of the configuration, prepared for requests.

Knows no key; the API finds the caller of a request by its key's digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.callbacks.address_policy import CallbackPolicy

if TYPE_CHECKING:
    from app.config import CampaignConfig, ClientConfig, Config


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """A client, with the campaigns that it may use."""

    config: ClientConfig
    campaigns: dict[str, CampaignConfig]
    policy: CallbackPolicy
    default_destination: str | None
    """Scheme, host and port of the client's own callback URL."""

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def only_campaign(self) -> str | None:
        """The campaign of a client that has just one."""
        return next(iter(self.campaigns)) if len(self.campaigns) == 1 else None

    @property
    def regions(self) -> list[str]:
        """Where its campaigns may call, each once, in their order."""
        named = [region for campaign in self.campaigns.values() for region in campaign.allowed_regions]
        return list(dict.fromkeys(named))


def callers_of(config: Config) -> tuple[Caller, ...]:
    """Every client of the configuration."""
    return tuple(_caller(client, config) for client in config.clients.values())


def _caller(client: ClientConfig, config: Config) -> Caller:
    policy = CallbackPolicy(client.callback_allow)
    url = client.callback_url
    return Caller(
        config=client,
        campaigns={name: config.campaigns[name] for name in client.campaigns},
        policy=policy,
        default_destination=None if url is None else str(policy.check_url(url).origin),
    )
