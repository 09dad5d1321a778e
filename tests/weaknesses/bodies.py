"""Request bodies as a stranger writes them: plain JSON values, without our types in between."""

from typing import Any

from tests.fakes.network import GENERAL

Body = dict[str, Any]


def said(text: str = "hello", **fields: Any) -> Body:
    """A text of `alpha` in the room `general`, changed by `fields`; `sender` stands for `from`."""
    body = {
        "target": {"kind": "room", "room_id": GENERAL},
        "from": fields.pop("sender", {"type": "agent", "id": "alpha"}),
        "parts": [{"kind": "text", "text": text}],
    }
    return body | fields


def in_thread(thread: str, room: str = GENERAL, **fields: Any) -> Body:
    return said(target={"kind": "thread", "room_id": room, "thread_id": thread, "parent_message_id": "m1"}, **fields)


def in_direct(direct: str, *participants: str, **fields: Any) -> Body:
    return said(target={"kind": "dm", "dm_id": direct, "participant_ids": list(participants)}, **fields)


def agent(agent_id: str) -> Body:
    """The sender of a message."""
    return {"type": "agent", "id": agent_id}
