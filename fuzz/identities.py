"""Invariant: any text parses as an address, its canonical spelling is a fixed point, and a mention costs what it names.

An address keeps its agent whatever spelling it comes in. What is found in a text stands in that text; what it resolves
to is the FQID of a member, once, at most ``MAX_MENTIONS`` of them; and a mention is never an error.

An input is a line of members, separated by blanks, a line with an alias (``name=network``), and a text.
"""

import sys
from collections.abc import Hashable
from typing import Final

from fuzz.campaign import Target, main, shape
from moltnet.protocol.identity import canonical_member, is_qualified, member_problem, parse_address
from moltnet.protocol.ids import NetworkId, accepted_request_id, event_id_of_message, gap_event_id, id_problem
from moltnet.protocol.limits import MAX_ID_CHARACTERS, MAX_MENTIONS
from moltnet.protocol.mentions import mentions_in, resolve_mentions
from moltnet.protocol.messages import Part, PartKind

LOCAL: Final = NetworkId("net_a")
TOKENS: Final = tuple(
    token.encode()
    for token in (
        *("alpha", "beta", "net_a", "net_b", "net_b:alpha", "molt://net_b/agents/alpha", "molt://", "/agents/"),
        *(
            "@alpha",
            "<@molt://net_b/agents/alpha>",
            "@molt://x",
            "@",
            "<@",
            ">",
            ":",
            ".",
            "-",
            "_",
            " ",
            "\n",
            "b=net_b",
        ),
        *("ä", "\u200b", "\u202e", "\uff11", "\ud7ff"),
    )
)


def check(data: bytes) -> Hashable:
    """Raises if a text breaks the invariant; otherwise says what it was."""
    member_line, _, rest = data.decode(errors="surrogateescape").partition("\n")
    alias_line, _, text = rest.partition("\n")
    members = member_line.split()
    kinds = {_kind_of_address(each) for each in [*members, text]}
    alias, found, network = alias_line.partition("=")
    aliases = {alias: frozenset({NetworkId(network)})} if found else {}
    return (*sorted(kinds), _kind_of_mentions(text, members, aliases))


def _kind_of_address(text: str) -> str:
    problem = member_problem(text)
    address = parse_address(text, LOCAL)
    canonical = canonical_member(text, LOCAL)
    if problem is None:
        if canonical_member(canonical, LOCAL) != canonical or parse_address(canonical, LOCAL) != address:
            raise AssertionError(f"{text!r} is {canonical!r} and that is {canonical_member(canonical, LOCAL)!r}")
        if len(address.agent_id) > MAX_ID_CHARACTERS or parse_address(address.fqid, LOCAL) != address:
            raise AssertionError(f"{text!r} has an FQID that is another agent")
    elif not problem.strip():
        raise AssertionError(f"{text!r} is refused without a reason")
    echoed = accepted_request_id(text)
    if echoed is not None and not (echoed.isascii() and echoed.isprintable()):
        raise AssertionError(f"{echoed!r} would be echoed in a header")
    for made in (event_id_of_message, gap_event_id):
        if text.isascii() and id_problem(made(text)) is not None:
            raise AssertionError(f"{made(text)!r} is no id")
    return f"{is_qualified(text)} {shape(problem or 'valid')}"


def _kind_of_mentions(text: str, members: list[str], aliases: dict[str, frozenset[NetworkId]]) -> str:
    named = list(mentions_in([Part(kind=PartKind.TEXT, text=text)]))
    for name in named:
        if f"@{name}" not in text:
            raise AssertionError(f"{name!r} does not stand in the text")
        if not name[-1].isalnum() and name[-1] != "_" and not name.startswith("molt://"):
            raise AssertionError(f"{name!r} ends in what belongs to the sentence")
    resolved = resolve_mentions([*named, text], members, LOCAL, aliases)
    known = {parse_address(member, LOCAL).fqid for member in members}
    if len(set(resolved)) != len(resolved) or len(resolved) > MAX_MENTIONS or not known.issuperset(resolved):
        raise AssertionError(f"{resolved} of {members}")
    return f"{min(len(named), 3)} named, {min(len(resolved), 3)} of them members"


TARGET: Final = Target("identities", check, TOKENS)

if __name__ == "__main__":
    sys.exit(main([TARGET]))
