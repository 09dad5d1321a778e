"""`moltnet pair invite` and `moltnet pair accept`: two networks paired with two commands (decision 0018)."""

import os
import secrets
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from moltnet.cli.caller import call_within
from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.names import split_names
from moltnet.cli.operator import OperatorFlags, operator_options
from moltnet.cli.output import is_for_people, print_json, print_lines, print_note
from moltnet.cli.own_network import OwnNetwork
from moltnet.client.dialing import trusting
from moltnet.client.errors import ClientError, ServerAnswered, ServerUnreachable
from moltnet.client.guard import AddressRefused
from moltnet.config.durations import parse_duration
from moltnet.config.secrets import TokenUnavailable, read_token_file, write_token_file
from moltnet.config.server_edit import Edit, undo
from moltnet.config.settings import AuthMode
from moltnet.config.splice import Append
from moltnet.pairing.acceptance import address_problem, credential_id, free_pairing_id, pairing_changes
from moltnet.pairing.accepting import send_acceptance
from moltnet.pairing.code import BadCode, InvitationCode, parse_code
from moltnet.pairing.invitations import invitations_path, keep_invitation, new_invitation
from moltnet.pairing.limits import INVITATION_SECONDS, LONGEST_INVITATION_SECONDS
from moltnet.protocol.ids import id_problem
from moltnet.protocol.invitations import AcceptInvitationRequest, InvitationAccepted

_TOKEN_BYTES: Final = 32
_CA_HELP: Final = "A PEM file with the only authorities that may have signed the other network's certificate."
_PRIVATE_HELP: Final = "Let the other network be in a private network or on this machine, and without https."


@click.group
def pair() -> None:
    """Pair two networks, so that they share rooms and direct messages."""


@pair.command(
    epilog=examples(
        "moltnet pair invite --url https://chat.example.org --rooms general,support",
        "moltnet pair invite --url https://chat.example.org --rooms general --to partner.code",
    )
)
@click.option("--url", metavar="URL", help="Where the other network reaches this one. [default: what it listens on]")
@click.option("--rooms", metavar="ID,ID", help="Rooms to share. Without any, only direct messages pass.")
@click.option(
    "--expires", default=f"{INVITATION_SECONDS // 3600}h", show_default=True, help="How long it is good: 2h, 3d."
)
@click.option("--allow-private", is_flag=True, help=_PRIVATE_HELP)
@click.option("--ca-file", type=click.Path(path_type=Path), help=_CA_HELP)
@click.option("--to", type=click.Path(path_type=Path), help="Write the code into this private file.")
@operator_options
def invite(
    flags: OperatorFlags,
    url: str | None,
    rooms: str | None,
    expires: str,
    allow_private: bool,
    ca_file: Path | None,
    to: Path | None,
) -> None:
    """Make a code by which another network can be paired with this one, once.

    The code is a secret: whoever has it first is paired. Give it to the operator of the other network, who runs
    "moltnet pair accept". The server need not be told; it writes the pairing into its file when the code is used.
    """
    own = OwnNetwork.here(flags)
    address = own.address(url)
    if (problem := address_problem(address, allow_private=allow_private)) is not None:
        raise CommandFailed(ExitCode.USAGE, f"this network's address {address} {problem}; --allow-private allows it")
    shared = split_names(rooms or "")
    _check_ids(shared)
    if missing := own.missing_rooms(shared):
        raise CommandFailed(ExitCode.NOT_FOUND, f"this network has no room {', '.join(missing)}: declare it first")
    now = datetime.now(UTC)
    invitation, code = new_invitation(
        network_id=own.config.network.id,
        network_name=own.config.network.name,
        base_url=address,
        rooms=shared,
        lifetime=_lifetime(expires),
        allow_private_address=allow_private,
        now=now,
        ca_file=_written_path(ca_file),
    )
    # Whoever accepts must not be the first to find out that the file can't be changed.
    own.edit(_example_changes(code, invitation.ca_file), dry_run=True)
    keep_invitation(invitations_path(own.path), invitation, now)
    if to is None:
        print_lines([code.text()])
    else:
        write_token_file(Path.cwd() / to, code.text())
        print_note(f"the code is in {to}")
    print_note(f"good once, until {code.expires_at}; the other network's operator runs: moltnet pair accept")
    _note_mode(own)


