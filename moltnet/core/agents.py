"""Registering and removing agents, and what a network shows of them (auth §5)."""

from collections.abc import Callable, Iterator, Sequence

from moltnet.auth.claims import Claims, CredentialKind
from moltnet.auth.tokens import agent_key, new_agent_token
from moltnet.config.settings import AuthMode, Registration, Scope
from moltnet.core.access import Viewer, can_read_room, require
from moltnet.core.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from moltnet.core.muting import mute_now
from moltnet.core.network import NetworkContext
from moltnet.core.pages import id_page_json, merged_keys, unknown_cursor
from moltnet.protocol import limits
from moltnet.protocol.agents import AgentRegistration, AgentSummary, RegisterAgentRequest, agent_id_from_name
from moltnet.protocol.codec import Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import agent_fqid, canonical_member, parse_address
from moltnet.protocol.ids import AgentId, NetworkId, RoomId, id_problem, is_id, new_actor_uid, new_uuid
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.times import Timestamp
from moltnet.storage.commands import AgentOwned, AgentRemoved, AgentStored, RegisterAgent, RemoveAgent
from moltnet.storage.records import StoredAgent

IsConnected = Callable[[AgentId], bool]


async def register_agent(
    context: NetworkContext, request: RegisterAgentRequest, claims: Claims
) -> tuple[AgentRegistration, bool]:
    """Claim an agent id, or refresh a claim; the flag tells whether it is new. Without a wanted id, a free one is made.

    The registration holds a token only if this call minted one. Raises ``Refused``, ``StorageError``.
    """
    request = request.trimmed()
    _check_may_register(context, claims)
    if not request.requested_agent_id:
        return await _claim_made_id(context, request.name, claims)
    agent_id = request.requested_agent_id
    if (problem_text := id_problem(agent_id)) is not None:
        raise Invalid.from_problems([Problem("$.requested_agent_id", problem_text)])
    _check_may_be(claims, agent_id)
    return await claim_agent(context, AgentId(agent_id), request.name, claims)


async def _claim_made_id(context: NetworkContext, name: str, claims: Claims) -> tuple[AgentRegistration, bool]:
    """Claim an id made from ``name``. Whoever takes it first in the meantime only makes us take the next one."""
    refusal: Refused | None = None
    for agent_id in _made_ids(context, name, claims):
        _check_may_be(claims, agent_id)
        try:
            return await claim_agent(context, agent_id, name, claims)
        except Conflict as taken:
            refusal = taken
    raise refusal or Forbidden(ErrorCode.AGENT_RESERVED, "the operator keeps such names; choose another one")


def _made_ids(context: NetworkContext, name: str, claims: Claims) -> Iterator[AgentId]:
    wanted = agent_id_from_name(name)
    made = [wanted, *(f"{wanted}-{new_uuid()[-8:]}" for _ in range(limits.MAX_MADE_ID_TRIES - 1))]
    free = (AgentId(agent_id) for agent_id in made if context.directory.agent(agent_id) is None)
    return (agent_id for agent_id in free if not _is_reserved(context, agent_id, claims))


def _check_may_be(claims: Claims, agent_id: str) -> None:
    if not claims.may_act_as(agent_id):
        raise Forbidden(ErrorCode.AGENT_NOT_ALLOWED, f'this token may not register agent "{agent_id}"')


def _is_reserved(context: NetworkContext, agent_id: str, claims: Claims) -> bool:
    """Whether the operator keeps an id from this caller: it is nobody's that the operator has named for it."""
    named_for_it = claims.has(Scope.ADMIN) or agent_id in claims.agents
    return not named_for_it and agent_id in context.terms.reserved_agents


def check_may_attach(context: NetworkContext, claims: Claims) -> None:
    """An anonymous caller may attach only to claim an id, and a reload may have ended that since it came in.

    Raises ``Unauthenticated``.
    """
    if claims.kind is CredentialKind.ANONYMOUS:
        _check_may_register(context, claims)


