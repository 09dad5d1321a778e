"""A server that breaks the protocol while turns end, or says what only a newer bridge can read."""

from collections import deque

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from bridge.attachment import Attachment
from bridge.config import AttachmentConfig
from bridge.errors import ConnectionLost
from moltnet.protocol.attachment import ClientSession, Delivered, ServerSession, Unreadable
from moltnet.protocol.codec import encode
from moltnet.protocol.frames import FrameCapabilities, Ready, event_frame_text
from moltnet.protocol.limits import CLOSE_SECONDS
from tests.fakes.attach_server import AttachServer
from tests.fakes.lives import ledger_of, living
from tests.fakes.messages import created, message, noise
from tests.fakes.runtime import FakeRuntime


@attrs.define(eq=False)
class StuckWebSocket:
    """Hands out what the server said, and then nothing more. Nothing that is sent gets through."""

    said: deque[str]
    sent: list[str] = attrs.field(factory=list)
    close_code: int = 1000

    async def receive(self) -> str | bytes:
        if not self.said:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        return self.said.popleft()

    async def send(self, text: str) -> None:
        self.sent.append(text)
        await trio.sleep_forever()


def attached_session() -> ClientSession:
    server = ServerSession("net", now=trio.current_time())
    client = ClientSession("net", "agent-1", "", cursor="", capabilities=FrameCapabilities(), now=trio.current_time())
    client.receive_text(server.hello(), trio.current_time())
    server.receive_text(client.identify(), trio.current_time())
    client.receive_text(server.ready("agent-1", "", ""), trio.current_time())
    return client


async def test_a_turn_that_ends_while_the_server_is_told_of_its_fault_meets_a_loss(autojump_clock: MockClock) -> None:
    event = created(message("msg_1"))
    websocket = StuckWebSocket(deque([event_frame_text("net", event.id, encode(event)), "{"]))
    send, receive = trio.open_memory_channel[Delivered | Unreadable](1)
    attachment = Attachment(Ready(), websocket, attached_session(), send, receive)  # type: ignore[arg-type]  # two methods
    async with trio.open_nursery() as nursery:
        nursery.start_soon(attachment._read)  # as `open_attachment` does
        delivery = await anext(attachment)
        await trio.testing.wait_all_tasks_blocked()
        assert len(websocket.sent) == 1
        assert "must be valid JSON" in websocket.sent[0]
        with pytest.raises(ConnectionLost, match="broke the protocol"):
            await attachment.ack(delivery.cursor)
        with pytest.raises(ConnectionLost, match="broke the protocol"):
            await anext(attachment)
    assert trio.current_time() == pytest.approx(CLOSE_SECONDS)
    assert websocket.close_code == 1008


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("is_first_event", [False, True])
async def test_an_event_that_only_a_newer_bridge_can_read_is_passed_over(
    is_first_event: bool, server: AttachServer, config: AttachmentConfig
) -> None:
    server.tells_place = not is_first_event
    newer = attrs.evolve(noise(1), created_at={"seconds": 1})  # type: ignore[arg-type]  # that is the point
    async with living(config, runtime := FakeRuntime()):
        await server.wait_attached()
        server.publish(newer, wake := created(message("msg_1")))
        await server.wait_acked(newer, wake)
    assert runtime.begun == ["msg_1"]
    assert len(server.peers) == 1
    assert ledger_of(config).cursor == wake.id
