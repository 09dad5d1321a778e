"""Registering and removing agents, and what a network shows of them (auth §5)."""

from collections.abc import Callable

import attrs

from moltnet.auth.claims import Claims, CredentialKind
from moltnet.auth.tokens import agent_key, new_agent_token
from moltnet.config.settings import AuthMode, Registration, Scope
from moltnet.core.access import Viewer, can_read_room, require
from moltnet.core.errors import Conflict, Forbidden, Invalid, NotFound
from moltnet.core.network import NetworkContext
from moltnet.core.rooms import page_info
from moltnet.directory import key_window
from moltnet.protocol import limits
from moltnet.protocol.agents import AgentRegistration, AgentSummary, RegisterAgentRequest, agent_id_from_name
from moltnet.protocol.codec import Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import agent_fqid, is_qualified, parse_address
from moltnet.protocol.ids import AgentId, NetworkId, RoomId, id_problem, is_id, new_actor_uid, new_uuid
from moltnet.protocol.pages import AgentPage, PageRequest
from moltnet.protocol.times import Timestamp
from moltnet.storage.commands import AgentOwned, AgentRemoved, AgentStored, RegisterAgent, RemoveAgent
from moltnet.storage.records import StoredAgent

IsConnected = Callable[[AgentId], bool]


async def register_agent(
    context: NetworkContext, request: RegisterAgentRequest, claims: Claims
) -> tuple[AgentRegistration, bool]:
    """Claim an agent id, or refresh a claim; the flag tells whether it is new.

    The registration holds a token only if this call minted one. Raises ``Refused``, ``StorageError``.
    """
    request = request.trimmed()
    _check_may_register(context, claims)
    agent_id = request.requested_agent_id or _free_id(context, request.name)
    problem_text = id_problem(agent_id)
    if problem_text is not None:
        raise Invalid.from_problems([Problem("$.requested_agent_id", problem_text)])
    if not claims.may_act_as(agent_id):
        raise Forbidden(ErrorCode.AGENT_NOT_ALLOWED, f'this token may not register agent "{agent_id}"')
    return await claim_agent(context, AgentId(agent_id), request.name, claims)


async def claim_agent(
    context: NetworkContext, agent_id: AgentId, name: str, claims: Claims
) -> tuple[AgentRegistration, bool]:
    """Register ``agent_id`` for the caller's credential, minting one for a caller that has none on an open network.

    Raises ``Invalid`` for an id with a colon and a name that is too long, ``Conflict`` if the id belongs to another
    credential.
    """
    if is_qualified(agent_id):
        # Everywhere else such an id means an agent of another network.
        raise Invalid.from_problems([Problem("$.requested_agent_id", "must not hold a colon")])
    if len(name) > limits.MAX_NAME_CHARACTERS:
        raise Invalid.from_problems([Problem("$.name", f"must be {limits.MAX_NAME_CHARACTERS} characters or fewer")])
    token, key = "", claims.key
    if claims.kind is CredentialKind.ANONYMOUS:
        token = new_agent_token()
        key = agent_key(token)
    wanted = new_agent(context.id, agent_id, name, key, context.now())
    outcome = await context.journal.commit(RegisterAgent(wanted, as_admin=Scope.ADMIN in claims.scopes))
    match outcome:
        case AgentStored(agent=stored, created=created):
            registration = stored.registration
            return (attrs.evolve(registration, agent_token=token) if created else registration), created
        case AgentOwned():
            whose = "with different credentials" if claims.scopes else "and needs its own token"
            raise Conflict(ErrorCode.AGENT_OWNED_BY_OTHER, f'agent "{agent_id}" is already registered {whose}')


def new_agent(network_id: NetworkId, agent_id: AgentId, name: str, credential_key: str, now: Timestamp) -> StoredAgent:
    """A first registration, with a uid of its own."""
    return StoredAgent(
        AgentRegistration(
            network_id=network_id,
            agent_id=agent_id,
            actor_uid=new_actor_uid(),
            actor_uri=agent_fqid(network_id, agent_id),
            display_name=name,
            created_at=now,
            updated_at=now,
        ),
        credential_key,
    )


