"""/openapi.json and its page at /docs, which needs no internet: its scripts come from a locked package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from litestar import Response, get
from litestar.params import FromPath
from swagger_ui_bundle import swagger_ui_path

from app.api.openapi import openapi
from app.api.problems import NOT_FOUND, Problem

_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
    "start.js": "text/javascript",
}
_START = b"""SwaggerUIBundle({url: "/openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis], defaultModelsExpandDepth: 0});
"""
_PAGE = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>otp-relay API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/swagger-ui.css"><link rel="icon" href="/docs/favicon-32x32.png"></head>
<body><div id="page"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@get("/openapi.json")
async def openapi_document() -> Response[bytes]:
    """The API's description."""
    return Response(openapi(), media_type="application/json", headers=_HEADERS)


@get("/docs")
async def docs_page() -> Response[bytes]:
    """The description as a page."""
    return Response(_PAGE, media_type="text/html; charset=utf-8", headers=_HEADERS)


@get("/docs/{name:str}")
async def docs_asset(name: FromPath[str]) -> Response[bytes]:
    """What the page loads."""
    if name not in _ASSETS:
        raise Problem(NOT_FOUND)
    return Response(
        _read(name), media_type=_ASSETS[name], headers={**_HEADERS, "Cache-Control": "max-age=3600"}
    )


@cache
def _read(name: str) -> bytes:
    return _START if name == "start.js" else (Path(str(swagger_ui_path)) / name).read_bytes()
