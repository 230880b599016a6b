"""The form of a Redis URL: `redis`, `rediss`, `unix`, `redis+sentinel`, `redis+cluster`.

Checks the form alone, and connects to nothing. A Redis URL may hold a password: no fault shows any of it.
"""

from __future__ import annotations

import re

from app.config.table import Unfit

_FORMS = {
    "redis": ("host", r"(/([0-9]{1,5})?)?"),
    "rediss": ("host", r"(/([0-9]{1,5})?)?"),
    "unix": ("path", r"/[^?#]+"),
    "redis+sentinel": ("hosts", r"/[A-Za-z0-9._-]+(/[0-9]{1,5})?"),
    "redis+cluster": ("hosts", r"/?(0)?"),
}
_URL = re.compile(
    r"(?P<scheme>[a-z+]+)://((?P<login>[^/?#]*)@)?(?P<hosts>[^/?#@]*)(?P<path>[^?#]*)(\?(?P<query>[^#]*))?"
)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")
_EXPECTED = (
    "redis://host:6379/0, rediss://…, unix:///path, redis+sentinel://host:26379,host:26379/service/db "
    "or redis+cluster://host:6379,host:6379"
)


def redis_url(value: object) -> str:
    """The URL as it was written, if it has the form of one that is understood."""
    parts = (
        _URL.fullmatch(value) if isinstance(value, str) and value.isprintable() and " " not in value else None
    )
    if not isinstance(value, str) or parts is None or parts["scheme"] not in _FORMS:
        raise Unfit(_EXPECTED, found="something else")
    where, path = _FORMS[parts["scheme"]]
    if not _has_hosts(parts["hosts"], where) or re.fullmatch(path, parts["path"]) is None:
        raise Unfit(_EXPECTED, found=f"a {parts['scheme']} URL of another form")
    return value


def queue_url(value: object) -> str:
    """As `redis_url`; empty stands for the same Redis. No Cluster: arq's scripts cross its slots."""
    if value == "":
        return ""
    url = redis_url(value)
    if is_cluster(url):
        raise Unfit(
            "one ordinary Redis or Sentinel, for arq's scripts cross hash slots", found="a redis+cluster URL"
        )
    return url


def is_cluster(url: str) -> bool:
    return url.startswith("redis+cluster://")


def _has_hosts(hosts: str, where: str) -> bool:
    if where == "path":
        return hosts == ""
    listed = hosts.split(",")
    return (where == "hosts" or len(listed) == 1) and all(_is_host(host) for host in listed)


def _is_host(text: str) -> bool:
    parts = _HOST.fullmatch(text)
    return parts is not None and 0 < int(parts["port"] or 1) <= 65_535
