"""`moltnet backup`, `restore`, `export` and `import` as an operator types them."""

import gzip
import random
import stat
from pathlib import Path

import orjson
import pytest

from moltnet.storage.sql.sqlite import open_sqlite
from tests.cli.conftest import Run, Workspace
from tests.storage.backup.places import everything_in, fill
from tests.storage.examples import NETWORK, post
from tests.storage.sql.test_sqlite_faults import largest_file

CONFIG = """
network: {id: net_a}
storage: {sqlite: {path: moltnet.db}}
"""


@pytest.fixture
async def database(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network in the current directory."""
    monkeypatch.delenv("MOLTNET_CONFIG", raising=False)
    (workspace.path / "Moltnet").write_text(CONFIG)
    path = workspace.path / "moltnet.db"
    async with open_sqlite(path, NETWORK) as store:
        await fill(store)
    return path


async def test_a_network_is_backed_up_beside_its_server_and_restored(
    run: Run, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_sqlite(database, NETWORK) as store:
        expected = await everything_in(store)
        ran = await run("backup", "lab.backup")
        assert (ran.exit_code, ran.stderr) == (0, "")
    told = ran.json()
    file = database.parent / "lab.backup"
    assert told["size_bytes"] == file.stat().st_size
    assert (told["file"], told["content"], told["network_id"]) == ("lab.backup", "network", NETWORK)
    assert orjson.loads(gzip.decompress(file.read_bytes()).splitlines()[-1])["sha256"] == told["sha256"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    monkeypatch.setenv("MOLTNET_SQLITE_PATH", "new.db")
    restored = await run("restore", "lab.backup")
    assert (restored.exit_code, restored.stderr) == (0, "")
    assert restored.json()["counts"] == told["counts"]
    async with open_sqlite(database.with_name("new.db"), NETWORK) as store:
        assert await everything_in(store) == expected


async def test_people_get_a_line(run: Run, database: Path) -> None:
    ran = await run("backup", "lab.backup", terminal=True)
    assert ran.stdout == (
        "backed up into lab.backup: network net_a, 2 rooms, 1 agent, 1 pair token, 2 approvals, 3 marks, 1 thread, "
        "1 direct conversation, 8 messages, 7 other events, 3 relays\n"
    )


async def test_conversations_are_exported_and_begin_a_network(
    run: Run, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await run("export", "talk.jsonl")).exit_code == 0
    lines = [orjson.loads(line) for line in (database.parent / "talk.jsonl").read_bytes().splitlines()]
    texts = [line["message"]["parts"][0].get("text") for line in lines if line["kind"] == "message"]
    assert texts.count("hello") == 6
    monkeypatch.setenv("MOLTNET_JSON_PATH", "new.json")
    assert (await run("import", "talk.jsonl")).exit_code == 0
    refused = await run("restore", "talk.jsonl")
    assert refused.exit_code == 2
    assert "holds an export of conversations, not a backup of a network" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "text"),
    [
        (("restore", "lab.backup"), 5, "is not empty"),
        (("backup", "lab.backup"), 5, "exists already; choose another name, or add --overwrite"),
        (("backup", "--overwrite", "lab.backup"), 0, ""),
        (("backup", "nowhere/lab.backup"), 4, "nowhere: there is no such file or directory"),
        (("restore", "nothing"), 4, "nothing: there is no such file"),
        (("restore", "Moltnet"), 2, "it is"),
        (("import", "lab.backup"), 2, "holds a backup of a network, not an export"),
    ],
)
async def test_what_can_t_be_done_is_said_in_a_line(
    run: Run, database: Path, arguments: tuple[str, ...], exit_code: int, text: str
) -> None:
    assert (await run("backup", "lab.backup")).exit_code == 0
    ran = await run(*arguments)
    assert ran.exit_code == exit_code
    assert text in ran.stderr
    assert ran.stderr.count("\n") == (exit_code > 0)


async def test_a_damaged_backup_makes_no_database(run: Run, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await run("backup", "lab.backup")).exit_code == 0
    file = database.with_name("lab.backup")
    file.write_bytes(file.read_bytes()[:-20])
    monkeypatch.setenv("MOLTNET_SQLITE_PATH", "new.db")
    ran = await run("restore", "lab.backup")
    assert ran.exit_code == 2
    assert "cut off" in ran.stderr
    assert not database.with_name("new.db").exists()


async def test_a_backup_for_which_there_is_no_room_is_not_there(run: Run, database: Path) -> None:
    """As on a full disk: no file is left that could be taken for a backup."""
    async with open_sqlite(database, NETWORK) as store:
        # Nothing that could be compressed; and a reader's own files find room.
        await store.commit([post("large", text=random.Random(1).randbytes(100_000).hex())])
    with largest_file(50_000):
        ran = await run("backup", "lab.backup")
    assert ran.exit_code == 1
    assert ran.stderr == "moltnet: lab.backup: File too large\n"
    assert not [path for path in database.parent.iterdir() if "backup" in path.name]
    assert (await run("backup", "lab.backup")).exit_code == 0


async def test_memory_keeps_nothing_to_back_up(run: Run, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLTNET_STORAGE_KIND", "memory")
    for arguments in (("backup", "x"), ("export", "x")):
        ran = await run(*arguments)
        assert ran.exit_code == 2
        assert "keeps nothing that another program could read or fill" in ran.stderr
