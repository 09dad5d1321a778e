"""`moltnet reload`: let a running server take over its changed config file."""

import click

from moltnet.cli.examples import examples
from moltnet.cli.operator import OperatorFlags, operator_options
from moltnet.cli.output import is_for_people, print_json, print_lines, print_note
from moltnet.client.api import MoltnetClient
from moltnet.protocol.administration import ReloadResult


@click.command(
    epilog=examples("moltnet reload", "moltnet reload --base-url https://chat.example.org --token-env ADMIN_TOKEN")
)
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@operator_options
def reload(flags: OperatorFlags, as_json: bool) -> None:
    """Let the running server read its config file again.

    Changed tokens, rooms, pairings and limits count at once; attachments whose token still holds notice nothing. A
    file with problems, or one that changes what only a restart can, changes nothing. SIGHUP does the same.
    """

    async def ask(client: MoltnetClient) -> ReloadResult:
        return await client.reload()

    result = flags.operator().call(ask)
    for notice in result.notices:
        print_note(f"note: {notice}")
    if is_for_people(as_json):
        changed = ", ".join(result.changed) or "nothing has changed"
        print_lines([f"reloaded: {changed}; {result.ended} attachments and streams ended"])
    else:
        print_json(result)
