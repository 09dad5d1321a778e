"""Typed calls for who operates a network: mostly those that need ``admin`` or ``observe``."""

import attrs

from moltnet.client.calls import FIRST_PAGE, Calls, quoted
from moltnet.protocol.administration import ApplyRequest, ApplyResult, ReloadResult
from moltnet.protocol.agents import AgentSummary, MuteRequest
from moltnet.protocol.approvals import Approval, ApprovalState, DecisionRequest
from moltnet.protocol.codec import encode
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.pairings import Pairing
from moltnet.protocol.relays import DeadLetterPage, RelayQueues, RelayResult


@attrs.define(eq=False)
class OperatorCalls(Calls):
    """The operators' part of ``moltnet.client.api.MoltnetClient``."""

    async def decide_approval(self, approval_id: str, state: ApprovalState, decision: DecisionRequest) -> Approval:
        """Needs ``admin``. Approve or deny; what was decided before stays, and is told with 409."""
        verb = "approve" if state is ApprovalState.APPROVED else "deny"
        return await self._call("POST", f"/v1/approvals/{quoted(approval_id)}/{verb}", Approval, encode(decision))

    async def mute_agent(self, agent_id: str, wanted: MuteRequest) -> AgentSummary:
        """Needs ``admin``. Until its end, or until it is lifted, what the agent sends is refused."""
        return await self._call("POST", f"/v1/agents/{quoted(agent_id)}/mute", AgentSummary, encode(wanted))

    async def unmute_agent(self, agent_id: str) -> AgentSummary:
        """Needs ``admin``. An agent that may speak is left as it is."""
        return await self._call("DELETE", f"/v1/agents/{quoted(agent_id)}/mute", AgentSummary)

    async def switch_pairing(self, pairing_id: str, *, enabled: bool) -> Pairing:
        """Needs ``admin``. Put a pairing to work, or let it rest."""
        verb = "enable" if enabled else "disable"
        return await self._call("POST", f"/v1/pairings/{quoted(pairing_id)}/{verb}", Pairing)

    async def preview_apply(self, wanted: ApplyRequest) -> ApplyResult:
        """Needs ``admin``. What ``apply`` would change at this moment."""
        return await self._call("POST", "/v1/apply?preview=true", ApplyResult, encode(wanted))

    async def reload(self) -> ReloadResult:
        """Needs ``admin``. Let the server take over its changed config file: all of it, or nothing."""
        return await self._call("POST", "/v1/admin/reload", ReloadResult)

    async def apply(self, wanted: ApplyRequest) -> ApplyResult:
        """Needs ``admin``. Make rooms and agents what is said: all of it, or nothing."""
        return await self._call("POST", "/v1/apply", ApplyResult, encode(wanted))

    async def relay_queues(self) -> RelayQueues:
        """How much waits for each pairing. Needs ``observe`` or ``admin``."""
        return await self._get("/v1/outbox", RelayQueues)

    async def dead_letters(self, pairing_id: str, page: PageRequest = FIRST_PAGE) -> DeadLetterPage:
        """A page of what the network of a pairing refused. Needs ``observe`` or ``admin``."""
        return await self._get(f"/v1/pairings/{quoted(pairing_id)}/dead-letters", DeadLetterPage, page)

    async def retry_dead_letter(self, pairing_id: str, message_id: str) -> RelayResult:
        """Needs ``admin``. None of that message: ``ServerAnswered`` with status 404."""
        path = f"/v1/pairings/{quoted(pairing_id)}/dead-letters/{quoted(message_id)}"
        return await self._call("POST", f"{path}/retry", RelayResult)

    async def drop_dead_letter(self, pairing_id: str, message_id: str) -> RelayResult:
        """The same."""
        path = f"/v1/pairings/{quoted(pairing_id)}/dead-letters/{quoted(message_id)}"
        return await self._call("DELETE", path, RelayResult)
