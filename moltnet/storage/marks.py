"""Marks: what is noted of an agent or a pairing beside what it is, and the commands that change it.

A muted agent, when an agent was last there, a pairing that was switched off. Each is a short text under a name, so
every store keeps, copies and tells all of them in the same way. Decided in ``moltnet.storage.plan_marks``.
"""

from enum import StrEnum

import attrs
import orjson

from moltnet.protocol.agents import About, Mute
from moltnet.protocol.codec import DecodeError, decode, encode, structure
from moltnet.protocol.events import Event
from moltnet.protocol.ids import AgentId
from moltnet.protocol.times import Timestamp
from moltnet.storage.command import Command


class MarkKind(StrEnum):
    MUTE = "mute"
    SEEN = "seen"
    ABOUT = "about"
    PAIRING = "pairing"


# Those of an agent go with it.
OF_AGENTS = (MarkKind.MUTE, MarkKind.SEEN, MarkKind.ABOUT)


@attrs.frozen
class Mark:
    """``id`` is its kind, a blank, and of whom it is; ``value`` is JSON."""

    id: str
    value: str

    @property
    def kind(self) -> str:
        return self.id.partition(" ")[0]

    @property
    def key(self) -> str:
        return self.id.partition(" ")[2]


def mark_id(kind: MarkKind, key: str) -> str:
    return f"{kind} {key}"


def mute_mark(agent_id: AgentId, mute: Mute) -> Mark:
    return Mark(mark_id(MarkKind.MUTE, agent_id), encode(mute).decode())


def mute_of(mark: Mark) -> Mute | None:
    """``None`` for what can't be read: an agent is not kept silent by damage."""
    try:
        return decode(mark.value.encode(), Mute)
    except DecodeError:
        return None


def seen_mark(agent_id: AgentId, at: Timestamp) -> Mark:
    return Mark(mark_id(MarkKind.SEEN, agent_id), orjson.dumps(at).decode())


def seen_of(mark: Mark) -> Timestamp:
    return Timestamp(mark.value.strip('"'))


def about_mark(agent_id: AgentId, about: About) -> Mark:
    return Mark(mark_id(MarkKind.ABOUT, agent_id), encode(about).decode())


def about_of(mark: Mark) -> About:
    """Nothing, for what can't be read."""
    try:
        return decode(mark.value.encode(), About)
    except DecodeError:
        return About()


@attrs.frozen
class Switch:
    """Whether a pairing is to be at work, against what the config file said when somebody said so.

    Once the file says something else, the file counts.
    """

    enabled: bool
    declared: bool

    def over(self, declared: bool) -> bool:
        """What counts, if the file says ``declared`` now."""
        return self.enabled if declared is self.declared else declared


def switch_mark(pairing_id: str, switch: Switch) -> Mark:
    value = orjson.dumps({"enabled": switch.enabled, "declared": switch.declared})
    return Mark(mark_id(MarkKind.PAIRING, pairing_id), value.decode())


def switch_of(mark: Mark) -> Switch | None:
    """``None`` for what can't be read."""
    try:
        return structure(orjson.loads(mark.value), Switch)
    except (DecodeError, orjson.JSONDecodeError):
        return None


@attrs.frozen
class MuteChanged:
    """How the agent is now. ``changed`` is false if it was so before; then no event was made."""

    mute: Mute | None
    changed: bool


@attrs.frozen
class NobodyToMute:
    """The agent is not registered, or not any more."""

    agent_id: AgentId


@attrs.frozen
class MuteAgent(Command[MuteChanged | NobodyToMute]):
    """Let an agent say nothing; with ``None``, let it speak again. ``by`` names the credential of who says so."""

    agent_id: AgentId
    mute: Mute | None
    by: str
    at: Timestamp


@attrs.frozen
class SeenNoted:
    pass


@attrs.frozen
class NoteSeen(Command[SeenNoted]):
    """Note when agents were last there, and what is said of them. Those that are not registered are passed over."""

    seen: tuple[tuple[AgentId, Timestamp], ...] = ()
    about: tuple[tuple[AgentId, About], ...] = ()


@attrs.frozen
class PairingSwitched:
    """``changed`` is false if it was switched so before; then no event was made."""

    changed: bool


@attrs.frozen
class SwitchPairing(Command[PairingSwitched]):
    """Switch a pairing on or off, against what the config file says. ``event`` tells of it."""

    pairing_id: str
    switch: Switch
    event: Event


MarkCommand = MuteAgent | NoteSeen | SwitchPairing
MarkOutcome = MuteChanged | NobodyToMute | SeenNoted | PairingSwitched
