"""Ports of this machine: taking one, and finding free ones. Knows nothing of what will listen there."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence


class PortTakenError(OSError):
    """Something else listens there."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is in use")


def bound(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. `PortTakenError`, or OSError for an address that is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise PortTakenError(host, port) from error
        raise
    return listener


def first_free(host: str, wanted: Sequence[int]) -> socket.socket:
    """The first of the ports that is free, or one that the system chooses; held until it is closed."""
    for port in wanted:
        try:
            return bound(host, port)
        except PortTakenError:
            continue
    return bound(host, 0)


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def url_of(listener: socket.socket) -> str:
    """Where a listening socket is reached, from this machine."""
    return http_url(listener.getsockname()[0], port_of(listener))


def http_url(host: str, port: int) -> str:
    """Where a server on `host` is reached from this machine: an address for all of them stands for loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
