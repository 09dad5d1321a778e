"""Building a network from its settings: the only place that makes things and connects them.

Resources nest, so leaving the block is the shutdown: reports are written before the journal closes, the journal
drains before the store does.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Protocol

import attrs
import trio

from moltnet.attach.endpoint import Gateway
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
from moltnet.config.settings import AuthMode, MoltnetConfig, PairingSettings, StorageSettings
from moltnet.core.admission import Admission
from moltnet.core.declare import declare
from moltnet.core.network import NetworkContext, Terms
from moltnet.core.sharing import open_sharing
from moltnet.core.sightings import Sightings, open_sightings
from moltnet.directory import Directory
from moltnet.fanout.hub import Hub, open_hub
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
from moltnet.storage.marks import MarkKind
from moltnet.storage.store import Committed, Store

LoadConfig = Callable[[], MoltnetConfig]


class Peers(Protocol):
    """The other processes of the same server, if it has several (``moltnet.workers``)."""

    def reload(self) -> None:
        """Have them read the config file again, as we did. Never waits."""
        ...

    async def metrics(self, own: str) -> str:
        """What all of them count, as one text; ``own`` is what we count, in the format for text."""
        ...


@attrs.define(eq=False)
class App:
    """A running network, without any transport.

    ``moltnet.reload`` replaces what came from the config file; ``load`` reads that again, if there is one. ``peers``
    are the other processes of this server, if there are any.
    """

    config: MoltnetConfig
    context: NetworkContext
    authenticator: Authenticator
    origins: OriginPolicy
    hosts: HostPolicy
    admission: Admission
    broker: Broker
    hub: Hub
    gateway: Gateway
    leases: Leases
    metrics: Metrics
    links: Links
    load: LoadConfig | None = None
    peers: Peers | None = None
    reloading: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    def adopt(self, config: MoltnetConfig) -> int:
        """Go on with other settings, all at once, and end what runs on a credential that they do not know.

        Never waits: nobody sees a half of it. Says how many attachments and streams it ended.
        """
        self.config = config
        self.context.terms = _terms(config, self._pairings())
        self.origins, self.hosts = _origins(config), _hosts(config)
        self.admission.adopt(config.server.limits)
        self.authenticator = _authenticator(config, self.context.directory, self.context.clock)
        self.links.adopt(self._pairings())
        return self.leases.renew(self.authenticator)

    def adopt_switches(self) -> None:
        """Go on with pairings that somebody has switched on or off, here or at another server. Never waits."""
        self.context.terms = _terms(self.config, self._pairings())
        self.links.adopt(self._pairings())

    def _pairings(self) -> tuple[PairingSettings, ...]:
        return _switched(self.config, self.context.directory)

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
    async with configured_store(config) as store, open_app_on(store, config, clock, load=load) as app:
        yield app


def configured_store(config: MoltnetConfig) -> AbstractAsyncContextManager[Store]:
    """The store that the file names, not yet open; entering it raises ``StorageError``."""
    storage = config.storage
    return open_store(
        storage.kind,
        json_path=None if storage.json is None else storage.json.path,
        sqlite_path=None if storage.sqlite is None else storage.sqlite.path,
        postgres_dsn=None if storage.postgres is None else storage.postgres.dsn,
        network_id=config.network.id,
    )


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
    sightings = Sightings(directory)
    running: list[App] = []

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
        directory.apply_marks(committed.marks, committed.removed_marks)
        if token_died:
            leases.renew()
        sightings.heard(committed.records)
        broker.publish(committed.records)
        relay.heard(committed)
        if any(mark.kind == MarkKind.PAIRING for mark in committed.marks):
            for app in running:
                app.adopt_switches()

    async with open_journal(store, publish, metrics.journal) as journal:
        context = NetworkContext(
            id=config.network.id,
            store=store,
            directory=directory,
            journal=journal,
            clock=clock,
            terms=_terms(config, _switched(config, directory)),
            sightings=sightings,
        )
        await declare(context, config.rooms, config.auth.tokens)
        async with (
            open_retention(journal, _retention(config.storage), clock, metrics.retention),
            open_sightings(sightings, journal),
            open_reports(journal, metrics.attach) as reports,
            open_neighbours(context, registry, reports),
            open_hub(broker, context, leases) as hub,
            open_sharing(admission),
            open_links(
                _switched(config, directory),
                own_id=context.id,
                on_change=_reporting(context, reports, relay),
                services=(partial(relay.serve, journal=journal),),
                wall_clock=clock,
            ) as links,
        ):
            context.pairings_now = links.pairings
            app = App(
                config=config,
                context=context,
                authenticator=authenticator,
                origins=_origins(config),
                hosts=_hosts(config),
                admission=admission,
                broker=broker,
                hub=hub,
                gateway=Gateway(context, broker, registry, reports, hub, leases),
                leases=leases,
                metrics=metrics,
                links=links,
                load=load,
            )
            running.append(app)
            app.adopt_switches()  # somebody may have switched one meanwhile
            try:
                yield app
            finally:
                running.clear()


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


def _switched(config: MoltnetConfig, directory: Directory) -> tuple[PairingSettings, ...]:
    """The pairings of the file, each at work or not as somebody has switched it, if anybody has."""
    return tuple(
        attrs.evolve(pairing, enabled=directory.is_at_work(pairing.id, declared=pairing.enabled))
        for pairing in config.pairings
    )


def _terms(config: MoltnetConfig, pairings: Iterable[PairingSettings]) -> Terms:
    return Terms(
        name=config.network.name,
        policy=_auth_policy(config),
        mention_aliases=_mention_aliases(config),
        debug_events=config.server.debug_events,
        delivery_window=config.server.delivery_window,
        reserved_agents=ReservedNames(config.auth.reserved_agents),
        declared_agents={agent_id: token.id for token in config.auth.tokens for agent_id in token.agents},
        relaying=tuple(pairing for pairing in pairings if not PairingStatus(pairing).is_off),
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
