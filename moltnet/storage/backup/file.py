"""A backup as a file: private, whole or not there at all, and read only if every byte of it is what was written.

All of this blocks; it runs in threads. What the lines say is ``format``'s business.
"""

import errno
import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Final, cast

import attrs
import orjson

from moltnet.storage import limits
from moltnet.storage.backup.format import (
    BackupDamaged,
    Content,
    Counts,
    Header,
    Kind,
    blocks,
    header_line,
    line,
    read_header,
)
from moltnet.storage.files import sync_directory

_GZIP_MAGIC: Final = b"\x1f\x8b"
_COMPRESSION_LEVEL: Final = 6


@attrs.define(eq=False)
class BackupFile:
    """A file that is being written, under another name."""

    path: Path
    _stream: IO[bytes]
    _digest: "hashlib._Hash" = attrs.field(init=False, factory=hashlib.sha256)
    size_bytes: int = attrs.field(init=False, default=0)

    @property
    def sha256(self) -> str:
        """The digest of all lines so far: in the end, the one that stands in the file."""
        return self._digest.hexdigest()

    def write(self, lines: Sequence[bytes]) -> None:
        """Raises ``OSError``."""
        for each in lines:
            self._digest.update(each)
        self._stream.write(b"".join(lines))

    def finish(self) -> None:
        """Write the last line. Raises ``OSError``."""
        self._stream.write(line(Kind.END, orjson.dumps({"sha256": self.sha256})))


@contextmanager
def new_backup_file(path: Path, header: Header, *, overwrite: bool) -> Iterator[BackupFile]:
    """A file for its owner only, which gets its name when the block ends well; compressed, unless it is for reading.

    An export is compressed only if its name ends in ``.gz``. Raises ``FileExistsError``, ``OSError``.
    """
    refuse_existing(path, overwrite=overwrite)
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with ExitStack() as opened:
            raw = opened.enter_context(os.fdopen(descriptor, "wb"))
            stream: IO[bytes] = raw
            if header.content is Content.NETWORK or path.suffix == ".gz":
                packer = gzip.GzipFile(filename="", mode="wb", compresslevel=_COMPRESSION_LEVEL, fileobj=raw, mtime=0)
                stream = cast("IO[bytes]", opened.enter_context(packer))
            file = BackupFile(path, stream)
            file.write([header_line(header)])
            yield file
            file.finish()
            if stream is not raw:
                stream.close()
            raw.flush()
            os.fsync(raw.fileno())
            file.size_bytes = os.fstat(raw.fileno()).st_size
        refuse_existing(path, overwrite=overwrite)
        os.replace(temporary, path)
        sync_directory(path.parent)
    finally:
        with suppress(FileNotFoundError):  # it has its name
            os.unlink(temporary)


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raises ``FileExistsError``: what was kept before is not ours to throw away."""
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def check_backup(path: Path, seen: Callable[[int, int], None]) -> Header:
    """Read all of a file: complete, unchanged, and as many lines of each kind as it promises.

    ``seen`` is told of progress, now and then. Raises ``BackupDamaged``, ``OSError``.
    """
    with open_backup(path) as (header, found):
        done = 0
        for block in found:
            done += len(block)
            seen(done, header.counts.total)
    return header


@contextmanager
def open_backup(path: Path) -> Iterator[tuple[Header, Iterator[Sequence[bytes]]]]:
    """The header, and the lines between it and the end in blocks of bounded size.

    Whoever reads to the end knows that all of it was right. Raises ``BackupDamaged``, ``OSError``.
    """
    with ExitStack() as opened:
        raw = opened.enter_context(path.open("rb"))
        is_compressed = raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        raw.seek(0)
        stream: IO[bytes] = raw
        if is_compressed:
            stream = cast("IO[bytes]", opened.enter_context(gzip.GzipFile(fileobj=raw, mode="rb")))
        lines = _lines(stream)
        first = next(lines, b"")
        header = read_header(first)
        yield header, blocks(_checked(lines, header, first))


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    try:
        while found := stream.readline(limits.MAX_BACKUP_LINE_BYTES + 1):
            if not found.endswith(b"\n"):
                raise BackupDamaged("it is cut off, or a line of it is too long")
            yield found
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BackupDamaged(f"it is cut off or damaged: {error}") from error


def _checked(lines: Iterator[bytes], header: Header, first: bytes) -> Iterator[bytes]:
    """The lines between the first and the last. That all was right is known when there are no more."""
    digest = hashlib.sha256(first)
    counts = dict.fromkeys(attrs.asdict(header.counts), 0)
    for each in lines:
        kind = _kind_of(each)
        if kind == Kind.END:
            if _promised_digest(each) != digest.hexdigest():
                raise BackupDamaged("it was changed after it was written: its digest does not fit")
            if next(lines, None) is not None:
                raise BackupDamaged("it is damaged: something follows its end")
            if Counts(**counts) != header.counts:
                raise BackupDamaged("it is damaged: it does not hold as many lines as it promises")
            return
        digest.update(each)
        counts[kind] += 1
        yield each
    raise BackupDamaged("it is cut off: its end is missing")


def _kind_of(text: bytes) -> str:
    """The kind stands first, so that a line need not be read whole to be counted."""
    start = b'{"kind":"'
    kind, quote, _ = text[len(start) : len(start) + 20].partition(b'"')
    if not text.startswith(start) or not quote or kind not in _KINDS:
        raise BackupDamaged("it is damaged: a line of it is of no known kind")
    return kind.decode()


_KINDS: Final = frozenset(kind.encode() for kind in Kind if kind != Kind.HEADER)


def _promised_digest(end: bytes) -> str:
    try:
        return str(orjson.loads(end)["sha256"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise BackupDamaged("it is damaged: its end says no digest") from error
