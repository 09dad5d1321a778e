"""Who calls, in a word, and the directory that decides about them; for tables of rules."""

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from moltnet.app import App
from moltnet.auth.claims import ANONYMOUS, UNCHECKED, Claims, CredentialKind
from moltnet.auth.tokens import STATIC_PREFIX, StaticToken, TokenTable, static_key, token_digest
from moltnet.config.settings import RoomSettings, Scope
from moltnet.core.rooms import room_from
from moltnet.directory import Directory
from moltnet.protocol.agents import AgentRegistration
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.ids import ActorUid, AgentId, NetworkId
from moltnet.protocol.rooms import CreateRoomRequest
from moltnet.protocol.times import Timestamp
from moltnet.storage.records import StoredAgent, StoredRoom
from tests.fakes.network import NETWORK

NOW: Final = Timestamp("2026-01-02T03:04:05Z")
AGENT_SCOPES: Final = frozenset({Scope.WRITE, Scope.ATTACH})


def static(scopes: str, *agents: str, token_id: str = "tok", network: str = "") -> Claims:
    """A token of the config file, which owns what `token:tok` owns. Each set of rights has a value of its own."""
    return Claims(
        CredentialKind.STATIC,
        static_key(token_id),
        frozenset(map(Scope, scopes.split())),
        frozenset(map(AgentId, agents)),
        NetworkId(network) if network else None,
        token_digest(f"{token_id} {scopes} {agents} {network}"),
    )


def admit(app: App, claims: Claims) -> None:
    """Let the network know the token of hand-made claims, as if its config file had it."""
    if claims.kind is CredentialKind.STATIC:
        tokens = app.leases.authenticator.tokens
        if tokens.find_digest(claims.digest) is None:
            known = StaticToken(
                claims.key.removeprefix(STATIC_PREFIX), claims.digest, claims.scopes, claims.agents, claims.network
            )
            table = TokenTable((*tokens.tokens, known))
            app.leases.authenticator = attrs.evolve(app.leases.authenticator, tokens=table)


def agent_token(agent_id: str) -> Claims:
    """The generated token of an agent, which owns what `key:<agent_id>` owns."""
    return Claims(CredentialKind.AGENT, f"key:{agent_id}", AGENT_SCOPES, frozenset({AgentId(agent_id)}))


CALLERS: Final[Mapping[str, Claims]] = {
    "nobody asked": UNCHECKED,
    "anonymous": ANONYMOUS,
    "agent alpha": agent_token("alpha"),
    "agent beta": agent_token("beta"),
    "observe": static("observe"),
    "write": static("write"),
    "write for alpha": static("write", "alpha", token_id="alpha"),
    "attach": static("attach"),
    "attach for alpha": static("attach write", "alpha", token_id="alpha"),
    "pair": static("pair"),
    "admin": static("admin"),
    "admin write": static("admin write"),
}


def stored_agent(agent_id: str, credential_key: str, *, name: str = "") -> StoredAgent:
    registration = AgentRegistration(
        network_id=NETWORK,
        agent_id=AgentId(agent_id),
        actor_uid=ActorUid(f"actor_{agent_id}"),
        actor_uri=agent_fqid(NETWORK, agent_id),
        created_at=NOW,
        updated_at=NOW,
        display_name=name,
    )
    return StoredAgent(registration, credential_key)


def stored_room(settings: RoomSettings) -> StoredRoom:
    request = CreateRoomRequest(
        settings.id, settings.name, settings.members, settings.visibility, settings.write_policy
    )
    return StoredRoom(room_from(request, NETWORK, NOW))


def directory_of(rooms: Iterable[RoomSettings] = (), agents: Mapping[str, str] | None = None) -> Directory:
    """A directory with these rooms, and with agents by id and the key of the credential that owns them."""
    directory = Directory(NETWORK)
    directory.apply(
        [stored_room(settings) for settings in rooms],
        [stored_agent(agent_id, key, name=agent_id.title()) for agent_id, key in (agents or {}).items()],
    )
    return directory
