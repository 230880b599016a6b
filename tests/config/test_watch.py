"""When a configuration is read again, what becomes of it, and what is said: never a value of the file."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from app.config import ConfigError, Fault, Loaded, load
from app.config.changes import changed_keys, without_what_needs_a_restart
from app.config.watch import ConfigWatch, NotNowError, hangups
from app.telemetry.metrics import Metrics
from tests.config.sample import ENV, LEAST, SIGNING_SECRET, least, read

PLANTED = "Zq7Xv-planted-secret"


class Desk:
    """A file, its secret in a file of its own, and who takes it up."""

    def __init__(self, folder: Path) -> None:
        self.file, self.secret = folder / "relay.toml", folder / "signing-secret"
        self.text = LEAST.replace('{ env = "CHECKOUT_WEBHOOK_SECRET" }', '{ file = "signing-secret" }')
        self.file.write_text(self.text)
        self.secret.write_text(SIGNING_SECRET)
        self.metrics = Metrics()
        self.taken: list[Loaded] = []
        self.refuses: Exception | None = None
        self.watch = ConfigWatch(load(self.file), self._take_up, self.metrics)

    async def _take_up(self, loaded: Loaded) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.taken.append(loaded)

    def in_force(self) -> str:
        return self.taken[-1].config.clients["checkout"].signing_secrets[0].reveal()

    def swap(self, text: str) -> None:
        """As Kubernetes does it: a link that is put in place of another."""
        folder = self.secret.parent / f"data-{os.urandom(4).hex()}"
        folder.mkdir()
        (folder / "signing-secret").write_text(text)
        link = self.secret.with_name("link")
        link.symlink_to(folder / "signing-secret")
        link.replace(self.secret)

    def refused(self) -> float | None:
        return self.metrics.registry.get_sample_value("relay_config_reload_failed")

    async def look(self, *, asked: bool = False) -> list[structlog.typing.EventDict]:
        if asked:
            self.watch.ask()
        with capture_logs() as said:
            await self.watch.look()
        return list(said)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    return Desk(tmp_path)


OTHER = "whsec_" + "QUJD" * 11


async def test_nothing_is_read_again_while_nothing_changes_and_nobody_asks(desk: Desk) -> None:
    desk.file.write_text(least(checkout='rate_limit = "9/s"'))
    assert await desk.look() == []
    assert desk.taken == []


async def test_a_file_is_taken_up_when_it_is_asked_for(desk: Desk) -> None:
    desk.file.write_text(desk.text.replace("[clients.checkout]", '[clients.checkout]\nrate_limit = "9/s"'))
    [line] = await desk.look(asked=True)
    assert (line["event"], line["changed"]) == ("configuration taken up", ["clients.checkout.rate_limit"])
    assert desk.taken[0].config.clients["checkout"].rate_limit.burst == 9
    assert await desk.look() == []


async def test_a_secrets_file_is_taken_up_by_itself_also_when_it_is_a_link_that_was_swapped(
    desk: Desk,
) -> None:
    desk.swap(OTHER)
    [line] = await desk.look()
    assert line["changed"] == ["clients.checkout.signing_secrets"]
    assert desk.in_force() == OTHER
    assert await desk.look() == []
    desk.swap(SIGNING_SECRET)
    await desk.look()
    assert desk.in_force() == SIGNING_SECRET


async def test_a_secret_of_the_same_size_time_and_inode_is_seen_to_have_changed(desk: Desk) -> None:
    before = desk.secret.stat()
    with desk.secret.open("r+") as file:
        file.write(SIGNING_SECRET[:-2] + "AB")
    os.utime(desk.secret, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert desk.secret.stat().st_ino == before.st_ino
    await desk.look()
    assert desk.in_force().endswith("AB")


async def test_a_changed_secret_takes_up_no_edit_of_the_file_beside_it(desk: Desk) -> None:
    desk.file.write_text("[redis\n half an edit")
    desk.swap(OTHER)
    assert [line["event"] for line in await desk.look()] == ["configuration taken up"]
    assert desk.in_force() == OTHER


@pytest.mark.parametrize("content", ("", "\n", PLANTED, f"whsec_{PLANTED}", None, "x" * 70_000))
async def test_a_secret_that_cannot_be_used_is_refused_once_and_not_shown_and_the_old_stays(
    desk: Desk, content: str | None
) -> None:
    desk.secret.unlink() if content is None else desk.swap(content)
    [line] = await desk.look()
    assert line["event"] == "configuration refused, the old stays"
    [fault] = line["faults"]
    assert "clients.checkout.signing_secrets[0]" in fault
    assert "expected whsec_" in fault
    assert PLANTED not in str(line)
    assert (desk.taken, desk.refused()) == ([], 1)
    assert await desk.look() == []
    desk.swap(OTHER)
    assert [line["event"] for line in await desk.look()] == ["configuration taken up"]
    assert desk.refused() == 0


async def test_a_secret_that_is_again_as_it_was_ends_the_refusal(desk: Desk) -> None:
    desk.swap("nonsense")
    await desk.look()
    desk.swap(SIGNING_SECRET)
    assert [line["event"] for line in await desk.look()] == ["secret files are again as they are in force"]
    assert (desk.taken, desk.refused()) == ([], 0)


async def test_a_file_with_faults_is_refused_as_a_whole_with_all_of_them(desk: Desk) -> None:
    text = desk.text.replace("5e3a", "").replace('"voice_otp"', '"voice"')
    desk.file.write_text(text.replace("sha256:", PLANTED) + "\n[clients.new]\n")
    [line] = await desk.look(asked=True)
    keys = {fault.split(": found")[0].removeprefix(f"{desk.file}: ") for fault in line["faults"]}
    assert {"campaigns.login-otp.campaign_id", "campaigns.login-otp.kind", "clients.new.api_keys"} <= keys
    assert PLANTED not in str(line)
    assert (desk.taken, desk.refused()) == ([], 1)


async def test_a_refused_file_stays_refused_when_a_secret_is_taken_up(desk: Desk) -> None:
    desk.file.write_text("nonsense")
    await desk.look(asked=True)
    desk.swap(OTHER)
    await desk.look()
    assert (desk.in_force(), desk.refused()) == (OTHER, 1)
    desk.file.write_text(desk.text)
    await desk.look(asked=True)
    assert desk.refused() == 0


async def test_what_its_owner_refuses_is_told_and_not_tried_again_before_it_changes(desk: Desk) -> None:
    desk.refuses = ConfigError((Fault("relay.toml", "campaigns.x", "nothing", "it as it was"),))
    desk.swap(OTHER)
    [line] = await desk.look()
    assert line["faults"] == ["relay.toml: campaigns.x: found nothing, expected it as it was"]
    desk.refuses = None
    assert await desk.look() == []
    assert [line["event"] for line in await desk.look(asked=True)] == ["configuration taken up"]


@pytest.mark.parametrize("asked", (True, False))
async def test_what_cannot_be_told_now_is_said_once_and_tried_until_it_can(desk: Desk, asked: bool) -> None:
    desk.refuses = NotNowError("redis cannot be reached")
    desk.swap(OTHER)
    assert [line["event"] for line in await desk.look(asked=asked)] == ["configuration waits to be taken up"]
    assert await desk.look() == []
    desk.refuses = None
    assert [line["event"] for line in await desk.look()] == ["configuration taken up"]


async def test_what_needs_a_restart_stays_as_it_was_and_is_named_once(desk: Desk) -> None:
    moved = desk.text.replace("localhost:6379/0", f"localhost:6380/0?password={PLANTED}")
    desk.file.write_text(
        moved + '[server]\nport = 9\n[worker]\nport = 8\n[admin]\napi_keys = []\n[callbacks]\ntimeout = "3s"'
    )
    warned, taken = await desk.look(asked=True)
    assert warned["event"] == "configuration needs a restart for some keys, they stay as they were"
    assert warned["keys"] == ["server.port", "worker.port", "redis.url", "redis.queue_url"]
    assert taken["changed"] == ["callbacks.timeout"]
    assert PLANTED not in str((warned, taken))
    config = desk.taken[0].config
    assert (config.server.port, config.worker.port, config.redis.url) == (
        8080,
        9100,
        "redis://localhost:6379/0",
    )
    desk.swap(OTHER)
    assert [line["event"] for line in await desk.look()] == ["configuration taken up"]


async def test_who_asks_is_answered_at_once_and_a_change_within_a_look(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.config.watch.LOOK_EVERY_S", 0.05)
    running = asyncio.create_task(desk.watch.run())
    desk.swap(OTHER)
    await _until(lambda: len(desk.taken) == 1)
    desk.watch.ask()
    await _until(lambda: len(desk.taken) == 2)
    running.cancel()


async def _until(come: object) -> None:
    assert callable(come)
    async with asyncio.timeout(5):
        while not come():  # noqa: ASYNC110  a look tells no other way
            await asyncio.sleep(0.01)


@pytest.fixture
def _own_hangup() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_own_hangup")
async def test_a_hangup_asks_also_before_anybody_looks(desk: Desk) -> None:
    with hangups(desk.watch.ask):
        os.kill(os.getpid(), signal.SIGHUP)
        running = asyncio.create_task(desk.watch.run())
        await _until(lambda: len(desk.taken) == 1)
        with hangups(lambda: pytest.fail("the outer one listens")):
            os.kill(os.getpid(), signal.SIGHUP)
        await _until(lambda: len(desk.taken) == 2)
        running.cancel()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


UNDER_A_TERMINAL = """
import os, sys, time
from app.config.watch import hangups
os.close(os.open(os.ttyname(0), os.O_RDWR))  # its session has no terminal yet: this one becomes it
with hangups(lambda: print("asked", flush=True)):
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
"""


def test_a_hangup_by_hand_asks_and_one_because_the_terminal_is_gone_ends() -> None:
    ours, its = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", UNDER_A_TERMINAL],
        stdin=its,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        os.close(its)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline() == "asked\n"
        os.close(ours)
        assert process.wait(10) == -signal.SIGTERM


def test_changes_are_told_by_key_and_never_by_value() -> None:
    old = read(LEAST)
    new = read(
        least(login_otp="batch_size = 9", checkout='rate_limit = "1/s"').replace("ab" * 32, "cd" * 32)
        + '\n[campaigns.extra]\naccount = "main"\ncampaign_id = "x"\nkind = "notification"'
    )
    assert changed_keys(old, new) == [
        "campaigns.login-otp.batch_size", "campaigns.extra", "clients.checkout.api_keys", "clients.checkout.rate_limit",
    ]  # fmt: skip
    assert changed_keys(new, old)[1] == "campaigns.extra"
    assert without_what_needs_a_restart(old, new) == (new, [])
    assert changed_keys(old, read(LEAST)) == []
