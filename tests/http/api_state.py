"""What a network knows, in plain dictionaries: who calls, what there is, who may see it, and how it looks on the wire.

Part of `api_model`. It shares no code with the server.
"""

from collections.abc import Iterator
from typing import Any, Final

import attrs

NETWORK: Final = "lab"
Document = dict[str, Any]


@attrs.frozen
class Answer:
    """A status with a document, or with the code of an error."""

    status: int
    content: Any


@attrs.frozen
class Caller:
    """Who holds a token: what it may do and whom it may speak as; no `agents` means whoever it has registered."""

    name: str
    observes: bool = False
    acts: bool = False
    admin: bool = False
    agents: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"token:{self.name}"


CALLERS: Final = {
    caller.name: caller
    for caller in (
        Caller("operator", observes=True, acts=True, admin=True),
        Caller("alpha", acts=True, agents=("alpha",)),
        Caller("beta", acts=True, agents=("beta",)),
        Caller("shared", acts=True),
        Caller("observer", observes=True),
        Caller(""),
    )
}


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(status, code)
        self.answer = Answer(status, code)


UNAUTHORIZED: Final = (401, "unauthorized")
MISSING_SCOPE: Final = (403, "missing_scope")
INVALID: Final = (422, "invalid_field")
UNKNOWN_ROOM: Final = (404, "unknown_room")
UNKNOWN_THREAD: Final = (404, "unknown_thread")
UNKNOWN_DIRECT: Final = (404, "unknown_direct_conversation")
UNKNOWN_AGENT: Final = (404, "unknown_agent")
INVALID_CURSOR: Final = (422, "invalid_cursor")


def fqid_of(text: str) -> str:
    """An agent's one name, from any spelling."""
    if text.startswith("molt://"):
        return text
    network, colon, agent = text.partition(":")
    return f"molt://{network}/agents/{agent}" if colon else f"molt://{NETWORK}/agents/{text}"


def canonical(text: str) -> str:
    """Bare for agents of this network, `network:agent` for others."""
    network, agent = fqid_of(text).removeprefix("molt://").split("/agents/")
    return agent if network == NETWORK else f"{network}:{agent}"


def without_empty(document: Document) -> Document:
    """Keys that say nothing are left out."""
    return {key: value for key, value in document.items() if value not in ("", [], None)}


@attrs.define
class Room:
    name: str
    members: list[str]
    visibility: str
    write_policy: str
    created_at: str
    removed: bool = False


@attrs.define
class Agent:
    key: str
    name: str
    created_at: str
    updated_at: str


@attrs.define
class Conversation:
    """A thread, which has a `room` and a `parent`, or a direct conversation, which has `people`."""

    count: int = 0
    last_at: str = ""
    room: str = ""
    parent: str = ""
    people: frozenset[str] = frozenset()


