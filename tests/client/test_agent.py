"""An agent of one's own: woken, answering, and attached again, against a scripted server and against a real one."""

import ast
import importlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio

from moltnet.client import limits
from moltnet.client.agent import AgentClient, open_agent, to_dm, to_room, to_thread
from moltnet.client.api import open_client
from moltnet.client.errors import AttachRefused, BadToken, ConnectionLost
from moltnet.client.wakes import Wakes
from moltnet.config.settings import AuthMode, MoltnetConfig, Registration
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.attachment import Delivered
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.messages import Message
from moltnet.protocol.network import Capabilities
from tests.docs.pages import Page
from tests.fakes import attach_server
from tests.fakes.attach_server import NETWORK, AttachServer, Peer, open_attach_server
from tests.fakes.messages import ME, created, gap, message, noise, sender
from tests.fakes.network import network_config, room, secret_of, token
from tests.fakes.server import open_running_server

ROOT: Final = Path(__file__).parents[2]
EXAMPLE: Final = ROOT / "examples" / "echo-agent" / "agent.py"


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AttachServer]:
    """Real sockets take real time: nobody waits long between two tries."""
    monkeypatch.setattr(limits, "RECONNECT_BASE_SECONDS", 0.01)
    monkeypatch.setattr(limits, "RECONNECT_CAP_SECONDS", 0.05)
    async with open_attach_server() as server:
        yield server


def lab() -> MoltnetConfig:
    """Mode bearer, nothing public: `echo` and `ann` in room general, each with the token of an agent."""
    return network_config(
        mode=AuthMode.BEARER,
        tokens=(token("echo", "attach write", "echo"), token("ann", "attach write", "ann")),
        rooms=(room("general", "ann", "echo"),),
    )


def mention(id: str, text: str = "hello") -> Message:
    return message(id, text, mentions=(ME,))


