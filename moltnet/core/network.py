"""What every use case works with, and what the network says of itself."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import attrs

from moltnet import __version__
from moltnet.auth.claims import Claims, CredentialKind
from moltnet.auth.policy import AuthPolicy
from moltnet.auth.reserved import ReservedNames
from moltnet.config.settings import PairingSettings, Scope
from moltnet.core.recipients import Aliases
from moltnet.core.sightings import Sightings
from moltnet.directory import Directory
from moltnet.journal import Journal
from moltnet.protocol.ids import AgentId, NetworkId
from moltnet.protocol.limits import DELIVERY_WINDOW_EVENTS
from moltnet.protocol.network import SPOKEN_PROTOCOLS, Capabilities, Console, Network, NetworkWarning
from moltnet.protocol.pairings import Pairing
from moltnet.protocol.times import Timestamp, WallClock, format_timestamp
from moltnet.storage.store import Store


@attrs.frozen(eq=False)
class Terms:
    """What the config file says about a network and a reload can change.

    ``declared_agents`` are those that the file gives to a token, by the token's id; ``relaying`` are the pairings over
    which messages are relayed.
    """

    name: str
    policy: AuthPolicy
    mention_aliases: Aliases
    debug_events: bool = False
    delivery_window: int = DELIVERY_WINDOW_EVENTS
    reserved_agents: ReservedNames = attrs.field(factory=ReservedNames)
    declared_agents: Mapping[AgentId, str] = attrs.field(factory=dict)
    relaying: tuple[PairingSettings, ...] = ()


@attrs.define(eq=False)
class NetworkContext:
    """The collaborators of the use cases in this package, built once by ``moltnet.app``.

    A reload replaces ``terms``, all at once: whoever looks twice across an ``await`` may see two of them.
    """

    id: NetworkId
    store: Store
    directory: Directory
    journal: Journal
    clock: WallClock
    terms: Terms
    sightings: Sightings = attrs.Factory(lambda self: Sightings(self.directory), takes_self=True)
    pairings_now: Callable[[], tuple[Pairing, ...]] = tuple
    """How each pairing is at this moment, by id."""

    @property
    def name(self) -> str:
        return self.terms.name

    @property
    def policy(self) -> AuthPolicy:
        return self.terms.policy

    @property
    def mention_aliases(self) -> Aliases:
        return self.terms.mention_aliases

    @property
    def debug_events(self) -> bool:
        return self.terms.debug_events

    @property
    def pairings(self) -> tuple[Pairing, ...]:
        return self.pairings_now()

    async def catch_up(self) -> None:
        """Know all that other servers have committed by now: what is unknown here may be known there already.

        Costs a look at the database, so nobody gets one without being counted. Raises ``StorageError``,
        ``JournalClosed``.
        """
        if self.store.seating is not None:  # else there are no others
            await self.journal.catch_up()

    def now(self) -> Timestamp:
        return format_timestamp(self.clock())


# Status of pairings, severity, what to do (message model §3): worst first.
_LOOK: Final = "Open the Pairings panel for diagnostics."
_WARNINGS: Final = (
    ("incompatible", "incompatible", "error", _LOOK),
    ("error", "in error", "warning", "Check remote network connectivity and pairing credentials."),
    ("degraded", "degraded", "warning", _LOOK),
)


def describe_network(context: NetworkContext, claims: Claims) -> Network:
    """The document of ``GET /v1/network`` for this caller."""
    policy, pairings = context.policy, context.pairings
    sends_as_human = claims.kind is CredentialKind.UNCHECKED or (
        claims.kind is CredentialKind.STATIC and claims.has(Scope.WRITE) and not claims.agents
    )
    return Network(
        id=context.id,
        name=context.name,
        version=__version__,
        protocols=SPOKEN_PROTOCOLS,
        capabilities=Capabilities(
            event_stream="sse",
            attachment_protocol="websocket",
            public_read=policy.advertised_public_read,
            agent_registration=policy.effective_registration,
            debug_events=context.debug_events,
            human_ingress=policy.human_ingress,
            direct_messages=policy.direct_messages,
            message_pagination="cursor",
            pairings=bool(pairings),
        ),
        warnings=tuple(_warnings(pairings)),
        console=Console(can_send_human=policy.human_ingress and sends_as_human),
    )


def _warnings(pairings: tuple[Pairing, ...]) -> Iterator[NetworkWarning]:
    for status, words, severity, action in _WARNINGS:
        count = sum(pairing.status == status for pairing in pairings)
        if count:
            message = f"{count} pairing{'s' if count > 1 else ''} {words}."
            yield NetworkWarning(severity, f"pairings.{status}", message, action)
