"""Whom a message addresses: its mentions resolved against the members of its conversation (message model §7)."""

from collections.abc import Mapping

from moltnet.directory import Directory
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.mentions import mentions_in, resolve_mentions
from moltnet.protocol.messages import SendMessageRequest, TargetKind

Aliases = Mapping[str, frozenset[NetworkId]]


def mentioned(request: SendMessageRequest, directory: Directory, aliases: Aliases) -> tuple[str, ...]:
    """FQIDs of the members that a trimmed request mentions, explicit ones first."""
    candidates = (*request.mentions, *mentions_in(request.parts))
    if not candidates:
        return ()
    if request.target.kind == TargetKind.DM:
        return resolve_mentions(candidates, request.target.participant_ids, directory.network_id, aliases)
    return directory.addressees(request.target.room_id).resolve(candidates, aliases)
