"""What must be true of Redis whenever no script runs: nothing orphaned, nothing lost, nothing that never ends.

`python -m tests.store.tidy unix:///path|redis://host:port/db` prints each violation and exits 1 if there is any.
It reads at one instant, so it is right about a relay that runs too; Redis serves nobody else meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

from app.message import FINAL
from app.store.connection import Client, connect_raw
from tests.store.snapshot import NO_END, Fields, Snapshot, take_snapshot

FINAL_STATES = frozenset(state.value for state in FINAL)
_NEVER_CALLED = frozenset({"expired", "cancelled", "rejected"})

_EDGE_MS = 1_000
"""A record and its last event end together, but not in the same millisecond."""

_OWNED = frozenset({"b", "calls", "m", "due", "waiting", "parked", "queued", "leases", "under_way", "ambiguous",
    "open", "redials", "numbers", "push", "pushing", "destinations", "pending"})  # fmt: skip
"""Kinds whose every entry belongs to something unfinished, which the checks below find."""
_OF_THE_CONFIGURATION = frozenset(
    {"turns", "woken", "wake", "sources", "generations", "token", "hold", "pause", "drain", "configured"}
)
"""Kinds that live on: no more of them than campaigns, clients and accounts are configured."""
_ENDING = frozenset({"e", "events", "by_number", "by_reference", "dead", "breaker", "idem", "rate", "number_rate",
    "hour", "ceiling", "ceiling_said", "actions", "lone", "smaller", "locked", "making", "collector", "alive",
    "late"})  # fmt: skip
"""Kinds that end by themselves."""
KNOWN = _OWNED | _OF_THE_CONFIGURATION | _ENDING


async def faults_of(client: Client, *, now_ms: int | None = None) -> list[str]:
    """Every violation, in words; empty if Redis is tidy. `now_ms`: where Redis' own clock is not the scripts'."""
    return faults_in(await take_snapshot(client), now_ms=now_ms)


async def assert_tidy(client: Client) -> None:
    """Fails, and says what is wrong."""
    assert await faults_of(client) == []


def faults_in(found: Snapshot, *, now_ms: int | None = None) -> list[str]:
    """As `faults_of`, of what was read before."""
    now = found.now_ms if now_ms is None else now_ms
    checks = (_records, _claims, _parked, _batches, _members, _imports, _events, _deliveries, _lives, _counts)
    return [*_queues(found, now), *(fault for check in checks for fault in check(found))]


def _unfinished(message: Fields | None) -> bool:
    return message is not None and message.get("s") not in FINAL_STATES


def _records(found: Snapshot) -> Iterator[str]:
    """A code is kept until its import is settled; a phone that may have rung is never said not to have."""
    for one, message in found.messages.items():
        state = message.get("s")
        if "c" in message and state not in ("queued", "submitting"):
            yield f"{one} is {state} and still has its code"
        if "am" in message and state in _NEVER_CALLED:
            yield f"{one} was in an ambiguous import and ended {state}"
        if (state in FINAL_STATES) == (found.keys[f"m:{one}"].ends_in_ms == NO_END):
            yield f"{one} is {state}, and its record's end does not fit that"


def _claims(found: Snapshot) -> Iterator[str]:
    """A number is claimed by one message that may be called, and by each that is in a batch."""
    claims = found.pairs("numbers")
    for account, owners in claims.items():
        for number, owner in owners.items():
            message = found.messages.get(owner, {})
            if message.get("s") not in ("submitting", "submitted"):
                yield f"a number claimed by {owner}, which is {message.get('s')}"
            elif (message["ac"], message["n"]) != (account, number):
                yield f"a number claimed by {owner}, whose number it is not"
    for one, message in found.messages.items():
        if message["s"] == "submitting" and claims.get(message["ac"], {}).get(message["n"]) != one:
            yield f"{one} is submitting without the claim on its number"


def _parked(found: Snapshot) -> Iterator[str]:
    """Who waits for a number is known to the one that will free it."""
    claims, parked = found.pairs("numbers"), found.members("parked")
    for place, ids in parked.items():
        account, _, number = place.partition(":")
        if number not in claims.get(account, {}):
            yield f"messages parked on a number that nobody claims: {', '.join(ids)}"
    waiting = {one for ids in found.pairs("waiting").values() for one in ids}
    by_number = {one for ids in parked.values() for one in ids}
    yield from (f"{one} waits for a number, and no number knows of it" for one in waiting - by_number)
    yield from (f"{one} is parked and does not wait" for one in by_number - waiting)


def _queues(found: Snapshot, now_ms: int) -> Iterator[str]:
    """A queued message stands in its campaign's queue, and where a lease, or the end of a claim, finds it."""
    for kind in ("queued", "due", "waiting"):
        for queue, ids in found.pairs(kind).items():
            for one in ids:
                message = found.messages.get(one, {})
                own = message.get("ca") if kind == "queued" else f"{message.get('ca')}:{message.get('cl')}"
                if message.get("s") != "queued" or own != queue:
                    yield f"{one} is {message.get('s')} and stands in {kind}:{queue}"
    queued, due, waiting, turns = (found.pairs(kind) for kind in ("queued", "due", "waiting", "turns"))
    for one, message in found.messages.items():
        if message["s"] != "queued":
            continue
        campaign, queue = message["ca"], f"{message['ca']}:{message['cl']}"
        if queued.get(campaign, {}).get(one) != message["ex"]:
            yield f"{one} is queued, and the sweep does not know when it expires"
        places = (one in due.get(queue, {})) + (one in waiting.get(queue, {}))
        if places != 1 and not (places == 0 and int(message["ex"]) <= now_ms):
            yield f"{one} is queued and stands in {places} of the places that a lease looks at"
        if one in due.get(queue, {}) and message["cl"] not in turns.get(campaign, {}):
            yield f"{one} is due, and its client has no turn"


