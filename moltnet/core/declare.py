"""Making the network what its config file declares, at start and at a reload (design §3.15).

A room is shaped only when its declaration changed since the last time, so members added at runtime stay; a removed
room is restored. Agents named by a token belong to that token. All of it is one transaction, and nothing that is
stored can make it fail.
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
from moltnet.storage.commands import DeclareNetwork, DeclareRoom

log = get_logger("server")


async def declare(context: NetworkContext, rooms: Iterable[RoomSettings], tokens: Iterable[TokenSettings]) -> None:
    """Raises ``StorageError``; then nothing has changed. Doing it again changes nothing."""
    now = context.now()
    agents = tuple(
        new_agent(context.id, agent_id, "", static_key(token.id), now) for token in tokens for agent_id in token.agents
    )
    declared = tuple(_declaration(context, room) for room in rooms)
    outcome = await context.journal.commit(DeclareNetwork(agents, declared))
    for stored in outcome.rooms:
        if stored.changed:
            log.info("room declared", room_id=stored.room.id, members=len(stored.room.members))


def _declaration(context: NetworkContext, room: RoomSettings) -> DeclareRoom:
    request = CreateRoomRequest(room.id, room.name, room.members, room.visibility, room.write_policy)
    digest = hashlib.sha256(encode(request)).hexdigest()
    return DeclareRoom(room_from(request, context.id, context.now()), digest)
