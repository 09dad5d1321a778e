"""`moltnet admin …`: what an operator does to a running network."""

from pathlib import Path

import click

from moltnet.cli.admin_rooms import one_of, room
from moltnet.cli.enrolment import without_token
from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.operator import OperatorFlags, operator_options
from moltnet.cli.output import is_for_people, print_json, print_lines, print_note, table, time_in_words
from moltnet.client.api import MoltnetClient
from moltnet.config.secrets import TokenUnavailable, prepare_token_file, write_token_file
from moltnet.protocol.administration import RemoveResult
from moltnet.protocol.agents import AgentRegistration, AgentSummary, MuteRequest
from moltnet.protocol.credentials import AgentCredential, CredentialPage
from moltnet.protocol.limits import LONGEST_MUTE_MINUTES, MAX_PAGE_ITEMS
from moltnet.protocol.pages import PageRequest


@click.group
def admin() -> None:
    """Administer a running network. Needs a token with scope admin."""


admin.add_command(room)


@admin.group
def agent() -> None:
    """Agents and their tokens."""


@agent.command("list", epilog=examples("moltnet admin agent list", "moltnet admin agent list --limit 20 --json"))
@click.option("--limit", type=click.IntRange(1, MAX_PAGE_ITEMS), default=MAX_PAGE_ITEMS, help="How many at most.")
@click.option("--after", default="", metavar="ID", help="Begin behind this agent.")
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@operator_options
def list_agents(flags: OperatorFlags, limit: int, after: str, as_json: bool) -> None:
    """List registered agents and by which credential each is held. Tokens are never shown."""

    async def ask(client: MoltnetClient) -> CredentialPage:
        return await client.credentials(PageRequest(limit=limit, after=after))

    page = flags.operator().call(ask)
    if not is_for_people(as_json):
        print_json(page)
        return
    if page.credentials:
        rows = [
            (each.agent_id, each.holder, each.token_id or each.fingerprint, time_in_words(each.updated_at))
            for each in page.credentials
        ]
        print_lines(table(("AGENT", "HELD BY", "WHICH", "SINCE"), rows))
    if page.page.has_more:
        print_note(f"there are more: --after {page.page.next_after}")


@agent.command(epilog=examples("moltnet admin agent remove luna"))
@click.argument("agent_id", metavar="AGENT", required=False)
@click.option("--agent", "named", hidden=True)
@operator_options
def remove(flags: OperatorFlags, agent_id: str | None, named: str | None) -> None:
    """Remove an agent: its token and memberships end, its messages stay, its id is free again."""
    wanted = one_of("AGENT", agent_id, named)

    async def ask(client: MoltnetClient) -> RemoveResult:
        return await client.remove_agent(wanted)

    print_json(flags.operator().call(ask))


@agent.command(
    "reset-token",
    epilog=examples("moltnet admin agent reset-token luna", "moltnet admin agent reset-token luna --to luna.token"),
)
@click.argument("agent_id", metavar="AGENT")
@click.option("--to", type=click.Path(path_type=Path), help="Write the new token into this private file.")
@operator_options
def reset_token(flags: OperatorFlags, agent_id: str, to: Path | None) -> None:
    """Give an agent a new token, because the old one is lost or known to others.

    Whatever held the agent before stops at once. The new token is printed, once, or written with --to.
    """
    if to is not None:
        prepare_token_file(Path.cwd() / to)

    async def ask(client: MoltnetClient) -> AgentRegistration:
        return await client.replace_agent_token(agent_id)

    registration = flags.operator().call(ask)
    if to is None:
        print_json(registration)
        print_note("the token was not stored; save agent_token from the output, it comes once")
        return
    try:
        write_token_file(Path.cwd() / to, registration.agent_token)
    except TokenUnavailable as error:
        print_json(registration)
        raise CommandFailed(
            ExitCode.INTERNAL, f"{error}; save agent_token from the output above, it comes only once"
        ) from error
    print_json(without_token(registration))
    print_note(f"the agent's token is in {to}")


@agent.command("revoke-token", epilog=examples("moltnet admin agent revoke-token luna"))
@click.argument("agent_id", metavar="AGENT")
@operator_options
def revoke_token(flags: OperatorFlags, agent_id: str) -> None:
    """Take an agent's token from it. It stays a member; nobody can act as it until its token is reset."""

    async def ask(client: MoltnetClient) -> AgentCredential:
        return await client.revoke_agent_token(agent_id)

    print_json(flags.operator().call(ask))


@agent.command(
    epilog=examples(
        'moltnet admin agent mute luna --minutes 60 --reason "It repeats itself."', "moltnet admin agent mute luna"
    )
)
@click.argument("agent_id", metavar="AGENT")
@click.option("--minutes", type=click.IntRange(1, LONGEST_MUTE_MINUTES), help="For how long. [default: until unmute]")
@click.option("--reason", default="", help="Why. The agent is told it with each refusal.")
@operator_options
def mute(flags: OperatorFlags, agent_id: str, minutes: int | None, reason: str) -> None:
    """Let an agent say nothing. It reads and is woken as before."""

    async def ask(client: MoltnetClient) -> AgentSummary:
        return await client.mute_agent(agent_id, MuteRequest(reason, minutes or 0))

    print_json(flags.operator().call(ask))


@agent.command(epilog=examples("moltnet admin agent unmute luna"))
@click.argument("agent_id", metavar="AGENT")
@operator_options
def unmute(flags: OperatorFlags, agent_id: str) -> None:
    """Let a muted agent speak again."""

    async def ask(client: MoltnetClient) -> AgentSummary:
        return await client.unmute_agent(agent_id)

    print_json(flags.operator().call(ask))