def _batches(found: Snapshot) -> Iterator[str]:
    """A batch is under way and has a lease, or is ambiguous and its fate is sought; nothing else is."""
    places = {
        "leases": {one for ids in found.pairs("leases").values() for one in ids},
        "under_way": {one for ids in found.members("under_way").values() for one in ids},
        "ambiguous": {one for ids in found.pairs("ambiguous").values() for one in ids},
    }
    for one, batch in found.batches.items():
        state = batch.get("st")
        under_way = state in ("leased", "sending")
        if not under_way and state != "ambiguous":
            yield f"{one} is {state}"
        for place, held in places.items():
            if (one in held) != (under_way if place != "ambiguous" else state == "ambiguous"):
                yield f"{one} is {state}, and `{place}` does not fit that"
        if under_way and one not in found.members("under_way").get(batch["ca"], ()):
            yield f"{one} is under way for another campaign than its own"
        if state == "ambiguous" and one not in found.pairs("ambiguous").get(batch["so"], {}):
            yield f"{one} is sought at another source than its own"
        if state != "leased" and int(batch.get("at", 0)) <= 0:
            yield f"{one} is {state}, and nobody knows since when"
    for place, held in places.items():
        yield from (f"{one} stands in `{place}` and has no record" for one in held - set(found.batches))


def _members(found: Snapshot) -> Iterator[str]:
    """A message in an import is in one, and both know it."""
    for one, batch in found.batches.items():
        ids = batch.get("ms", "").split()
        own = [id_ for id_ in ids if found.messages.get(id_, {}).get("bt") == one]
        if own != ids and batch.get("st") in ("leased", "sending"):
            yield f"{one} is {batch['st']} with members that are not its own"
        numbers = [found.messages[id_]["n"] for id_ in own]
        if len(numbers) != len(set(numbers)):
            yield f"{one} has a number twice"
    for one, message in found.messages.items():
        batch_id = message.get("bt")
        if (batch_id is not None) != (message["s"] == "submitting"):
            yield f"{one} is {message['s']}, and its batch does not fit that"
        elif batch_id is not None:
            batch = found.batches.get(batch_id, {})
            if one not in batch.get("ms", "").split():
                yield f"{one} is submitting in a batch that does not know it"
            elif (batch["st"] != "leased") != (f"{batch_id}," in message.get("im", "")):
                yield f"{one} is in a batch that is {batch['st']}, and its imports do not fit that"


def _imports(found: Snapshot) -> Iterator[str]:
    """Whoever may have been called is found when a row tells of the call."""
    submitted = {one: message for one, message in found.messages.items() if message["s"] == "submitted"}
    waited = {(source, one) for source, ids in found.pairs("open").items() for one in ids}
    wanted = {(message.get("so", ""), one) for one, message in submitted.items()}
    yield from (
        f"{one} is submitted, and {source} is not asked for its call" for source, one in wanted - waited
    )
    yield from (f"{source} is asked for the call of {one}, which is over" for source, one in waited - wanted)
    redials = {(source, one) for source, ids in found.pairs("redials").items() for one in ids}
    failed = {(message.get("so", ""), one) for one, message in submitted.items() if "pf" in message}
    yield from (f"{one} waits for a redial, and its place does not fit that" for _, one in redials ^ failed)
    known = found.pairs("sources").get("", {})
    asked = [*found.of("open"), *found.of("ambiguous")]
    yield from (f"{source} is waited for and never asked" for source in asked if source not in known)
    calls = found.of("calls")
    for one, message in found.messages.items():
        index = calls.get(f"{message['ac']}:{message['n']}")
        if _unfinished(message) and "im" in message:
            if index is None or one not in index.pairs:
                yield f"{one} was imported, and no row of its call would find it"
            elif index.ends_in_ms != NO_END:
                yield f"{one} was imported, and the index of its number ends before it"
    alive = {f"{message['ac']}:{message['n']}" for message in found.messages.values() if _unfinished(message)}
    for name, index in calls.items():
        if index.ends_in_ms == NO_END and name not in alive:
            yield f"calls:{name} has no end, and its number no unfinished message"


