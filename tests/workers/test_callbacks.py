"""Callbacks through a real worker, to consumers that refuse, redirect, hang, drip and pour."""

from __future__ import annotations

import asyncio
import signal
import socket
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import pytest_asyncio

from app.message import CallbackState
from app.origin import parse_callback_url
from app.store.events import BREAKER_FAILURES
from app.store.jobs import Jobs
from tests.callbacks.destination import Destination, listening
from tests.servers import valkey_server
from tests.workers.consumers import OK, SCHEDULE_S, TIMEOUT_S, Consumer, Office, consuming, office, refusing
from tests.workers.rig import said, until
from workers.slots import FIRST_SLOTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLACK_S = 0.6
"""What a busy machine may add to a wait."""
LEASE_S = TIMEOUT_S + 5


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def post(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """One worker for the whole module; each test has consumers of its own."""
    async with office(redis_url, tmp_path_factory.mktemp("post")) as rig:
        await rig.start_worker()
        yield rig


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Takes the request and never answers."""
    await reader.read()


async def test_a_callback_is_tried_by_the_schedule_with_jitter_then_dead_then_replayed(post: Office) -> None:
    async with consuming(refusing(500)) as one, consuming(refusing(503)) as other:
        since_ms = int(time.time() * 1000)
        sent = [await post.event_for(consumer) for consumer in (one, other)]
        for message_id, _ in sent:
            await post.until_delivery(message_id, state=CallbackState.DEAD, attempts=4)
        ids = {event_id for _, event_id in sent}
        told = [line for line in said(post, "callback retry") if line["event_id"] in ids]
        for line in told:
            wait_s = SCHEDULE_S[line["attempt"] - 1]
            assert wait_s <= line["retry_in_s"] <= 1.2 * wait_s
        assert len({line["retry_in_s"] / SCHEDULE_S[line["attempt"] - 1] for line in told}) > 1
        for consumer in (one, other):
            for wait_s, before, after in zip(SCHEDULE_S, consumer.times, consumer.times[1:], strict=False):
                assert wait_s <= after - before <= 1.2 * wait_s + SLACK_S

        one.answers, other.answers = [OK], [OK]
        assert await post.database.run("replay_event", sent[0][1], "checkout", 3_600_000) == b"queued"
        await post.until_delivery(sent[0][0], state=CallbackState.DELIVERED, attempts=1)
        jobs = Jobs(post.config.redis.queue_url)
        await jobs.replay_callbacks("checkout", since_ms, CallbackState.DEAD)
        await post.until_delivery(sent[1][0], state=CallbackState.DELIVERED, attempts=1)
        await jobs.close()

        for consumer, (_, event_id) in zip((one, other), sent, strict=True):
            assert consumer.ids() == [event_id] * 5
            assert len({body for _, body in consumer.requests}) == 1
            stamps = [int(consumer.headers(index)["webhook-timestamp"]) for index in range(5)]
            assert stamps == sorted(stamps)
            assert stamps[-1] > stamps[0]
            consumer.check_signatures()


async def test_a_retry_after_makes_the_wait_longer_up_to_an_hour(post: Office) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    async with (
        consuming(refusing(429, "retry-after: 1"), OK) as seconds,
        consuming(refusing(503, f"retry-after: {date}"), OK) as dated,
        consuming(refusing(503, "retry-after: 999999")) as endless,
    ):
        told = [await post.event_for(consumer) for consumer in (seconds, dated, endless)]
        waits = await post.until_delivery(told[2][0], attempts=1)
        assert waits.next_attempt_at is not None
        ahead = datetime.fromisoformat(waits.next_attempt_at) - datetime.now(UTC)
        assert timedelta(minutes=59) < ahead <= timedelta(hours=1)
        await seconds.wait_for(2)
        assert 1 <= seconds.times[1] - seconds.times[0] <= 1.2 + SLACK_S
        await dated.wait_for(2)
        assert dated.times[1] - dated.times[0] >= 1
        assert len(endless.times) == 1


async def test_410_is_dead_at_once_and_a_redirect_is_a_failure_that_leads_nowhere(post: Office) -> None:
    async with consuming() as elsewhere, consuming(refusing(410)) as gone:
        moved = refusing(307, f"location: {elsewhere.url()}")
        async with consuming(moved, OK) as away:
            ended, _ = await post.event_for(gone)
            redirected, _ = await post.event_for(away)
            await post.until_delivery(ended, state=CallbackState.DEAD, attempts=1, last_status=410)
            await post.until_delivery(redirected, state=CallbackState.DELIVERED, attempts=2)
        assert elsewhere.connections == 0


async def test_each_phase_of_an_attempt_has_its_time_out(post: Office) -> None:
    async def drip_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def drip_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    with socket.socket() as deaf, socket.socket() as filler:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        filler.connect(deaf.getsockname())  # the backlog is full: further SYNs are dropped
        async with (
            listening(Destination(script=hang)) as silent,
            listening(Destination(script=drip_head)) as slow,
            listening(Destination(script=drip_body)) as dripping,
        ):
            asked = time.monotonic()
            unconnected, _ = await post.event_for(Destination(port=deaf.getsockname()[1]))
            unshaken, _ = await post.event_for(silent, scheme="https")
            unanswered, _ = await post.event_for(slow)
            receipted, _ = await post.event_for(dripping)
            await post.until_delivery(receipted, state=CallbackState.DELIVERED, attempts=1)
            assert time.monotonic() - asked < TIMEOUT_S
            await post.until_delivery(unconnected, attempts=1, last_error="timed out connecting")
            await post.until_delivery(unshaken, attempts=1, last_error="timed out connecting")
            await post.until_delivery(unanswered, attempts=1, last_error="timed out waiting for an answer")
            assert time.monotonic() - asked < 2 * TIMEOUT_S + SLACK_S


async def test_a_consumer_that_streams_without_end_costs_neither_time_nor_memory(post: Office) -> None:
    poured = 0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal poured
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + bytes(65_536) + b"\r\n")
            await writer.drain()
            poured += 65_536

    async with listening(Destination(script=pour)) as endless:
        before_kb, asked = post.resident_kb(), time.monotonic()
        sent = [await post.event_for(endless) for _ in range(20)]
        for message_id, _ in sent:
            await post.until_delivery(message_id, state=CallbackState.DELIVERED, attempts=1)
        took_s, grown_kb = time.monotonic() - asked, post.resident_kb() - before_kb
    print(f"20 endless answers: {took_s:.2f} s, {poured >> 20} MiB poured, {grown_kb} KiB more resident")
    assert took_s < TIMEOUT_S + SLACK_S
    assert grown_kb < 20_000
    assert poured < 20 * 8 * 1024 * 1024


async def test_an_open_breaker_lets_one_probe_through_and_all_that_is_due_once_it_succeeds(
    post: Office,
) -> None:
    events, well = 30, asyncio.Event()
    async with consuming(refusing(500)) as sick:

        async def recover(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            sick.note()
            await well.wait()
            writer.write(OK)
            await writer.drain()

        sent = [await post.event_for(sick) for _ in range(events)]
        await _opened(post, sick)
        failed = len(sick.times)
        assert BREAKER_FAILURES <= failed <= 4 * events
        sick.script = recover
        await sick.wait_for(failed + 1)
        await asyncio.sleep(0.4)  # nothing else may come while the probe is under way
        assert len(sick.times) == failed + 1
        recovered = time.monotonic()
        well.set()
        for message_id, _ in sent:
            await post.until_delivery(message_id, state=CallbackState.DELIVERED)
        print(f"{events - 1} callbacks went out {time.monotonic() - recovered:.2f} s after the probe")
        assert time.monotonic() - recovered < 3
        assert sick.times[failed] - sick.times[failed - 1] >= 4.5


async def _opened(post: Office, sick: Consumer) -> None:
    """Until the consumer's breaker is open and no attempt is under way."""
    key, origin = post.database.key, str(parse_callback_url(sick.url()).origin)
    give_up = time.monotonic() + 10
    while True:
        is_open, under_way = await post.database.read_many(
            [("HEXISTS", key("breaker", origin), "open"), ("ZCARD", key("pushing", origin))]
        )
        if is_open and not under_way:
            return
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)


