"""From wakes to a turn: the prompt, and how the agent's own `moltnet` finds its network and credential.

When a turn is made is decided by `bridge.conversation`; how it is run, by the runtime.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import attrs
import trio

from bridge.config import AttachmentConfig, AuthMode
from bridge.context import fetch_context
from bridge.credential import find_token
from bridge.errors import AttachRefused
from bridge.policy import Wake
from bridge.render import render_prompt
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn
from bridge.settings import SandboxKind
from moltnet.config.client import CONFIG_VARIABLE
from moltnet.config.problems import ConfigError
from moltnet.config.workspace import (
    AttachmentChange,
    AuthChange,
    DirectChange,
    RoomChange,
    client_config_path,
    upsert_attachment,
)

NETWORK_VARIABLE: Final = "MOLTNET_NETWORK"
MEMBER_VARIABLE: Final = "MOLTNET_MEMBER"
TOKEN_VARIABLE: Final = "MOLTNET_TOKEN"


@attrs.frozen
class TurnMaker:
    """Makes the turns of one attachment. `environ` is the node's environment, where its token may be."""

    _config: AttachmentConfig
    _environ: Mapping[str, str]
    _room_names: Mapping[str, str] = attrs.field(factory=dict)
    """What is known of rooms by now; grows while connections are made."""

    async def make(self, conversation: Conversation, wakes: Sequence[Wake], repeated: Collection[str]) -> Turn:
        """The turn for `wakes`, of which those with an event id in `repeated` were begun before.

        Writes the client configuration into the workspace; the token itself is only in the turn's environment.

        Raises:
            RuntimeMisconfigured: the workspace cannot be written, or the credential is gone.
        """
        newest = wakes[-1]
        environment = await self._prepare()
        context = await fetch_context(
            self._config,
            conversation,
            wakes,
            token=environment.get(TOKEN_VARIABLE),
            environ=self._environ,
            room_names=self._room_names,
        )
        return Turn(
            conversation,
            render_prompt(
                conversation,
                self._config.agent.id,
                wakes,
                repeated,
                attrs.evolve(context, is_heard=self._config.publish_output),
            ),
            environment=environment,
            message_id=newest.message.id,
            sender=newest.message.sender.fqid or newest.message.sender.id,
            reason=newest.reason,
        )

    async def _prepare(self) -> dict[str, str]:
        config = self._config
        environment = {NETWORK_VARIABLE: str(config.server.network_id), MEMBER_VARIABLE: str(config.agent.id)}
        # Read for every turn: it may have been claimed, or rotated, a moment ago.
        try:
            token = await find_token(config, self._environ)
        except AttachRefused as refusal:
            raise RuntimeMisconfigured(refusal.reason) from refusal
        if token is not None:
            environment[TOKEN_VARIABLE] = token
        if config.runtime.workspace_path is not None:
            path = client_config_path(config.runtime.workspace_path)
            if config.runtime.sandbox.kind is not SandboxKind.NONE and path.parent.is_symlink():
                # The agent can have put it there, to write by our hand where it may not.
                raise RuntimeMisconfigured(f"{path.parent} is a link, which a sandbox must not have there; remove it")
            try:
                await trio.to_thread.run_sync(upsert_attachment, path, client_entry(config))
            except ConfigError as error:
                raise RuntimeMisconfigured(str(error)) from error
            environment[CONFIG_VARIABLE] = str(path)
        return environment


def client_entry(config: AttachmentConfig) -> AttachmentChange:
    """What the workspace's client configuration says about this attachment. It names the token's variable."""
    mode = config.server.auth_mode
    return AttachmentChange(
        network_id=config.server.network_id,
        member_id=config.agent.id,
        base_url=config.server.base_url,
        agent_name=config.agent.name,
        runtime=str(config.runtime.kind),
        auth=AuthChange(mode, token_env="" if mode is AuthMode.NONE else TOKEN_VARIABLE),
        rooms=tuple(RoomChange(room.id, room.wake) for room in config.rooms),
        dms=DirectChange(config.dms.enabled, config.dms.wake),
    )
