"""The lifespan of the ASGI application: what a server under which it runs is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from moltnet.app import App
from moltnet.asgi import MoltnetAsgi, OpenApp
from moltnet.config.problems import ConfigError, Problem
from moltnet.storage.store import StorageError, StoreInUse
from tests.expected_errors import ExpectedErrors
from tests.fakes.asgi_client import open_exchange
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.network import open_test_app

Message = dict[str, Any]


async def lifespan(asgi: MoltnetAsgi) -> list[Message]:
    """What the application says from start to stop."""
    said: list[Message] = []
    to_app, from_server = trio.open_memory_channel[Message](2)

    async def send(message: Any) -> None:
        said.append(message)

    to_app.send_nowait({"type": "lifespan.startup"})
    to_app.send_nowait({"type": "lifespan.shutdown"})
    await asgi({"type": "lifespan"}, from_server.receive, send)
    return said


async def test_a_network_opens_and_closes_with_its_server() -> None:
    opened: list[App] = []

    @asynccontextmanager
    async def open_app() -> AsyncIterator[App]:
        async with open_test_app() as app:
            opened.append(app)
            yield app
            assert app.gateway.draining.is_set()  # readers were told before anything is closed

    asgi = MoltnetAsgi(open_app)
    assert await lifespan(asgi) == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]
    assert len(opened) == 1
    assert asgi.network is None


def failing(error: Exception, *, in_a_nursery: bool) -> OpenApp:
    """A network that can't be opened, before or after its services run."""

    def fail(now: bool) -> None:
        if now:
            raise error

    @asynccontextmanager
    async def open_app() -> AsyncIterator[App]:
        fail(not in_a_nursery)
        async with open_test_app() as app:
            fail(in_a_nursery)
            yield app

    return open_app


@pytest.mark.parametrize("in_a_nursery", [True, False])
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (StoreInUse("/data/moltnet.db is in use by process 7"), "in use by process 7"),
        (ConfigError("Moltnet", Problem("$.rooms", "must be a list", 3)), "Moltnet:3: $.rooms: must be a list"),
    ],
)
async def test_a_network_that_cannot_be_opened_is_a_failed_start_with_the_reason(
    in_a_nursery: bool, error: Exception, text: str, expected_errors: ExpectedErrors
) -> None:
    (said,) = await lifespan(MoltnetAsgi(failing(error, in_a_nursery=in_a_nursery)))
    assert said["type"] == "lifespan.startup.failed"
    assert text in said["message"]
    assert text in expected_errors.take("startup failed").__dict__["fields"]["reason"]


async def test_a_store_that_fails_while_the_file_is_declared_is_a_failed_start(expected_errors: ExpectedErrors) -> None:
    store = FaultyStore()
    store.failures.append(StorageError("no disk"))
    (said,) = await lifespan(MoltnetAsgi(lambda: open_test_app(store=store)))
    assert (said["type"], "no disk" in said["message"]) == ("lifespan.startup.failed", True)
    expected_errors.take("startup failed")


async def test_a_bug_is_not_taken_for_a_failed_start() -> None:
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await lifespan(MoltnetAsgi(failing(ZeroDivisionError(), in_a_nursery=True)))


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_without_a_lifespan_nothing_is_served(kind: str) -> None:
    asgi = MoltnetAsgi(open_test_app)
    with pytest.raises(RuntimeError, match="lifespan"):
        await asgi({"type": kind, "path": "/v1/network"}, trio.sleep_forever, trio.sleep_forever)  # type: ignore[arg-type]  # never called


async def test_the_application_of_the_command_line_reads_the_settings_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected_errors: ExpectedErrors
) -> None:
    (tmp_path / "Moltnet").write_text("colour: green")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOLTNET_CONFIG", raising=False)
    from moltnet.asgi import app

    (said,) = await lifespan(app)
    assert "$.colour: is not a known field" in said["message"]
    expected_errors.take("startup failed")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://lab.test/v1/network", 200),  # as to a proxy
        ("http://lab.test", 307),
        ("", 404),
        ("*", 404),
        ("v1/network", 404),
        ("http://[", 404),
        ("http:v1", 404),
        ("//[", 404),
    ],
)
async def test_a_request_target_that_is_no_path_is_no_crash(target: str, status: int) -> None:
    """Quart takes targets apart in its own way, and fails on some of them."""
    async with open_test_app() as app, open_exchange(app, "GET", target) as exchange:
        assert await exchange.receive_status() == status
