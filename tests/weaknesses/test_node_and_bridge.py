"""Node and bridge where the reference implementation is weak: what this one does instead, on a real network.

Which weakness each test is about stands in `node_and_bridge`, with the tests that lie beside the code.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import trio

from bridge.activity import Brake
from bridge.config import AttachmentConfig, AuthMode, BrakeSettings, RoomBinding, TokenSource
from bridge.loop import run_attachment
from bridge.runtimes.runtime import Runtime, Turn
from bridge.status import AttachmentState
from moltnet.client.api import open_client
from moltnet.config.secrets import Secret, write_token_file
from moltnet.config.settings import AuthMode as ServerMode
from moltnet.config.settings import (
    AuthSettings,
    MoltnetConfig,
    NetworkSettings,
    RoomSettings,
    Scope,
    StorageKind,
    StorageSettings,
    TokenSettings,
)
from moltnet.protocol.ids import AgentId, NetworkId, RoomId
from moltnet.protocol.messages import HUMAN, Actor, Part, PartKind, SendMessageRequest, Target, TargetKind
from node.config import NodeConfig
from node.control import Operation, Request, serve_control, socket_path
from node.control_client import ask
from node.report import AttachmentReport
from node.supervisor import Node, run_node
from tests.expected_errors import ExpectedErrors
from tests.fakes.nodes import node_config
from tests.fakes.server import open_running_server

ROOM = RoomId("general")
GOOD = "alpha-0123456789abcdef0123456789abc"


def network(auth: AuthSettings | None = None) -> MoltnetConfig:
    return MoltnetConfig(
        network=NetworkSettings(NetworkId("net"), "Net"),
        auth=auth or AuthSettings(),
        storage=StorageSettings(kind=StorageKind.MEMORY),
        rooms=(RoomSettings(ROOM, "General", ("alpha", "beta")),),
    )


def at(url: str, config: NodeConfig, change: Callable[[AttachmentConfig], AttachmentConfig]) -> NodeConfig:
    """The node with its agents in the room of the server at `url`."""
    attachments = tuple(
        change(attrs.evolve(each, server=attrs.evolve(each.server, base_url=url), rooms=(RoomBinding(ROOM),)))
        for each in config.attachments
    )
    return attrs.evolve(config, attachments=attachments)


async def say(url: str, actor: Actor, text: str) -> None:
    async with open_client(url, None, environ={}) as client:
        target = Target(kind=TargetKind.ROOM, room_id=ROOM)
        await client.send(SendMessageRequest(target=target, sender=actor, parts=(Part(kind=PartKind.TEXT, text=text),)))


@attrs.define(eq=False)
class Talker:
    """An agent that always has an answer."""

    url: str
    agent_id: AgentId
    turns: int = 0

    async def run_turn(self, _turn: Turn) -> None:
        self.turns += 1
        await say(self.url, Actor(type="agent", id=self.agent_id), f"I disagree, for the {self.turns}. time.")


@asynccontextmanager
async def running(
    config: NodeConfig,
    run: Callable[..., Awaitable[None]] = run_attachment,
    reread: Callable[[], NodeConfig] | None = None,
) -> AsyncIterator[tuple[Node, Callable[[], Awaitable[dict[str, AttachmentReport]]]]]:
    """A node, and what its control socket says of its agents."""
    drain = trio.Event()

    async def reports() -> dict[str, AttachmentReport]:
        answer = await ask(socket_path(config.state_path, config.source), Request(Operation.STATUS))
        assert answer.status is not None
        return {each.agent_id: each for each in answer.status.attachments}

    async with trio.open_nursery() as around:
        async with trio.open_nursery() as nursery:
            start = partial(run_node, config, drain=drain, environ={}, run_attachment=run, load=reread)
            node: Node = await nursery.start(start)
            await around.start(serve_control, node, node.reload)
            yield node, reports
            drain.set()
        around.cancel_scope.cancel()


async def wait_until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - it comes true in many places
            await trio.sleep(0.02)


async def test_two_agents_that_answer_each_other_stop_at_their_turns_of_an_hour(tmp_path: Path) -> None:
    talkers: dict[str, Talker] = {}

    @asynccontextmanager
    async def open_talker(config: AttachmentConfig) -> AsyncIterator[Runtime]:
        yield talkers.setdefault(config.agent.id, Talker(config.server.base_url, config.agent.id))

    def braked(config: AttachmentConfig) -> AttachmentConfig:
        return attrs.evolve(config, brakes=BrakeSettings(cooldown_seconds=0, turns_per_hour=3))

    run = partial(run_attachment, open_runtime=open_talker)
    async with open_running_server(network()) as url:
        config = at(url, node_config(tmp_path, "alpha", "beta"), braked)
        async with running(config, run) as (node, reports):
            await wait_until(lambda: all(each.state is AttachmentState.ATTACHED for each in node.statuses.values()))
            await say(url, Actor(type=HUMAN, id="ada"), "Discuss.")
            await wait_until(
                lambda: any(
                    activity.brake is Brake.BUDGET
                    for status in node.statuses.values()
                    for activity in status.activities.values()
                )
            )
            await trio.sleep(0.2)  # what else they could do
            assert max(talker.turns for talker in talkers.values()) == 3
            shown = [each for report in (await reports()).values() for each in report.conversations]
            assert {each.held_by for each in shown} == {"turns_per_hour"}
            assert all(each.messages >= 1 for each in shown)
        turns = sum(talker.turns for talker in talkers.values())
        # Another node on the same state gives nobody new turns.
        async with running(config, run) as (node, _):
            await wait_until(lambda: all(each.state is AttachmentState.ATTACHED for each in node.statuses.values()))
            await say(url, Actor(type=HUMAN, id="ada"), "Go on.")
            await trio.sleep(0.2)
            assert max(talker.turns for talker in talkers.values()) == 3
            assert sum(talker.turns for talker in talkers.values()) <= turns + 3


async def test_a_node_is_changed_and_asked_while_one_of_its_agents_is_refused(
    tmp_path: Path, expected_errors: ExpectedErrors
) -> None:
    path = tmp_path / "alpha.token"
    write_token_file(path, "somebody-elses-token-0123456789abcd")

    def with_token(config: AttachmentConfig) -> AttachmentConfig:
        source = TokenSource(path=path) if config.agent.id == "alpha" else TokenSource(inline=Secret(GOOD))
        return attrs.evolve(
            config, server=attrs.evolve(config.server, auth_mode=AuthMode.BEARER, token=source), rooms=()
        )

    agents = (AgentId("alpha"), AgentId("beta"))
    auth = AuthSettings(
        mode=ServerMode.BEARER, tokens=(TokenSettings("good", Secret(GOOD), frozenset({Scope.ATTACH}), agents),)
    )

    @asynccontextmanager
    async def open_silent(config: AttachmentConfig) -> AsyncIterator[Runtime]:
        yield Talker(config.server.base_url, config.agent.id)

    async with open_running_server(network(auth)) as url:
        config = at(url, node_config(tmp_path, "alpha", "beta"), with_token)
        smaller = attrs.evolve(config, attachments=config.attachments[:1])
        run = partial(run_attachment, open_runtime=open_silent)
        async with running(config, run, lambda: smaller) as (node, reports):
            await wait_until(
                lambda: (
                    [each.state for each in node.statuses.values()]
                    == [AttachmentState.PARKED, AttachmentState.ATTACHED]
                )
            )
            alpha, beta = (await reports()).values()
            assert "401" in alpha.parked_reason
            assert alpha.retry_at
            assert (beta.state, beta.last_error) == ("attached", "")
            assert (await node.reload()).removed == ("beta",)
            write_token_file(path, GOOD)
            await wait_until(lambda: node.statuses["alpha"].state is AttachmentState.ATTACHED)
            await wait_until(lambda: set(node.statuses) == {"alpha"})
    expected_errors.take("parked")
