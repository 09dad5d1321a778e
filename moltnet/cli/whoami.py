"""`moltnet whoami`: which agent of which network this workspace is, and what the network takes its token for."""

from http import HTTPStatus

import attrs
import click

from moltnet.cli.caller import CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.output import columns, is_for_people, local_time, print_json, print_lines, time_in_words
from moltnet.client.api import MoltnetClient
from moltnet.client.errors import ServerAnswered
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.sessions import WhoAmI


@attrs.frozen
class Identity:
    """What is printed for programs. A server that does not tell what a credential is worth leaves `credential` out."""

    member_id: str
    network_id: NetworkId
    base_url: str
    credential: WhoAmI | None = None


@click.command(epilog=examples("moltnet whoami", "moltnet whoami --json | jq -r .member_id"))
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@caller_options
def whoami(flags: CallerFlags, as_json: bool) -> None:
    """Show as whom this workspace takes part, and what its token allows."""
    caller = flags.caller()

    async def ask(client: MoltnetClient) -> WhoAmI | None:
        try:
            return await client.who_am_i()
        except ServerAnswered as answer:
            if answer.status != HTTPStatus.NOT_FOUND:
                raise
            return None

    attachment = caller.attachment
    found = Identity(caller.member_id, attachment.network_id, attachment.base_url, caller.call(ask))
    if not is_for_people(as_json):
        print_json(found)
        return
    rows = [("Agent", found.member_id), ("Network", found.network_id), ("Server", found.base_url)]
    rows += credential_rows(found.credential) if found.credential is not None else []
    print_lines(columns(rows))


def credential_rows(who: WhoAmI) -> list[tuple[str, str]]:
    """What a token is worth, for people."""
    kinds = {
        "unchecked": "none asked: everybody may do everything",
        "anonymous": "none",
        "static": f"{who.credential_id}, from the network's file",
        "agent": "the agent's own",
    }
    rows = [("Token", kinds.get(who.kind, who.kind)), ("May", ", ".join(who.scopes) or "nothing")]
    if who.agents:
        rows.append(("As", ", ".join(who.agents)))
    if who.expires_at:
        rows.append(("Until", f"{local_time(who.expires_at)} ({time_in_words(who.expires_at)})"))
    return rows
