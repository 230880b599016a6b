"""Talks to a running relay for `send` and `show`, and tells its problem documents in words. Keeps nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import click

from app.cli.fault import CommandFault

if TYPE_CHECKING:
    import httpx

F = TypeVar("F", bound=Callable[..., object])
Json = dict[str, object]

LONGEST_WAIT_S = 60
"""The longest that the API holds an answer back."""

_DEADLINE_S = 15.0
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def relay_options(command: F) -> F:
    """`--url` and `--key`, for a command that asks a running relay."""
    url = click.option(
        "--url",
        envvar="RELAY_URL",
        default="http://127.0.0.1:8080",
        show_default=True,
        show_envvar=True,
        help="Where the relay is.",
    )
    key = click.option("--key", envvar="RELAY_API_KEY", show_envvar=True, help="The client's API key.")
    return url(key(command))


class RelayClient:
    """One relay, as one client. `CommandFault` for whatever is not the answer asked for."""

    def __init__(self, url: str, key: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandFault(
                "--url (RELAY_URL) must be an http or https URL, such as http://127.0.0.1:8080"
            )
        if not key or not key.isascii() or not key.isprintable():
            raise CommandFault("no API key: set RELAY_API_KEY, or give --key")
        self._url = url.rstrip("/")
        self._key = key
        self._trust_env = parts.hostname not in _LOOPBACK

    def post(self, path: str, body: Mapping[str, object]) -> Json:
        return self._ask("POST", path, body, _DEADLINE_S)

    def get(self, path: str, *, wait_s: int = 0) -> Json:
        """With `wait_s`, the answer may be held back so long."""
        asked = f"{path}?wait={wait_s}" if wait_s else path
        return self._ask("GET", asked, None, wait_s + _DEADLINE_S)

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None, deadline_s: float) -> Json:
        import httpx

        try:
            with httpx.Client(timeout=deadline_s, trust_env=self._trust_env) as http:
                headers = {"Authorization": f"Bearer {self._key}"}
                answer = http.request(method, f"{self._url}{path}", json=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            kind = type(error).__name__
            raise CommandFault(
                f"no answer from {self._url} ({kind}): is the relay running, and is --url (RELAY_URL) right?"
            ) from None
        document = _object(answer)
        if answer.is_success and document is not None:
            return document
        raise CommandFault(_told(answer.status_code, document, answer.headers.get("retry-after")))


def _object(answer: httpx.Response) -> Json | None:
    try:
        document = answer.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _told(status: int, problem: Json | None, retry_after: str | None) -> str:
    """A problem document in words: title and detail, then each field at fault on a line."""
    if problem is None:
        return f"HTTP {status}, and not an answer of the relay: is --url (RELAY_URL) right?"
    told = f"{problem.get('title', 'refused')} ({status})"
    if problem.get("detail"):
        told += f": {problem['detail']}"
    if retry_after:
        told += f" (try again in {retry_after} s)"
    if isinstance(problem.get("id"), str):
        told += f"\n  it may have been taken; see: otp-relay show {problem['id']}"
    if status == 401:
        told += "\n  is --key (RELAY_API_KEY) the client's key?"
    errors = problem.get("errors")
    for error in errors if isinstance(errors, list) else ():
        told += f"\n  {error.get('pointer') or '/'}: {error.get('detail')}"
    return told
