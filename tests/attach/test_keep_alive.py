"""PING against everything else that happens at the same moment (attach protocol §4)."""

from collections import deque

import attrs
import trio
from trio.testing import MockClock

from moltnet.attach.link import CloseCode, LinkClosed
from moltnet.auth.claims import UNCHECKED
from moltnet.fanout.frames import Sendable
from moltnet.protocol import limits
from tests.fakes.attach_client import frame, identify_frame
from tests.fakes.network import open_test_app

# Tasks that wake up together run in either order: one try proves nothing, and 20 tries miss an order once in a million.
TRIES = 20


@attrs.define(eq=False)
class TimedLink:
    """A peer that says each thing at its time, in seconds from now, and then vanishes."""

    said: deque[tuple[float, str]]
    closed: CloseCode | None = None

    def push(self, what: Sendable) -> bool:
        return True

    async def flush(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send(self, text: str) -> None:
        await trio.lowlevel.checkpoint()

    async def receive(self) -> str | bytes:
        if not self.said:
            raise LinkClosed(1006)
        time, text = self.said.popleft()
        await trio.sleep_until(time)
        return text

    async def close(self, code: CloseCode, reason: str) -> None:
        self.closed = code


async def test_a_peer_that_breaks_the_protocol_when_its_ping_is_due_gets_the_answer_to_that(
    autojump_clock: MockClock,
) -> None:
    async with open_test_app() as app:
        for number in range(TRIES):
            now = trio.current_time()
            due = now + limits.PING_SECONDS
            link = TimedLink(deque([(now, identify_frame(f"agent-{number}")), (due, frame("NONSENSE"))]))
            await app.gateway.serve(link, UNCHECKED)
            assert trio.current_time() == due
            assert link.closed is CloseCode.POLICY
