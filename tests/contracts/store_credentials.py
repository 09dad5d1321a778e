"""What every store promises about sessions of the console and the networks of pair tokens."""

import attrs

from moltnet.protocol.ids import NetworkId
from moltnet.storage.commands import (
    BindPairNetwork,
    CloseSessions,
    OpenSession,
    PairNetworkBound,
    SessionOpened,
    SessionsClosed,
)
from moltnet.storage.records import PairNetwork, StoredSession
from moltnet.storage.store import Store
from tests.storage.examples import at

MONDAY = StoredSession("digest-1", "token:ops", created_at=at(0), expires_at=at(3600))
TUESDAY = attrs.evolve(MONDAY, digest="digest-2")
REMOTE = PairNetwork("token:pair", NetworkId("net_b"))


class CredentialContract:
    async def test_sessions_are_kept_until_they_are_closed(self, store: Store) -> None:
        committed = await store.commit([OpenSession(MONDAY), OpenSession(TUESDAY)])
        assert committed.outcomes == (SessionOpened(), SessionOpened())
        assert set(committed.sessions) == {MONDAY, TUESDAY}
        assert set((await store.load_directory()).sessions) == {MONDAY, TUESDAY}
        committed = await store.commit([CloseSessions((MONDAY.digest, "unknown"))])
        assert committed.outcomes == (SessionsClosed(),)
        assert committed.closed_sessions == {MONDAY.digest, "unknown"}
        assert (await store.load_directory()).sessions == (TUESDAY,)

    async def test_a_new_session_takes_the_place_of_others(self, store: Store) -> None:
        await store.commit([OpenSession(MONDAY)])
        await store.commit([OpenSession(TUESDAY, closing=(MONDAY.digest,))])
        assert (await store.load_directory()).sessions == (TUESDAY,)

    async def test_what_a_batch_does_to_a_session_last_counts(self, store: Store) -> None:
        await store.commit([OpenSession(MONDAY), CloseSessions((MONDAY.digest,)), OpenSession(TUESDAY)])
        assert (await store.load_directory()).sessions == (TUESDAY,)
        await store.commit([CloseSessions((TUESDAY.digest,)), OpenSession(TUESDAY)])
        assert (await store.load_directory()).sessions == (TUESDAY,)

    async def test_a_pair_token_belongs_to_the_first_network_that_it_speaks_for(self, store: Store) -> None:
        other = attrs.evolve(REMOTE, network_id=NetworkId("net_c"))
        committed = await store.commit([BindPairNetwork(REMOTE), BindPairNetwork(other)])
        assert committed.outcomes == (PairNetworkBound(NetworkId("net_b")),) * 2
        assert committed.pair_networks == (REMOTE,)
        committed = await store.commit([BindPairNetwork(other)])
        assert committed.outcomes == (PairNetworkBound(NetworkId("net_b")),)
        assert committed.pair_networks == ()
        assert (await store.load_directory()).pair_networks == (REMOTE,)

    async def test_sessions_and_pair_networks_make_no_events(self, store: Store) -> None:
        await store.commit([OpenSession(MONDAY), BindPairNetwork(REMOTE), CloseSessions((MONDAY.digest,))])
        assert (await store.event_bounds()).newest_seq == 0