async def _delays_s(post: Office, consumers: list[Consumer], rounds: int) -> list[float]:
    """From the event to its receipt, of `rounds` events for each consumer."""
    made: dict[str, float] = {}
    first = [len(consumer.times) for consumer in consumers]
    for _ in range(rounds):
        for at in range(0, len(consumers), 7):
            some = consumers[at : at + 7]
            for _, event_id in await asyncio.gather(*(post.event_for(consumer) for consumer in some)):
                made[event_id] = time.monotonic()
    for consumer, had in zip(consumers, first, strict=True):
        await consumer.wait_for(had + rounds)
    return [
        at - made[event_id]
        for consumer in consumers
        for event_id, at in zip(consumer.ids(), consumer.times, strict=True)
        if event_id in made
    ]


async def test_one_hanging_consumer_among_fifty_delays_no_other(post: Office) -> None:
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(consuming()) for _ in range(49)]
        await _delays_s(post, others, 1)
        without = statistics.quantiles(await _delays_s(post, others, 6), n=100)
        stuck = await stack.enter_async_context(listening(Destination(script=hang)))
        held = [await post.event_for(stuck) for _ in range(40)]
        await until(lambda: len(stuck.requests) >= FIRST_SLOTS, "it hangs")
        beside = statistics.quantiles(await _delays_s(post, others, 6), n=100)
        assert (await post.delivery(held[0][0])).state is CallbackState.PENDING
    for share in (50, 99):
        alone_s, beside_s = without[share - 1], beside[share - 1]
        print(
            f"p{share} of 49 consumers: {alone_s * 1000:.0f} ms alone, {beside_s * 1000:.0f} ms beside one that hangs"
        )
        assert beside_s < max(TIMEOUT_S * (0.25 if share == 50 else 0.8), 3 * alone_s)


