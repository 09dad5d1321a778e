"""The look at the bound rooms: an agent that can never wake is told of, whatever else the server says."""

import logging
from pathlib import Path

import attrs
import pytest
import trio

from bridge import limits
from bridge.config import AttachmentConfig, RoomBinding, WakePolicy, WakeRule
from bridge.room_check import RoomCheck, room_problems
from moltnet.protocol.ids import NetworkId, RoomId
from moltnet.protocol.rooms import Room, RoomAccess
from moltnet.protocol.times import Timestamp
from tests.fakes.attach_server import AttachServer, Peer
from tests.fakes.attachments import attachment_config
from tests.fakes.lives import living
from tests.fakes.messages import created, message

pytestmark = pytest.mark.usefixtures("quick")

READABLE = RoomAccess(can_read=True, can_write=True, reason="")


def room(room_id: str, *members: str, access: RoomAccess | None = READABLE) -> Room:
    return Room(
        RoomId(room_id),
        NetworkId("net"),
        f"molt://net/rooms/{room_id}",
        room_id,
        Timestamp("2026-11-20T08:00:00Z"),
        members=members,
        access=access,
    )


def bound(config: AttachmentConfig, **rooms: WakePolicy) -> AttachmentConfig:
    bindings = (RoomBinding(RoomId(room_id), WakeRule(policy)) for room_id, policy in rooms.items())
    return attrs.evolve(config, rooms=tuple(bindings))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


async def test_a_room_that_does_not_exist_is_told_with_the_one_that_may_be_meant(
    server: AttachServer, config: AttachmentConfig, caplog: pytest.LogCaptureFixture
) -> None:
    server.rooms = {"general": room("general"), "alerts": room("alerts")}
    await RoomCheck(bound(config, genral=WakePolicy.ALL, zoo=WakePolicy.ALL), {}).run()
    assert warnings(caplog) == [
        "room genral does not exist on net, or this agent may not read it; agent-1 will not wake for it "
        "(did you mean general?)",
        "room zoo does not exist on net, or this agent may not read it; agent-1 will not wake for it",
    ]


async def test_an_agent_that_nobody_can_mention_is_told(
    server: AttachServer, config: AttachmentConfig, caplog: pytest.LogCaptureFixture
) -> None:
    server.rooms = {"general": room("general", "beta", "other:agent-1"), "alerts": room("alerts", "beta")}
    await RoomCheck(bound(config, general=WakePolicy.MENTIONS, alerts=WakePolicy.ALL), {}).run()
    assert warnings(caplog) == [
        "agent-1 is not a member of room general, so nobody can mention it there; add it to members"
    ]


@pytest.mark.parametrize("spelling", ["agent-1", "net:agent-1", "molt://net/agents/agent-1"])
def test_a_member_is_found_in_every_spelling(spelling: str, tmp_path: Path) -> None:
    config = bound(attachment_config(tmp_path), general=WakePolicy.MENTIONS)
    assert list(room_problems(config, config.rooms[0], room("general", spelling))) == []
    assert list(room_problems(config, config.rooms[0], room("general", f"{spelling}0"))) != []


def test_a_room_that_is_shown_but_not_readable_is_told(tmp_path: Path) -> None:
    config = bound(attachment_config(tmp_path), general=WakePolicy.ALL)
    closed = room("general", "agent-1", access=attrs.evolve(READABLE, can_read=False))
    (problem,) = room_problems(config, config.rooms[0], closed)
    assert "may not read it" in problem


async def test_rooms_that_shall_not_wake_the_agent_are_not_asked_for(
    server: AttachServer, config: AttachmentConfig
) -> None:
    await RoomCheck(bound(config, quiet=WakePolicy.NEVER), {}).run()
    assert server.asked_rooms == []


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_a_server_that_does_not_tell_is_only_a_note(
    status: int, server: AttachServer, config: AttachmentConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.rooms = status
    await RoomCheck(bound(config, general=WakePolicy.MENTIONS), {}).run()
    assert [(record.levelname, record.getMessage()) for record in caplog.records if "bridge" in record.name] == [
        ("DEBUG", "rooms not checked")
    ]


async def test_a_server_without_these_routes_is_only_a_note(
    server: AttachServer, config: AttachmentConfig, caplog: pytest.LogCaptureFixture
) -> None:
    server.rooms = 404
    await RoomCheck(bound(config, general=WakePolicy.MENTIONS), {}).run()
    assert warnings(caplog) == []


async def test_the_look_holds_up_no_delivery_and_ends_with_the_connection(
    config: AttachmentConfig, server: AttachServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, ended = trio.Event(), trio.Event()

    async def look_for_ever(self: RoomCheck, client: object) -> None:
        looking.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    monkeypatch.setattr(RoomCheck, "_look", look_for_ever)
    async with living(config) as life:
        await looking.wait()
        server.publish(first := created(message("msg_1")))
        await server.wait_acked(first)
        assert not ended.is_set()
        life.drain.set()
        await life.ended.wait()
    assert ended.is_set()


async def test_the_look_ends_by_itself(config: AttachmentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_for_ever(self: RoomCheck, client: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(RoomCheck, "_look", look_for_ever)
    monkeypatch.setattr(limits, "PREFLIGHT_SECONDS", 0.05)
    await RoomCheck(config, {}).run()


async def test_each_connection_looks_and_says_only_what_is_new(
    server: AttachServer, config: AttachmentConfig, caplog: pytest.LogCaptureFixture
) -> None:
    server.rooms = {"general": room("general", "agent-1")}
    check = RoomCheck(bound(config, genral=WakePolicy.ALL), {})
    await check.run()
    await check.run()
    assert len(warnings(caplog)) == 1
    caplog.clear()
    server.rooms["genral"] = room("genral")
    await check.run()
    del server.rooms["genral"]
    await check.run()
    assert len(warnings(caplog)) == 1


async def test_an_attachment_looks_once_for_each_connection(server: AttachServer, config: AttachmentConfig) -> None:
    server.rooms = {"general": room("general", "agent-1")}

    async def close_after_the_look(peer: Peer) -> None:
        await peer.attach()
        await server.wait_until(lambda server: len(server.asked_rooms) == 1)
        await peer.close(1012)

    server.scripts.append(close_after_the_look)
    async with living(bound(config, general=WakePolicy.ALL)):
        await server.wait_attached(2)
        await server.wait_until(lambda server: len(server.asked_rooms) == 2)
    assert server.asked_rooms == ["/v1/rooms/general"] * 2
