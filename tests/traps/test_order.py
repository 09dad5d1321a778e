"""Trio runs ready tasks in random order: who publishes after its own commit is out of order (style, trap 9)."""

import trio

from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.http_client import http_client
from tests.fakes.network import open_test_server, post, room_message

COUNT = 100


async def test_every_reader_sees_one_order_and_history_has_it_too() -> None:
    async with (
        open_test_server() as server,
        http_client(server).stream_events() as first,
        http_client(server).stream_events() as second,
        open_websocket_wire(server.url) as wire,
    ):
        client = await attach(wire, "alpha")
        async with trio.open_nursery() as nursery:
            for number in range(COUNT):
                nursery.start_soon(post, server.app, room_message(f"text-{number}", sender="beta"))
        history = (await http_client(server).get("/v1/rooms/general/messages?limit=500")).json()["messages"]
        stored = [message["parts"][0]["text"] for message in history]
        assert sorted(stored) == sorted(f"text-{number}" for number in range(COUNT))
        for source in (first, second):
            assert [(await source.next_of("message.created")).text for _ in range(COUNT)] == stored
        assert await client.next_texts(COUNT) == stored


async def test_who_was_answered_first_is_not_stored_later() -> None:
    """An answer means committed: what is sent after it comes after it."""
    async with open_test_server() as server:

        async def talk(speaker: int) -> None:
            for number in range(10):
                await http_client(server).post("/v1/messages", room_message(f"{speaker}-{number}", sender="beta"))

        async with trio.open_nursery() as nursery:
            for speaker in range(5):
                nursery.start_soon(talk, speaker)
        history = (await http_client(server).get("/v1/rooms/general/messages?limit=500")).json()["messages"]
        texts = [message["parts"][0]["text"] for message in history]
        for speaker in range(5):
            assert [text for text in texts if text.startswith(f"{speaker}-")] == [f"{speaker}-{n}" for n in range(10)]
