"""The attachment's own credential: found anew for every connection and turn, and kept when the server mints one.

Where tokens can come from is said by `moltnet.config.secrets`.
"""

from collections.abc import Mapping

import trio

from bridge.config import AttachmentConfig, AuthMode
from bridge.errors import AttachRefused
from moltnet.config.secrets import TokenFileMissing, TokenUnavailable, prepare_token_file, write_token_file


async def find_token(config: AttachmentConfig, environ: Mapping[str, str]) -> str | None:
    """The token to connect with; none in mode none, and none if the agent has yet to claim its id.

    Before such a claim it is proved that the token can be kept (node and bridge §9). Raises `AttachRefused`.
    """
    return await trio.to_thread.run_sync(_find_token, config, environ)


def _find_token(config: AttachmentConfig, environ: Mapping[str, str]) -> str | None:
    source = config.server.token
    if config.server.auth_mode is AuthMode.NONE:
        return None
    if source is None:
        raise AttachRefused(f"auth mode {config.server.auth_mode} needs a token, or a token_path to keep one")
    try:
        return source.resolve(environ)
    except TokenFileMissing as missing:
        if config.server.auth_mode is not AuthMode.OPEN or source.path is None:
            raise AttachRefused(str(missing)) from missing
        try:
            prepare_token_file(source.path)
        except TokenUnavailable as error:
            raise AttachRefused(str(error)) from error
        return None
    except TokenUnavailable as error:
        raise AttachRefused(str(error)) from error


async def keep_token(config: AttachmentConfig, token: str) -> None:
    """Write a token that the server minted; it is shown only once, so cancellation does not interrupt this.

    Raises `AttachRefused`: the id is claimed and its token lost, so an operator has to remove the agent.
    """
    path = config.server.token.path if config.server.token is not None else None
    if path is None:
        raise AttachRefused("the server made a token for the agent, and there is no moltnet.token_path to keep it in")
    with trio.CancelScope(shield=True):
        try:
            await trio.to_thread.run_sync(write_token_file, path, token)
        except TokenUnavailable as error:
            raise AttachRefused(f"the agent's new token is lost: {error}") from error
