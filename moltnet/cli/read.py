"""`moltnet read`: the messages of a conversation."""

from collections.abc import Callable
from typing import Final, TypeVar

import click

from moltnet.cli.caller import Caller, CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.numbers import WholeNumber
from moltnet.cli.output import is_for_people, message_lines, print_json, print_lines, print_note
from moltnet.cli.target import FORMS, TargetType
from moltnet.client.api import MoltnetClient
from moltnet.protocol.limits import MAX_PAGE_ITEMS
from moltnet.protocol.messages import Target
from moltnet.protocol.pages import MessagePage, PageRequest

DEFAULT_MESSAGES: Final = 20

T = TypeVar("T")


def limit_option(command: Callable[..., T]) -> Callable[..., T]:
    return click.option(
        "--limit",
        type=WholeNumber(min=1, max=MAX_PAGE_ITEMS),
        metavar="N",
        default=DEFAULT_MESSAGES,
        show_default=True,
        help="How many messages.",
    )(command)


@click.command(
    epilog=examples(
        "moltnet read --target room:general",
        "moltnet read --target room:general --limit 100 --before msg_0d9f…",
        "moltnet read --target dm:alpha-beta --json | jq -r '.messages[].parts[].text'",
    )
)
@click.option("--target", type=TargetType(), required=True, help=f"Which conversation: {FORMS}.")
@limit_option
@click.option("--before", default="", metavar="MESSAGE", help="The newest ones before this message.")
@click.option("--after", default="", metavar="MESSAGE", help="The oldest ones after this message.")
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@caller_options
def read(flags: CallerFlags, target: Target, limit: int, before: str, after: str, as_json: bool) -> None:
    """Show the newest messages of a conversation, oldest first.

    Lines for people on a terminal; otherwise the server's JSON with `messages` and `page`.
    """
    if before and after:
        raise click.UsageError("--before and --after exclude each other")
    show(flags.caller(), target, PageRequest(limit=limit, before=before, after=after), as_json=as_json)


def show(caller: Caller, target: Target, wanted: PageRequest, *, as_json: bool) -> None:
    """Print a page of a conversation: lines for people on a terminal, otherwise JSON."""
    caller.check_may_read(target)

    async def ask(client: MoltnetClient) -> MessagePage:
        return await client.messages(target, wanted)

    page = caller.call(ask)
    if not is_for_people(as_json):
        print_json(page)
        return
    print_lines(line for message in page.messages for line in message_lines(message))
    if not page.messages:
        print_note("no messages")
    elif page.page.has_more:
        option = f"--after {page.messages[-1].id}" if wanted.after else f"--before {page.messages[0].id}"
        print_note(f"there are more: {option}")