@pair.command(
    epilog=examples(
        "moltnet pair accept --url https://chat.example.com",
        "moltnet pair accept --url https://chat.example.com --from partner.code --create-rooms",
    )
)
@click.argument("code", required=False)
@click.option("--from", "source", type=click.Path(path_type=Path), help="Take the code from this private file.")
@click.option("--url", metavar="URL", help="Where the other network reaches this one. [default: what it listens on]")
@click.option("--rooms", metavar="ID,ID", help="Share only these of the rooms that are offered. [default: all]")
@click.option("--create-rooms", is_flag=True, help="Declare offered rooms that this network does not have.")
@click.option("--allow-private", is_flag=True, help=_PRIVATE_HELP)
@click.option("--ca-file", type=click.Path(path_type=Path), help=_CA_HELP)
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@operator_options
def accept(
    flags: OperatorFlags,
    code: str | None,
    source: Path | None,
    url: str | None,
    rooms: str | None,
    create_rooms: bool,
    allow_private: bool,
    ca_file: Path | None,
    as_json: bool,
) -> None:
    """Accept the invitation of another network.

    Without CODE it asks for the code, or reads it from standard input: as an argument, others on this machine see it.
    Both config files get the pairing, and both servers follow at once. Rooms that this network does not have are not
    shared, unless it is to create them. If the connection breaks in between, run the same command again.
    """
    invitation = _read_code(code, source)
    own = OwnNetwork.here(flags)
    address = own.address(url)
    _check_invitation(own, invitation, address, allow_private=allow_private)
    tls = None if ca_file is None else _trust(ca_file)
    agreed, created = _agree(own, invitation, rooms, create_rooms=create_rooms)
    token, reply_token, edit = _write_down(
        own, invitation, agreed, created, allow_private=allow_private, ca_file=_written_path(ca_file)
    )
    request = AcceptInvitationRequest(
        invitation_id=invitation.id,
        secret=invitation.secret,
        network_id=own.config.network.id,
        network_name=own.config.network.name,
        base_url=address,
        token=token,
        reply_token=reply_token,
        rooms=agreed,
    )
    accepted = _send(own, invitation, request, edit, allow_private=allow_private, tls=tls)
    _show(accepted, created, as_json=as_json)
    _note_mode(own)


def _lifetime(text: str) -> timedelta:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise CommandFailed(ExitCode.USAGE, f"--expires {error}") from error
    if not 60 <= seconds <= LONGEST_INVITATION_SECONDS:
        raise CommandFailed(ExitCode.USAGE, f"--expires must be from 1m to {LONGEST_INVITATION_SECONDS // 86_400}d")
    return timedelta(seconds=seconds)


def _check_ids(rooms: tuple[str, ...]) -> None:
    for room_id in rooms:
        if (problem := id_problem(room_id)) is not None:
            raise CommandFailed(ExitCode.USAGE, f"--rooms: {room_id!r} {problem}")


def _example_changes(code: InvitationCode, ca_file: str) -> tuple[Append, Append]:
    """Entries as an acceptance would write them, of a network that nobody has."""
    return pairing_changes(
        credential=credential_id(code.id),
        pairing_id=credential_id(code.id),
        network_id=credential_id(code.id),
        network_name="",
        address=f"https://{code.id}.example",
        accepts=secrets.token_urlsafe(_TOKEN_BYTES),
        presents=secrets.token_urlsafe(_TOKEN_BYTES),
        rooms=code.rooms,
        allow_private_address=False,
        ca_file=ca_file,
    )


def _written_path(ca_file: Path | None) -> str:
    """As it is written into a config file, which may be in another directory than this one."""
    return "" if ca_file is None else str(Path.cwd() / ca_file)


def _read_code(code: str | None, source: Path | None) -> InvitationCode:
    if code is not None and source is not None:
        raise click.UsageError("CODE and --from exclude each other")
    if code is not None:
        print_note("a code on the command line is seen by others and stays in the shell's history")
        text = code
    elif source is not None:
        try:
            text = read_token_file(Path.cwd() / source)
        except TokenUnavailable as error:
            raise CommandFailed(ExitCode.USAGE, str(error).replace("token file", "file")) from error
    elif sys.stdin.isatty():
        text = click.prompt("Code", hide_input=True, err=True)
    else:
        text = sys.stdin.read(2**16)
    try:
        return parse_code(text)
    except BadCode as error:
        raise CommandFailed(ExitCode.USAGE, str(error)) from error


def _check_invitation(own: OwnNetwork, code: InvitationCode, address: str, *, allow_private: bool) -> None:
    if code.network_id == own.config.network.id:
        raise CommandFailed(
            ExitCode.CONFLICT,
            f"the invitation is from a network of the same id, {code.network_id!r}: give one of them another id",
        )
    if code.expires <= datetime.now(UTC):
        raise CommandFailed(ExitCode.AUTH, f"the invitation expired at {code.expires_at}: ask for a new one")
    for whose, text in (("the inviting network's address", code.base_url), ("this network's address", address)):
        if (problem := address_problem(text, allow_private=allow_private)) is not None:
            raise CommandFailed(ExitCode.USAGE, f"{whose} {text} {problem}; --allow-private allows it")


