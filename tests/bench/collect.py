"""What outcomes cost and how late they come: rows read a call, and from a call's end to its message's final state.

    python -m tests.bench.collect            all, in about seven minutes
    python -m tests.bench.collect --hour     only what is simulated, in seconds

The first part runs a real worker process against a real Redis and the sandbox. In the second the collector's pace is
real, but time and the export are simulated, for nothing else shows an hour and stragglers of many minutes. Exit code 1
where more than `--most` rows a call were read.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from app.message import MessageId
from app.sandbox.outcomes import outcome_of
from tests.bench.collect_hour import Hour
from tests.servers import valkey_server
from tests.workers.many_campaigns import many_campaigns
from tests.workers.rig import Rig

CAMPAIGN = "one"
CALL_TIME_S = 6.0
SLOW = "0033"
"""Ends ten times as late as the others: what the sandbox has for a straggler."""
QUEUED_SHARE = 0.2


def _say(name: str, rows: float, delays_s: Sequence[float], late_s: Sequence[float]) -> None:
    late = f"   stragglers p50 {_share(late_s, 0.5):5.1f} s" if late_s else ""
    print(
        f"{name:<40}{rows:5.2f} rows a call"
        f"   p50 {_share(delays_s, 0.5):5.1f} s   p95 {_share(delays_s, 0.95):5.1f} s{late}",
        flush=True,
    )


def _share(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)] if values else 0.0


async def _real(url: str, name: str, rate: float, seconds: float, slow_each: int = 0) -> float:
    with tempfile.TemporaryDirectory() as folder:
        lines = {CAMPAIGN: 'batch_size = 200\noutcome_timeout = "3m"'}
        async with many_campaigns(url, Path(folder), lines, call_time_s=CALL_TIME_S, timeout_s=10) as rig:
            await rig.start_worker()
            sent = await _load(rig, rate, seconds, slow_each)
            await _all_final(rig, sent, patience_s=CALL_TIME_S * 40)
            return await _figures(rig, name, sent)


async def _load(rig: Rig, rate: float, seconds: float, slow_each: int) -> list[MessageId]:
    """Messages at that rate; a few numbers of each ten thousand end otherwise, so these are left out."""
    sent: list[MessageId] = []
    began = time.monotonic()
    for n in range(round(rate * seconds)):
        ending = SLOW if slow_each and n % slow_each == slow_each - 1 else f"{5000 + n % 5000}"
        sent.append(await rig.send(f"+8490{n % 1000:03d}{ending}", campaign=CAMPAIGN))
        await asyncio.sleep(max(0.0, began + n / rate - time.monotonic()))
    return sent


async def _all_final(rig: Rig, sent: Sequence[MessageId], patience_s: float) -> None:
    give_up = time.monotonic() + patience_s
    left = [("HEXISTS", rig.database.key("m", one), "fi") for one in sent]
    while left and time.monotonic() < give_up:
        ends = await rig.database.read_many(left)
        left = [one for one, is_over in zip(left, ends, strict=True) if not is_over]
        await asyncio.sleep(1.0)
    if left:
        print(f"{len(left)} had no outcome in time", flush=True)


async def _figures(rig: Rig, name: str, sent: Sequence[MessageId]) -> float:
    provider = await rig.provider()
    ended_ms = {call["call_id"]: _end_ms(call) for call in provider["calls"]}
    delays_s: list[float] = []
    late_s: list[float] = []
    for one in sent:
        message = (await rig.show(one)).message
        if message.call is None:
            continue
        at_ms = int(await rig.database.read("HGET", rig.database.key("m", one), "fi"))
        delay_s = (at_ms - ended_ms[int(message.call.call_id)]) / 1000
        (late_s if message.phone_number.endswith(SLOW) else delays_s).append(delay_s)
    rows: float = provider["counts"]["rows_served"] / (len(delays_s) + len(late_s))
    _say(name, rows, delays_s, late_s)
    return rows


def _end_ms(call: dict[str, object]) -> float:
    slowness = outcome_of(str(call["number"])).slowness
    return float(str(call["placed_at_ms"])) + CALL_TIME_S * 1000 * (
        QUEUED_SHARE + (1 - QUEUED_SHARE) * slowness
    )


def _simulated(name: str, hour: Hour) -> float:
    rows = hour.run().rows_a_call
    _say(name, rows, [ms / 1000 for ms in hour.delays_ms], [ms / 1000 for ms in hour.late_delays_ms])
    return rows


def _hours() -> list[float]:
    found = []
    for rings in (True, False):
        shown = "shown while they ring" if rings else "shown when they have ended"
        print(f"simulated: calls of 5 to 40 s, stragglers of 1 to 8 min, {shown}")
        loads = {
            "an hour, a call a minute": Hour(1 / 60, rings=rings),
            "an hour, 1 call/s, 2 % stragglers": Hour(1, 0.02, rings=rings),
            "an hour, 10 calls/s, 1 % stragglers": Hour(10, 0.01, rings=rings),
            "an hour, 10 calls/s, some without end": Hour(10, 0, never_each=9_000, rings=rings),
            "40 s, 50 calls/s, 2 % stragglers": _burst(50, 40, 0.02, rings=rings),
            "10 s, 100 calls/s, 2 % stragglers": _burst(100, 10, 0.02, rings=rings),
            "60 s, 200 calls/s, 1 % stragglers": _burst(200, 60, 0.01, rings=rings),
        }
        found += [_simulated(name, hour) for name, hour in loads.items()]
    return found


def _burst(rate: float, load_s: float, late_share: float, *, rings: bool) -> Hour:
    return Hour(rate, late_share, load_s=load_s, timeout_ms=1_800_000, rings=rings)


def _reals(seconds: float) -> list[float]:
    print(f"a worker and the sandbox: calls of {CALL_TIME_S:.0f} s, stragglers ten times as long")
    found = []
    with valkey_server() as server:
        for name, rate, slow_each in (
            ("light load: a call in 5 s", 0.2, 0),
            ("50 calls/s", 50.0, 0),
            ("50 calls/s, 2 % stragglers", 50.0, 50),
        ):
            found.append(asyncio.run(_real(server.url, name, rate, seconds, slow_each)))
    return found


def main() -> int:
    """Prints the figures; 1 if too many rows were read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=90.0, help="of load, in each real run")
    parser.add_argument("--most", type=float, default=4.0, help="rows a call")
    parser.add_argument("--hour", action="store_true", help="only what is simulated")
    asked = parser.parse_args()
    rows = [*([] if asked.hour else _reals(asked.seconds)), *_hours()]
    return int(max(rows) > asked.most)


if __name__ == "__main__":
    sys.exit(main())
