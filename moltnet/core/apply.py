"""Making rooms and agents what an operator says, all at once or not at all (HTTP API §7; design §3.15)."""

from itertools import islice

from moltnet.core.agents import new_agent
from moltnet.core.errors import Invalid
from moltnet.core.network import NetworkContext
from moltnet.core.rooms import room_from
from moltnet.protocol.administration import ApplyRequest, ApplyResult, apply_problems
from moltnet.protocol.ids import AgentId
from moltnet.protocol.limits import MAX_REPORTED_PROBLEMS
from moltnet.storage.commands import ApplyNetwork


async def apply_network(context: NetworkContext, request: ApplyRequest) -> ApplyResult:
    """Bind the agents of the request to their credentials and shape its rooms; nothing is ever removed.

    Everything is checked before anything is written, and written in one transaction. An omitted field of a room means
    its default; a removed room is restored. Raises ``Invalid``, ``StorageError``.
    """
    request = request.trimmed()
    problems = tuple(islice(apply_problems(request, context.id), MAX_REPORTED_PROBLEMS))
    if problems:
        raise Invalid.from_problems(problems)
    now = context.now()
    # An agent that is there twice has the same key both times; the last name counts.
    agents = {
        agent.id: new_agent(context.id, AgentId(agent.id), agent.name, agent.credential_key, now)
        for agent in request.agents
    }
    rooms = tuple(room_from(room, context.id, now) for room in request.rooms)
    applied = await context.journal.commit(ApplyNetwork(tuple(agents.values()), rooms))
    return ApplyResult(rooms=applied.rooms, agents=tuple(agent.registration for agent in applied.agents))
