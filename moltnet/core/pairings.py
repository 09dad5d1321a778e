"""What is known of the networks that this one is paired with."""

from typing import NoReturn

from moltnet.core.errors import NotFound, Unreachable
from moltnet.core.network import NetworkContext
from moltnet.core.rooms import page_info
from moltnet.directory import key_window
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.pages import PageRequest, PairingPage


def list_pairings(context: NetworkContext, page: PageRequest) -> PairingPage:
    """Pairings by id."""
    by_id = {pairing.id: pairing for pairing in context.pairings}
    ids, has_more = key_window(list(by_id), before=page.before, after=page.after, limit=page.limit)
    pairings = tuple(by_id[id] for id in ids)
    return PairingPage(pairings, page_info(ids[0] if ids else "", ids[-1] if ids else "", page, has_more=has_more))


def refuse_remote(context: NetworkContext, pairing_id: str) -> NoReturn:
    """Answer for the network of a pairing, which can't be asked yet. Raises ``NotFound``, ``Unreachable``."""
    if all(pairing.id != pairing_id for pairing in context.pairings):
        raise NotFound(ErrorCode.UNKNOWN_PAIRING, f'unknown pairing "{pairing_id}"')
    raise Unreachable(ErrorCode.PAIRING_UNREACHABLE, f'the network of pairing "{pairing_id}" can\'t be reached')