class TestWakes:
    async def test_mentions_and_dms_wake_and_all_else_is_settled(self, server: AttachServer) -> None:
        events = [
            noise(1),
            created(message("msg_unaddressed")),
            created(mention("msg_mention")),
            created(attrs.evolve(mention("msg_own"), sender=sender("agent-1"))),
            created(message("msg_dm", dm="d1")),
            created(mention("msg_last")),
        ]
        woken = []
        async with open_agent(server.base_url, "agent-1", environ={}) as agent, agent.wakes() as wakes:
            server.publish(*events)
            async for each in wakes:
                woken.append(each.id)
                if each.id == "msg_last":
                    break
            await wakes.ack()
            await server.wait_acked(*events)
        assert woken == ["msg_mention", "msg_dm", "msg_last"]
        assert server.acked == [event.id for event in events]
        assert wakes.cursor == events[-1].id

    async def test_a_program_may_choose_what_wakes_it(self, server: AttachServer) -> None:
        def is_urgent(message: Message) -> bool:
            return "urgent" in message.text

        server.publish(first := created(message("msg_1")), created(message("msg_2", "urgent!")))
        opening = open_agent(server.base_url, "agent-1", environ={})
        async with opening as agent, agent.wakes(first.id, wanted=is_urgent) as wakes:
            assert (await anext(wakes)).id == "msg_2"

    async def test_a_wake_is_acked_when_its_turn_of_the_loop_is_over(self, server: AttachServer) -> None:
        first, second = created(mention("msg_1")), created(mention("msg_2"))
        async with open_agent(server.base_url, "agent-1", environ={}) as agent, agent.wakes() as wakes:
            server.publish(first, second)
            assert (await anext(wakes)).id == "msg_1"
            assert server.acked == []
            assert (await anext(wakes)).id == "msg_2"
            await server.wait_acked(first)
            assert server.acked == [first.id]
            await wakes.ack()
            await wakes.ack()
            await server.wait_acked(first, second)

    async def test_after_a_loss_nothing_is_missed_or_seen_twice(self, server: AttachServer) -> None:
        first, second = created(mention("msg_1")), created(mention("msg_2"))
        async with open_agent(server.base_url, "agent-1", environ={}) as agent, agent.wakes() as wakes:
            server.publish(first)
            assert (await anext(wakes)).id == "msg_1"
            await server.peers[0].drop()
            server.publish(second)
            assert (await anext(wakes)).id == "msg_2"
        identified = server.peers[1].identified
        assert identified is not None
        assert identified.cursor == first.id

    async def test_what_an_exception_cut_comes_again_to_who_goes_on_there(self, server: AttachServer) -> None:
        server.publish(before := noise(1), created(mention("msg_1")), created(mention("msg_2")))
        ended: list[Wakes] = []

        async def fail_at_the_second(agent: AgentClient) -> None:
            async with agent.wakes(before.id) as wakes:
                ended.append(wakes)
                assert [(await anext(wakes)).id, (await anext(wakes)).id] == ["msg_1", "msg_2"]
                raise KeyError("mine")

        async with open_agent(server.base_url, "agent-1", environ={}) as agent:
            with pytest.raises(KeyError, match="mine"):
                await fail_at_the_second(agent)
            async with agent.wakes(ended[0].cursor) as again:
                assert (await anext(again)).id == "msg_2"

    async def test_a_cancelled_wait_loses_nothing(self, server: AttachServer) -> None:
        async with open_agent(server.base_url, "agent-1", environ={}) as agent, agent.wakes() as wakes:
            with trio.move_on_after(0) as scope:
                await anext(wakes)
            assert scope.cancelled_caught
            server.publish(created(mention("msg_1")))
            assert (await anext(wakes)).id == "msg_1"

    async def test_an_acknowledgement_that_is_cancelled_may_be_waited_for_again(self, server: AttachServer) -> None:
        async with open_agent(server.base_url, "agent-1", environ={}) as agent, agent.wakes() as wakes:
            server.publish(event := created(mention("msg_1")))
            assert (await anext(wakes)).id == "msg_1"
            with trio.move_on_after(0) as scope:
                await wakes.ack()
            assert scope.cancelled_caught
            await wakes.ack()
            assert wakes.cursor == event.id
            await server.wait_acked(event)

    async def test_waiting_for_a_server_that_says_nothing_can_be_cancelled(self, server: AttachServer) -> None:
        asked = trio.Event()

        async def say_nothing(peer: Peer) -> None:
            asked.set()
            await peer.gone.wait()

        async def attach() -> None:
            async with open_agent(server.base_url, "agent-1", environ={}) as agent, agent.wakes():
                pytest.fail("attached")

        server.scripts.append(say_nothing)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attach)
            await asked.wait()
            nursery.cancel_scope.cancel()
        await server.peers[0].gone.wait()

    async def test_missing_events_are_counted_and_are_no_place_to_go_on(self, server: AttachServer) -> None:
        server.publish(gap("evt_old"), created(mention("msg_1")))
        async with open_agent(server.base_url, "agent-1", environ={}) as agent, agent.wakes("evt_old") as wakes:
            assert (await anext(wakes)).id == "msg_1"
            assert (wakes.gaps, wakes.cursor) == (1, "evt_old")

    async def test_a_server_that_is_not_ready_is_waited_for(self, server: AttachServer) -> None:
        server.scripts.extend([attach_server.reject(503), attach_server.drop_during_upgrade])
        async with open_agent(server.base_url, "agent-1", environ={}) as agent, agent.wakes():
            assert len(server.peers) == 3

    async def test_a_refusal_ends_it_before_it_began(self, server: AttachServer) -> None:
        server.scripts.append(attach_server.reject(401))
        async with open_agent(server.base_url, "agent-1", environ={}) as agent:
            with pytest.raises(AttachRefused, match="asks for a token"):
                async with agent.wakes():
                    pytest.fail("attached")

    async def test_a_later_refusal_ends_the_loop_and_not_its_body(self, server: AttachServer) -> None:
        async with open_agent(server.base_url, "agent-1", environ={}) as agent, agent.wakes() as wakes:
            server.publish(created(mention("msg_1")))
            assert (await anext(wakes)).id == "msg_1"
            server.scripts.append(attach_server.refuse("not yours any more", 1008))
            await server.peers[0].drop()
            await wakes.ack()
            with pytest.raises(AttachRefused, match="not yours"):
                await anext(wakes)
            with pytest.raises(AttachRefused, match="not yours"):
                await anext(wakes)

    @pytest.mark.parametrize("patience_seconds", [0.0, 60.0])
    async def test_a_refusal_that_may_pass_is_borne_for_a_while(
        self, patience_seconds: float, server: AttachServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "REFUSAL_PATIENCE_SECONDS", patience_seconds)
        server.scripts.append(attach_server.refuse("already has an active attachment", None))
        async with open_agent(server.base_url, "agent-1", environ={}) as agent:
            try:
                async with agent.wakes():
                    borne = True
            except AttachRefused:
                borne = False
        assert borne == (patience_seconds > 0)


