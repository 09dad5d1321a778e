"""What the HTTP API ought to answer: the rules of design §3 and of the message model over plain dictionaries.

It shares no code with the server. Documents are as on the wire, but without what the server draws at random.
Everything happens at `now`, which the test moves.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from tests.http.api_state import (
    CALLERS,
    INVALID,
    INVALID_CURSOR,
    NETWORK,
    UNKNOWN_AGENT,
    UNKNOWN_ROOM,
    Agent,
    Answer,
    ApiState,
    Caller,
    Conversation,
    Document,
    Refused,
    Room,
    artifacts_in,
    canonical,
    fqid_of,
    require,
    without_empty,
)

ID_KEYS: Final = {"room": "room_id", "thread": "thread_id", "dm": "dm_id"}
# Texts that the test sends, and the names in them as somebody who reads them would find them.
MENTIONS: Final = {
    "hello": (),
    "well done @beta.": ("beta",),
    "(@gamma) and @alpha, <@molt://net_b/agents/remote>!": ("gamma", "alpha", "molt://net_b/agents/remote"),
    "mail@nowhere @nobody": ("nobody",),
}


@attrs.define(eq=False)
class ApiModel(ApiState):
    """`declared` are the rooms of the config file."""

    declared: Mapping[str, Room] = attrs.Factory(dict)
    now: str = ""
    contents: dict[str, Any] = attrs.Factory(dict)

    # Changes

    def start(self) -> None:
        """The server starts: what the file declares is made so, if it is not there."""
        for caller in CALLERS.values():
            for agent_id in caller.agents:
                self._bind(agent_id, "", caller.key)
        for room_id, room in self.declared.items():
            known = self.rooms.get(room_id)
            if known is None or known.removed:
                self._shape(room_id, attrs.evolve(room, created_at=self.now))

    def create_room(self, caller: Caller, request: Document) -> Answer:
        require(caller, caller.admin)
        room = self._room(request)
        if request["id"] in self.rooms:
            raise Refused(409, "room_removed" if self.rooms[request["id"]].removed else "room_exists")
        self.rooms[request["id"]] = room
        return Answer(201, self.room_document(request["id"]))

    def change_members(self, caller: Caller, room_id: str, request: Document) -> Answer:
        require(caller, caller.admin)
        room = self.live_room(room_id)
        room.members = sorted(set(room.members).union(request["add"]).difference(request["remove"]))
        return Answer(200, self.room_document(room_id))

    def remove_room(self, caller: Caller, room_id: str) -> Answer:
        require(caller, caller.admin)
        room = self.live_room(room_id)
        room.removed, room.members = True, []
        return Answer(200, {"removed": True, "kind": "room", "id": room_id, "mode": "soft"})

    def restore_room(self, caller: Caller, room_id: str, request: Document) -> Answer:
        require(caller, caller.admin)
        if room_id not in self.rooms:
            raise Refused(*UNKNOWN_ROOM)
        room = self.rooms[room_id]
        if not room.removed:
            raise Refused(409, "room_exists")
        room.removed, room.members = False, sorted(set(request["members"]))
        return Answer(200, self.room_document(room_id))

    def apply(self, caller: Caller, request: Document) -> Answer:
        require(caller, caller.admin)
        for agent in request["agents"]:
            self._bind(agent["id"], agent["name"], agent["credential_key"])
        for room in request["rooms"]:
            self._shape(room["id"], self._room(room))
        rooms = [self.room_document(room["id"]) for room in request["rooms"]]
        agents = [self.registration(agent["id"]) for agent in request["agents"]]
        return Answer(200, without_empty({"applied": True, "rooms": rooms, "agents": agents}))

    def register(self, caller: Caller, request: Document) -> Answer:
        require(caller, caller.acts)
        agent_id, name = request["requested_agent_id"], request["name"]
        if caller.agents and agent_id not in caller.agents:
            raise Refused(403, "agent_not_allowed")
        known = self.agents.get(agent_id)
        if known is None:
            self.agents[agent_id] = Agent(caller.key, name, self.now, self.now)
            return Answer(201, self.registration(agent_id))
        if known.key != caller.key and not caller.admin:
            raise Refused(409, "agent_owned_by_other")
        known.name, known.updated_at = name or known.name, self.now
        return Answer(200, self.registration(agent_id))

    def remove_agent(self, caller: Caller, agent_id: str) -> Answer:
        require(caller, caller.admin)
        fqid = fqid_of(agent_id)
        rooms = [room for _, room in self.live_rooms() if fqid in map(fqid_of, room.members)]
        if agent_id not in self.agents and not rooms:
            raise Refused(*UNKNOWN_AGENT)
        for room in rooms:
            room.members = [member for member in room.members if fqid_of(member) != fqid]
        self.agents.pop(agent_id, None)
        return Answer(200, {"removed": True, "kind": "agent", "id": agent_id, "mode": "soft"})

    def send(self, caller: Caller, request: Document) -> Answer:
        require(caller, caller.acts)
        target = self._target(request)
        sender = self._sender(caller, request["from"])
        if target["kind"] != "dm":
            room = self.live_room(target["room_id"])
            if not self.may_write(caller, sender["fqid"], room):
                raise Refused(403, "room_write_forbidden")
        content = (target, {**sender, "name": ""}, request["parts"], request["mentions"])
        accepted = {"message_id": request["id"], "accepted": True, "thread_created": False, "dm_created": False}
        if request["id"] in self.messages:
            if self.contents[request["id"]] != content:
                raise Refused(409, "message_id_conflict")
            return Answer(202, accepted)
        match target["kind"]:
            case "dm":
                accepted["dm_created"] = self._extend_direct(target, sender)
            case "thread":
                accepted["thread_created"] = self._extend_thread(target)
        self.contents[request["id"]] = content
        self.messages[request["id"]] = without_empty(
            {
                "id": request["id"],
                "network_id": NETWORK,
                "origin": {"network_id": NETWORK, "message_id": request["id"]},
                "target": target,
                "from": without_empty(sender),
                "parts": request["parts"],
                "created_at": self.now,
                "mentions": self._mentioned(request),
            }
        )
        return Answer(202, accepted)

    # Lists: the items that a caller may see, in order, and where a page without a cursor begins

    def room_list(self, caller: Caller) -> list[Document]:
        return [self.room_document(id, caller) for id, room in self.live_rooms() if self.may_read(caller, room)]

    def agent_list(self, caller: Caller) -> list[Document]:
        own = {fqid_of(agent_id) for agent_id in self.agents_of(caller)}
        met: dict[str, list[str]] = {}
        for room_id, room in self.live_rooms():
            if self.may_read(caller, room):
                for fqid in {fqid_of(member) for member in room.members}:
                    met.setdefault(fqid, []).append(room_id)
        registered = {fqid_of(agent_id) for agent_id in self.agents}
        known = registered if caller.observes else registered & own
        documents = [self.agent_document(fqid, met.get(fqid, [])) for fqid in known.union(met)]
        return sorted(documents, key=lambda document: str(document["id"]))

    def thread_list(self, caller: Caller, room_id: str) -> list[Document]:
        self.readable_room(caller, room_id)
        return [self.thread_document(id) for id, thread in sorted(self.threads.items()) if thread.room == room_id]

    def direct_list(self, caller: Caller) -> list[Document]:
        self.require_party(caller)
        return [
            self.direct_document(id) for id, direct in sorted(self.directs.items()) if self.takes_part(caller, direct)
        ]

    def message_list(self, caller: Caller, kind: str, id: str) -> list[Document]:
        self.check_conversation(caller, kind, id)
        return [
            message
            for message in self.messages.values()
            if message["target"]["kind"] == kind and message["target"][ID_KEYS[kind]] == id
        ]

    def artifact_list(self, caller: Caller, kind: str, id: str) -> list[Document]:
        if kind != "dm":
            self.check_conversation(caller, kind, id)
        elif id not in self.directs or not self.takes_part(caller, self.directs[id]):
            return []
        found = (message for message in self.messages.values() if message["target"].get(ID_KEYS[kind]) == id)
        return [artifact for message in found for artifact in artifacts_in(message)]

    # Single documents

    def show_room(self, caller: Caller, room_id: str) -> Answer:
        self.readable_room(caller, room_id)
        return Answer(200, self.room_document(room_id, caller))

    def show_thread(self, caller: Caller, thread_id: str) -> Answer:
        self.check_conversation(caller, "thread", thread_id)
        return Answer(200, self.thread_document(thread_id))

    def show_direct(self, caller: Caller, direct_id: str) -> Answer:
        self.check_conversation(caller, "dm", direct_id)
        return Answer(200, self.direct_document(direct_id))

    def show_agent(self, caller: Caller, agent_id: str) -> Answer:
        for document in self.agent_list(caller):
            if document["fqid"] == fqid_of(agent_id):
                return Answer(200, document)
        raise Refused(*UNKNOWN_AGENT)

    # Inside

    def _room(self, request: Document) -> Room:
        members = sorted(set(request["members"]))
        return Room(request["name"] or request["id"], members, request["visibility"], request["write_policy"], self.now)

    def _shape(self, room_id: str, wanted: Room) -> None:
        known = self.rooms.get(room_id, wanted)
        self.rooms[room_id] = attrs.evolve(wanted, created_at=known.created_at)

    def _bind(self, agent_id: str, name: str, key: str) -> None:
        known = self.agents.get(agent_id)
        if known is None:
            self.agents[agent_id] = Agent(key, name, self.now, self.now)
        elif (known.key, known.name) != (key, name or known.name):
            known.key, known.name, known.updated_at = key, name or known.name, self.now

    def _target(self, request: Document) -> Document:
        target = request["target"]
        if not request["parts"]:
            raise Refused(*INVALID)
        if target["kind"] == "dm":
            participants = sorted(set(map(canonical, target["participant_ids"])))
            if len(participants) < 2:
                raise Refused(*INVALID)
            return {**target, "participant_ids": participants}
        return without_empty(target)

    def _sender(self, caller: Caller, claimed: Document) -> Document:
        agent_id = claimed["id"]
        if ":" in agent_id:
            raise Refused(403, "remote_actor_forbidden")
        known = self.agents.get(agent_id)
        if caller.agents and (claimed["type"] == "human" or agent_id not in caller.agents):
            raise Refused(403, "agent_not_allowed")
        if claimed["type"] == "human":
            if known is not None and not caller.admin:
                raise Refused(409, "agent_owned_by_other")
        elif known is None and not caller.admin:
            raise Refused(403, "agent_not_registered")
        elif known is not None and known.key != caller.key and not caller.admin:
            raise Refused(409, "agent_owned_by_other")
        return {
            "type": claimed["type"],
            "id": agent_id,
            "name": claimed["name"] if known is None or claimed["type"] == "human" else known.name,
            "network_id": NETWORK,
            "fqid": fqid_of(agent_id),
        }

    def _mentioned(self, request: Document) -> list[str]:
        target = request["target"]
        members = target["participant_ids"] if target["kind"] == "dm" else self.rooms[target["room_id"]].members
        named = [name for part in request["parts"] for name in MENTIONS.get(part.get("text", ""), ())]
        found: dict[str, None] = {}
        for candidate in (*request["mentions"], *named):
            spelled = {fqid_of(member) for member in members}
            if "/" in candidate:
                matches = spelled & {candidate}
            else:
                matches = {fqid for fqid in spelled if fqid.endswith(f"/agents/{candidate}")}
            if len(matches) == 1:
                found.update(dict.fromkeys(matches))
        return list(found)

    def _extend_thread(self, target: Document) -> bool:
        new = target["thread_id"] not in self.threads
        thread = self.threads.get(
            target["thread_id"], Conversation(room=target["room_id"], parent=target.get("parent_message_id", ""))
        )
        if thread.room != target["room_id"]:
            raise Refused(409, "thread_in_other_room")
        self.threads[target["thread_id"]] = attrs.evolve(thread, count=thread.count + 1, last_at=self.now)
        return new

    def _extend_direct(self, target: Document, sender: Document) -> bool:
        known = self.directs.get(target["dm_id"])
        named = frozenset(target["participant_ids"])
        direct = Conversation(people=named) if known is None else known
        if sender["id"] not in direct.people:
            raise Refused(403, "not_a_participant")
        self.directs[target["dm_id"]] = attrs.evolve(
            direct, people=direct.people | named, count=direct.count + 1, last_at=self.now
        )
        return known is None


def page_of(
    items: Sequence[Document], limit: int, *, before: str = "", after: str = "", newest_first: bool = False
) -> tuple[list[Document], Document]:
    """A page and what it says of itself. Raises `Refused` for a cursor that is not in the list."""
    ids = [item["id"] for item in items]
    cursor = before or after
    if cursor and cursor not in ids:
        raise Refused(*INVALID_CURSOR)
    backwards = bool(before) or (newest_first and not after)
    if backwards:
        rest = items[: ids.index(before)] if before else items
        page = rest[max(0, len(rest) - limit) :]
    else:
        rest = items[ids.index(after) + 1 :] if after else items
        page = rest[:limit]
    if len(page) == len(rest):
        return list(page), {"has_more": False}
    name, edge = ("next_before", page[0]) if backwards else ("next_after", page[-1])
    return list(page), {"has_more": True, name: edge["id"]}
