"""Invariant: any bytes are a backup that can be read to its end, or ``BackupDamaged`` with a reason, and nothing else.

That holds for a file as it is, packed or not, and for one whose digest and counts were made to fit, so that what its
lines say is looked at too. What is read from a line is bounded, and what is not read whole is never half applied.

An input is the lines of a backup; the last one may be missing.
"""

import gzip
import hashlib
import sys
import tempfile
from collections import Counter
from collections.abc import Hashable
from functools import cache
from pathlib import Path
from typing import Final

import orjson

from fuzz.campaign import Target, main, shape
from moltnet.storage.backup.file import check_backup, open_backup
from moltnet.storage.backup.format import BackupDamaged, ChangesReader, Kind, line

COUNTED: Final = frozenset(kind.value for kind in Kind if kind not in (Kind.HEADER, Kind.END))
TOKENS: Final = (
    *(f'{{"kind":"{kind}",'.encode() for kind in Kind),
    *(
        token.encode()
        for token in (
            *('"seq":', '"id":', '"network_id":', '"content":', '"network"', '"conversations"', '"counts":', '"room":'),
            *('"message":', '"event":', '"target":', '"digest":', '"created_at":', '"pruned_to":', '"version":', "2,"),
            *('"format":"moltnet.backup"', '"sha256":', "9223372036854775808", "-1", "}\n", "{", "[", "]", ",", "\n"),
        )
    ),
)


def check(data: bytes) -> Hashable:
    """Raises if a file breaks the invariant; otherwise says what it was taken for, as it is and mended."""
    return _kind_of_file(data), _kind_of_file(gzip.compress(data, 1))[:4], _kind_of_file(_mended(data))


def _kind_of_file(data: bytes) -> str:
    path = _directory() / "file.backup"
    path.write_bytes(data)
    try:
        check_backup(path, lambda done, total: None)
        with open_backup(path) as (header, blocks):
            reader = ChangesReader(header)
            read = sum(len(reader.changes(block).records) for block in blocks)
    except BackupDamaged as error:
        if not str(error) or "\n" in str(error):
            raise AssertionError(f"{error!s:.200} is no reason") from error
        return shape(str(error))
    return f"whole, {min(read, 3)} events"


def _mended(data: bytes) -> bytes:
    """The same lines with a header that counts them and an end that vouches for them."""
    lines = [each + b"\n" for each in data.split(b"\n") if each and not each.startswith(b'{"kind":"end"')]
    kinds = Counter(each[9:].partition(b'"')[0].decode(errors="replace") for each in lines[1:])
    try:
        header = orjson.loads(lines[0])
        header["counts"] = {kind: kinds[kind] for kind in COUNTED}
        lines[0] = orjson.dumps(header) + b"\n"
    except (IndexError, TypeError, orjson.JSONDecodeError):
        pass
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    return b"".join([*lines, line(Kind.END, orjson.dumps({"sha256": digest}))])


@cache
def _directory() -> Path:
    kept = tempfile.TemporaryDirectory(prefix="moltnet-fuzz-")
    _directories.append(kept)
    return Path(kept.name)


_directories: Final[list["tempfile.TemporaryDirectory[str]"]] = []


TARGET: Final = Target("backups", check, TOKENS)

if __name__ == "__main__":
    sys.exit(main([TARGET]))
