"""What is known of the networks that this one is paired with."""

from moltnet.core.errors import NotFound
from moltnet.core.network import NetworkContext
from moltnet.core.pages import id_page_json, merged_keys, unknown_cursor
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.pages import PageRequest


def list_pairings(context: NetworkContext, page: PageRequest) -> bytes:
    """A page of pairings, by id, as JSON. Raises ``Invalid`` for a foreign cursor."""
    by_id = {pairing.id: pairing for pairing in context.pairings}
    cursor = page.before or page.after
    if cursor and cursor not in by_id:
        raise unknown_cursor(page)
    return id_page_json("pairings", (by_id[id] for id in merged_keys(list(by_id), page=page)), page)


def unknown_pairing(pairing_id: str) -> NotFound:
    return NotFound(ErrorCode.UNKNOWN_PAIRING, f'unknown pairing "{pairing_id}"')
