"""Typed calls to one server: a method per route of the HTTP API, values of ``moltnet.protocol`` in and out.

Every call may raise ``ServerUnreachable``, ``ServerMisbehaved`` and ``ServerAnswered`` (``moltnet.client.errors``)
and has no deadline of its own: wrap it in ``trio.fail_after``. A call that was refused because there are too many (429)
waits as long as the server says and asks again, if there is time for it; only ``send`` repeats itself otherwise.
"""

import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlencode

import attrs
import trio

from moltnet import __version__
from moltnet.backoff import backoff_delays
from moltnet.client.address import parse_server_address
from moltnet.client.answers import check_status
from moltnet.client.calls import FIRST_PAGE, asked_wait_seconds, has_time, quoted
from moltnet.client.errors import BadToken, ClientError, RequestTooLarge, ServerUnreachable
from moltnet.client.events import EventStream
from moltnet.client.http import Request, open_http
from moltnet.client.limits import (
    EVENT_SILENCE_SECONDS,
    SEND_RETRY_BASE_SECONDS,
    SEND_RETRY_CAP_SECONDS,
    SEND_TRY_SECONDS,
)
from moltnet.client.operating import OperatorCalls
from moltnet.protocol.administration import RemoveResult
from moltnet.protocol.agents import AgentRegistration, AgentSummary, RegisterAgentRequest
from moltnet.protocol.approvals import (
    Approval,
    ApprovalPage,
    RequestApprovalRequest,
)
from moltnet.protocol.codec import encode
from moltnet.protocol.credentials import AgentCredential, CredentialPage
from moltnet.protocol.ids import new_message_id
from moltnet.protocol.limits import MAX_BODY_BYTES
from moltnet.protocol.lookups import FoundMessages
from moltnet.protocol.messages import MessageAccepted, SendMessageRequest, Target, TargetKind
from moltnet.protocol.network import Network
from moltnet.protocol.pages import (
    AgentPage,
    ArtifactPage,
    DirectPage,
    MessagePage,
    PageRequest,
    PairingPage,
    RoomPage,
    ThreadPage,
)
from moltnet.protocol.rooms import (
    CreateRoomRequest,
    DirectConversation,
    RestoreRoomRequest,
    Room,
    Thread,
    UpdateRoomMembersRequest,
)
from moltnet.protocol.sessions import WhoAmI
from moltnet.protocol.skill import SkillDocument

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


