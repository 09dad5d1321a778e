"""A server or a node that is killed between two messages or before a turn: server, node and the real Codex as separate
processes. What is killed in the middle of a turn, and conversations without accidents, are in `test_chain.py`.
"""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.config import RuntimeKind
from tests.e2e.agents import AgentNode, open_agent_node
from tests.e2e.running import Server, open_network, say, wait_texts

pytestmark = pytest.mark.slow

FIRST = "@codex_bot is the build green?"
SECOND = "@codex_bot and the docs?"
REPORT = "The build is green. @checker_bot please confirm."
CONFIRMED = "Confirmed, 214 tests passed."
DOCS = "The docs are built too."


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return open_network(tmp_path / "server", ["codex_bot", "checker_bot"])


@pytest.fixture
async def node(tmp_path: Path, server: Server) -> AsyncIterator[AgentNode]:
    agents = {
        "codex_bot": (RuntimeKind.CODEX, {FIRST: REPORT, SECOND: DOCS}),
        "checker_bot": (RuntimeKind.CODEX, {REPORT: CONFIRMED}),
    }
    async with open_agent_node(tmp_path / "node", server, agents) as node:
        yield node


async def test_the_conversation_goes_on_after_the_server_was_killed_between_two_messages(
    server: Server, node: AgentNode
) -> None:
    async with server.run() as first_server, node.run() as hosting:
        await say(server, FIRST)
        await wait_texts(server, 3)
        await first_server.kill()
        async with server.run():
            await say(server, SECOND)
            assert (await wait_texts(server, 5))[3:] == [("ada", SECOND), ("codex_bot", DOCS)]
            assert await hosting.stop() == 0
    assert len(node.agents["codex_bot"].turns()) == 2


async def test_a_wake_that_reached_a_node_that_was_killed_before_the_turn_is_answered_once(
    server: Server, node: AgentNode
) -> None:
    async with server.run():
        async with node.run() as first_node:
            # Stopped, it takes nothing from its socket: the event is delivered, and no turn begins.
            first_node.process.send_signal(signal.SIGSTOP)
            await say(server, FIRST)
            await first_node.kill()
        async with node.run() as second_node:
            assert await wait_texts(server, 3) == [("ada", FIRST), ("codex_bot", REPORT), ("checker_bot", CONFIRMED)]
            assert await second_node.stop() == 0
    assert len(node.agents["codex_bot"].turns()) == 1


async def test_nothing_is_lost_when_node_and_server_are_both_killed(server: Server, node: AgentNode) -> None:
    async with server.run() as first_server, node.run() as first_node:
        await say(server, FIRST)
        await wait_texts(server, 3)
        # Both turns are over, not only what they said: what is not over would rightly run again.
        await first_node.wait_log("turn finished", 2)
        first_node.process.send_signal(signal.SIGSTOP)
        await say(server, SECOND)
        await first_server.kill()
        await first_node.kill()
    async with server.run(), node.run() as second_node:
        assert (await wait_texts(server, 5))[3:] == [("ada", SECOND), ("codex_bot", DOCS)]
        assert await second_node.stop() == 0
    assert len(node.agents["codex_bot"].turns()) == 2
    assert len(node.agents["checker_bot"].turns()) == 1
