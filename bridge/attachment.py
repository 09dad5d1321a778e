"""The attachment of a configured agent: where to, as whom, and where the token of a first claim goes.

How it works is `moltnet.client.attachment`; what an event means is decided by `bridge.loop`.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from bridge.config import AttachmentConfig, WakePolicy
from bridge.credential import keep_token
from moltnet.client.address import parse_server_address
from moltnet.client.attachment import Attacher, Attachment
from moltnet.client.attachment import open_attachment as open_client_attachment
from moltnet.client.errors import AttachRefused, BadServerAddress
from moltnet.protocol.agents import About
from moltnet.protocol.frames import FrameCapabilities

HOST_NAME: Final = "MOLTNET_NODE_HOST"

__all__ = ["Attachment", "open_attachment"]


@asynccontextmanager
async def open_attachment(
    config: AttachmentConfig, token: str | None, cursor: str, environ: Mapping[str, str]
) -> AsyncIterator[Attachment]:
    """Attach the agent, to receive what comes after the event `cursor`; live events only if that is empty.

    A token that the server mints for a first claim is on disk before the block is entered. Raises as the client's does.
    """
    try:
        server = parse_server_address(config.server.base_url)
    except BadServerAddress as error:
        raise AttachRefused(str(error)) from error
    attacher = Attacher(
        config.server.network_id,
        config.agent.id,
        config.agent.name,
        cursor=cursor,
        capabilities=_capabilities(config),
        # Where this runs is the operator's to tell: the network may be a stranger's.
        about=About(config.runtime.kind, environ.get(HOST_NAME, "")).trimmed(),
    )
    async with open_client_attachment(
        server, token, attacher, environ, keep_token=partial(keep_token, config)
    ) as attachment:
        yield attachment


def _capabilities(config: AttachmentConfig) -> FrameCapabilities:
    return FrameCapabilities(
        rooms=bool(config.rooms),
        threads=any(room.wake.policy is not WakePolicy.NEVER for room in config.rooms),
        dms=config.dms.enabled,
        artifacts=True,
    )