def _agree(
    own: OwnNetwork, code: InvitationCode, wanted: str | None, *, create_rooms: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The rooms that both share, and those among them that this network still has to create."""
    chosen = code.rooms if wanted is None else split_names(wanted)
    if strange := [room_id for room_id in chosen if room_id not in code.rooms]:
        offered = ", ".join(code.rooms) or "none"
        raise CommandFailed(ExitCode.USAGE, f"{', '.join(strange)} is not offered; the invitation offers {offered}")
    missing = tuple(own.missing_rooms(chosen))
    if create_rooms:
        return chosen, missing
    for room_id in missing:
        print_note(f"room {room_id} is not shared, because this network has none; --create-rooms declares it")
    return tuple(room_id for room_id in chosen if room_id not in missing), ()


def _write_down(
    own: OwnNetwork,
    code: InvitationCode,
    agreed: tuple[str, ...],
    created: tuple[str, ...],
    *,
    allow_private: bool,
    ca_file: str,
) -> tuple[str, str, Edit | None]:
    """Put the pairing into our file and let our server know the other's token, before the other hears of it.

    Gives the tokens, and the edit; none if an earlier run of this command has made it.
    """
    known = _written_before(own, code)
    if known is not None:
        return (*known, None)
    token, reply_token = (secrets.token_urlsafe(_TOKEN_BYTES) for _ in range(2))
    changes = pairing_changes(
        credential=credential_id(code.id),
        pairing_id=free_pairing_id(own.config, code.network_id, code.id),
        network_id=code.network_id,
        network_name=code.network_name,
        address=code.base_url,
        accepts=reply_token,
        presents=token,
        rooms=agreed,
        allow_private_address=allow_private,
        ca_file=ca_file,
    )
    rooms = [Append(("rooms",), {"id": room_id}) for room_id in created]
    edit = own.edit([*rooms, *changes])
    try:
        own.reload()
    except BaseException:
        undo(edit)
        raise
    return token, reply_token, edit


def _written_before(own: OwnNetwork, code: InvitationCode) -> tuple[str, str] | None:
    """The tokens that an earlier run with this code wrote down."""
    twin = next((pairing for pairing in own.config.pairings if pairing.remote_network_id == code.network_id), None)
    if twin is None:
        return None
    ours = next((token for token in own.config.auth.tokens if token.id == credential_id(code.id)), None)
    if ours is None or ours.value is None or twin.token is None:
        raise CommandFailed(ExitCode.CONFLICT, f"this network is paired with {code.network_id} already, as {twin.id}")
    return twin.token.reveal(), ours.value.reveal()


def _send(
    own: OwnNetwork,
    code: InvitationCode,
    request: AcceptInvitationRequest,
    edit: Edit | None,
    *,
    allow_private: bool,
    tls: ssl.SSLContext | None,
) -> InvitationAccepted:
    """Tell the inviting network; if it surely has not accepted, put our file back."""

    async def call() -> InvitationAccepted:
        return await send_acceptance(code.base_url, request, allow_private=allow_private, environ=os.environ, tls=tls)

    try:
        return call_within(own.flags.timeout_seconds, code.base_url, call)
    except ClientError as error:
        if edit is not None and _is_surely_refused(error) and undo(edit):
            own.reload()
        raise


def _trust(ca_file: Path) -> ssl.SSLContext:
    try:
        return trusting(ca_file)
    except OSError as error:
        raise CommandFailed(ExitCode.USAGE, f"--ca-file {ca_file} can't be used: {error.strerror or error}") from error


def _is_surely_refused(error: ClientError) -> bool:
    match error:
        case ServerAnswered():
            return 400 <= error.status < 500
        case ServerUnreachable():
            return not error.request_sent
    return isinstance(error, AddressRefused)


def _show(accepted: InvitationAccepted, created: tuple[str, ...], *, as_json: bool) -> None:
    if not is_for_people(as_json):
        print_json({"network_id": accepted.network_id, "network_name": accepted.network_name, "rooms": accepted.rooms})
        return
    rooms = ", ".join(accepted.rooms) or "no rooms, only direct messages"
    print_lines([f"paired with {accepted.network_name or accepted.network_id} ({accepted.network_id}): {rooms}"])
    for room_id in created:
        print_note(f"room {room_id} was declared without members; add those who are to talk there")


def _note_mode(own: OwnNetwork) -> None:
    if own.config.auth.mode is AuthMode.NONE:
        print_note("auth.mode is none here: this network asks nobody for a token, the other network included")
