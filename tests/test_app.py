"""A network as a whole, without a transport: what starts, what is resumed, and in which order it ends."""

from pathlib import Path

import pytest
import trio
import trio.testing

from moltnet.app import open_app
from moltnet.config.settings import StorageKind, StorageSettings
from moltnet.journal import JournalClosed
from moltnet.storage.factory import UnsupportedStorage
from moltnet.storage.store import StorageError, StoreInUse
from tests.fakes.attach_client import attach, open_wire
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.network import event_types, network_config, open_test_app, post, post_texts, room_message


async def test_a_restart_goes_on_where_the_log_ended(tmp_path: Path) -> None:
    config = network_config(sqlite_path=tmp_path / "moltnet.db")
    async with open_test_app(config) as app:
        await post_texts(app, "one", "two")
        newest = app.broker.newest_seq
    async with open_test_app(config) as app:
        assert app.broker.newest_seq == newest
        await post_texts(app, "three")
        assert await event_types(app) == ["room.created", "message.created", "message.created", "message.created"]


async def test_two_networks_do_not_share_a_database(tmp_path: Path) -> None:
    config = network_config(sqlite_path=tmp_path / "moltnet.db")
    async with open_test_app(config):
        with pytest.raises(StoreInUse):
            async with open_test_app(config):
                pass


@pytest.mark.parametrize("kind", [StorageKind.JSON, StorageKind.POSTGRES])
async def test_a_storage_that_lacks_what_it_needs_is_refused(kind: StorageKind) -> None:
    config = network_config()
    object.__setattr__(config, "storage", StorageSettings(kind))
    with pytest.raises(UnsupportedStorage, match=kind):
        async with open_app(config):
            pass


async def test_a_store_that_fails_while_the_file_is_declared_is_an_error_of_the_store() -> None:
    store = FaultyStore()
    store.failures.append(StorageError("no disk"))
    with pytest.RaisesGroup(pytest.RaisesExc(StorageError, match="no disk")):
        async with open_test_app(store=store):
            pass


async def test_the_last_reports_are_written_before_the_journal_closes() -> None:
    store = FaultyStore()
    async with open_test_app(store=store) as app, open_wire(app) as wire:
        await attach(wire, "alpha")
    types = [record.type for record in await store.events_after(0, 100)]
    assert types == ["room.created", "agent.connected", "agent.disconnected"]


async def test_cancelled_the_last_reports_are_written_too() -> None:
    store = FaultyStore()
    with trio.CancelScope() as scope:
        async with open_test_app(store=store) as app, open_wire(app) as wire:
            await attach(wire, "alpha")
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    types = [record.type for record in await store.events_after(0, 100)]
    assert types == ["room.created", "agent.connected", "agent.disconnected"]


async def test_a_closed_network_takes_no_more() -> None:
    async with open_test_app() as app:
        pass
    with pytest.raises(JournalClosed):
        await post(app, room_message())