def _events(found: Snapshot) -> Iterator[str]:
    """Each end of a message has its one event; an undetermined one that was settled after all has two."""
    listed = {event for stream in found.pairs("events").values() for event in stream.values()}
    for event, record in found.events.items():
        if record.get("m") not in found.messages:
            yield f"{event} is of a message that is gone"
        if event not in listed:
            yield f"{event} is in no client's list"
    for one, message in found.messages.items():
        types = [found.events.get(event, {}).get("ty", "") for event in message.get("ev", "").split()]
        ends = [kind for kind in types if kind in FINAL_STATES]
        state = message["s"]
        twice = ["undetermined", state] if state in ("answered", "failed") else [state]
        right = ([state], twice) if state in FINAL_STATES else ([],)
        if ends not in right and not 0 <= found.keys[f"m:{one}"].ends_in_ms < _EDGE_MS:
            yield f"{one} is {state} and has the final events {ends}"


def _deliveries(found: Snapshot) -> Iterator[str]:
    """A delivery that is pending is queued or under way, once, and its destination is looked at."""
    push, pushing = found.pairs("push"), found.pairs("pushing")
    pending, dead = found.pairs("pending"), found.pairs("dead")
    for event, record in found.events.items():
        destination, client, state = record.get("d", ""), record.get("cl", ""), record.get("st")
        places = (event in push.get(destination, {})) + (event in pushing.get(destination, {}))
        if places != (state == "pending"):
            yield f"{event} is {state} and stands in {places} queues of its destination"
        if (event in pending.get(client, {})) != (state == "pending"):
            yield f"{event} is {state}, and the list of pending ones does not fit that"
        if (event in dead.get(client, {})) != (state == "dead"):
            yield f"{event} is {state}, and the list of dead ones does not fit that"
        if event in pushing.get(destination, {}) and "f" not in record:
            yield f"{event} is under way without a fence"
    for kind, queues in (("push", push), ("pushing", pushing), ("pending", pending)):
        for name, ids in queues.items():
            yield from (
                f"{event} stands in {kind}:{name} and has no record"
                for event in ids
                if event not in found.events
            )
    looked_at = set(found.pairs("destinations").get("", {}))
    yield from (f"{one} has events, and nobody looks there" for one in (set(push) | set(pushing)) - looked_at)
    yield from (f"{one} is looked at for nothing" for one in looked_at - set(push) - set(pushing))


def _lives(found: Snapshot) -> Iterator[str]:
    """Every key has an owner that is checked above, or ends by itself, or is one of few."""
    for kind, keys in found.by_kind.items():
        if kind in _ENDING:
            yield from (f"{kind}:{name} never ends" for name, key in keys.items() if key.ends_in_ms == NO_END)
        elif kind not in KNOWN:
            yield from (f"{kind}:{name} is of a kind that nobody knows" for name in keys)


def _counts(found: Snapshot) -> Iterator[str]:
    """What is counted is never below nothing."""
    counts = [(f"hour:{name}", n) for name, by in found.pairs("hour").items() for n in by.values()]
    counts += [(f"lone:{name}", key.flat[0]) for name, key in found.of("lone").items()]
    counts += [(f"hold:{name}", by.get("probes", "0")) for name, by in found.pairs("hold").items()]
    counts += [(f"breaker:{name}", by.get("failures", "0")) for name, by in found.pairs("breaker").items()]
    counts += [(f"e:{event}", by.get("a", "0")) for event, by in found.events.items()]
    counts += [(f"m:{one}", str(int(by.get("v", "0")) - 1)) for one, by in found.messages.items()]
    yield from (f"{name} counts {n}" for name, n in counts if int(n) < 0)


async def _violations(url: str) -> list[str]:
    client = connect_raw(url, socket_timeout=60)
    try:
        return await faults_of(client)
    finally:
        await client.aclose()


def main() -> int:
    """Prints the violations of the Redis that the argument names; 1 if there are any."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m tests.store.tidy redis://host:port/db | unix:///path\n")
        return 2
    violations = asyncio.run(_violations(sys.argv[1]))
    sys.stdout.writelines(f"{one}\n" for one in violations)
    return 1 if violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
