from collections.abc import Iterator

import pytest

from tests.e2e.dev_run import DevRun


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevRun]:
    """One run that is shared by all tests which neither end it nor change what it holds."""
    with DevRun(tmp_path_factory.mktemp("e2e") / "data") as run:
        yield run.ready()
