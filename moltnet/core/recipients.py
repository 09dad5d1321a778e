"""Whom a message addresses: its mentions resolved against the members of its conversation (message model §7)."""

from collections.abc import Mapping

from moltnet.directory import Directory
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.mentions import mentions_in, resolve_mentions
from moltnet.protocol.messages import SendMessageRequest, TargetKind

Aliases = Mapping[str, frozenset[NetworkId]]


def mentioned(request: SendMessageRequest, directory: Directory, aliases: Aliases) -> tuple[str, ...]:
    """FQIDs of the members that a trimmed request mentions, explicit ones first."""
    if request.target.kind == TargetKind.DM:
        members = request.target.participant_ids
    else:
        room = directory.room(request.target.room_id)
        members = () if room is None else room.members
    candidates = (*request.mentions, *mentions_in(request.parts))
    # Most messages mention nobody, and reading the addresses of all members costs more than the rest of a send.
    if not members or not candidates:
        return ()
    return resolve_mentions(candidates, members, directory.network_id, aliases)
