"""What is known of the networks that this one is paired with."""

from typing import Final

import attrs

from moltnet.core.errors import NotFound
from moltnet.core.network import NetworkContext
from moltnet.core.pages import id_page_json, merged_keys, unknown_cursor
from moltnet.log import get_logger
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.ids import new_event_id
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.pairings import Pairing
from moltnet.storage.marks import Switch, SwitchPairing

log = get_logger("pairing")

_DISABLED: Final = "disabled"
_UNKNOWN: Final = "unknown"


def list_pairings(context: NetworkContext, page: PageRequest) -> bytes:
    """A page of pairings, by id, as JSON. Raises ``Invalid`` for a foreign cursor."""
    by_id = {pairing.id: pairing for pairing in context.pairings}
    cursor = page.before or page.after
    if cursor and cursor not in by_id:
        raise unknown_cursor(page)
    return id_page_json("pairings", (by_id[id] for id in merged_keys(list(by_id), page=page)), page)


async def switch_pairing(context: NetworkContext, pairing_id: str, switch: Switch) -> Pairing:
    """Put a pairing to work, or let it rest, against what the config file says, at all servers and for good.

    What waits to be relayed over it waits. Raises ``NotFound``, ``StorageError``.
    """
    before = _pairing(context, pairing_id)
    # How it is will be found out; before that it is what nothing is known of.
    after = attrs.evolve(before, status=_UNKNOWN if switch.enabled else _DISABLED, diagnostics=None)
    event = Event(new_event_id(), EventType.PAIRING_UPDATED, context.id, context.now(), pairing=after)
    await context.journal.commit(SwitchPairing(before.id, switch, event))
    log.info("pairing switched", pairing=before.id, enabled=switch.enabled)
    return _pairing(context, pairing_id)


def _pairing(context: NetworkContext, pairing_id: str) -> Pairing:
    for pairing in context.pairings:
        if pairing.id == pairing_id:
            return pairing
    raise unknown_pairing(pairing_id)


def unknown_pairing(pairing_id: str) -> NotFound:
    return NotFound(ErrorCode.UNKNOWN_PAIRING, f'unknown pairing "{pairing_id}"')
