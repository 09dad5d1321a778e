"""Making the network what its config file declares, at start (design §3.15).

A room is shaped only when its declaration changed since the last start, so members added at runtime stay; a removed
room is restored. Agents named by a token belong to that token.
"""

import hashlib
from collections.abc import Iterable

from moltnet.auth.tokens import static_key
from moltnet.config.settings import RoomSettings, TokenSettings
from moltnet.core.agents import new_agent
from moltnet.core.network import NetworkContext
from moltnet.core.rooms import room_from
from moltnet.log import get_logger
from moltnet.protocol.codec import encode
from moltnet.protocol.rooms import CreateRoomRequest
from moltnet.storage.commands import BindAgent, DeclareRoom

log = get_logger("server")


async def declare(context: NetworkContext, rooms: Iterable[RoomSettings], tokens: Iterable[TokenSettings]) -> None:
    """Raises ``StorageError``. Doing it again changes nothing."""
    for token in tokens:
        for agent_id in token.agents:
            agent = new_agent(context.id, agent_id, "", static_key(token.id), context.now())
            await context.journal.commit(BindAgent(agent))
    for room in rooms:
        request = CreateRoomRequest(room.id, room.name, room.members, room.visibility, room.write_policy)
        declaration = hashlib.sha256(encode(request)).hexdigest()
        outcome = await context.journal.commit(DeclareRoom(room_from(request, context.id, context.now()), declaration))
        if outcome.changed:
            log.info("room declared", room_id=room.id, members=len(room.members))
