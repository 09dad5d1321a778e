"""`moltnet watch`: a conversation, or all of them, as it goes on."""

from collections.abc import Callable
from contextlib import AsyncExitStack

import click

from moltnet.cli.caller import Caller, CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.numbers import WholeNumber
from moltnet.cli.output import harmless, is_for_people, message_lines, print_json_line, print_lines, print_note
from moltnet.cli.target import FORMS, TargetType, target_text
from moltnet.client.api import MoltnetClient
from moltnet.protocol.events import EventType
from moltnet.protocol.limits import MAX_PAGE_ITEMS
from moltnet.protocol.messages import Message, Target
from moltnet.protocol.pages import PageRequest

Show = Callable[[Message], None]


@click.command(
    epilog=examples(
        "moltnet watch --target room:general",
        "moltnet watch",
        "moltnet watch --target thread:general/review-7 --last 0 --json | while read -r message; do …; done",
    )
)
@click.option("--target", type=TargetType(), help=f"Only this conversation: {FORMS}. [default: all that you may read]")
@click.option(
    "--last",
    type=WholeNumber(min=0, max=MAX_PAGE_ITEMS),
    default=10,
    show_default=True,
    metavar="N",
    help="With --target: show so many messages of before first.",
)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each message, also on a terminal.")
@caller_options
def watch(flags: CallerFlags, target: Target | None, last: int, as_json: bool) -> None:
    """Show messages as they come, until Ctrl-C. A lost connection is made again, and nothing is left out."""
    caller = flags.caller()
    if target is not None:
        caller.check_may_read(target)
    show = _lines(with_target=target is None) if is_for_people(as_json) else print_json_line

    async def follow(client: MoltnetClient) -> None:
        await _follow(client, caller, target, last, show)

    caller.follow(follow)


async def _follow(client: MoltnetClient, caller: Caller, target: Target | None, last: int, show: Show) -> None:
    async with AsyncExitStack() as subscription:
        stream = await caller.within(lambda: subscription.enter_async_context(client.events()))
        shown: set[str] = set()
        # Read after the subscription, so that nothing falls in between; what comes twice is shown once.
        if target is not None and last:
            page = await caller.within(lambda: client.messages(target, PageRequest(limit=last)))
            for earlier in page.messages:
                shown.add(earlier.id)
                show(earlier)
        async for event in stream:
            if event.type == EventType.REPLAY_GAP:
                print_note("some messages may be missing here: the server no longer has them as events")
            message = event.message
            if message is None or message.id in shown:
                continue
            if target is None or target_text(message.target) == target_text(target):
                show(message)


def _lines(*, with_target: bool) -> Show:
    def show(message: Message) -> None:
        if with_target:
            print_lines([click.style(harmless(target_text(message.target), keep=""), dim=True)])
        print_lines(message_lines(message))

    return show
