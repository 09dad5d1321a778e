"""Both ways through a server: the fast lane, and Hypercorn's parsers with Quart behind them."""

import pytest

from moltnet.lane.switch import VARIABLE


@pytest.fixture(params=["lane", "hypercorn"])
def either_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test's servers over each of them; which one it is."""
    path: str = request.param
    monkeypatch.setenv(VARIABLE, "1" if path == "lane" else "0")
    return path
