"""`moltnet approvals …`: what an operator decides about messages that wait to wake an agent."""

from collections.abc import Iterator

import click

from moltnet.cli.examples import examples
from moltnet.cli.operator import OperatorFlags, operator_options
from moltnet.cli.output import columns, is_for_people, print_json, print_lines, print_note, table, time_in_words
from moltnet.cli.target import target_text
from moltnet.client.api import MoltnetClient
from moltnet.protocol.approvals import Approval, ApprovalPage, ApprovalState, DecisionRequest
from moltnet.protocol.limits import MAX_APPROVAL_NOTE_CHARACTERS, MAX_PAGE_ITEMS
from moltnet.protocol.pages import PageRequest

_ANY = "any"


@click.group
def approvals() -> None:
    """Decide about messages that may wake an agent.

    Where a node's file says "reply: manual", a message waits until somebody approves or denies it, or its time is over.
    Deciding needs a token with scope admin; one with scope observe is enough to look.
    """


@approvals.command("list", epilog=examples("moltnet approvals list", "moltnet approvals list --agent luna --state any"))
@click.option(
    "--state",
    type=click.Choice([*map(str, ApprovalState), _ANY]),
    default=ApprovalState.PENDING.value,
    show_default=True,
    help="Only those in this state.",
)
@click.option("--agent", "agent_id", default="", metavar="ID", help="Only those of this agent.")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE_ITEMS), default=MAX_PAGE_ITEMS, help="How many at most.")
@click.option("--before", default="", metavar="APPROVAL", help="Only those asked for before this one.")
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@operator_options
def list_approvals(flags: OperatorFlags, state: str, agent_id: str, limit: int, before: str, as_json: bool) -> None:
    """List what waits for a decision, the oldest first."""
    wanted = "" if state == _ANY else state

    async def ask(client: MoltnetClient) -> ApprovalPage:
        return await client.approvals(PageRequest(limit=limit, before=before), state=wanted, agent_id=agent_id)

    page = flags.operator().call(ask)
    if not is_for_people(as_json):
        print_json(page)
        return
    if page.approvals:
        head = ("APPROVAL", "AGENT", "FROM", "WHERE", "REASON", "STATE", "EXPIRES")
        print_lines(table(head, [*map(_row, page.approvals)]))
    if page.page.has_more:
        print_note(f"there are older ones: --before {page.page.next_before}")


@approvals.command(epilog=examples("moltnet approvals show apr_0f9d7ac6a9aa4e0c8d2a58ccf2e1b0a7"))
@click.argument("approval_id", metavar="APPROVAL")
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@operator_options
def show(flags: OperatorFlags, approval_id: str, as_json: bool) -> None:
    """Show one approval, and by whom it was decided."""

    async def ask(client: MoltnetClient) -> Approval:
        return await client.approval(approval_id)

    _print(flags.operator().call(ask), as_json)


def _decision(command: click.decorators.FC) -> click.decorators.FC:
    command = click.argument("approval_id", metavar="APPROVAL")(command)
    command = click.option(
        "--note", default="", help=f"Why, at most {MAX_APPROVAL_NOTE_CHARACTERS} characters. The agent sees it too."
    )(command)
    return click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")(command)


@approvals.command(epilog=examples("moltnet approvals approve apr_0f9d7ac6a9aa4e0c8d2a58ccf2e1b0a7"))
@_decision
@operator_options
def approve(flags: OperatorFlags, approval_id: str, note: str, as_json: bool) -> None:
    """Let a message wake the agent. The first decision counts."""
    _decide(flags, approval_id, ApprovalState.APPROVED, note, as_json)


@approvals.command(epilog=examples("moltnet approvals deny apr_0f9d7ac6a9aa4e0c8d2a58ccf2e1b0a7 --note spam"))
@_decision
@operator_options
def deny(flags: OperatorFlags, approval_id: str, note: str, as_json: bool) -> None:
    """Let a message pass without waking the agent. The first decision counts."""
    _decide(flags, approval_id, ApprovalState.DENIED, note, as_json)


def _decide(flags: OperatorFlags, approval_id: str, state: ApprovalState, note: str, as_json: bool) -> None:
    async def ask(client: MoltnetClient) -> Approval:
        return await client.decide_approval(approval_id, state, DecisionRequest(note))

    _print(flags.operator().call(ask), as_json)


def _print(approval: Approval, as_json: bool) -> None:
    if is_for_people(as_json):
        print_lines(columns(list(_fields(approval))))
    else:
        print_json(approval)


def _fields(approval: Approval) -> Iterator[tuple[str, str]]:
    yield "approval", approval.id
    yield "state", approval.state
    yield "agent", approval.agent_id
    yield "from", approval.sender
    yield "where", target_text(approval.target) if approval.target else ""
    yield "message", approval.message_id
    yield "reason", approval.reason
    yield "asked", approval.requested_at
    yield "expires", approval.expires_at
    if approval.is_decided:
        yield "decided", approval.decided_at
        yield "by", approval.decided_by
        yield "note", approval.note


def _row(approval: Approval) -> tuple[str, ...]:
    return (
        approval.id,
        approval.agent_id,
        approval.sender,
        target_text(approval.target) if approval.target else "",
        approval.reason,
        approval.state,
        time_in_words(approval.expires_at),
    )
