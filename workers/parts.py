"""What a worker process is made of: built once in `on_startup`, handed down by parameter, closed once."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.callbacks.address_policy import CallbackPolicy
from app.callbacks.delivery import CallbackSender
from app.callbacks.signing import Signer
from app.provider.client import ProviderClient
from app.store.batches import Batches
from app.store.events import Events
from app.store.in_use import refuse_in_use
from app.store.opening import open_database
from app.store.outcomes import Outcomes
from app.store.records import keep_for
from app.store.tokens import Tokens

if TYPE_CHECKING:
    from app.config import Config
    from app.store.database import Database
    from app.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that the worker's tasks share."""

    config: Config
    metrics: Metrics
    owner: str
    """This process among all: who holds a lease that is not a batch's."""
    database: Database
    batches: Batches
    outcomes: Outcomes
    events: Events
    tokens: Tokens
    clients: dict[str, ProviderClient]
    """By account."""
    sender: CallbackSender
    signers: dict[str, Signer]
    policies: dict[str, CallbackPolicy]

    async def close(self) -> None:
        """Ends every connection."""
        for client in self.clients.values():
            await client.aclose()
        await self.sender.close()
        await self.database.close()


async def build_parts(config: Config, metrics: Metrics, *, wait_s: float = math.inf) -> Parts:
    """The parts, connected once Redis is there, for which they wait.

    `StoreUnfitError` if it could lose messages as it is set up, or holds some of what is configured no more.
    `StoreUnavailableError` if it is not there in time, `OSError` if a CA bundle cannot be read.
    """
    database = await open_database(config, wait_s=wait_s)
    try:
        await refuse_in_use(database, config)
        return _parts(config, metrics, database)
    except BaseException:
        await database.close()
        raise


def _parts(config: Config, metrics: Metrics, database: Database) -> Parts:
    keep_ms = round(
        keep_for(config.storage.retention, config.callbacks.retry_schedule).total_seconds() * 1000
    )
    owner = secrets.token_hex(8)
    return Parts(
        config=config,
        metrics=metrics,
        owner=owner,
        database=database,
        batches=Batches(database, owner),
        outcomes=Outcomes(database),
        events=Events(database, keep_ms=keep_ms),
        tokens=Tokens(database),
        clients={name: ProviderClient(account) for name, account in config.accounts.items()},
        sender=CallbackSender(config.callbacks),
        signers={name: Signer(client.signing_secrets) for name, client in config.clients.items()},
        policies={name: CallbackPolicy(client.callback_allow) for name, client in config.clients.items()},
    )
