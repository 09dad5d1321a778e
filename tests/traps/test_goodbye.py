"""On shutdown Hypercorn waits, then cancels; peers would see 1006 and not know what to do (style, trap 6)."""

from contextlib import nullcontext
from functools import partial

import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from moltnet.asgi import MoltnetAsgi
from tests.fakes.attach_client import attach, open_websocket_wire, read_until_closed
from tests.fakes.network import network_config, open_test_app, post_texts

GRACEFUL_SECONDS = 0.2


@pytest.mark.parametrize("attached", [True, False])
async def test_under_plain_hypercorn_attachments_are_told_to_come_again(attached: bool) -> None:
    """Hypercorn tells the application nothing before it cancels; the close frame is sent on the way out."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = GRACEFUL_SECONDS
    config.errorlog = None
    stop = trio.Event()
    async with open_test_app(network_config()) as app, trio.open_nursery() as nursery:
        asgi = MoltnetAsgi(lambda: nullcontext(app))
        urls: list[str] = await nursery.start(partial(serve, asgi, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]  # plain mappings
        async with open_websocket_wire(urls[0]) as wire:
            if attached:
                client = await attach(wire, "alpha")
                await post_texts(app, "hello")
                assert await client.next_texts(1) == ["hello"]
            stop.set()
            with trio.fail_after(10):
                assert (await read_until_closed(wire))[1].code == 1012
    assert len(app.gateway.registry) == 0
