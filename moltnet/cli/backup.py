"""`moltnet backup` and `moltnet export`: a network, or its conversations, into one file, while the server runs."""

from pathlib import Path

import click

from moltnet.cli.examples import examples
from moltnet.cli.transfers import server_config, show_result, transfer
from moltnet.storage.backup.format import Content, Progress, Selection
from moltnet.storage.backup.stores import open_source
from moltnet.storage.backup.transfer import Written, write_backup

_FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
_JSON = click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")


@click.command(epilog=examples("moltnet backup lab.backup", "moltnet backup --json /backups/lab-$(date +%F).backup"))
@_FILE
@click.option(
    "--with-sessions", is_flag=True, help="Consoles that are signed in, too (hashes); else people sign in again."
)
@_OVERWRITE
@_JSON
def backup(file: Path, with_sessions: bool, overwrite: bool, as_json: bool) -> None:
    """Write everything that the network's storage keeps into one compressed FILE, for "moltnet restore".

    Works beside the running server, and is one state of the network whatever is written meanwhile. Run it where the
    server was started, or with its MOLTNET_CONFIG. Agents keep their tokens after a restore: the file holds hashes of
    them. It holds no token, and nothing of the config file; keep it as private as the messages in it.
    """
    _write(file, Selection(sessions=with_sessions), "backed up into", overwrite=overwrite, as_json=as_json)


@click.command(
    epilog=examples(
        "moltnet export talk.jsonl",
        "moltnet export talk.jsonl.gz",
        """jq -r 'select(.kind=="message").message.parts[].text' talk.jsonl""",
    )
)
@_FILE
@_OVERWRITE
@_JSON
def export(file: Path, overwrite: bool, as_json: bool) -> None:
    """Write the conversations into FILE as lines of JSON, for people and other programs.

    Rooms with their members, threads, direct conversations and messages; unlike a backup no agents, no hashes of
    their tokens and no log of events. It is compressed if the name ends in .gz. "moltnet import" begins a new network
    with it. Works beside the running server.
    """
    _write(file, Selection(Content.CONVERSATIONS), "exported into", overwrite=overwrite, as_json=as_json)


def _write(file: Path, selection: Selection, done: str, *, overwrite: bool, as_json: bool) -> None:
    config = server_config()

    async def run(progress: Progress) -> Written:
        async with open_source(config, selection) as source:
            return await write_backup(source, file, progress, overwrite=overwrite)

    written = transfer("writing", file, run)
    more = {"size_bytes": written.size_bytes, "sha256": written.sha256}
    show_result(file, done, written.header, more, as_json=as_json)
