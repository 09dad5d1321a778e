"""Quart cuts an answer after a minute; an event stream has no end (style, trap 4)."""

import trio
from trio.testing import MockClock

from moltnet.http.api import make_api
from tests.fakes.asgi_client import open_exchange
from tests.fakes.network import open_test_app, post_texts


async def test_an_event_stream_outlives_the_timeout_of_answers(autojump_clock: MockClock) -> None:
    async with open_test_app() as app:
        quart = make_api(app)
        minute: float = quart.config["RESPONSE_TIMEOUT"]
        async with open_exchange(quart, "GET", "/v1/events/stream") as exchange:
            assert await exchange.receive_status() == 200
            while trio.current_time() < 20 * minute:
                assert await exchange.receive_chunk() in (b": stream-open\n\n", b": keep-alive\n\n")
            await post_texts(app, "still here")
            while b"still here" not in (chunk := await exchange.receive_chunk()):
                assert chunk == b": keep-alive\n\n"
            assert not exchange.ended.is_set()


async def test_the_timeout_is_still_there_for_everything_else(autojump_clock: MockClock) -> None:
    async with open_test_app() as app:
        await post_texts(app, "one")
        async with open_exchange(app, "GET", "/v1/rooms/general/messages", chunks=0) as exchange:
            await exchange.ended.wait()  # nobody takes the answer
            assert 0 < trio.current_time() < 120
