from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge import limits
from bridge.runtimes.openclaw.runtime import TOKEN_VARIABLE
from tests.bridge.runtimes.openclaw.emulated import Agent
from tests.fakes.openclaw_gateway import EmulatedGateway, open_emulated_gateway


@pytest.fixture
async def gateway() -> AsyncIterator[EmulatedGateway]:
    async with open_emulated_gateway() as gateway:
        yield gateway


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that only the length of a test depends on."""
    monkeypatch.setattr(limits, "RECONNECT_BASE_SECONDS", 0.01)
    monkeypatch.setattr(limits, "GATEWAY_RETRY_CAP_SECONDS", 0.01)
    monkeypatch.setattr(limits, "GATEWAY_LOOK_SECONDS", 0.01)
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GATEWAY_PATIENCE_SECONDS", 0.1)


@pytest.fixture
def agent(tmp_path: Path, gateway: EmulatedGateway) -> Agent:
    return Agent(tmp_path, gateway)
