"""A backup that is not what was written is refused whole, before a store is opened."""

import gzip
import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from moltnet.storage.backup.format import VERSION, BackupDamaged, Content, Selection
from moltnet.storage.backup.transfer import restore_backup
from tests.storage.backup.places import Place, back_up, fill, restore, silent
from tests.storage.examples import NETWORK

Lines = list[dict[str, Any]]


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    place, path = Place("sqlite", tmp_path / "moltnet.db"), tmp_path / "network.backup"
    async with place.open() as store:
        await fill(store)
    await back_up(place, path)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Place:
    return Place("sqlite", tmp_path / "restored.db")


async def refused(file: Path, target: Place) -> str:
    with pytest.raises(BackupDamaged) as refusal:
        await restore(file, target)
    assert not target.at.exists()
    return str(refusal.value)


def lines_of(path: Path) -> Lines:
    return [orjson.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def write_lines(path: Path, lines: Lines, *, sealed: bool = True) -> None:
    """Write other lines; ``sealed``: with counts and a digest that fit, as somebody would who means it."""
    if sealed:
        counts = lines[0]["counts"]
        for kind in counts:
            counts[kind] = sum(1 for line in lines if line["kind"] == kind)
        text = b"".join(orjson.dumps(line) + b"\n" for line in lines[:-1])
        lines[-1]["sha256"] = hashlib.sha256(text).hexdigest()
    path.write_bytes(gzip.compress(b"".join(orjson.dumps(line) + b"\n" for line in lines)))


async def test_every_shorter_file_is_refused(file: Path, target: Place) -> None:
    content = file.read_bytes()
    for length in [*range(0, len(content), 97), len(content) - 1]:
        file.write_bytes(content[:length])
        await refused(file, target)


async def test_every_shorter_export_is_refused(tmp_path: Path, file: Path, target: Place) -> None:
    export = tmp_path / "network.jsonl"
    await back_up(Place("sqlite", tmp_path / "moltnet.db"), export, Selection(Content.CONVERSATIONS))
    content = export.read_bytes()
    for length in [*range(0, len(content), 97), len(content) - 1]:
        export.write_bytes(content[:length])
        with pytest.raises(BackupDamaged):
            await restore_backup(export, target.target(), NETWORK, silent, Content.CONVERSATIONS)
        assert not target.at.exists()


async def test_every_changed_byte_is_noticed(file: Path, target: Place) -> None:
    content = file.read_bytes()
    # The header of the compression holds a time and the kind of system, which mean nothing.
    for place in range(10, len(content), 41):
        changed = bytearray(content)
        changed[place] ^= 0x10
        file.write_bytes(changed)
        # At the end of what is compressed stand up to seven bits that are part of nothing.
        if not is_same(bytes(changed), content):
            await refused(file, target)


def is_same(compressed: bytes, other: bytes) -> bool:
    """Whether both say the same."""
    try:
        return gzip.decompress(compressed) == gzip.decompress(other)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return False


async def test_every_changed_text_is_noticed(file: Path, target: Place) -> None:
    text = gzip.decompress(file.read_bytes())
    assert b"hello" in text
    file.write_bytes(gzip.compress(text.replace(b"hello", b"jello", 1)))
    assert "its digest does not fit" in await refused(file, target)


async def test_another_file_is_no_backup(file: Path, target: Place) -> None:
    for content in (b"", b"{}\n", b"[]\n", b'{"kind":"header"}\n', b"\x00" * 100, gzip.compress(b"hello\n"), b"\xff\n"):
        file.write_bytes(content)
        await refused(file, target)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: lines[0].update(version=VERSION + 1), "written by a newer version"),
        (lambda lines: lines[0].update(format="other"), "no backup or export of this program"),
        (lambda lines: lines[0].update(content="else"), r"\$\.content"),
        (lambda lines: lines[0].pop("network_id"), r"\$\.network_id"),
        (lambda lines: lines[0].pop("counts"), r"\$\.counts"),
    ],
)
async def test_a_header_must_be_one_that_this_version_reads(
    file: Path, target: Place, change: Callable[[Lines], None], reason: str
) -> None:
    lines = lines_of(file)
    change(lines)
    write_lines(file, lines, sealed=False)
    with pytest.raises(BackupDamaged, match=reason):
        await restore(file, target)


def first_of(lines: Lines, kind: str) -> dict[str, Any]:
    return next(line for line in lines if line["kind"] == kind)


def last_of(lines: Lines, kind: str) -> dict[str, Any]:
    return first_of(lines[::-1], kind)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: lines.remove(first_of(lines, "room")), "missing"),
        (lambda lines: lines.remove(first_of(lines, "thread")), "in a conversation that is missing"),
        (lambda lines: lines.remove(first_of(lines, "direct")), "in a conversation that is missing"),
        (lambda lines: lines.remove(first_of(lines, "event")), "is missing"),
        (lambda lines: lines.insert(2, lines[1]), "twice"),
        (lambda lines: lines.insert(lines.index(last_of(lines, "event")), last_of(lines, "event")), "comes after"),
        (lambda lines: lines.insert(-1, last_of(lines, "relay")), "twice"),
        (lambda lines: first_of(lines, "message").update(digest="x"), "not hexadecimal"),
        (lambda lines: first_of(lines, "message").pop("message"), r"\$\.message"),
        (lambda lines: first_of(lines, "event").update(seq="x"), r"\$\.seq"),
        (lambda lines: first_of(lines, "thread").update(message_count=2**64 - 1), "fits nowhere"),
        (lambda lines: first_of(lines, "direct").update(message_count=-1), "fits nowhere"),
        (lambda lines: first_of(lines, "message").update(seq=0), "comes after"),
        (
            lambda lines: last_of(lines, "message").update(message=first_of(lines, "message")["message"]),
            "twice|missing",
        ),
    ],
)
async def test_lines_that_contradict_each_other_leave_the_store_empty(
    file: Path, target: Place, change: Callable[[Lines], None], reason: str
) -> None:
    lines = lines_of(file)
    change(lines)
    write_lines(file, lines)
    with pytest.raises(BackupDamaged, match=reason):
        await restore(file, target)
    async with target.open() as store:
        assert (await store.event_bounds()).newest_seq == 0
        assert (await store.load_directory()).rooms == ()


async def test_counts_that_do_not_fit_are_noticed(file: Path, target: Place) -> None:
    lines = lines_of(file)
    lines[0]["counts"]["agent"] += 1
    text = b"".join(orjson.dumps(line) + b"\n" for line in lines[:-1])
    lines[-1]["sha256"] = hashlib.sha256(text).hexdigest()
    write_lines(file, lines, sealed=False)
    assert "as many lines as it promises" in await refused(file, target)


async def test_something_after_the_end_is_noticed(file: Path, target: Place) -> None:
    lines = lines_of(file)
    write_lines(file, [*lines, lines[1]], sealed=False)
    assert "something follows its end" in await refused(file, target)


async def test_a_line_of_an_unknown_kind_is_refused(file: Path, target: Place) -> None:
    lines = lines_of(file)
    lines.insert(1, {"kind": "secret", "value": 1})
    write_lines(file, lines)
    assert "of no known kind" in await refused(file, target)
