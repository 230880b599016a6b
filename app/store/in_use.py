"""What the configuration must not take away: campaigns and clients with messages that are not final.

A campaign that no worker knows has no one who imports its messages, asks for their outcomes or ends them in time. So
what was configured is remembered in Redis, and a configuration that lacks it, or has it changed under its messages, is
refused until they are final. Reads, and writes nothing but that memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.config import ConfigError, Fault
from app.message import FINAL
from app.store.batches import source_of
from app.store.faults import StoreUnfitError

if TYPE_CHECKING:
    from app.config import Config
    from app.store.database import Argument, Database, Reply

_READ_AT_ONCE = 1_000
_ENDED = frozenset({None, *(state.value.encode() for state in FINAL)})
_CAMPAIGN, _CLIENT = "campaigns/", "clients/"


@dataclass(frozen=True, slots=True)
class InUse:
    """One campaign or client that has to stay. `key` is its section; `how` it was changed."""

    key: str
    how: str
    messages: int
    callbacks: int = 0

    @property
    def expected(self) -> str:
        """What to do, in words that fit behind "expected"."""
        waiting = _counted(self.messages, "message that is not final", "messages that are not final")
        if self.callbacks:
            pending = _counted(self.callbacks, "callback that is pending", "callbacks that are pending")
            waiting = f"{waiting} and {pending}" if self.messages else pending
        return f"it as it was, for it has {waiting}: put it back{self._drain}, and change it when they have ended"

    @property
    def _drain(self) -> str:
        kind, _, name = self.key.partition(".")
        return f", drain it (POST /v1/admin/campaigns/{name}/drain)" if kind == "campaigns" else ""


class InUseError(StoreUnfitError):
    """The configuration takes away what is in use; the text has a line for each."""

    def __init__(self, found: Sequence[InUse]) -> None:
        super().__init__("\n".join(f"{one.key}: found {one.how}, expected {one.expected}" for one in found))
        self.found = tuple(found)

    def in_file(self, file: str) -> ConfigError:
        """The same as faults of the file."""
        return ConfigError(tuple(Fault(file, one.key, one.how, one.expected) for one in self.found))


async def refuse_in_use(database: Database, config: Config) -> None:
    """Raises `InUseError` with all that this configuration takes away while it is in use; else remembers it."""
    found = await in_use(database, config)
    if found:
        raise InUseError(found)
    await _remember(database, config)


async def in_use(database: Database, config: Config) -> list[InUse]:
    """What is in use, and missing in the configuration or changed under its messages."""
    known = await _known(database)
    lost = {name: how for name, was in known.campaigns.items() if (how := _changed(name, was, config))}
    gone = [name for name in known.clients if name not in config.clients]
    if not lost and not gone:
        return []
    census = await _census(database, known, gone)
    return [*_campaigns_in_use(lost, census), *_clients_in_use(gone, census)]


@dataclass(frozen=True, slots=True)
class _Campaign:
    account: str
    kind: str
    source: str


@dataclass(frozen=True, slots=True)
class _Known:
    campaigns: dict[str, _Campaign]
    clients: list[str]


@dataclass(frozen=True, slots=True)
class _Census:
    """Messages that are not final, by campaign: those queued, and those that an import carried or may have."""

    queued: Counter[str]
    sent: Counter[str]
    by_client: Counter[str]
    callbacks: Counter[str]


def _changed(name: str, was: _Campaign, config: Config) -> str | None:
    """How the campaign differs in what its messages rest on."""
    campaign = config.campaigns.get(name)
    if campaign is None:
        return "nothing"
    if campaign.account != was.account:
        return f"account {campaign.account} in place of {was.account}"
    if campaign.kind != was.kind:
        return f"kind {campaign.kind} in place of {was.kind}"
    if source_of(campaign, config.accounts[campaign.account]) != was.source:
        return "another place to ask for outcomes (campaign_id, or the account's outcomes_from)"
    return None


def _campaigns_in_use(lost: dict[str, str], census: _Census) -> Iterator[InUse]:
    for name, how in lost.items():
        # What is only queued goes to wherever the campaign is by then.
        messages = census.sent[name] + (0 if how.startswith("another") else census.queued[name])
        if messages:
            yield InUse(f"campaigns.{name}", how, messages)


def _clients_in_use(gone: Sequence[str], census: _Census) -> Iterator[InUse]:
    for name in gone:
        messages, callbacks = census.by_client[name], census.callbacks[name]
        if messages or callbacks:
            yield InUse(f"clients.{name}", "nothing", messages, callbacks)


async def _known(database: Database) -> _Known:
    flat = await database.read("HGETALL", database.key("configured"))
    entries = {key.decode(): value.decode() for key, value in zip(flat[::2], flat[1::2], strict=True)}
    campaigns = {
        key.removeprefix(_CAMPAIGN): _Campaign(*value.split(" ", 2))
        for key, value in entries.items()
        if key.startswith(_CAMPAIGN)
    }
    return _Known(campaigns, [key.removeprefix(_CLIENT) for key in entries if key.startswith(_CLIENT)])


async def _remember(database: Database, config: Config) -> None:
    pairs: list[str] = []
    for name, campaign in config.campaigns.items():
        source = source_of(campaign, config.accounts[campaign.account])
        pairs += [f"{_CAMPAIGN}{name}", f"{campaign.account} {campaign.kind} {source}"]
    for name in config.clients:
        pairs += [f"{_CLIENT}{name}", ""]
    await database.run("remember", *pairs)


async def _census(database: Database, known: _Known, gone: Sequence[str]) -> _Census:
    key, names = database.key, list(known.campaigns)
    sources = list(dict.fromkeys(campaign.source for campaign in known.campaigns.values()))
    queues = [(kind, name, client) for kind in ("due", "waiting") for name in names for client in gone]
    queued = await _each(database, [("ZCARD", key("queued", name)) for name in names])
    of_clients = await _each(database, [("ZCARD", key(*queue)) for queue in queues])
    pending = await _each(database, [("ZCARD", key("pending", client)) for client in gone])
    owners = await _owners(database, await _sent(database, names, sources))
    by_client = Counter(client for _, client in owners)
    for (_, _, client), count in zip(queues, of_clients, strict=True):
        by_client[client] += count
    return _Census(
        queued=Counter(dict(zip(names, queued, strict=True))),
        sent=Counter(campaign for campaign, _ in owners),
        by_client=by_client,
        callbacks=Counter(dict(zip(gone, pending, strict=True))),
    )


async def _sent(database: Database, campaigns: Sequence[str], sources: Sequence[str]) -> list[bytes]:
    """All that is in a batch or waits for its outcome; some of it twice, some of it final by now."""
    key = database.key
    batches = await _each(database, [("SMEMBERS", key("under_way", name)) for name in campaigns])
    batches += await _each(database, [("ZRANGE", key("ambiguous", source), 0, -1) for source in sources])
    members = await _each(
        database, [("HGET", key("b", one.decode()), "ms") for some in batches for one in some]
    )
    waiting = await _each(database, [("ZRANGE", key("open", source), 0, -1) for source in sources])
    return [one for some in members if some for one in some.split()] + [
        one for some in waiting for one in some
    ]


async def _owners(database: Database, ids: Sequence[bytes]) -> list[tuple[str, str]]:
    """Campaign and client of each message that is not final, once."""
    commands = [("HMGET", database.key("m", one.decode()), "s", "ca", "cl") for one in dict.fromkeys(ids)]
    rows = await _each(database, commands)
    return [(campaign.decode(), client.decode()) for state, campaign, client in rows if state not in _ENDED]


async def _each(database: Database, commands: Sequence[tuple[Argument, ...]]) -> list[Reply]:
    found: list[Reply] = []
    for start in range(0, len(commands), _READ_AT_ONCE):
        found += await database.read_many(commands[start : start + _READ_AT_ONCE])
    return found


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
