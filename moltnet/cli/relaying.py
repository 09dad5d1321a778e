"""`moltnet pairing queues` and `moltnet pairing dead-letters …`: messages on their way to other networks."""

from collections.abc import Awaitable, Callable

import click

from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.operator import OperatorFlags, operator_options
from moltnet.cli.output import is_for_people, print_json, print_lines, print_note, table, time_in_words
from moltnet.client.api import MoltnetClient
from moltnet.protocol.limits import MAX_PAGE_ITEMS
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.relays import DeadLetterPage, RelayQueues, RelayResult

Settle = Callable[[MoltnetClient, str, str], Awaitable[RelayResult]]


@click.command(epilog=examples("moltnet pairing queues", "moltnet pairing queues --json"))
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@operator_options
def queues(flags: OperatorFlags, as_json: bool) -> None:
    """Show how much waits for each pairing, and how much was refused."""

    async def ask(client: MoltnetClient) -> RelayQueues:
        return await client.relay_queues()

    found = flags.operator().call(ask)
    if not is_for_people(as_json):
        print_json(found)
        return
    rows = [
        (
            each.pairing_id if each.configured else f"{each.pairing_id} (not configured)",
            str(each.waiting),
            time_in_words(each.oldest_waiting_at),
            str(each.dead_letters),
        )
        for each in found.queues
    ]
    print_lines(table(("PAIRING", "WAITING", "SINCE", "DEAD LETTERS"), rows))


@click.group("dead-letters")
def dead_letters() -> None:
    """Messages that a paired network refused for good. They block nothing, and wait here for you."""


@dead_letters.command(
    "list",
    epilog=examples("moltnet pairing dead-letters list partner", "moltnet pairing dead-letters list partner --json"),
)
@click.argument("pairing_id", metavar="PAIRING")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE_ITEMS), default=MAX_PAGE_ITEMS, help="How many at most.")
@click.option("--after", default="", metavar="MESSAGE", help="Begin behind this message.")
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@operator_options
def list_letters(flags: OperatorFlags, pairing_id: str, limit: int, after: str, as_json: bool) -> None:
    """List them in the order of their messages, with what the other network said."""

    async def ask(client: MoltnetClient) -> DeadLetterPage:
        return await client.dead_letters(pairing_id, PageRequest(limit=limit, after=after))

    page = flags.operator().call(ask)
    if not is_for_people(as_json):
        print_json(page)
        return
    if page.dead_letters:
        rows = [
            (
                each.message_id,
                each.conversation,
                f"{each.status} {each.code}".strip(),
                time_in_words(each.failed_at),
                each.message,
            )
            for each in page.dead_letters
        ]
        print_lines(table(("MESSAGE", "CONVERSATION", "ANSWER", "AT", "SAID"), rows))
    if page.page.has_more:
        print_note(f"there are more: --after {page.page.next_after}")


@dead_letters.command(
    epilog=examples(
        "moltnet pairing dead-letters retry partner msg_1", "moltnet pairing dead-letters retry partner --all"
    )
)
@click.argument("pairing_id", metavar="PAIRING")
@click.argument("message_ids", metavar="[MESSAGE]...", nargs=-1)
@click.option("--all", "all_of_them", is_flag=True, help="All that there are now.")
@operator_options
def retry(flags: OperatorFlags, pairing_id: str, message_ids: tuple[str, ...], all_of_them: bool) -> None:
    """Try messages again, because the reason is gone: the room exists now, or lets the sender write."""
    _settle(flags, pairing_id, message_ids, MoltnetClient.retry_dead_letter, all_of_them=all_of_them)


@dead_letters.command(
    epilog=examples(
        "moltnet pairing dead-letters drop partner msg_1", "moltnet pairing dead-letters drop partner --all"
    )
)
@click.argument("pairing_id", metavar="PAIRING")
@click.argument("message_ids", metavar="[MESSAGE]...", nargs=-1)
@click.option("--all", "all_of_them", is_flag=True, help="All that there are now.")
@operator_options
def drop(flags: OperatorFlags, pairing_id: str, message_ids: tuple[str, ...], all_of_them: bool) -> None:
    """Give messages up: they stay in this network, and will not arrive in the other."""
    _settle(flags, pairing_id, message_ids, MoltnetClient.drop_dead_letter, all_of_them=all_of_them)


def _settle(
    flags: OperatorFlags, pairing_id: str, message_ids: tuple[str, ...], settle: Settle, *, all_of_them: bool
) -> None:
    if bool(message_ids) is all_of_them:
        raise CommandFailed(ExitCode.USAGE, "name the messages, or say --all")

    async def ask(client: MoltnetClient) -> list[RelayResult]:
        wanted = message_ids or await _all_ids(client, pairing_id)
        return [await settle(client, pairing_id, message_id) for message_id in wanted]

    for result in flags.operator().call(ask):
        print_json(result)


async def _all_ids(client: MoltnetClient, pairing_id: str) -> tuple[str, ...]:
    ids: list[str] = []
    page = await client.dead_letters(pairing_id, PageRequest(limit=MAX_PAGE_ITEMS))
    while page.page.has_more:
        ids.extend(letter.message_id for letter in page.dead_letters)
        page = await client.dead_letters(pairing_id, PageRequest(limit=MAX_PAGE_ITEMS, after=page.page.next_after))
    return (*ids, *(letter.message_id for letter in page.dead_letters))
