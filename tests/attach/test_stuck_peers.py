"""Peers on real sockets that do not take what they are sent: they are gone in time, and hold up nobody.

What two sockets' buffers hold is little against what is said here.
"""

import pytest
import trio

from moltnet.protocol import limits
from moltnet.protocol.attachment import Delivered
from tests.fakes.attach_client import AttachClient, attach, frame, open_websocket_wire, read_until_closed
from tests.fakes.network import TestServer, network_config, open_test_server, post_texts, room, wait_until

pytestmark = pytest.mark.usefixtures("either_path")

CONFIG = network_config(rooms=[room("general", "alpha", "beta", "poster")])
FLOOD = [f"{number} {'x' * 500_000}" for number in range(40)]


async def numbers(client: AttachClient, count: int) -> list[int]:
    """Of the next messages, each ACKed."""
    return [int(text.split()[0]) for text in await client.next_texts(count)]


async def keep_talking(client: AttachClient) -> None:
    """Signs of life, and not one look at what comes."""
    while True:
        await client.wire.send(frame("PONG"))
        await trio.sleep(0.02)


async def flood(server: TestServer) -> None:
    await post_texts(server.app, *FLOOD, sender="poster")


async def test_one_that_talks_and_does_not_read_is_cut_off_and_comes_back_to_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is heard of all the time, so it is not its silence that ends it."""
    monkeypatch.setattr(limits, "WRITE_SECONDS", 0.5)
    async with open_test_server(CONFIG) as server:
        async with open_websocket_wire(server.url) as stuck, open_websocket_wire(server.url) as wire:
            client, reader = await attach(stuck, "alpha"), await attach(wire, "beta")
            async with trio.open_nursery() as nursery:

                async def talk() -> None:
                    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever its library says of a cut socket
                        await keep_talking(client)

                nursery.start_soon(talk)
                nursery.start_soon(flood, server)
                assert await numbers(reader, len(FLOOD)) == list(range(len(FLOOD)))
                with trio.fail_after(30):
                    await wait_until(lambda: len(server.app.gateway.registry) == 1)
        async with open_websocket_wire(server.url) as wire:
            again = await attach(wire, "alpha", cursor=client.ready.cursor)
            assert await numbers(again, len(FLOOD)) == list(range(len(FLOOD)))


async def test_one_that_reads_slowly_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes something now and then, and that is enough."""
    monkeypatch.setattr(limits, "WRITE_SECONDS", 0.5)
    async with open_test_server(CONFIG) as server, open_websocket_wire(server.url) as wire:
        client = await attach(wire, "alpha")
        await flood(server)
        heard: list[Delivered] = []
        while len(heard) < len(FLOOD):
            delivered = await client.next()
            await client.ack(delivered)
            if delivered.event.message is not None:
                heard.append(delivered)
                await trio.sleep(0.05)
        assert len(server.app.gateway.registry) == 1


async def test_one_that_neither_reads_nor_talks_does_not_hold_up_the_end_of_the_server() -> None:
    async with open_test_server(CONFIG) as server, open_websocket_wire(server.url) as stuck:
        await attach(stuck, "alpha")
        async with open_websocket_wire(server.url) as wire:
            client = await attach(wire, "beta")
            await flood(server)  # none of it waits for anybody
            server.stop.set()
            assert (await read_until_closed(client.wire))[1].code == 1012
            with trio.fail_after(limits.WRITE_SECONDS):
                await server.ended.wait()
