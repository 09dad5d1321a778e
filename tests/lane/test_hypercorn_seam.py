"""Plain Hypercorn with the fast lane in it: what it takes, what it leaves alone, and how it ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial

import hypercorn.trio.run
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.trio.tcp_server import TCPServer

from moltnet.asgi import MoltnetAsgi
from moltnet.http.exchange import Message, Receive, Send
from moltnet.lane import hypercorn_seam
from moltnet.lane.switch import VARIABLE
from tests.fakes.http_client import HttpClient, open_connection
from tests.fakes.network import open_test_app, room_message


@asynccontextmanager
async def open_hypercorn(application: object = None, **settings: object) -> AsyncIterator[str]:
    """The URL of a plain Hypercorn that serves a network, or something else."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = 0.2
    config.errorlog = None
    for name, value in settings.items():
        setattr(config, name, value)
    stop = trio.Event()
    async with open_test_app() as app, trio.open_nursery() as nursery:
        asgi = application or MoltnetAsgi(lambda: nullcontext(app))
        urls: list[str] = await nursery.start(partial(serve, asgi, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]  # plain mappings
        yield urls[0]
        stop.set()


async def test_hot_requests_are_served_before_hypercorn_sees_them(asked: list[str]) -> None:
    async with open_hypercorn() as url:
        client = HttpClient(url, "")
        assert (await client.post("/v1/messages", room_message("hello"))).status == 202
        (message,) = (await client.get("/v1/rooms/general/messages")).json()["messages"]
        assert message["parts"][0]["text"] == "hello"
        assert asked == []
        assert (await client.get("/v1/rooms")).status == 200
        assert asked[-1] == "GET /v1/rooms"


async def test_one_connection_carries_both_and_stops_with_the_server(asked: list[str]) -> None:
    page = b"GET /v1/rooms/general/messages HTTP/1.1\r\nHost: lab.test\r\n\r\n"
    rooms = b"GET /v1/rooms HTTP/1.1\r\nHost: lab.test\r\n\r\n"
    async with open_hypercorn() as url, open_connection(url) as idle, open_connection(url) as connection:
        await idle.stream.send_all(page)
        for data in (page + rooms, page):
            await connection.stream.send_all(data)
        for again in (True, True, False):
            connection.expect_answer()
            assert (await connection.receive_answer()).status == 200
            if again:
                connection.next_cycle()
        assert asked == ["GET /v1/rooms", "GET /v1/rooms/general/messages"]


@pytest.mark.parametrize("setting", [{"accesslog": "/dev/null"}, {"root_path": "/x"}, {"server_names": ["127.0.0.1"]}])
async def test_settings_that_it_does_not_have_leave_everything_to_hypercorn(
    setting: dict[str, object], asked: list[str]
) -> None:
    async with open_hypercorn(**setting) as url, open_connection(url) as connection:
        host = url.removeprefix("http://").encode()
        await connection.stream.send_all(b"GET /v1/rooms/general/messages HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
        connection.expect_answer()
        await connection.receive_head()
        assert len(asked) <= 1


async def test_other_applications_are_none_of_its_business() -> None:
    async def plain(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})

    async with open_hypercorn(plain) as url, open_connection(url) as connection:
        await connection.stream.send_all(b"GET /v1/rooms/general/messages HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.expect_answer()
        assert (await connection.receive_head()).status_code == 204


class TestInstalling:
    @pytest.fixture(autouse=True)
    def as_it_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hypercorn.trio.run, "TCPServer", TCPServer)

    def test_it_takes_the_place_of_what_makes_connections(self) -> None:
        assert hypercorn_seam.install(lambda _: None, {})
        assert issubclass(hypercorn.trio.run.TCPServer, TCPServer)  # type: ignore[attr-defined]
        assert hypercorn.trio.run.TCPServer is not TCPServer  # type: ignore[attr-defined]

    def test_it_can_be_turned_off(self) -> None:
        assert not hypercorn_seam.install(lambda _: None, {VARIABLE: "0"})
        assert hypercorn.trio.run.TCPServer is TCPServer  # type: ignore[attr-defined]

    def test_an_unknown_hypercorn_is_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hypercorn_seam, "version", lambda _: "0.19.0")
        assert not hypercorn_seam.install(lambda _: None, {})
        assert hypercorn.trio.run.TCPServer is TCPServer  # type: ignore[attr-defined]

    def test_so_is_one_whose_connections_are_made_of_other_things(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hypercorn_seam, "_PARAMETERS", ("self", "app"))
        assert not hypercorn_seam.install(lambda _: None, {})
