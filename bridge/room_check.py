"""Can the rooms of an attachment wake its agent? A look at each of them, beside a connection.

A room that does not exist, or where nobody can mention the agent, is no error on any side: the agent just never wakes.
So it is said, and nothing else follows from it. What the server itself must be is checked by `bridge.preflight`.
"""

import difflib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import attrs
import trio

from bridge import limits
from bridge.config import AttachmentConfig, RoomBinding, WakePolicy
from bridge.credential import find_token
from bridge.errors import AttachRefused, single_error
from moltnet.client.api import MoltnetClient, open_client
from moltnet.client.errors import BadServerAddress, BadToken, ClientError, ServerAnswered
from moltnet.log import get_logger
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import AgentAddress, parse_address
from moltnet.protocol.ids import AgentId, NetworkId
from moltnet.protocol.rooms import Room

log = get_logger("bridge.rooms")

# What wakes for nothing anyway is not looked at.
_ASLEEP = frozenset({WakePolicy.NEVER})


@attrs.define(eq=False)
class RoomCheck:
    """The look at the bound rooms of one attachment. What a connection found is not told again by the next one."""

    _config: AttachmentConfig
    _environ: Mapping[str, str]
    names: dict[str, str] = attrs.field(factory=dict, init=False)
    """What the rooms are called that were found, for prompts."""
    _told: frozenset[str] = attrs.field(default=frozenset(), init=False)

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Look while the block runs, which does not wait for it; what is not known at its end stays unknown."""
        with single_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.run)
                yield
                nursery.cancel_scope.cancel(reason="the connection ends")

    async def run(self) -> None:
        """Ask for each room, with the token of the attachment, and warn. Within `limits.PREFLIGHT_SECONDS`.

        A server that does not answer, or not to this token, is only noted: the connection shows whether it is well.
        """
        try:
            with trio.move_on_after(limits.PREFLIGHT_SECONDS):
                token = await find_token(self._config, self._environ)
                async with open_client(self._config.server.base_url, token, environ=self._environ) as client:
                    await self._look(client)
        except (AttachRefused, ClientError, BadServerAddress, BadToken) as error:
            log.debug("rooms not checked", reason=str(error))

    async def _look(self, client: MoltnetClient) -> None:
        found: list[str] = []
        for binding in self._config.rooms:
            if binding.wake.policy in _ASLEEP:
                continue
            try:
                room = await client.room(binding.id)
                self.names[binding.id] = room.name
                found += room_problems(self._config, binding, room)
            except ServerAnswered as answer:
                if not _is_hidden(answer):
                    raise
                found.append(f"{_unseen(self._config, binding)}{await _suggestion(client, binding.id)}")
        for problem in found:
            if problem not in self._told:
                log.warning(problem)
        self._told = frozenset(found)


def room_problems(config: AttachmentConfig, binding: RoomBinding, room: Room) -> Iterator[str]:
    """Why the agent never wakes for a room as the server shows it."""
    if room.access is not None and not room.access.can_read:
        yield _unseen(config, binding)
    elif binding.wake.policy is WakePolicy.MENTIONS and not _is_member(config, room):
        yield (
            f"{config.agent.id} is not a member of room {binding.id}, so nobody can mention it there; add it to members"
        )


def _is_member(config: AttachmentConfig, room: Room) -> bool:
    network_id = NetworkId(config.server.network_id)
    me = AgentAddress(network_id, AgentId(config.agent.id))
    return any(parse_address(member, network_id) == me for member in room.members)


def _unseen(config: AttachmentConfig, binding: RoomBinding) -> str:
    return (
        f"room {binding.id} does not exist on {config.server.network_id}, or this agent may not read it; "
        f"{config.agent.id} will not wake for it"
    )


def _is_hidden(answer: ServerAnswered) -> bool:
    """Whether the answer is about the room, and not about this way of asking. The reference names no codes for rooms;
    it says 403 only of a room that it does not show, or of a token that lacks a scope."""
    if answer.code:
        return answer.code in (ErrorCode.UNKNOWN_ROOM, ErrorCode.NOT_READABLE)
    return answer.status == 404 or (answer.status == 403 and "not readable" in answer.message)


async def _suggestion(client: MoltnetClient, room_id: str) -> str:
    """The readable room that may be meant, of those on the first page."""
    try:
        rooms = [room.id for room in (await client.rooms()).rooms]
    except ServerAnswered as answer:
        if answer.status == 404:  # it has no such routes, so its first answer said nothing of the room
            raise
        return ""
    close = difflib.get_close_matches(room_id, rooms, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
