"""Of several servers on one database the one that relays hears of what the others stored."""

from moltnet.config.secrets import Secret
from moltnet.protocol.ids import MessageId
from moltnet.storage.commands import RecordEvents
from moltnet.storage.outbox import ANY_PAIRING, RelayFailure, RelayState, RetryRelays, SettleRelays
from moltnet.storage.sql.postgres.store import open_postgres
from tests.contracts.store_messages import EVERYTHING, wake
from tests.storage.examples import NETWORK, at, create_room, post, relayed

REFUSED = RelayState(1, RelayFailure(404, "unknown_room", "unknown room", at(1)))


async def test_a_message_that_another_server_took_may_wait_for_any_pairing(postgres_dsn: str) -> None:
    dsn = Secret(postgres_dsn)
    async with open_postgres(dsn, NETWORK) as first, open_postgres(dsn, NETWORK) as second:
        await first.commit([create_room()])
        assert (await second.commit([])).relayed == frozenset()
        await first.commit([relayed(post("m1"))])
        news = await second.commit([])
        assert news.relayed == {ANY_PAIRING}
        assert [row.message_id for row in await second.outbox("to_b", 0, EVERYTHING)] == ["m1"]
        await first.commit([RecordEvents((wake("evt_1"),))])
        own = await second.commit([relayed(post("m2"), "to_c")])
        assert own.relayed == {"to_c"}


async def test_a_dead_letter_that_is_tried_again_is_news_for_the_others(postgres_dsn: str) -> None:
    dsn = Secret(postgres_dsn)
    async with open_postgres(dsn, NETWORK) as first, open_postgres(dsn, NETWORK) as second:
        await first.commit([create_room(), relayed(post("m1"))])
        await first.commit([SettleRelays("to_b", changed=((2, REFUSED),))])
        assert (await second.commit([])).retried_relays == frozenset()
        await first.commit([RetryRelays("to_b", (MessageId("m1"),))])
        assert (await second.commit([])).retried_relays == {"to_b"}
        assert (await second.commit([])).retried_relays == frozenset()
        await first.commit([SettleRelays("to_b", changed=((2, REFUSED),))])
        await first.commit([RetryRelays("to_b", (MessageId("m1"),))])
        assert (await second.commit([relayed(post("m2"))])).retried_relays == {"to_b"}
