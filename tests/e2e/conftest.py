from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.leaks import leaks_below


@pytest.fixture(autouse=True)
def nothing_leaks(tmp_path: Path) -> Iterator[None]:
    """After each test: no secret of its configuration stands in a log, a database or anything else that was written."""
    yield
    assert leaks_below(tmp_path) == []