async def test_a_killed_and_a_stopped_worker_s_deliveries_go_out_through_another_under_their_ids(
    tmp_path: Path,
) -> None:
    with valkey_server() as server:
        async with office(server.url, tmp_path) as rig, consuming() as first, consuming() as second:
            sent = []
            for consumer, how in ((first, signal.SIGSTOP), (second, signal.SIGKILL)):
                consumer.script = hang
                worker = await rig.start_worker()
                sent.append(await rig.event_for(consumer))
                await until(lambda c=consumer: len(c.requests) == 1, "in flight")  # type: ignore[misc]
                worker.send_signal(how)
                consumer.script = consumer.answer_next
            stopped_at = time.monotonic()
            await rig.start_worker()
            await asyncio.gather(first.wait_for(1), second.wait_for(1))
            print(
                f"delivered by another {time.monotonic() - stopped_at:.1f} s later; the lease is {LEASE_S} s"
            )
            assert time.monotonic() - stopped_at < LEASE_S + 3
            for message_id, _ in sent:
                await rig.until_delivery(message_id, state=CallbackState.DELIVERED, attempts=1)
            before = [await rig.show(message_id) for message_id, _ in sent]
            rig.workers[0].send_signal(signal.SIGCONT)
            await until(lambda: "callback's lease lost" in rig.logs(), "the stopped worker woke")
            assert [await rig.show(message_id) for message_id, _ in sent] == before
            for consumer, (_, event_id) in zip((first, second), sent, strict=True):
                assert consumer.ids() == [event_id] * 2
