"""Building a network from its settings: the only place that makes things and connects them.

Resources nest, so leaving the block is the shutdown: reports are written before the journal closes, the journal
drains before the store does.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs

from moltnet.attach.endpoint import Gateway
from moltnet.attach.frames import FrameCache
from moltnet.attach.registry import REBOUND, REMOVED, Registry
from moltnet.attach.reports import open_reports
from moltnet.auth.origin import OriginPolicy
from moltnet.auth.policy import Authenticator, AuthPolicy
from moltnet.auth.tokens import StaticToken, TokenTable, token_digest
from moltnet.broker import Broker
from moltnet.config.settings import AuthMode, MoltnetConfig, PairingSettings
from moltnet.core.declare import declare
from moltnet.core.network import NetworkContext
from moltnet.directory import Directory
from moltnet.journal import open_journal
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.pairings import Pairing
from moltnet.protocol.times import WallClock, utc_now
from moltnet.storage.factory import open_store
from moltnet.storage.store import Committed, Store


@attrs.frozen(eq=False)
class App:
    """A running network, without any transport."""

    config: MoltnetConfig
    context: NetworkContext
    authenticator: Authenticator
    origins: OriginPolicy
    broker: Broker
    gateway: Gateway

    def drain(self) -> None:
        """Say goodbye to every reader: attachments get close 1012, streams end. Doing it twice changes nothing."""
        self.gateway.drain()
        self.broker.end()


@asynccontextmanager
async def open_app(config: MoltnetConfig, clock: WallClock = utc_now) -> AsyncIterator[App]:
    """Open the configured store and run a network on it.

    Raises ``StorageError`` if the store can't be opened. Leaving the block ends everything in order; whoever serves
    the app has ended its connections before.
    """
    storage = config.storage
    path = None if storage.sqlite is None else storage.sqlite.path
    async with (
        open_store(storage.kind, sqlite_path=path, network_id=config.network.id) as store,
        open_app_on(store, config, clock) as app,
    ):
        yield app


@asynccontextmanager
async def open_app_on(store: Store, config: MoltnetConfig, clock: WallClock = utc_now) -> AsyncIterator[App]:
    """Make ``store`` what the file declares, and run the network's services. The store stays the caller's.

    Raises a group with a ``StorageError`` if the store fails meanwhile.
    """
    directory = Directory(config.network.id)
    directory.load(await store.load_directory())
    bounds = await store.event_bounds()
    registry = Registry()
    broker = Broker(config.network.id, store, bounds.newest_seq, bounds.newest_id)

    def publish(committed: Committed) -> None:
        for agent in committed.agents:
            known = directory.agent(agent.id)
            if known is not None and known.credential_key != agent.credential_key:
                registry.dismiss(agent.id, REBOUND)
        for agent_id in committed.removed_agents:
            registry.dismiss(agent_id, REMOVED)
        # Rooms and agents first: who may see an event is decided by what it changed.
        directory.apply(committed.rooms, committed.agents, committed.removed_agents)
        directory.apply_credentials(committed.sessions, committed.pair_networks, committed.closed_sessions)
        broker.publish(committed.records)

    async with open_journal(store, publish) as journal:
        context = NetworkContext(
            id=config.network.id,
            name=config.network.name,
            policy=_auth_policy(config),
            store=store,
            directory=directory,
            journal=journal,
            clock=clock,
            mention_aliases=_mention_aliases(config),
            debug_events=config.server.debug_events,
            pairings=tuple(_pairing(each) for each in sorted(config.pairings, key=lambda each: each.id)),
        )
        await declare(context, config.rooms, config.auth.tokens)
        async with open_reports(journal) as reports:
            yield App(
                config=config,
                context=context,
                authenticator=Authenticator(context.policy, _token_table(config), directory.agents_of),
                origins=OriginPolicy(frozenset(config.server.allowed_origins)),
                broker=broker,
                gateway=Gateway(context, broker, registry, reports, FrameCache(context.id)),
            )


def _auth_policy(config: MoltnetConfig) -> AuthPolicy:
    return AuthPolicy(
        mode=config.auth.mode,
        public_read=config.auth.public_read,
        registration=config.auth.agent_registration,
        human_ingress=config.server.human_ingress,
        direct_messages=config.server.direct_messages,
    )


def _token_table(config: MoltnetConfig) -> TokenTable:
    if config.auth.mode is AuthMode.NONE:
        return TokenTable()
    return TokenTable(
        tuple(
            StaticToken(token.id, token_digest(token.value.reveal()), token.scopes, frozenset(token.agents))
            for token in config.auth.tokens
            if token.value is not None
        )
    )


def _pairing(settings: PairingSettings) -> Pairing:
    """What is told of a pairing: never its token."""
    return Pairing(
        id=settings.id,
        remote_network_id=settings.remote_network_id,
        remote_network_name=settings.remote_network_name,
        remote_base_url=settings.remote_base_url,
        status=settings.status,
    )


def _mention_aliases(config: MoltnetConfig) -> Mapping[str, frozenset[NetworkId]]:
    """What may stand left of the colon in ``@network:agent``: our id and name, and each pairing's."""
    aliases: dict[str, set[NetworkId]] = {}
    for name in (config.network.id, config.network.name):
        aliases.setdefault(name, set()).add(config.network.id)
    for pairing in config.pairings:
        for name in (pairing.id, pairing.remote_network_id, pairing.remote_network_name):
            if name.strip() and pairing.remote_network_id:
                aliases.setdefault(name, set()).add(NetworkId(pairing.remote_network_id))
    return {name: frozenset(networks) for name, networks in aliases.items()}
