"""Two paired networks, of which one after the other is killed at random moments while both talk (pairing §3).

Each message must be in the other network exactly once, and in the order of its conversation. `make relay-crash` does it
as often as you like.
"""

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest
import trio

from moltnet.storage.sql.postgres.store import open_postgres
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import Store
from tests.e2e.paired_networks import Network, all_settled, assert_all_is_everywhere, open_networks
from tests.e2e.replicas import wait_for
from tests.e2e.running import PATIENCE_SECONDS
from tests.fakes.postgres import PostgresServer
from tests.storage.crashes import messages_in, whole_log

ROUNDS: Final = int(os.environ.get("MOLTNET_RELAY_CRASH_ROUNDS", "0"))
SEED: Final = int(os.environ.get("MOLTNET_RELAY_CRASH_SEED", "0"))
SENDERS: Final = 3
MOST_IN_A_ROUND: Final = 60
# After so many rounds, about, everything may arrive before the next kill; else what waits goes on growing.
SETTLED_BETWEEN: Final = 0.3
# A server that was killed owns what it relays until its lease is over.
TAKEOVER_SECONDS: Final = 30.0
COMPARED_EVERY: Final = 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + ROUNDS * 60)]


async def survive_kills(networks: Sequence[Network], rounds: int, chance: random.Random) -> None:
    kills = {network.id: 0 for network in networks}
    while_busy = 0
    async with trio.open_nursery() as nursery:
        for network in networks:
            nursery.start_soon(network.replica.keep_running)
            for sender in range(SENDERS):
                nursery.start_soon(network.keep_talking, f"s{sender}")
        for life in range(rounds):
            await wait_for(lambda: all(network.replica.is_up for network in networks))
            if chance.random() < SETTLED_BETWEEN:
                await all_settled(networks, PATIENCE_SECONDS + TAKEOVER_SECONDS)
            for network in networks:
                network.allowed += chance.randrange(1, MOST_IN_A_ROUND)
            victims = [[networks[0]], [networks[1]], list(networks)][chance.choices((0, 1, 2), (4, 4, 1))[0]]
            watched = chance.choice(networks)
            # Anywhere between the first of them and some time after the last.
            enough = watched.allowed - chance.randrange(MOST_IN_A_ROUND // 2)
            await wait_for(lambda watched=watched, enough=enough: len(watched.accepted) >= enough)  # type: ignore[misc]
            await trio.sleep(chance.random() / 2)
            queues = [queue for network in networks for queue in await network.queues()]
            while_busy += any(queue["waiting"] for queue in queues)
            for victim in victims:
                kills[victim.id] += 1
                victim.replica.kill()
            # Else the next round might find it still up.
            await wait_for(lambda victims=victims: not any(each.replica.is_up for each in victims))  # type: ignore[misc]
            if life % COMPARED_EVERY == COMPARED_EVERY - 1:
                await wait_for(lambda: all(network.replica.is_up for network in networks))
                await all_settled(networks, PATIENCE_SECONDS + TAKEOVER_SECONDS)
                print(f"{life + 1} rounds, {await assert_all_is_everywhere(networks)} messages compared", flush=True)
        await wait_for(lambda: all(network.replica.is_up for network in networks))
        await all_settled(networks, PATIENCE_SECONDS + TAKEOVER_SECONDS)
        compared = await assert_all_is_everywhere(networks)
        assert compared == sum(len(network.accepted) for network in networks)
        for network in networks:
            assert await network.replica.stop() == 0
        nursery.cancel_scope.cancel()
    print(
        f"{rounds} rounds, {kills} kills, {while_busy} rounds in which messages waited at the kill, "
        f"{compared} messages on both sides, none lost, none twice, all in order"
    )


def new_chance() -> tuple[int, random.Random]:
    seed = SEED or random.randrange(2**32)
    print(f"seed {seed}")
    return seed, random.Random(seed)


async def assert_one_whole_log(store: Store, networks: Sequence[Network]) -> None:
    """The log has no hole, and one event for each message of either network."""
    records = await whole_log(store)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    stored = messages_in(records)
    assert len(stored) == len(set(stored))
    assert set(stored) == {message.id for network in networks for message in network.accepted}


async def test_networks_on_sqlite_killed_at_any_moment_have_each_message_once_and_in_order(tmp_path: Path) -> None:
    seed, chance = new_chance()
    networks = open_networks(tmp_path, "one", "two", seed=seed)
    await survive_kills(networks, ROUNDS or 3, chance)
    for network in networks:
        path = network.replica.server.directory / "data" / "moltnet.db"
        async with open_sqlite(path, network.id) as store:  # type: ignore[arg-type]  # a NewType
            await assert_one_whole_log(store, networks)


async def test_networks_on_postgres_killed_at_any_moment_have_each_message_once_and_in_order(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    seed, chance = new_chance()
    dsns: Mapping[str, str] = {each: postgres_server.dsn_of_new_schema() for each in ("one", "two")}
    environments = {each: {"MOLTNET_POSTGRES_DSN": dsn, "MOLTNET_SQLITE_PATH": ""} for each, dsn in dsns.items()}
    networks = open_networks(tmp_path, *dsns, seed=seed, environments=environments)
    await survive_kills(networks, ROUNDS or 2, chance)
    for network in networks:
        async with open_postgres(dsns[network.id], network.id) as store:  # type: ignore[arg-type]  # a NewType
            await store.wait_changed()  # it listens: no connection is being made when the block is left
            await assert_one_whole_log(store, networks)
