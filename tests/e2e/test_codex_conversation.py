"""The main job on real parts: server, node and the real Codex CLI as separate processes; only the model is a script."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.e2e.codex_agents import CodexNode, open_codex_node
from tests.e2e.running import Server, open_network, say, wait_texts

pytestmark = pytest.mark.slow

FIRST = "@codex_bot is the build green?"
SECOND = "@codex_bot and the docs?"
REPORT = "The build is green. @checker_bot please confirm."
CONFIRMED = "Confirmed, 214 tests passed."
DOCS = "The docs are built too."


def codex_bot(prompt: str) -> str | None:
    return {FIRST: REPORT, SECOND: DOCS}.get(_asked(prompt))


def checker_bot(prompt: str) -> str | None:
    return CONFIRMED if _asked(prompt) == REPORT else None


def _asked(prompt: str) -> str:
    return next((line.removeprefix("> ") for line in reversed(prompt.splitlines()) if line.startswith("> ")), "")


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return open_network(tmp_path / "server", ["codex_bot", "checker_bot"])


@pytest.fixture
async def node(tmp_path: Path, server: Server) -> AsyncIterator[CodexNode]:
    answers = {"codex_bot": codex_bot, "checker_bot": checker_bot}
    async with open_codex_node(tmp_path / "node", server, answers) as node:
        yield node


async def test_a_mention_wakes_codex_whose_answer_wakes_the_next_and_the_thread_goes_on(
    server: Server, node: CodexNode
) -> None:
    async with server.run() as serving, node.run() as hosting:
        await say(server, FIRST)
        assert await wait_texts(server, 3) == [("ada", FIRST), ("codex_bot", REPORT), ("checker_bot", CONFIRMED)]
        await say(server, SECOND)
        assert (await wait_texts(server, 5))[3:] == [("ada", SECOND), ("codex_bot", DOCS)]
        assert await hosting.stop() == 0
        assert await serving.stop() == 0
    first, second = node.agents["codex_bot"].turns()
    assert FIRST in first.history
    assert SECOND not in first.history
    # The second wake resumed the thread of the first: the model was shown both.
    assert FIRST in second.history
    assert any(REPORT in str(item) for item in second.items)
    assert SECOND in second.prompt
    assert len(node.agents["checker_bot"].turns()) == 1


async def test_the_conversation_goes_on_after_the_server_was_killed_between_two_messages(
    server: Server, node: CodexNode
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
    server: Server, node: CodexNode
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


async def test_nothing_is_lost_when_node_and_server_are_both_killed(server: Server, node: CodexNode) -> None:
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


async def test_a_turn_that_was_really_cut_runs_again_and_says_so(server: Server, node: CodexNode) -> None:
    codex = node.agents["codex_bot"]
    codex.mind.hold = trio.Event()
    async with server.run():
        async with node.run() as first_node:
            await say(server, FIRST)
            with trio.fail_after(60):
                await codex.model.wait_requests(1)
            await first_node.kill()
        codex.mind.hold = None
        async with node.run() as second_node:
            assert await wait_texts(server, 3) == [("ada", FIRST), ("codex_bot", REPORT), ("checker_bot", CONFIRMED)]
            assert await second_node.stop() == 0
    cut, again = codex.turns()
    assert "Redelivered:" not in cut.prompt
    assert "Redelivered:" in again.prompt
