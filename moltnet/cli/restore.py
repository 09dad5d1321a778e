"""`moltnet restore` and `moltnet import`: a network from a file, into a store with nothing in it."""

from pathlib import Path

import click

from moltnet.cli.examples import examples
from moltnet.cli.transfers import server_config, show_result, transfer
from moltnet.storage.backup.format import Content, Header, Progress
from moltnet.storage.backup.stores import open_target
from moltnet.storage.backup.transfer import restore_backup

_FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
_JSON = click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")


@click.command(epilog=examples("moltnet restore lab.backup", "MOLTNET_SQLITE_PATH=new.db moltnet restore lab.backup"))
@_FILE
@_JSON
def restore(file: Path, as_json: bool) -> None:
    """Make the empty storage of ./Moltnet (or MOLTNET_CONFIG) the network that FILE holds.

    The storage may be of another kind than the one that was backed up. It must be new or empty, and no server may run
    on it; nothing is ever overwritten. The whole file is checked first, and all of it is restored or nothing. Ids,
    order and cursors stay, so agents go on where they were.
    """
    _read(file, Content.NETWORK, "restored from", as_json=as_json)


@click.command("import", epilog=examples("moltnet import talk.jsonl"))
@_FILE
@_JSON
def import_conversations(file: Path, as_json: bool) -> None:
    """Begin a network in the empty storage of ./Moltnet with the conversations of an export.

    Agents register again, and nobody is woken by what was said before: of the log of events only the newest message
    is there. For everything else, use "moltnet backup" and "moltnet restore".
    """
    _read(file, Content.CONVERSATIONS, "imported from", as_json=as_json)


def _read(file: Path, content: Content, done: str, *, as_json: bool) -> None:
    config = server_config()

    async def run(progress: Progress) -> Header:
        return await restore_backup(file, open_target(config), config.network.id, progress, content)

    header = transfer("restoring", file, run)
    show_result(file, done, header, {}, as_json=as_json)
