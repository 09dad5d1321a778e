"""`moltnet pairing …`: the pairings of this network, how they are, and switching one off and on."""

import click

from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.operator import OperatorFlags, operator_options
from moltnet.cli.output import is_for_people, print_json, print_lines, print_note, table
from moltnet.cli.own_network import OwnNetwork
from moltnet.cli.relaying import dead_letters, queues
from moltnet.client.api import MoltnetClient
from moltnet.client.errors import ServerAnswered
from moltnet.config.splice import SetKey
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.limits import MAX_PAGE_ITEMS
from moltnet.protocol.network import Network
from moltnet.protocol.pages import PageRequest, PairingPage
from moltnet.protocol.pairings import Pairing


@click.group
def pairing() -> None:
    """Look after the pairings of this network. "moltnet pair" makes new ones."""


pairing.add_command(queues)
pairing.add_command(dead_letters)


@pairing.command("list", epilog=examples("moltnet pairing list", "moltnet pairing list --json"))
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@operator_options
def list_pairings(flags: OperatorFlags, as_json: bool) -> None:
    """List pairings and how each is, as the running server knows it. Asks no other network."""

    async def ask(client: MoltnetClient) -> PairingPage:
        return await client.pairings(PageRequest(limit=MAX_PAGE_ITEMS))

    page = flags.operator().call(ask)
    if not is_for_people(as_json):
        print_json(page)
    elif page.pairings:
        rows = [
            (
                each.id,
                each.status,
                each.remote_network_id,
                each.remote_base_url,
                "" if each.diagnostics is None else each.diagnostics.message,
            )
            for each in page.pairings
        ]
        print_lines(table(("PAIRING", "STATUS", "NETWORK", "ADDRESS", "WHY"), rows))


@pairing.command(epilog=examples("moltnet pairing test partner"))
@click.argument("pairing_id", metavar="PAIRING")
@operator_options
def test(flags: OperatorFlags, pairing_id: str) -> None:
    """Let the running server ask the other network now, and show what that says of itself."""

    async def ask(client: MoltnetClient) -> Network:
        return await client.paired_network(pairing_id)

    print_json(flags.operator().call(ask))


@pairing.command(epilog=examples("moltnet pairing disable partner"))
@click.argument("pairing_id", metavar="PAIRING")
@operator_options
def disable(flags: OperatorFlags, pairing_id: str) -> None:
    """Send nothing more over a pairing, and ask nothing; what the other network sends is still taken.

    Writes "enabled: false" into the config file, and lets the running server follow it.
    """
    _switch(flags, pairing_id, on=False)


@pairing.command(epilog=examples("moltnet pairing enable partner"))
@click.argument("pairing_id", metavar="PAIRING")
@operator_options
def enable(flags: OperatorFlags, pairing_id: str) -> None:
    """Use a pairing again."""
    _switch(flags, pairing_id, on=True)


def _switch(flags: OperatorFlags, pairing_id: str, *, on: bool) -> None:
    own = OwnNetwork.here(flags)
    for index, known in enumerate(own.config.pairings):
        if known.id == pairing_id:
            own.edit([SetKey(("pairings",), index, "enabled", on)])
            if own.reload():
                _tell(flags, pairing_id, on=on)
            print_note(f"pairing {pairing_id} is {'enabled' if on else 'disabled'}")
            return
    raise CommandFailed(ExitCode.NOT_FOUND, f"{own.path} has no pairing {pairing_id!r}")


def _tell(flags: OperatorFlags, pairing_id: str, *, on: bool) -> None:
    """Somebody may have switched it otherwise in the console, which counts while the file says the same as then."""

    async def ask(client: MoltnetClient) -> Pairing:
        return await client.switch_pairing(pairing_id, enabled=on)

    try:
        flags.operator().call(ask)
    except ServerAnswered as answer:
        if answer.code != ErrorCode.UNKNOWN_ROUTE:  # a server of before
            raise
