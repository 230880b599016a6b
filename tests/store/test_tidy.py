"""The checker finds what it is there to find, says it of any Redis, and what is over leaves nothing behind."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.docs.pages import LIFE, rows, section
from tests.store.clock import SteppedDesk, open_stepped_desk
from tests.store.desk import ALICE, BOB, KEEP_MS, LOGIN, Desk, numbers
from tests.store.snapshot import take_snapshot
from tests.store.tidy import KNOWN, assert_tidy, faults_of

_ROOT = Path(__file__).parents[2]


async def _some_of_everything(desk: Desk) -> dict[str, str]:
    """A message in each place where one can be, by the name that the places below are told by."""
    number = desk.db.index.of("number", ALICE)
    done = await desk.answered("+84901000009")
    submitted = await desk.submitted(BOB, call_id="")
    sent = await desk.accept(ALICE)
    batch = await desk.sending()
    parked = await desk.accept(ALICE)
    await desk.no_lease()
    due = await desk.accept("+84901000003")
    names = {
        "sent": sent,
        "parked": parked,
        "due": due,
        "submitted": submitted,
        "done": done,
        "number": number,
    }
    event = str(await desk.field(done, "ev"))
    assert await faults_of(desk.redis) == []
    return {**names, "batch": batch.batch_id, "event": event}


_DAMAGE = (
    ("HSET m:{done} c code", "still has its code"),
    ("PERSIST m:{done}", "record's end does not fit"),
    ("EXPIRE m:{due} 100", "record's end does not fit"),
    ("HDEL numbers:main {number}", "without the claim on its number"),
    ("HSET numbers:main other {done}", "claimed by"),
    ("DEL numbers:main", "nobody claims"),
    ("DEL parked:main:{number}", "no number knows of it"),
    ("SADD parked:main:{number} {due}", "is parked and does not wait"),
    ("ZREM due:login-otp:checkout {due}", "stands in 0 of the places"),
    ("ZADD waiting:login-otp:checkout 1 {due}", "stands in 2 of the places"),
    ("ZREM queued:login-otp {due}", "does not know when it expires"),
    ("ZADD queued:login-otp 1 {done}", "stands in queued:login-otp"),
    ("DEL turns:login-otp", "has no turn"),
    ("DEL leases", "`leases` does not fit"),
    ("ZADD leases 1 batch_gone", "has no record"),
    ("SREM under_way:login-otp {batch}", "`under_way` does not fit"),
    ("SADD under_way:login-otp batch_gone", "has no record"),
    ("DEL b:{batch}", "has no record"),
    ("HSET b:{batch} st odd", "is odd"),
    ("HDEL b:{batch} at", "nobody knows since when"),
    ("HDEL m:{sent} bt", "its batch does not fit"),
    ("HSET b:{batch} ms {due}", "members that are not its own"),
    ("HDEL m:{sent} im", "its imports do not fit"),
    ("ZADD open:main/c1 1 {done}", "which is over"),
    ("DEL open:main/c1", "is not asked for its call"),
    ("HSET m:{submitted} pf busy", "waits for a redial"),
    ("DEL sources", "never asked"),
    ("DEL calls:main:{number}", "no row of its call would find it"),
    ("EXPIRE calls:main:{number} 100", "ends before it"),
    ("ZADD calls:main:nobody 1 {done}", "has no end"),
    ("DEL e:{event}", "has the final events []"),
    ("HSET m:{due} ev {event}", "has the final events"),
    ("DEL events:checkout", "is in no client's list"),
    ("ZREM push:https://checkout.internal:443 {event}", "stands in 0 queues"),
    ("ZADD pushing:https://checkout.internal:443 1 {event}", "stands in 2 queues"),
    ("DEL pending:checkout", "the list of pending ones"),
    ("ZADD dead:checkout 1 {event}", "the list of dead ones"),
    ("ZADD push:https://checkout.internal:443 1 evt_gone", "has no record"),
    ("DEL destinations", "nobody looks there"),
    ("ZADD destinations 1 https://nobody.internal:443", "looked at for nothing"),
    ("SET rate:checkout 1", "never ends"),
    ("SET unheard:of 1", "nobody knows"),
    ("HSET breaker:https://checkout.internal:443 failures -1", "counts -1"),
)


def test_every_kind_of_key_that_the_layout_tells_of_has_an_owner_or_an_end() -> None:
    told = {name.partition(":")[0] for name in rows(section(LIFE, "Keys in Redis"))}
    assert told - {"final"} - KNOWN == set()


async def test_each_damage_is_found_and_named(store_url: str) -> None:
    async with open_stepped_desk(store_url) as desk:
        names = await _some_of_everything(desk)
        for damage, said in _DAMAGE:
            command, key, *args = damage.format_map(names).split(" ")
            whole = desk.db.key(key)
            kept, life_ms = await desk.db.read("DUMP", whole), await desk.db.read("PTTL", whole)
            await desk.db.read(command, whole, *args)
            faults = await faults_of(desk.redis, now_ms=desk.clock.now_ms)
            assert any(said in fault for fault in faults), (damage, faults)
            await desk.db.read("DEL", whole)
            if kept is not None:
                await desk.db.read("RESTORE", whole, max(0, life_ms), kept)
        assert await faults_of(desk.redis, now_ms=desk.clock.now_ms) == []


async def _told(url: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.tidy", url, cwd=_ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(process.communicate(), timeout=20)
    return process.returncode or 0, said.decode()


async def test_the_command_prints_violations_and_fails_by_them(desk: Desk) -> None:
    url = desk.redis.connection_pool.connection_kwargs["path"]
    await desk.answered()
    assert await _told(f"unix://{url}") == (0, "")
    await desk.db.read("SET", desk.db.key("unheard"), 1)
    assert await _told(f"unix://{url}") == (1, "unheard: is of a kind that nobody knows\n")
    await desk.db.read("DEL", desk.db.key("unheard"))


async def _a_life_of(desk: SteppedDesk, count: int) -> None:
    """So many messages from acceptance to the delivery of their events: answered, failed, rejected, cancelled."""
    phones = numbers(count)
    for start in range(0, count, 100):
        some = phones[start : start + 100]
        await asyncio.gather(*(desk.accept(one, key=one, reference=one) for one in some))
    for nth in range(count // LOGIN.batch_size):
        batch = await desk.sending()
        members = batch.members[: len(batch.members) - nth % 2]
        taken = {one.message_id: f"call-{one.phone_number[-4:]}" for one in members}
        await desk.batches.settle(batch, "missing", taken=taken, hold="release")
        rows = (desk.row(one.phone_number, taken[one.message_id], (40, 50)[nth % 2]) for one in members)
        await asyncio.gather(*rows)
    while due := await desk.claim(most=100, slots=100):
        await asyncio.gather(
            *(desk.events.settle(one, "delivered", status=200, error=None, retry_in_ms=0) for one in due)
        )


async def _memory(desk: Desk) -> int:
    """What Redis uses for all but this test's connections, in bytes."""
    await desk.redis.connection_pool.disconnect()
    said = await desk.db.read("INFO", "memory")
    return int(said.decode().split("used_memory:")[1].split("\r")[0])


