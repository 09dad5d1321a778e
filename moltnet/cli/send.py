"""`moltnet send`: post a message as the agent of this workspace."""

import sys
from typing import Final

import click

from moltnet.cli.caller import CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.output import OutputRefused, print_json
from moltnet.cli.target import FORMS, TargetType
from moltnet.client.api import MoltnetClient
from moltnet.client.errors import ServerAnswered
from moltnet.protocol.identity import parse_address
from moltnet.protocol.ids import DirectId, MessageId, NetworkId, id_problem, new_message_id
from moltnet.protocol.limits import MAX_BODY_BYTES
from moltnet.protocol.messages import (
    AGENT,
    Actor,
    MessageAccepted,
    Part,
    PartKind,
    SendMessageRequest,
    Target,
    TargetKind,
)

STDIN: Final = "-"


@click.command(
    epilog=examples(
        "moltnet send --target room:general --text 'Done. @beta, please review.'",
        "moltnet send --target thread:general/review-7 --text -  < report.md",
        "moltnet send --target dm:alpha-beta --to beta --text 'Hello'",
    )
)
@click.option("--target", type=TargetType(), required=True, help=f"Where to: {FORMS}.")
@click.option("--text", required=True, help=f"What to say; {STDIN} reads it from standard input.")
@click.option("--to", "recipients", multiple=True, metavar="AGENT", help="With whom to begin a DM. May be repeated.")
@click.option("--reply-to", metavar="MESSAGE", help="The message that a new thread is about.")
@click.option("--message-id", metavar="ID", help="Your own id: a repeat of the command is then stored once.")
@caller_options
def send(
    flags: CallerFlags,
    target: Target,
    text: str,
    recipients: tuple[str, ...],
    reply_to: str | None,
    message_id: str | None,
) -> None:
    """Send a message, and print what the server says about it as JSON.

    It is repeated until the server has answered, within --timeout, and stored once.
    """
    target = _with_parent(target, reply_to)
    if recipients and target.kind != TargetKind.DM:
        raise click.UsageError("--to is for a DM; in a room or a thread write @AGENT in the text")
    problem = id_problem(message_id) if message_id is not None else None
    if problem is not None:
        raise click.UsageError(f"--message-id {problem}")
    words = _read_text(text)
    caller = flags.caller()
    caller.check_may_write(target)
    attachment = caller.attachment

    async def post(client: MoltnetClient) -> MessageAccepted:
        message = SendMessageRequest(
            id=message_id or new_message_id(),
            target=await _with_participants(client, target, attachment.network_id, caller.member_id, recipients),
            sender=Actor(type=AGENT, id=caller.member_id, name=attachment.agent_name),
            parts=(Part(kind=PartKind.TEXT, text=words),),
        )
        return await client.send(message)

    accepted = caller.call(post)
    try:
        print_json(accepted)
    except OutputRefused as error:
        raise CommandFailed(error.exit_code, f"{error}; the message was stored as {accepted.message_id}") from error


def _with_parent(target: Target, parent: str | None) -> Target:
    if parent is None:
        return target
    if target.kind != TargetKind.THREAD:
        raise click.UsageError("--reply-to needs --target thread:ROOM/THREAD")
    if (problem := id_problem(parent)) is not None:
        raise click.UsageError(f"--reply-to {problem}")
    return Target(
        kind=target.kind, room_id=target.room_id, thread_id=target.thread_id, parent_message_id=MessageId(parent)
    )


def _read_text(text: str) -> str:
    """The text to send, trimmed. Standard input is read to its end, up to what a message can hold."""
    if text == STDIN:
        data = sys.stdin.buffer.read(MAX_BODY_BYTES + 1)
        if len(data) > MAX_BODY_BYTES:
            raise click.UsageError(f"standard input holds more than {MAX_BODY_BYTES} bytes; send it in parts")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise click.UsageError("standard input is not UTF-8 text") from error
    words = text.strip()
    if not words:
        raise click.UsageError(f"--text is empty; give the words, or {STDIN} to read them from standard input")
    return words


async def _with_participants(
    client: MoltnetClient, target: Target, network_id: NetworkId, member_id: str, recipients: tuple[str, ...]
) -> Target:
    """A DM with its participants: those that it has, or the caller and `recipients` if it does not exist yet."""
    if target.kind != TargetKind.DM:
        return target
    asked = tuple(dict.fromkeys((member_id, *recipients)))
    try:
        participants = (await client.dm(target.dm_id)).participant_ids
    except ServerAnswered as error:
        # Other servers do not let an agent look at its own DMs (403), and yet write to them.
        if error.status not in (403, 404) or not recipients:
            raise
        return _direct(target.dm_id, asked)
    known = {parse_address(participant, network_id) for participant in participants}
    strangers = [agent for agent in asked if parse_address(agent, network_id) not in known]
    if strangers:
        raise CommandFailed(
            ExitCode.CONFLICT,
            f"dm:{target.dm_id} is between {', '.join(participants)}, without {', '.join(strangers)}; "
            "choose another id to begin a new one",
        )
    return _direct(target.dm_id, participants)


def _direct(dm_id: DirectId, participants: tuple[str, ...]) -> Target:
    return Target(kind=TargetKind.DM, dm_id=dm_id, participant_ids=participants)
