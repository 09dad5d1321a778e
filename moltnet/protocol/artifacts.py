"""Artifacts: the parts of messages that are more than plain text, listed by themselves (message model §8)."""

import re
from typing import Final

import attrs

from moltnet.protocol.codec import wire
from moltnet.protocol.ids import ArtifactId, MessageId, NetworkId
from moltnet.protocol.limits import MAX_ARTIFACT_ID_CHARACTERS
from moltnet.protocol.messages import Message, Part, PartKind, Target
from moltnet.protocol.times import Timestamp

_ID: Final = re.compile(r"art_[A-Za-z0-9][A-Za-z0-9._:-]*_[0-9]+")


@attrs.frozen
class Artifact:
    """What can be pointed at in one part of a message. Its ``text`` and ``data`` are in the message only."""

    id: ArtifactId
    network_id: NetworkId
    fqid: str
    message_id: MessageId
    target: Target
    part_index: int = attrs.field(metadata=wire(always=True))
    kind: str
    created_at: Timestamp
    media_type: str = ""
    filename: str = ""
    url: str = ""


def artifact_id(message_id: MessageId, part_index: int) -> ArtifactId:
    return ArtifactId(f"art_{message_id}_{part_index}")


def message_of_artifact(id: str) -> str:
    """The id of the message that an artifact is of, from what ``artifact_id`` made."""
    return id.removeprefix("art_").rpartition("_")[0]


def artifact_id_problem(text: str) -> str | None:
    """Why ``text`` can't be an artifact's id, as a phrase that follows the field's name; ``None`` if it can.

    Longer than other ids, because it holds one.
    """
    if len(text) > MAX_ARTIFACT_ID_CHARACTERS:
        return f"must be {MAX_ARTIFACT_ID_CHARACTERS} characters or fewer"
    return None if _ID.fullmatch(text) else "is not the id of an artifact, art_<message id>_<part index>"


def artifacts_of(message: Message) -> tuple[Artifact, ...]:
    """The artifacts of a message, in the order of its parts."""
    return tuple(_artifact(message, index, part) for index, part in enumerate(message.parts) if is_artifact(part))


def is_artifact(part: Part) -> bool:
    return part.kind != PartKind.TEXT or bool(part.url or part.filename or part.media_type)


def _artifact(message: Message, index: int, part: Part) -> Artifact:
    id = artifact_id(message.id, index)
    return Artifact(
        id=id,
        network_id=message.network_id,
        fqid=f"molt://{message.network_id}/artifacts/{id}",
        message_id=message.id,
        target=message.target,
        part_index=index,
        kind=part.kind,
        created_at=message.created_at,
        media_type=part.media_type,
        filename=part.filename,
        url=part.url,
    )
