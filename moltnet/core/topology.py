"""What a paired network may know of this one: the rooms that both share, and who is in them.

Only lists are asked with this. What is said in those rooms is not for a pair token to read: it comes by relaying.
"""

import attrs

from moltnet.auth.claims import Claims, CredentialKind
from moltnet.config.settings import Scope
from moltnet.core.access import Viewer
from moltnet.core.network import NetworkContext
from moltnet.core.senders import spoken_for


def list_viewer(context: NetworkContext, claims: Claims, viewer: Viewer) -> Viewer:
    """``viewer`` for lists: a pair token sees rooms that list one of its network's actors, or that relay to it.

    A token that has no network yet, because the file names none and nothing was sent with it, sees none of them.
    """
    if claims.kind is not CredentialKind.STATIC or Scope.PAIR not in claims.scopes:
        return viewer
    network = spoken_for(claims, context.directory)
    if network is None:
        return viewer
    shown = set(context.directory.rooms_of_network(network))
    for terms in context.terms.relaying:
        if terms.remote_network_id == network:
            shown.update(room_id for room_id in context.directory.room_ids() if terms.relays_room(room_id))
    return attrs.evolve(viewer, shown_rooms=frozenset(shown))
