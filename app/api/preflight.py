"""OPTIONS: refused everywhere, since no page of another site may call this API, and nobody else asks.

The library would answer it by itself, and name the methods of one handler where a path has several.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from litestar import HttpMethod, Response
from litestar.handlers import HTTPRouteHandler

from app.api.problems import METHOD_NOT_ALLOWED, Problem


def refusing_options(handlers: Iterable[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """For each path of the handlers one that answers OPTIONS with 405, and says in `Allow` what there is."""
    methods: dict[str, set[str]] = defaultdict(set)
    for handler in handlers:
        for path in handler.paths:
            methods[path] |= {str(method) for method in handler.http_methods}
    return [_refusing(path, ", ".join(sorted(allowed))) for path, allowed in methods.items()]


def _refusing(path: str, allowed: str) -> HTTPRouteHandler:
    async def no_options() -> Response[bytes]:
        raise Problem(METHOD_NOT_ALLOWED, headers={"allow": allowed})

    return HTTPRouteHandler(path, http_method=HttpMethod.OPTIONS, status_code=405)(no_options)
