"""What an inviting network does when somebody accepts: prove the secret, then write both tokens into its config file.

The entries that the file gets carry the invitation's id, so the file itself tells whether an invitation was used: a
crash at any point leaves it open or used, never half of it. Blocks on the file system.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import attrs

from moltnet.client.address import parse_server_address
from moltnet.client.guard import AddressGuard, literal_problem
from moltnet.config.names import name_problem
from moltnet.config.secrets import Secret, strength_problem
from moltnet.config.server_edit import Edit, edit_server_config
from moltnet.config.settings import MoltnetConfig, PairingSettings, Scope
from moltnet.config.splice import Append, Entry
from moltnet.config.urls import base_url, url_problem
from moltnet.pairing.invitations import Invitation, find_invitation, invitations_path
from moltnet.protocol.codec import Problem
from moltnet.protocol.ids import id_problem
from moltnet.protocol.invitations import AcceptInvitationRequest


class NotInvited(Exception):
    """No open invitation has this id and secret. The text does not tell which of them is wrong, or since when."""


class AlreadyPaired(Exception):
    """There is a pairing with that network, or at that address."""


class BadAcceptance(Exception):
    """The request makes no sense. ``problems`` says where."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


@attrs.frozen
class Acceptance:
    """What comes of a request: the pairing's id, and what was written; nothing if it was a repeat."""

    pairing_id: str
    rooms: tuple[str, ...]
    edit: Edit | None


def proven_invitation(config: MoltnetConfig, request: AcceptInvitationRequest, now: datetime) -> Invitation:
    """The invitation that the request has the secret of. Raises ``NotInvited``, ``ConfigError``."""
    assert config.source is not None
    invitation = find_invitation(invitations_path(config.source), request.invitation_id)
    if (
        invitation is None
        or not invitation.fits(request.secret)
        or invitation.is_expired(now)
        or invitation.network_id != config.network.id
    ):
        raise NotInvited("this invitation is unknown, or over, or was used by somebody else: ask for a new one")
    return invitation


def accept(
    config: MoltnetConfig,
    invitation: Invitation,
    request: AcceptInvitationRequest,
    environ: Mapping[str, str],
    cwd: Path,
) -> Acceptance:
    """Write down the pairing that a trimmed request asks for. The same request again changes nothing.

    Raises ``BadAcceptance``, ``NotInvited``, ``AlreadyPaired``, and ``ConfigError`` with the file as it was.
    """
    assert config.source is not None
    problems = tuple(_problems(config, invitation, request))
    if problems:
        raise BadAcceptance(*problems)
    address = base_url(request.base_url)
    token_id = credential_id(invitation.id)
    known = next((token for token in config.auth.tokens if token.id == token_id), None)
    twin = _twin(config, request.network_id, address)
    rooms = tuple(dict.fromkeys(request.rooms))
    if known is not None or invitation.used_by:
        is_repeat = known is not None and twin is not None and known.value == Secret(request.token)
        if not is_repeat or twin is None or twin.token != Secret(request.reply_token):
            raise NotInvited("this invitation is unknown, or over, or was used by somebody else: ask for a new one")
        return Acceptance(twin.id, rooms, None)
    if twin is not None:
        raise AlreadyPaired(f'this network is already paired with "{request.network_id}", or with that address')
    pairing_id = free_pairing_id(config, request.network_id, invitation.id)
    changes = pairing_changes(
        credential=token_id,
        pairing_id=pairing_id,
        network_id=request.network_id,
        network_name=request.network_name,
        address=address,
        accepts=request.token,
        presents=request.reply_token,
        rooms=rooms,
        allow_private_address=invitation.allow_private_address,
        # Where nothing is encrypted there is no certificate either.
        ca_file=invitation.ca_file if parse_server_address(address).is_tls else "",
    )
    return Acceptance(pairing_id, rooms, edit_server_config(config.source, changes, environ, cwd))


def credential_id(invitation_id: str) -> str:
    """The id of the token that a network which was invited presents."""
    return f"pair-{invitation_id}"


def free_pairing_id(config: MoltnetConfig, network_id: str, invitation_id: str) -> str:
    """The other network's id, if no other pairing is called that."""
    taken = {pairing.id for pairing in config.pairings}
    return network_id if network_id not in taken else credential_id(invitation_id)


def pairing_changes(
    *,
    credential: str,
    pairing_id: str,
    network_id: str,
    network_name: str,
    address: str,
    accepts: str,
    presents: str,
    rooms: tuple[str, ...],
    allow_private_address: bool,
    ca_file: str = "",
) -> tuple[Append, Append]:
    """The two entries of a config file that make a pairing: the token that is accepted, and the way there.

    ``accepts`` is the value of the first, ``presents`` the token of the second. Without ``ca_file`` the system's
    authorities are trusted.
    """
    way: dict[str, str | bool | tuple[str, ...]] = {"id": pairing_id, "remote_network_id": network_id}
    if network_name:
        way["remote_network_name"] = network_name
    # Written down either way: an address that came from outside is not one that the operator chose.
    way |= {
        "remote_base_url": address,
        "token": presents,
        "rooms": rooms,
        "allow_private_address": allow_private_address,
    }
    if ca_file:
        way["ca_file"] = ca_file
    entry: Entry = {"id": credential, "value": accepts, "scopes": (str(Scope.PAIR),), "network": network_id}
    return Append(("auth", "tokens"), entry), Append(("pairings",), way)


def address_problem(text: str, *, allow_private: bool) -> str | None:
    """Why a network that somebody else names must not be called at ``text``, as a phrase that follows its name.

    Names are looked up when they are called, and guarded there.
    """
    if (problem := url_problem(text)) is not None:
        return problem
    server = parse_server_address(text)
    if not server.is_tls and not allow_private:
        return "must be https: the tokens of both networks pass through it"
    problem = literal_problem(AddressGuard(allow_private=allow_private), server.host)
    return None if problem is None else f"must not lead there: its host {problem}"


def _twin(config: MoltnetConfig, network_id: str, address: str) -> PairingSettings | None:
    for pairing in config.pairings:
        if pairing.remote_network_id == network_id or pairing.remote_base_url.lower() == address.lower():
            return pairing
    return None


def _problems(config: MoltnetConfig, invitation: Invitation, request: AcceptInvitationRequest) -> list[Problem]:
    found: dict[str, str | None] = {
        "network_id": id_problem(request.network_id) if request.network_id else "is required",
        "network_name": name_problem(request.network_name),
        "base_url": address_problem(request.base_url, allow_private=invitation.allow_private_address),
        "token": strength_problem(request.token),
        "reply_token": strength_problem(request.reply_token),
    }
    if found["network_id"] is None and ":" in request.network_id:
        found["network_id"] = "must not hold a colon"
    elif request.network_id == config.network.id:
        found["network_id"] = "is this network's own id"
    if found["token"] is None and request.token == request.reply_token:
        found["reply_token"] = "must be another than token"
    if set(request.rooms) - set(invitation.rooms):
        found["rooms"] = "must be rooms of the invitation"
    return [Problem(f"$.{field}", problem) for field, problem in found.items() if problem is not None]
