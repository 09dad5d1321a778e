"""The network whose config file is here: what `moltnet pair` and `moltnet pairing` work on.

They change the file on the server's own machine, and tell a running server.
"""

import os
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

import attrs

from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.operator import OperatorFlags, own_url
from moltnet.cli.output import print_note
from moltnet.client.api import MoltnetClient
from moltnet.client.errors import ServerAnswered, ServerUnreachable
from moltnet.config.server import MoltnetConfig, load_server_config
from moltnet.config.server_edit import Edit, edit_server_config
from moltnet.config.splice import Change
from moltnet.config.urls import base_url, url_problem
from moltnet.protocol.administration import ReloadResult
from moltnet.protocol.rooms import Room


@attrs.frozen
class OwnNetwork:
    """The settings in the config file here, and how to reach the server that runs on them."""

    config: MoltnetConfig
    path: Path
    flags: OperatorFlags

    @classmethod
    def here(cls, flags: OperatorFlags) -> "OwnNetwork":
        """Raises ``ConfigError``, and ``CommandFailed`` if there is no file."""
        config = load_server_config(None, os.environ, Path.cwd())
        if config.source is None:
            raise CommandFailed(
                ExitCode.USAGE, "there is no Moltnet file here: run this beside it, or name it with MOLTNET_CONFIG"
            )
        return cls(config, config.source, flags)

    def address(self, given: str | None) -> str:
        """Where other networks reach this one: ``--url``, or else the address that the server listens on.

        Raises ``CommandFailed`` if that one means nothing elsewhere.
        """
        if given is not None:
            if (problem := url_problem(given.strip())) is not None:
                raise CommandFailed(ExitCode.USAGE, f"--url {problem}")
            return base_url(given.strip())
        listening = self.config.server.listen_addr
        if listening.is_wildcard or not listening.port:
            raise CommandFailed(ExitCode.USAGE, "say with --url where the other network reaches this one")
        return own_url(listening)

    def edit(self, changes: Sequence[Change], *, dry_run: bool = False) -> Edit:
        """Change the file. Raises ``ConfigError``, with the file as it was."""
        return edit_server_config(self.path, changes, os.environ, Path.cwd(), dry_run=dry_run)

    def reload(self) -> bool:
        """Let the running server follow the file; whether there is one. Raises what the call raises otherwise."""

        async def ask(client: MoltnetClient) -> ReloadResult:
            return await client.reload()

        try:
            self.flags.operator().call(ask)
        except ServerUnreachable:
            print_note("the server of this network does not run; it follows the file at its next start")
            return False
        return True

    def missing_rooms(self, room_ids: Sequence[str]) -> list[str]:
        """Those that this network does not have, by its file and by its running server."""
        declared = {room.id for room in self.config.rooms}
        return [room_id for room_id in room_ids if room_id not in declared and not self._has(room_id)]

    def _has(self, room_id: str) -> bool:
        async def ask(client: MoltnetClient) -> Room:
            return await client.room(room_id)

        try:
            self.flags.operator().call(ask)
        except ServerUnreachable:
            return False
        except ServerAnswered as answer:
            if answer.status != HTTPStatus.NOT_FOUND:
                raise
            return False
        return True