async def claim_agent(
    context: NetworkContext, agent_id: AgentId, name: str, claims: Claims
) -> tuple[AgentRegistration, bool]:
    """Register ``agent_id`` for the caller's credential, minting one for a caller that has none on an open network.

    Raises ``Invalid`` for an id with a colon and a name that is too long, ``Forbidden`` for one that the operator
    keeps, ``Conflict`` if it belongs to another credential.
    """
    if ":" in agent_id:
        # Everywhere else such an id means an agent of another network.
        raise Invalid.from_problems([Problem("$.requested_agent_id", "must not hold a colon")])
    if len(name) > limits.MAX_NAME_CHARACTERS:
        raise Invalid.from_problems([Problem("$.name", f"must be {limits.MAX_NAME_CHARACTERS} characters or fewer")])
    known = context.directory.agent(agent_id)
    if _is_reserved(context, agent_id, claims) and (known is None or known.credential_key != claims.key):
        raise Forbidden(ErrorCode.AGENT_RESERVED, f'the operator keeps the name "{agent_id}"; choose another one')
    token, key = "", claims.key
    if claims.kind is CredentialKind.ANONYMOUS:
        token = new_agent_token()
        key = agent_key(token)
    wanted = new_agent(context.id, agent_id, name, key, context.now())
    outcome = await context.journal.commit(RegisterAgent(wanted, as_admin=Scope.ADMIN in claims.scopes))
    match outcome:
        case AgentStored(agent=stored, created=created):
            registration = stored.registration
            return (registration.with_token(token) if created else registration), created
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


def list_agents(context: NetworkContext, viewer: Viewer, page: PageRequest, connected: IsConnected) -> bytes:
    """A page of the members of readable rooms and, for callers who observe, all registered agents; by id, as JSON.

    Raises ``Invalid`` for a foreign cursor.
    """
    before, after = (canonical_member(id, context.id) if id else "" for id in (page.before, page.after))
    cursor = before or after
    if cursor and not _may_know(context, parse_address(cursor, context.id).fqid, viewer):
        raise unknown_cursor(page)
    wanted = PageRequest(page.limit, before, after)
    fqids = (parse_address(id, context.id).fqid for id in merged_keys(*_ids(context, viewer), page=wanted))
    found = (_summary(context, fqid, viewer, connected) for fqid in fqids if _may_know(context, fqid, viewer))
    return id_page_json("agents", found, page)


def show_agent(context: NetworkContext, agent_id: str, viewer: Viewer, connected: IsConnected) -> AgentSummary:
    """Raises ``NotFound`` also for an agent that the viewer may not know of."""
    fqid = parse_address(agent_id, context.id).fqid
    if not _may_know(context, fqid, viewer):
        raise NotFound(ErrorCode.UNKNOWN_AGENT, f'unknown agent "{agent_id}"')
    return _summary(context, fqid, viewer, connected)


def _may_know(context: NetworkContext, fqid: str, viewer: Viewer) -> bool:
    """Who observes knows everybody; others know whom they meet in a room, and themselves."""
    if viewer.all_conversations:
        return context.directory.is_known(fqid)
    if fqid in viewer.agents and _registered(context, fqid) is not None:
        return True
    return any(True for _ in _shared_rooms(context, fqid, viewer))


def _ids(context: NetworkContext, viewer: Viewer) -> Iterator[Sequence[str]]:
    """Sorted ids of all agents that the viewer may know, and of few others: a page costs about what it shows."""
    directory = context.directory
    room_ids = viewer.shown_rooms.union(*map(directory.rooms_of, viewer.agents))
    met = [directory.members(room_id) for room_id in room_ids]
    if viewer.all_conversations or sum(map(len, met)) > len(directory.known_ids()):
        # Whoever shares so many rooms knows nearly everybody; to find out whom costs more than to walk past the others.
        yield directory.known_ids()
        return
    yield sorted(canonical_member(fqid, context.id) for fqid in viewer.agents.union(*met))
    if viewer.public_rooms:
        yield directory.publicly_known_ids()


def _shared_rooms(context: NetworkContext, fqid: str, viewer: Viewer) -> Iterator[RoomId]:
    """The rooms of an agent that the viewer may read, by id."""
    rooms = (context.directory.room(room_id) for room_id in context.directory.rooms_of(fqid))
    return (room.id for room in rooms if room is not None and can_read_room(viewer, room, context.directory))


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
        rooms=tuple(_shared_rooms(context, fqid, viewer)),
        last_seen_at=context.sightings.last_seen_at(stored.id) if stored and viewer.all_reports else Timestamp(""),
        runtime=context.sightings.about(stored.id).runtime if stored and viewer.all_reports else "",
        host=context.sightings.about(stored.id).host if stored and viewer.all_reports else "",
        mute=mute_now(context, stored.id) if stored and (viewer.all_reports or fqid in viewer.agents) else None,
    )
