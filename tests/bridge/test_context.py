"""What was said before: how much of it is asked for, from whom, and that a turn never fails for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from bridge import limits
from bridge.config import AttachmentConfig, AuthMode, DirectBinding, RoomBinding, TokenSource
from bridge.context import fetch_context, wanted_messages
from bridge.policy import Wake, WakeReason
from bridge.render import Context, render_body
from bridge.runtimes.runtime import Conversation
from bridge.turns import TurnMaker
from moltnet.client.api import open_client
from moltnet.config.secrets import Secret
from moltnet.protocol.ids import AgentId, MessageId, NetworkId, RoomId, event_id_of_message
from moltnet.protocol.messages import (
    AGENT,
    Actor,
    Message,
    MessageOrigin,
    Part,
    PartKind,
    SendMessageRequest,
    Target,
    TargetKind,
)
from tests.fakes.attachments import attachment_config
from tests.fakes.http_server import answer, open_scripted_server, silence
from tests.fakes.messages import NOW
from tests.fakes.ports import free_port
from tests.fakes.server import ALPHA_TOKEN, bearer_network, open_running_server

NET_A = NetworkId("net_a")
GENERAL = Target(kind=TargetKind.ROOM, room_id=RoomId("general"))
ROOM = Conversation(NET_A, TargetKind.ROOM, "general")


def config(base_url: str, directory: Path, count: int = 3, token: str = ALPHA_TOKEN) -> AttachmentConfig:
    """Agent `alpha` of `net_a`, whose turns in `general` show `count` earlier messages."""
    plain = attachment_config(directory)
    return attrs.evolve(
        plain,
        agent=attrs.evolve(plain.agent, id=AgentId("alpha")),
        server=attrs.evolve(
            plain.server,
            base_url=base_url,
            network_id=NET_A,
            auth_mode=AuthMode.BEARER,
            token=TokenSource(inline=Secret(token)),
        ),
        rooms=(RoomBinding(RoomId("general"), context_messages=count), RoomBinding(RoomId("other"))),
        dms=DirectBinding(enabled=True, context_messages=7),
    )


def said(id: str, text: str = "hello") -> Message:
    return Message(
        id=MessageId(id),
        network_id=NET_A,
        origin=MessageOrigin(NET_A, id),
        target=GENERAL,
        sender=Actor(type=AGENT, id="beta", name="", network_id=NET_A, fqid=f"molt://{NET_A}/agents/beta"),
        parts=(Part(kind=PartKind.TEXT, text=text),),
        created_at=NOW,
    )


def wake(id: str) -> Wake:
    message = said(id)
    event_id = event_id_of_message(message.id)
    return Wake(event_id, event_id, attrs.evolve(message, parts=()), WakeReason.ROOM, render_body(message))


async def fetch(config: AttachmentConfig, *wakes: Wake, token: str | None = ALPHA_TOKEN) -> Context:
    return await fetch_context(config, ROOM, wakes, token=token, environ={}, room_names={"general": "Town Hall"})


@pytest.fixture
async def base_url() -> AsyncIterator[str]:
    """A network where `alpha` has said msg_1 to msg_6 in `general`."""
    async with open_running_server(bearer_network()) as base_url:
        async with open_client(base_url, ALPHA_TOKEN, environ={}) as client:
            for number in range(1, 7):
                await client.send(
                    SendMessageRequest(
                        target=GENERAL,
                        sender=Actor(type=AGENT, id="alpha"),
                        parts=(Part(kind=PartKind.TEXT, text=f"text {number}"),),
                        id=f"msg_{number}",
                    )
                )
        yield base_url


async def test_the_messages_before_the_wake_are_fetched_in_order(base_url: str, tmp_path: Path) -> None:
    context = await fetch(config(base_url, tmp_path), wake("msg_5"), wake("msg_6"))
    assert [message.id for message in context.earlier] == ["msg_2", "msg_3", "msg_4"]
    assert (context.room_name, context.is_missing) == ("Town Hall", False)


async def test_at_the_beginning_of_a_room_there_is_nothing_before(base_url: str, tmp_path: Path) -> None:
    assert await fetch(config(base_url, tmp_path), wake("msg_1")) == Context("Town Hall")


async def test_a_prompt_shows_them(base_url: str, tmp_path: Path) -> None:
    maker = TurnMaker(config(base_url, tmp_path, 2), {})
    turn = await maker.make(ROOM, [wake("msg_6")], frozenset())
    lines = turn.prompt.splitlines()
    assert [line for line in lines if line.startswith("> ")] == ["> text 4", "> text 5", "> hello"]
    assert "--- Earlier 2/2 ---" in lines


@pytest.mark.parametrize("token", [None, "wrong-0123456789abcdef0123456789ab"])
async def test_what_the_credential_may_not_read_is_missing(base_url: str, tmp_path: Path, token: str | None) -> None:
    assert await fetch(config(base_url, tmp_path), wake("msg_5"), token=token) == Context("Town Hall", is_missing=True)


async def test_a_wake_that_the_server_does_not_know_has_no_context(base_url: str, tmp_path: Path) -> None:
    assert (await fetch(config(base_url, tmp_path), wake("msg_99"))).is_missing


async def test_without_a_wish_nothing_is_asked(tmp_path: Path) -> None:
    async with open_scripted_server() as server:
        assert await fetch(config(server.url, tmp_path, 0), wake("msg_1")) == Context("Town Hall")


async def test_a_server_that_is_gone_costs_no_turn(tmp_path: Path) -> None:
    assert (await fetch(config(f"http://127.0.0.1:{free_port()}", tmp_path), wake("msg_1"))).is_missing


async def test_a_server_that_does_not_answer_costs_no_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONTEXT_SECONDS", 0.5)
    async with open_scripted_server(silence()) as server:
        assert (await fetch(config(server.url, tmp_path), wake("msg_1"))).is_missing


@pytest.mark.parametrize("reply", [answer(200, b"no JSON"), answer(200, {"messages": 5}), answer(500), answer(404)])
async def test_an_answer_that_is_no_page_costs_no_turn(tmp_path: Path, reply: object) -> None:
    async with open_scripted_server(reply) as server:  # type: ignore[arg-type]  # `answer` gives replies
        assert (await fetch(config(server.url, tmp_path), wake("msg_1"))).is_missing


def test_each_conversation_shows_as_many_as_its_place_says(tmp_path: Path) -> None:
    settings = config("http://127.0.0.1:1", tmp_path)
    assert wanted_messages(settings, ROOM) == 3
    assert wanted_messages(settings, Conversation(NET_A, TargetKind.THREAD, "t1", "general")) == 3
    assert wanted_messages(settings, Conversation(NET_A, TargetKind.ROOM, "other")) == 0
    assert wanted_messages(settings, Conversation(NET_A, TargetKind.ROOM, "gone")) == 0
    assert wanted_messages(settings, Conversation(NET_A, TargetKind.DM, "dm_1")) == 7
