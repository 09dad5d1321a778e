"""The real Codex, Claude Code, OpenClaw and pi wake each other over a real server and a real node; only their models
are scripts.

That a session goes on, and that a wake runs the model once, is proved by what the models were asked. One gateway serves
all tests of this file.
"""

import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
import trio

from bridge.config import RuntimeKind
from bridge.sessions import SessionStore
from tests.e2e.agents import GATEWAY_SECONDS, AgentNode, open_agent_node
from tests.e2e.running import MOLTNET, PATIENCE_SECONDS, Server, open_network, say, wait_texts
from tests.fakes.openclaw_home import GatewayProcess, running_gateway
from tests.fakes.process_watch import MARK_NAME, ProcessWatch

# The gateway alone takes seconds to start, and minutes where much else runs.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KINDS: Final = {
    "codex_bot": RuntimeKind.CODEX,
    "claude_bot": RuntimeKind.CLAUDE_CODE,
    "claw_bot": RuntimeKind.OPENCLAW,
    "pi_bot": RuntimeKind.PI,
}
CLI_KINDS: Final = {agent_id: kind for agent_id, kind in KINDS.items() if kind is not RuntimeKind.OPENCLAW}
EVERYBODY: Final = " ".join(f"@{agent_id}" for agent_id in KINDS)

START: Final = "@codex_bot zero, go on"
CHAIN: Final = [
    ("codex_bot", "@claude_bot one, go on"),
    ("claude_bot", "@claw_bot two, go on"),
    ("claw_bot", "@codex_bot three, go on"),
    ("codex_bot", "@claude_bot four, go on"),
    ("claude_bot", "@pi_bot five, go on"),
    ("pi_bot", "six"),
]
RESTART: Final = "@claw_bot seven, go on"
REST: Final = [("claw_bot", "@pi_bot eight, go on"), ("pi_bot", "nine")]

FIRST: Final = f"{EVERYBODY} are you there?"
SECOND: Final = f"{EVERYBODY} and now?"
UNKNOWN: Final = "01a1f734-7dd1-4843-9ff4-e9a1269f5c38"
NOBODY_THERE: Final = "http://127.0.0.1:9"
DOWN: Final = ("codex: Connection failed", "claude: API Error: Connection refused", "pi: Connection error")
ROOM_KEY: Final = "lab:room:general"


def here(agent_id: str) -> Mapping[str, str]:
    """What an agent says that is only asked whether it is there."""
    return {FIRST: f"{agent_id} is here", SECOND: f"{agent_id} is still here"}


def chained(agent_id: str) -> Mapping[str, str]:
    """What an agent says in the chain: each of its messages is the answer to the one before."""
    said = [("ada", START), *CHAIN, ("ada", RESTART), *REST]
    return {asked: text for (_, asked), (speaker, text) in pairwise(said) if speaker == agent_id}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path_factory.mktemp("openclaw"), path=MOLTNET.parent) as gateway:
        yield gateway


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return open_network(tmp_path / "server", list(KINDS))


@pytest.fixture
async def node(tmp_path: Path, server: Server, gateway: GatewayProcess) -> AsyncIterator[AgentNode]:
    agents = {agent_id: (kind, {**chained(agent_id), **here(agent_id)}) for agent_id, kind in KINDS.items()}
    async with open_agent_node(tmp_path / "node", server, agents, gateway=gateway) as node:
        yield node


@pytest.fixture
async def clis(tmp_path: Path, server: Server) -> AsyncIterator[AgentNode]:
    """Without the gateway: there a session is named by us, and a model that is down costs two minutes."""
    agents = {agent_id: (kind, here(agent_id)) for agent_id, kind in CLI_KINDS.items()}
    async with open_agent_node(tmp_path / "node", server, agents) as node:
        yield node


async def test_a_chain_of_four_kinds_goes_round_and_each_session_goes_on_also_after_the_gateway_was_restarted(
    server: Server, node: AgentNode, gateway: GatewayProcess
) -> None:
    async with server.run() as serving, node.run() as hosting:
        await say(server, START)
        assert await wait_texts(server, 7, GATEWAY_SECONDS) == [("ada", START), *CHAIN]
        await hosting.wait_log("turn finished", 6)
        await trio.to_thread.run_sync(gateway.stop, signal.SIGTERM)
        gateway.start()
        await say(server, RESTART)
        assert (await wait_texts(server, 10, GATEWAY_SECONDS))[7:] == [("ada", RESTART), *REST]
        await hosting.wait_log("turn finished", 8)
        assert await hosting.stop() == 0
        assert await serving.stop() == 0
    # Exactly one run for each wake: the prompt, and the result of the one command in it.
    assert node.turn_counts() == dict.fromkeys(KINDS, 2)
    assert node.request_counts() == dict.fromkeys(KINDS, 4)
    for agent in node.agents.values():
        (asked, said), (asked_then, _) = chained(agent.id).items()
        first, second = agent.turns()
        assert asked in first.prompt
        assert asked_then in second.prompt
        # The second wake resumed the session of the first: the model was shown what was asked and said before.
        assert asked in second.history
        assert said in second.history
        assert asked_then not in first.history


