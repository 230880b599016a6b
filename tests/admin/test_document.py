"""What the OpenAPI document says of /v1/admin: a scheme of its own, every status, an example of every answer."""

from __future__ import annotations

import pytest

from tests.api.desk import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACTS = {200, 400, 401, 404, 413, 415, 422, 503}
LISTS = {200, 401, 422, 503}


@pytest.mark.parametrize(("method", "path", "statuses"), (
    ("get", "/v1/admin/campaigns", LISTS), ("post", "/v1/admin/campaigns/{name}/pause", ACTS),
    ("post", "/v1/admin/campaigns/{name}/drain", ACTS), ("post", "/v1/admin/campaigns/{name}/resume", ACTS),
    ("get", "/v1/admin/messages", LISTS), ("get", "/v1/admin/messages/{message_id}", {*LISTS, 404}),
    ("get", "/v1/admin/callbacks", LISTS),
    ("post", "/v1/admin/callbacks/{event_id}/replay", {202, 400, 401, 404, 409, 413, 415, 422, 503}),
    ("post", "/v1/admin/callbacks/replay", {202, 400, 401, 413, 415, 422, 503}),
    ("get", "/v1/admin/actions", LISTS),
))  # fmt: skip
async def test_each_operation_names_its_statuses_its_key_and_an_example(
    api: Api, method: str, path: str, statuses: set[int]
) -> None:
    document: Json = (await api.ask("GET", "/openapi.json", of=None)).json()
    operation = document["paths"][path][method]
    assert {int(status) for status in operation["responses"]} == statuses
    assert operation["security"] == [{"adminKey": []}]
    assert document["components"]["securitySchemes"]["adminKey"]["scheme"] == "bearer"
    if method == "post":
        assert operation["requestBody"]["content"]["application/json"]["example"]


async def test_the_page_of_the_document_loads_nothing_from_elsewhere(api: Api) -> None:
    page = await api.ask("GET", "/docs", of=None)
    assert page.status_code == 200
    assert "://" not in page.text
    assert (await api.ask("GET", "/docs/start.js", of=None)).status_code == 200
