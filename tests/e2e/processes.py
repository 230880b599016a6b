"""The processes that descend from one program, and what they use: read from /proc, so on Linux alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

MARK = "OTP_RELAY_E2E"
"""A variable of the environment, which every descendant inherits, whatever session or parent it has."""

PROC = Path("/proc")


def marked(mark: str) -> dict[int, str]:
    """The command line of each process that has this mark, by its id. One that only waits to be reaped has none."""
    wanted = f"{MARK}={mark}".encode()
    found: dict[int, str] = {}
    for entry in PROC.iterdir() if PROC.exists() else ():
        if entry.name.isdigit():
            with suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = _command_line(entry)
    return found


def using(folder: Path) -> dict[int, str]:
    """Processes whose command line names the folder or that are at home in it, marked or not.

    A server that writes a title of its own over its environment is found by this alone.
    """
    found: dict[int, str] = {}
    for entry in PROC.iterdir() if PROC.exists() else ():
        if entry.name.isdigit():
            with suppress(OSError):
                line = _command_line(entry)
                if line and (str(folder) in line or (entry / "cwd").readlink().is_relative_to(folder)):
                    found[int(entry.name)] = line
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds of processor time that they have used so far."""
    ticks = 0
    for pid in pids:
        # The name, in brackets, may hold anything; user and system time are the 12th and 13th words behind it.
        words = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rss_mib(pids: Iterable[int]) -> float:
    """Resident memory of all; pages that several share count for each."""
    pages = sum(int((PROC / str(pid) / "statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cores_used(pids: Iterable[int], over_s: float) -> dict[int, float]:
    """The share of one core that each used during `over_s` seconds from now."""
    pids = list(pids)
    started, before = time.monotonic(), {pid: cpu_s([pid]) for pid in pids}
    time.sleep(over_s)
    passed = time.monotonic() - started
    return {pid: (cpu_s([pid]) - before[pid]) / passed for pid in pids}


def _command_line(entry: Path) -> str:
    return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
