"""``POST /v1/pairings/accept``: another network accepts an invitation of this one (decision 0018).

The secret of the invitation is the credential; a wrong one counts as a failed authentication of its address. What is
accepted is written into this server's config file, and taken over as a reload does.
"""

import os
from functools import partial
from pathlib import Path

import trio
from quart import Blueprint, Response

from moltnet.app import App
from moltnet.config.problems import ConfigError
from moltnet.config.server_edit import Edit, undo
from moltnet.core.errors import Conflict, Invalid, Refused, Unauthenticated
from moltnet.http.answers import json_answer, read_body
from moltnet.http.auth import Gate
from moltnet.journal import JournalClosed
from moltnet.log import get_logger
from moltnet.pairing import acceptance
from moltnet.pairing.invitations import invitations_path, note_accepted
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.invitations import AcceptInvitationRequest, InvitationAccepted
from moltnet.reload import reload
from moltnet.storage.store import StorageError

log = get_logger("pairing")


def invitations_routes(app: App) -> Blueprint:
    routes = Blueprint("invitations", __name__)
    gate = Gate(app)
    one_at_a_time = trio.Lock()

    @routes.post("/v1/pairings/accept")
    async def accept_invitation() -> Response:
        wanted = (await read_body(AcceptInvitationRequest)).trimmed()
        async with one_at_a_time:
            # Whoever hangs up must not leave a file behind that the server does not follow.
            with trio.CancelScope(shield=True):
                accepted = await _accept(app, gate, wanted)
        return json_answer(accepted)

    return routes


async def _accept(app: App, gate: Gate, wanted: AcceptInvitationRequest) -> InvitationAccepted:
    """Raises ``Refused``, ``StorageError``, ``JournalClosed``; then nothing has changed."""
    source = gate.client.source
    app.admission.check_guesses(source)
    config = app.config
    try:
        if config.source is None:
            raise acceptance.NotInvited("this network has no config file, and so no invitations")
        invitation = await trio.to_thread.run_sync(acceptance.proven_invitation, config, wanted, app.context.clock())
        accept = partial(acceptance.accept, config, invitation, wanted, os.environ, Path.cwd())
        accepted = await trio.to_thread.run_sync(accept)
    except acceptance.NotInvited as refusal:
        app.admission.note_failed_authentication(source)
        raise Unauthenticated(ErrorCode.NOT_INVITED, str(refusal)) from None
    except acceptance.BadAcceptance as refusal:
        raise Invalid.from_problems(refusal.problems) from None
    except acceptance.AlreadyPaired as refusal:
        raise Conflict(ErrorCode.ALREADY_PAIRED, str(refusal)) from None
    except ConfigError as error:
        raise _cannot_pair(str(error)) from None
    if accepted.edit is not None:
        await _take_over(app, accepted.edit)
        log.info("invitation accepted", invitation=invitation.id, pairing=accepted.pairing_id)
        try:
            path = invitations_path(config.source)
            await trio.to_thread.run_sync(note_accepted, path, invitation.id, wanted.network_id)
        except ConfigError as error:
            # The config file knows it too.
            log.warning("the invitation could not be marked as used", problems=str(error).splitlines())
    return InvitationAccepted(app.context.id, app.context.name, accepted.pairing_id, accepted.rooms)


async def _take_over(app: App, edit: Edit) -> None:
    try:
        await reload(app)
    except (Refused, StorageError, JournalClosed) as error:
        try:
            await trio.to_thread.run_sync(undo, edit)
        except ConfigError as problem:
            log.warning("the config file could not be put back", problems=str(problem).splitlines())
        if isinstance(error, Refused):
            raise _cannot_pair(str(error)) from None
        raise


def _cannot_pair(reason: str) -> Conflict:
    """The other network learns only that it did not work: what is in our file is not its business."""
    log.warning("an invitation was accepted, but the pairing could not be written down", reason=reason)
    return Conflict(
        ErrorCode.CANNOT_PAIR, "this network can't write the pairing down; its operator finds the reason in its log"
    )
