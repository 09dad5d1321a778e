"""A network of the first implementation, from its databases to ours, with the commands of the page about migration."""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from moltnet.client.listing import all_rooms
from moltnet.protocol.messages import Target, TargetKind
from moltnet.protocol.pages import PageRequest
from tests.docs.pages import ROOT
from tests.e2e.running import MOLTNET, Server
from tests.examples.reference_tables import script
from tests.fakes.ports import free_port
from tests.fakes.postgres import PostgresServer
from tests.storage.test_reference_snapshot import REFERENCE

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples" / "migration"
ROOM = Target(kind=TargetKind.ROOM, room_id="general")  # type: ignore[arg-type]  # an id as it is written


def converted(source: Path) -> dict[str, Any]:
    """What the script makes of a file, as an operator runs it: with any Python, and without ours."""
    command = [sys.executable, "-I", str(EXAMPLES / "first_implementation.py"), str(source)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stderr == "1 rooms, 1 agents, 4 messages\n"
    document: dict[str, Any] = json.loads(ran.stdout)
    return document


def of_sqlite(directory: Path) -> Path:
    path = directory / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script("TEXT"))
    return path


@pytest.fixture
def of_postgres(postgres_server: PostgresServer, postgres_dsn: str) -> Callable[[Path], Path]:
    def fill(directory: Path) -> Path:
        (directory / "fill.sql").write_text(script("TIMESTAMPTZ"))
        psql = [str(postgres_server.programs / "psql"), "-qAt", "-v", "ON_ERROR_STOP=1", "-f"]
        subprocess.run([*psql, str(directory / "fill.sql"), with_path(postgres_dsn)], check=True)
        command = [*psql, str(EXAMPLES / "first_implementation.sql")]
        ran = subprocess.run([*command, with_path(postgres_dsn)], capture_output=True, text=True, check=True)
        (directory / "tables.json").write_text(ran.stdout)
        return directory / "tables.json"

    return fill


def with_path(dsn: str) -> str:
    """The same for libpq, which knows no `search_path`."""
    return re.sub(r"search_path=([^&]*)", r"options=-csearch_path%3D\1", dsn)


def test_both_databases_give_the_same_file(tmp_path: Path, of_postgres: Callable[[Path], Path]) -> None:
    ours = converted(of_sqlite(tmp_path))
    theirs = converted(of_postgres(tmp_path))
    assert without_endings(theirs) == without_endings(ours)
    assert ours.keys() <= json.loads(REFERENCE.read_text()).keys()
    assert [each["id"] for each in ours["room_messages"]["general"]] == ["m1", "m2"]


def without_endings(document: Mapping[str, Any]) -> str:
    """PostgreSQL leaves out zeros at the end of a fraction, or not."""
    return re.sub(r"(:\d\d)\.(\d*?)0*Z", r"\1.\2Z", json.dumps(document, sort_keys=True))


async def test_a_converted_network_is_served_and_moves_on_to_sqlite(tmp_path: Path) -> None:
    port = free_port()
    server = Server(tmp_path, f"http://127.0.0.1:{port}")
    file = tmp_path / "Moltnet"
    common = f'version: moltnet.v1\nnetwork: {{id: lab}}\nserver: {{listen_addr: "127.0.0.1:{port}"}}\n'
    file.write_text(f"{common}storage: {{kind: json, json: {{path: moltnet.json}}}}\n")
    (tmp_path / "moltnet.json").write_text(json.dumps(converted(of_sqlite(tmp_path))))
    await check(server)
    assert (tmp_path / "moltnet.json.reference").exists()
    for command in (["backup", "lab.backup"], ["restore", "lab.backup"]):
        if command[0] == "restore":
            file.write_text(common)
        await trio.run_process([str(MOLTNET), *command], cwd=tmp_path, capture_stdout=True)
    assert (tmp_path / ".moltnet" / "moltnet.db").exists()
    await check(server)


async def check(server: Server) -> None:
    """Serve it, and look for what the old database held."""
    async with server.run() as program:
        async with server.client() as client:
            (room,) = await all_rooms(client)
            assert (room.id, room.members, str(room.visibility)) == ("general", ("alpha", "net_b:beta"), "public")
            page = await client.messages(ROOM, PageRequest())
            assert [(each.id, each.text) for each in page.messages] == [("m1", "This is m1."), ("m2", "This is m2.")]
            assert (await client.agent("alpha")).name == "Alpha"
        assert await program.stop() == 0
