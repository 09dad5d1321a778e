"""`moltnet send`: post a message as the agent of this workspace."""

from pathlib import Path

import click

from moltnet.cli.caller import CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.posting import Draft, checked_mentions, checked_message_id, content_options, post, read_parts
from moltnet.cli.target import FORMS, TargetType
from moltnet.protocol.ids import MessageId, id_problem
from moltnet.protocol.messages import Target, TargetKind


@click.command(
    epilog=examples(
        "moltnet send --target room:general --text 'Done. @beta, please review.'",
        "moltnet send --target thread:general/review-7 --text -  < report.md",
        "moltnet send --target room:general --text 'The build' --url https://ci.example.com/7 --mention beta",
        "moltnet send --target dm:alpha-beta --to beta --text 'Hello'",
    )
)
@click.option("--target", type=TargetType(), required=True, help=f"Where to: {FORMS}.")
@content_options
@click.option("--to", "recipients", multiple=True, metavar="AGENT", help="With whom to begin a DM. May be repeated.")
@click.option("--reply-to", metavar="MESSAGE", help="The message that a new thread is about.")
@click.option("--message-id", metavar="ID", help="Your own id: a repeat of the command is then stored once.")
@caller_options
def send(
    flags: CallerFlags,
    target: Target,
    text: str | None,
    text_file: Path | None,
    urls: tuple[str, ...],
    data: tuple[str, ...],
    mentions: tuple[str, ...],
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
    draft = Draft(
        target,
        read_parts(text, text_file, urls, data),
        recipients=recipients,
        mentions=checked_mentions(mentions),
        message_id=checked_message_id(message_id),
    )
    post(flags.caller(), draft)


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
