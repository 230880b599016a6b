"""A crowd of idle connections, and what a good caller feels of it.

`python -m tests.traffic.crowd --connections 10000` measures: the good caller's times without and with the crowd, and
the process's memory a connection.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import resource
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.servers import valkey_server
from tests.traffic.api_process import AUTHORIZATION, MESSAGE, ApiProcess, api_process

_OWN_FILES = 200


def connections_possible(wanted: int) -> int:
    """As many of the wanted as this process and its limit of open files allow."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(wanted, hard - _OWN_FILES)


@contextlib.contextmanager
def crowd(port: int, size: int) -> Iterator[list[socket.socket]]:
    """So many open connections that say nothing; those that the server closed are among them."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5)) for _ in range(size)
        ]


def times_of_a_good_caller(port: int, requests: int) -> list[float]:
    """Seconds for each of so many messages in a row on one connection, shortest first; each must be taken."""
    name, _, value = AUTHORIZATION.partition(": ")
    headers = {name: value, "Content-Type": "application/json"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        took = []
        for _ in range(requests):
            began = time.perf_counter()
            connection.request("POST", "/v1/messages", MESSAGE, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 202
            took.append(time.perf_counter() - began)
    return sorted(took)


def _says(title: str, took: list[float]) -> str:
    middle, late = took[len(took) // 2], took[len(took) * 99 // 100]
    return f"{title}: p50 {middle * 1000:.2f} ms, p99 {late * 1000:.2f} ms"


def measure(relay: ApiProcess, size: int, requests: int) -> list[str]:
    """What was measured, a line each."""
    alone, before = times_of_a_good_caller(relay.port, requests), relay.memory_kib()
    began = time.perf_counter()
    with crowd(relay.port, size):
        opened_s = time.perf_counter() - began
        beside = times_of_a_good_caller(relay.port, requests)
        grown = relay.memory_kib() - before
        return [
            _says("alone", alone),
            _says(f"beside {size} idle connections", beside),
            f"opened in {opened_s:.1f} s; {relay.open_files()} open files; {grown / size:.1f} KiB a connection",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=2_000)
    asked = parser.parse_args()
    size = connections_possible(asked.connections)
    with (
        tempfile.TemporaryDirectory() as folder,
        valkey_server() as redis,
        api_process(redis.url, Path(folder), short_s=60) as relay,
    ):
        print("\n".join(measure(relay, size, asked.requests)))


if __name__ == "__main__":
    main()
