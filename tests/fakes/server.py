"""A real network in the test's own process: our app on our runner, on a free port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from moltnet.app import open_app
from moltnet.config.secrets import Secret
from moltnet.config.settings import (
    AuthMode,
    AuthSettings,
    MoltnetConfig,
    NetworkSettings,
    Registration,
    RoomSettings,
    Scope,
    StorageKind,
    StorageSettings,
    TokenSettings,
)
from moltnet.config.urls import ListenAddress
from moltnet.protocol.ids import AgentId, NetworkId, RoomId
from moltnet.serving import open_sockets, serve

OPERATOR_TOKEN = "operator-0123456789abcdef0123456789"
ALPHA_TOKEN = "alpha-0123456789abcdef0123456789abc"


def bearer_network(*, registration: Registration = Registration.DISABLED) -> MoltnetConfig:
    """Network `net_a`, mode bearer: an operator, the agent alpha, and the room general with alpha and beta."""
    return MoltnetConfig(
        network=NetworkSettings(NetworkId("net_a"), "Net A"),
        auth=AuthSettings(
            mode=AuthMode.BEARER,
            agent_registration=registration,
            tokens=(
                TokenSettings("operator", Secret(OPERATOR_TOKEN), frozenset({Scope.OBSERVE, Scope.WRITE, Scope.ADMIN})),
                TokenSettings(
                    "alpha", Secret(ALPHA_TOKEN), frozenset({Scope.ATTACH, Scope.WRITE}), (AgentId("alpha"),)
                ),
            ),
        ),
        storage=StorageSettings(kind=StorageKind.MEMORY),
        rooms=(RoomSettings(RoomId("general"), "General", ("alpha", "beta")),),
    )


@asynccontextmanager
async def open_running_server(config: MoltnetConfig) -> AsyncIterator[str]:
    """Serve a network of these settings; yields its base URL. Drained when the block is left."""
    stop = trio.Event()
    async with open_app(config) as app, trio.open_nursery() as nursery:
        sockets = open_sockets(ListenAddress("127.0.0.1", 0))
        urls: list[str] = await nursery.start(partial(serve, app, sockets, stop=stop))
        yield urls[0]
        stop.set()
