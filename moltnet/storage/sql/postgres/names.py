"""Names that people choose, in a database whose text can't hold NUL: rooms and agents as PostgreSQL keeps them."""

import re

import attrs

from moltnet.protocol.ids import NetworkId
from moltnet.storage.records import StoredAgent, StoredRoom
from moltnet.storage.sql import rows
from moltnet.storage.sql.rows import Row


def room_row(stored: StoredRoom) -> Row:
    return rows.room_row(attrs.evolve(stored, room=attrs.evolve(stored.room, name=escaped(stored.room.name))))


def stored_room(row: Row, network_id: NetworkId) -> StoredRoom:
    stored = rows.stored_room(row, network_id)
    return attrs.evolve(stored, room=attrs.evolve(stored.room, name=unescaped(stored.room.name)))


def agent_row(agent: StoredAgent) -> Row:
    shown = escaped(agent.registration.display_name)
    return rows.agent_row(attrs.evolve(agent, registration=attrs.evolve(agent.registration, display_name=shown)))


def stored_agent(row: Row, network_id: NetworkId) -> StoredAgent:
    stored = rows.stored_agent(row, network_id)
    shown = unescaped(stored.registration.display_name)
    return attrs.evolve(stored, registration=attrs.evolve(stored.registration, display_name=shown))


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\0", "\\0")


def unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda pair: "\0" if pair[1] == "0" else pair[1], text) if "\\" in text else text


def sought(text: str) -> str:
    """What to look for in place of ``text``, which may hold anything: ids hold none of what is replaced, nor "?"."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode()
