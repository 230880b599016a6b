"""The API over real HTTP, as in `tests/api`, for what operators do."""

from __future__ import annotations

from tests.api.conftest import api, make_api, redis_url, standing

__all__ = ["api", "make_api", "redis_url", "standing"]
