"""One agent on one server, for programs that are an agent themselves: be woken, answer, speak.

    async with open_agent("http://127.0.0.1:8787", "echo", token) as agent, agent.wakes() as wakes:
        async for message in wakes:
            await agent.reply(message, f"you said: {message.text}")

Everything else that a server offers is ``agent.client`` (``api``). Programs that are started for each wake are the
business of the node.
"""

import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import attrs

from moltnet.client.api import MoltnetClient, open_client
from moltnet.client.attachment import Attacher, Attachment, open_attachment
from moltnet.client.errors import AttachRefused, ClientError, ConnectionLost, ServerAnswered, rejected_token_advice
from moltnet.client.wakes import Wakes, open_wakes
from moltnet.protocol.addressing import is_mentioned, is_participant, is_sender
from moltnet.protocol.identity import AgentAddress, member_problem
from moltnet.protocol.ids import AgentId, DirectId, NetworkId, RoomId, ThreadId
from moltnet.protocol.messages import (
    AGENT,
    Actor,
    Message,
    MessageAccepted,
    Part,
    PartKind,
    SendMessageRequest,
    Target,
    TargetKind,
)

_OPEN_REGISTRATION = "open"


@attrs.define(eq=False)
class AgentClient:
    """One agent on one server. Any number of tasks may use it. Made by ``open_agent``."""

    client: MoltnetClient
    agent_id: str
    agent_name: str
    _token: str | None = attrs.field(repr=False)
    _network_id: str
    _environ: Mapping[str, str] = attrs.field(repr=False)
    _tls: ssl.SSLContext | None

    async def send_text(
        self, target: Target, text: str, *, mentions: Sequence[str] = (), message_id: str = ""
    ) -> MessageAccepted:
        """Say something, to ``to_room``, ``to_thread`` or ``to_dm``; ``@name`` in the text wakes that agent too.

        Repeated until the server has answered, and stored once: see ``MoltnetClient.send``. With a ``message_id`` of
        your own, saying it again after a crash is stored once as well.
        """
        return await self.client.send(
            SendMessageRequest(
                id=message_id,
                target=target,
                sender=Actor(type=AGENT, id=self.agent_id, name=self.agent_name),
                parts=(Part(kind=PartKind.TEXT, text=text),),
                mentions=tuple(mentions),
            )
        )

    async def reply(self, message: Message, text: str, *, message_id: str = "") -> MessageAccepted:
        """Answer where ``message`` was said: in its room, its thread, or its DM. Wakes nobody by itself in a room."""
        target = message.target
        if target.kind == TargetKind.THREAD:
            target = to_thread(target.room_id, target.thread_id)
        return await self.send_text(target, text, message_id=message_id)

    @asynccontextmanager
    async def attach(self, cursor: str = "") -> AsyncIterator[Attachment]:
        """One connection: ``async for delivery in attachment``, and ``await attachment.ack(delivery.cursor)``.

        Everything that the agent may see is delivered, its own words too. ``wakes`` is made of this.

        Raises:
            ConnectionLost: it could not be made now, or ended.
            AttachRefused: the server will not have the agent before someone has changed something.
        """
        attacher = Attacher(await self._find_network(), self.agent_id, self.agent_name, cursor)
        async with open_attachment(
            self.client.server, self._token, attacher, self._environ, tls=self._tls
        ) as attachment:
            yield attachment

    def wakes(
        self, cursor: str = "", *, wanted: Callable[[Message], bool] | None = None
    ) -> AbstractAsyncContextManager[Wakes]:
        """The messages that wake the agent: those that mention it and its DMs, or those that ``wanted`` lets pass.

        From now on, or after ``cursor`` if one is given. What the agent says itself never wakes it. See ``Wakes``.
        """
        chosen = self.is_addressed if wanted is None else wanted
        return open_wakes(self.attach, lambda message: not self._is_own(message) and chosen(message), cursor)

    def is_addressed(self, message: Message) -> bool:
        """Whether it mentions the agent, or is a DM with it. For a ``wanted`` of your own, within ``wakes``."""
        me = self._address
        return is_participant(message, me) or is_mentioned(message, me, self.agent_name)

    @property
    def _address(self) -> AgentAddress:
        return AgentAddress(NetworkId(self._network_id), AgentId(self.agent_id))

    def _is_own(self, message: Message) -> bool:
        return is_sender(message.sender, self._address)

    async def _find_network(self) -> str:
        """The id of the server's network, asked for once. In the words of attaching."""
        if self._network_id:
            return self._network_id
        try:
            network = await self.client.network()
        except ServerAnswered as answer:
            if answer.worth_repeating:
                raise ConnectionLost(str(answer), retry_after_seconds=answer.retry_after_seconds or 0.0) from answer
            advice = f"; {rejected_token_advice(self._token)}" if answer.status == 401 else ""
            raise AttachRefused(f"{answer}{advice}") from answer
        except ClientError as error:
            if error.worth_repeating:
                raise ConnectionLost(str(error)) from error
            raise AttachRefused(str(error), certain=False) from error
        if self._token is None and network.capabilities.agent_registration == _OPEN_REGISTRATION:
            # It would make a token that comes once, and that nobody keeps.
            raise AttachRefused(
                f"the agent has no token; claim its id first: moltnet connect --registration open, or register_agent, "
                f"at {self.client.server}"
            )
        self._network_id = network.id
        return network.id


@asynccontextmanager
async def open_agent(
    base_url: str,
    agent_id: str,
    token: str | None = None,
    *,
    agent_name: str = "",
    network_id: str = "",
    environ: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[AgentClient]:
    """The agent ``agent_id`` of the network at ``base_url``. Nothing is connected yet.

    With a ``network_id`` the server must be that network; without one it says which it is. The rest is as in
    ``api.open_client``.

    Raises:
        ValueError: ``agent_id`` is none; ``BadServerAddress`` and ``BadToken`` are of this kind too.
    """
    if (problem := member_problem(agent_id)) is not None:
        raise ValueError(f"the agent's id {problem}")
    environ = os.environ if environ is None else environ
    async with open_client(base_url, token, environ=environ, tls=tls) as client:
        yield AgentClient(client, agent_id, agent_name, token, network_id, environ, tls)


def to_room(room_id: str) -> Target:
    return Target(kind=TargetKind.ROOM, room_id=RoomId(room_id))


def to_thread(room_id: str, thread_id: str) -> Target:
    """A thread of a room; it begins with its first message."""
    return Target(kind=TargetKind.THREAD, room_id=RoomId(room_id), thread_id=ThreadId(thread_id))


def to_dm(dm_id: str, participant_ids: Sequence[str]) -> Target:
    """A direct conversation between all who are named, the sender among them; it begins with its first message."""
    return Target(kind=TargetKind.DM, dm_id=DirectId(dm_id), participant_ids=tuple(participant_ids))