async def remove_agent(context: NetworkContext, agent_id: str) -> AgentId:
    """Forget an agent of this network: registration, memberships, token. Its messages stay, its id is free again.

    Raises ``NotFound`` also for what is no id, and for agents of other networks, which are only members here.
    """
    address = parse_address(agent_id, context.id)
    if address.network_id == context.id and is_id(address.agent_id):
        outcome = await context.journal.commit(RemoveAgent(address, context.now()))
        if isinstance(outcome, AgentRemoved):
            return outcome.agent_id
    raise NotFound(ErrorCode.UNKNOWN_AGENT, f'unknown agent "{agent_id}"')


def _check_may_register(context: NetworkContext, claims: Claims) -> None:
    match context.policy.effective_registration:
        case _ if context.policy.mode is AuthMode.NONE:
            return
        case Registration.OPEN if claims.kind is CredentialKind.ANONYMOUS:
            return
        case Registration.DISABLED:
            require(claims, Scope.ADMIN)
        case _:
            require(claims, Scope.ADMIN, Scope.ATTACH)


def _free_id(context: NetworkContext, name: str) -> str:
    wanted = agent_id_from_name(name)
    return wanted if context.directory.agent(wanted) is None else f"{wanted}-{new_uuid()[-8:]}"


def list_agents(context: NetworkContext, viewer: Viewer, page: PageRequest, connected: IsConnected) -> AgentPage:
    """Members of readable rooms and, for callers who observe, all registered agents; by id."""
    found = {parse_address(fqid, context.id).local_or_scoped(context.id): fqid for fqid in _visible(context, viewer)}
    keys, has_more = key_window(sorted(found), before=page.before, after=page.after, limit=page.limit)
    agents = tuple(_summary(context, found[key], viewer, connected) for key in keys)
    return AgentPage(agents, page_info(keys[0] if keys else "", keys[-1] if keys else "", page, has_more=has_more))


def show_agent(context: NetworkContext, agent_id: str, viewer: Viewer, connected: IsConnected) -> AgentSummary:
    """Raises ``NotFound`` also for an agent that the viewer may not know of."""
    fqid = parse_address(agent_id, context.id).fqid
    if fqid not in _visible(context, viewer):
        raise NotFound(ErrorCode.UNKNOWN_AGENT, f'unknown agent "{agent_id}"')
    return _summary(context, fqid, viewer, connected)


def _visible(context: NetworkContext, viewer: Viewer) -> set[str]:
    directory = context.directory
    if viewer.all_conversations:
        return {*directory.member_fqids(), *(agent.registration.actor_uri for agent in directory.agents())}
    members = {fqid for fqid in directory.member_fqids() if _shared_rooms(context, fqid, viewer)}
    return members | {fqid for fqid in viewer.agents if _registered(context, fqid) is not None}


def _shared_rooms(context: NetworkContext, fqid: str, viewer: Viewer) -> tuple[RoomId, ...]:
    """The rooms of an agent that the viewer may read."""
    rooms = (context.directory.room(room_id) for room_id in context.directory.rooms_of(fqid))
    return tuple(room.id for room in rooms if room is not None and can_read_room(viewer, room, context.directory))


def _registered(context: NetworkContext, fqid: str) -> StoredAgent | None:
    address = parse_address(fqid, context.id)
    return context.directory.agent(address.agent_id) if address.network_id == context.id else None


def _summary(context: NetworkContext, fqid: str, viewer: Viewer, connected: IsConnected) -> AgentSummary:
    address = parse_address(fqid, context.id)
    stored = _registered(context, fqid)
    return AgentSummary(
        id=AgentId(address.local_or_scoped(context.id)),
        network_id=address.network_id,
        connected=stored is not None and connected(stored.id),
        name="" if stored is None else stored.registration.display_name,
        actor_uid="" if stored is None else stored.registration.actor_uid,
        fqid=fqid,
        rooms=_shared_rooms(context, fqid, viewer),
    )
