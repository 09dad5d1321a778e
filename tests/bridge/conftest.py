"""What the tests of the bridge share."""

from collections.abc import Iterator

import pytest

from tests.fakes.process_watch import ProcessWatch, watch_processes


@pytest.fixture
def watch() -> Iterator[ProcessWatch]:
    """The processes of this test; none of them may be left at its end."""
    with watch_processes() as watch:
        yield watch