async def _settles_below(desk: Desk, most: int) -> int:
    """The memory once Redis has shrunk its own tables, which it does in its own time."""
    for _ in range(100):
        if await _memory(desk) < most:
            break
        await asyncio.sleep(0.1)
    return await _memory(desk)


_KEPT_FOR_RETENTION = {
    "m",
    "e",
    "events",
    "by_number",
    "by_reference",
    "calls",
    "hour",
    "idem",
    "rate",
    "number_rate",
}
_KEPT_FOR_EVER = {"sources", "woken", "wake", "turns"}


async def test_memory_is_back_when_what_retention_explains_is_over(unsynced_url: str) -> None:
    async with open_stepped_desk(unsynced_url) as desk:
        await _a_life_of(desk, 20)
        await desk.clock.step(KEEP_MS + 100 * 3_600_000)
        start = await _memory(desk)
        await _a_life_of(desk, 2_000)
        held = await take_snapshot(desk.redis)
        assert set(held.by_kind) <= _KEPT_FOR_RETENTION | _KEPT_FOR_EVER
        assert len(held.of("m")) == 2_000
        assert {message["s"] for message in held.messages.values()} == {"answered", "failed", "rejected"}
        full = await _memory(desk)
        await desk.clock.step(KEEP_MS + 100 * 3_600_000)
        left = await take_snapshot(desk.redis)
        assert set(left.by_kind) <= _KEPT_FOR_EVER
        assert len(left.keys) <= 4
        allowed = start + (full - start) // 10
        end = await _settles_below(desk, allowed)
        print(f"memory: {start} at the start, {full} with 2000 messages, {end} after retention")
        assert end < allowed
        await assert_tidy(desk.redis)
