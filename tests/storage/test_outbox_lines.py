"""What waits to be relayed, as lines of files."""

from pathlib import Path

import orjson
import pytest

from moltnet.protocol.ids import MessageId
from moltnet.storage.changes import Changes
from moltnet.storage.outbox import OutboxRow, RelayFailure, RelayState, SettleRelays
from moltnet.storage.outbox_memory import changed_lines, lines_in_order, outbox_line
from moltnet.storage.snapshot import open_json
from moltnet.storage.store import StorageError
from tests.contracts.store_messages import EVERYTHING
from tests.storage.examples import NETWORK, at, create_room, post, relayed

REFUSED = RelayState(2, RelayFailure(403, "room_write_forbidden", 'not ,"body": here', at(9)))


NEW = RelayState()


def row(seq: int, pairing_id: str = "to_b", state: RelayState = NEW) -> OutboxRow:
    return OutboxRow(pairing_id, seq, MessageId(f"m{seq}"), "room:general", at(seq), b'{"text":"<\\u0000>"}', state)


def added(*rows: OutboxRow) -> Changes:
    return Changes(outbox_added={each.key: each for each in rows})


def test_a_line_that_changes_keeps_its_body_to_the_byte() -> None:
    lines = changed_lines({}, added(row(1), row(2)))
    for state in (REFUSED, RelayState(3), REFUSED):
        lines = changed_lines(lines, Changes(outbox_changed={("to_b", 1): state, ("to_b", 9): state}))
        assert list(lines_in_order(lines)) == [outbox_line(row(1, state=state)), outbox_line(row(2))]
    lines = changed_lines(lines, Changes(outbox_removed={("to_b", 1), ("to_b", 9)}))
    assert list(lines_in_order(lines)) == [outbox_line(row(2))]


def test_lines_are_in_the_order_of_pairings_and_places() -> None:
    rows = [row(10, "to_c"), row(9, "to_c"), row(100), row(11), row(2)]
    expected = [outbox_line(each) for each in (row(2), row(11), row(100), row(9, "to_c"), row(10, "to_c"))]
    assert list(lines_in_order(changed_lines({}, added(*rows)))) == expected


async def test_a_json_file_keeps_what_waits_and_what_was_refused(tmp_path: Path) -> None:
    path = tmp_path / "moltnet.json"
    async with open_json(path, NETWORK) as store:
        await store.commit([create_room(), relayed(post("m1")), relayed(post("m2"))])
        await store.commit([SettleRelays("to_b", changed=((2, REFUSED),))])
    async with open_json(path, NETWORK) as store:
        assert [each.message_id for each in await store.outbox("to_b", 0, EVERYTHING)] == ["m2"]
        (depth,) = await store.outbox_depths()
        assert (depth.waiting, depth.dead) == (1, 1)


async def test_a_json_file_of_a_version_that_relayed_nothing_is_read(tmp_path: Path) -> None:
    path = tmp_path / "moltnet.json"
    async with open_json(path, NETWORK) as store:
        await store.commit([create_room()])
    document = orjson.loads(path.read_bytes())
    del document["outbox"]
    path.write_bytes(orjson.dumps(document))
    async with open_json(path, NETWORK) as store:
        assert list(await store.outbox_depths()) == []


@pytest.mark.parametrize("damage", ["no body", "a body that is no object", "no place"])
async def test_a_damaged_line_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "moltnet.json"
    async with open_json(path, NETWORK) as store:
        await store.commit([create_room(), relayed(post("m1"))])
    document = orjson.loads(path.read_bytes())
    (line,) = document["outbox"]
    if damage == "no place":
        del line["seq"]
    elif damage == "no body":
        del line["body"]
    else:
        line["body"] = "text"
    path.write_bytes(orjson.dumps(document))
    with pytest.raises(StorageError, match="damaged"):
        async with open_json(path, NETWORK):
            pass
