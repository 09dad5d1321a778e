"""Finding mentions in text and resolving them against a conversation (message model §7, design §3.12)."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import attrs

from moltnet.protocol.identity import FQID_PREFIX, parse_address
from moltnet.protocol.ids import NetworkId, is_id
from moltnet.protocol.limits import MAX_MENTIONS
from moltnet.protocol.messages import Part, PartKind

# Leftmost match wins. A bare @molt://… is recognised so that its middle is not taken for a name, and yields nothing.
# A name ends in a letter, digit or underscore: punctuation after it belongs to the sentence.
_WORD: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_MENTION: Final = re.compile(rf"@molt://[^\s>]+|<@(molt://[^\s>]+)>|@({_WORD}(?::{_WORD})?)")


def mentions_in(parts: Iterable[Part]) -> Iterator[str]:
    """Candidates named in text parts, in order, as written."""
    for part in parts:
        if part.kind == PartKind.TEXT:
            for match in _MENTION.finditer(part.text):
                name = match[1] or match[2]
                if name:
                    yield name


@attrs.frozen
class Addressees:
    """The members of a conversation by what a mention may call them: worked out once, it holds until they change."""

    _fqids: frozenset[str]
    _by_agent: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, members: Iterable[str], local: NetworkId) -> "Addressees":
        """Of members as a room lists them."""
        addresses = {parse_address(member, local) for member in members}
        by_agent: dict[str, list[str]] = {}
        for address in addresses:
            by_agent.setdefault(address.agent_id, []).append(address.fqid)
        return cls(frozenset(address.fqid for address in addresses), by_agent)

    def resolve(self, candidates: Iterable[str], aliases: Mapping[str, frozenset[NetworkId]]) -> tuple[str, ...]:
        """The FQIDs of the members that ``candidates`` name, without repeats, in order.

        ``aliases`` maps a name left of a colon to the networks that it may mean. Unknown and ambiguous candidates are
        dropped: a mention is never an error.
        """
        found: dict[str, None] = {}
        for candidate in candidates:
            fqid = _resolve(candidate.strip(), self._fqids, self._by_agent, aliases)
            if fqid is not None:
                found[fqid] = None
                if len(found) == MAX_MENTIONS:
                    break
        return tuple(found)


def resolve_mentions(
    candidates: Iterable[str],
    members: Sequence[str],
    local: NetworkId,
    aliases: Mapping[str, frozenset[NetworkId]],
) -> tuple[str, ...]:
    """What ``candidates`` mean among ``members``, once."""
    return Addressees.of(members, local).resolve(candidates, aliases)


def _resolve(
    text: str,
    members: frozenset[str],
    by_agent: Mapping[str, Sequence[str]],
    aliases: Mapping[str, frozenset[NetworkId]],
) -> str | None:
    unnamed = NetworkId("")
    address = parse_address(text, unnamed)
    if address.network_id == unnamed:
        matches = by_agent.get(address.agent_id, [])
        return matches[0] if len(matches) == 1 else None
    if not text.startswith(FQID_PREFIX):
        networks = aliases.get(address.network_id, frozenset())
        if len(networks) != 1:
            return None
        address = parse_address(f"{next(iter(networks))}:{address.agent_id}", unnamed)
    if not is_id(address.network_id) or not is_id(address.agent_id):
        return None
    return address.fqid if address.fqid in members else None
