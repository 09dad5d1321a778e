"""Muting agents: they read and are woken as before, and say nothing until somebody lifts it, or its time is over."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from moltnet.auth.claims import Claims
from moltnet.core.errors import Forbidden, Invalid, NotFound
from moltnet.core.network import NetworkContext
from moltnet.protocol import limits
from moltnet.protocol.agents import Mute, MuteRequest
from moltnet.protocol.codec import Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import AgentAddress, parse_address
from moltnet.protocol.ids import AgentId, is_id
from moltnet.protocol.times import Timestamp, format_timestamp, parse_timestamp
from moltnet.storage.marks import MuteAgent, NobodyToMute


async def mute_agent(context: NetworkContext, agent_id: str, request: MuteRequest, claims: Claims) -> None:
    """Mute a registered agent of this network, or change how. Raises ``Invalid``, ``NotFound``, ``StorageError``."""
    now = context.clock()
    problems = list(_problems(request, now))
    if problems:
        raise Invalid.from_problems(problems)
    until = _end(request, now)
    mute = Mute(
        since=format_timestamp(now),
        reason=request.reason.strip(),
        by=claims.key,
        until=Timestamp("") if until is None else format_timestamp(until),
    )
    await _change(context, agent_id, mute, claims)


async def unmute_agent(context: NetworkContext, agent_id: str, claims: Claims) -> None:
    """Let an agent speak again; one that may is left as it is. Raises ``NotFound``, ``StorageError``."""
    await _change(context, agent_id, None, claims)


def check_may_speak(context: NetworkContext, address: AgentAddress) -> None:
    """Raises ``Forbidden`` for an agent of this network that is muted."""
    mute = mute_now(context, AgentId(address.agent_id)) if address.network_id == context.id else None
    if mute is not None:
        until = f" until {mute.until}" if mute.until else ""
        reason = f": {mute.reason}" if mute.reason else ""
        raise Forbidden(ErrorCode.AGENT_MUTED, f'agent "{address.agent_id}" is muted{until}{reason}')


def mute_now(context: NetworkContext, agent_id: AgentId) -> Mute | None:
    """How an agent is muted at this moment, if it is."""
    mute = context.directory.mute(agent_id)
    if mute is None or not mute.until:
        return mute
    try:
        return mute if parse_timestamp(mute.until) > context.clock() else None
    except (ValueError, TypeError):
        return mute


async def _change(context: NetworkContext, agent_id: str, mute: Mute | None, claims: Claims) -> None:
    address = parse_address(agent_id, context.id)
    if address.network_id == context.id and is_id(address.agent_id):
        outcome = await context.journal.commit(MuteAgent(AgentId(address.agent_id), mute, claims.key, context.now()))
        if not isinstance(outcome, NobodyToMute):
            return
    raise NotFound(ErrorCode.UNKNOWN_AGENT, f'unknown agent "{agent_id}", or none that is registered here')


def _problems(request: MuteRequest, now: datetime) -> Iterator[Problem]:
    if len(request.reason.strip()) > limits.MAX_MUTE_REASON_CHARACTERS:
        yield Problem("$.reason", f"must be {limits.MAX_MUTE_REASON_CHARACTERS} characters or fewer")
    if not 0 <= request.minutes <= limits.LONGEST_MUTE_MINUTES:
        yield Problem("$.minutes", f"must be 0 to {limits.LONGEST_MUTE_MINUTES}; without any, it has no end")
    elif request.until.strip():
        if request.minutes:
            yield Problem("$.until", "can't be given together with minutes")
        else:
            try:
                end = _end(request, now)
            except (ValueError, OverflowError):
                end = None
            if end is None or end <= now:
                yield Problem("$.until", "must be a time to come with its zone, as 2026-11-20T07:53:37Z")


def _end(request: MuteRequest, now: datetime) -> datetime | None:
    """Raises ``ValueError`` for what is no time."""
    if request.minutes:
        return now + timedelta(minutes=request.minutes)
    if not request.until.strip():
        return None
    moment = datetime.fromisoformat(request.until.strip())
    if moment.tzinfo is None:
        raise ValueError("without a zone")
    return moment.astimezone(UTC)