async def test_a_second_mention_during_a_turn_waits_and_is_not_lost(server: Server, node: AgentNode) -> None:
    hold = node.hold()
    async with server.run(), node.run() as hosting:
        await say(server, FIRST)
        await node.wait_requests(1, PATIENCE_SECONDS)
        await say(server, SECOND)
        hold.set()
        texts = (await wait_texts(server, 10))[2:]
        await hosting.wait_log("turn finished", 8)
        assert await hosting.stop() == 0
    for agent in node.agents.values():
        assert [text for speaker, text in texts if speaker == agent.id] == list(here(agent.id).values())
        first, second = agent.turns()
        assert SECOND not in first.history
        assert FIRST in second.history
    assert node.request_counts() == dict.fromkeys(KINDS, 4)


async def test_a_node_that_is_killed_in_turns_leaves_no_process_and_finishes_them_when_it_is_back(
    server: Server, node: AgentNode
) -> None:
    watch = ProcessWatch(uuid4().hex)
    async with server.run():
        async with node.run({MARK_NAME: watch.mark}) as first_node:
            await say(server, FIRST)
            await first_node.wait_log("turn finished", 4)
            hold = node.hold()
            await say(server, SECOND)
            await node.wait_requests(3, PATIENCE_SECONDS)
            assert len(watch.running()) > len(CLI_KINDS)  # the node is one
            await first_node.kill()
        await watch.wait_gone()
        async with node.run({MARK_NAME: watch.mark}) as second_node:
            # The gateway is another's process: what it runs goes on, and is not begun again.
            await second_node.wait_log("waiting for an earlier run")
            hold.set()
            texts = (await wait_texts(server, 10))[6:]
            await second_node.wait_log("turn finished", 8)
            assert await second_node.stop() == 0
    assert watch.running() == []
    assert sorted(texts) == sorted((agent_id, here(agent_id)[SECOND]) for agent_id in KINDS)
    assert node.turn_counts() == {**dict.fromkeys(CLI_KINDS, 3), "claw_bot": 2}
    for agent in node.agents.values():
        *_, last = turns = agent.turns()
        assert FIRST in last.history
        assert ["Redelivered:" in turn.prompt for turn in turns] == [False, False, True][: len(turns)]


async def test_a_stored_session_that_is_unknown_is_replaced_and_the_wake_delivered(
    server: Server, clis: AgentNode
) -> None:
    stores = {agent_id: SessionStore(agent.state / "sessions.json") for agent_id, agent in clis.agents.items()}
    for agent_id, store in stores.items():
        await store.remember(f"agent:{agent_id}:{ROOM_KEY}", UNKNOWN)
    async with server.run(), clis.run() as hosting:
        await say(server, FIRST)
        await wait_texts(server, 4)
        await say(server, SECOND)
        await wait_texts(server, 8)
        await hosting.wait_log("turn finished", 6)
        assert await hosting.stop() == 0
    replaced = {
        agent_id: await store.find(f"agent:{agent_id}:{ROOM_KEY}") != UNKNOWN for agent_id, store in stores.items()
    }
    assert replaced == {"codex_bot": True, "claude_bot": True, "pi_bot": False}  # pi begins one of this name
    for agent in clis.agents.values():
        assert FIRST in agent.turns()[1].history
    assert clis.request_counts() == dict.fromkeys(CLI_KINDS, 4)


async def test_a_model_that_is_down_is_reported_and_the_turn_done_when_it_is_back(
    server: Server, clis: AgentNode
) -> None:
    async with server.run(), clis.run() as hosting:
        await say(server, FIRST)
        await wait_texts(server, 4)
        for agent in clis.agents.values():
            agent.point_at(NOBODY_THERE)
        await say(server, SECOND)
        for reason in DOWN:
            await hosting.wait_log(reason)
        for agent in clis.agents.values():
            agent.point_at(agent.model.address)
        command = [str(MOLTNET), "node", "status", "MoltnetNode"]
        status = (await trio.run_process(command, cwd=clis.directory, capture_stdout=True)).stdout.decode()
        await wait_texts(server, 8)
        await hosting.wait_log("turn finished", 6)
        assert await hosting.stop() == 0
    assert [reason for reason in DOWN if reason not in status] == []
    for agent in clis.agents.values():
        first, second = agent.turns()
        assert FIRST in second.history
        assert SECOND not in first.history
    assert clis.request_counts() == dict.fromkeys(CLI_KINDS, 4)
