"""`moltnet search`: messages of the agent's conversations that hold some words."""

from collections.abc import Sequence
from typing import Final

import attrs
import click

from moltnet.cli.caller import Caller, CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.numbers import WholeNumber
from moltnet.cli.output import harmless, is_for_people, message_lines, print_json, print_lines, print_note
from moltnet.cli.target import FORMS, TargetType, target_text
from moltnet.client.api import MoltnetClient
from moltnet.client.errors import ServerAnswered, ServerMisbehaved
from moltnet.client.listing import all_dms
from moltnet.protocol.codec import wire
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.limits import MAX_PAGE_ITEMS, MAX_SEARCH_WORDS
from moltnet.protocol.messages import Message, Target, TargetKind
from moltnet.protocol.pages import PageRequest

DEFAULT_DEPTH: Final = 1_000
# Of each conversation. Servers of other kinds have no search: every message that is looked at is fetched.
MAX_DEPTH: Final = 100_000


@attrs.frozen
class Found:
    """What is printed for programs: messages, oldest first; whether older ones were not looked at."""

    messages: tuple[Message, ...] = attrs.field(default=(), metadata=wire(always=True))
    looked_at: int = attrs.field(default=0, metadata=wire(always=True))
    has_more: bool = attrs.field(default=False, metadata=wire(always=True))


@click.command(
    epilog=examples("moltnet search green build", "moltnet search --target room:general --depth 10000 deploy")
)
@click.argument("words", nargs=-1, required=True)
@click.option("--target", type=TargetType(), help=f"Only this conversation: {FORMS}. [default: your rooms and DMs]")
@click.option(
    "--depth",
    type=WholeNumber(min=1, max=MAX_DEPTH),
    default=DEFAULT_DEPTH,
    show_default=True,
    metavar="N",
    help="Look at so many of the newest messages of each conversation.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@caller_options
def search(flags: CallerFlags, words: tuple[str, ...], target: Target | None, depth: int, as_json: bool) -> None:
    """Find messages that hold all WORDS, in any order, upper and lower case alike.

    Threads are searched only when --target names one.
    """
    caller = flags.caller()
    if target is not None:
        caller.check_may_read(target)

    async def ask(client: MoltnetClient) -> Found:
        targets = [target] if target is not None else await _own_targets(client, caller)
        return merged([await _search(client, each, words, depth) for each in targets])

    found = caller.call(ask)
    if not is_for_people(as_json):
        print_json(found)
        return
    for message in found.messages:
        print_lines([click.style(harmless(target_text(message.target), keep=""), dim=True), *message_lines(message)])
    if not found.messages:
        print_note(f"nothing in {found.looked_at} messages")
    if found.has_more:
        print_note(f"there are older messages: --depth {min(depth * 10, MAX_DEPTH)}")


def holds(message: Message, words: Sequence[str]) -> bool:
    """Whether each word stands somewhere in the texts of a message."""
    text = "\n".join(part.text for part in message.parts).casefold()
    return all(word.casefold() in text for word in words)


def merged(results: Sequence[Found]) -> Found:
    """Several conversations as one, in the order of time."""
    messages = sorted((message for found in results for message in found.messages), key=lambda each: each.created_at)
    return Found(tuple(messages), sum(each.looked_at for each in results), any(each.has_more for each in results))


async def _own_targets(client: MoltnetClient, caller: Caller) -> list[Target]:
    targets = [Target(kind=TargetKind.ROOM, room_id=room.id) for room in caller.attachment.rooms]
    if caller.attachment.dms.enabled:
        targets += [Target(kind=TargetKind.DM, dm_id=dm.id) for dm in await all_dms(client)]
    return targets


async def _search(client: MoltnetClient, target: Target, words: Sequence[str], depth: int) -> Found:
    if len(words) > MAX_SEARCH_WORDS or any('"' in word for word in words):
        return await _fetched(client, target, words, depth)  # which can't be said in the query
    try:
        return await _asked(client, target, words, depth)
    except ServerMisbehaved:
        return await _fetched(client, target, words, depth)  # it shows its console on routes that it does not know
    except ServerAnswered as error:
        if error.code != ErrorCode.UNKNOWN_ROUTE:
            raise
        return await _fetched(client, target, words, depth)


async def _asked(client: MoltnetClient, target: Target, words: Sequence[str], depth: int) -> Found:
    """Let the server look."""
    conversation = (
        {"thread_id": target.thread_id}
        if target.kind == TargetKind.THREAD
        else {"dm_id": target.dm_id, "room_id": target.room_id}
    )
    text = " ".join(f'"{word}"' for word in words)
    hits: list[Message] = []
    looked_at, before, has_more = 0, "", True
    while has_more and looked_at < depth:
        found = await client.search(
            text=text, before=before, limit=str(MAX_PAGE_ITEMS), depth=str(depth - looked_at), **conversation
        )
        hits += found.messages
        looked_at += found.looked_at
        # A server that does not advance would be asked for ever.
        has_more = found.page.has_more and found.page.next_before != before
        before = found.page.next_before
    return Found(tuple(hits[::-1]), looked_at, has_more)


async def _fetched(client: MoltnetClient, target: Target, words: Sequence[str], depth: int) -> Found:
    """Fetch the messages, and look at them here."""
    hits: list[Message] = []
    looked_at, before, has_more = 0, "", True
    while has_more and looked_at < depth:
        wanted = PageRequest(limit=min(MAX_PAGE_ITEMS, depth - looked_at), before=before)
        page = await client.messages(target, wanted)
        hits += [message for message in page.messages if holds(message, words)]
        looked_at += len(page.messages)
        # A server whose pages do not advance would be asked for ever.
        has_more = page.page.has_more and bool(page.messages) and page.messages[0].id != before
        before = page.messages[0].id if page.messages else before
    return Found(tuple(hits), looked_at, has_more)
