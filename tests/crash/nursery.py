"""A process that has everything imported, and forks a real worker or API for each job: in 20 ms rather than in 2 s.

Reads jobs from standard input, one JSON object a line; writes `started <pid>`, `stopped <pid>` and
`ended <pid> <status>` lines. `--leases MS` makes every lease of its children that short.
"""

from __future__ import annotations

import os
import select
import signal
import ssl
import sys
from functools import partial
from pathlib import Path
from unittest import mock

import msgspec
import uvloop

import app.serve
import app.store.commit
import app.store.connection
import workers.carry
import workers.lease_kept
import workers.push
import workers.settings
import workers.tokens
import workers.turn
from app.config import Config, load_config
from app.store import batches
from tests.crash.doors import WatchedLoop
from tests.crash.point import Job, Tripwire

_LOOK_EVERY_S = 0.02


def main() -> None:
    """Until standard input ends; then all children are killed."""
    leases_ms = int(sys.argv[sys.argv.index("--leases") + 1]) if "--leases" in sys.argv else None
    if leases_ms is not None:
        shorten_leases(leases_ms)
    one_context = ssl.create_default_context()
    children: set[int] = set()
    pending = b""
    while True:
        ready, _, _ = select.select([0], [], [], _LOOK_EVERY_S)
        if ready:
            chunk = os.read(0, 65536)
            if not chunk:
                break
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                children.add(_start(msgspec.json.decode(line, type=Job), one_context))
        _say_changes(children)
    for child in children:
        os.kill(child, signal.SIGKILL)


def shorten_leases(ms: int) -> None:
    """Makes the time scale of a crash's aftermath short: a lease's length or margin is `ms`, tokens renew early.

    What Redis answered a process that was stopped is not too old for it, so that it goes on where it stood.
    """
    batches.LEASE_MS = ms
    vars(workers.carry)["SENDING_MARGIN_MS"] = ms
    workers.turn.LEASE_S = ms / 1000
    workers.push._LEASE_MARGIN_MS = ms
    vars(workers.lease_kept)["LEASE_MS"] = ms
    app.store.connection.ANSWER_TIMEOUT_S = 60.0
    vars(app.store.commit)["ANSWER_TIMEOUT_S"] = app.store.commit._LONGEST_WAIT_S = 60.0
    workers.tokens._AHEAD_SHARE = 0.8


def _start(job: Job, context: ssl.SSLContext) -> int:
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            # Nothing here speaks TLS, and each context made anew would read the system's certificates for 50 ms.
            with mock.patch.object(ssl, "create_default_context", return_value=context):
                code = _run(job)
        finally:
            os._exit(code)
    _say(f"started {pid}")
    return pid


def _run(job: Job) -> int:
    log = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    config = load_config(Path(job.config))
    if not job.effects and job.at is None:
        return _serve(job.role, config)
    tripwire = Tripwire(job)
    with mock.patch.object(uvloop, "new_event_loop", partial(WatchedLoop, tripwire)):
        return _serve(job.role, config)


def _serve(role: str, config: Config) -> int:
    if role == "api":
        return app.serve.run_api(config, "127.0.0.1", 0)
    return workers.settings.run_worker(config)


def _say_changes(children: set[int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            return
        if os.WIFSTOPPED(status):
            _say(f"stopped {pid}")
        else:
            children.discard(pid)
            _say(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def _say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


if __name__ == "__main__":
    main()
