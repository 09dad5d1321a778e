"""Both ways to reach an agent: whole messages, as over ASGI, and the fast lane's frames."""

from collections.abc import Iterator

import pytest

from tests.fakes.attach_client import over_lane


@pytest.fixture(params=["messages", "frames"])
def either_transport(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a test over each of them."""
    token = over_lane.set(request.param == "frames")
    yield
    over_lane.reset(token)
