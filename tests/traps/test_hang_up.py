"""In quart-trio a client that hangs up cancels its handler: what must finish lives elsewhere (style, trap 3)."""

import pytest
import trio
import trio.testing

from moltnet.protocol.codec import encode
from moltnet.protocol.ids import event_id_of_message
from tests.fakes.asgi_client import open_exchange
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.http_client import http_client, open_connection
from tests.fakes.network import open_test_app, open_test_server, post, room_message, wait_until


async def test_a_post_whose_client_hangs_up_still_commits() -> None:
    store = FaultyStore()
    async with open_test_app(store=store) as app:
        store.hold()
        async with open_exchange(app, "POST", "/v1/messages", room_message(message_id="m1")) as exchange:
            await trio.testing.wait_all_tasks_blocked()
            exchange.hang_up()
            with pytest.raises(trio.EndOfChannel):  # the handler was cancelled and answers nothing
                await exchange.receive()
            await exchange.ended.wait()
        store.release()
        await trio.testing.wait_all_tasks_blocked()
        assert [record.message_id for record in await store.events_after(1, 10)] == ["m1"]
        # The retry that follows finds it, and changes nothing.
        assert (await post(app, room_message(message_id="m1"))).event_id == event_id_of_message("m1")
        assert (await store.event_bounds()).newest_seq == 2


async def test_over_a_real_connection_too() -> None:
    store = FaultyStore()
    async with open_test_server(store=store) as server:
        starting = len(store.batches)
        store.hold()
        async with open_connection(server.url) as connection:
            await connection.send_request("POST", "/v1/messages", {}, encode(room_message(message_id="m1")))
            await wait_until(lambda: len(store.batches) > starting)
        store.release()
        await wait_until(lambda: server.app.broker.newest_seq == 2)
        (message,) = (await http_client(server).get("/v1/rooms/general/messages")).json()["messages"]
        assert message["id"] == "m1"
