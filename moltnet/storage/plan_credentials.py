"""Deciding about what credentials leave behind: sessions of the console, and the networks of pair tokens."""

from moltnet.storage.commands import (
    BindPairNetwork,
    CloseSessions,
    OpenSession,
    PairNetworkBound,
    SessionOpened,
    SessionsClosed,
)
from moltnet.storage.draft import Draft


def open_session(draft: Draft, command: OpenSession) -> SessionOpened:
    for digest in command.closing:
        draft.close_session(digest)
    draft.keep_session(command.session)
    return SessionOpened()


def close_sessions(draft: Draft, command: CloseSessions) -> SessionsClosed:
    for digest in command.digests:
        draft.close_session(digest)
    return SessionsClosed()


def bind_pair_network(draft: Draft, command: BindPairNetwork) -> PairNetworkBound:
    known = draft.facts.pair_networks.get(command.pair.credential_key)
    if known is None:
        draft.keep_pair_network(command.pair)
        known = command.pair
    return PairNetworkBound(known.network_id)
