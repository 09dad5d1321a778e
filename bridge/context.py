"""What a prompt says beside the messages that woke the agent: the name of the room, and what was said before.

Fetched from the server with the agent's own credential, so it is nothing that the agent could not read itself. It
helps and decides nothing: whatever goes wrong with it costs at most `limits.CONTEXT_SECONDS`, and the turn goes on
without it.
How it is shown is `bridge.render`.
"""

from collections.abc import Mapping, Sequence

import trio

from bridge import limits
from bridge.policy import Wake
from bridge.render import Context
from bridge.runtimes.runtime import Conversation
from bridge.settings import AttachmentConfig
from moltnet.client.api import open_client
from moltnet.client.errors import BadServerAddress, BadToken, ClientError
from moltnet.log import get_logger
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.pages import PageRequest

log = get_logger("bridge.context")


def wanted_messages(config: AttachmentConfig, conversation: Conversation) -> int:
    """How many earlier messages the configuration asks for in this conversation."""
    if conversation.kind is TargetKind.DM:
        return config.dms.context_messages
    room_id = conversation.room_id or conversation.id
    return next((binding.context_messages for binding in config.rooms if binding.id == room_id), 0)


async def fetch_context(
    config: AttachmentConfig,
    conversation: Conversation,
    wakes: Sequence[Wake],
    *,
    token: str | None,
    environ: Mapping[str, str],
    room_names: Mapping[str, str],
) -> Context:
    """The context of a turn for `wakes`. Raises nothing; cancelled, it is given up.

    `room_names` is what is known of rooms without asking.
    """
    name = room_names.get(conversation.room_id or conversation.id, "") if conversation.kind is not TargetKind.DM else ""
    count = wanted_messages(config, conversation)
    if count == 0:
        return Context(name)
    first = wakes[0].message
    try:
        with trio.move_on_after(limits.CONTEXT_SECONDS) as waiting:
            async with open_client(config.server.base_url, token, environ=environ) as client:
                page = await client.messages(first.target, PageRequest(limit=count, before=first.id))
            # A server that does not know `before` would send what is newest.
            woken = {wake.message.id for wake in wakes}
            earlier = tuple(message for message in page.messages if message.id not in woken)
            return Context(name, earlier[-count:])
        reason = f"no answer within {limits.CONTEXT_SECONDS:g} s" if waiting.cancelled_caught else ""
    except (ClientError, BadServerAddress, BadToken) as error:
        reason = str(error)
    log.warning("earlier messages not fetched", conversation=conversation.key, reason=reason)
    return Context(name, is_missing=True)
