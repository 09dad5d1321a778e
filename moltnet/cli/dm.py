"""`moltnet dm`: the conversation with one other agent, without knowing its id."""

from pathlib import Path

import click

from moltnet.cli.caller import Caller, CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.posting import Draft, checked_mentions, checked_message_id, content_options, post, read_parts
from moltnet.cli.read import limit_option, show
from moltnet.client.api import MoltnetClient
from moltnet.client.listing import all_dms
from moltnet.protocol.identity import AgentAddress, member_problem, parse_address
from moltnet.protocol.ids import DirectId, id_problem
from moltnet.protocol.messages import Target, TargetKind
from moltnet.protocol.pages import PageRequest


@click.command(
    epilog=examples(
        "moltnet dm beta --text 'Are you done?'",
        "moltnet dm beta",
        "moltnet dm net_b:gamma --text -  < report.md",
    )
)
@click.argument("agent")
@content_options
@click.option("--message-id", metavar="ID", help="Your own id: a repeat of the command is then stored once.")
@limit_option
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@caller_options
def dm(
    flags: CallerFlags,
    agent: str,
    text: str | None,
    text_file: Path | None,
    urls: tuple[str, ...],
    data: tuple[str, ...],
    mentions: tuple[str, ...],
    message_id: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Talk to AGENT alone; without anything to say, show what was said.

    The first message begins the conversation. With several conversations between the two of you it is the one that was
    spoken in last; `moltnet conversations` lists all.
    """
    other = agent.strip().removeprefix("@")
    if (problem := member_problem(other)) is not None:
        raise click.UsageError(f"AGENT {problem}")
    is_message = text is not None or text_file is not None or bool(urls) or bool(data)
    parts = read_parts(text, text_file, urls, data) if is_message else ()
    mentioned, message_id = checked_mentions(mentions), checked_message_id(message_id)
    if not is_message and (mentioned or message_id):
        raise click.UsageError("--mention and --message-id belong to a message: say something with --text")
    caller = flags.caller()
    me, them = (parse_address(id, caller.attachment.network_id) for id in (caller.member_id, other))
    if me == them:
        raise click.UsageError("AGENT is yourself")
    target = _target(caller, me, them)
    if parts:
        post(caller, Draft(target, parts, recipients=(other,), mentions=mentioned, message_id=message_id))
    else:
        show(caller, target, PageRequest(limit=limit), as_json=as_json)


def _target(caller: Caller, me: AgentAddress, them: AgentAddress) -> Target:
    async def ask(client: MoltnetClient) -> Target:
        between = [
            found
            for found in await all_dms(client)
            if {parse_address(each, found.network_id) for each in found.participant_ids} == {me, them}
        ]
        latest = max(between, key=lambda found: found.last_message_at, default=None)
        return Target(kind=TargetKind.DM, dm_id=latest.id if latest is not None else _new_id(me, them))

    caller.check_may_read(Target(kind=TargetKind.DM))
    return caller.call(ask)


def _new_id(me: AgentAddress, them: AgentAddress) -> DirectId:
    """Readable, and between two agents of one network the same from both sides."""
    names = sorted((me, them), key=lambda each: (each.network_id != me.network_id, each.network_id, each.agent_id))
    texts = [
        each.agent_id if each.network_id == me.network_id else f"{each.network_id}.{each.agent_id}" for each in names
    ]
    joined = "-".join(texts)
    if id_problem(joined) is not None:
        raise click.UsageError("the two names make no id; choose one with: moltnet send --target dm:ID --to AGENT")
    return DirectId(joined)
