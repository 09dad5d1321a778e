"""The client against the real server: the values that one writes the other reads."""

import pytest
import trio

from moltnet.client.api import open_client
from moltnet.client.errors import ServerAnswered
from moltnet.config.settings import Registration
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.events import EventType
from moltnet.protocol.ids import DirectId, RoomId, ThreadId
from moltnet.protocol.messages import Actor, Part, SendMessageRequest, Target
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import CreateRoomRequest, UpdateRoomMembersRequest
from tests.fakes.server import ALPHA_TOKEN, OPERATOR_TOKEN, bearer_network, open_running_server

GENERAL = Target(kind="room", room_id=RoomId("general"))
THREAD = Target(kind="thread", room_id=RoomId("general"), thread_id=ThreadId("t1"))
DIRECT = Target(kind="dm", dm_id=DirectId("ab"), participant_ids=("alpha", "beta"))


def said(text: str, target: Target = GENERAL, id: str = "") -> SendMessageRequest:
    return SendMessageRequest(
        target=target, sender=Actor(type="agent", id="alpha"), parts=(Part(kind="text", text=text),), id=id
    )


async def test_an_agent_writes_and_reads_its_conversations() -> None:
    async with open_running_server(bearer_network()) as url, open_client(url, ALPHA_TOKEN, environ={}) as alpha:
        assert (await alpha.network()).id == "net_a"
        for target in (GENERAL, THREAD, DIRECT):
            for number in range(3):
                await alpha.send(said(f"{target.kind} {number}", target))
            page = await alpha.messages(target, PageRequest(limit=2))
            assert [message.parts[0].text for message in page.messages] == [f"{target.kind} 1", f"{target.kind} 2"]
            assert page.page.has_more
            older = await alpha.messages(target, PageRequest(limit=2, before=page.messages[0].id))
            assert [message.parts[0].text for message in older.messages] == [f"{target.kind} 0"]
        assert [room.id for room in (await alpha.rooms()).rooms] == ["general"]
        assert (await alpha.room("general")).members == ("alpha", "beta")
        assert (await alpha.thread("t1")).message_count == 3
        assert [thread.id for thread in (await alpha.threads("general")).threads] == ["t1"]
        assert (await alpha.dm("ab")).participant_ids == ("alpha", "beta")
        assert [dm.id for dm in (await alpha.dms()).dms] == ["ab"]


async def test_a_repeated_send_is_stored_once() -> None:
    async with open_running_server(bearer_network()) as url, open_client(url, ALPHA_TOKEN, environ={}) as alpha:
        first = await alpha.send(said("once", id="m1"))
        again = await alpha.send(said("once", id="m1"))
        assert (again.message_id, again.event_id) == (first.message_id, first.event_id)
        assert len((await alpha.messages(GENERAL)).messages) == 1
        with pytest.raises(ServerAnswered) as caught:
            await alpha.send(said("something else", id="m1"))
        assert (caught.value.status, caught.value.code) == (409, ErrorCode.MESSAGE_ID_CONFLICT)


async def test_an_operator_makes_rooms_and_changes_members() -> None:
    async with open_running_server(bearer_network()) as url, open_client(url, OPERATOR_TOKEN, environ={}) as operator:
        room = await operator.create_room(CreateRoomRequest(id="lab", members=("beta",)))
        assert (room.id, room.members) == ("lab", ("beta",))
        room = await operator.update_members("lab", UpdateRoomMembersRequest(add=("gamma",), remove=("beta",)))
        assert room.members == ("gamma",)
        assert {agent.id for agent in (await operator.agents()).agents} == {"alpha", "beta", "gamma"}
        assert (await operator.agent("alpha")).fqid == "molt://net_a/agents/alpha"
        with pytest.raises(ServerAnswered) as caught:
            await operator.create_room(CreateRoomRequest(id="lab"))
        assert (caught.value.status, caught.value.code) == (409, ErrorCode.ROOM_EXISTS)


async def test_a_claimed_agent_gets_a_token_that_works() -> None:
    network = bearer_network(registration=Registration.OPEN)
    async with open_running_server(network) as url:
        async with open_client(url, environ={}) as anonymous:
            registration = await anonymous.register_agent(RegisterAgentRequest("gamma", "Gamma"))
        async with open_client(url, registration.agent_token, environ={}) as gamma:
            again = await gamma.register_agent(RegisterAgentRequest("gamma"))
            assert again.actor_uid == registration.actor_uid
            assert again.agent_token == ""


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("wrong-token-0123456789abcdef", 401), (ALPHA_TOKEN, 403)])
async def test_a_refusal_has_a_code_and_a_request_id(token: str | None, status: int) -> None:
    async with open_running_server(bearer_network()) as url, open_client(url, token, environ={}) as client:
        with pytest.raises(ServerAnswered) as caught:
            await client.create_room(CreateRoomRequest(id="lab"))
        assert caught.value.status == status
        assert caught.value.code
        assert caught.value.request_id.startswith("req_")


async def test_events_arrive_and_are_resumed_by_cursor() -> None:
    async with open_running_server(bearer_network()) as url, open_client(url, OPERATOR_TOKEN, environ={}) as operator:
        with trio.fail_after(30):
            async with operator.events() as live:
                await operator.create_room(CreateRoomRequest(id="lab"))
                first = await live.__anext__()
                await operator.create_room(CreateRoomRequest(id="lab2"))
                second = await live.__anext__()
            assert [first.type, second.type] == [EventType.ROOM_CREATED] * 2
            async with operator.events(first.id) as resumed:
                assert (await resumed.__anext__()).id == second.id
