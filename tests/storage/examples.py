"""Commands for tests: short to write, complete as the core makes them."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs
import orjson

from moltnet.protocol.agents import AgentRegistration
from moltnet.protocol.codec import encode
from moltnet.protocol.identity import AgentAddress, agent_fqid, parse_address, room_fqid
from moltnet.protocol.ids import ActorUid, AgentId, DirectId, MessageId, NetworkId, RoomId, ThreadId
from moltnet.protocol.messages import AGENT, Actor, Message, MessageOrigin, Part, PartKind, Target, TargetKind
from moltnet.protocol.rooms import Room
from moltnet.protocol.times import Timestamp, format_timestamp
from moltnet.storage.commands import (
    AppendMessage,
    CreateRoom,
    RegisterAgent,
    RemoveAgent,
    RemoveRoom,
    RestoreRoom,
    UpdateMembers,
)
from moltnet.storage.outbox import Relay
from moltnet.storage.records import History, StoredAgent

NETWORK: Final = NetworkId("net_a")
GENERAL: Final = RoomId("general")
_START: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def at(seconds: float) -> Timestamp:
    """A time, counted from the start of the test's world."""
    return format_timestamp(_START + timedelta(seconds=seconds))


def room(room_id: str = GENERAL, *members: str, seconds: float = 0, name: str = "") -> Room:
    return Room(
        id=RoomId(room_id),
        network_id=NETWORK,
        fqid=room_fqid(NETWORK, RoomId(room_id)),
        name=name or room_id,
        created_at=at(seconds),
        members=tuple(sorted(members)),
    )


def create_room(room_id: str = GENERAL, *members: str) -> CreateRoom:
    return CreateRoom(room(room_id, *members))


def update_members(room_id: str = GENERAL, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> UpdateMembers:
    return UpdateMembers(RoomId(room_id), tuple(add), tuple(remove), at(1))


def remove_room(room_id: str = GENERAL, *, seconds: float = 9) -> RemoveRoom:
    return RemoveRoom(RoomId(room_id), at(seconds))


def restore_room(room_id: str = GENERAL, *members: str, seconds: float = 10) -> RestoreRoom:
    return RestoreRoom(RoomId(room_id), members, at(seconds))


def remove_agent(agent_id: str, *, seconds: float = 9) -> RemoveAgent:
    return RemoveAgent(AgentAddress(NETWORK, AgentId(agent_id)), at(seconds))


def post(
    message_id: str,
    room_id: str = GENERAL,
    *,
    text: str = "hello",
    sender: str = "alpha",
    seconds: float = 0,
    addressed: Sequence[str] = (),
) -> AppendMessage:
    target = Target(kind=TargetKind.ROOM, room_id=RoomId(room_id))
    return _append(message_id, target, text, sender, seconds, addressed)


def thread_post(
    message_id: str,
    thread_id: str,
    room_id: str = GENERAL,
    *,
    parent: str = "",
    sender: str = "alpha",
    seconds: float = 0,
) -> AppendMessage:
    target = Target(
        kind=TargetKind.THREAD,
        room_id=RoomId(room_id),
        thread_id=ThreadId(thread_id),
        parent_message_id=MessageId(parent),
    )
    return _append(message_id, target, "hello", sender, seconds, ())


def direct_post(
    message_id: str,
    direct_id: str,
    participants: Iterable[str] = ("alpha", "beta"),
    *,
    sender: str = "alpha",
    seconds: float = 0,
) -> AppendMessage:
    target = Target(kind=TargetKind.DM, dm_id=DirectId(direct_id), participant_ids=tuple(participants))
    return _append(message_id, target, "hello", sender, seconds, ())


def relayed(command: AppendMessage, *pairings: str) -> AppendMessage:
    """The same message, which goes to other networks too."""
    relays = tuple(Relay(pairing, orjson.dumps({"id": command.message.id})) for pairing in pairings or ("to_b",))
    return attrs.evolve(command, relays=relays)


def with_parts(command: AppendMessage, *parts: Part) -> AppendMessage:
    """The same message with other content."""
    message = attrs.evolve(command.message, parts=parts)
    return attrs.evolve(command, message=message, body=encode(message), digest=hashlib.sha256(encode(message)).digest())


def link(url: str) -> Part:
    return Part(kind=PartKind.URL, url=url)


def _append(
    message_id: str, target: Target, text: str, sender: str, seconds: float, addressed: Sequence[str]
) -> AppendMessage:
    address = parse_address(sender, NETWORK)
    message = Message(
        id=MessageId(message_id),
        network_id=NETWORK,
        origin=MessageOrigin(NETWORK, message_id),
        target=target,
        sender=Actor(type=AGENT, id=sender, network_id=address.network_id, fqid=address.fqid),
        parts=(Part(kind=PartKind.TEXT, text=text),),
        created_at=at(seconds),
        mentions=tuple(addressed),
    )
    digest = hashlib.sha256(repr((target, sender, text)).encode()).digest()
    return AppendMessage(message, encode(message), digest, tuple(addressed))


def agent(agent_id: str, credential_key: str = "key", *, name: str = "", seconds: float = 0) -> StoredAgent:
    return StoredAgent(
        AgentRegistration(
            network_id=NETWORK,
            agent_id=AgentId(agent_id),
            actor_uid=ActorUid(f"actor_{agent_id}_{seconds}"),
            actor_uri=agent_fqid(NETWORK, agent_id),
            created_at=at(seconds),
            updated_at=at(seconds),
            display_name=name,
        ),
        credential_key,
    )


def register(agent_id: str, credential_key: str = "key", *, name: str = "", seconds: float = 0) -> RegisterAgent:
    return RegisterAgent(agent(agent_id, credential_key, name=name, seconds=seconds))


def room_history(room_id: str = GENERAL) -> History:
    return History(TargetKind.ROOM, RoomId(room_id))


def thread_history(thread_id: str) -> History:
    return History(TargetKind.THREAD, ThreadId(thread_id))


def direct_history(direct_id: str) -> History:
    return History(TargetKind.DM, DirectId(direct_id))
