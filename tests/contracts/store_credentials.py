"""What every store promises about credentials: who holds an agent, sessions of the console, networks of pair tokens."""

import attrs

from moltnet.protocol.ids import AgentId, NetworkId
from moltnet.storage.commands import (
    AgentMissing,
    BindPairNetwork,
    ChangeCredential,
    CloseSessions,
    CredentialChanged,
    CredentialElsewhere,
    Declared,
    DeclareNetwork,
    DeclareRoom,
    OpenSession,
    PairNetworkBound,
    SessionOpened,
    SessionsClosed,
)
from moltnet.storage.records import PairNetwork, StoredSession
from moltnet.storage.store import Store
from tests.storage.examples import GENERAL, agent, at, register, remove_room, room, update_members

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

    async def test_of_two_changes_of_a_credential_the_first_wins(self, store: Store) -> None:
        await store.commit([register("alpha", "key1", name="Alpha")])
        first = ChangeCredential(AgentId("alpha"), "key1", "key2", at(5))
        second = attrs.evolve(first, credential_key="key3")
        committed = await store.commit([first, second, attrs.evolve(first, agent_id=AgentId("nobody"))])
        before = agent("alpha", "key1", name="Alpha")
        after = attrs.evolve(
            before, credential_key="key2", registration=attrs.evolve(before.registration, updated_at=at(5))
        )
        assert committed.outcomes == (CredentialChanged(after), CredentialElsewhere(), AgentMissing(AgentId("nobody")))
        assert committed.agents == (after,)
        assert committed.records == ()
        assert (await store.load_directory()).agents == (after,)
        assert (await store.commit([second])).outcomes == (CredentialElsewhere(),)

    async def test_a_declaration_is_taken_over_as_a_whole(self, store: Store) -> None:
        await store.commit([register("alpha", "key1"), DeclareRoom(room("kept", "alpha"), "one")])
        await store.commit(
            [update_members("kept", add=["beta"]), DeclareRoom(room("gone"), "one"), remove_room("gone")]
        )
        declared = tuple(DeclareRoom(room(name, "alpha"), "one") for name in ("kept", "gone", GENERAL))
        wanted = DeclareNetwork((agent("alpha", "key2"), agent("beta", "key2")), declared)
        committed = await store.commit([wanted])
        (outcome,) = committed.outcomes
        assert isinstance(outcome, Declared)
        assert [stored.changed for stored in outcome.rooms] == [False, True, True]
        contents = await store.load_directory()
        assert {stored.id: stored.credential_key for stored in contents.agents} == {"alpha": "key2", "beta": "key2"}
        assert {(stored.room.id, stored.room.members) for stored in contents.rooms} == {
            ("kept", ("alpha", "beta")),
            ("gone", ("alpha",)),
            (GENERAL, ("alpha",)),
        }
        assert not any(stored.removed_at for stored in contents.rooms)
        again = await store.commit([wanted])
        assert (again.rooms, again.agents, again.records) == ((), (), ())
