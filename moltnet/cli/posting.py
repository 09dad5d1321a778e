"""Posting as the agent of this workspace: what the message says, to whom, and what the server answers.

`send` and `dm` offer it; the parts of a message come from options of theirs.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import click
import orjson

from moltnet.cli.caller import Caller
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.output import OutputRefused, print_json
from moltnet.client.api import MoltnetClient
from moltnet.client.errors import ServerAnswered
from moltnet.protocol.identity import member_problem, parse_address
from moltnet.protocol.ids import DirectId, NetworkId, id_problem, new_message_id
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

T = TypeVar("T")

STDIN: Final = "-"


@attrs.frozen
class Draft:
    """A message that is wanted. Without `message_id` the client makes one."""

    target: Target
    parts: tuple[Part, ...]
    recipients: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    message_id: str | None = None


def post(caller: Caller, draft: Draft) -> None:
    """Send it until the server has answered, and print the answer as JSON. Raises what the caller's calls raise."""
    caller.check_may_write(draft.target)
    attachment = caller.attachment

    async def ask(client: MoltnetClient) -> MessageAccepted:
        target = await _with_participants(
            client, draft.target, attachment.network_id, caller.member_id, draft.recipients
        )
        message = SendMessageRequest(
            id=draft.message_id or new_message_id(),
            target=target,
            sender=Actor(type=AGENT, id=caller.member_id, name=attachment.agent_name),
            parts=draft.parts,
            mentions=draft.mentions,
        )
        return await client.send(message)

    accepted = caller.call(ask)
    try:
        print_json(accepted)
    except OutputRefused as error:
        raise CommandFailed(error.exit_code, f"{error}; the message was stored as {accepted.message_id}") from error


def content_options(command: Callable[..., T]) -> Callable[..., T]:
    """The options that `read_parts` takes: what a message says, beside `--text`."""
    for option in (
        click.option("--mention", "mentions", multiple=True, metavar="AGENT", help="Wake this agent. May be repeated."),
        click.option(
            "--data", multiple=True, metavar="JSON", help=f"Attach a JSON object; {STDIN} reads it from stdin."
        ),
        click.option("--url", "urls", multiple=True, metavar="URL", help="Attach a link. May be repeated."),
        click.option(
            "--text-file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Say what is in this file.",
        ),
        click.option("--text", help=f"What to say; {STDIN} reads it from standard input."),
    ):
        command = option(command)
    return command


def read_parts(text: str | None, text_file: Path | None, urls: Sequence[str], data: Sequence[str]) -> tuple[Part, ...]:
    """The parts of the message that the options describe. Raises `click.UsageError` if there are none."""
    if text is not None and text_file is not None:
        raise click.UsageError("--text and --text-file exclude each other")
    if [text, *data].count(STDIN) > 1:
        raise click.UsageError("standard input can be read once only")
    words = _read_text(text) if text is not None else _read_file(text_file) if text_file is not None else ""
    parts = [Part(kind=PartKind.TEXT, text=words)] if words else []
    parts += [Part(kind=PartKind.URL, url=url) for url in urls]
    parts += [Part(kind=PartKind.DATA, data=_read_data(given)) for given in data]
    if not parts:
        raise click.UsageError(
            f"say something: --text WORDS ({STDIN} reads standard input), --text-file, --url or --data"
        )
    return tuple(parts)


def checked_mentions(mentions: Sequence[str]) -> tuple[str, ...]:
    """`@beta` and `beta` alike. Raises `click.UsageError`."""
    found = tuple(mention.strip().removeprefix("@") for mention in mentions)
    for mention in found:
        if (problem := member_problem(mention)) is not None:
            raise click.UsageError(f"--mention {mention!r} {problem}")
    return found


def checked_message_id(message_id: str | None) -> str | None:
    """Raises `click.UsageError`."""
    problem = id_problem(message_id) if message_id is not None else None
    if problem is not None:
        raise click.UsageError(f"--message-id {problem}")
    return message_id


def _read_text(text: str) -> str:
    words = (_decoded(_read_stdin(), "standard input") if text == STDIN else text).strip()
    if not words:
        raise click.UsageError(f"--text is empty; give the words, or {STDIN} to read them from standard input")
    return words


def _read_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BODY_BYTES + 1)
    except OSError as error:
        raise click.UsageError(f"--text-file {path}: {error.strerror or error}") from error
    words = _decoded(_within_limit(data, str(path)), str(path)).strip()
    if not words:
        raise click.UsageError(f"--text-file {path} is empty")
    return words


def _read_data(given: str) -> dict[str, Any]:
    text = _decoded(_read_stdin(), "standard input") if given == STDIN else given
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise click.UsageError(f"--data is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.UsageError('--data must be a JSON object, such as {"build": 7}')
    return found


def _read_stdin() -> bytes:
    """Standard input to its end, up to what a message can hold."""
    return _within_limit(sys.stdin.buffer.read(MAX_BODY_BYTES + 1), "standard input")


def _within_limit(data: bytes, name: str) -> bytes:
    if len(data) > MAX_BODY_BYTES:
        raise click.UsageError(f"{name} holds more than {MAX_BODY_BYTES} bytes; send it in parts")
    return data


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{name} is not UTF-8 text") from error


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