@attrs.define(eq=False)
class ApiState:
    """Rooms, agents, threads and direct conversations by id; messages by id in the order in which they came."""

    rooms: dict[str, Room] = attrs.Factory(dict)
    agents: dict[str, Agent] = attrs.Factory(dict)
    threads: dict[str, Conversation] = attrs.Factory(dict)
    directs: dict[str, Conversation] = attrs.Factory(dict)
    messages: dict[str, Document] = attrs.Factory(dict)

    # Who may what

    def live_rooms(self) -> Iterator[tuple[str, Room]]:
        return ((id, room) for id, room in sorted(self.rooms.items()) if not room.removed)

    def live_room(self, room_id: str) -> Room:
        room = self.rooms.get(room_id)
        if room is None or room.removed:
            raise Refused(*UNKNOWN_ROOM)
        return room

    def readable_room(self, caller: Caller, room_id: str) -> Room:
        room = self.live_room(room_id)
        if not self.may_read(caller, room):
            raise Refused(403, "not_readable")
        return room

    def agents_of(self, caller: Caller) -> list[str]:
        if not caller.acts:
            return []
        return list(caller.agents) or [id for id, agent in self.agents.items() if agent.key == caller.key]

    def may_read(self, caller: Caller, room: Room) -> bool:
        if caller.observes or room.visibility == "public":
            return True
        return any(is_member(room, fqid_of(agent_id)) for agent_id in self.agents_of(caller))

    def may_write(self, caller: Caller, sender: str, room: Room) -> bool:
        """`sender` is an FQID."""
        return caller.admin or room.write_policy == "operators" or is_member(room, sender)

    def takes_part(self, caller: Caller, direct: Conversation) -> bool:
        return caller.observes or not direct.people.isdisjoint(self.agents_of(caller))

    def check_conversation(self, caller: Caller, kind: str, id: str) -> None:
        """Refuse a caller who may not read it."""
        match kind:
            case "room":
                self.readable_room(caller, id)
            case "thread":
                if id not in self.threads:
                    raise Refused(*UNKNOWN_THREAD)
                self.readable_room(caller, self.threads[id].room)
            case _:
                self.require_party(caller)
                if id not in self.directs or not self.takes_part(caller, self.directs[id]):
                    raise Refused(*UNKNOWN_DIRECT)

    def require_party(self, caller: Caller) -> None:
        """Only who speaks for some agent has direct conversations, or sees all of them."""
        require(caller, bool(self.agents_of(caller)) or caller.observes)

    # How it looks

    def room_document(self, room_id: str, caller: Caller | None = None) -> Document:
        room = self.rooms[room_id]
        document: Document = {
            "id": room_id,
            "network_id": NETWORK,
            "fqid": f"molt://{NETWORK}/rooms/{room_id}",
            "name": room.name,
            "created_at": room.created_at,
            "members": room.members,
            "visibility": room.visibility,
            "write_policy": room.write_policy,
        }
        if caller is not None:
            reading = "public-read" if room.visibility == "public" else "private"
            senders = [fqid_of(agent_id) for agent_id in (*self.agents_of(caller), "nobody")]
            document["access"] = {
                "can_read": self.may_read(caller, room),
                "can_write": caller.acts and any(self.may_write(caller, sender, room) for sender in senders),
                "reason": f"{reading}/{room.write_policy}-write",
            }
        return without_empty(document)

    def thread_document(self, thread_id: str) -> Document:
        thread = self.threads[thread_id]
        return without_empty(
            {
                "id": thread_id,
                "network_id": NETWORK,
                "fqid": f"molt://{NETWORK}/threads/{thread_id}",
                "room_id": thread.room,
                "message_count": thread.count,
                "last_message_at": thread.last_at,
                "parent_message_id": thread.parent,
            }
        )

    def direct_document(self, direct_id: str) -> Document:
        direct = self.directs[direct_id]
        return {
            "id": direct_id,
            "network_id": NETWORK,
            "fqid": f"molt://{NETWORK}/dms/{direct_id}",
            "message_count": direct.count,
            "last_message_at": direct.last_at,
            "participant_ids": sorted(direct.people),
        }

    def registration(self, agent_id: str) -> Document:
        agent = self.agents[agent_id]
        return without_empty(
            {
                "network_id": NETWORK,
                "agent_id": agent_id,
                "actor_uri": fqid_of(agent_id),
                "created_at": agent.created_at,
                "updated_at": agent.updated_at,
                "display_name": agent.name,
            }
        )

    def agent_document(self, fqid: str, rooms: list[str]) -> Document:
        agent = self.agents.get(canonical(fqid))
        return without_empty(
            {
                "id": canonical(fqid),
                "network_id": fqid.removeprefix("molt://").partition("/")[0],
                "connected": False,
                "name": "" if agent is None else agent.name,
                "fqid": fqid,
                "rooms": rooms,
            }
        )


def require(caller: Caller, permitted: bool) -> None:
    if not caller.name:
        raise Refused(*UNAUTHORIZED)
    if not permitted:
        raise Refused(*MISSING_SCOPE)


def is_member(room: Room, fqid: str) -> bool:
    return fqid in map(fqid_of, room.members)


def artifacts_in(message: Document) -> Iterator[Document]:
    """The parts of a message that are more than text, as lists show them."""
    for index, part in enumerate(message["parts"]):
        if part["kind"] != "text" or {"url", "filename", "media_type"} & part.keys():
            id = f"art_{message['id']}_{index}"
            yield {
                "id": id,
                "network_id": NETWORK,
                "fqid": f"molt://{NETWORK}/artifacts/{id}",
                "message_id": message["id"],
                "target": message["target"],
                "part_index": index,
                "created_at": message["created_at"],
                **{key: value for key, value in part.items() if key not in ("text", "data")},
            }
