"""From a store into a file, and from a file into an empty store: everything, or conversations only.

Which kind of store it is makes no difference; ``stores`` opens them.
"""

from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from moltnet.protocol.ids import NetworkId
from moltnet.storage.backup.file import check_backup, new_backup_file, open_backup
from moltnet.storage.backup.format import ChangesReader, Content, Header, Progress, Source, Target
from moltnet.storage.snapshot_format import wrong_network
from moltnet.storage.store import StorageError


class WrongContent(StorageError):
    """A backup where an export was expected, or the other way round."""


@attrs.frozen
class Written:
    """A file that is there, and durable."""

    path: Path
    header: Header
    size_bytes: int
    sha256: str


async def write_backup(source: Source, path: Path, progress: Progress, *, overwrite: bool = False) -> Written:
    """Write all of ``source`` into a new file. If it raises, or is cancelled, there is no such file.

    Raises ``StorageError``, ``FileExistsError``, ``OSError``.
    """
    done, total = 0, source.header.counts.total
    with ExitStack() as opened:
        file = opened.enter_context(new_backup_file(path, source.header, overwrite=overwrite))
        progress(0, total)
        while block := await source.next_block():
            await trio.to_thread.run_sync(file.write, block)
            done += len(block)
            progress(done, total)
    return Written(path, source.header, file.size_bytes, file.sha256)


async def restore_backup(
    path: Path,
    target: AbstractAsyncContextManager[Target],
    network_id: NetworkId,
    progress: Progress,
    content: Content = Content.NETWORK,
) -> Header:
    """Fill an empty store from a file that was checked whole before the store is opened.

    If it raises, or is cancelled, the store is as empty as before. Raises ``BackupDamaged``, ``WrongContent``,
    ``WrongNetwork``, ``StorageError``, ``OSError``.
    """
    check = partial(check_backup, path, lambda done, total: None)
    header = await trio.to_thread.run_sync(check)
    if header.content is not content:
        raise WrongContent(
            f"{path} holds {_NAMES[header.content]}, not {_NAMES[content]}: use moltnet {_VERBS[header.content]}"
        )
    if header.network_id != network_id:
        raise wrong_network(header.network_id, network_id)
    async with target as filled:
        with open_backup(path) as (header, blocks):
            reader = ChangesReader(header)
            done, total = 0, header.counts.total
            progress(0, total)
            while block := await trio.to_thread.run_sync(partial(next, blocks, ())):
                await filled.write(await trio.to_thread.run_sync(reader.changes, block))
                done += len(block)
                progress(done, total)
    return header


_NAMES: Final = {Content.NETWORK: "a backup of a network", Content.CONVERSATIONS: "an export of conversations"}
_VERBS: Final = {Content.NETWORK: "restore", Content.CONVERSATIONS: "import"}
