"""Messages, who sends them, where they go, and the checks on the shape of a send (message model §3, §5).

Who may send is decided in ``moltnet.core.senders`` and ``moltnet.core.access``; whom a message addresses in
``moltnet.protocol.mentions`` and ``moltnet.core.recipients``.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from moltnet.protocol.codec import Problem, is_deeper_than, wire
from moltnet.protocol.identity import member_problem
from moltnet.protocol.ids import DirectId, EventId, MessageId, NetworkId, RoomId, ThreadId, id_problem
from moltnet.protocol.limits import MAX_DATA_DEPTH, MAX_MENTIONS, MAX_NAME_CHARACTERS, MAX_PARTICIPANTS, MAX_PARTS
from moltnet.protocol.times import Timestamp


class TargetKind(StrEnum):
    ROOM = "room"
    THREAD = "thread"
    DM = "dm"


class PartKind(StrEnum):
    TEXT = "text"
    URL = "url"
    DATA = "data"
    FILE = "file"
    IMAGE = "image"
    AUDIO = "audio"


HUMAN: Final = "human"
AGENT: Final = "agent"
_ACTOR_TYPES: Final = frozenset({HUMAN, AGENT})
_PART_KINDS: Final = frozenset(PartKind)
_URL_SCHEMES: Final = frozenset({"http", "https", "molt"})
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@attrs.frozen
class Actor:
    """Who sent something. After a send was accepted, ``network_id`` and ``fqid`` are always set, by the server."""

    type: str = attrs.field(default="", metadata=wire(always=True))
    id: str = attrs.field(default="", metadata=wire(always=True))
    name: str = ""
    network_id: str = ""
    fqid: str = ""


@attrs.frozen
class Target:
    """Where a message goes. A thread names its room; a DM names its participants."""

    kind: str = attrs.field(default="", metadata=wire(always=True))
    room_id: RoomId = RoomId("")
    thread_id: ThreadId = ThreadId("")
    parent_message_id: MessageId = MessageId("")
    dm_id: DirectId = DirectId("")
    participant_ids: tuple[str, ...] = ()


@attrs.frozen
class Part:
    """One piece of content. Which fields mean something depends on ``kind``."""

    kind: str = attrs.field(default="", metadata=wire(always=True))
    text: str = ""
    media_type: str = ""
    url: str = ""
    filename: str = ""
    data: dict[str, Any] | None = None

    def trimmed(self) -> "Part":
        kind, url = self.kind.strip(), self.url.strip()
        return self if (kind, url) == (self.kind, self.url) else attrs.evolve(self, kind=kind, url=url)


@attrs.frozen
class MessageOrigin:
    """The network and id under which a message first appeared."""

    network_id: str = attrs.field(default="", metadata=wire(always=True))
    message_id: str = attrs.field(default="", metadata=wire(always=True))


@attrs.frozen
class Message:
    """A stored message. ``mentions`` holds agent FQIDs; ``created_at`` is the server's time of receipt."""

    id: MessageId
    network_id: NetworkId
    origin: MessageOrigin
    target: Target
    sender: Actor = attrs.field(metadata=wire(name="from"))
    parts: tuple[Part, ...]
    created_at: Timestamp
    mentions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Its text parts, one below the other; links, data and files are left out."""
        return "\n".join(part.text for part in self.parts if part.kind == PartKind.TEXT)


@attrs.frozen
class SendMessageRequest:
    """What a client posts. Everything else that it may put into the body is ignored."""

    target: Target = Target()
    sender: Actor = attrs.field(default=Actor(), metadata=wire(name="from"))
    parts: tuple[Part, ...] = ()
    mentions: tuple[str, ...] = ()
    id: str = ""
    origin: MessageOrigin = MessageOrigin()

    def trimmed(self) -> "SendMessageRequest":
        """The same request with the blanks around ids and kinds removed, so that what is checked is what is stored."""
        target = self.target
        return attrs.evolve(
            self,
            id=self.id.strip(),
            target=Target(
                kind=target.kind.strip(),
                room_id=RoomId(target.room_id.strip()),
                thread_id=ThreadId(target.thread_id.strip()),
                parent_message_id=MessageId(target.parent_message_id.strip()),
                dm_id=DirectId(target.dm_id.strip()),
                participant_ids=tuple(dict.fromkeys(p.strip() for p in target.participant_ids if p.strip())),
            ),
            sender=Actor(
                type=self.sender.type.strip() or AGENT,
                id=self.sender.id.strip(),
                name=self.sender.name.strip(),
                network_id=self.sender.network_id.strip(),
                fqid=self.sender.fqid.strip(),
            ),
            parts=tuple(part.trimmed() for part in self.parts),
            mentions=tuple(dict.fromkeys(m.strip() for m in self.mentions if m.strip())),
            origin=MessageOrigin(self.origin.network_id.strip(), self.origin.message_id.strip()),
        )


@attrs.frozen
class MessageAccepted:
    """The answer to an accepted send."""

    message_id: MessageId = attrs.field(metadata=wire(always=True))
    event_id: EventId = attrs.field(metadata=wire(always=True))
    accepted: bool = attrs.field(default=True, metadata=wire(always=True))
    thread_created: bool = attrs.field(default=False, metadata=wire(always=True))
    dm_created: bool = attrs.field(default=False, metadata=wire(always=True))


def send_problems(request: SendMessageRequest) -> list[Problem]:
    """What is wrong with the shape of a trimmed request; empty if nothing is."""
    return [
        *_sender_problems(request.sender),
        *_part_problems(request.parts),
        *_optional_id("$.id", request.id),
        *_optional_id("$.origin.network_id", request.origin.network_id),
        *_optional_id("$.origin.message_id", request.origin.message_id),
        *_target_problems(request.target),
        *_too_many("$.mentions", len(request.mentions), MAX_MENTIONS),
    ]


def _sender_problems(sender: Actor) -> Iterator[Problem]:
    problem = member_problem(sender.id)
    if problem is not None:
        yield Problem("$.from.id", problem)
    if sender.type not in _ACTOR_TYPES:
        yield Problem("$.from.type", f'must be "{AGENT}" or "{HUMAN}"')
    if len(sender.name) > MAX_NAME_CHARACTERS:
        yield Problem("$.from.name", f"must be {MAX_NAME_CHARACTERS} characters or fewer")


def _part_problems(parts: tuple[Part, ...]) -> Iterator[Problem]:
    if not parts:
        yield Problem("$.parts", "must not be empty")
    yield from _too_many("$.parts", len(parts), MAX_PARTS)
    for index, part in enumerate(parts[:MAX_PARTS]):
        if part.kind not in _PART_KINDS:
            yield Problem(f"$.parts[{index}].kind", f"must be one of {', '.join(PartKind)}")
        if part.data is not None and is_deeper_than(part.data, MAX_DATA_DEPTH):
            yield Problem(f"$.parts[{index}].data", f"must not be nested deeper than {MAX_DATA_DEPTH} levels")
        if part.url:
            problem = _url_problem(part.url)
            if problem is not None:
                yield Problem(f"$.parts[{index}].url", problem)


def _url_problem(url: str) -> str | None:
    # ``urlsplit`` drops these, so what it judges would not be what is stored.
    if _CONTROL.search(url):
        return "must not hold control characters"
    try:
        parsed = urlsplit(url)
        _ = parsed.port
    except ValueError:
        return "is not a valid URL"
    scheme = parsed.scheme.lower()
    if scheme not in _URL_SCHEMES:
        return "must begin with http://, https:// or molt://"
    if scheme != "molt" and not parsed.hostname:
        return "must name a host"
    return None


def _target_problems(target: Target) -> Iterator[Problem]:
    match target.kind:
        case TargetKind.ROOM:
            yield from _required_id("$.target.room_id", target.room_id)
        case TargetKind.THREAD:
            yield from _required_id("$.target.room_id", target.room_id)
            yield from _required_id("$.target.thread_id", target.thread_id)
            yield from _optional_id("$.target.parent_message_id", target.parent_message_id)
        case TargetKind.DM:
            yield from _required_id("$.target.dm_id", target.dm_id)
            if len(target.participant_ids) < 2:
                yield Problem("$.target.participant_ids", "must name at least two different participants")
            yield from _too_many("$.target.participant_ids", len(target.participant_ids), MAX_PARTICIPANTS)
            for index, participant in enumerate(target.participant_ids[:MAX_PARTICIPANTS]):
                problem = member_problem(participant)
                if problem is not None:
                    yield Problem(f"$.target.participant_ids[{index}]", problem)
        case _:
            yield Problem("$.target.kind", f"must be one of {', '.join(TargetKind)}")


def _required_id(path: str, text: str) -> Iterator[Problem]:
    if not text:
        yield Problem(path, "is required")
    else:
        yield from _optional_id(path, text)


def _optional_id(path: str, text: str) -> Iterator[Problem]:
    problem = id_problem(text) if text else None
    if problem is not None:
        yield Problem(path, problem)


def _too_many(path: str, count: int, most: int) -> Iterator[Problem]:
    if count > most:
        yield Problem(path, f"must hold {most} entries or fewer")
