"""The OpenAPI document, true to the routes, the statuses and the problems; and its page, which needs no internet."""

from __future__ import annotations

import re

import pytest
from litestar.routes import HTTPRoute

from app.api.problems import KINDS
from tests.api.desk import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = {"/openapi.json", "/docs", "/docs/{name}"}


async def _document(api: Api) -> Json:
    document: Json = (await api.ask("GET", "/openapi.json", of=None)).json()
    return document


async def test_the_document_describes_every_route_there_is(api: Api) -> None:
    there = {
        (method.lower(), re.sub(r":\w+}", "}", route.path))
        for route in api.app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"
    }
    described = {(method, path) for path, item in (await _document(api))["paths"].items() for method in item}
    assert described == {(method, path) for method, path in there if path not in PAGES}


async def test_every_answer_and_body_of_the_document_has_an_example(api: Api) -> None:
    for path, item in (await _document(api))["paths"].items():
        for method, operation in item.items():
            for status, answer in operation["responses"].items():
                for media in answer.get("content", {}).values():
                    assert media.get("example") or media.get("examples"), (method, path, status)
            if method == "post" and "{" not in path:
                assert operation["requestBody"]["content"]["application/json"]["example"]


@pytest.mark.parametrize(("method", "path", "statuses"), (
    ("post", "/v1/messages", {202, 400, 401, 403, 413, 415, 422, 429, 503}),
    ("post", "/v1/messages/batch", {202, 400, 401, 413, 415, 422, 503}),
    ("get", "/v1/messages/{message_id}", {200, 401, 404, 422, 503}),
    ("get", "/v1/messages", {200, 401, 422, 503}),
    ("delete", "/v1/messages/{message_id}", {200, 401, 404, 409, 503}),
    ("get", "/v1/campaigns", {200, 401, 422, 503}), ("get", "/v1/events", {200, 401, 422, 503}),
    ("get", "/v1/callbacks", {200, 401, 422, 503}),
    ("post", "/v1/callbacks/{event_id}/replay", {202, 401, 404, 409, 503}),
    ("post", "/v1/callbacks/replay", {202, 400, 401, 413, 415, 422, 503}),
    ("get", "/readyz", {200, 503}),
))  # fmt: skip
async def test_the_document_names_every_status_of_an_operation(
    api: Api, method: str, path: str, statuses: set[int]
) -> None:
    responses = (await _document(api))["paths"][path][method]["responses"]
    assert {int(status) for status in responses} == statuses
    for status in statuses - {200, 202}:
        media_type = "application/json" if path == "/readyz" else "application/problem+json"
        assert list(responses[str(status)]["content"]) == [media_type]


async def test_the_document_lists_each_kind_of_problem_that_is_an_operations_own(api: Api) -> None:
    told = set(re.findall(r"/problems/([a-z-]+)", (await api.ask("GET", "/openapi.json", of=None)).text))
    of_any_request = {
        "bad-request", "head-too-large", "internal-error", "method-not-allowed", "request-too-slow",
    }  # fmt: skip
    assert {kind.slug for kind in KINDS} - told == of_any_request


async def test_the_examples_of_the_document_are_taken(api: Api) -> None:
    paths = (await _document(api))["paths"]
    body = paths["/v1/messages"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert (await api.post({**body, "callback_url": "http://127.0.0.1:9/x"})).status_code == 202
    body = paths["/v1/callbacks/replay"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert (await api.post(body, path="/v1/callbacks/replay")).status_code == 202


async def test_the_page_of_the_document_loads_nothing_from_elsewhere(api: Api) -> None:
    page = await api.ask("GET", "/docs", of=None)
    assert page.status_code == 200
    assert "//" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    for path in loaded:
        asset = await api.ask("GET", path, of=None)
        assert asset.status_code == 200
        assert asset.content
