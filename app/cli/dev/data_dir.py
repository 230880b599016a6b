"""The folder that `dev` keeps its data in: its lock, its keys, its layout. One `dev` at a time uses it.

```
.data/            0700 if made here
  lock            held while dev runs; says by whom
  relay.toml      written at each start
  ports.json      of the last start, taken again if they are free
  keys/           0600: api-key, signing-secret, encryption-key
  redis/          the append-only file, and the socket
  sandbox.state   the sandbox's calls
  logs/           one a part
```
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from app.cli.fault import CommandFault

LONGEST_SOCKET_PATH = 100
"""Bytes: 104 fit on macOS, 108 on Linux, each with a zero at its end."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")


class DataDir:
    """A folder in use. Must be closed; the lock falls with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        """`CommandFault` if it cannot be used, or if another `dev` uses it, naming its port."""
        self.path = path.resolve()
        self.config_file = self.path / "relay.toml"
        self.sandbox_state = self.path / "sandbox.state"
        self.logs = self.path / "logs"
        self.redis = self.path / "redis"
        self._ports = self.path / "ports.json"
        self._short: Path | None = None
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            self._take_lock(path)
            for folder in (self.logs, self.redis, self.path / "keys"):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise CommandFault(
                f"{path} cannot be used for data: {error.strerror}; name another: otp-relay dev --data-dir DIR"
            ) from None

    def say_who(self, port: int) -> None:
        """Leaves word, for another `dev` that finds the lock taken."""
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, json.dumps({"pid": os.getpid(), "port": port}).encode(), 0)

    def kept(self, name: str, make: Callable[[], str]) -> tuple[str, Path]:
        """A key that is made once and then stays: its text, and its file."""
        file = self.path / "keys" / name
        if not file.exists():
            self.write_private(file, make())
        return file.read_text().strip(), file

    def write_private(self, file: Path, text: str) -> None:
        """Writes the file whole, readable by its owner alone."""
        fresh = file.with_name(f".{file.name}.new")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(file)

    def last_ports(self) -> dict[str, int]:
        """The ports of the last start, by part."""
        try:
            ports = json.loads(self._ports.read_text())
        except (OSError, ValueError):
            return {}
        return {name: port for name, port in ports.items() if isinstance(port, int)}

    def remember_ports(self, ports: dict[str, int]) -> None:
        self.write_private(self._ports, json.dumps(ports))

    def socket(self) -> Path:
        """A path for the server's socket that is short and plain enough; beside the data where that is possible."""
        beside = self.redis / "redis.sock"
        if len(os.fsencode(beside)) <= LONGEST_SOCKET_PATH and _PLAIN.issuperset(str(beside)):
            return beside
        self._short = Path(tempfile.mkdtemp(prefix="otp-relay-"))
        return self._short / "redis.sock"

    def close(self) -> None:
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
        os.close(self._lock)

    def _take_lock(self, as_named: Path) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandFault(
                f"otp-relay dev is already running {self._who()}with its data in {as_named}; stop it, or run "
                "another beside it: otp-relay dev --port 8090 --data-dir .data2"
            ) from None

    def _who(self) -> str:
        try:
            who = json.loads(os.pread(self._lock, 1000, 0))
        except ValueError:
            return ""
        return f"on port {who['port']} (process {who['pid']}), "