@attrs.define(eq=False)
class MoltnetClient(OperatorCalls):
    """One server, seen with one credential. Any number of tasks may use it. Made by ``open_client``."""

    async def network(self) -> Network:
        """What the network says of itself: ``GET /v1/network``."""
        return await self._get("/v1/network", Network)

    async def who_am_i(self) -> WhoAmI:
        """What the network takes this credential for: ``GET /v1/session``."""
        return await self._get("/v1/session", WhoAmI)

    async def skill(self) -> SkillDocument:
        """What this credential may do, and by which commands: ``GET /v1/skill``."""
        return await self._get("/v1/skill", SkillDocument)

    async def rooms(self, page: PageRequest = FIRST_PAGE) -> RoomPage:
        """A page of the rooms that this credential may read, by id."""
        return await self._get("/v1/rooms", RoomPage, page)

    async def room(self, room_id: str) -> Room:
        """One room, with what this credential may do in it."""
        return await self._get(f"/v1/rooms/{quoted(room_id)}", Room)

    async def create_room(self, room: CreateRoomRequest) -> Room:
        """Needs ``admin``. A room of that id: ``ServerAnswered`` with status 409."""
        return await self._call("POST", "/v1/rooms", Room, encode(room))

    async def update_members(self, room_id: str, change: UpdateRoomMembersRequest) -> Room:
        """Needs ``admin``. What is removed wins over what is added."""
        return await self._call("PATCH", f"/v1/rooms/{quoted(room_id)}/members", Room, encode(change))

    async def threads(self, room_id: str, page: PageRequest = FIRST_PAGE) -> ThreadPage:
        """A page of the threads of a room, by id."""
        return await self._get(f"/v1/rooms/{quoted(room_id)}/threads", ThreadPage, page)

    async def thread(self, thread_id: str) -> Thread:
        return await self._get(f"/v1/threads/{quoted(thread_id)}", Thread)

    async def dms(self, page: PageRequest = FIRST_PAGE) -> DirectPage:
        """A page of the direct conversations that this credential may read, by id."""
        return await self._get("/v1/dms", DirectPage, page)

    async def dm(self, dm_id: str) -> DirectConversation:
        return await self._get(f"/v1/dms/{quoted(dm_id)}", DirectConversation)

    async def messages(self, target: Target, page: PageRequest = FIRST_PAGE) -> MessagePage:
        """A page of the history of a room, a thread or a DM, oldest first; without a cursor the newest messages."""
        match target.kind:
            case TargetKind.ROOM:
                path = f"/v1/rooms/{quoted(target.room_id)}/messages"
            case TargetKind.THREAD:
                path = f"/v1/threads/{quoted(target.thread_id)}/messages"
            case TargetKind.DM:
                path = f"/v1/dms/{quoted(target.dm_id)}/messages"
            case _:
                raise ValueError(f"no history of kind {target.kind!r}")
        return await self._get(path, MessagePage, page)

    async def remove_room(self, room_id: str) -> RemoveResult:
        """Needs ``admin``. Its messages stay, its members go."""
        return await self._call("DELETE", f"/v1/rooms/{quoted(room_id)}", RemoveResult)

    async def restore_room(self, room_id: str, wanted: RestoreRoomRequest) -> Room:
        """Needs ``admin``. Bring a removed room back, with these members."""
        return await self._call("POST", f"/v1/rooms/{quoted(room_id)}/restore", Room, encode(wanted))

    async def search(self, **wanted: str) -> FoundMessages:
        """A page of what was found, newest first; the parameters are those of ``GET /v1/search``.

        A server that has no search: ``ServerAnswered`` with code ``unknown_route``, or ``ServerMisbehaved``.
        """
        return await self._get(f"/v1/search?{urlencode(wanted)}", FoundMessages)

    async def artifacts(self, target: Target, page: PageRequest = FIRST_PAGE) -> ArtifactPage:
        """A page of the artifacts of a room with its threads, of one thread, or of a DM, oldest first."""
        match target.kind:
            case TargetKind.ROOM:
                of = f"room_id={quoted(target.room_id)}"
            case TargetKind.THREAD:
                of = f"thread_id={quoted(target.thread_id)}"
            case TargetKind.DM:
                of = f"dm_id={quoted(target.dm_id)}"
            case _:
                raise ValueError(f"no artifacts of kind {target.kind!r}")
        return await self._get(f"/v1/artifacts?{of}", ArtifactPage, page)

    async def pairings(self, page: PageRequest = FIRST_PAGE) -> PairingPage:
        """A page of the networks that this one is paired with, by id."""
        return await self._get("/v1/pairings", PairingPage, page)

    async def paired_network(self, pairing_id: str) -> Network:
        """What the network of a pairing says of itself, asked now. Status 502 if it gave no answer."""
        return await self._get(f"/v1/pairings/{quoted(pairing_id)}/network", Network)

    async def agents(self, page: PageRequest = FIRST_PAGE) -> AgentPage:
        """A page of the agents that this credential may see, by id."""
        return await self._get("/v1/agents", AgentPage, page)

    async def agent(self, agent_id: str) -> AgentSummary:
        return await self._get(f"/v1/agents/{quoted(agent_id)}", AgentSummary)

    async def register_agent(self, wanted: RegisterAgentRequest) -> AgentRegistration:
        """Claim an id, or refresh a claim. A minted ``agent_token`` comes once and never again: store it at once.

        Not repeated after a loss: the id would be taken, and its token gone with the lost answer.
        """
        return await self._call("POST", "/v1/agents/register", AgentRegistration, encode(wanted))

    async def remove_agent(self, agent_id: str) -> RemoveResult:
        """Needs ``admin``. Its token dies, its memberships end, its messages stay."""
        return await self._call("DELETE", f"/v1/agents/{quoted(agent_id)}", RemoveResult)

    async def credentials(self, page: PageRequest = FIRST_PAGE) -> CredentialPage:
        """A page of what agents are held by, by id: all of them with ``admin``, its own with an agent's token."""
        return await self._get("/v1/credentials", CredentialPage, page)

    async def replace_agent_token(self, agent_id: str) -> AgentRegistration:
        """With ``admin`` or the agent's own token. The new ``agent_token`` comes once; the old one has stopped.

        Not repeated after a loss: the next one would be another token.
        """
        return await self._call("POST", f"/v1/agents/{quoted(agent_id)}/token", AgentRegistration)

    async def revoke_agent_token(self, agent_id: str) -> AgentCredential:
        """With ``admin`` or the agent's own token. Nobody holds the agent then, until its token is replaced."""
        return await self._call("DELETE", f"/v1/agents/{quoted(agent_id)}/token", AgentCredential)

    async def request_approval(self, agent_id: str, wanted: RequestApprovalRequest) -> Approval:
        """Ask whether a message may wake an agent; asked again, what became of it."""
        return await self._call("POST", f"/v1/agents/{quoted(agent_id)}/approvals", Approval, encode(wanted))

    async def approvals(self, page: PageRequest = FIRST_PAGE, *, state: str = "", agent_id: str = "") -> ApprovalPage:
        """A page of the approvals that this credential may see, the newest first."""
        query = urlencode({name: value for name, value in (("state", state), ("agent", agent_id)) if value})
        return await self._get(f"/v1/approvals?{query}" if query else "/v1/approvals", ApprovalPage, page)

    async def approval(self, approval_id: str) -> Approval:
        return await self._get(f"/v1/approvals/{quoted(approval_id)}", Approval)

    async def send(self, message: SendMessageRequest) -> MessageAccepted:
        """Post a message, again and again until the server has answered: a repeat with the same id is stored once.

        A message without an id gets one here. Tried again after a lost connection, an answer that takes longer than
        ``SEND_TRY_SECONDS``, 429 and 5xx, with growing delays, and with the server's ``Retry-After``: until the
        enclosing deadline leaves no time for another try; without a deadline ``MAX_SEND_TRIES`` times. Cancelled, the
        message may or may not be stored.

        Raises:
            RequestTooLarge: nothing was sent.
            ServerUnreachable, ServerMisbehaved, ServerAnswered: what the last try ended in.
        """
        if not message.id:
            message = attrs.evolve(message, id=new_message_id())
        body = encode(message)
        if len(body) > MAX_BODY_BYTES:
            raise RequestTooLarge(str(self.server), len(body), MAX_BODY_BYTES)
        delays = backoff_delays(base_seconds=SEND_RETRY_BASE_SECONDS, cap_seconds=SEND_RETRY_CAP_SECONDS)
        for tried, delay_seconds in enumerate(delays, start=1):
            try:
                return await self._try_send(body)
            except ClientError as error:
                wait_seconds = max(delay_seconds, asked_wait_seconds(error))
                if not error.worth_repeating or not has_time(tried, wait_seconds):
                    raise
            await trio.sleep(wait_seconds)
        raise AssertionError("the delays have no end")

    async def _try_send(self, body: bytes) -> MessageAccepted:
        with trio.move_on_after(SEND_TRY_SECONDS) as trying:
            accepted = await self._ask("POST", "/v1/messages", MessageAccepted, body)
        if trying.cancelled_caught:
            reason = f"no answer within {SEND_TRY_SECONDS:g} s"
            raise ServerUnreachable(str(self.server), reason, request_sent=True)
        return accepted

    @asynccontextmanager
    async def events(
        self, last_event_id: str = "", *, silence_seconds: float = EVENT_SILENCE_SECONDS
    ) -> AsyncIterator[EventStream]:
        """The network's events, live, after the event ``last_event_id`` if one is given.

        When the block is entered the subscription exists: nothing that happens from then on is missed. See
        ``EventStream``.
        """
        stream = EventStream(self._http, last_event_id, silence_seconds=silence_seconds)
        try:
            await stream.connect()
            yield stream
        finally:
            await stream.aclose()

    async def text(self, path: str, *, max_bytes: int) -> str:
        """A text document such as ``/skill.md``. Raises ``AnswerTooLarge`` above ``max_bytes``."""
        answer = await self._http.exchange(Request("GET", path), max_bytes=max_bytes)
        check_status(str(self.server), answer)
        return answer.body.decode("utf-8", "replace")


@asynccontextmanager
async def open_client(
    base_url: str,
    token: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[MoltnetClient]:
    """A client for the server at ``base_url``. Nothing is connected yet; leaving the block closes what is idle.

    ``token`` goes as a bearer token with every request, to this server only. ``environ`` gives the proxy variables, the
    process's own unless given; ``tls`` replaces the context that trusts the system's certificate authorities.

    Raises:
        BadServerAddress: ``base_url``, or the proxy variable that applies to it, is unusable.
        BadToken: the token can't be sent in a header.
    """
    server = parse_server_address(base_url)
    headers = {"User-Agent": f"moltnet/{__version__}"}
    if token is not None:
        # Checked here, because the HTTP library would name the value in its error.
        if not _TOKEN.fullmatch(token):
            raise BadToken("the token is empty or has characters that no token has (blanks, line breaks, umlauts)")
        headers["Authorization"] = f"Bearer {token}"
    async with open_http(server, headers=headers, environ=os.environ if environ is None else environ, tls=tls) as http:
        yield MoltnetClient(http)
