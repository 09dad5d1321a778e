"""What the tests of the bridge share: a watch over processes, and a server with an attachment for it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import pytest

from bridge import limits
from bridge.config import AttachmentConfig, DirectBinding, RoomBinding, WakePolicy, WakeRule
from moltnet.protocol.ids import RoomId
from tests.fakes.attach_server import AttachServer, open_attach_server
from tests.fakes.attachments import attachment_config
from tests.fakes.process_watch import ProcessWatch, watch_processes
from tests.fakes.sandboxes import Box, make_box


@pytest.fixture
def watch() -> Iterator[ProcessWatch]:
    """The processes of this test; none of them may be left at its end."""
    with watch_processes() as watch:
        yield watch


@pytest.fixture
async def box(watch: ProcessWatch, tmp_path: Path) -> Box:
    """A sandbox; its workspace is `workspace` in the test's directory."""
    return await make_box(watch, tmp_path)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real sockets take real time: let nobody wait long between two tries."""
    monkeypatch.setattr(limits, "RECONNECT_BASE_SECONDS", 0.01)
    monkeypatch.setattr(limits, "RECONNECT_CAP_SECONDS", 0.05)
    monkeypatch.setattr(limits, "LEDGER_LAG_SECONDS", 0.01)


@pytest.fixture
async def server() -> AsyncIterator[AttachServer]:
    async with open_attach_server() as server:
        yield server


@pytest.fixture
def config(server: AttachServer, tmp_path: Path) -> AttachmentConfig:
    config = attachment_config(tmp_path)
    return attrs.evolve(
        config,
        server=attrs.evolve(config.server, base_url=server.base_url),
        rooms=(
            RoomBinding(RoomId("general")),
            RoomBinding(RoomId("other")),
            RoomBinding(RoomId("quiet"), WakeRule(WakePolicy.NEVER)),
        ),
        dms=DirectBinding(enabled=True),
    )
