"""Once the peer is gone, Hypercorn's send neither waits nor fails (style, trap 2).

A loop that only sends would then run for ever and let nobody else run.
"""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.attach.link import LinkClosed
from moltnet.http.attach import AsgiLink
from tests.fakes.asgi_client import open_exchange
from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.http_client import http_client
from tests.fakes.network import open_test_app, open_test_server, post_texts, wait_until


async def swallow(_message: object) -> None:
    """What Hypercorn's send is then."""


async def test_sending_on_a_link_is_always_a_checkpoint() -> None:
    send, receive = trio.open_memory_channel[dict[str, object]](1)
    link = AsgiLink(receive.receive, swallow)
    with trio.testing.assert_checkpoints():
        await link.send("to somebody")
    send.send_nowait({"type": "websocket.disconnect", "code": 1006})
    with pytest.raises(LinkClosed):
        await link.receive()
    with trio.testing.assert_checkpoints():
        await link.send("to nobody")


async def test_an_event_stream_without_a_reader_lets_others_run(autojump_clock: MockClock) -> None:
    """The transport takes everything at once here, as Hypercorn does for a peer that is gone."""
    async with open_test_app() as app:
        await post_texts(app, *(f"text-{number}" for number in range(2000)))
        cursor = (await app.context.store.event_bounds()).oldest_id
        turns = 0

        async def take_turns() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_turns)
            async with open_exchange(
                app, "GET", "/v1/events/stream", headers={"Last-Event-ID": cursor}, chunks=10_000
            ) as exchange:
                assert await exchange.receive_status() == 200
                received = b""
                while received.count(b"message.created") < 4000:  # as type and within the event
                    received += await exchange.receive_chunk()
            nursery.cancel_scope.cancel()
        assert turns > 5


async def test_readers_that_vanish_in_the_middle_of_a_flood_hold_nobody_up() -> None:
    async with open_test_server() as server:
        cursor = (await server.app.context.store.event_bounds()).oldest_id
        await post_texts(server.app, *(["x" * 10_000] * 1000))
        for number in range(5):
            async with http_client(server).stream_events(last_event_id=cursor):
                pass
            async with open_websocket_wire(server.url) as wire:
                await attach(wire, f"agent-{number}", cursor=cursor)
                await wire.hang_up(1006)
        with trio.fail_after(10):
            assert (await http_client(server).get("/v1/network")).status == 200
        await wait_until(lambda: len(server.app.gateway.registry) == 0)
