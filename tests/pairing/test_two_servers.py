"""Two servers of one network, on one PostgreSQL database, paired with another network."""

import attrs

from moltnet.config.secrets import Secret
from moltnet.config.settings import MoltnetConfig, PostgresStorage, StorageKind, StorageSettings
from tests.fakes.network import open_test_server, room_message
from tests.fakes.paired import history, paired_config, pairing_to, say, texts, wait_settled


def on_postgres(config: MoltnetConfig, dsn: str) -> MoltnetConfig:
    return attrs.evolve(config, storage=StorageSettings(StorageKind.POSTGRES, postgres=PostgresStorage(Secret(dsn))))


async def test_what_is_said_at_either_server_arrives_once_and_in_order(postgres_dsn: str) -> None:
    async with open_test_server(paired_config("net_b", "net_a")) as b:
        way = pairing_to("net_b", b.url, "net_a")
        a = attrs.evolve(on_postgres(paired_config("net_a", "net_b"), postgres_dsn), pairings=(way,))
        async with open_test_server(a) as first, open_test_server(a) as second:
            for number in range(20):
                await say((first, second)[number % 2].app, room_message(f"text {number}"))
            await wait_settled(first.app, "to_net_b")
            assert await texts(b.app) == [f"text {number}" for number in range(20)]
            assert len({message.id for message in await history(b.app)}) == 20


async def test_the_other_server_goes_on_when_the_one_that_relays_ends(postgres_dsn: str) -> None:
    async with open_test_server(paired_config("net_b", "net_a")) as b:
        way = pairing_to("net_b", b.url, "net_a")
        a = attrs.evolve(on_postgres(paired_config("net_a", "net_b"), postgres_dsn), pairings=(way,))
        async with open_test_server(a) as second:
            async with open_test_server(a) as first:
                await say(first.app, room_message("with both"))
                await wait_settled(second.app, "to_net_b")
            await say(second.app, room_message("with one"))
            await wait_settled(second.app, "to_net_b")
        async with open_test_server(a) as third:
            await say(third.app, room_message("with another"))
            await wait_settled(third.app, "to_net_b")
        assert await texts(b.app) == ["with both", "with one", "with another"]
