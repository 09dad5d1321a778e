"""Is this server the right network, and can we work with it? Asked before every connection (node and bridge §10)."""

from collections.abc import Iterator, Mapping

import trio

from bridge import limits
from bridge.config import AttachmentConfig, AuthMode
from bridge.errors import AttachRefused, ConnectionLost, Incompatible
from moltnet.client.api import open_client
from moltnet.client.errors import BadServerAddress, BadToken, ClientError, ServerAnswered, rejected_token_advice
from moltnet.protocol.network import ATTACH_PROTOCOL, HTTP_PROTOCOL, Network

_CREDENTIAL_STATUSES = frozenset({401, 403})


async def check_server(config: AttachmentConfig, token: str | None, environ: Mapping[str, str]) -> None:
    """Ask the server what it is. Returns if the attachment may go on.

    Without a token, which means that the agent has yet to claim its id, a server may refuse to tell: a network that is
    not publicly readable can still be open for registration.

    Raises:
        ConnectionLost: no answer, or one that may be different later.
        AttachRefused: the server does not accept the credential, or is no Moltnet server.
        Incompatible: it is another network, or lacks what we need.
    """
    try:
        with trio.move_on_after(limits.PREFLIGHT_SECONDS) as waiting:
            async with open_client(config.server.base_url, token, environ=environ) as client:
                network = await client.network()
    except ServerAnswered as answer:
        if answer.status in _CREDENTIAL_STATUSES and token is None and config.server.auth_mode is AuthMode.OPEN:
            return
        raise _refusal(answer, token) from answer
    except ClientError as error:
        if error.worth_repeating:
            raise ConnectionLost(str(error)) from error
        raise AttachRefused(str(error), certain=False) from error
    except (BadServerAddress, BadToken) as error:
        raise AttachRefused(str(error)) from error
    if waiting.cancelled_caught:
        raise ConnectionLost(f"{config.server.base_url} did not answer within {limits.PREFLIGHT_SECONDS:g} s")
    problems = list(incompatibilities(network, config))
    if problems:
        raise Incompatible(f"{config.server.base_url} does not fit: {'; '.join(problems)}")


def _refusal(answer: ServerAnswered, token: str | None) -> ConnectionLost | AttachRefused:
    if answer.status == 401:
        return AttachRefused(f"{answer}; {rejected_token_advice(token)}")
    if answer.status in _CREDENTIAL_STATUSES:
        return AttachRefused(f"{answer}; the token needs the scope attach (or observe, or pair)")
    if answer.worth_repeating:
        return ConnectionLost(str(answer), retry_after_seconds=answer.retry_after_seconds or 0.0)
    return AttachRefused(str(answer), certain=False)


def incompatibilities(network: Network, config: AttachmentConfig) -> Iterator[str]:
    """Why this attachment cannot work with that network."""
    expected = config.server.network_id
    if network.id != expected:
        yield f'its network is "{network.id}", not "{expected}"'
    protocols, capabilities = network.protocols, network.capabilities
    if protocols.http or protocols.attach or protocols.pair:
        for name, needed, offered in (
            ("http", HTTP_PROTOCOL, protocols.http),
            ("attach", ATTACH_PROTOCOL, protocols.attach),
        ):
            if needed not in offered:
                yield f"it speaks {', '.join(offered) or 'nothing'} as protocols.{name}, we need {needed}"
    elif capabilities.message_pagination != "cursor":
        # Servers from before protocol versions are known by this.
        yield "it names no protocols"
    if capabilities.attachment_protocol != "websocket":
        yield f'its attachment_protocol is "{capabilities.attachment_protocol}", we need "websocket"'
    if config.dms.enabled and not capabilities.direct_messages:
        yield "dms.enabled is set, and it has no direct messages"
