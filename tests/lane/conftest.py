"""Servers with and without the fast lane, and what reached the application behind it."""

from collections.abc import Iterator

import pytest

from moltnet.asgi import NetworkAsgi
from moltnet.http.exchange import Message, Receive, Send
from moltnet.lane.switch import VARIABLE


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Method and path of every request that the lane did not answer itself."""
    seen: list[str] = []
    call = NetworkAsgi.__call__

    async def noting(self: NetworkAsgi, scope: Message, receive: Receive, send: Send) -> None:
        seen.append(f"{scope.get('method', scope['type'])} {scope['path']}")
        await call(self, scope, receive, send)

    monkeypatch.setattr(NetworkAsgi, "__call__", noting)
    return seen


@pytest.fixture
def without_lane(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Servers that are opened in this test have no fast lane."""
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, "0")
        yield
