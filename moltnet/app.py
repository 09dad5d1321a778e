"""Building a network from its settings: the only place that makes things and connects them.

Resources nest, so leaving the block is the shutdown: reports are written before the journal closes, the journal
drains before the store does.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import attrs
import trio

from moltnet.attach.endpoint import Gateway
from moltnet.attach.frames import FrameCache
from moltnet.attach.neighbours import open_neighbours
from moltnet.attach.registry import REMOVED, Registry, rebound
from moltnet.attach.reports import Reports, open_reports
from moltnet.auth.leases import Leases
from moltnet.auth.origin import HostPolicy, OriginPolicy
from moltnet.auth.policy import Authenticator, AuthPolicy
from moltnet.auth.reserved import ReservedNames
from moltnet.auth.sessions import Session
from moltnet.auth.tokens import StaticToken, TokenTable, token_digest
from moltnet.broker import Broker
from moltnet.config.settings import AuthMode, MoltnetConfig, StorageSettings
from moltnet.core.admission import Admission
from moltnet.core.declare import declare
from moltnet.core.network import NetworkContext, Terms
from moltnet.core.sharing import open_sharing
from moltnet.directory import Directory
from moltnet.journal import open_journal
from moltnet.metrics import Metrics, new_metrics
from moltnet.pairing.links import Links, open_links
from moltnet.pairing.relay import Relay
from moltnet.pairing.status import PairingStatus
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.ids import NetworkId, new_event_id
from moltnet.protocol.pairings import Pairing
from moltnet.protocol.times import WallClock, parse_timestamp, utc_now
from moltnet.retention import Retention, open_retention
from moltnet.storage.factory import open_store
from moltnet.storage.store import Committed, Store

LoadConfig = Callable[[], MoltnetConfig]


@attrs.define(eq=False)
class App:
    """A running network, without any transport.

    ``moltnet.reload`` replaces what came from the config file; ``load`` reads that again, if there is one.
    """

    config: MoltnetConfig
    context: NetworkContext
    authenticator: Authenticator
    origins: OriginPolicy
    hosts: HostPolicy
    admission: Admission
    broker: Broker
    gateway: Gateway
    leases: Leases
    metrics: Metrics
    links: Links
    load: LoadConfig | None = None
    reloading: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    def adopt(self, config: MoltnetConfig) -> int:
        """Go on with other settings, all at once, and end what runs on a credential that they do not know.

        Never waits: nobody sees a half of it. Says how many attachments and streams it ended.
        """
        self.config = config
        self.context.terms = _terms(config)
        self.origins, self.hosts = _origins(config), _hosts(config)
        self.admission.adopt(config.server.limits)
        self.authenticator = _authenticator(config, self.context.directory, self.context.clock)
        self.links.adopt(config.pairings)
        return self.leases.renew(self.authenticator)

    def drain(self) -> None:
        """Say goodbye to every reader: attachments get close 1012, streams end. Doing it twice changes nothing."""
        self.gateway.drain()
        self.broker.end()


@asynccontextmanager
async def open_app(
    config: MoltnetConfig, clock: WallClock = utc_now, *, load: LoadConfig | None = None
) -> AsyncIterator[App]:
    """Open the configured store and run a network on it. ``load`` reads its settings again; it may block.

    Raises ``StorageError`` if the store can't be opened. Leaving the block ends everything in order; whoever serves
    the app has ended its connections before.
    """
    storage = config.storage
    opening = open_store(
        storage.kind,
        json_path=None if storage.json is None else storage.json.path,
        sqlite_path=None if storage.sqlite is None else storage.sqlite.path,
        postgres_dsn=None if storage.postgres is None else storage.postgres.dsn,
        network_id=config.network.id,
    )
    async with opening as store, open_app_on(store, config, clock, load=load) as app:
        yield app


@asynccontextmanager
async def open_app_on(
    store: Store, config: MoltnetConfig, clock: WallClock = utc_now, *, load: LoadConfig | None = None
) -> AsyncIterator[App]:
    """Make ``store`` what the file declares, and run the network's services. The store stays the caller's.

    Raises a group with a ``StorageError`` if the store fails meanwhile.
    """
    directory = Directory(config.network.id)
    directory.load(await store.load_directory())
    bounds = await store.event_bounds()
    registry = Registry(store.seating)
    metrics = new_metrics()
    admission = Admission(
        config.server.limits,
        metrics.limits,
        spending=store.spending,
        attached_elsewhere=registry.count_elsewhere,
    )
    broker = Broker(config.network.id, store, bounds.newest_seq, bounds.newest_id, metrics.broker)
    authenticator = _authenticator(config, directory, clock)
    leases = Leases(authenticator)
    relay = Relay(store, clock, metrics.relay)

    def publish(committed: Committed) -> None:
        token_died = bool(committed.removed_agents or committed.closed_sessions)
        for agent in committed.agents:
            known = directory.agent(agent.id)
            if known is not None and known.credential_key != agent.credential_key:
                registry.dismiss(agent.id, rebound(agent.credential_key))
                token_died = True
        for agent_id in committed.removed_agents:
            registry.dismiss(agent_id, REMOVED)
        # Rooms and agents first: who may see an event is decided by what it changed.
        directory.apply(committed.rooms, committed.agents, committed.removed_agents)
        directory.apply_credentials(committed.sessions, committed.pair_networks, committed.closed_sessions)
        if token_died:
            leases.renew()
        broker.publish(committed.records)
        relay.heard(committed)

    async with open_journal(store, publish, metrics.journal) as journal:
        context = NetworkContext(
            id=config.network.id,
            store=store,
            directory=directory,
            journal=journal,
            clock=clock,
            terms=_terms(config),
        )
        await declare(context, config.rooms, config.auth.tokens)
        async with (
            open_retention(journal, _retention(config.storage), clock, metrics.retention),
            open_reports(journal, metrics.attach) as reports,
            open_neighbours(context, registry, reports),
            open_sharing(admission),
            open_links(
                config.pairings,
                own_id=context.id,
                on_change=_reporting(context, reports, relay),
                services=(partial(relay.serve, journal=journal),),
                wall_clock=clock,
            ) as links,
        ):
            context.pairings_now = links.pairings
            yield App(
                config=config,
                context=context,
                authenticator=authenticator,
                origins=_origins(config),
                hosts=_hosts(config),
                admission=admission,
                broker=broker,
                gateway=Gateway(context, broker, registry, reports, FrameCache(context.id), leases),
                leases=leases,
                metrics=metrics,
                links=links,
                load=load,
            )


def _reporting(context: NetworkContext, reports: Reports, relay: Relay) -> Callable[[Pairing], None]:
    def report(pairing: Pairing) -> None:
        relay.look_again(pairing.id)
        reports.add(Event(new_event_id(), EventType.PAIRING_UPDATED, context.id, context.now(), pairing=pairing))

    return report


def _retention(storage: StorageSettings) -> Retention:
    messages = storage.message_retention_seconds
    return Retention(
        timedelta(seconds=storage.event_retention_seconds), None if messages is None else timedelta(seconds=messages)
    )


def _terms(config: MoltnetConfig) -> Terms:
    return Terms(
        name=config.network.name,
        policy=_auth_policy(config),
        mention_aliases=_mention_aliases(config),
        debug_events=config.server.debug_events,
        delivery_window=config.server.delivery_window,
        reserved_agents=ReservedNames(config.auth.reserved_agents),
        declared_agents={agent_id: token.id for token in config.auth.tokens for agent_id in token.agents},
        relaying=tuple(pairing for pairing in config.pairings if not PairingStatus(pairing).is_off),
    )


def _origins(config: MoltnetConfig) -> OriginPolicy:
    # Safe without sign-in too: there ``hosts`` has kept out the names that a stranger can point to us.
    return OriginPolicy(frozenset(config.server.allowed_origins), same_origin=config.server.derives_origins)


def _hosts(config: MoltnetConfig) -> HostPolicy:
    return HostPolicy.of(config.server.allowed_origins, everywhere=not config.server.listen_addr.is_loopback)


def _authenticator(config: MoltnetConfig, directory: Directory, clock: WallClock) -> Authenticator:
    def find_session(digest: str) -> Session | None:
        stored = directory.session(digest)
        if stored is None:
            return None
        return Session(stored.digest, stored.credential_key, parse_timestamp(stored.expires_at))

    return Authenticator(_auth_policy(config), _token_table(config), directory.agents_of, clock, find_session)


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
            StaticToken(
                id=token.id,
                digest=token_digest(value.reveal()),
                scopes=token.scopes,
                agents=frozenset(token.agents),
                network=token.network,
                expires_at=expires_at,
            )
            for token in config.auth.tokens
            for value, expires_at in token.values
        )
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
