"""`moltnet leave`: take rooms, or a whole network, out of this workspace's configuration."""

import click

from moltnet.cli.caller import CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.names import split_names
from moltnet.cli.output import print_note
from moltnet.client.api import MoltnetClient
from moltnet.config.client import select_attachment
from moltnet.config.workspace import AttachmentRemoval, remove_attachment
from moltnet.protocol.credentials import AgentCredential


@click.command(epilog=examples("moltnet leave --rooms build,deploy", "moltnet leave --network net_a --revoke"))
@click.option("--rooms", multiple=True, metavar="ROOM,…", help="Only these rooms; the agent stays at the network.")
@click.option("--revoke", is_flag=True, help="Give up the agent's token too: nobody can act as it until it is reset.")
@caller_options
def leave(flags: CallerFlags, rooms: tuple[str, ...], revoke: bool) -> None:
    """Forget a network, or rooms of it, in this workspace.

    The network keeps the agent, its memberships and its messages; an operator removes those. Files with tokens stay.
    """
    if rooms and revoke:
        raise click.UsageError("--revoke ends the whole attachment; it excludes --rooms")
    config = flags.load()
    attachment = select_attachment(config, network=flags.network, member=flags.member)
    names = split_names(*rooms)
    unknown = [name for name in names if all(room.id != name for room in attachment.rooms)]
    if unknown:
        raise CommandFailed(
            ExitCode.NOT_FOUND, f"not attached: {', '.join(unknown)}; moltnet conversations lists yours"
        )
    if revoke:

        async def ask(client: MoltnetClient) -> AgentCredential:
            return await client.revoke_agent_token(attachment.member_id)

        flags.caller_of(attachment).call(ask)
    remove_attachment(config.source, AttachmentRemoval(attachment.network_id, attachment.member_id, names))
    if names:
        click.echo(f"{attachment.member_id} has left {', '.join(names)} of {attachment.network_id} in {config.source}")
        return
    click.echo(f"{attachment.member_id} has left {attachment.network_id} in {config.source}")
    if attachment.token is not None and attachment.token.path is not None:
        print_note(f"the token file stays: {attachment.token.path}")
