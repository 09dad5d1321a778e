"""A server whose disk is full: what it says, that it lost nothing that it took, and that it goes on by itself."""

from pathlib import Path

from moltnet.storage.sql.sqlite import SqliteStore
from tests.fakes.http_client import http_client
from tests.fakes.network import network_config, open_test_server, room_message

LARGE = "x" * 100_000


async def test_writes_are_refused_while_there_is_no_room_and_taken_when_there_is(tmp_path: Path) -> None:
    async with open_test_server(network_config(sqlite_path=tmp_path / "moltnet.db")) as server:
        store, client = server.app.context.store, http_client(server)
        assert isinstance(store, SqliteStore)
        writer = store.database.writer
        (pages,) = writer.execute("PRAGMA page_count").fetchone()
        # As far as SQLite can tell, that is a disk of this size.
        writer.execute(f"PRAGMA max_page_count = {pages + 200}")
        accepted, refused = [], None
        for number in range(20):
            answer = await client.post("/v1/messages", room_message(LARGE, message_id=f"m{number}"))
            if answer.status != 202:
                refused = answer
                break
            accepted.append(f"m{number}")
        assert accepted
        assert refused is not None
        assert (refused.status, refused.code) == (507, "storage_full")
        assert refused.headers["retry-after"] == "1"
        assert str(tmp_path).encode() not in refused.body
        listed = await client.get("/v1/rooms/general/messages")
        assert [message["id"] for message in listed.json()["messages"]] == accepted

        writer.execute(f"PRAGMA max_page_count = {pages + 10_000}")
        again = await client.post("/v1/messages", room_message(LARGE, message_id=f"m{len(accepted)}"))
        assert again.status == 202
        assert (await client.get("/readyz")).status == 200
        page = await client.get("/v1/rooms/general/messages")
        assert [message["id"] for message in page.json()["messages"]] == [*accepted, f"m{len(accepted)}"]