class TestAttach:
    async def test_everything_is_delivered_and_acked_one_by_one(self, server: AttachServer) -> None:
        async with open_agent(server.base_url, "agent-1", environ={}) as agent, agent.attach() as attachment:
            server.publish(event := noise(1))
            delivery = await anext(attachment)
            assert isinstance(delivery, Delivered)
            assert delivery.event == event
            await attachment.ack(delivery.cursor)
            await server.wait_acked(event)

    async def test_one_connection_ends_with_its_loss(self, server: AttachServer) -> None:
        server.scripts.append(attach_server.close(1012))
        async with open_agent(server.base_url, "agent-1", environ={}) as agent:
            with pytest.raises(ConnectionLost, match="1012"):
                async with agent.attach() as attachment:
                    await anext(attachment)

    async def test_another_network_than_the_one_that_is_meant_is_refused(self) -> None:
        async with (
            open_running_server(lab()) as url,
            open_agent(url, "echo", secret_of("echo"), network_id="other", environ={}) as agent,
        ):
            with pytest.raises(AttachRefused, match='"other" does not match "lab"'):
                async with agent.attach():
                    pytest.fail("attached")

    async def test_no_id_is_claimed_whose_token_nobody_would_keep(self, server: AttachServer) -> None:
        server.network = attrs.evolve(
            NETWORK, capabilities=Capabilities(attachment_protocol="websocket", agent_registration="open")
        )
        async with open_agent(server.base_url, "agent-1", environ={}) as agent:
            with pytest.raises(AttachRefused, match="claim its id first"):
                async with agent.attach():
                    pytest.fail("attached")
        assert server.peers == []

    @pytest.mark.parametrize(("status", "error"), [(403, AttachRefused), (503, ConnectionLost)])
    async def test_what_the_network_answers_is_a_refusal_or_a_loss(
        self, status: int, error: type[Exception], server: AttachServer
    ) -> None:
        server.network = status
        async with open_agent(server.base_url, "agent-1", environ={}) as agent:
            with pytest.raises(error, match=str(status)):
                async with agent.attach():
                    pytest.fail("attached")

    async def test_nobody_at_the_address_is_a_loss(self) -> None:
        async with open_agent("http://127.0.0.1:1", "agent-1", environ={}) as agent:
            with pytest.raises(ConnectionLost, match="refused"):
                async with agent.attach():
                    pytest.fail("attached")


async def test_what_can_never_work_is_said_at_once() -> None:
    with pytest.raises(ValueError, match="the agent's id"):
        async with open_agent("http://127.0.0.1:1", "no id"):
            pytest.fail("opened")
    with pytest.raises(BadToken):
        async with open_agent("http://127.0.0.1:1", "agent-1", "not a token"):
            pytest.fail("opened")


async def test_a_token_is_not_shown() -> None:
    async with open_agent("http://127.0.0.1:1", "agent-1", "secret-token", environ={}) as agent:
        assert "secret-token" not in repr(agent)


async def test_an_agent_speaks_in_rooms_threads_and_dms_and_answers_in_place() -> None:
    async with (
        open_running_server(lab()) as url,
        open_agent(url, "ann", secret_of("ann"), environ={}) as ann,
        open_agent(url, "echo", secret_of("echo"), environ={}) as echo,
    ):
        places = to_room("general"), to_thread("general", "t1"), to_dm("d1", ("ann", "echo"))
        async with echo.wakes() as wakes:
            for place in places:
                await ann.send_text(place, f"@echo in a {place.kind}", message_id=f"to-{place.kind}")
            for place in places:
                asked = await anext(wakes)
                assert asked.text == f"@echo in a {place.kind}"
                await echo.reply(asked, "here")
        for place in places:
            newest = (await ann.client.messages(place)).messages[-1]
            assert (newest.sender.id, newest.text) == ("echo", "here")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["private", "open"])
async def test_the_example_is_woken_and_answers(mode: str) -> None:
    config = lab() if mode == "private" else network_config(mode=AuthMode.OPEN, rooms=(room("general", "ann", "echo"),))
    async with open_running_server(config) as url:
        tokens = {name: secret_of(name) for name in ("ann", "echo")}
        if mode == "open":
            assert config.auth.agent_registration is Registration.OPEN
            async with open_client(url, environ={}) as anybody:
                tokens = {
                    name: (await anybody.register_agent(RegisterAgentRequest(name))).agent_token for name in tokens
                }
        environ = {**os.environ, "MOLTNET_URL": url, "MOLTNET_TOKEN": tokens["echo"], "PYTHONPATH": str(ROOT)}
        async with trio.open_nursery() as nursery, open_agent(url, "ann", tokens["ann"], environ={}) as ann:
            start = partial(trio.run_process, [sys.executable, str(EXAMPLE)], stdout=subprocess.PIPE, env=environ)
            process: trio.Process = await nursery.start(start)
            assert process.stdout is not None
            assert (await process.stdout.receive_some()).startswith(b"waiting for somebody")
            async with ann.wakes() as wakes:
                await ann.send_text(to_dm("d1", ("ann", "echo")), "Hello")
                answer = await anext(wakes)
                assert (answer.sender.fqid, answer.text) == (agent_fqid(answer.network_id, "echo"), "You said: Hello")
            nursery.cancel_scope.cancel()


def test_the_example_takes_less_than_thirty_lines() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 30


def test_the_page_shows_the_example_and_names_what_exists() -> None:
    blocks = [block.text for block in Page.read(ROOT / "docs" / "client.md").blocks("python")]
    # Without the docstring, which says what the page says.
    assert EXAMPLE.read_text().partition("\n\n")[2].strip() == blocks[0].strip()
    for block in blocks:
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.module is not None
                assert {alias.name for alias in node.names} <= set(dir(importlib.import_module(node.module)))
