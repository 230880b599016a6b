"""The stage of the tests that stop processes, for a relay that is given marked texts."""

from __future__ import annotations

from tests.trouble.conftest import set_stage as set_stage
