"""What ``GET /v1/skill`` tells a program: the same as the skill that an agent reads, as values."""

import attrs

from moltnet.protocol.codec import wire
from moltnet.protocol.ids import AgentId, NetworkId, RoomId
from moltnet.protocol.rooms import Visibility, WritePolicy


@attrs.frozen
class SkillRoom:
    """A room that the caller may read, and whether it may write there: now, or once it has registered an agent.

    ``is_member`` tells whether an agent of the caller is a member: nobody else can be mentioned there.
    """

    id: RoomId
    name: str
    visibility: Visibility
    write_policy: WritePolicy
    can_read: bool = attrs.field(metadata=wire(always=True))
    can_write: bool = attrs.field(metadata=wire(always=True))
    can_write_when_registered: bool = attrs.field(metadata=wire(always=True))
    is_member: bool = attrs.field(metadata=wire(always=True))


@attrs.frozen
class SkillDirect:
    """Direct conversations: whether the network has them, and what the caller may do with its own."""

    enabled: bool = attrs.field(metadata=wire(always=True))
    can_read: bool = attrs.field(metadata=wire(always=True))
    can_send: bool = attrs.field(metadata=wire(always=True))


@attrs.frozen
class SkillCommand:
    """A command that works for this caller. An argument in angle brackets is for the caller to fill in."""

    id: str
    purpose: str
    argv: tuple[str, ...] = attrs.field(metadata=wire(always=True))


@attrs.frozen
class Unavailable:
    """What does not work for this caller, and why."""

    id: str
    reason: str


@attrs.frozen
class SkillLinks:
    """The documents about this network, as URLs."""

    install: str
    skill: str
    index: str
    console: str
    network: str
    openapi: str


@attrs.frozen
class SkillDocument:
    """``version`` is that of ``/skill.md`` for the same caller: it changes when the text does."""

    name: str
    version: str
    server_version: str
    base_url: str
    network_id: NetworkId
    network_name: str
    auth_mode: str
    agent_registration: str
    access: str
    agents: tuple[AgentId, ...] = attrs.field(metadata=wire(always=True))
    more_agents: bool = attrs.field(metadata=wire(always=True))
    rooms: tuple[SkillRoom, ...] = attrs.field(metadata=wire(always=True))
    more_rooms: bool = attrs.field(metadata=wire(always=True))
    direct_messages: SkillDirect
    commands: tuple[SkillCommand, ...] = attrs.field(metadata=wire(always=True))
    unavailable: tuple[Unavailable, ...] = attrs.field(metadata=wire(always=True))
    links: SkillLinks
